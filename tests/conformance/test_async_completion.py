"""Activities that are finished from outside the worker, and what a late answer gets."""

from __future__ import annotations

import asyncio

import pytest
from temporalio import activity, workflow
from temporalio.client import AsyncActivityCancelledError, WorkflowHandle
from temporalio.exceptions import ActivityError, ApplicationError, CancelledError
from temporalio.service import RPCError, RPCStatusCode
from temporalio.workflow import ActivityCancellationType

from support import ONCE, SOON, Env, event_names, eventually, failure_of

tokens: dict[str, bytes] = {}


@activity.defn
async def left_to_others() -> str:
    tokens[activity.info().workflow_id] = activity.info().task_token
    activity.raise_complete_async()


@workflow.defn
class Waiting:
    @workflow.run
    async def run(self) -> str:
        return await workflow.execute_activity(
            left_to_others, activity_id="outside", start_to_close_timeout=SOON, heartbeat_timeout=SOON,
            retry_policy=ONCE, cancellation_type=ActivityCancellationType.WAIT_CANCELLATION_COMPLETED,
        )


async def token_of(handle: WorkflowHandle) -> bytes:
    async def token():
        return tokens.get(handle.id)

    return await eventually(token)


@pytest.fixture
async def waiting(env: Env):
    async with env.worker([Waiting], [left_to_others]):
        handle = await env.start(Waiting.run)
        await token_of(handle)
        yield handle


async def test_an_activity_is_completed_by_its_token(env: Env, waiting: WorkflowHandle):
    await env.client.get_async_activity_handle(task_token=await token_of(waiting)).complete("done by token")
    assert await waiting.result() == "done by token"


async def test_an_activity_is_completed_by_its_id(env: Env, waiting: WorkflowHandle):
    handle = env.client.get_async_activity_handle(workflow_id=waiting.id, run_id=None, activity_id="outside")
    await handle.complete("done by id")
    assert await waiting.result() == "done by id"


async def test_an_activity_is_failed_from_outside(env: Env, waiting: WorkflowHandle):
    handle = env.client.get_async_activity_handle(task_token=await token_of(waiting))
    await handle.fail(ApplicationError("outside says no", 1, 2, type="Outside"))
    error = await failure_of(waiting)
    assert isinstance(error, ActivityError)
    assert isinstance(error.cause, ApplicationError)
    assert (error.cause.message, list(error.cause.details)) == ("outside says no", [1, 2])


async def test_heartbeats_from_outside_show_in_the_description(env: Env, waiting: WorkflowHandle):
    handle = env.client.get_async_activity_handle(workflow_id=waiting.id, run_id=None, activity_id="outside")
    await handle.heartbeat("half", 50)
    pending = (await waiting.describe()).raw_description.pending_activities[0]
    assert [p.data for p in pending.heartbeat_details.payloads] == [b'"half"', b"50"]
    await handle.complete("ok")
    assert await waiting.result() == "ok"


async def test_a_cancelled_activity_hears_it_from_its_heartbeat_and_may_report_it(env: Env, waiting: WorkflowHandle):
    handle = env.client.get_async_activity_handle(task_token=await token_of(waiting))
    await waiting.cancel()

    async def told() -> bool:
        try:
            await handle.heartbeat()
        except AsyncActivityCancelledError:
            return True
        return False

    assert await eventually(told)
    await handle.report_cancellation("cleaned up")
    assert isinstance(await failure_of(waiting), CancelledError)
    assert "ACTIVITY_TASK_CANCELED" in await event_names(waiting)


async def test_a_second_completion_is_refused_and_changes_nothing(env: Env, waiting: WorkflowHandle):
    handle = env.client.get_async_activity_handle(task_token=await token_of(waiting))
    await handle.complete("first")
    with pytest.raises(RPCError) as refusal:
        await handle.complete("second")
    assert refusal.value.status == RPCStatusCode.NOT_FOUND
    assert await waiting.result() == "first"


async def test_two_completions_at_once_give_one_result(env: Env, waiting: WorkflowHandle):
    handle = env.client.get_async_activity_handle(task_token=await token_of(waiting))
    answers = await asyncio.gather(*(handle.complete(f"{n}") for n in range(8)), return_exceptions=True)
    refused = [a for a in answers if isinstance(a, RPCError) and a.status == RPCStatusCode.NOT_FOUND]
    assert len(refused) == 7, answers
    assert await waiting.result() == str(answers.index(None))


async def test_an_answer_after_the_workflow_closed_is_not_found(env: Env, waiting: WorkflowHandle):
    handle = env.client.get_async_activity_handle(task_token=await token_of(waiting))
    await waiting.terminate("enough")
    for late in (handle.complete("late"), handle.heartbeat("late"), handle.fail(ApplicationError("late"))):
        with pytest.raises(RPCError) as refusal:
            await late
        assert refusal.value.status == RPCStatusCode.NOT_FOUND


async def test_an_unknown_activity_id_is_not_found(env: Env, waiting: WorkflowHandle):
    handle = env.client.get_async_activity_handle(workflow_id=waiting.id, run_id=None, activity_id="no-such")
    with pytest.raises(RPCError) as refusal:
        await handle.complete("?")
    assert refusal.value.status == RPCStatusCode.NOT_FOUND


async def test_a_damaged_token_is_refused_as_an_invalid_argument(env: Env):
    handle = env.client.get_async_activity_handle(task_token=b"not a token")
    with pytest.raises(RPCError) as refusal:
        await handle.complete("?")
    assert refusal.value.status == RPCStatusCode.INVALID_ARGUMENT
