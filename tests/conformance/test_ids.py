"""One id, one running workflow: what happens when an id is used again."""

from __future__ import annotations

import asyncio
import uuid
from datetime import timedelta

import pytest
from temporalio import workflow
from temporalio.api.common.v1 import WorkflowType
from temporalio.api.enums.v1 import WorkflowIdConflictPolicy
from temporalio.api.taskqueue.v1 import TaskQueue
from temporalio.api.workflowservice.v1 import StartWorkflowExecutionRequest
from temporalio.client import WorkflowExecutionStatus
from temporalio.common import WorkflowIDConflictPolicy, WorkflowIDReusePolicy
from temporalio.exceptions import ApplicationError, TerminatedError, WorkflowAlreadyStartedError
from temporalio.service import RPCError, RPCStatusCode

from support import Env, event_names, failure_of


@workflow.defn
class Quick:
    @workflow.run
    async def run(self, result: str) -> str:
        if result == "fail":
            raise ApplicationError("as asked", non_retryable=True)
        return result


@workflow.defn
class Open:
    @workflow.run
    async def run(self) -> None:
        await workflow.wait_condition(lambda: False)


async def refused(starting) -> WorkflowAlreadyStartedError:
    with pytest.raises(WorkflowAlreadyStartedError) as error:
        await starting
    return error.value


async def test_a_second_start_with_the_id_of_a_running_workflow_is_refused_and_names_the_run(env: Env):
    first = await env.start(Open.run)
    error = await refused(env.start(Open.run))
    assert (error.workflow_id, error.workflow_type, error.run_id) == (first.id, "Open", first.result_run_id)
    await first.terminate()


async def test_of_many_starts_at_once_exactly_one_wins(env: Env):
    answers = await asyncio.gather(*(env.start(Open.run) for _ in range(12)), return_exceptions=True)
    winners = [a for a in answers if not isinstance(a, BaseException)]
    assert len(winners) == 1
    assert all(isinstance(a, WorkflowAlreadyStartedError) for a in answers if a is not winners[0])
    await winners[0].terminate()


async def test_a_closed_workflow_s_id_may_be_used_again(env: Env):
    async with env.worker([Quick]):
        first = await env.start(Quick.run, "a")
        assert await first.result() == "a"
        second = await env.start(Quick.run, "b")
        assert await second.result() == "b"
        assert await first.result() == "a", "the old run keeps its own result"
    assert first.result_run_id != second.result_run_id


async def test_an_id_is_used_once_when_the_policy_rejects_duplicates(env: Env):
    policy = WorkflowIDReusePolicy.REJECT_DUPLICATE
    async with env.worker([Quick]):
        await env.run(Quick.run, "a", id_reuse_policy=policy)
        await refused(env.start(Quick.run, "b", id_reuse_policy=policy))


async def test_a_failed_workflow_may_be_started_again_when_the_policy_allows_only_that(env: Env):
    policy = WorkflowIDReusePolicy.ALLOW_DUPLICATE_FAILED_ONLY
    async with env.worker([Quick]):
        assert isinstance(await failure_of(await env.start(Quick.run, "fail", id_reuse_policy=policy)), ApplicationError)
        assert await env.run(Quick.run, "well", id_reuse_policy=policy) == "well"
        await refused(env.start(Quick.run, "again", id_reuse_policy=policy))


async def test_use_existing_gives_the_running_workflow(env: Env):
    policy = WorkflowIDConflictPolicy.USE_EXISTING
    first = await env.start(Open.run, id_conflict_policy=policy)
    second = await env.start(Open.run, id_conflict_policy=policy)
    assert second.result_run_id == first.result_run_id
    assert (await event_names(first)).count("WORKFLOW_EXECUTION_STARTED") == 1
    await first.terminate()


@pytest.mark.parametrize(
    "options",
    [{"id_conflict_policy": WorkflowIDConflictPolicy.TERMINATE_EXISTING},
     {"id_reuse_policy": WorkflowIDReusePolicy.TERMINATE_IF_RUNNING}],
    ids=["conflict", "reuse"],
)
async def test_a_start_may_terminate_the_running_workflow(env: Env, options: dict):
    first = await env.start(Open.run)
    second = await env.start(Open.run, **options)
    assert isinstance(await failure_of(first), TerminatedError)
    assert (await second.describe()).status == WorkflowExecutionStatus.RUNNING
    assert first.result_run_id != second.result_run_id
    await second.terminate()


def start_request(env: Env, request_id: str) -> StartWorkflowExecutionRequest:
    return StartWorkflowExecutionRequest(
        namespace="default", workflow_id=env.id(), workflow_type=WorkflowType(name="Open"),
        task_queue=TaskQueue(name=env.task_queue), request_id=request_id, identity="conformance",
    )


async def test_a_start_that_is_sent_again_with_its_request_id_gives_the_same_run(env: Env):
    service = env.client.workflow_service
    request = start_request(env, str(uuid.uuid4()))
    first = await service.start_workflow_execution(request)
    again = await service.start_workflow_execution(request)
    assert again.run_id == first.run_id
    with pytest.raises(RPCError) as refusal:
        await service.start_workflow_execution(start_request(env, str(uuid.uuid4())))
    assert refusal.value.status == RPCStatusCode.ALREADY_EXISTS
    await env.client.get_workflow_handle(env.id()).terminate()


async def test_a_start_without_a_worker_says_whether_it_started(env: Env):
    service = env.client.workflow_service
    request = start_request(env, str(uuid.uuid4()))
    request.workflow_id_conflict_policy = WorkflowIdConflictPolicy.WORKFLOW_ID_CONFLICT_POLICY_USE_EXISTING
    first = await service.start_workflow_execution(request)
    request.request_id = str(uuid.uuid4())
    second = await service.start_workflow_execution(request)
    assert (first.started, second.started) == (True, False)
    assert first.run_id == second.run_id
    await env.client.get_workflow_handle(env.id()).terminate()


async def test_negative_timeouts_are_refused(env: Env):
    with pytest.raises((RPCError, ValueError)):
        await env.start(Open.run, execution_timeout=timedelta(seconds=-5))


@pytest.mark.parametrize("reuse, conflict", [
    (WorkflowIDReusePolicy.TERMINATE_IF_RUNNING, WorkflowIDConflictPolicy.USE_EXISTING),
    (WorkflowIDReusePolicy.REJECT_DUPLICATE, WorkflowIDConflictPolicy.TERMINATE_EXISTING),
])
async def test_policies_that_contradict_each_other_are_refused(env: Env, reuse, conflict):
    for start_signal in (None, "signal"):
        with pytest.raises(RPCError) as refusal:
            await env.start(Open.run, id_reuse_policy=reuse, id_conflict_policy=conflict, start_signal=start_signal)
        assert refusal.value.status == RPCStatusCode.INVALID_ARGUMENT
        assert "cannot be used together with" in refusal.value.message


async def test_a_child_takes_the_id_of_a_running_workflow_if_its_policy_says_so(env: Env):
    taken = env.id("taken")
    first = await env.start(Open.run, id=taken)
    async with env.worker([Parent, Quick, Open]):
        parent = await env.start(Parent.run, taken)
        assert await parent.result() == "from the child"
    assert isinstance(await failure_of(first), TerminatedError)


@workflow.defn
class Parent:
    @workflow.run
    async def run(self, child: str) -> str:
        return await workflow.execute_child_workflow(
            Quick.run, "from the child", id=child, id_reuse_policy=WorkflowIDReusePolicy.TERMINATE_IF_RUNNING
        )
