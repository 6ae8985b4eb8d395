"""Options of a workflow that are changed while it runs."""

from __future__ import annotations

import pytest
from google.protobuf.field_mask_pb2 import FieldMask
from temporalio import workflow
from temporalio.api.common.v1 import Priority as RawPriority, WorkflowExecution
from temporalio.api.enums.v1 import TaskQueueType
from temporalio.api.taskqueue.v1 import TaskQueue
from temporalio.api.workflow.v1 import WorkflowExecutionOptions
from temporalio.api.workflowservice.v1 import DescribeTaskQueueRequest, UpdateWorkflowExecutionOptionsRequest
from temporalio.client import WorkflowHandle
from temporalio.common import Priority
from temporalio.service import RPCError, RPCStatusCode

from support import Env, event_names, eventually, has_event

STARTED: dict[str, list[str]] = {}


@workflow.defn
class Notes:
    """Says when it begins, and ends when it is told to."""

    def __init__(self) -> None:
        self.stopped = False

    @workflow.run
    async def run(self, group: str) -> None:
        STARTED.setdefault(group, []).append(workflow.info().workflow_id.rsplit("-", 1)[1])
        await workflow.wait_condition(lambda: self.stopped)

    @workflow.signal
    def stop(self) -> None:
        self.stopped = True


async def change(env: Env, workflow_id: str, priority: RawPriority | None, *paths: str) -> WorkflowExecutionOptions:
    options = WorkflowExecutionOptions(priority=priority)
    answer = await env.client.workflow_service.update_workflow_execution_options(
        UpdateWorkflowExecutionOptionsRequest(
            namespace=env.client.namespace, workflow_execution=WorkflowExecution(workflow_id=workflow_id),
            workflow_execution_options=options, update_mask=FieldMask(paths=paths), identity="operator",
        )
    )
    return answer.workflow_execution_options


async def described(handle: WorkflowHandle) -> RawPriority:
    return (await handle.describe()).raw_description.workflow_execution_info.priority


async def test_a_priority_is_changed_field_by_field_and_as_a_whole(env: Env):
    handle = await env.start(Notes.run, env.unique, priority=Priority(priority_key=4, fairness_key="tenant"))
    options = await change(env, handle.id, RawPriority(priority_key=2, fairness_key="unused"), "priority.priority_key")
    assert (options.priority.priority_key, options.priority.fairness_key) == (2, "tenant")
    assert await described(handle) == options.priority
    options = await change(env, handle.id, RawPriority(fairness_weight=3.0), "priority")
    assert (options.priority.priority_key, options.priority.fairness_weight) == (0, 3.0)
    assert await described(handle) == options.priority
    assert await has_event(handle, "WORKFLOW_EXECUTION_OPTIONS_UPDATED", 2)
    await change(env, handle.id, RawPriority(fairness_weight=3.0), "priority")
    assert (await event_names(handle)).count("WORKFLOW_EXECUTION_OPTIONS_UPDATED") == 2, "nothing was changed"
    await handle.terminate()


async def test_tasks_that_wait_go_by_the_new_priority(env: Env):
    handles = {name: await env.start(Notes.run, env.unique, id=env.id(name)) for name in ("last", "first", "second")}
    for name, key in (("last", 5), ("first", 1)):
        await change(env, handles[name].id, RawPriority(priority_key=key), "priority")

    async def all_wait() -> bool:
        described = await env.client.workflow_service.describe_task_queue(
            DescribeTaskQueueRequest(
                namespace=env.client.namespace, task_queue=TaskQueue(name=env.task_queue),
                task_queue_type=TaskQueueType.TASK_QUEUE_TYPE_WORKFLOW, report_stats=True,
            )
        )
        # The real server moves them some time after the answer, and may count the old ones until it finds them stale.
        return all(described.stats_by_priority_key[key].approximate_backlog_count > 0 for key in (1, 3, 5))

    await eventually(all_wait)
    async with env.worker([Notes], max_concurrent_workflow_tasks=1, max_cached_workflows=0):
        for handle in handles.values():
            await handle.signal(Notes.stop)
            await handle.result()
    assert list(dict.fromkeys(STARTED[env.unique])) == ["first", "second", "last"]


@pytest.mark.parametrize(
    "priority,paths",
    [
        (RawPriority(priority_key=-1), ["priority"]),
        (RawPriority(fairness_key="k" * 65), ["priority"]),
        (RawPriority(), ["no_such_option"]),
        (RawPriority(), ["priority.no_such_field"]),
    ],
)
async def test_changes_that_make_no_sense_are_refused(env: Env, priority: RawPriority, paths: list[str]):
    handle = await env.start(Notes.run, env.unique)
    with pytest.raises(RPCError) as error:
        await change(env, handle.id, priority, *paths)
    assert error.value.status == RPCStatusCode.INVALID_ARGUMENT
    await handle.terminate()
    with pytest.raises(RPCError) as error:
        await change(env, handle.id, RawPriority(priority_key=1), "priority")
    assert error.value.status == RPCStatusCode.NOT_FOUND, "it is closed"
