"""What a workflow does without the server: local activities, markers, patches, deterministic time and chance."""

from __future__ import annotations

import asyncio
from datetime import timedelta

from temporalio import activity, workflow
from temporalio.common import RetryPolicy
from temporalio.exceptions import ActivityError, ApplicationError, TimeoutError

from support import SOON, Env, event_names, events, eventually, failure_of, has_event, ms

calls: dict[str, int] = {}


@activity.defn
async def counted(word: str) -> str:
    key = activity.info().workflow_id
    calls[key] = calls.get(key, 0) + 1
    return f"{word} {activity.info().is_local}"


@activity.defn
async def third_time_lucky() -> int:
    if activity.info().attempt < 3:
        raise ApplicationError("not yet")
    return activity.info().attempt


@activity.defn
async def hangs() -> None:
    await asyncio.Event().wait()


@activity.defn
async def refuses() -> None:
    raise ApplicationError("no", type="Refusal", non_retryable=True)


@workflow.defn
class Local:
    @workflow.run
    async def run(self, what: str) -> str | int:
        if what == "word":
            return await workflow.execute_local_activity(counted, "local", start_to_close_timeout=SOON)
        if what == "retry":
            retry = RetryPolicy(initial_interval=ms(20), backoff_coefficient=1.0)
            return await workflow.execute_local_activity(
                third_time_lucky, start_to_close_timeout=SOON, retry_policy=retry
            )
        if what == "retry by timer":
            retry = RetryPolicy(initial_interval=ms(300), backoff_coefficient=1.0)
            return await workflow.execute_local_activity(
                third_time_lucky, start_to_close_timeout=SOON, retry_policy=retry, local_retry_threshold=ms(50)
            )
        if what == "hang":
            once = RetryPolicy(maximum_attempts=1)
            return await workflow.execute_local_activity(hangs, start_to_close_timeout=ms(400), retry_policy=once)
        return await workflow.execute_local_activity(refuses, start_to_close_timeout=SOON)


ACTIVITIES = [counted, third_time_lucky, hangs, refuses]


async def test_a_local_activity_s_result_is_a_marker_and_no_task(env: Env):
    async with env.worker([Local], ACTIVITIES):
        handle = await env.start(Local.run, "word")
        assert await handle.result() == "local True"
    names = await event_names(handle)
    assert "MARKER_RECORDED" in names
    assert "ACTIVITY_TASK_SCHEDULED" not in names


async def test_a_local_activity_is_retried_inside_its_workflow_task(env: Env):
    async with env.worker([Local], ACTIVITIES):
        handle = await env.start(Local.run, "retry")
        assert await handle.result() == 3
    assert "TIMER_STARTED" not in await event_names(handle)


async def test_a_long_pause_between_local_attempts_becomes_a_timer(env: Env):
    async with env.worker([Local], ACTIVITIES):
        handle = await env.start(Local.run, "retry by timer")
        assert await handle.result() == 3
    assert (await event_names(handle)).count("TIMER_FIRED") == 2


async def test_a_local_activity_fails_with_its_own_error(env: Env):
    async with env.worker([Local], ACTIVITIES):
        error = await failure_of(await env.start(Local.run, "refuse"))
    assert isinstance(error, ApplicationError), "the SDK raises a local activity's own error"
    assert error.type == "Refusal"


async def test_a_local_activity_times_out(env: Env):
    async with env.worker([Local], ACTIVITIES):
        error = await failure_of(await env.start(Local.run, "hang"))
    assert isinstance(error, ActivityError)
    assert isinstance(error.cause, TimeoutError)


@activity.defn
async def longer_than_a_task() -> str:
    await asyncio.sleep(2.5)
    return "patience"


@workflow.defn
class Heartbeating:
    @workflow.run
    async def run(self) -> str:
        return await workflow.execute_local_activity(longer_than_a_task, start_to_close_timeout=SOON)


async def test_a_local_activity_longer_than_its_workflow_task_keeps_the_task_alive(env: Env):
    async with env.worker([Heartbeating], [longer_than_a_task]):
        handle = await env.start(Heartbeating.run, task_timeout=ms(1000))
        assert await handle.result() == "patience"
    names = await event_names(handle)
    assert names.count("WORKFLOW_TASK_COMPLETED") >= 3, "the task was renewed"
    assert "WORKFLOW_TASK_TIMED_OUT" not in names


@workflow.defn
class Deterministic:
    def __init__(self) -> None:
        self.seen: list = []
        self.done = False

    @workflow.run
    async def run(self) -> list:
        for _ in range(3):
            self.seen.append([str(workflow.uuid4()), workflow.random().randint(0, 1 << 30), workflow.now().isoformat()])
            await workflow.execute_local_activity(counted, "x", start_to_close_timeout=SOON)
            await asyncio.sleep(0.01)
        await workflow.wait_condition(lambda: self.done)
        return self.seen

    @workflow.query
    def seen_so_far(self) -> list:
        return self.seen

    @workflow.signal
    def finish(self) -> None:
        self.done = True


async def test_time_chance_and_local_results_are_the_same_at_every_replay(env: Env):
    async with env.worker([Deterministic], [counted], max_cached_workflows=0):
        handle = await env.start(Deterministic.run)
        await eventually(lambda: has_event(handle, "TIMER_FIRED", 3))
        before = await handle.query(Deterministic.seen_so_far)
        assert len(before) == 3
        await handle.signal(Deterministic.finish)
        assert await handle.result() == before
    assert calls[handle.id] == 3, "replay runs no local activity again"


# Three ages of one workflow type.


@workflow.defn(name="Aging")
class Unpatched:
    def __init__(self) -> None:
        self.done = False

    @workflow.run
    async def run(self) -> str:
        await asyncio.sleep(0.01)
        await workflow.wait_condition(lambda: self.done)
        return "old"

    @workflow.signal
    def finish(self) -> None:
        self.done = True


@workflow.defn(name="Aging")
class Patched:
    def __init__(self) -> None:
        self.done = False

    @workflow.run
    async def run(self) -> str:
        if workflow.patched("better"):
            await workflow.execute_local_activity(counted, "p", start_to_close_timeout=SOON)
            word = "new"
        else:
            await asyncio.sleep(0.01)
            word = "old"
        await workflow.wait_condition(lambda: self.done)
        return word

    @workflow.signal
    def finish(self) -> None:
        self.done = True


@workflow.defn(name="Aging")
class Deprecated:
    def __init__(self) -> None:
        self.done = False

    @workflow.run
    async def run(self) -> str:
        workflow.deprecate_patch("better")
        await workflow.execute_local_activity(counted, "p", start_to_close_timeout=SOON)
        await workflow.wait_condition(lambda: self.done)
        return "new"

    @workflow.signal
    def finish(self) -> None:
        self.done = True


QUICK_STICKY = {"sticky_queue_schedule_to_start_timeout": timedelta(milliseconds=300)}


async def test_a_run_from_before_a_patch_goes_on_as_before_and_a_new_run_takes_the_patch(env: Env):
    async with env.worker([Unpatched], [counted], **QUICK_STICKY):
        old = await env.start("Aging", id=env.id("old"))
        await eventually(lambda: has_event(old, "TIMER_FIRED"))
        await eventually(lambda: has_event(old, "WORKFLOW_TASK_COMPLETED", 2))
    async with env.worker([Patched], [counted], **QUICK_STICKY):
        new = await env.start("Aging", id=env.id("new"))
        await eventually(lambda: has_event(new, "WORKFLOW_TASK_COMPLETED"))
        await old.signal("finish")
        assert await old.result() == "old"
    async with env.worker([Deprecated], [counted], **QUICK_STICKY):
        await new.signal("finish")
        assert await new.result() == "new"
    markers = [e.marker_recorded_event_attributes.marker_name for e in await events(new)
               if e.HasField("marker_recorded_event_attributes")]
    assert "core_patch" in markers
    assert "WORKFLOW_TASK_FAILED" not in await event_names(old) + await event_names(new)
