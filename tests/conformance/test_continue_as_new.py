"""Continue-as-new: one chain of runs that looks like one workflow from outside."""

from __future__ import annotations

import asyncio

import pytest
from temporalio import activity, workflow
from temporalio.client import WorkflowContinuedAsNewError, WorkflowExecutionStatus, WorkflowFailureError
from temporalio.exceptions import TimeoutError

from support import SOON, Env, events, eventually, failure_of, ms


@workflow.defn
class Stepping:
    @workflow.run
    async def run(self, step: int, last: int, first_run: str = "") -> list:
        info = workflow.info()
        first_run = first_run or info.run_id
        if step < last:
            workflow.continue_as_new(args=[step + 1, last, first_run])
        return [step, info.continued_run_id is not None, info.first_execution_run_id == first_run]


async def test_a_chain_of_many_runs_gives_the_result_of_the_last(env: Env):
    async with env.worker([Stepping]):
        handle = await env.start(Stepping.run, 0, 15)
        assert await handle.result() == [15, True, True]


async def test_a_client_may_follow_one_run_only(env: Env):
    async with env.worker([Stepping]):
        handle = await env.start(Stepping.run, 0, 1)
        await handle.result()
        with pytest.raises(WorkflowContinuedAsNewError) as continued:
            await handle.result(follow_runs=False)
        first = env.client.get_workflow_handle(handle.id, run_id=handle.result_run_id)
        assert (await first.describe()).status == WorkflowExecutionStatus.CONTINUED_AS_NEW
        second = env.client.get_workflow_handle(handle.id, run_id=continued.value.new_execution_run_id)
        assert (await second.describe()).status == WorkflowExecutionStatus.COMPLETED


async def test_each_run_of_a_chain_knows_the_one_before(env: Env):
    async with env.worker([Stepping]):
        handle = await env.start(Stepping.run, 0, 3)
        await handle.result()
    run_id, chain = handle.result_run_id, []
    while run_id:
        run = env.client.get_workflow_handle(handle.id, run_id=run_id)
        history = await events(run)
        started = history[0].workflow_execution_started_event_attributes
        assert started.first_execution_run_id == handle.result_run_id
        assert started.continued_execution_run_id == (chain[-1] if chain else "")
        chain.append(run_id)
        closed = history[-1]
        run_id = closed.workflow_execution_continued_as_new_event_attributes.new_execution_run_id
    assert len(chain) == 4


@workflow.defn
class Ledger:
    """Adds up what it is told, and starts afresh after every third word; a word that is not handled goes along."""

    def __init__(self) -> None:
        self.inbox: list[int] = []
        self.over = False

    @workflow.run
    async def run(self, total: int, runs: int) -> dict:
        handled = 0
        while not (self.over and not self.inbox):
            await workflow.wait_condition(lambda: bool(self.inbox) or self.over)
            while self.inbox:
                total += self.inbox.pop(0)
                handled += 1
            if handled >= 3 and not self.over:
                workflow.continue_as_new(args=[total, runs + 1])
        return {"total": total, "runs": runs}

    @workflow.signal
    def add(self, number: int) -> None:
        self.inbox.append(number)

    @workflow.signal
    def finish(self) -> None:
        self.over = True


async def test_no_signal_is_lost_or_doubled_while_runs_follow_each_other(env: Env):
    async with env.worker([Ledger]):
        handle = await env.start(Ledger.run, 0, 1)
        any_run = env.client.get_workflow_handle(handle.id)
        for start in range(0, 60, 5):
            await asyncio.gather(*(any_run.signal(Ledger.add, 1 << n % 8) for n in range(start, start + 5)))

        async def first_run_is_over():
            return (await any_run.describe()).run_id != handle.first_execution_run_id

        # A worker that is slow to begin would otherwise find everything said already.
        await eventually(first_run_is_over)
        await any_run.signal(Ledger.finish)
        result = await handle.result()
    assert result["total"] == sum(1 << n % 8 for n in range(60))
    assert result["runs"] > 1


@activity.defn
async def give_back(word: str) -> str:
    return word


@workflow.defn
class Carrying:
    @workflow.run
    async def run(self, step: int) -> dict:
        assert await workflow.execute_activity(give_back, "x", start_to_close_timeout=SOON) == "x"
        if step == 0:
            workflow.continue_as_new(1, memo={"from": "run 0", **{k: workflow.memo_value(k) for k in workflow.memo()}})
        info = workflow.info()
        return {"memo": {k: workflow.memo_value(k) for k in workflow.memo()}, "task_queue": info.task_queue,
                "type": info.workflow_type, "attempt": info.attempt}


async def test_memo_queue_and_type_go_along(env: Env):
    async with env.worker([Carrying], [give_back]):
        result = await env.run(Carrying.run, 0, memo={"owner": "me"})
    assert result == {"memo": {"owner": "me", "from": "run 0"}, "task_queue": env.task_queue, "type": "Carrying",
                      "attempt": 1}


@workflow.defn
class ToOther:
    @workflow.run
    async def run(self, queue: str) -> None:
        workflow.continue_as_new(args=[0, 0], workflow=Stepping.run, task_queue=queue)


async def test_the_next_run_may_have_another_type_and_queue(env: Env):
    other = env.id("other")
    async with env.worker([ToOther]), env.worker([Stepping], task_queue=other):
        handle = await env.start("ToOther", other, result_type=list)
        assert await handle.result() == [0, True, False]


@workflow.defn
class Endless:
    @workflow.run
    async def run(self, n: int) -> None:
        await asyncio.sleep(0.2)
        workflow.continue_as_new(n + 1)


async def test_the_execution_timeout_counts_over_the_whole_chain(env: Env):
    async with env.worker([Endless]):
        handle = await env.start(Endless.run, 0, execution_timeout=ms(1500))
        assert isinstance(await failure_of(handle), TimeoutError)


async def test_the_run_timeout_counts_for_each_run_alone(env: Env):
    async with env.worker([Endless]):
        handle = await env.start(Endless.run, 0, run_timeout=ms(6000))
        any_run = env.client.get_workflow_handle(handle.id)

        async def third_run() -> bool:
            first = (await events(any_run))[0].workflow_execution_started_event_attributes
            assert first.workflow_run_timeout.ToMilliseconds() == 6000
            return first.input.payloads[0].data in (b"3", b"4", b"5")

        await eventually(third_run)
        await any_run.terminate("enough")
        with pytest.raises(WorkflowFailureError):
            await handle.result()
