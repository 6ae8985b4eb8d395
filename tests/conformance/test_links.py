"""Links between executions, requests that are remembered by their ids, and what a chain of runs hands on."""

from __future__ import annotations

import uuid
from datetime import timedelta
from typing import Any

from google.protobuf.duration_pb2 import Duration
from temporalio import workflow
from temporalio.api.common.v1 import Link, RetryPolicy, WorkflowExecution, WorkflowType
from temporalio.api.enums.v1 import EventType, WorkflowIdConflictPolicy
from temporalio.api.errordetails.v1 import WorkflowExecutionAlreadyStartedFailure
from temporalio.api.taskqueue.v1 import TaskQueue
from temporalio.api.update.v1 import Input, Meta, Request, WaitPolicy
from temporalio.api.workflow.v1 import OnConflictOptions
from temporalio.api.workflowservice.v1 import (
    DescribeWorkflowExecutionRequest, ExecuteMultiOperationRequest, PollWorkflowTaskQueueRequest,
    RequestCancelWorkflowExecutionRequest, ResetWorkflowExecutionRequest, RespondWorkflowTaskCompletedRequest,
    SignalWithStartWorkflowExecutionRequest, SignalWorkflowExecutionRequest, StartWorkflowExecutionRequest,
    TerminateWorkflowExecutionRequest, UpdateWorkflowExecutionRequest,
)
from temporalio.exceptions import ApplicationError
from temporalio.service import RPCError, RPCStatusCode

from support import Env, events, eventually

USE_EXISTING = WorkflowIdConflictPolicy.WORKFLOW_ID_CONFLICT_POLICY_USE_EXISTING
TERMINATE_EXISTING = WorkflowIdConflictPolicy.WORKFLOW_ID_CONFLICT_POLICY_TERMINATE_EXISTING
STARTED = EventType.EVENT_TYPE_WORKFLOW_EXECUTION_STARTED
SIGNALED = EventType.EVENT_TYPE_WORKFLOW_EXECUTION_SIGNALED
OPTIONS_UPDATED = EventType.EVENT_TYPE_WORKFLOW_EXECUTION_OPTIONS_UPDATED
UPDATE_ACCEPTED = EventType.EVENT_TYPE_WORKFLOW_EXECUTION_UPDATE_ACCEPTED
TO_CALLER = Link(workflow_event=Link.WorkflowEvent(namespace="default", workflow_id="caller", run_id="its-run"))


@workflow.defn
class Chained:
    """Goes on as it is told: `continue`, or `fail` to be retried; then waits."""

    def __init__(self) -> None:
        self.open = True

    @workflow.run
    async def run(self, first: str = "") -> str:
        info = workflow.info()
        if first == "continue" and info.continued_run_id is None:
            workflow.upsert_memo({"seen": "by the first run"})
            workflow.continue_as_new(first)
        if first == "fail" and info.attempt == 1:
            workflow.upsert_memo({"seen": "by the first run"})
            raise ApplicationError("try again")
        await workflow.wait_condition(lambda: not self.open)
        return "done"

    @workflow.update
    async def ask(self) -> str:
        return "answer"

    @workflow.signal
    def close(self) -> None:
        self.open = False


def start(env: Env, **more: Any) -> StartWorkflowExecutionRequest:
    given = dict(
        namespace="default", workflow_id=env.id(), workflow_type=WorkflowType(name="Chained"),
        task_queue=TaskQueue(name=env.task_queue), request_id=str(uuid.uuid4()), identity="conformance",
        workflow_execution_timeout=Duration(seconds=90),
    )
    return StartWorkflowExecutionRequest(**{**given, **more})


async def started(env: Env, **more: Any):
    return await env.client.workflow_service.start_workflow_execution(start(env, **more))


async def described(env: Env, run_id: str = ""):
    request = DescribeWorkflowExecutionRequest(
        namespace="default", execution=WorkflowExecution(workflow_id=env.id(), run_id=run_id)
    )
    return await env.client.workflow_service.describe_workflow_execution(request)


async def requests(env: Env, run_id: str = "") -> dict[str, tuple[int, int, bool]]:
    infos = (await described(env, run_id)).workflow_extended_info.request_id_infos
    return {id: (info.event_type, info.event_id, info.buffered) for id, info in infos.items()}


def to_event(env: Env, run_id: str) -> Link:
    reference = Link.WorkflowEvent.EventReference(event_id=1, event_type=STARTED)
    return Link(workflow_event=Link.WorkflowEvent(
        namespace="default", workflow_id=env.id(), run_id=run_id, event_ref=reference
    ))


def to_request(env: Env, run_id: str, request_id: str, event_type: int) -> Link:
    reference = Link.WorkflowEvent.RequestIdReference(request_id=request_id, event_type=event_type)
    return Link(workflow_event=Link.WorkflowEvent(
        namespace="default", workflow_id=env.id(), run_id=run_id, request_id_ref=reference
    ))


async def history(env: Env, run_id: str | None = None) -> list[Any]:
    return await events(env.client.get_workflow_handle(env.id(), run_id=run_id))


async def test_a_start_answers_a_link_to_its_first_event(env: Env):
    first = await started(env, request_id="first", links=[TO_CALLER])
    assert first.link == to_event(env, first.run_id)
    assert list((await history(env))[0].links) == [TO_CALLER]
    again = await started(env, request_id="first")
    assert (again.started, again.link) == (True, first.link), "the same request gets the same answer"
    existing = await started(env, workflow_id_conflict_policy=USE_EXISTING)
    assert (existing.started, existing.link) == (False, first.link)
    assert await requests(env) == {"first": (STARTED, 1, False)}
    await env.client.get_workflow_handle(env.id()).terminate()


async def test_a_start_that_meets_a_running_workflow_may_leave_its_request_and_its_links(env: Env):
    first = await started(env, request_id="first")
    both = OnConflictOptions(attach_request_id=True, attach_links=True)
    options = dict(workflow_id_conflict_policy=USE_EXISTING, on_conflict_options=both, links=[TO_CALLER])
    second = await started(env, request_id="second", **options)
    assert (second.started, second.run_id) == (False, first.run_id)
    assert second.link == to_request(env, first.run_id, "second", OPTIONS_UPDATED)

    left = (await history(env))[-1]
    assert left.event_type == OPTIONS_UPDATED
    assert left.workflow_execution_options_updated_event_attributes.attached_request_id == "second"
    assert list(left.links) == [TO_CALLER]
    assert left.worker_may_ignore
    assert await requests(env) == {"first": (STARTED, 1, False), "second": (OPTIONS_UPDATED, 3, False)}

    again = await started(env, request_id="second", **options)
    assert again == second
    # Whatever the policy is now: the request was carried out.
    assert (await started(env, request_id="second")).link == second.link
    assert len(await history(env)) == 3, "once"

    links_only = OnConflictOptions(attach_links=True)
    third = await started(
        env, request_id="third", workflow_id_conflict_policy=USE_EXISTING, on_conflict_options=links_only, links=[TO_CALLER]
    )
    assert third.link == first.link, "the request is not remembered"
    assert list((await history(env))[-1].links) == [TO_CALLER]
    assert "third" not in await requests(env)
    await env.client.get_workflow_handle(env.id()).terminate()
    assert (await started(env, request_id="second")).run_id == first.run_id, "not even when it is closed"


async def test_callbacks_cannot_be_left_without_their_request(env: Env):
    try:
        await started(env, on_conflict_options=OnConflictOptions(attach_completion_callbacks=True))
        raise AssertionError("it was not refused")
    except RPCError as error:
        assert error.status == RPCStatusCode.INVALID_ARGUMENT
        assert "attaching request ID is required" in error.message


async def test_what_is_left_during_a_workflow_task_waits_until_it_is_done(env: Env):
    service = env.client.workflow_service
    await started(env, request_id="first")
    poll = PollWorkflowTaskQueueRequest(namespace="default", task_queue=TaskQueue(name=env.task_queue))
    task = await service.poll_workflow_task_queue(poll, timeout=timedelta(seconds=30))
    await started(
        env, request_id="second", workflow_id_conflict_policy=USE_EXISTING,
        on_conflict_options=OnConflictOptions(attach_request_id=True),
    )
    assert (await requests(env))["second"] == (OPTIONS_UPDATED, 0, True)
    await service.respond_workflow_task_completed(
        RespondWorkflowTaskCompletedRequest(namespace="default", task_token=task.task_token)
    )
    kind, event_id, buffered = (await requests(env))["second"]
    assert not buffered
    assert (await history(env))[event_id - 1].event_type == kind == OPTIONS_UPDATED
    await env.client.get_workflow_handle(env.id()).terminate()


async def test_what_was_left_stays_with_the_workflow_when_it_is_reset(env: Env):
    async with env.worker([Chained]):
        first = await started(env, request_id="first")

        async def is_idle():
            return len(await history(env)) == 4

        await eventually(is_idle)
        await started(
            env, request_id="second", workflow_id_conflict_policy=USE_EXISTING, links=[TO_CALLER],
            on_conflict_options=OnConflictOptions(attach_request_id=True, attach_links=True),
        )
        reset = await env.client.workflow_service.reset_workflow_execution(ResetWorkflowExecutionRequest(
            namespace="default", workflow_execution=WorkflowExecution(workflow_id=env.id(), run_id=first.run_id),
            workflow_task_finish_event_id=4, request_id=str(uuid.uuid4()), reason="again",
        ))
        left = [e for e in await history(env, reset.run_id) if e.event_type == OPTIONS_UPDATED]
        assert [e.workflow_execution_options_updated_event_attributes.attached_request_id for e in left] == ["second"]
        assert list(left[0].links) == [TO_CALLER]
        assert (await requests(env, reset.run_id))["second"][0] == OPTIONS_UPDATED
        await env.client.get_workflow_handle(env.id()).terminate()


async def test_signals_answer_a_link_by_their_request_and_carry_links(env: Env):
    service = env.client.workflow_service

    async def signal(**more: Any):
        execution = WorkflowExecution(workflow_id=env.id())
        request = SignalWorkflowExecutionRequest(
            namespace="default", workflow_execution=execution, signal_name="s", **more
        )
        return await service.signal_workflow_execution(request)

    async def signal_with_start(**more: Any):
        request = SignalWithStartWorkflowExecutionRequest(
            namespace="default", workflow_id=env.id(), workflow_type=WorkflowType(name="Chained"),
            task_queue=TaskQueue(name=env.task_queue), signal_name="s", **more,
        )
        return await service.signal_with_start_workflow_execution(request)

    first = await signal_with_start(request_id="first", links=[TO_CALLER])
    assert (first.started, first.signal_link) == (True, to_request(env, first.run_id, "first", SIGNALED))
    again = await signal_with_start(request_id="first", links=[TO_CALLER])
    assert (again.run_id, again.signal_link) == (first.run_id, first.signal_link)
    assert again.started is False
    second = await signal_with_start(request_id="second")
    assert (second.started, second.signal_link) == (False, to_request(env, first.run_id, "second", SIGNALED))
    third = await signal(request_id="third", links=[TO_CALLER])
    assert third.link == to_request(env, first.run_id, "third", SIGNALED)
    signaled = [e for e in await history(env) if e.event_type == SIGNALED]
    assert [e.workflow_execution_signaled_event_attributes.request_id for e in signaled] == ["first", "second", "third"]
    assert [list(e.links) for e in signaled] == [[TO_CALLER], [], [TO_CALLER]]
    assert list(await requests(env)) == ["first"], "those of signals are not remembered there"

    execution = WorkflowExecution(workflow_id=env.id())
    await service.request_cancel_workflow_execution(RequestCancelWorkflowExecutionRequest(
        namespace="default", workflow_execution=execution, links=[TO_CALLER], reason="enough"
    ))
    await service.terminate_workflow_execution(TerminateWorkflowExecutionRequest(
        namespace="default", workflow_execution=execution, links=[TO_CALLER]
    ))
    cancel, end = (await history(env))[-2:]
    assert list(cancel.links) == list(end.links) == [TO_CALLER]
    terminated = end.workflow_execution_terminated_event_attributes
    assert (terminated.reason, terminated.identity) == ("terminated by user via frontend", "frontend-service")


async def test_an_update_is_found_by_its_request(env: Env):
    async with env.worker([Chained]):
        first = await started(env, request_id="first")
        update = await env.client.workflow_service.update_workflow_execution(UpdateWorkflowExecutionRequest(
            namespace="default", workflow_execution=WorkflowExecution(workflow_id=env.id()), wait_policy=WaitPolicy(),
            request=Request(
                meta=Meta(update_id="u"), input=Input(name="ask"), request_id="by this request", links=[TO_CALLER]
            ),
        ))
        assert update.link == to_request(env, first.run_id, "by this request", UPDATE_ACCEPTED)
        kind, event_id, buffered = (await requests(env))["by this request"]
        accepted = (await history(env))[event_id - 1]
        assert accepted.event_type == kind == UPDATE_ACCEPTED and not buffered
        request = accepted.workflow_execution_update_accepted_event_attributes.accepted_request
        assert list(request.links) == [TO_CALLER]
        await env.client.get_workflow_handle(env.id()).terminate()


async def test_update_with_start_answers_a_link_to_the_start(env: Env):
    async with env.worker([Chained]):
        operation = ExecuteMultiOperationRequest.Operation
        update = UpdateWorkflowExecutionRequest(
            namespace="default", workflow_execution=WorkflowExecution(workflow_id=env.id()), wait_policy=WaitPolicy(),
            request=Request(meta=Meta(update_id="u"), input=Input(name="ask")),
        )
        answer = await env.client.workflow_service.execute_multi_operation(ExecuteMultiOperationRequest(
            namespace="default",
            operations=[
                operation(start_workflow=start(env, workflow_id_conflict_policy=USE_EXISTING)),
                operation(update_workflow=update),
            ],
        ))
        first = answer.responses[0].start_workflow
        assert (first.started, first.link) == (True, to_event(env, first.run_id))
        await env.client.get_workflow_handle(env.id()).terminate()


async def test_links_stay_with_the_chain_of_runs(env: Env):
    async with env.worker([Chained]):
        for how, more in [
            ("continue", {}),
            ("fail", dict(retry_policy=RetryPolicy(initial_interval=Duration(seconds=1)))),
        ]:
            id = env.id(how)
            request = start(env, workflow_id=id, links=[TO_CALLER], **more)
            request.input.payloads.add(metadata={"encoding": b"json/plain"}, data=f'"{how}"'.encode())
            request.memo.fields["kept"].CopyFrom(request.input.payloads[0])
            first = await env.client.workflow_service.start_workflow_execution(request)
            handle = env.client.get_workflow_handle(id)

            async def goes_on():
                now = await handle.describe()
                return now.run_id != first.run_id and now

            now = await eventually(goes_on)
            assert list((await events(handle))[0].links) == [TO_CALLER]
            # A run that is tried again begins as it began, and the SDK goes on with the same memo, too.
            assert await now.memo() == {"kept": how}
            assert now.raw_info.first_run_id == first.run_id
            await handle.terminate()


async def test_a_refused_start_names_the_first_run_of_the_chain(env: Env):
    async with env.worker([Chained]):
        request = start(env)
        request.input.payloads.add(metadata={"encoding": b"json/plain"}, data=b'"continue"')
        first = await env.client.workflow_service.start_workflow_execution(request)

        async def continued():
            return (await described(env)).workflow_execution_info.execution.run_id != first.run_id

        await eventually(continued)
        try:
            await started(env)
            raise AssertionError("it was not refused")
        except RPCError as error:
            details = WorkflowExecutionAlreadyStartedFailure()
            assert error.grpc_status.details[0].Unpack(details)
        now = (await described(env)).workflow_execution_info.execution.run_id
        assert (details.run_id, details.first_execution_run_id) == (now, first.run_id)
        await env.client.get_workflow_handle(env.id()).terminate()


async def test_a_run_that_is_replaced_says_by_which(env: Env):
    first = await started(env)
    second = await started(env, workflow_id_conflict_policy=TERMINATE_EXISTING)
    assert second.link == to_event(env, second.run_id)
    last = (await history(env, first.run_id))[-1].workflow_execution_terminated_event_attributes
    assert (last.reason, last.identity) == ("TerminateIfRunning WorkflowIdReusePolicy", "history-service")
    assert last.details.payloads[0].data == f'"terminated by new runID: {second.run_id}"'.encode()
    await env.client.get_workflow_handle(env.id()).terminate()
