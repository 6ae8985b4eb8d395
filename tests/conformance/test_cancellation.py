"""Cancellation asks, termination ends."""

from __future__ import annotations

import asyncio

import pytest
from temporalio import activity, workflow
from temporalio.client import WorkflowExecutionStatus
from temporalio.exceptions import ActivityError, CancelledError, TerminatedError
from temporalio.service import RPCError, RPCStatusCode
from temporalio.workflow import ActivityCancellationType

from support import ONCE, SOON, Env, event_names, events, eventually, failure_of, has_event, ms

running: set[str] = set()
heard_of_it: set[str] = set()


@activity.defn
async def works_until_cancelled(then: str) -> str:
    workflow_id = activity.info().workflow_id
    running.add(workflow_id)
    try:
        while True:
            activity.heartbeat("busy")
            await asyncio.sleep(0.05)
    except asyncio.CancelledError:
        heard_of_it.add(workflow_id)
        if then == "finish":
            return "finished all the same"
        raise


@activity.defn
async def cleans_up() -> str:
    return "clean"


@workflow.defn
class Working:
    @workflow.run
    async def run(self, then: str, how: str) -> str:
        return await workflow.execute_activity(
            works_until_cancelled, then, start_to_close_timeout=SOON, heartbeat_timeout=SOON,
            cancellation_type=ActivityCancellationType[how], retry_policy=ONCE,
        )


@workflow.defn
class Holding:
    """Waits, and says how it ended."""

    @workflow.run
    async def run(self, on_cancel: str) -> str:
        try:
            await workflow.wait_condition(lambda: False)
        except asyncio.CancelledError:
            if on_cancel == "swallow":
                return "I was asked to stop"
            if on_cancel == "clean up":
                result = await asyncio.shield(
                    workflow.execute_activity(cleans_up, start_to_close_timeout=SOON, retry_policy=ONCE)
                )
                assert result == "clean"
            raise
        return "impossible"


async def known(workflow_id: str, place: set[str]) -> None:
    async def there() -> bool:
        return workflow_id in place

    await eventually(there)


def quick_heartbeats(env: Env, workflows: list):
    return env.worker(workflows, [works_until_cancelled, cleans_up], max_heartbeat_throttle_interval=ms(100),
                      default_heartbeat_throttle_interval=ms(100))


async def test_a_cancelled_workflow_ends_as_cancelled(env: Env):
    async with env.worker([Holding]):
        handle = await env.start(Holding.run, "")
        await eventually(lambda: has_event(handle, "WORKFLOW_TASK_COMPLETED"))
        await handle.cancel()
        assert isinstance(await failure_of(handle), CancelledError)
        assert (await handle.describe()).status == WorkflowExecutionStatus.CANCELED
    names = await event_names(handle)
    assert names[-1] == "WORKFLOW_EXECUTION_CANCELED"
    assert names.count("WORKFLOW_EXECUTION_CANCEL_REQUESTED") == 1


async def test_a_workflow_may_complete_although_it_was_asked_to_stop(env: Env):
    async with env.worker([Holding]):
        handle = await env.start(Holding.run, "swallow")
        await eventually(lambda: has_event(handle, "WORKFLOW_TASK_COMPLETED"))
        await handle.cancel()
        assert await handle.result() == "I was asked to stop"
        assert (await handle.describe()).status == WorkflowExecutionStatus.COMPLETED


async def test_a_shielded_clean_up_runs_after_the_cancellation(env: Env):
    async with env.worker([Holding], [cleans_up]):
        handle = await env.start(Holding.run, "clean up")
        await eventually(lambda: has_event(handle, "WORKFLOW_TASK_COMPLETED"))
        await handle.cancel()
        assert isinstance(await failure_of(handle), CancelledError)
    assert "ACTIVITY_TASK_COMPLETED" in await event_names(handle)


async def test_a_cancellation_before_the_first_task_is_not_lost(env: Env):
    handle = await env.start(Holding.run, "swallow")
    await handle.cancel()
    async with env.worker([Holding]):
        result = await asyncio.gather(handle.result(), return_exceptions=True)
    assert "WORKFLOW_EXECUTION_CANCEL_REQUESTED" in await event_names(handle), result


async def test_asking_twice_to_cancel_is_recorded_once(env: Env):
    handle = await env.start(Holding.run, "swallow")
    await handle.cancel()
    await handle.cancel()
    assert (await event_names(handle)).count("WORKFLOW_EXECUTION_CANCEL_REQUESTED") == 1
    await handle.terminate()


async def test_the_worker_s_activity_hears_of_the_cancellation(env: Env):
    async with quick_heartbeats(env, [Working]):
        handle = await env.start(Working.run, "raise", "WAIT_CANCELLATION_COMPLETED")
        await known(handle.id, running)
        await handle.cancel()
        error = await failure_of(handle)
        await known(handle.id, heard_of_it)
    assert isinstance(error, CancelledError) or isinstance(error.__cause__, CancelledError)
    names = await event_names(handle)
    assert names.index("ACTIVITY_TASK_CANCEL_REQUESTED") < names.index("ACTIVITY_TASK_CANCELED")


async def test_an_activity_may_finish_although_it_was_cancelled(env: Env):
    async with quick_heartbeats(env, [Working]):
        handle = await env.start(Working.run, "finish", "WAIT_CANCELLATION_COMPLETED")
        await known(handle.id, running)
        await handle.cancel()
        assert await handle.result() == "finished all the same"


@pytest.mark.parametrize("how", ["TRY_CANCEL", "ABANDON"])
async def test_a_workflow_need_not_wait_for_its_cancelled_activity(env: Env, how: str):
    async with quick_heartbeats(env, [Working]):
        handle = await env.start(Working.run, "finish", how)
        await known(handle.id, running)
        await handle.cancel()
        error = await failure_of(handle)
        assert isinstance(error, CancelledError) or isinstance(error.__cause__, CancelledError)
        # The run is closed, so the next heartbeat tells the activity that nobody waits for it.
        await known(handle.id, heard_of_it)
    asked = "ACTIVITY_TASK_CANCEL_REQUESTED" in await event_names(handle)
    assert asked == (how == "TRY_CANCEL")


async def test_an_activity_that_no_worker_took_is_cancelled_at_once(env: Env):
    async with env.worker([Working]):
        handle = await env.start(Working.run, "raise", "WAIT_CANCELLATION_COMPLETED")
        await eventually(lambda: has_event(handle, "ACTIVITY_TASK_SCHEDULED"))
        await handle.cancel()
        error = await failure_of(handle)
    assert isinstance(error, (CancelledError, ActivityError))
    names = await event_names(handle)
    assert "ACTIVITY_TASK_STARTED" not in names
    assert "ACTIVITY_TASK_CANCELED" in names


async def test_a_terminated_workflow_ends_at_once_with_reason_and_details(env: Env):
    async with quick_heartbeats(env, [Working]):
        handle = await env.start(Working.run, "raise", "TRY_CANCEL")
        await known(handle.id, running)
        await handle.terminate("some", "details", reason="out of budget")
        error = await failure_of(handle)
        assert isinstance(error, TerminatedError)
        assert "out of budget" in str(error)
        await known(handle.id, heard_of_it)
        assert (await handle.describe()).status == WorkflowExecutionStatus.TERMINATED
    last = (await events(handle))[-1].workflow_execution_terminated_event_attributes
    assert (last.reason, len(last.details.payloads)) == ("out of budget", 2)


async def test_termination_needs_no_worker(env: Env):
    handle = await env.start(Holding.run, "")
    await handle.terminate()
    assert isinstance(await failure_of(handle), TerminatedError)


@pytest.mark.parametrize("verb", ["cancel", "terminate"])
async def test_what_is_not_there_cannot_be_ended(env: Env, verb: str):
    ghost = env.client.get_workflow_handle(env.id("ghost"))
    with pytest.raises(RPCError) as refusal:
        await getattr(ghost, verb)()
    assert refusal.value.status == RPCStatusCode.NOT_FOUND


@pytest.mark.parametrize("verb", ["cancel", "terminate"])
async def test_what_is_closed_stays_as_it_closed(env: Env, verb: str):
    handle = await env.start(Holding.run, "")
    await handle.terminate(reason="first")
    before = await event_names(handle)
    try:
        await getattr(handle, verb)()
    except RPCError as error:
        assert error.status == RPCStatusCode.NOT_FOUND
    assert await event_names(handle) == before
    assert (await handle.describe()).status == WorkflowExecutionStatus.TERMINATED


@pytest.mark.parametrize("verb", ["cancel", "terminate", "signal"])
async def test_a_run_id_names_one_run_and_no_other(env: Env, verb: str):
    first = await env.start(Holding.run, "")
    await first.terminate()
    second = await env.start(Holding.run, "")
    old = env.client.get_workflow_handle(first.id, run_id=first.result_run_id)
    arguments = ["word"] if verb == "signal" else []
    try:
        await getattr(old, verb)(*arguments)
    except RPCError as error:
        assert error.status == RPCStatusCode.NOT_FOUND
    assert (await second.describe()).status == WorkflowExecutionStatus.RUNNING
    assert len(await event_names(second)) == 2
    await second.terminate()


async def test_a_handle_from_start_ends_only_its_own_chain_of_runs(env: Env):
    first = await env.start(Holding.run, "")
    await first.terminate()
    second = await env.start(Holding.run, "")
    for verb in (first.cancel, first.terminate):
        with pytest.raises(RPCError) as refusal:
            await verb()
        assert refusal.value.status == RPCStatusCode.NOT_FOUND
    assert (await second.describe()).status == WorkflowExecutionStatus.RUNNING
    await second.terminate()
