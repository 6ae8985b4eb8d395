"""Bigger than usual: long histories, many runs at once."""

from __future__ import annotations

import asyncio

import pytest
from temporalio import activity, workflow
from temporalio.worker import Replayer, UnsandboxedWorkflowRunner

from support import SOON, Env, events, eventually

pytestmark = pytest.mark.timeout(150)


@workflow.defn
class Listener:
    def __init__(self) -> None:
        self.count = 0
        self.over = False

    @workflow.run
    async def run(self) -> list:
        await workflow.wait_condition(lambda: self.over)
        info = workflow.info()
        return [self.count, info.get_current_history_length(), info.get_current_history_size() > 4096 * 20,
                info.is_continue_as_new_suggested()]

    @workflow.signal
    def note(self, _text: str) -> None:
        self.count += 1

    @workflow.signal
    def finish(self) -> None:
        self.over = True

    @workflow.query
    def counted(self) -> int:
        return self.count


async def test_a_history_of_thousands_of_events_is_read_and_replayed_page_by_page(env: Env):
    signals = 4_200
    handle = await env.start(Listener.run)
    limit = asyncio.Semaphore(32)

    async def send(number: int) -> None:
        async with limit:
            await handle.signal(Listener.note, f"signal number {number}")

    await asyncio.gather(*(send(number) for number in range(signals)))
    # The first worker sees all of it at once, the second without a cache again from the beginning.
    async with env.worker([Listener]):
        assert await handle.query(Listener.counted) == signals
    async with env.worker([Listener], max_cached_workflows=0):
        await handle.signal(Listener.finish)
        count, length, is_big, suggested = await handle.result()
    assert (count, is_big, suggested) == (signals, True, True)
    history = await events(handle)
    assert [e.event_id for e in history] == list(range(1, len(history) + 1))
    assert length <= len(history)
    replayer = Replayer(workflows=[Listener], workflow_runner=UnsandboxedWorkflowRunner())
    await replayer.replay_workflow(await handle.fetch_history())


@activity.defn
async def square(number: int) -> int:
    return number * number


@workflow.defn
class Squares:
    @workflow.run
    async def run(self, start: int) -> int:
        total = 0
        for number in range(start, start + 3):
            total += await workflow.execute_activity(square, number, start_to_close_timeout=SOON)
        return total


async def test_a_hundred_runs_at_once_all_give_their_own_result(env: Env):
    async with env.worker([Squares], [square]):
        handles = await asyncio.gather(*(env.start(Squares.run, n, id=env.id(str(n))) for n in range(100)))
        results = await asyncio.gather(*(handle.result() for handle in handles))
    assert results == [n * n + (n + 1) ** 2 + (n + 2) ** 2 for n in range(100)]

    async def none_left_open() -> bool:
        query = f"TaskQueue = '{env.task_queue}' AND ExecutionStatus = 'Completed'"
        return (await env.client.count_workflows(query)).count == 100

    assert await eventually(none_left_open)
