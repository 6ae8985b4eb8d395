"""Everything is bounded: what is too long, too large or too much is refused, and says so."""

from __future__ import annotations

import asyncio
import uuid
from datetime import timedelta
from typing import Any

import pytest
from google.protobuf.duration_pb2 import Duration
from temporalio import activity, workflow
from temporalio.api.common.v1 import ActivityType, Link, Memo, Payload, Payloads, WorkflowExecution, WorkflowType
from temporalio.api.enums.v1 import WorkflowTaskFailedCause
from temporalio.api.query.v1 import WorkflowQuery
from temporalio.api.sdk.v1 import UserMetadata
from temporalio.api.taskqueue.v1 import TaskQueue
from temporalio.api.update.v1 import Input, Meta, Request, WaitPolicy
from temporalio.api.workflowservice.v1 import (
    PollActivityTaskQueueRequest, QueryWorkflowRequest, RequestCancelWorkflowExecutionRequest,
    ResetWorkflowExecutionRequest, RespondActivityTaskCompletedRequest, RespondActivityTaskFailedRequest,
    SignalWithStartWorkflowExecutionRequest, SignalWorkflowExecutionRequest, StartActivityExecutionRequest,
    StartWorkflowExecutionRequest, TerminateWorkflowExecutionRequest, UpdateWorkflowExecutionRequest,
)
from temporalio.client import WorkflowExecutionStatus, WorkflowUpdateStage
from temporalio.exceptions import ActivityError, ApplicationError, TerminatedError
from temporalio.service import RPCError, RPCStatusCode

from support import ONCE, SOON, Env, events, eventually, failure_of

TOO_LONG = "x" * 1001
MEBIBYTE = 1 << 20


def payload(size: int) -> Payload:
    return Payload(metadata={"encoding": b"json/plain"}, data=b'"' + b"x" * size + b'"')


def payloads(size: int = 2 * MEBIBYTE) -> Payloads:
    return Payloads(payloads=[payload(size)])


def link(workflow_id: str = "other", run_id: str = "run") -> Link:
    return Link(workflow_event=Link.WorkflowEvent(namespace="default", workflow_id=workflow_id, run_id=run_id))


def start(env: Env, **more: Any) -> StartWorkflowExecutionRequest:
    given = dict(
        namespace="default", workflow_id=env.id(), workflow_type=WorkflowType(name="Nobody"),
        task_queue=TaskQueue(name=env.task_queue), request_id=str(uuid.uuid4()), identity="conformance",
    )
    return StartWorkflowExecutionRequest(**{**given, **more})


async def refused(call) -> RPCError:
    with pytest.raises(RPCError) as refusal:
        await call
    return refusal.value


@pytest.mark.parametrize("what, says", [
    (dict(workflow_id=TOO_LONG), "WorkflowId"),
    (dict(workflow_type=WorkflowType(name=TOO_LONG)), "WorkflowType length exceeds limit"),
    (dict(task_queue=TaskQueue(name=TOO_LONG)), "length exceeds limit"),
    (dict(task_queue=TaskQueue(name="/_sys/mine")), "task queue name cannot start with reserved prefix /_sys/"),
    (dict(request_id=TOO_LONG), "RequestId length exceeds limit"),
    (dict(input=payloads()), "Blob data size exceeds limit."),
    (dict(memo=Memo(fields={"a": payload(2 * MEBIBYTE)})), "Memo size exceeds limit."),
    (dict(links=[link()] * 11), "cannot attach more than 10 links per request, got 11"),
    (dict(links=[link("x" * 4000)]), "link exceeds allowed size of 4000"),
    (dict(links=[link(run_id="")]), "workflow event link must not have an empty run ID field"),
    (dict(links=[Link(batch_job=Link.BatchJob())]), "batch job link must not have an empty job ID"),
    (dict(links=[Link()]), "unsupported link variant"),
], ids=lambda value: next(iter(value)) if isinstance(value, dict) else "")
async def test_a_start_beyond_a_limit_is_refused(env: Env, what: dict, says: str):
    error = await refused(env.client.workflow_service.start_workflow_execution(start(env, **what)))
    assert error.status == RPCStatusCode.INVALID_ARGUMENT
    assert says in error.message


async def test_a_header_a_summary_and_an_identity_have_no_limit_of_their_own(env: Env):
    request = start(env, identity=TOO_LONG, user_metadata=UserMetadata(summary=payload(1000), details=payload(30_000)))
    request.header.fields["big"].CopyFrom(payload(2 * MEBIBYTE))
    await env.client.workflow_service.start_workflow_execution(request)
    await env.client.get_workflow_handle(env.id()).terminate()


async def test_what_is_sent_to_an_execution_is_limited_in_the_same_way(env: Env):
    service = env.client.workflow_service
    await service.start_workflow_execution(start(env))
    execution = WorkflowExecution(workflow_id=env.id())

    def signal(**more: Any):
        given = dict(namespace="default", workflow_execution=execution, signal_name="s")
        return service.signal_workflow_execution(SignalWorkflowExecutionRequest(**{**given, **more}))

    def signal_with_start(**more: Any):
        given = dict(
            namespace="default", workflow_id=env.id(), workflow_type=WorkflowType(name="Nobody"),
            task_queue=TaskQueue(name=env.task_queue), signal_name="s",
        )
        request = SignalWithStartWorkflowExecutionRequest(**{**given, **more})
        return service.signal_with_start_workflow_execution(request)

    def update(**more: Any):
        given = dict(meta=Meta(update_id="u"), input=Input(name="n"))
        request = UpdateWorkflowExecutionRequest(
            namespace="default", workflow_execution=execution, wait_policy=WaitPolicy(),
            request=Request(**{**given, **more}),
        )
        return service.update_workflow_execution(request)

    to_execution = dict(namespace="default", workflow_execution=execution)
    query = WorkflowQuery(query_type="q", query_args=payloads())
    for call, says in [
        (signal(signal_name=""), "SignalName is not set"),
        (signal(signal_name=TOO_LONG), "SignalName length exceeds limit"),
        (signal(request_id=TOO_LONG), "RequestId length exceeds limit"),
        (signal(input=payloads()), "Blob data size exceeds limit."),
        (signal(links=[link()] * 11), "cannot attach more than 10 links"),
        (signal_with_start(signal_name=TOO_LONG), "length"),
        (signal_with_start(signal_input=payloads()), "Blob data size exceeds limit."),
        (signal_with_start(links=[link()] * 11), "cannot attach more than 10 links"),
        (update(meta=Meta(update_id=TOO_LONG)), "UpdateId length exceeds limit"),
        (update(input=Input(name="")), "Update name is not set"),
        (service.query_workflow(QueryWorkflowRequest(namespace="default", execution=execution, query=query)), "Blob data"),
        (service.query_workflow(QueryWorkflowRequest(namespace="default", execution=execution)), "WorkflowQuery is not set"),
        (service.request_cancel_workflow_execution(
            RequestCancelWorkflowExecutionRequest(**to_execution, links=[link()] * 11)), "cannot attach more than 10 links"),
        (service.terminate_workflow_execution(
            TerminateWorkflowExecutionRequest(**to_execution, links=[link()] * 11)), "cannot attach more than 10 links"),
        (service.reset_workflow_execution(ResetWorkflowExecutionRequest(
            **to_execution, request_id=TOO_LONG, workflow_task_finish_event_id=3)), "RequestId length exceeds limit"),
        (service.poll_activity_task_queue(
            PollActivityTaskQueueRequest(namespace=TOO_LONG, task_queue=TaskQueue(name="q"))), "Namespace length exceeds limit"),
    ]:
        error = await refused(call)
        assert (error.status, says in error.message) == (RPCStatusCode.INVALID_ARGUMENT, True), f"{says}: {error.message}"
    handle = env.client.get_workflow_handle(env.id())
    assert (await handle.describe()).history_length == 2, "nothing of it left a trace"
    await handle.terminate()


@pytest.mark.parametrize("what, says", [
    (dict(activity_id=TOO_LONG), "activityId exceeds length limit. Length=1001 Limit=1000"),
    (dict(task_queue=TaskQueue(name=TOO_LONG)), "taskQueue"),
    (dict(identity=TOO_LONG), "identity exceeds length limit. Length=1001 Limit=1000"),
    (dict(input=payloads()), "input exceeds length limit"),
    (dict(user_metadata=UserMetadata(summary=payload(600))), "user_metadata.summary exceeds size limit."),
    (dict(user_metadata=UserMetadata(details=payload(30_000))), "user_metadata.details exceeds size limit."),
    (dict(links=[link()] * 11), "cannot attach more than 10 links per request, got 11"),
], ids=lambda value: next(iter(value)) if isinstance(value, dict) else "")
async def test_a_standalone_activity_beyond_a_limit_is_refused(env: Env, what: dict, says: str):
    given = dict(
        namespace="default", activity_id=env.id(), activity_type=ActivityType(name="nobody"),
        task_queue=TaskQueue(name=env.task_queue), start_to_close_timeout=Duration(seconds=5),
    )
    request = StartActivityExecutionRequest(**{**given, **what})
    error = await refused(env.client.workflow_service.start_activity_execution(request))
    assert error.status == RPCStatusCode.INVALID_ARGUMENT
    assert says in error.message


@activity.defn
async def takes(data: Any = None) -> None:
    pass


@activity.defn
async def waits() -> None:
    activity.raise_complete_async()


@workflow.defn
class Child:
    @workflow.run
    async def run(self) -> None:
        await workflow.wait_condition(lambda: False)


@workflow.defn
class TooMuch:
    """Does one thing too much."""

    def __init__(self) -> None:
        self.open = True

    @workflow.run
    async def run(self, what: str) -> Any:
        big = "x" * (3 * MEBIBYTE)
        if what == "result":
            return big
        if what == "failure":
            raise ApplicationError(big)
        if what == "activity":
            await workflow.execute_activity(takes, big, start_to_close_timeout=SOON)
        if what == "memo":
            workflow.upsert_memo({"big": big})
        if what == "activities":
            for _ in range(2001):
                workflow.start_activity(takes, start_to_close_timeout=SOON)
        if what == "children":
            for n in range(2001):
                asyncio.create_task(workflow.start_child_workflow(Child.run, id=f"{workflow.info().workflow_id}-{n}"))
        if what == "signals":
            other = workflow.get_external_workflow_handle("nobody")
            for _ in range(2001):
                asyncio.create_task(other.signal("s"))
        if what == "cancels":
            other = workflow.get_external_workflow_handle("nobody")
            for _ in range(2001):
                asyncio.create_task(other.cancel())
        if what == "waits":
            await workflow.execute_activity(
                waits, activity_id="waiting", start_to_close_timeout=SOON, retry_policy=ONCE
            )
        await workflow.wait_condition(lambda: not self.open)

    @workflow.query
    def large(self) -> str:
        return "x" * (3 * MEBIBYTE)

    @workflow.update
    async def hold(self) -> None:
        await workflow.wait_condition(lambda: not self.open)

    @workflow.signal
    def close(self) -> None:
        self.open = False


@pytest.mark.parametrize("what, says", [
    ("result", "CompleteWorkflowExecutionCommandAttributes.Result exceeds size limit."),
    ("failure", "FailWorkflowExecutionCommandAttributes.Failure exceeds size limit."),
    ("activity", "ScheduleActivityTaskCommandAttributes.Input exceeds size limit."),
    ("memo", "ModifyWorkflowPropertiesCommandAttributes"),
])
async def test_a_workflow_that_makes_too_much_data_is_terminated(env: Env, what: str, says: str):
    async with env.worker([TooMuch], [takes], disable_payload_error_limit=True):
        handle = await env.start(TooMuch.run, what)
        assert isinstance(await failure_of(handle), TerminatedError)
    last = (await events(handle))[-1].workflow_execution_terminated_event_attributes
    assert says in last.reason
    assert last.identity == "history-service"


@pytest.mark.parametrize("what, cause, says", [
    ("activities", "PENDING_ACTIVITIES_LIMIT_EXCEEDED", "pending activities"),
    ("children", "PENDING_CHILD_WORKFLOWS_LIMIT_EXCEEDED", "pending child workflow executions"),
    ("signals", "PENDING_SIGNALS_LIMIT_EXCEEDED", "pending signals to external workflows"),
    ("cancels", "PENDING_REQUEST_CANCEL_LIMIT_EXCEEDED", "pending requests to cancel external workflows"),
])
async def test_a_workflow_that_has_too_much_under_way_fails_its_task(env: Env, what: str, cause: str, says: str):
    async with env.worker([TooMuch, Child]):
        handle = await env.start(TooMuch.run, what)

        async def failed():
            return next((e for e in await events(handle) if e.HasField("workflow_task_failed_event_attributes")), None)

        failure = (await eventually(failed)).workflow_task_failed_event_attributes
        await handle.terminate()
    assert failure.cause == WorkflowTaskFailedCause.Value(f"WORKFLOW_TASK_FAILED_CAUSE_{cause}")
    assert f"the number of {says}, 2000, has reached the per-workflow limit of 2000" in failure.failure.message


async def test_an_activity_whose_result_is_too_large_fails(env: Env):
    async with env.worker([TooMuch]):
        handle = await env.start(TooMuch.run, "waits")
        task = await polled(env)
        await env.client.workflow_service.respond_activity_task_completed(
            RespondActivityTaskCompletedRequest(namespace="default", task_token=task, result=payloads())
        )
        await fails_because(handle, "Complete result exceeds size limit.")


async def test_an_activity_whose_heartbeat_is_too_large_fails_and_is_told_to_stop(env: Env):
    async with env.worker([TooMuch]):
        handle = await env.start(TooMuch.run, "waits")
        activity_handle = env.client.get_async_activity_handle(task_token=await polled(env))
        with pytest.raises(Exception, match="(?i)cancel"):
            await activity_handle.heartbeat("x" * (2 * MEBIBYTE))
        await fails_because(handle, "Heartbeat details exceed size limit.")


async def test_a_failure_that_is_too_large_is_cut_and_says_so(env: Env):
    async with env.worker([TooMuch]):
        handle = await env.start(TooMuch.run, "waits")
        task = await polled(env)
        request = RespondActivityTaskFailedRequest(namespace="default", task_token=task)
        request.failure.message = "x" * (3 * MEBIBYTE)
        request.failure.application_failure_info.type = "Kind"
        answer = await env.client.workflow_service.respond_activity_task_failed(request)
        assert [failure.message for failure in answer.failures] == ["Failure exceeds size limit."]
        cause = (await fails_because(handle, "Failure exceeds size limit.")).__cause__
        assert cause is not None and 1000 < len(str(cause)) < MEBIBYTE


async def polled(env: Env) -> bytes:
    request = PollActivityTaskQueueRequest(
        namespace="default", task_queue=TaskQueue(name=env.task_queue), identity="conformance"
    )
    return (await env.client.workflow_service.poll_activity_task_queue(request, timeout=timedelta(seconds=30))).task_token


async def fails_because(handle, says: str) -> BaseException:
    error = await failure_of(handle)
    assert isinstance(error, ActivityError) and error.__cause__ is not None
    assert says in str(error.__cause__)
    return error.__cause__


async def test_a_query_whose_answer_is_too_large_fails(env: Env):
    async with env.worker([TooMuch]):
        handle = await env.start(TooMuch.run, "")
        with pytest.raises(Exception, match="(?i)blob data size exceeds limit|size"):
            await handle.query(TooMuch.large)
        await handle.terminate()


async def test_a_workflow_has_ten_updates_under_way_at_most(env: Env):
    async with env.worker([TooMuch]):
        handle = await env.start(TooMuch.run, "")
        for _ in range(10):
            await handle.start_update(TooMuch.hold, wait_for_stage=WorkflowUpdateStage.ACCEPTED)
        error = await refused(env.client.workflow_service.update_workflow_execution(UpdateWorkflowExecutionRequest(
            namespace="default", workflow_execution=WorkflowExecution(workflow_id=handle.id), wait_policy=WaitPolicy(),
            request=Request(meta=Meta(update_id="eleventh"), input=Input(name="hold")),
        )))
        assert error.status == RPCStatusCode.RESOURCE_EXHAUSTED
        assert "limit on number of concurrent in-flight updates has been reached (10)" in error.message
        await handle.signal(TooMuch.close)
        await handle.result()
    assert (await handle.describe()).status == WorkflowExecutionStatus.COMPLETED
