"""The `temporal` command line works on the engine."""

from __future__ import annotations

import asyncio
import json
from datetime import timedelta
from typing import Any

import pytest
from temporalio import workflow
from temporalio.client import WorkflowExecutionStatus
from temporalio.exceptions import ApplicationError, TerminatedError

from cli import Refused, cli
from support import Env, eventually, failure_of, has_event


@workflow.defn
class Desk:
    def __init__(self) -> None:
        self.papers: list = []
        self.closed = False

    @workflow.run
    async def run(self, greeting: str = "") -> list:
        if greeting == "fail":
            raise ApplicationError("nobody at the desk", non_retryable=True)
        if greeting == "quick":
            return [greeting]
        await workflow.wait_condition(lambda: self.closed)
        return self.papers

    @workflow.signal
    def put(self, paper: Any) -> None:
        self.papers.append(paper)

    @workflow.signal
    def close(self) -> None:
        self.closed = True

    @workflow.query
    def pile(self, plus: int = 0) -> int:
        return len(self.papers) + plus


async def temporal(env: Env, *words: str, as_json: bool = True) -> Any:
    return await cli(env, "workflow", *words, as_json=as_json)


def start_words(env: Env, *inputs: str, verb: str = "start") -> list[str]:
    words = [verb, "--type", "Desk", "--task-queue", env.task_queue, "--workflow-id", env.id()]
    for given in inputs:
        words += ["--input", given]
    return words


@pytest.fixture
async def desk(env: Env):
    async with env.worker([Desk]):
        yield env


async def test_start_starts_and_result_waits(desk: Env):
    started = await temporal(desk, *start_words(desk, '"quick"'))
    assert started["workflowId"] == desk.id()
    result = await temporal(desk, "result", "-w", desk.id())
    assert (result["status"], result["result"]) == ("COMPLETED", ["quick"])


async def test_execute_starts_and_waits(desk: Env):
    done = await temporal(desk, *start_words(desk, '"quick"', verb="execute"))
    assert (done["status"], done["result"]) == ("COMPLETED", ["quick"])


async def test_execute_of_a_workflow_that_fails_exits_with_an_error(desk: Env):
    with pytest.raises(Refused) as refusal:
        await temporal(desk, *start_words(desk, '"fail"', verb="execute"))
    assert "nobody at the desk" in str(refusal.value)


async def test_a_second_start_with_the_id_is_refused(desk: Env):
    await temporal(desk, *start_words(desk))
    with pytest.raises(Refused) as refusal:
        await temporal(desk, *start_words(desk), "--fail-existing")
    assert "already" in str(refusal.value).lower()
    await desk.client.get_workflow_handle(desk.id()).terminate()


async def test_signal_and_query_reach_the_workflow(desk: Env):
    handle = await desk.start(Desk.run)
    await temporal(desk, "signal", "-w", handle.id, "--name", "put", "--input", '{"page": 1}')
    answer = await temporal(desk, "query", "-w", handle.id, "--type", "pile", "--input", "10")
    assert answer["queryResult"] == [11]
    await temporal(desk, "signal", "-w", handle.id, "--name", "close")
    assert await handle.result() == [{"page": 1}]


async def test_describe_shows_the_run(desk: Env):
    handle = await desk.start(Desk.run, memo={"room": 101})
    await eventually(lambda: has_event(handle, "WORKFLOW_TASK_COMPLETED"))
    described = await temporal(desk, "describe", "-w", handle.id)
    info = described["workflowExecutionInfo"]
    assert info["execution"] == {"workflowId": handle.id, "runId": handle.result_run_id}
    assert (info["type"]["name"], info["status"]) == ("Desk", "WORKFLOW_EXECUTION_STATUS_RUNNING")
    text = await temporal(desk, "describe", "-w", handle.id, as_json=False)
    assert "Desk" in text and "Pending Activities: 0" in text
    await handle.terminate()


async def test_show_prints_the_history_and_follows_a_running_one(desk: Env):
    handle = await desk.start(Desk.run)
    following = asyncio.create_task(temporal(desk, "show", "-w", handle.id, "--follow", as_json=False))
    await eventually(lambda: has_event(handle, "WORKFLOW_TASK_COMPLETED"))
    await handle.signal(Desk.close)
    text = await following
    assert "WorkflowExecutionStarted" in text and "WorkflowExecutionCompleted" in text
    shown = await temporal(desk, "show", "-w", handle.id)
    assert [int(event["eventId"]) for event in shown["events"]] == list(range(1, len(shown["events"]) + 1))


async def test_list_and_count_find_what_the_query_says(desk: Env):
    handles = [await desk.start(Desk.run, id=desk.id(str(n))) for n in range(3)]
    query = f"TaskQueue = '{desk.task_queue}' AND ExecutionStatus = 'Running'"

    async def all_three():
        listed = await temporal(desk, "list", "--query", query)
        return {row["execution"]["workflowId"] for row in listed or []} == {h.id for h in handles}

    await eventually(all_three)
    limited = await temporal(desk, "list", "--query", query, "--limit", "2")
    assert len(limited) == 2
    assert int((await temporal(desk, "count", "--query", query))["count"]) == 3
    assert "Desk" in await temporal(desk, "list", "--query", query, as_json=False)
    for handle in handles:
        await handle.terminate()


async def test_cancel_asks_the_workflow_to_stop(desk: Env):
    handle = await desk.start(Desk.run)
    await eventually(lambda: has_event(handle, "WORKFLOW_TASK_COMPLETED"))
    await temporal(desk, "cancel", "-w", handle.id)
    await failure_of(handle)
    assert (await handle.describe()).status == WorkflowExecutionStatus.CANCELED


async def test_terminate_ends_the_workflow_with_its_reason(desk: Env):
    handle = await desk.start(Desk.run)
    await temporal(desk, "terminate", "-w", handle.id, "--reason", "the office is closed")
    error = await failure_of(handle)
    assert isinstance(error, TerminatedError)
    assert "the office is closed" in str(error)


async def test_stack_shows_where_the_workflow_waits(desk: Env):
    handle = await desk.start(Desk.run)
    assert "Stack for" in json.dumps(await temporal(desk, "stack", "-w", handle.id))
    await handle.terminate()


async def test_a_workflow_that_is_not_there_is_an_error_that_names_it(env: Env):
    for words in (("describe",), ("terminate", "--reason", "x"), ("show",), ("cancel",)):
        with pytest.raises(Refused) as refusal:
            await temporal(env, *words, "-w", env.id("ghost"))
        assert "not found" in str(refusal.value).lower(), words


async def test_signal_with_start_starts_and_signals(desk: Env):
    words = start_words(desk, verb="signal-with-start") + ["--signal-name", "put", "--signal-input", '"first"']
    await temporal(desk, *words)
    await temporal(desk, *words)
    handle = desk.client.get_workflow_handle(desk.id())
    await handle.signal("close")
    assert await handle.result() == ["first", "first"]


async def test_delay_memo_and_timeouts_are_passed_on(env: Env):
    options = ["--start-delay", "50s", "--memo", 'room="101"', "--run-timeout", "70s", "--task-timeout", "7s"]
    await temporal(env, *start_words(env), *options)
    handle = env.client.get_workflow_handle(env.id())
    described = await handle.describe()
    assert await described.memo() == {"room": "101"}
    assert described.execution_time and described.execution_time - described.start_time == timedelta(seconds=50)
    config = described.raw_description.execution_config
    assert config.workflow_run_timeout.ToTimedelta() == timedelta(seconds=70)
    assert config.default_workflow_task_timeout.ToTimedelta() == timedelta(seconds=7)
    await handle.terminate()
