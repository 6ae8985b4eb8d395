"""Queries: answered from the newest state, never written to the history."""

from __future__ import annotations

import asyncio

import pytest
from temporalio import activity, workflow
from temporalio.client import WorkflowQueryFailedError, WorkflowQueryRejectedError, WorkflowExecutionStatus
from temporalio.common import QueryRejectCondition
from temporalio.exceptions import ApplicationError
from temporalio.service import RPCError, RPCStatusCode

from support import SOON, Env, event_names, eventually, failure_of, has_event, ms

running: set[str] = set()


@activity.defn
async def takes_long() -> None:
    running.add(activity.info().workflow_id)
    while True:
        activity.heartbeat()
        await asyncio.sleep(0.05)


@workflow.defn
class Counter:
    def __init__(self) -> None:
        self.count = 0
        self.done = False

    @workflow.run
    async def run(self, with_activity: bool = False) -> int:
        work = None
        if with_activity:
            work = workflow.start_activity(takes_long, schedule_to_close_timeout=SOON, heartbeat_timeout=SOON)
        await workflow.wait_condition(lambda: self.done)
        if work:
            work.cancel()
        return self.count

    @workflow.signal
    def add(self, by: int) -> None:
        self.count += by

    @workflow.signal
    def finish(self) -> None:
        self.done = True

    @workflow.query
    def count_now(self) -> int:
        return self.count

    @workflow.query
    def count_times(self, factor: int, plus: int) -> int:
        return self.count * factor + plus

    @workflow.query
    def broken(self) -> str:
        raise ApplicationError("this query is broken")


async def test_a_query_sees_every_signal_that_was_acknowledged_before_it(env: Env):
    async with env.worker([Counter]):
        handle = await env.start(Counter.run)
        for expected in range(1, 26):
            await handle.signal(Counter.add, 1)
            assert await handle.query(Counter.count_now) == expected


async def test_a_query_takes_arguments(env: Env):
    async with env.worker([Counter]):
        handle = await env.start(Counter.run)
        await handle.signal(Counter.add, 4)
        assert await handle.query(Counter.count_times, args=[10, 2]) == 42


async def test_a_query_leaves_nothing_in_the_history(env: Env):
    async with env.worker([Counter]):
        handle = await env.start(Counter.run)
        await handle.query(Counter.count_now)
        before = await event_names(handle)
        for _ in range(5):
            await handle.query(Counter.count_now)
        assert await event_names(handle) == before


async def test_a_query_sent_before_any_worker_exists_waits_for_one(env: Env):
    handle = await env.start(Counter.run)
    answer = asyncio.create_task(handle.query(Counter.count_now))
    async with env.worker([Counter]):
        assert await answer == 0


async def test_a_query_is_answered_while_an_activity_runs(env: Env):
    async with env.worker([Counter], [takes_long]):
        handle = await env.start(Counter.run, True)

        async def is_running():
            return handle.id in running

        await eventually(is_running)
        assert await handle.query(Counter.count_now) == 0
        await handle.signal(Counter.finish)
        await handle.result()


async def test_many_queries_at_once_are_all_answered(env: Env):
    async with env.worker([Counter]):
        handle = await env.start(Counter.run)
        await handle.signal(Counter.add, 7)
        answers = await asyncio.gather(*(handle.query(Counter.count_times, args=[1, n]) for n in range(40)))
        assert answers == [7 + n for n in range(40)]


async def test_queries_and_signals_may_race(env: Env):
    async with env.worker([Counter]):
        handle = await env.start(Counter.run)

        async def query_often() -> list[int]:
            return [await handle.query(Counter.count_now) for _ in range(20)]

        async def signal_often() -> None:
            for _ in range(20):
                await handle.signal(Counter.add, 1)

        seen, _ = await asyncio.gather(query_often(), signal_often())
        assert seen == sorted(seen), "a later query never sees an older state"
        assert await handle.query(Counter.count_now) == 20


async def test_a_closed_workflow_is_still_queried(env: Env):
    async with env.worker([Counter]):
        handle = await env.start(Counter.run)
        await handle.signal(Counter.add, 3)
        await handle.signal(Counter.finish)
        assert await handle.result() == 3
        assert await handle.query(Counter.count_now) == 3
    async with env.worker([Counter]):
        assert await handle.query(Counter.count_now) == 3, "a worker that never saw the run replays it"


async def test_queries_work_without_a_cache(env: Env):
    async with env.worker([Counter], max_cached_workflows=0):
        handle = await env.start(Counter.run)
        for expected in range(1, 6):
            await handle.signal(Counter.add, 1)
            assert await handle.query(Counter.count_now) == expected
        await handle.signal(Counter.finish)
        assert await handle.result() == 5


async def test_a_query_outlives_the_worker_that_held_the_run_in_its_cache(env: Env):
    async with env.worker([Counter], sticky_queue_schedule_to_start_timeout=ms(500)):
        handle = await env.start(Counter.run)
        await handle.signal(Counter.add, 5)
        assert await handle.query(Counter.count_now) == 5
    async with env.worker([Counter]):
        assert await handle.query(Counter.count_now) == 5


async def test_a_failing_query_fails_for_the_caller_and_for_nobody_else(env: Env):
    async with env.worker([Counter]):
        handle = await env.start(Counter.run)
        with pytest.raises(WorkflowQueryFailedError) as failure:
            await handle.query(Counter.broken)
        assert "this query is broken" in str(failure.value)
        await handle.signal(Counter.finish)
        assert await handle.result() == 0
    assert "WORKFLOW_TASK_FAILED" not in await event_names(handle)


async def test_an_unknown_query_fails_with_the_names_that_exist(env: Env):
    async with env.worker([Counter]):
        handle = await env.start(Counter.run)
        with pytest.raises(WorkflowQueryFailedError) as failure:
            await handle.query("no_such_query")
        assert "no_such_query" in str(failure.value)
        assert "count_now" in str(failure.value)


@pytest.mark.parametrize("condition", [QueryRejectCondition.NOT_OPEN, QueryRejectCondition.NOT_COMPLETED_CLEANLY])
async def test_a_query_may_refuse_a_closed_workflow(env: Env, condition: QueryRejectCondition):
    async with env.worker([Counter]):
        handle = await env.start(Counter.run)
        assert await handle.query(Counter.count_now, reject_condition=condition) == 0
        await handle.cancel()
        await failure_of(handle)
        with pytest.raises(WorkflowQueryRejectedError) as rejection:
            await handle.query(Counter.count_now, reject_condition=condition)
        assert rejection.value.status == WorkflowExecutionStatus.CANCELED


async def test_a_cleanly_completed_workflow_passes_the_clean_condition(env: Env):
    async with env.worker([Counter]):
        handle = await env.start(Counter.run)
        await handle.signal(Counter.finish)
        await handle.result()
        condition = QueryRejectCondition.NOT_COMPLETED_CLEANLY
        assert await handle.query(Counter.count_now, reject_condition=condition) == 0


async def test_a_query_of_an_unknown_workflow_is_not_found(env: Env):
    with pytest.raises(RPCError) as refusal:
        await env.client.get_workflow_handle(env.id("ghost")).query("count_now")
    assert refusal.value.status == RPCStatusCode.NOT_FOUND


async def test_a_query_without_a_worker_ends_at_its_deadline(env: Env):
    handle = await env.start(Counter.run)
    with pytest.raises(RPCError) as late:
        await handle.query(Counter.count_now, rpc_timeout=ms(600))
    assert late.value.status in (RPCStatusCode.DEADLINE_EXCEEDED, RPCStatusCode.CANCELLED)


async def test_the_stack_trace_query_shows_the_tasks_of_a_workflow(env: Env):
    async with env.worker([Counter]):
        handle = await env.start(Counter.run)
        await eventually(lambda: has_event(handle, "WORKFLOW_TASK_COMPLETED"))
        assert "Stack for" in await handle.query("__stack_trace")


@workflow.defn
class Stumbling:
    @workflow.run
    async def run(self) -> None:
        raise RuntimeError("a bug in workflow code")

    @workflow.query
    def anything(self) -> int:
        return 1


async def test_a_query_fails_fast_while_the_workflow_task_keeps_failing(env: Env):
    async with env.worker([Stumbling]):
        handle = await env.start(Stumbling.run, task_timeout=ms(1000))

        async def third_attempt() -> bool:
            description = (await handle.describe()).raw_description
            return description.pending_workflow_task.attempt >= 4

        await eventually(third_attempt, limit=40)
        with pytest.raises((RPCError, WorkflowQueryFailedError)) as failure:
            await handle.query(Stumbling.anything, rpc_timeout=ms(5000))
        if isinstance(failure.value, RPCError):
            assert failure.value.status == RPCStatusCode.FAILED_PRECONDITION
        await handle.terminate("seen enough")
