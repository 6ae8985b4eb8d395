"""Task queues: what is known of them, and their rate limits."""

from __future__ import annotations

import time

import pytest
from temporalio import activity, workflow
from temporalio.api.enums.v1 import RateLimitSource, TaskQueueType
from temporalio.api.taskqueue.v1 import RateLimit, TaskQueue
from temporalio.api.workflowservice.v1 import (
    DescribeTaskQueueRequest, DescribeTaskQueueResponse, ListTaskQueuePartitionsRequest, UpdateTaskQueueConfigRequest,
)
from temporalio.service import RPCError, RPCStatusCode

from support import SOON, Env, eventually

WORKFLOW = TaskQueueType.TASK_QUEUE_TYPE_WORKFLOW
ACTIVITY = TaskQueueType.TASK_QUEUE_TYPE_ACTIVITY


@activity.defn
async def nothing() -> None:
    pass


@workflow.defn
class Activities:
    @workflow.run
    async def run(self, queue: str, count: int) -> None:
        handles = [
            workflow.start_activity(nothing, task_queue=queue, start_to_close_timeout=SOON) for _ in range(count)
        ]
        for handle in handles:
            await handle


async def describe(env: Env, queue: str, kind: TaskQueueType.ValueType, **fields) -> DescribeTaskQueueResponse:
    return await env.client.workflow_service.describe_task_queue(
        DescribeTaskQueueRequest(
            namespace="default", task_queue=TaskQueue(name=queue), task_queue_type=kind, **fields
        )
    )


def limit(queue: str, kind: TaskQueueType.ValueType, per_second: float | None) -> UpdateTaskQueueConfigRequest:
    update = UpdateTaskQueueConfigRequest.RateLimitUpdate(reason="a test")
    if per_second is not None:
        update.rate_limit.CopyFrom(RateLimit(requests_per_second=per_second))
    return UpdateTaskQueueConfigRequest(
        namespace="default", identity="operator", task_queue=queue, task_queue_type=kind,
        update_queue_rate_limit=update,
    )


async def test_a_description_tells_the_backlog_and_its_age(env: Env):
    for number in range(3):
        await env.start(Activities.run, "none", 0, id=env.id(str(number)))

    async def all_wait() -> DescribeTaskQueueResponse | None:
        described = await describe(env, env.task_queue, WORKFLOW, report_stats=True)
        return described if described.stats.approximate_backlog_count == 3 else None

    described = await eventually(all_wait)
    assert described.stats_by_priority_key[3].approximate_backlog_count == 3

    async def has_age() -> bool:
        stats = (await describe(env, env.task_queue, WORKFLOW, report_stats=True)).stats
        return stats.approximate_backlog_age.ToMilliseconds() > 0

    await eventually(has_age)
    async with env.worker([Activities]):

        async def none_waits() -> bool:
            stats = (await describe(env, env.task_queue, WORKFLOW, report_stats=True)).stats
            return stats.approximate_backlog_count == 0 and stats.tasks_dispatch_rate > 0

        await eventually(none_waits)


async def test_a_description_tells_who_polls(env: Env):
    async with env.worker([Activities], [nothing], identity="the poller"):
        for kind in (WORKFLOW, ACTIVITY):

            async def is_known() -> bool:
                pollers = (await describe(env, env.task_queue, kind)).pollers
                return [poller.identity for poller in pollers] == ["the poller"]

            await eventually(is_known)


async def test_a_worker_s_rate_limit_spaces_its_queue_s_activities(env: Env):
    queue = f"{env.task_queue}-activities"
    async with (
        env.worker([Activities]),
        env.worker([], [nothing], task_queue=queue, max_task_queue_activities_per_second=4.0),
    ):
        before = time.monotonic()
        await env.run(Activities.run, queue, 13)
        # At most four at once and then one every quarter of a second.
        assert time.monotonic() - before > 1.5
        described = await describe(env, queue, ACTIVITY)
        assert described.effective_rate_limit.requests_per_second == 4.0
        assert described.effective_rate_limit.rate_limit_source == RateLimitSource.RATE_LIMIT_SOURCE_WORKER


async def test_a_limit_of_zero_pauses_a_queue_until_it_is_lifted(env: Env):
    queue = f"{env.task_queue}-activities"
    service = env.client.workflow_service
    answer = await service.update_task_queue_config(limit(queue, ACTIVITY, 0.0))
    assert answer.config.queue_rate_limit.metadata.reason == "a test"
    assert answer.config.queue_rate_limit.metadata.update_identity == "operator"
    described = await describe(env, queue, ACTIVITY, report_config=True)
    assert described.config.queue_rate_limit.HasField("rate_limit")
    async with env.worker([Activities]), env.worker([], [nothing], task_queue=queue):
        handle = await env.start(Activities.run, queue, 1)

        async def waits() -> bool:
            stats = (await describe(env, queue, ACTIVITY, report_stats=True)).stats
            return stats.approximate_backlog_count == 1

        await eventually(waits)
        await service.update_task_queue_config(limit(queue, ACTIVITY, None))
        await handle.result()
    described = await describe(env, queue, ACTIVITY, report_config=True)
    assert not described.config.queue_rate_limit.HasField("rate_limit")


async def test_workflow_tasks_cannot_be_limited(env: Env):
    with pytest.raises(RPCError) as refused:
        await env.client.workflow_service.update_task_queue_config(limit(env.task_queue, WORKFLOW, 1.0))
    assert refused.value.status == RPCStatusCode.INVALID_ARGUMENT


async def test_a_queue_has_at_least_one_partition(env: Env):
    answer = await env.client.workflow_service.list_task_queue_partitions(
        ListTaskQueuePartitionsRequest(namespace="default", task_queue=TaskQueue(name=env.task_queue))
    )
    assert answer.workflow_task_queue_partitions[0].key.endswith(env.task_queue)
    assert answer.activity_task_queue_partitions
