"""Runs that start later or again: delays, cron, workflow retries."""

from __future__ import annotations

from datetime import timedelta, timezone
from zoneinfo import ZoneInfo

import pytest
from temporalio import workflow
from temporalio.client import WorkflowExecutionStatus
from temporalio.common import RetryPolicy
from temporalio.exceptions import ApplicationError, CancelledError
from temporalio.service import RPCError, RPCStatusCode

from support import Env, events, eventually, failure_of, has_event, ms


@workflow.defn
class Prompt:
    def __init__(self) -> None:
        self.poked = False

    @workflow.run
    async def run(self) -> bool:
        return self.poked

    @workflow.signal
    def poke(self) -> None:
        self.poked = True


async def first_task_delay(handle) -> timedelta:
    history = await events(handle)
    scheduled = next(e for e in history if e.HasField("workflow_task_scheduled_event_attributes"))
    return scheduled.event_time.ToDatetime() - history[0].event_time.ToDatetime()


async def test_a_start_delay_holds_the_first_task_back(env: Env):
    async with env.worker([Prompt]):
        handle = await env.start(Prompt.run, start_delay=ms(1200))
        assert (await handle.describe()).status == WorkflowExecutionStatus.RUNNING
        assert await handle.result() is False
    assert ms(1150) <= await first_task_delay(handle) < timedelta(seconds=5)


async def test_a_signal_waits_with_the_run_until_the_start_delay_is_over(env: Env):
    async with env.worker([Prompt]):
        handle = await env.start(Prompt.run, start_delay=ms(1200))
        await handle.signal(Prompt.poke)
        assert await handle.result() is True
    assert ms(1150) <= await first_task_delay(handle) < timedelta(seconds=5)


async def test_a_delayed_start_can_be_terminated(env: Env):
    handle = await env.start(Prompt.run, start_delay=timedelta(seconds=80))
    await handle.terminate("never mind")
    assert (await handle.describe()).status == WorkflowExecutionStatus.TERMINATED


@workflow.defn
class Trying:
    @workflow.run
    async def run(self, wanted: int, fatal: bool = False) -> int:
        attempt = workflow.info().attempt
        if attempt < wanted:
            raise ApplicationError(f"attempt {attempt}", type="Fatal" if fatal else "Passing")
        return attempt


async def test_a_failing_workflow_is_tried_again(env: Env):
    async with env.worker([Trying]):
        retry = RetryPolicy(initial_interval=ms(50), backoff_coefficient=1.0)
        handle = await env.start(Trying.run, 3, retry_policy=retry)
        assert await handle.result() == 3
    first = env.client.get_workflow_handle(handle.id, run_id=handle.result_run_id)
    assert (await first.describe()).status == WorkflowExecutionStatus.FAILED
    closed = (await events(first))[-1].workflow_execution_failed_event_attributes
    assert closed.new_execution_run_id


async def test_workflow_retries_stop_at_the_maximum(env: Env):
    async with env.worker([Trying]):
        retry = RetryPolicy(initial_interval=ms(50), maximum_attempts=2)
        error = await failure_of(await env.start(Trying.run, 9, retry_policy=retry))
    assert isinstance(error, ApplicationError)
    assert error.message == "attempt 2"


async def test_a_fatal_error_type_ends_the_workflow_s_retries(env: Env):
    async with env.worker([Trying]):
        retry = RetryPolicy(initial_interval=ms(50), non_retryable_error_types=["Fatal"])
        error = await failure_of(await env.start(Trying.run, 9, True, retry_policy=retry))
    assert isinstance(error, ApplicationError)
    assert error.message == "attempt 1"


@workflow.defn
class Ticking:
    @workflow.run
    async def run(self) -> int:
        last = workflow.get_last_completion_result(int) if workflow.has_last_completion_result() else 0
        if last == 1 and workflow.get_last_failure() is None:
            raise ApplicationError("the second one fails")
        return last + 1


async def test_cron_runs_again_and_again_with_the_last_result_and_failure(env: Env):
    async with env.worker([Ticking]):
        handle = await env.start(Ticking.run, cron_schedule="@every 1s")
        any_run = env.client.get_workflow_handle(handle.id)
        last_results: list[bytes] = []

        async def third() -> bool:
            started = (await events(any_run))[0].workflow_execution_started_event_attributes
            last_results[:] = [p.data for p in started.last_completion_result.payloads]
            # Run 1 gives 1, run 2 fails, run 3 is told of both and gives 2.
            return last_results == [b"2"]

        await eventually(third, limit=30)
        started = (await events(any_run))[0].workflow_execution_started_event_attributes
        assert started.cron_schedule == "@every 1s"
        assert started.first_workflow_task_backoff.ToMilliseconds() <= 1000
        await any_run.terminate("enough")


@workflow.defn
class Standing:
    @workflow.run
    async def run(self) -> None:
        await workflow.wait_condition(lambda: False)


async def test_a_cancelled_cron_run_is_the_last(env: Env):
    async with env.worker([Standing]):
        handle = await env.start(Standing.run, cron_schedule="@every 1s")
        await eventually(lambda: has_event(handle, "WORKFLOW_TASK_COMPLETED"))
        await handle.cancel()
        assert isinstance(await failure_of(handle), CancelledError)
        latest = await env.client.get_workflow_handle(handle.id).describe()
    assert (latest.run_id, latest.status) == (handle.result_run_id, WorkflowExecutionStatus.CANCELED)


async def test_a_cron_that_waits_for_its_time_can_be_terminated(env: Env):
    handle = await env.start(Standing.run, cron_schedule="0 0 1 1 *", execution_timeout=timedelta(days=800))
    await handle.terminate()
    assert (await handle.describe()).status == WorkflowExecutionStatus.TERMINATED


async def test_a_cron_that_cannot_be_read_is_refused(env: Env):
    with pytest.raises(RPCError) as refusal:
        await env.start(Prompt.run, cron_schedule="every other day")
    assert refusal.value.status == RPCStatusCode.INVALID_ARGUMENT


@pytest.mark.parametrize("zone", ["CRON_TZ=America/New_York", "TZ=Asia/Kolkata"])
async def test_a_cron_schedule_goes_by_its_time_zone(env: Env, zone: str):
    handle = await env.start(Standing.run, cron_schedule=f"{zone} 30 12 * * *", execution_timeout=timedelta(days=3))
    first = (await events(handle))[0]
    backoff = first.workflow_execution_started_event_attributes.first_workflow_task_backoff.ToTimedelta()
    due = (first.event_time.ToDatetime(timezone.utc) + backoff).astimezone(ZoneInfo(zone.split("=")[1]))
    assert (due.hour, due.minute) == (12, 30) or (due.hour, due.minute, due.second) == (12, 29, 59)
    await handle.terminate()


@workflow.defn
class Timed:
    """Fails, is retried, continues as new: in every run it says when it is to be over."""

    @workflow.run
    async def run(self, step: int) -> None:
        if step == 0 and workflow.info().attempt == 1:
            raise ApplicationError("again")
        if step == 0:
            workflow.continue_as_new(1)
        await workflow.wait_condition(lambda: False)


async def test_all_runs_of_a_chain_share_its_timeout_and_each_has_its_own(env: Env):
    async with env.worker([Timed]):
        handle = await env.start(
            Timed.run, 0, execution_timeout=timedelta(seconds=80), run_timeout=timedelta(seconds=50),
            retry_policy=RetryPolicy(initial_interval=ms(100)),
        )
        expires = set()
        own = set()
        run_id = handle.result_run_id
        for n in range(3):
            run = env.client.get_workflow_handle(handle.id, run_id=run_id)
            description = (await run.describe()).raw_description
            expires.add(description.workflow_extended_info.execution_expiration_time.ToDatetime().replace(microsecond=0))
            assert description.execution_config.workflow_run_timeout.seconds == 50
            assert description.execution_config.workflow_execution_timeout.seconds == 80
            own.add(description.workflow_extended_info.run_expiration_time.ToNanoseconds())

            async def follows():
                closed = (await events(run))[-1]
                for kind in ("failed", "continued_as_new"):
                    attributes = getattr(closed, f"workflow_execution_{kind}_event_attributes")
                    if attributes.new_execution_run_id:
                        return attributes.new_execution_run_id

            if n < 2:
                run_id = await eventually(follows)
        assert len(expires) == 1
        assert len(own) == 3
        await env.client.get_workflow_handle(handle.id).terminate()
