"""Priorities: what is inherited, and in which order tasks leave a queue that has a backlog."""

from __future__ import annotations

import pytest
from temporalio import activity, workflow
from temporalio.api.workflowservice.v1 import DescribeTaskQueueRequest
from temporalio.api.enums.v1 import TaskQueueType
from temporalio.api.taskqueue.v1 import TaskQueue
from temporalio.common import Priority
from temporalio.service import RPCError, RPCStatusCode

from support import SOON, Env, eventually

ran: dict[str, list[str]] = {}


@activity.defn
async def note(run: str, name: str) -> None:
    ran.setdefault(run, []).append(name)


@activity.defn
async def tell_priority() -> list:
    priority = activity.info().priority
    return [priority.priority_key, priority.fairness_key, priority.fairness_weight]


@workflow.defn
class Backlog:
    """Asks for one activity per name, each with a priority, at once and on another queue."""

    @workflow.run
    async def run(self, queue: str, wanted: list[list]) -> None:
        handles = [
            workflow.start_activity(
                note,
                args=[workflow.info().workflow_id, name],
                task_queue=queue,
                start_to_close_timeout=SOON,
                priority=Priority(priority_key=key, fairness_key=fair),
            )
            for name, key, fair in wanted
        ]
        for handle in handles:
            await handle


@workflow.defn
class Child:
    @workflow.run
    async def run(self) -> list:
        priority = workflow.info().priority
        return [priority.priority_key, priority.fairness_key]


@workflow.defn
class Parent:
    @workflow.run
    async def run(self) -> list:
        plain = await workflow.execute_activity(tell_priority, start_to_close_timeout=SOON)
        own = await workflow.execute_activity(
            tell_priority, start_to_close_timeout=SOON, priority=Priority(priority_key=1)
        )
        child = await workflow.execute_child_workflow(Child.run)
        urgent = await workflow.execute_child_workflow(Child.run, priority=Priority(priority_key=5))
        return [plain, own, child, urgent]


async def backlog_of(env: Env, queue: str) -> int:
    described = await env.client.workflow_service.describe_task_queue(
        DescribeTaskQueueRequest(
            namespace="default",
            task_queue=TaskQueue(name=queue),
            task_queue_type=TaskQueueType.TASK_QUEUE_TYPE_ACTIVITY,
            report_stats=True,
        )
    )
    return described.stats.approximate_backlog_count


async def order_of(env: Env, wanted: list[list]) -> list[str]:
    """In which order a worker with one slot gets the tasks of a backlog."""
    queue = f"{env.task_queue}-activities"
    async with env.worker([Backlog]):
        handle = await env.start(Backlog.run, queue, wanted)

        async def all_wait() -> bool:
            return await backlog_of(env, queue) == len(wanted)

        await eventually(all_wait)
        async with env.worker([], [note], task_queue=queue, max_concurrent_activities=1):
            await handle.result()
    return ran[handle.id]


async def test_a_backlog_leaves_by_priority(env: Env):
    keys = [5, 4, 0, 1, 2, 1]
    order = await order_of(env, [[f"{key}-{at}", key or None, None] for at, key in enumerate(keys)])
    # None is the usual one, 3.
    assert [name[0] for name in order] == ["1", "1", "2", "0", "4", "5"]


async def test_a_small_user_does_not_wait_for_a_large_one(env: Env):
    if env.engine == "temporal":
        pytest.skip("the dev server has fairness switched off")
    wanted = [[f"large-{n}", None, "large"] for n in range(12)] + [[f"small-{n}", None, "small"] for n in range(3)]
    order = await order_of(env, wanted)
    assert {name for name in order[:6] if name.startswith("small")} == {"small-0", "small-1", "small-2"}


async def test_activities_and_children_inherit_what_they_do_not_name(env: Env):
    # Not eagerly: the real server forgets what such activities inherit.
    async with env.worker([Parent, Child], [tell_priority], disable_eager_activity_execution=True):
        handle = await env.start(
            Parent.run, priority=Priority(priority_key=2, fairness_key="tenant", fairness_weight=2.5)
        )
        plain, own, child, urgent = await handle.result()
    assert plain == [2, "tenant", 2.5]
    assert own == [1, "tenant", 2.5]
    assert child == [2, "tenant"]
    assert urgent == [5, "tenant"]


async def test_a_fairness_key_that_is_too_long_is_refused(env: Env):
    with pytest.raises(RPCError) as refused:
        await env.start(Child.run, priority=Priority(fairness_key="k" * 65))
    assert refused.value.status == RPCStatusCode.INVALID_ARGUMENT
