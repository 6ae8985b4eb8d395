"""Bigger than usual: long histories, many runs at once."""

from __future__ import annotations

import asyncio

import pytest
from temporalio import activity, workflow
from temporalio.worker import Replayer, UnsandboxedWorkflowRunner

from support import SOON, Env, events, eventually

pytestmark = pytest.mark.timeout(150)


@workflow.defn
class Chatty:
    """Writes events by the thousand: each new memo is one."""

    def __init__(self) -> None:
        self.noted = 0
        self.over = False

    @workflow.run
    async def run(self, rounds: int, notes: int) -> list:
        for _ in range(rounds):
            for _ in range(notes):
                self.noted += 1
                workflow.upsert_memo({"noted": self.noted})
            await asyncio.sleep(0.001)
        await workflow.wait_condition(lambda: self.over)
        info = workflow.info()
        return [self.noted, info.get_current_history_length(), info.get_current_history_size() > 20 * 4096,
                info.is_continue_as_new_suggested()]

    @workflow.signal
    def finish(self) -> None:
        self.over = True

    @workflow.query
    def noted_so_far(self) -> int:
        return self.noted


async def test_a_history_of_thousands_of_events_is_read_and_replayed_page_by_page(env: Env):
    rounds, notes = 6, 700
    async with env.worker([Chatty]):
        handle = await env.start(Chatty.run, rounds, notes)

        async def all_noted() -> bool:
            return await handle.query(Chatty.noted_so_far) == rounds * notes

        await eventually(all_noted, limit=60)
    # A worker that never saw the run, and keeps nothing, reads all of it from the beginning.
    async with env.worker([Chatty], max_cached_workflows=0):
        await handle.signal(Chatty.finish)
        noted, length, is_big, suggested = await handle.result()
    assert (noted, is_big, suggested) == (rounds * notes, True, True)
    history = await events(handle)
    assert [e.event_id for e in history] == list(range(1, len(history) + 1))
    assert 4_200 < length <= len(history)
    replayer = Replayer(workflows=[Chatty], workflow_runner=UnsandboxedWorkflowRunner())
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
