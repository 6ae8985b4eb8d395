"""Histories that the engine wrote replay in the official SDK."""

from __future__ import annotations

import asyncio
import json

import pytest
from temporalio import activity, workflow
from temporalio.api.common.v1 import WorkflowExecution
from temporalio.api.workflowservice.v1 import (
    GetWorkflowExecutionHistoryRequest, GetWorkflowExecutionHistoryReverseRequest,
)
from temporalio.client import WorkflowHistory
from temporalio.common import RetryPolicy
from temporalio.exceptions import ApplicationError
from temporalio.worker import Replayer, UnsandboxedWorkflowRunner

from support import SOON, Env, events, eventually, has_event, ms


@activity.defn
async def twice(number: int) -> int:
    if activity.info().attempt == 1 and number % 2:
        raise ApplicationError("odd ones are tried twice")
    return number * 2


@workflow.defn
class Leaf:
    @workflow.run
    async def run(self, number: int) -> int:
        await asyncio.sleep(0.01)
        return number + 1


@workflow.defn
class Rich:
    """A bit of everything that makes events."""

    def __init__(self) -> None:
        self.words: list[str] = []

    @workflow.run
    async def run(self) -> list:
        retry = RetryPolicy(initial_interval=ms(10), maximum_attempts=3)
        doubled = await asyncio.gather(
            *(workflow.execute_activity(twice, n, start_to_close_timeout=SOON, retry_policy=retry) for n in range(4))
        )
        leaf = await workflow.execute_child_workflow(Leaf.run, 1, id=f"{workflow.info().workflow_id}-leaf")
        await workflow.execute_local_activity(twice, 2, start_to_close_timeout=SOON)
        assert workflow.patched("everything")
        workflow.upsert_memo({"at": leaf})
        try:
            await workflow.wait_condition(lambda: len(self.words) == 2, timeout=30)
        except asyncio.TimeoutError:
            pass
        sleeper = asyncio.create_task(asyncio.sleep(3600))
        await asyncio.sleep(0.01)
        sleeper.cancel()
        return [*doubled, leaf, *self.words]

    @workflow.signal
    def say(self, word: str) -> None:
        self.words.append(word)


@workflow.defn(name="Rich")
class RichButDifferent:
    @workflow.run
    async def run(self) -> list:
        await asyncio.sleep(1)
        return []

    @workflow.signal
    def say(self, word: str) -> None:
        pass


async def rich_run(env: Env, **worker_options):
    async with env.worker([Rich, Leaf], [twice], **worker_options):
        handle = await env.start(Rich.run)
        await eventually(lambda: has_event(handle, "MARKER_RECORDED"))
        await handle.signal(Rich.say, "one")
        await handle.signal(Rich.say, "two")
        assert await handle.result() == [0, 2, 4, 6, 2, "one", "two"]
    return handle


def replayer(*workflows: type) -> Replayer:
    return Replayer(workflows=list(workflows), workflow_runner=UnsandboxedWorkflowRunner())


async def test_a_rich_history_replays(env: Env):
    handle = await rich_run(env)
    await replayer(Rich, Leaf).replay_workflow(await handle.fetch_history())


async def test_a_rich_workflow_runs_without_any_cache(env: Env):
    handle = await rich_run(env, max_cached_workflows=0)
    await replayer(Rich, Leaf).replay_workflow(await handle.fetch_history())


async def test_a_history_survives_its_journey_through_json(env: Env):
    handle = await rich_run(env)
    text = (await handle.fetch_history()).to_json()
    assert json.loads(text)["events"]
    await replayer(Rich, Leaf).replay_workflow(WorkflowHistory.from_json(handle.id, text))


async def test_replay_notices_code_that_differs(env: Env):
    handle = await rich_run(env)
    with pytest.raises(workflow.NondeterminismError):
        await replayer(RichButDifferent, Leaf).replay_workflow(await handle.fetch_history())


async def test_histories_of_a_list_replay_together(env: Env):
    async with env.worker([Leaf]):
        handles = [await env.start(Leaf.run, n, id=env.id(str(n))) for n in range(4)]
        assert [await h.result() for h in handles] == [1, 2, 3, 4]
    query = f"TaskQueue = '{env.task_queue}'"

    async def all_listed() -> bool:
        return (await env.client.count_workflows(query)).count == 4

    await eventually(all_listed)
    histories = env.client.list_workflows(query).map_histories()
    results = await replayer(Leaf).replay_workflows(histories)
    assert not results.replay_failures


async def test_events_are_numbered_from_one_without_a_gap_and_in_the_order_of_time(env: Env):
    history = await events(await rich_run(env))
    assert [e.event_id for e in history] == list(range(1, len(history) + 1))
    assert history[0].HasField("workflow_execution_started_event_attributes")
    assert history[-1].HasField("workflow_execution_completed_event_attributes")


async def test_a_history_is_read_in_pages_and_backwards(env: Env):
    handle = await rich_run(env)
    forward = await events(handle)
    execution = WorkflowExecution(workflow_id=handle.id, run_id=handle.result_run_id)
    service = env.client.workflow_service

    async def pages(call, request) -> list[int]:
        seen, count = [], 0
        while True:
            answer = await call(request)
            seen, count = seen + [e.event_id for e in answer.history.events], count + 1
            if not answer.next_page_token:
                assert count > 1, "the history came in one piece"
                return seen
            request.next_page_token = answer.next_page_token

    ids = [e.event_id for e in forward]
    onward = GetWorkflowExecutionHistoryRequest(namespace="default", execution=execution, maximum_page_size=5)
    assert await pages(service.get_workflow_execution_history, onward) == ids
    backward = GetWorkflowExecutionHistoryReverseRequest(namespace="default", execution=execution, maximum_page_size=5)
    assert await pages(service.get_workflow_execution_history_reverse, backward) == ids[::-1]
