"""Workers come and go; runs go on."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path

from temporalio import activity, workflow
from temporalio.client import Client, WorkflowHandle
from temporalio.common import RetryPolicy
from temporalio.worker import UnsandboxedWorkflowRunner, Worker
from temporalio.worker.workflow_sandbox import SandboxedWorkflowRunner

from support import SOON, Env, event_names, events, eventually, has_event, ms

QUICK_STICKY = {"sticky_queue_schedule_to_start_timeout": timedelta(milliseconds=400)}


@activity.defn
async def plus_one(number: int) -> int:
    return number + 1


@workflow.defn
class Stairs:
    """Climbs one step per signal."""

    def __init__(self) -> None:
        self.wanted = 0
        self.reached = 0

    @workflow.run
    async def run(self, top: int) -> int:
        while self.reached < top:
            await workflow.wait_condition(lambda: self.wanted > self.reached)
            self.reached = await workflow.execute_activity(plus_one, self.reached, start_to_close_timeout=SOON)
        return self.reached

    @workflow.signal
    def step(self) -> None:
        self.wanted += 1

    @workflow.query
    def height(self) -> int:
        return self.reached


async def at_height(handle: WorkflowHandle, height: int) -> None:
    async def there() -> bool:
        return await handle.query(Stairs.height) == height

    await eventually(there)


async def test_each_step_may_be_done_by_another_worker(env: Env):
    handle = await env.start(Stairs.run, 4)
    for height in range(1, 5):
        async with env.worker([Stairs], [plus_one], identity=f"worker {height}", **QUICK_STICKY):
            await handle.signal(Stairs.step)
            if height < 4:
                await at_height(handle, height)
            else:
                assert await handle.result() == 4
    who = [e.activity_task_completed_event_attributes.identity for e in await events(handle)
           if e.HasField("activity_task_completed_event_attributes")]
    assert who == [f"worker {n}" for n in range(1, 5)]


async def test_a_run_needs_no_cache(env: Env):
    async with env.worker([Stairs], [plus_one], max_cached_workflows=0):
        handle = await env.start(Stairs.run, 5)
        for height in range(1, 5):
            await handle.signal(Stairs.step)
            await at_height(handle, height)
        await handle.signal(Stairs.step)
        assert await handle.result() == 5


async def test_more_runs_than_the_cache_holds_evict_each_other_without_harm(env: Env):
    async with env.worker([Stairs], [plus_one], max_cached_workflows=2):
        handles = [await env.start(Stairs.run, 3, id=env.id(str(n))) for n in range(6)]
        for _ in range(3):
            await asyncio.gather(*(handle.signal(Stairs.step) for handle in handles))
        assert await asyncio.gather(*(handle.result() for handle in handles)) == [3] * 6


async def test_work_waits_for_a_worker_that_comes_later(env: Env):
    handle = await env.start(Stairs.run, 1)
    await handle.signal(Stairs.step)
    async with env.worker([Stairs]):
        await eventually(lambda: has_event(handle, "ACTIVITY_TASK_SCHEDULED"))
    async with env.worker([Stairs], [plus_one]):
        assert await handle.result() == 1


async def test_several_workers_share_the_work(env: Env):
    other_client = await Client.connect(env.address)  # one client may hold one worker per task queue
    async with (
        env.worker([Stairs], [plus_one], identity="a"),
        env.worker([Stairs], [plus_one], identity="b", client=other_client),
    ):
        handles = [await env.start(Stairs.run, 2, id=env.id(str(n))) for n in range(12)]
        for handle in handles:
            await handle.signal(Stairs.step)
            await handle.signal(Stairs.step)
        assert await asyncio.gather(*(h.result() for h in handles)) == [2] * 12


PATIENT = RetryPolicy(initial_interval=ms(50), backoff_coefficient=1.0)


@workflow.defn
class Fragile:
    """Runs an activity whose worker is going to be killed."""

    def __init__(self) -> None:
        self.go = False

    @workflow.run
    async def run(self) -> list:
        result = await workflow.execute_activity(
            "hold", start_to_close_timeout=SOON, heartbeat_timeout=ms(1500), retry_policy=PATIENT
        )
        return [result, workflow.info().get_current_history_length() > 0]


@activity.defn(name="hold")
async def hold_for_ever() -> str:
    while True:
        activity.heartbeat("before the kill")
        await asyncio.sleep(0.1)


@activity.defn(name="hold")
async def hold_briefly() -> str:
    return f"attempt {activity.info().attempt} after {list(activity.info().heartbeat_details)}"


@asynccontextmanager
async def worker_process(env: Env):
    """The worker below in a process of its own, which can be killed."""
    process = subprocess.Popen([sys.executable, str(Path(__file__)), env.address, env.task_queue])
    try:
        yield process
    finally:
        process.kill()
        process.wait()


async def test_what_a_killed_worker_left_is_done_by_the_next(env: Env):
    handle = await env.start(Fragile.run, task_timeout=ms(2000))
    async with worker_process(env) as process:

        async def beating() -> bool:
            pending = (await handle.describe()).raw_description.pending_activities
            return bool(pending) and pending[0].HasField("heartbeat_details")

        await eventually(beating, limit=40)
        process.kill()
    async with env.worker([Fragile], [hold_briefly], **QUICK_STICKY):
        assert await handle.result() == ["attempt 2 after ['before the kill']", True]
    names = await event_names(handle)
    assert names.count("ACTIVITY_TASK_STARTED") == 1


@workflow.defn
class Boxed:
    @workflow.run
    async def run(self, number: int) -> int:
        return await workflow.execute_activity(plus_one, number, start_to_close_timeout=SOON)


async def test_a_worker_with_the_sdk_s_sandbox_works_too(env: Env):
    async with env.worker([Boxed], [plus_one], workflow_runner=SandboxedWorkflowRunner()):
        assert await env.run(Boxed.run, 41) == 42


async def test_a_worker_that_leaves_finishes_what_it_has_begun(env: Env):
    release, begun = asyncio.Event(), asyncio.Event()

    @activity.defn(name="plus_one")
    async def slow_plus_one(number: int) -> int:
        begun.set()
        await release.wait()
        return number + 1

    worker = env.worker([Stairs], [slow_plus_one], graceful_shutdown_timeout=timedelta(seconds=15))
    running = asyncio.create_task(worker.run())
    handle = await env.start(Stairs.run, 1)
    await handle.signal(Stairs.step)
    await begun.wait()
    leaving = asyncio.create_task(worker.shutdown())
    release.set()
    await leaving
    await running
    async with env.worker([Stairs], **QUICK_STICKY):
        assert await handle.result() == 1
    assert (await event_names(handle)).count("ACTIVITY_TASK_COMPLETED") == 1


async def main(address: str, task_queue: str) -> None:
    worker = Worker(
        await Client.connect(address), task_queue=task_queue, workflows=[Fragile], activities=[hold_for_ever],
        workflow_runner=UnsandboxedWorkflowRunner(), max_heartbeat_throttle_interval=ms(100),
        default_heartbeat_throttle_interval=ms(100), **QUICK_STICKY,
    )
    await worker.run()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
