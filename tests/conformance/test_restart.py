"""The engine dies in the middle of things and is started again on the same folder: everything it acknowledged is there."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest
from temporalio import activity, workflow
from temporalio.client import Client, WorkflowExecutionStatus
from temporalio.common import RetryPolicy
from temporalio.exceptions import ApplicationError
from temporalio.worker import Replayer, UnsandboxedWorkflowRunner, Worker

from engines import Engine, connect
from support import SOON, event_names, events, eventually, has_event, ms

pytestmark = pytest.mark.restarts

QUEUE = "restarts"
runs_of: dict[str, list[int]] = {}
PATIENT = RetryPolicy(initial_interval=ms(50), backoff_coefficient=1.0)


@activity.defn
async def step(number: int) -> int:
    runs_of.setdefault(activity.info().workflow_id, []).append(number)
    await asyncio.sleep(0.02)
    return number


@activity.defn
async def fails_twice() -> int:
    if activity.info().attempt < 3:
        raise ApplicationError("not yet")
    return activity.info().attempt


@workflow.defn
class LongRun:
    """Many steps, so that a kill comes in the middle of some."""

    @workflow.run
    async def run(self, steps: int) -> list:
        done = []
        for number in range(steps):
            done.append(
                await workflow.execute_activity(
                    step, number, start_to_close_timeout=timedelta(seconds=2), retry_policy=PATIENT
                )
            )
            if number % 5 == 0:
                await asyncio.sleep(0.01)
        return done


@workflow.defn
class Waiter:
    def __init__(self) -> None:
        self.heard: list[str] = []

    @workflow.run
    async def run(self, seconds: float, signals: int) -> list:
        timer = asyncio.create_task(asyncio.sleep(seconds))
        retry = RetryPolicy(initial_interval=ms(1500), backoff_coefficient=1.0)
        attempts = await workflow.execute_activity(fails_twice, start_to_close_timeout=SOON, retry_policy=retry)
        await workflow.wait_condition(lambda: len(self.heard) >= signals)
        await timer
        return [attempts, *self.heard]

    @workflow.signal
    def tell(self, word: str) -> None:
        self.heard.append(word)


def worker(client: Client) -> Worker:
    return Worker(
        client, task_queue=QUEUE, workflows=[LongRun, Waiter], activities=[step, fails_twice],
        workflow_runner=UnsandboxedWorkflowRunner(), sticky_queue_schedule_to_start_timeout=timedelta(seconds=1),
    )


async def start(client: Client, which, *args, workflow_id: str):
    return await client.start_workflow(
        which, args=list(args), id=workflow_id, task_queue=QUEUE, task_timeout=timedelta(seconds=2),
        execution_timeout=timedelta(seconds=100),
    )


@pytest.mark.timeout(150)
async def test_runs_go_on_after_the_engine_was_killed_again_and_again(own_engine: Engine):
    """The workers stay alive and find the engine again by themselves."""
    client = await connect(own_engine.address)
    steps = 40
    async with worker(client):
        handles = [await start(client, LongRun.run, steps, workflow_id=f"long-{n}") for n in range(5)]
        for kill in range(3):
            first = handles[0]
            await eventually(lambda: has_event(first, "ACTIVITY_TASK_COMPLETED", at_least=8 * (kill + 1)), limit=40)
            own_engine.kill()
            own_engine.start()
            client = await connect(own_engine.address)
            handles = [client.get_workflow_handle(handle.id) for handle in handles]
        results = await asyncio.gather(*(handle.result() for handle in handles))
    assert results == [list(range(steps))] * 5
    for handle in handles:
        history = await events(handle)
        assert [e.event_id for e in history] == list(range(1, len(history) + 1))
        names = await event_names(handle)
        assert names.count("ACTIVITY_TASK_COMPLETED") == names.count("ACTIVITY_TASK_SCHEDULED") == steps
        replayer = Replayer(workflows=[LongRun], workflow_runner=UnsandboxedWorkflowRunner())
        await replayer.replay_workflow(await handle.fetch_history())
        # A step may run again only if the engine died before it acknowledged the step's end.
        assert len(runs_of[handle.id]) <= steps + 3


@pytest.mark.timeout(120)
async def test_timers_retries_and_signals_survive_a_kill(own_engine: Engine):
    client = await connect(own_engine.address)
    async with worker(client):
        handle = await start(client, Waiter.run, 3.0, 3, workflow_id="waiter")

        async def second_attempt_is_due() -> bool:
            pending = (await handle.describe()).raw_description.pending_activities
            return bool(pending) and pending[0].attempt == 2

        await eventually(second_attempt_is_due)
        await handle.signal(Waiter.tell, "before")
        own_engine.kill()
        own_engine.start()
        client = await connect(own_engine.address)
        handle = client.get_workflow_handle("waiter")
        await handle.signal(Waiter.tell, "between")
        await handle.signal(Waiter.tell, "after")
        assert await handle.result() == [3, "before", "between", "after"]
    names = await event_names(handle)
    assert names.count("TIMER_FIRED") == 1


@pytest.mark.timeout(120)
async def test_all_that_was_acknowledged_is_there_after_a_kill(own_engine: Engine):
    """Every acknowledged start and signal up to the last millisecond, and nothing is there twice."""
    client = await connect(own_engine.address)
    acknowledged: list[int] = []

    async def keep_signalling(handle) -> None:
        number = 0
        while True:
            await handle.signal(Waiter.tell, str(number), rpc_timeout=timedelta(milliseconds=800))
            acknowledged.append(number)
            number += 1

    handle = await start(client, Waiter.run, 0.0, 1 << 30, workflow_id="diary")
    writing = asyncio.create_task(keep_signalling(handle))

    async def enough() -> bool:
        return len(acknowledged) >= 60

    await eventually(enough)
    own_engine.kill()
    await asyncio.gather(writing, return_exceptions=True)
    own_engine.start()
    client = await connect(own_engine.address)
    handle = client.get_workflow_handle("diary")
    heard = [int(e.workflow_execution_signaled_event_attributes.input.payloads[0].data.strip(b'"'))
             for e in await events(handle) if e.HasField("workflow_execution_signaled_event_attributes")]
    assert heard[: len(acknowledged)] == acknowledged
    assert len(heard) <= len(acknowledged) + 1, "at most the one signal whose answer was lost"
    assert (await handle.describe()).status == WorkflowExecutionStatus.RUNNING


@pytest.mark.timeout(120)
async def test_closed_runs_lists_and_counts_are_as_before_after_a_kill(own_engine: Engine):
    client = await connect(own_engine.address)
    async with worker(client):
        done = await start(client, LongRun.run, 1, workflow_id="done")
        assert await done.result() == [0]
    waiting = await start(client, LongRun.run, 1, workflow_id="waiting")
    before = await event_names(waiting)
    own_engine.kill()
    own_engine.start()
    client = await connect(own_engine.address)
    assert await client.get_workflow_handle("done").result() == [0]
    assert await event_names(client.get_workflow_handle("waiting")) == before

    async def listed() -> bool:
        rows = {w.id: w.status async for w in client.list_workflows("WorkflowType = 'LongRun'")}
        return rows == {"done": WorkflowExecutionStatus.COMPLETED, "waiting": WorkflowExecutionStatus.RUNNING}

    assert await eventually(listed)
    async with worker(client):
        assert await client.get_workflow_handle("waiting").result() == [0]
