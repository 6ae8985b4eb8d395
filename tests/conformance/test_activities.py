"""Activities: results, retries, timeouts, heartbeats."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from temporalio import activity, workflow
from temporalio.client import WorkflowFailureError
from temporalio.common import RetryPolicy
from temporalio.exceptions import ActivityError, ApplicationError, RetryState, TimeoutError, TimeoutType

from support import ONCE, SOON, Env, events, failure_of, ms

FAST = RetryPolicy(initial_interval=ms(20), backoff_coefficient=1.0)


@dataclass
class Place:
    file: str
    line: int


@activity.defn
async def next_place(place: Place, by: int) -> Place:
    return Place(place.file, place.line + by)


@activity.defn
async def attempt_that_succeeds(wanted: int) -> int:
    attempt = activity.info().attempt
    if attempt < wanted:
        raise ApplicationError(f"attempt {attempt} fails", type="NotYet")
    return attempt


@activity.defn
async def always_fails(kind: str, non_retryable: bool) -> None:
    raise ApplicationError("no luck", {"attempt": activity.info().attempt}, type=kind, non_retryable=non_retryable)


@activity.defn
async def fails_with_own_delay() -> int:
    if activity.info().attempt < 3:
        raise ApplicationError("come back soon", next_retry_delay=ms(30))
    return activity.info().attempt


@activity.defn
async def what_do_i_know() -> dict:
    info = activity.info()
    return {
        "activity_id": info.activity_id, "activity_type": info.activity_type, "attempt": info.attempt,
        "workflow_id": info.workflow_id, "workflow_run_id": info.workflow_run_id, "workflow_type": info.workflow_type,
        "task_queue": info.task_queue, "namespace": info.workflow_namespace,
        "start_to_close": info.start_to_close_timeout.total_seconds() if info.start_to_close_timeout else None,
        "heartbeat": info.heartbeat_timeout.total_seconds() if info.heartbeat_timeout else None,
        "in_order": info.scheduled_time <= info.current_attempt_scheduled_time <= info.started_time,
    }


@activity.defn
async def goes_on_from_heartbeat() -> list:
    seen = list(activity.info().heartbeat_details)
    if activity.info().attempt == 1:
        activity.heartbeat("page", 7)
        raise ApplicationError("crash after page 7")
    return seen


@activity.defn
async def stays_silent() -> str:
    if activity.info().attempt == 1:
        activity.heartbeat("last words")
        await asyncio.Event().wait()
    return f"attempt {activity.info().attempt} heard {list(activity.info().heartbeat_details)}"


@activity.defn
async def never_ends() -> None:
    await asyncio.Event().wait()


@activity.defn
async def beats_for_a_while() -> str:
    for beat in range(15):
        activity.heartbeat(beat)
        await asyncio.sleep(0.1)
    return f"attempt {activity.info().attempt}"


@workflow.defn
class Passing:
    @workflow.run
    async def run(self, place: Place) -> Place:
        for by in (1, 10, 100):
            place = await workflow.execute_activity(next_place, args=[place, by], start_to_close_timeout=SOON)
        return place


async def test_an_activity_gets_its_arguments_and_its_result_reaches_the_workflow(env: Env):
    async with env.worker([Passing], [next_place]):
        assert await env.run(Passing.run, Place("a.py", 0)) == Place("a.py", 111)


@workflow.defn
class Calling:
    """Calls one activity by name with the options that the test gives."""

    @workflow.run
    async def run(self, name: str, arguments: list, options: dict) -> Any:
        retry = options.pop("retry", None)
        seconds = {key: timedelta(seconds=value) for key, value in options.items() if key.endswith("_timeout")}
        others = {key: value for key, value in options.items() if not key.endswith("_timeout")}
        if retry is not None:
            others["retry_policy"] = RetryPolicy(
                initial_interval=timedelta(seconds=retry.get("initial", 0.02)),
                backoff_coefficient=retry.get("coefficient", 1.0),
                maximum_attempts=retry.get("attempts", 0),
                non_retryable_error_types=retry.get("fatal", []),
            )
        if "start_to_close_timeout" not in seconds and "schedule_to_close_timeout" not in seconds:
            seconds["start_to_close_timeout"] = SOON
        return await workflow.execute_activity(name, args=arguments, **seconds, **others)


async def activity_error(env: Env, *args) -> ActivityError:
    error = await failure_of(await env.start(Calling.run, *args))
    assert isinstance(error, ActivityError), error
    return error


async def test_an_activity_is_retried_until_it_succeeds(env: Env):
    async with env.worker([Calling], [attempt_that_succeeds]):
        handle = await env.start(Calling.run, "attempt_that_succeeds", [4], {"retry": {}})
        assert await handle.result() == 4
    started = [e.activity_task_started_event_attributes for e in await events(handle)
               if e.HasField("activity_task_started_event_attributes")]
    assert [s.attempt for s in started] == [4], "only the last attempt is in the history"
    assert started[0].last_failure.message == "attempt 3 fails"


async def test_maximum_attempts_ends_the_retries_and_the_cause_chain_is_kept(env: Env):
    async with env.worker([Calling], [always_fails]):
        error = await activity_error(env, "always_fails", ["Sad", False], {"retry": {"attempts": 3}})
    assert error.retry_state == RetryState.MAXIMUM_ATTEMPTS_REACHED
    assert error.activity_type == "always_fails"
    cause = error.cause
    assert isinstance(cause, ApplicationError)
    assert (cause.message, cause.type, cause.non_retryable) == ("no luck", "Sad", False)
    assert list(cause.details) == [{"attempt": 3}]


async def test_a_non_retryable_error_is_tried_once(env: Env):
    async with env.worker([Calling], [always_fails]):
        error = await activity_error(env, "always_fails", ["Sad", True], {"retry": {}})
    assert error.retry_state == RetryState.NON_RETRYABLE_FAILURE
    assert list(error.cause.details) == [{"attempt": 1}]


async def test_an_error_type_that_the_policy_names_is_not_retried(env: Env):
    async with env.worker([Calling], [always_fails]):
        error = await activity_error(env, "always_fails", ["Fatal", False], {"retry": {"fatal": ["Other", "Fatal"]}})
    assert error.retry_state == RetryState.NON_RETRYABLE_FAILURE
    assert list(error.cause.details) == [{"attempt": 1}]


async def test_the_error_chooses_the_delay_of_the_next_attempt(env: Env):
    async with env.worker([Calling], [fails_with_own_delay]):
        policy = {"retry": {"initial": 3600}}
        assert await env.run(Calling.run, "fails_with_own_delay", [], policy) == 3


attempt_times: dict[str, list[float]] = {}


@activity.defn
async def notes_its_time() -> int:
    info = activity.info()
    times = attempt_times.setdefault(info.workflow_id, [])
    times.append(asyncio.get_running_loop().time())
    if info.attempt < 4:
        raise ApplicationError("again")
    return info.attempt


async def test_the_delay_between_attempts_grows_by_the_coefficient(env: Env):
    async with env.worker([Calling], [notes_its_time]):
        await env.run(Calling.run, "notes_its_time", [], {"retry": {"initial": 0.2, "coefficient": 2.0}})
    times = attempt_times.pop(env.id())
    gaps = [after - before for before, after in zip(times, times[1:])]
    # The server starts its clock a little before the worker does: never much earlier, and later only by what it is slow.
    for gap, wanted in zip(gaps, [0.2, 0.4, 0.8]):
        assert wanted - 0.05 <= gap < wanted + 2.0, gaps


async def test_an_activity_knows_what_it_is(env: Env):
    async with env.worker([Calling], [what_do_i_know]):
        handle = await env.start(
            Calling.run, "what_do_i_know", [], {"start_to_close_timeout": 9, "heartbeat_timeout": 5, "activity_id": "me"}
        )
        known = await handle.result()
    assert known == {
        "activity_id": "me", "activity_type": "what_do_i_know", "attempt": 1, "workflow_id": handle.id,
        "workflow_run_id": handle.result_run_id, "workflow_type": "Calling", "task_queue": env.task_queue,
        "namespace": "default", "start_to_close": 9.0, "heartbeat": 5.0, "in_order": True,
    }


async def test_heartbeat_details_reach_the_next_attempt(env: Env):
    async with env.worker([Calling], [goes_on_from_heartbeat]):
        assert await env.run(Calling.run, "goes_on_from_heartbeat", [], {"retry": {}, "heartbeat_timeout": 20}) == [
            "page", 7,
        ]


async def test_a_missing_heartbeat_ends_the_attempt_and_the_next_one_knows_the_details(env: Env):
    async with env.worker([Calling], [stays_silent]):
        result = await env.run(Calling.run, "stays_silent", [], {"retry": {}, "heartbeat_timeout": 0.7})
    assert result == "attempt 2 heard ['last words']"


async def test_a_heartbeat_timeout_names_itself_and_keeps_the_details(env: Env):
    async with env.worker([Calling], [stays_silent]):
        options = {"retry": {"attempts": 1}, "heartbeat_timeout": 0.7}
        error = await activity_error(env, "stays_silent", [], options)
    cause = error.cause
    assert isinstance(cause, TimeoutError)
    assert cause.type == TimeoutType.HEARTBEAT
    assert list(cause.last_heartbeat_details) == ["last words"]


async def test_an_activity_that_heartbeats_may_take_longer_than_the_heartbeat_timeout(env: Env):
    async with env.worker([Calling], [beats_for_a_while], max_heartbeat_throttle_interval=ms(100)):
        result = await env.run(Calling.run, "beats_for_a_while", [], {"retry": {}, "heartbeat_timeout": 0.8})
    assert result == "attempt 1"


async def test_start_to_close_timeout_ends_a_hanging_attempt(env: Env):
    async with env.worker([Calling], [never_ends], graceful_shutdown_timeout=ms(0)):
        options = {"retry": {"attempts": 2}, "start_to_close_timeout": 0.4}
        error = await activity_error(env, "never_ends", [], options)
    assert isinstance(error.cause, TimeoutError)
    assert error.cause.type == TimeoutType.START_TO_CLOSE
    assert error.retry_state == RetryState.MAXIMUM_ATTEMPTS_REACHED


async def test_schedule_to_start_timeout_ends_an_activity_that_no_worker_takes(env: Env):
    async with env.worker([Calling]):
        options = {"schedule_to_start_timeout": 0.4, "task_queue": env.id("nobody")}
        error = await activity_error(env, "never_ends", [], options)
    assert isinstance(error.cause, TimeoutError)
    assert error.cause.type == TimeoutType.SCHEDULE_TO_START


async def test_schedule_to_close_timeout_ends_the_retries_and_keeps_the_last_error(env: Env):
    async with env.worker([Calling], [always_fails]):
        options = {"retry": {"initial": 0.1}, "schedule_to_close_timeout": 0.8}
        error = await activity_error(env, "always_fails", ["Sad", False], options)
    assert error.retry_state == RetryState.TIMEOUT
    cause = error.cause
    # When the next attempt would come too late the last error is given; a timeout that fires by itself carries it.
    if isinstance(cause, TimeoutError):
        assert cause.type == TimeoutType.SCHEDULE_TO_CLOSE
        cause = cause.cause
    assert isinstance(cause, ApplicationError)
    assert cause.message == "no luck"


@workflow.defn
class TwoQueues:
    @workflow.run
    async def run(self, queue: str) -> dict:
        return await workflow.execute_activity(
            what_do_i_know, task_queue=queue, start_to_close_timeout=SOON, retry_policy=ONCE
        )


async def test_an_activity_runs_on_the_task_queue_that_it_was_sent_to(env: Env):
    other = env.id("other")
    async with env.worker([TwoQueues]), env.worker(activities=[what_do_i_know], task_queue=other):
        known = await env.run(TwoQueues.run, other)
    assert known["task_queue"] == other


@workflow.defn
class Everything:
    @workflow.run
    async def run(self, count: int) -> int:
        results = await asyncio.gather(
            *(workflow.execute_activity(next_place, args=[Place("p", n), 1], start_to_close_timeout=SOON)
              for n in range(count))
        )
        return sum(place.line for place in results)


async def test_a_hundred_activities_run_in_parallel_and_each_runs_once(env: Env):
    async with env.worker([Everything], [next_place], max_concurrent_activities=100):
        handle = await env.start(Everything.run, 100)
        assert await handle.result() == 5050
    completed = [e for e in await events(handle) if e.HasField("activity_task_completed_event_attributes")]
    assert len({e.activity_task_completed_event_attributes.scheduled_event_id for e in completed}) == 100


@workflow.defn
class Surviving:
    @workflow.run
    async def run(self) -> str:
        try:
            await workflow.execute_activity(
                always_fails, args=["Sad", True], start_to_close_timeout=SOON, retry_policy=ONCE
            )
        except ActivityError as error:
            place = await workflow.execute_activity(next_place, args=[Place("b", 1), 1], start_to_close_timeout=SOON)
            return f"{error.cause.type} then {place.line}"
        return "no error"


async def test_a_workflow_may_catch_an_activity_error_and_go_on(env: Env):
    async with env.worker([Surviving], [always_fails, next_place]):
        assert await env.run(Surviving.run) == "Sad then 2"


async def test_an_activity_that_no_worker_knows_fails_with_its_name(env: Env):
    async with env.worker([Calling], [next_place]):
        error = await activity_error(env, "not_registered", [], {"retry": {"attempts": 1}})
    assert "not_registered" in str(error.cause)


async def test_an_activity_error_is_what_the_client_sees(env: Env):
    async with env.worker([Calling], [always_fails]):
        handle = await env.start(Calling.run, "always_fails", ["Sad", True], {})
        try:
            await handle.result()
            raise AssertionError("the workflow completed")
        except WorkflowFailureError as error:
            chain = []
            link: BaseException | None = error
            while link:
                chain.append(type(link).__name__)
                link = link.__cause__
    assert chain == ["WorkflowFailureError", "ActivityError", "ApplicationError"]
