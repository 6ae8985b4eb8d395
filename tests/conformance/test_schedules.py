"""Schedules: specs, policies, backfills, triggers, pauses, and the `temporal schedule` command."""

from __future__ import annotations

import asyncio
import json
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest
from temporalio import workflow
from temporalio.client import (
    Schedule, ScheduleActionExecutionStartWorkflow, ScheduleActionStartWorkflow, ScheduleAlreadyRunningError,
    ScheduleBackfill, ScheduleCalendarSpec, ScheduleHandle, ScheduleIntervalSpec, ScheduleOverlapPolicy, SchedulePolicy,
    ScheduleRange, ScheduleSpec, ScheduleState, ScheduleUpdate, WorkflowExecutionStatus,
)
from temporalio.api.workflowservice.v1 import ListScheduleMatchingTimesRequest
from temporalio.service import RPCError, RPCStatusCode

from engines import temporal_binary
from support import Env, eventually, ms


@workflow.defn
class Counted:
    """Answers one more than the run before it did."""

    @workflow.run
    async def run(self, step: int) -> int:
        last = workflow.get_last_completion_result(int) if workflow.has_last_completion_result() else 0
        return last + step


@workflow.defn
class Patient:
    def __init__(self) -> None:
        self.let_go = False

    @workflow.run
    async def run(self) -> str:
        await workflow.wait_condition(lambda: self.let_go)
        return "done"

    @workflow.signal
    def go(self) -> None:
        self.let_go = True


@workflow.defn
class Unlucky:
    @workflow.run
    async def run(self) -> None:
        from temporalio.exceptions import ApplicationError

        raise ApplicationError("no luck", non_retryable=True)


NEVER = ScheduleSpec(calendars=[ScheduleCalendarSpec(year=[ScheduleRange(2099)])])


async def create(env: Env, workflow: Any, *args: Any, spec: ScheduleSpec = NEVER, **options: Any) -> ScheduleHandle:
    create_options = {key: options.pop(key) for key in ("trigger_immediately", "backfill", "memo") if key in options}
    action = ScheduleActionStartWorkflow(workflow, args=list(args), id=env.id("run"), task_queue=env.task_queue)
    return await env.client.create_schedule(env.id(), Schedule(action=action, spec=spec, **options), **create_options)


async def acted(handle: ScheduleHandle, times: int):
    async def enough():
        description = await handle.describe()
        return description if description.info.num_actions >= times else None

    return await eventually(enough)


def run_ids(description) -> list[str]:
    return [a.action.workflow_id for a in description.info.recent_actions
            if isinstance(a.action, ScheduleActionExecutionStartWorkflow)]


async def test_an_interval_starts_workflows_named_after_their_time(env: Env):
    async with env.worker([Counted]):
        handle = await create(env, Counted.run, 1, spec=ScheduleSpec(intervals=[ScheduleIntervalSpec(every=timedelta(seconds=1))]))
        description = await acted(handle, 2)
        first = description.info.recent_actions[0]
        stamp = first.scheduled_at.astimezone(timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")
        assert run_ids(description)[0] == f"{env.id('run')}-{stamp}"
        assert first.started_at >= first.scheduled_at
        assert len(description.info.next_action_times) == 10
        run = env.client.get_workflow_handle(run_ids(description)[0])
        assert await run.result() == 1
        attributes = (await run.describe()).typed_search_attributes
        by_name = {pair.key.name: pair.value for pair in attributes}
        assert by_name["TemporalScheduledById"] == env.id()
        assert by_name["TemporalScheduledStartTime"].timestamp() == first.scheduled_at.timestamp()
        await handle.delete()
        with pytest.raises(RPCError) as gone:
            await handle.describe()
        assert gone.value.status == RPCStatusCode.NOT_FOUND


async def test_a_run_gets_the_result_of_the_one_before(env: Env):
    async with env.worker([Counted]):
        handle = await create(env, Counted.run, 5, trigger_immediately=True)
        first = (await acted(handle, 1)).info.recent_actions[0]
        assert await env.client.get_workflow_handle(first.action.workflow_id).result() == 5
        # Another second, another workflow id.
        await asyncio.sleep(1.1)
        await handle.trigger()
        second = (await acted(handle, 2)).info.recent_actions[1]
        assert await env.client.get_workflow_handle(second.action.workflow_id).result() == 10
        await handle.delete()


async def test_text_is_answered_as_structure(env: Env):
    spec = ScheduleSpec(cron_expressions=["0 12 * * MON-WED,FRI # lunch", "@every 1h/5m"], time_zone_name="Europe/Berlin",
                        jitter=timedelta(seconds=3))
    handle = await create(env, Counted.run, 1, spec=spec, state=ScheduleState(paused=True, note="not yet"))
    description = await handle.describe()
    spec = description.schedule.spec
    assert not spec.cron_expressions
    (calendar,) = spec.calendars
    assert calendar.hour == (ScheduleRange(12, 12, 1),)
    assert calendar.day_of_week == (ScheduleRange(1, 3, 1), ScheduleRange(5, 5, 1))
    assert calendar.day_of_month == (ScheduleRange(1, 31, 1),)
    assert calendar.comment == "lunch"
    assert [(i.every, i.offset) for i in spec.intervals] == [(timedelta(hours=1), timedelta(minutes=5))]
    assert spec.time_zone_name == "Europe/Berlin"
    assert spec.jitter == timedelta(seconds=3)
    policy = description.schedule.policy
    assert (policy.overlap, policy.catchup_window) == (ScheduleOverlapPolicy.SKIP, timedelta(days=365))
    state = description.schedule.state
    assert (state.paused, state.note) == (True, "not yet")
    await handle.delete()


@pytest.mark.parametrize("spec, reason", [
    (ScheduleSpec(cron_expressions=["61 * * * *"]), "Minute is not in range [0-59]"),
    (ScheduleSpec(cron_expressions=["* * * *"]), "CronString does not have 5-7 fields"),
    (ScheduleSpec(cron_expressions=["5-1 * * * *"]), "Minute End is before Start or not in range [0-59]"),
    (ScheduleSpec(cron_expressions=["CRON_TZ=Mars/Olympus 0 0 * * *"]), "unknown time zone Mars/Olympus"),
    (ScheduleSpec(cron_expressions=["TZ=UTC 0 0 * * *", "TZ=Asia/Tokyo 0 0 * * *"]), "conflicting timezone names"),
    (ScheduleSpec(calendars=[ScheduleCalendarSpec(hour=[ScheduleRange(25)])]), "Hour Start is not in range [0-23]"),
    (ScheduleSpec(intervals=[ScheduleIntervalSpec(every=ms(10))]), "interval is too small"),
    (ScheduleSpec(intervals=[ScheduleIntervalSpec(every=timedelta(hours=1), offset=timedelta(hours=2))]),
     "phase cannot be greater than Interval"),
])
async def test_a_spec_that_makes_no_sense_is_refused_with_its_reason(env: Env, spec: ScheduleSpec, reason: str):
    with pytest.raises(RPCError) as refused:
        await create(env, Counted.run, 1, spec=spec)
    assert refused.value.status == RPCStatusCode.INVALID_ARGUMENT
    assert reason in refused.value.message


@pytest.mark.parametrize("cron, after, expected", [
    # New York, spring: there is no half past two on the 10th.
    ("CRON_TZ=America/New_York 30 2 * * *", "2024-03-09T05:00:00Z", ["2024-03-09T07:30:00Z", "2024-03-11T06:30:00Z"]),
    # Autumn: half past one is there twice.
    ("CRON_TZ=America/New_York 30 1 * * *", "2024-11-03T00:00:00Z",
     ["2024-11-03T05:30:00Z", "2024-11-03T06:30:00Z", "2024-11-04T06:30:00Z"]),
    ("0 0 13 * fri", "2024-02-28T00:00:00Z", ["2024-09-13T00:00:00Z", "2024-12-13T00:00:00Z"]),
    ("30 15 12 29 2 * *", "2023-01-01T00:00:00Z", ["2024-02-29T12:15:30Z", "2028-02-29T12:15:30Z"]),
    ("0 0 * * 7", "2024-02-28T00:00:00Z", ["2024-03-03T00:00:00Z"]),
    ("0 0 1 jan,jul *", "2024-02-28T00:00:00Z", ["2024-07-01T00:00:00Z", "2025-01-01T00:00:00Z"]),
    ("5/20 8 * * *", "2024-02-28T00:00:00Z", ["2024-02-28T08:05:00Z", "2024-02-28T08:25:00Z", "2024-02-28T08:45:00Z"]),
    ("@every 36h/1h", "2024-02-28T00:00:00Z", ["2024-02-29T01:00:00Z", "2024-03-01T13:00:00Z"]),
])
async def test_times_that_match(env: Env, cron: str, after: str, expected: list[str]):
    handle = await create(env, Counted.run, 1, spec=ScheduleSpec(cron_expressions=[cron]), state=ScheduleState(paused=True))
    request = ListScheduleMatchingTimesRequest(namespace=env.client.namespace, schedule_id=handle.id)
    request.start_time.FromJsonString(after)
    request.end_time.FromJsonString("2030-01-01T00:00:00Z")
    answer = await env.client.workflow_service.list_schedule_matching_times(request)
    assert [time.ToJsonString() for time in answer.start_time[:len(expected)]] == expected
    assert len(answer.start_time) <= 1000
    await handle.delete()


async def test_actions_wait_for_the_one_before_when_they_may(env: Env):
    async with env.worker([Patient]):
        handle = await create(env, Patient.run, policy=SchedulePolicy(overlap=ScheduleOverlapPolicy.BUFFER_ALL),
                              trigger_immediately=True)
        first = run_ids(await acted(handle, 1))[0]
        await asyncio.sleep(1.1)
        await handle.trigger()
        await eventually(lambda: running(handle))
        await env.client.get_workflow_handle(first).signal(Patient.go)
        second = run_ids(await acted(handle, 2))[1]
        assert second != first
        await env.client.get_workflow_handle(second).signal(Patient.go)
        assert await env.client.get_workflow_handle(second).result() == "done"
        await handle.delete()


async def running(handle: ScheduleHandle) -> list:
    return (await handle.describe()).info.running_actions


async def test_the_one_before_is_skipped_cancelled_or_terminated_as_a_trigger_says(env: Env):
    async with env.worker([Patient]):
        handle = await create(env, Patient.run, trigger_immediately=True)
        first = env.client.get_workflow_handle(run_ids(await acted(handle, 1))[0])
        await asyncio.sleep(1.1)
        await handle.trigger()

        async def skipped():
            return (await handle.describe()).info.num_actions_skipped_overlap == 1

        await eventually(skipped)
        await asyncio.sleep(1.1)
        await handle.trigger(overlap=ScheduleOverlapPolicy.TERMINATE_OTHER)
        second = env.client.get_workflow_handle(run_ids(await acted(handle, 2))[1])
        assert (await first.describe()).status == WorkflowExecutionStatus.TERMINATED
        await asyncio.sleep(1.1)
        await handle.trigger(overlap=ScheduleOverlapPolicy.CANCEL_OTHER)
        third = env.client.get_workflow_handle(run_ids(await acted(handle, 3))[2])
        assert (await second.describe()).status == WorkflowExecutionStatus.CANCELED
        await third.terminate()
        await handle.delete()


async def test_a_backfill_acts_for_the_past_with_its_own_policy(env: Env):
    async with env.worker([Counted]):
        spec = ScheduleSpec(calendars=[ScheduleCalendarSpec(hour=[ScheduleRange(0, 23)])])
        past = datetime(2024, 1, 1, tzinfo=timezone.utc)
        backfill = ScheduleBackfill(past, past + timedelta(hours=2), overlap=ScheduleOverlapPolicy.ALLOW_ALL)
        handle = await create(env, Counted.run, 1, spec=spec, state=ScheduleState(paused=True), backfill=[backfill])
        description = await acted(handle, 3)
        assert run_ids(description) == [f"{env.id('run')}-2024-01-01T0{hour}:00:00Z" for hour in range(3)]
        await handle.backfill(ScheduleBackfill(past + timedelta(days=1), past + timedelta(days=1, hours=1),
                                               overlap=ScheduleOverlapPolicy.ALLOW_ALL))
        assert len(run_ids(await acted(handle, 5))) == 5
        await handle.delete()


async def test_pausing_stops_and_limits_count_down(env: Env):
    async with env.worker([Counted]):
        spec = ScheduleSpec(intervals=[ScheduleIntervalSpec(every=timedelta(seconds=1))])
        handle = await create(env, Counted.run, 1, spec=spec,
                              state=ScheduleState(limited_actions=True, remaining_actions=1, paused=True))
        await handle.unpause(note="go")
        description = await acted(handle, 1)
        state = (await handle.describe()).schedule.state
        assert (state.remaining_actions, state.note) == (0, "go")
        assert not (await handle.describe()).info.next_action_times
        await handle.pause(note="stop")

        async def stopped():
            state = (await handle.describe()).schedule.state
            return state.paused and state.note == "stop"

        await eventually(stopped)
        assert description.info.num_actions == 1
        await handle.delete()


async def test_a_failure_pauses_a_schedule_that_wants_it(env: Env):
    async with env.worker([Unlucky]):
        spec = ScheduleSpec(intervals=[ScheduleIntervalSpec(every=timedelta(seconds=1))])
        handle = await create(env, Unlucky.run, spec=spec, policy=SchedulePolicy(pause_on_failure=True))

        async def paused():
            state = (await handle.describe()).schedule.state
            return state.note if state.paused else None

        assert "no luck" in await eventually(paused)
        await handle.delete()


async def test_an_update_replaces_the_definition(env: Env):
    handle = await create(env, Counted.run, 1, memo={"note": "kept"})

    async def change(given) -> ScheduleUpdate:
        schedule = given.description.schedule
        schedule.spec = ScheduleSpec(intervals=[ScheduleIntervalSpec(every=timedelta(hours=3))])
        schedule.policy.overlap = ScheduleOverlapPolicy.BUFFER_ONE
        return ScheduleUpdate(schedule)

    await handle.update(change)

    async def updated():
        description = await handle.describe()
        return description if description.schedule.spec.intervals else None

    description = await eventually(updated)
    assert description.schedule.spec.intervals[0].every == timedelta(hours=3)
    assert not description.schedule.spec.calendars
    assert description.schedule.policy.overlap == ScheduleOverlapPolicy.BUFFER_ONE
    assert description.info.last_updated_at is not None
    assert await description.memo() == {"note": "kept"}
    await handle.delete()


async def test_an_id_can_be_taken_once(env: Env):
    handle = await create(env, Counted.run, 1)
    with pytest.raises(ScheduleAlreadyRunningError):
        await create(env, Counted.run, 1)
    await handle.delete()
    await create(env, Counted.run, 1)
    await handle.delete()
    with pytest.raises(RPCError) as gone:
        await handle.delete()
    assert gone.value.status == RPCStatusCode.NOT_FOUND


async def test_schedules_are_listed_with_what_they_do(env: Env):
    handle = await create(env, Counted.run, 1, state=ScheduleState(paused=True, note="quiet"), memo={"who": "me"})

    async def listed():
        async for entry in await env.client.list_schedules(query="TemporalSchedulePaused = true"):
            if entry.id == handle.id:
                return entry

    entry = await eventually(listed)
    assert (entry.schedule.state.paused, entry.schedule.state.note) == (True, "quiet")
    assert entry.schedule.action.workflow == "Counted"
    assert entry.info.next_action_times
    assert await entry.memo() == {"who": "me"}
    await handle.delete()


async def temporal(env: Env, *words: str, as_json: bool = True) -> Any:
    output = ["-o", "json"] if as_json else []
    process = await asyncio.create_subprocess_exec(
        temporal_binary(), "schedule", *words, "--schedule-id", env.id(), "--address", env.address, "--color", "never", *output,
        stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )
    out, err = await process.communicate()
    assert process.returncode == 0, err.decode() + out.decode()
    return json.loads(out) if as_json and out.strip() else out.decode()


async def test_the_command_line_creates_triggers_toggles_and_deletes(env: Env):
    async with env.worker([Counted]):
        await temporal(env, "create", "--calendar", '{"year":"2099"}', "--workflow-id", env.id("run"), "--type", "Counted",
                       "--task-queue", env.task_queue, "--input", "3", as_json=False)
        await temporal(env, "trigger", as_json=False)
        handle = env.client.get_schedule_handle(env.id())
        started = run_ids(await acted(handle, 1))[0]
        assert await env.client.get_workflow_handle(started).result() == 3
        await temporal(env, "toggle", "--pause", "--reason", "enough", as_json=False)

        async def paused():
            described = await temporal(env, "describe")
            return described["schedule"]["state"].get("paused")

        await eventually(paused)
        await temporal(env, "backfill", "--start-time", "2099-01-01T00:00:00Z", "--end-time", "2099-01-01T12:00:00Z",
                       "--overlap-policy", "AllowAll", as_json=False)
        assert len(run_ids(await acted(handle, 2))) == 2
        await temporal(env, "delete", as_json=False)
