"""A workflow whose tasks fail again and again is found by a search attribute, until one succeeds."""

from __future__ import annotations

from datetime import timedelta

from temporalio import workflow
from temporalio.api.common.v1 import WorkflowExecution
from temporalio.api.enums.v1 import WorkflowTaskFailedCause
from temporalio.api.taskqueue.v1 import TaskQueue
from temporalio.api.workflowservice.v1 import PollWorkflowTaskQueueRequest, RespondWorkflowTaskFailedRequest
from temporalio.client import WorkflowHandle
from temporalio.common import SearchAttributeKey

from support import Env, eventually

PROBLEMS = SearchAttributeKey.for_keyword_list("TemporalReportedProblems")


@workflow.defn
class Mended:
    def __init__(self) -> None:
        self.open = True

    @workflow.run
    async def run(self) -> str:
        await workflow.wait_condition(lambda: not self.open)
        return "well"

    @workflow.signal
    def close(self) -> None:
        self.open = False


async def problems(handle: WorkflowHandle) -> list[str]:
    return list((await handle.describe()).typed_search_attributes.get(PROBLEMS) or [])


async def found(env: Env, query: str) -> bool:
    """The real server's lists are a moment behind."""
    mine = f"WorkflowId = '{env.id()}' AND {query}"
    return [found.id async for found in env.client.list_workflows(mine)] == [env.id()]


async def test_a_workflow_whose_tasks_fail_says_so_until_one_succeeds(env: Env):
    service = env.client.workflow_service
    handle = await env.start(Mended.run)
    for attempt in range(1, 6):
        assert not await problems(handle), "fewer than five failures are no problem yet"
        poll = PollWorkflowTaskQueueRequest(namespace="default", task_queue=TaskQueue(name=env.task_queue))
        task = await service.poll_workflow_task_queue(poll, timeout=timedelta(seconds=30))
        assert task.workflow_execution == WorkflowExecution(workflow_id=handle.id, run_id=handle.result_run_id)
        assert task.attempt == attempt
        await service.respond_workflow_task_failed(RespondWorkflowTaskFailedRequest(
            namespace="default", task_token=task.task_token,
            cause=WorkflowTaskFailedCause.WORKFLOW_TASK_FAILED_CAUSE_WORKFLOW_WORKER_UNHANDLED_FAILURE,
        ))
    assert await problems(handle) == [
        "category=WorkflowTaskFailed", "cause=WorkflowTaskFailedCauseWorkflowWorkerUnhandledFailure",
    ]
    await eventually(lambda: found(env, "TemporalReportedProblems = 'category=WorkflowTaskFailed'"))

    async with env.worker([Mended]):

        async def mended():
            return not await problems(handle)

        await eventually(mended)
        await eventually(lambda: found(env, "TemporalReportedProblems IS NULL"))
        await handle.signal(Mended.close)
        assert await handle.result() == "well"
