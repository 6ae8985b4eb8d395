"""Workers that say goodbye: their open polls end at once, and what waited for them goes to others."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest
from temporalio import activity, workflow
from temporalio.api.enums.v1 import TaskQueueKind, TaskQueueType
from temporalio.api.taskqueue.v1 import TaskQueue
from temporalio.api.workflowservice.v1 import (
    DescribeNamespaceRequest, DescribeTaskQueueRequest, PollActivityTaskQueueRequest, PollWorkflowTaskQueueRequest, ShutdownWorkerRequest,
)
from temporalio.client import WorkflowExecutionStatus, WorkflowHandle

from support import SOON, Env, eventually

WORKFLOW = TaskQueueType.TASK_QUEUE_TYPE_WORKFLOW
ACTIVITY = TaskQueueType.TASK_QUEUE_TYPE_ACTIVITY


@activity.defn
async def echo(text: str) -> str:
    return text


@workflow.defn
class Waiter:
    def __init__(self) -> None:
        self.words: list[str] = []

    @workflow.run
    async def run(self, wanted: int) -> list[str]:
        await workflow.wait_condition(lambda: len(self.words) >= wanted)
        return self.words

    @workflow.signal
    async def say(self, word: str) -> None:
        self.words.append(await workflow.execute_activity(echo, word, start_to_close_timeout=SOON))

    @workflow.query
    def heard(self) -> int:
        return len(self.words)


async def polls(env: Env, name: str, kind: TaskQueueType.ValueType, identity: str) -> bool:
    described = await env.client.workflow_service.describe_task_queue(
        DescribeTaskQueueRequest(namespace="default", task_queue=TaskQueue(name=name), task_queue_type=kind)
    )
    return any(poller.identity == identity for poller in described.pollers)


async def test_open_polls_of_a_worker_that_shuts_down_are_answered_with_nothing(env: Env):
    service = env.client.workflow_service
    described = await service.describe_namespace(DescribeNamespaceRequest(namespace="default"))
    if not described.namespace_info.capabilities.worker_poll_complete_on_shutdown:
        pytest.skip("this server leaves open polls to the worker, and says so")
    sticky = f"sticky-{env.task_queue}"
    key, identity = f"instance-{env.unique}", "one by hand"
    normal = TaskQueue(name=env.task_queue)
    own = TaskQueue(name=sticky, kind=TaskQueueKind.TASK_QUEUE_KIND_STICKY, normal_name=env.task_queue)
    given = dict(namespace="default", identity=identity, worker_instance_key=key)
    patience = timedelta(seconds=65)
    open_polls = [
        asyncio.create_task(
            service.poll_workflow_task_queue(PollWorkflowTaskQueueRequest(task_queue=queue, **given), timeout=patience)
        )
        for queue in (normal, own)
    ]
    open_polls.append(
        asyncio.create_task(
            service.poll_activity_task_queue(PollActivityTaskQueueRequest(task_queue=normal, **given), timeout=patience)
        )
    )
    for name, kind in ((env.task_queue, WORKFLOW), (env.task_queue, ACTIVITY), (sticky, WORKFLOW)):
        await eventually(lambda name=name, kind=kind: polls(env, name, kind, identity))
    await service.shutdown_worker(
        ShutdownWorkerRequest(
            namespace="default", identity=identity, worker_instance_key=key, sticky_task_queue=sticky,
            task_queue=env.task_queue, task_queue_types=[WORKFLOW, ACTIVITY],
        )
    )
    for poll in open_polls:
        # Far sooner than a poll ends by itself.
        assert not (await asyncio.wait_for(poll, 20)).task_token


async def test_an_idle_worker_shuts_down_without_waiting_for_its_polls(env: Env):
    async with asyncio.timeout(30):
        async with env.worker([Waiter], [echo], identity="idle"):
            for kind in (WORKFLOW, ACTIVITY):
                await eventually(lambda kind=kind: polls(env, env.task_queue, kind, "idle"))


async def test_what_waits_for_a_worker_that_left_goes_to_the_next_one(env: Env):
    async with env.worker([Waiter], [echo], identity="first"):
        handle = await env.start(Waiter.run, 2)
        await handle.signal(Waiter.say, "one")

        async def heard() -> bool:
            return await handle.query(Waiter.heard) == 1

        # The run is in the first worker's cache: its next task would go there.
        await eventually(heard)
    await handle.signal(Waiter.say, "two")
    async with env.worker([Waiter], [echo], identity="second"):
        assert await asyncio.wait_for(handle.result(), 20) == ["one", "two"]


async def length(handle: WorkflowHandle) -> int:
    return (await handle.describe()).history_length


async def test_no_task_is_lost_while_workers_come_and_go(env: Env):
    handle = await env.start(Waiter.run, 12)

    async def feed() -> None:
        for number in range(12):
            await handle.signal(Waiter.say, str(number))

    feeding = asyncio.create_task(feed())
    for _ in range(4):
        async with env.worker([Waiter], [echo]):
            before = await length(handle)

            async def moves() -> bool:
                # One worker may well do all that there is, and then nothing moves any more.
                described = await handle.describe()
                return described.history_length > before or described.status != WorkflowExecutionStatus.RUNNING

            # The real server may leave a task with the worker that left until its time is over.
            await eventually(moves, limit=40)
    async with env.worker([Waiter], [echo]):
        assert sorted(await asyncio.wait_for(handle.result(), 30), key=int) == [str(n) for n in range(12)]
    await feeding
