"""Programs whose histories are recorded: `histories/` has what the real server wrote for each.

Each program makes its events in one order only, waiting for every step, so that the histories of two servers can be
compared event by event. A change here needs new recordings: see `test_recorded_histories.py`.
"""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Awaitable, Callable
from datetime import timedelta

from temporalio import activity, workflow
from temporalio.api.common.v1 import WorkflowExecution
from temporalio.api.workflowservice.v1 import ResetWorkflowExecutionRequest
from temporalio.client import (
    Schedule, ScheduleActionStartWorkflow, ScheduleSpec, ScheduleState, WorkflowHandle, WorkflowUpdateFailedError,
    WorkflowUpdateStage,
)
from temporalio.common import RetryPolicy, SearchAttributeKey
from temporalio.exceptions import ActivityError, ApplicationError, ChildWorkflowError, TimeoutError

from support import ONCE, SOON, Env, eventually, failure_of, has_event, ms

KEYWORDS = SearchAttributeKey.for_keyword_list("BuildIds")


@activity.defn
async def double(number: int) -> int:
    if number < 0:
        raise ApplicationError("negative numbers are not doubled", non_retryable=True)
    if number % 2 and activity.info().attempt == 1:
        raise ApplicationError("odd ones are tried twice")
    return number * 2


@activity.defn
async def stall() -> None:
    while True:
        activity.heartbeat()
        await asyncio.sleep(0.05)


@workflow.defn
class Steps:
    """One thing after the other: activities, a timer, a local activity, a patch, a memo."""

    @workflow.run
    async def run(self) -> list[int]:
        retry = RetryPolicy(initial_interval=ms(10))
        results = [
            await workflow.execute_activity(double, number, start_to_close_timeout=SOON, retry_policy=retry)
            for number in (2, 3)
        ]
        await asyncio.sleep(0.01)
        results.append(await workflow.execute_local_activity(double, 4, start_to_close_timeout=SOON))
        assert workflow.patched("recorded")
        workflow.upsert_memo({"so far": results})
        await asyncio.sleep(0.01)
        return results


@workflow.defn
class Troubles:
    """What goes wrong in activities and children, and is dealt with."""

    def __init__(self) -> None:
        self.told = False

    @workflow.signal
    def tell(self) -> None:
        self.told = True

    @workflow.run
    async def run(self) -> list[str]:
        seen = []
        try:
            await workflow.execute_activity(double, -1, start_to_close_timeout=SOON)
        except ActivityError as error:
            seen.append(type(error.cause).__name__)
        try:
            await workflow.execute_activity(
                double, 1, task_queue="nobody-polls-here", schedule_to_close_timeout=SOON, schedule_to_start_timeout=ms(50)
            )
        except ActivityError as error:
            assert isinstance(error.cause, TimeoutError)
            seen.append("timeout")
        stalling = workflow.start_activity(
            stall, start_to_close_timeout=SOON, heartbeat_timeout=timedelta(seconds=5), retry_policy=ONCE,
            cancellation_type=workflow.ActivityCancellationType.WAIT_CANCELLATION_COMPLETED,
        )
        await workflow.wait_condition(lambda: self.told)
        stalling.cancel()
        try:
            await stalling
        except ActivityError as error:
            seen.append(type(error.cause).__name__)
        try:
            await workflow.execute_child_workflow(Leaf.run, -1, id=f"{workflow.info().workflow_id}-leaf")
        except ChildWorkflowError as error:
            seen.append(type(error.cause).__name__)
        return seen


@workflow.defn
class Leaf:
    @workflow.run
    async def run(self, number: int) -> int:
        if number < 0:
            raise ApplicationError("too small")
        return number + 1


@workflow.defn
class Listener:
    """Ends when it has heard so many words; takes them by signal and by update."""

    def __init__(self) -> None:
        self.words: list[str] = []
        self.released = False

    @workflow.run
    async def run(self, until: int) -> list[str]:
        await workflow.wait_condition(lambda: len(self.words) >= until and workflow.all_handlers_finished())
        return self.words

    @workflow.signal
    def say(self, word: str) -> None:
        self.words.append(word)

    @workflow.signal
    def release(self) -> None:
        self.released = True

    @workflow.update
    def add(self, word: str) -> int:
        if word == "bad":
            raise ApplicationError("spoilt", non_retryable=True)
        self.words.append(word)
        return len(self.words)

    @add.validator
    def check(self, word: str) -> None:
        if not word:
            raise ValueError("no word")

    @workflow.update
    async def add_later(self, word: str) -> int:
        await workflow.wait_condition(lambda: self.released)
        self.words.append(word)
        return len(self.words)


@workflow.defn
class Caller:
    """A child that completes, a signal to it, a cancel request to somebody else, and one to nobody."""

    @workflow.run
    async def run(self, other: str) -> list[str]:
        child = await workflow.start_child_workflow(Listener.run, 2, id=f"{workflow.info().workflow_id}-child")
        await child.signal(Listener.say, "hello")
        words = await child
        await workflow.get_external_workflow_handle(other).cancel()
        try:
            await workflow.get_external_workflow_handle(f"{other}-ghost").signal("say", "anyone?")
        except ApplicationError:
            words.append("nobody")
        return words


@workflow.defn
class CleansUp:
    @workflow.run
    async def run(self) -> None:
        try:
            await asyncio.sleep(3600)
        finally:
            await workflow.execute_activity(double, 2, start_to_close_timeout=SOON)


@workflow.defn
class Chain:
    @workflow.run
    async def run(self, left: int) -> int:
        if left:
            await workflow.execute_activity(double, 2, start_to_close_timeout=SOON)
            workflow.continue_as_new(left - 1)
        return left


@workflow.defn
class Sleeper:
    @workflow.run
    async def run(self) -> None:
        await asyncio.sleep(3600)


@workflow.defn
class Attributes:
    @workflow.run
    async def run(self) -> None:
        workflow.upsert_search_attributes([KEYWORDS.value_set(["one", "two"])])
        await asyncio.sleep(0.01)
        workflow.upsert_search_attributes([KEYWORDS.value_unset()])


@workflow.defn
class Stumbles:
    """Its first task fails twice: what is no failure of Temporal's is a mistake in the code, to be mended."""

    stumbles: dict[str, int] = {}

    @workflow.run
    async def run(self) -> str:
        await asyncio.sleep(0.01)
        stumbles = Stumbles.stumbles
        run_id = workflow.info().run_id
        stumbles[run_id] = stumbles.get(run_id, 0) + 1
        if not workflow.unsafe.is_replaying() and stumbles[run_id] <= 2:
            raise RuntimeError("a mistake in the code")
        return "up again"


WORKFLOWS: list[type] = [
    Steps, Troubles, Leaf, Listener, Caller, CleansUp, Chain, Sleeper, Attributes, Stumbles,
]
ACTIVITIES: list[Callable] = [double, stall]

Program = Callable[[Env], Awaitable[WorkflowHandle]]
PROGRAMS: dict[str, Program] = {}


def program(function: Program) -> Program:
    PROGRAMS[function.__name__] = function
    return function


async def first_task(handle: WorkflowHandle) -> None:
    await eventually(lambda: has_event(handle, "WORKFLOW_TASK_COMPLETED"))


def run_of(env: Env, handle: WorkflowHandle, run_id: str | None = None) -> WorkflowHandle:
    return env.client.get_workflow_handle(handle.id, run_id=run_id or handle.result_run_id)


@program
async def steps(env: Env) -> WorkflowHandle:
    handle = await env.start(Steps.run)
    assert await handle.result() == [4, 6, 8]
    return handle


@program
async def troubles(env: Env) -> WorkflowHandle:
    handle = await env.start(Troubles.run)

    async def stalling() -> bool:
        pending = (await handle.describe()).raw_description.pending_activities
        return any(p.activity_type.name == "stall" and p.HasField("last_started_time") for p in pending)

    await eventually(stalling)
    await handle.signal(Troubles.tell)
    assert await handle.result() == ["ApplicationError", "timeout", "CancelledError", "ApplicationError"]
    return handle


@program
async def signals(env: Env) -> WorkflowHandle:
    handle = await env.start(Listener.run, 2)
    await first_task(handle)
    await handle.signal(Listener.say, "one")
    await eventually(lambda: has_event(handle, "WORKFLOW_TASK_COMPLETED", 2))
    await handle.signal(Listener.say, "two")
    assert await handle.result() == ["one", "two"]
    return handle


@program
async def updates(env: Env) -> WorkflowHandle:
    """Accepted, completed, failed, rejected, and one that takes several tasks."""
    handle = await env.start(Listener.run, 3)
    await first_task(handle)
    assert await handle.execute_update(Listener.add, "one") == 1
    for word in ("", "bad"):
        try:
            await handle.execute_update(Listener.add, word)
            raise AssertionError(f"{word!r} was taken")
        except WorkflowUpdateFailedError:
            pass
    later = await handle.start_update(Listener.add_later, "two", wait_for_stage=WorkflowUpdateStage.ACCEPTED)
    await handle.signal(Listener.release)
    assert await later.result() == 2
    assert await handle.execute_update(Listener.add, "three") == 3
    await handle.result()
    return handle


@program
async def reset(env: Env) -> WorkflowHandle:
    """A run that went back to its first task and got a signal and an update again."""
    handle = await env.start(Listener.run, 2)
    await first_task(handle)
    await handle.signal(Listener.say, "one")
    await eventually(lambda: has_event(handle, "WORKFLOW_TASK_COMPLETED", 2))
    await handle.execute_update(Listener.add, "two")
    await handle.result()
    answer = await env.client.workflow_service.reset_workflow_execution(
        ResetWorkflowExecutionRequest(
            namespace=env.client.namespace,
            workflow_execution=WorkflowExecution(workflow_id=handle.id, run_id=handle.result_run_id or ""),
            reason="recorded",
            request_id=str(uuid.uuid4()),
            workflow_task_finish_event_id=4,
        )
    )
    again = run_of(env, handle, answer.run_id)
    assert await again.result() == ["one", "two"]
    return again


@program
async def others(env: Env) -> WorkflowHandle:
    sleeper = await env.start(Sleeper.run, id=env.id("sleeper"))
    handle = await env.start(Caller.run, sleeper.id)
    # The child must not end while its parent is still told of the signal: both would share a task, or not.
    await eventually(lambda: has_event(handle, "WORKFLOW_TASK_COMPLETED", 3))
    await env.client.get_workflow_handle(f"{handle.id}-child").signal(Listener.say, "bye")
    assert await handle.result() == ["hello", "bye", "nobody"]
    await failure_of(sleeper)
    return handle


@program
async def cancelled(env: Env) -> WorkflowHandle:
    handle = await env.start(CleansUp.run)
    await first_task(handle)
    await handle.cancel()
    await failure_of(handle)
    return handle


@program
async def terminated(env: Env) -> WorkflowHandle:
    handle = await env.start(Sleeper.run)
    await first_task(handle)
    await handle.terminate("enough", {"why": "recorded"})
    await failure_of(handle)
    return handle


@program
async def timed_out(env: Env) -> WorkflowHandle:
    handle = await env.start(Sleeper.run, run_timeout=timedelta(seconds=1))
    await failure_of(handle)
    return handle


@program
async def failed(env: Env) -> WorkflowHandle:
    handle = await env.start(Leaf.run, -1)
    await failure_of(handle)
    return handle


@program
async def continued_as_new(env: Env) -> WorkflowHandle:
    handle = await env.start(Chain.run, 1)
    await handle.result()
    return run_of(env, handle, handle.first_execution_run_id)


@program
async def the_run_that_continued(env: Env) -> WorkflowHandle:
    handle = await env.start(Chain.run, 1, memo={"kept": True})
    await handle.result()
    return run_of(env, handle, (await env.client.get_workflow_handle(handle.id).describe()).run_id)


@program
async def delayed(env: Env) -> WorkflowHandle:
    handle = await env.start(Leaf.run, 1, start_delay=ms(100))
    assert await handle.result() == 2
    return handle


@program
async def search_attributes(env: Env) -> WorkflowHandle:
    handle = await env.start(Attributes.run)
    await handle.result()
    return handle


@program
async def failing_tasks(env: Env) -> WorkflowHandle:
    handle = await env.start(Stumbles.run)
    assert await handle.result() == "up again"
    return handle


@program
async def by_schedule(env: Env) -> WorkflowHandle:
    action = ScheduleActionStartWorkflow(Leaf.run, 1, id=env.id("scheduled"), task_queue=env.task_queue)
    paused = ScheduleState(paused=True)
    schedule = await env.client.create_schedule(env.id("schedule"), Schedule(action, ScheduleSpec(), state=paused))
    await schedule.trigger()

    async def taken() -> WorkflowHandle | None:
        actions = (await schedule.describe()).info.recent_actions
        if not actions:
            return None
        started = actions[0].action
        return env.client.get_workflow_handle(started.workflow_id, run_id=started.first_execution_run_id)

    handle = await eventually(taken)
    assert await handle.result() == 2
    await schedule.delete()
    return handle
