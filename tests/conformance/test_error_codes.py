"""What a request gets wrong is told by the code that clients act on; raw messages, since SDKs do not send these."""

from __future__ import annotations

import uuid
from datetime import timedelta
from typing import Any

import pytest
from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp
from temporalio.api.command.v1 import Command
from temporalio.api.common.v1 import ActivityType, WorkflowExecution, WorkflowType
from temporalio.api.enums.v1 import CommandType, EventType, TaskQueueKind, WorkflowTaskFailedCause
from temporalio.api.filter.v1 import StartTimeFilter
from temporalio.api.schedule.v1 import Schedule, ScheduleAction, SchedulePatch
from temporalio.api.taskqueue.v1 import TaskQueue
from temporalio.api.workflow.v1 import NewWorkflowExecutionInfo
from temporalio.api.workflowservice.v1 import (
    CreateScheduleRequest, DeleteScheduleRequest, DescribeScheduleRequest, DescribeTaskQueueRequest,
    DescribeWorkflowExecutionRequest, GetWorkflowExecutionHistoryRequest, ListClosedWorkflowExecutionsRequest,
    ListOpenWorkflowExecutionsRequest, ListScheduleMatchingTimesRequest, ListTaskQueuePartitionsRequest,
    PatchScheduleRequest, PauseActivityExecutionRequest, PollWorkflowTaskQueueRequest, PollWorkflowTaskQueueResponse,
    QueryWorkflowRequest, RegisterNamespaceRequest, RequestCancelActivityExecutionRequest,
    ResetStickyTaskQueueRequest, RespondWorkflowTaskCompletedRequest, RespondWorkflowTaskFailedRequest,
    SignalWorkflowExecutionRequest, StartActivityExecutionRequest, StartWorkflowExecutionRequest,
    TerminateActivityExecutionRequest, TerminateWorkflowExecutionRequest, UpdateScheduleRequest,
)
from temporalio.api.query.v1 import WorkflowQuery
from temporalio.service import RPCError, RPCStatusCode

from support import Env, event_name

IN = dict(namespace="default")
TOO_LONG = "x" * 1001


async def refused(call) -> RPCError:
    with pytest.raises(RPCError) as refusal:
        await call
    return refusal.value


async def start(env: Env) -> WorkflowExecution:
    request = StartWorkflowExecutionRequest(
        **IN, workflow_id=env.id(), workflow_type=WorkflowType(name="Raw"), task_queue=TaskQueue(name=env.task_queue),
        request_id=str(uuid.uuid4()), identity="conformance",
    )
    answer = await env.client.workflow_service.start_workflow_execution(request)
    return WorkflowExecution(workflow_id=env.id(), run_id=answer.run_id)


async def poll(env: Env) -> PollWorkflowTaskQueueResponse:
    request = PollWorkflowTaskQueueRequest(**IN, task_queue=TaskQueue(name=env.task_queue), identity="conformance")
    return await env.client.workflow_service.poll_workflow_task_queue(request, timeout=timedelta(seconds=30))


async def complete(env: Env, task: PollWorkflowTaskQueueResponse, *commands: Command, **more: Any):
    request = RespondWorkflowTaskCompletedRequest(**IN, task_token=task.task_token, commands=commands, **more)
    return await env.client.workflow_service.respond_workflow_task_completed(request)


async def fail(env: Env, task: PollWorkflowTaskQueueResponse) -> None:
    request = RespondWorkflowTaskFailedRequest(**IN, task_token=task.task_token, cause=1)
    await env.client.workflow_service.respond_workflow_task_failed(request)


async def history(env: Env, execution: WorkflowExecution, **more: Any) -> list[Any]:
    request = GetWorkflowExecutionHistoryRequest(**IN, execution=execution, **more)
    return list((await env.client.workflow_service.get_workflow_execution_history(request)).history.events)


async def test_a_time_filter_that_ends_before_it_begins(env: Env):
    service = env.client.workflow_service
    between = StartTimeFilter(earliest_time=Timestamp(seconds=2_000_000_000), latest_time=Timestamp(seconds=1))
    for call in (
        service.list_open_workflow_executions(ListOpenWorkflowExecutionsRequest(**IN, start_time_filter=between)),
        service.list_closed_workflow_executions(ListClosedWorkflowExecutionsRequest(**IN, start_time_filter=between)),
    ):
        error = await refused(call)
        assert error.status == RPCStatusCode.INVALID_ARGUMENT
        assert error.message == "EarliestTime in StartTimeFilter should not be larger than LatestTime."


async def test_a_schedule_without_an_id(env: Env):
    service = env.client.workflow_service
    time = Timestamp(seconds=1_800_000_000)
    schedule = Schedule(action=ScheduleAction(start_workflow=NewWorkflowExecutionInfo(
        workflow_id=env.id(), workflow_type=WorkflowType(name="Raw"), task_queue=TaskQueue(name=env.task_queue))))
    for call in (
        service.describe_schedule(DescribeScheduleRequest(**IN)),
        service.update_schedule(UpdateScheduleRequest(**IN, schedule=schedule, request_id="r")),
        service.patch_schedule(PatchScheduleRequest(**IN, patch=SchedulePatch(pause="p"), request_id="r")),
        service.list_schedule_matching_times(
            ListScheduleMatchingTimesRequest(**IN, start_time=time, end_time=time)),
        service.delete_schedule(DeleteScheduleRequest(**IN)),
    ):
        assert (await refused(call)).status == RPCStatusCode.INVALID_ARGUMENT


@pytest.mark.parametrize("policy", [2, 99, -1])
async def test_a_schedule_whose_workflow_has_a_policy_for_its_id(env: Env, policy: int):
    action = NewWorkflowExecutionInfo(
        workflow_id=env.id(), workflow_type=WorkflowType(name="Raw"), task_queue=TaskQueue(name=env.task_queue),
        workflow_id_reuse_policy=policy)
    request = CreateScheduleRequest(
        **IN, schedule_id=env.id(), request_id="r", schedule=Schedule(action=ScheduleAction(start_workflow=action)))
    error = await refused(env.client.workflow_service.create_schedule(request))
    assert error.status == RPCStatusCode.INVALID_ARGUMENT
    assert error.message == "Scheduled workflow must not contain WorkflowIDReusePolicy"


async def test_stickiness_of_a_closed_run(env: Env):
    service, execution = env.client.workflow_service, await start(env)
    await service.reset_sticky_task_queue(ResetStickyTaskQueueRequest(**IN, execution=execution))
    await service.terminate_workflow_execution(
        TerminateWorkflowExecutionRequest(**IN, workflow_execution=execution))
    error = await refused(service.reset_sticky_task_queue(ResetStickyTaskQueueRequest(**IN, execution=execution)))
    assert (error.status, error.message) == (RPCStatusCode.NOT_FOUND, "workflow execution already completed")


async def test_an_identity_that_is_too_long(env: Env):
    service, execution = env.client.workflow_service, await start(env)
    await service.start_activity_execution(StartActivityExecutionRequest(
        **IN, activity_id=env.id(), request_id="r", activity_type=ActivityType(name="Raw"),
        task_queue=TaskQueue(name=env.task_queue), start_to_close_timeout=Duration(seconds=60)))
    task = await poll(env)
    named = dict(**IN, activity_id=env.id(), identity=TOO_LONG)
    for call in (
        service.request_cancel_activity_execution(RequestCancelActivityExecutionRequest(**named)),
        service.terminate_activity_execution(TerminateActivityExecutionRequest(**named)),
        service.pause_activity_execution(PauseActivityExecutionRequest(**named)),
        complete(env, task, identity=TOO_LONG),
    ):
        assert (await refused(call)).status == RPCStatusCode.INVALID_ARGUMENT
    assert [event_name(event) for event in await history(env, execution)][-1] == "WORKFLOW_TASK_STARTED"


async def test_a_normal_queue_with_a_normal_name(env: Env):
    service = env.client.workflow_service
    queue = TaskQueue(name=env.task_queue, kind=TaskQueueKind.TASK_QUEUE_KIND_NORMAL, normal_name="other")
    for call in (
        service.describe_task_queue(DescribeTaskQueueRequest(**IN, task_queue=queue)),
        service.list_task_queue_partitions(ListTaskQueuePartitionsRequest(**IN, task_queue=queue)),
    ):
        error = await refused(call)
        assert error.status == RPCStatusCode.INVALID_ARGUMENT
        assert error.message.startswith("only sticky queues can have normal name.")


async def test_a_namespace_of_a_cluster_that_is_not_there(env: Env):
    request = RegisterNamespaceRequest(
        namespace=env.id(), workflow_execution_retention_period=Duration(seconds=86400), active_cluster_name="nowhere")
    error = await refused(env.client.workflow_service.register_namespace(request))
    assert (error.status, error.message) == (RPCStatusCode.INVALID_ARGUMENT, "Invalid cluster name: nowhere")


async def test_no_run_has_an_id_that_is_too_long(env: Env):
    service, execution = env.client.workflow_service, WorkflowExecution(workflow_id=TOO_LONG)
    for call in (
        service.describe_workflow_execution(DescribeWorkflowExecutionRequest(**IN, execution=execution)),
        service.get_workflow_execution_history(GetWorkflowExecutionHistoryRequest(**IN, execution=execution)),
        service.signal_workflow_execution(
            SignalWorkflowExecutionRequest(**IN, workflow_execution=execution, signal_name="s")),
        service.query_workflow(QueryWorkflowRequest(**IN, execution=execution, query=WorkflowQuery(query_type="q"))),
        service.terminate_workflow_execution(
            TerminateWorkflowExecutionRequest(**IN, workflow_execution=execution)),
    ):
        assert (await refused(call)).status == RPCStatusCode.NOT_FOUND


@pytest.mark.parametrize("token", [b"\xff\x00junk", b'\x0a\x24' + b"a" * 36])
async def test_a_page_token_that_was_never_given_out(env: Env, token: bytes):
    current = WorkflowExecution(workflow_id=(await start(env)).workflow_id)
    error = await refused(history(env, current, next_page_token=token))
    assert (error.status, error.message) == (RPCStatusCode.INVALID_ARGUMENT, "Invalid NextPageToken.")


async def test_a_command_without_attributes_fails_the_task(env: Env):
    execution = await start(env)
    marker = Command(command_type=CommandType.COMMAND_TYPE_RECORD_MARKER)
    error = await refused(complete(env, await poll(env), marker))
    assert error.status == RPCStatusCode.INVALID_ARGUMENT
    assert error.message == (
        "BadRecordMarkerAttributes: RecordMarkerCommandAttributes is not set on RecordMarkerCommand.")
    failed = [event for event in await history(env, execution)
              if event.event_type == EventType.EVENT_TYPE_WORKFLOW_TASK_FAILED]
    assert [event.workflow_task_failed_event_attributes.cause for event in failed] == [
        WorkflowTaskFailedCause.WORKFLOW_TASK_FAILED_CAUSE_BAD_RECORD_MARKER_ATTRIBUTES]


async def test_a_command_that_there_is_not_leaves_the_task_alone(env: Env):
    execution = await start(env)
    task = await poll(env)
    error = await refused(complete(env, task, Command(command_type=99)))
    assert error.status == RPCStatusCode.INVALID_ARGUMENT
    assert [event_name(event) for event in await history(env, execution)][-1] == "WORKFLOW_TASK_STARTED"
    await complete(env, task)


async def test_clients_see_the_task_that_is_tried_again(env: Env):
    execution = await start(env)
    await fail(env, await poll(env))
    stored = ["WORKFLOW_EXECUTION_STARTED", "WORKFLOW_TASK_SCHEDULED", "WORKFLOW_TASK_STARTED", "WORKFLOW_TASK_FAILED"]
    shown = [event_name(event) for event in await history(env, execution)]
    assert shown == [*stored, "WORKFLOW_TASK_SCHEDULED"]
    task = await poll(env)
    started = (await history(env, execution))[-1]
    assert (started.event_id, started.event_time) == (task.started_event_id, task.started_time)
    last_page = await history(env, execution, maximum_page_size=100)
    assert [event_name(event) for event in last_page] == [*stored, "WORKFLOW_TASK_SCHEDULED", "WORKFLOW_TASK_STARTED"]


async def test_a_task_that_comes_with_an_answer_brings_what_is_new(env: Env):
    await start(env)
    answer = await complete(
        env, await poll(env), force_create_new_workflow_task=True, return_new_workflow_task=True)
    shown = [event_name(event) for event in answer.workflow_task.history.events]
    assert shown == ["WORKFLOW_TASK_COMPLETED", "WORKFLOW_TASK_SCHEDULED", "WORKFLOW_TASK_STARTED"]
    await complete(env, answer.workflow_task)
