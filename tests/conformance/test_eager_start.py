"""Eager start: a worker that starts a workflow gets its first task with the answer."""

from __future__ import annotations

import uuid
from datetime import timedelta

from google.protobuf.duration_pb2 import Duration
from temporalio import workflow
from temporalio.api.command.v1 import Command, CompleteWorkflowExecutionCommandAttributes
from temporalio.api.common.v1 import WorkflowType
from temporalio.api.enums.v1 import CommandType
from temporalio.api.taskqueue.v1 import TaskQueue
from temporalio.api.workflowservice.v1 import (
    DescribeNamespaceRequest, RespondWorkflowTaskCompletedRequest, StartWorkflowExecutionRequest,
)
from temporalio.client import WorkflowExecutionStatus

from support import Env, event_name, event_names, events


@workflow.defn
class Echo:
    @workflow.run
    async def run(self, word: str) -> str:
        return word


def request(env: Env, **fields) -> StartWorkflowExecutionRequest:
    fields.setdefault("request_id", str(uuid.uuid4()))
    return StartWorkflowExecutionRequest(
        namespace=env.client.namespace,
        workflow_id=env.id(),
        workflow_type=WorkflowType(name="Echo"),
        task_queue=TaskQueue(name=env.task_queue),
        identity="the starter",
        request_eager_execution=True,
        **fields,
    )


async def test_the_first_task_comes_with_the_answer_and_is_answered_like_any_other(env: Env):
    service = env.client.workflow_service
    answer = await service.start_workflow_execution(request(env))
    task = answer.eager_workflow_task
    assert answer.started and task.attempt == 1
    assert [event_name(e) for e in task.history.events] == [
        "WORKFLOW_EXECUTION_STARTED", "WORKFLOW_TASK_SCHEDULED", "WORKFLOW_TASK_STARTED",
    ]
    assert task.workflow_execution.run_id == answer.run_id
    assert (task.previous_started_event_id, task.started_event_id) == (0, 3)
    command = Command(
        command_type=CommandType.COMMAND_TYPE_COMPLETE_WORKFLOW_EXECUTION,
        complete_workflow_execution_command_attributes=CompleteWorkflowExecutionCommandAttributes(),
    )
    await service.respond_workflow_task_completed(
        RespondWorkflowTaskCompletedRequest(
            task_token=task.task_token, commands=[command], namespace=env.client.namespace, identity="the starter"
        )
    )
    handle = env.client.get_workflow_handle(env.id())
    assert (await handle.describe()).status == WorkflowExecutionStatus.COMPLETED
    started = (await events(handle))[2].workflow_task_started_event_attributes
    assert started.identity == "the starter"


async def test_the_same_request_gets_the_same_task_again(env: Env):
    service, same = env.client.workflow_service, request(env)
    first = await service.start_workflow_execution(same)
    again = await service.start_workflow_execution(same)
    assert again.run_id == first.run_id and again.started
    assert again.eager_workflow_task.started_event_id == 3
    assert len(again.eager_workflow_task.history.events) == 3
    await env.client.get_workflow_handle(env.id()).terminate()


async def test_a_workflow_that_starts_later_has_no_task_yet(env: Env):
    delayed = request(env, workflow_start_delay=Duration(seconds=60))
    answer = await env.client.workflow_service.start_workflow_execution(delayed)
    assert not answer.HasField("eager_workflow_task")
    handle = env.client.get_workflow_handle(env.id())
    assert await event_names(handle) == ["WORKFLOW_EXECUTION_STARTED"]
    await handle.terminate()


async def test_a_worker_of_the_same_client_runs_it(env: Env):
    described = await env.client.workflow_service.describe_namespace(
        DescribeNamespaceRequest(namespace=env.client.namespace)
    )
    assert described.namespace_info.capabilities.eager_workflow_start
    async with env.worker([Echo]):
        handle = await env.start(Echo.run, "hello", request_eager_start=True, task_timeout=timedelta(seconds=5))
        assert await handle.result() == "hello"
