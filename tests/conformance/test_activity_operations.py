"""What operators do to activities: pause, unpause, reset, change options."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any

import pytest
from google.protobuf.duration_pb2 import Duration
from google.protobuf.field_mask_pb2 import FieldMask
from temporalio import activity, workflow
from temporalio.api.activity.v1 import ActivityOptions
from temporalio.api.common.v1 import Priority, RetryPolicy as RawRetryPolicy, WorkflowExecution
from temporalio.api.enums.v1 import PendingActivityState as State
from temporalio.api.taskqueue.v1 import TaskQueue
from temporalio.api.workflow.v1 import PendingActivityInfo
from temporalio.api.workflowservice.v1 import (
    PauseActivityExecutionRequest, PauseActivityRequest, ResetActivityRequest, UnpauseActivityRequest,
    UpdateActivityOptionsRequest,
)
from temporalio.client import ActivityOptionsKeys, ActivityHandle, PendingActivityState, WorkflowHandle
from temporalio.common import RetryPolicy
from temporalio.exceptions import ApplicationError
from temporalio.service import RPCError, RPCStatusCode

from support import SOON, Env, eventually, ms

QUICK = RetryPolicy(initial_interval=ms(50), backoff_coefficient=1.0)
released: dict[str, asyncio.Event] = {}


@activity.defn
async def held(key: str) -> str:
    """Works until it is let go, or told to stop: says why it was."""
    try:
        while not released.setdefault(key, asyncio.Event()).is_set():
            activity.heartbeat(activity.info().attempt)
            await asyncio.sleep(0.03)
        return f"released at attempt {activity.info().attempt}"
    except asyncio.CancelledError:
        details = activity.cancellation_details()
        assert details is not None
        if details.paused or details.reset:
            raise ApplicationError("paused" if details.paused else "reset") from None
        raise


@activity.defn
async def fails(key: str) -> str:
    if not released.setdefault(key, asyncio.Event()).is_set():
        raise ApplicationError(f"attempt {activity.info().attempt} fails")
    return f"released at attempt {activity.info().attempt}"


@workflow.defn
class Holder:
    @workflow.run
    async def run(self, kind: str, key: str, queue: str | None = None) -> str:
        policy = RetryPolicy(initial_interval=timedelta(seconds=40), maximum_attempts=0) if kind == "fails" else QUICK
        return await workflow.execute_activity(
            kind, key, activity_id="it", start_to_close_timeout=timedelta(seconds=60), result_type=str,
            heartbeat_timeout=timedelta(seconds=20), retry_policy=policy, task_queue=queue,
        )


class Operator:
    """The raw RPCs on the activity `it` of one workflow."""

    def __init__(self, env: Env, handle: WorkflowHandle):
        self.service = env.client.workflow_service
        self.common = {
            "namespace": env.client.namespace, "execution": WorkflowExecution(workflow_id=handle.id), "id": "it",
        }
        self.handle = handle

    async def pause(self, **options: Any) -> None:
        options = {"identity": "operator", "reason": "a look at it", **options}
        await self.service.pause_activity(PauseActivityRequest(**{**self.common, **options}))

    async def unpause(self, **options: Any) -> None:
        await self.service.unpause_activity(UnpauseActivityRequest(**self.common, **options))

    async def reset(self, **options: Any) -> None:
        await self.service.reset_activity(ResetActivityRequest(**self.common, **options))

    async def update(self, options: ActivityOptions, *paths: str) -> ActivityOptions:
        request = UpdateActivityOptionsRequest(
            **self.common, activity_options=options, update_mask=FieldMask(paths=paths)
        )
        return (await self.service.update_activity_options(request)).activity_options

    async def pending(self) -> PendingActivityInfo | None:
        described = (await self.handle.describe()).raw_description
        return described.pending_activities[0] if described.pending_activities else None

    async def when(self, condition: Any) -> PendingActivityInfo:
        async def reached():
            pending = await self.pending()
            return pending if pending and condition(pending) else None

        return await eventually(reached)


async def begin(env: Env, kind: str, queue: str | None = None) -> Operator:
    return Operator(env, await env.start(Holder.run, kind, env.unique, queue))


def let_go(env: Env) -> None:
    released.setdefault(env.unique, asyncio.Event()).set()


def worker(env: Env, **options: Any):
    options.setdefault("max_heartbeat_throttle_interval", ms(30))
    options.setdefault("default_heartbeat_throttle_interval", ms(30))
    return env.worker([Holder], [held, fails], **options)


async def refused(call: Any) -> RPCError:
    with pytest.raises(RPCError) as error:
        await call
    return error.value


async def test_a_paused_activity_waits_and_its_worker_is_told(env: Env):
    async with worker(env):
        it = await begin(env, "held")
        await it.when(lambda p: p.state == State.PENDING_ACTIVITY_STATE_STARTED)
        await it.pause()
        pending = await it.when(lambda p: p.state == State.PENDING_ACTIVITY_STATE_PAUSED)
        assert pending.paused and pending.attempt == 2
        assert pending.last_failure.message == "paused"
        assert (pending.pause_info.manual.identity, pending.pause_info.manual.reason) == ("operator", "a look at it")
        let_go(env)
        await it.unpause()
        assert await it.handle.result() == "released at attempt 2"


async def test_pausing_is_idempotent_by_request_and_otherwise_refused(env: Env):
    async with worker(env):
        it = await begin(env, "held", "nobody-" + env.unique)
        await it.when(lambda p: p.state == State.PENDING_ACTIVITY_STATE_SCHEDULED)
        await it.pause(request_id="one")
        await it.pause(request_id="one")
        error = await refused(it.pause(request_id="two"))
        assert (error.status, error.message) == (RPCStatusCode.FAILED_PRECONDITION, "activity is already paused")
        pending = await it.pending()
        assert pending and pending.state == State.PENDING_ACTIVITY_STATE_PAUSED
        await it.unpause()
        await it.unpause()
        request = PauseActivityExecutionRequest(
            namespace=env.client.namespace, workflow_id=it.handle.id, activity_id="it",
        )
        await it.service.pause_activity_execution(request)
        assert (await it.pending()).paused
        request.activity_id = "another"
        error = await refused(it.service.pause_activity_execution(request))
        assert error.status == RPCStatusCode.NOT_FOUND
        await it.handle.terminate()
        assert (await refused(it.pause())).message == "workflow execution already completed"


async def test_unpausing_ends_a_backoff(env: Env):
    async with worker(env):
        it = await begin(env, "fails")
        pending = await it.when(lambda p: p.attempt == 2)
        assert pending.HasField("next_attempt_schedule_time")
        await it.pause()
        pending = await it.pending()
        assert pending.state == State.PENDING_ACTIVITY_STATE_PAUSED
        assert not pending.HasField("next_attempt_schedule_time")
        let_go(env)
        await it.unpause(reset_attempts=True)
        assert await it.handle.result() == "released at attempt 1"


async def test_a_reset_activity_begins_again_at_once(env: Env):
    async with worker(env):
        it = await begin(env, "fails")
        await it.when(lambda p: p.attempt == 2)
        let_go(env)
        await it.reset()
        assert await it.handle.result() == "released at attempt 1"


async def test_a_worker_hears_that_its_activity_was_reset(env: Env):
    async with worker(env):
        it = await begin(env, "held")
        await it.when(lambda p: p.HasField("last_heartbeat_time"))
        await it.reset(reset_heartbeat=True)
        pending = await it.when(lambda p: p.last_failure.message == "reset")
        assert pending.attempt == 2
        let_go(env)
        assert await it.handle.result() == "released at attempt 2"


async def test_options_are_changed_by_mask_and_restored(env: Env):
    async with worker(env):
        it = await begin(env, "fails")
        await it.when(lambda p: p.attempt == 2)
        after = await it.update(
            ActivityOptions(
                heartbeat_timeout=Duration(seconds=7), priority=Priority(priority_key=1),
                retry_policy=RawRetryPolicy(maximum_attempts=9, initial_interval=Duration(seconds=30)),
            ),
            "heartbeat_timeout", "priority", "retry_policy.maximum_attempts",
        )
        assert after.heartbeat_timeout.seconds == 7
        assert (after.retry_policy.maximum_attempts, after.retry_policy.initial_interval.seconds) == (9, 40)
        pending = await it.pending()
        assert pending.activity_options.heartbeat_timeout.seconds == 7
        assert (pending.maximum_attempts, pending.priority.priority_key) == (9, 1)
        request = UpdateActivityOptionsRequest(**it.common, restore_original=True)
        restored = (await it.service.update_activity_options(request)).activity_options
        assert (restored.heartbeat_timeout.seconds, restored.retry_policy.maximum_attempts) == (20, 0)
        let_go(env)
        # A shorter interval counts for the retry that waits.
        await it.update(
            ActivityOptions(retry_policy=RawRetryPolicy(initial_interval=Duration(nanos=50_000_000))),
            "retry_policy.initial_interval",
        )
        assert await it.handle.result() == "released at attempt 2"


async def test_an_activity_moves_to_another_task_queue(env: Env):
    async with worker(env):
        it = await begin(env, "held", "nobody-" + env.unique)
        await it.when(lambda p: p.state == State.PENDING_ACTIVITY_STATE_SCHEDULED)
        let_go(env)
        await it.update(ActivityOptions(task_queue=TaskQueue(name=env.task_queue)), "task_queue.name")
        assert await it.handle.result() == "released at attempt 1"


async def test_updates_that_make_no_sense_are_refused(env: Env):
    async with worker(env):
        it = await begin(env, "held", "nobody-" + env.unique)
        await it.when(lambda p: p.state == State.PENDING_ACTIVITY_STATE_SCHEDULED)
        negative = ActivityOptions(heartbeat_timeout=Duration(seconds=-1))
        error = await refused(it.update(negative, "heartbeat_timeout"))
        assert (error.status, error.message) == (
            RPCStatusCode.INVALID_ARGUMENT, "invalid HeartbeatTimeout: negative duration",
        )
        both = UpdateActivityOptionsRequest(
            **it.common, restore_original=True, activity_options=negative, update_mask=FieldMask(paths=["priority"])
        )
        error = await refused(it.service.update_activity_options(both))
        assert error.message == "Both UpdateMask and RestoreOriginal are provided"
        await it.handle.terminate()


async def start_alone(env: Env, kind: Any, **options: Any) -> ActivityHandle:
    return await env.client.start_activity(
        kind, env.unique, id=env.id(), task_queue=env.task_queue, start_to_close_timeout=timedelta(seconds=60),
        heartbeat_timeout=timedelta(seconds=20), **{"retry_policy": QUICK, **options},
    )


async def in_state(handle: ActivityHandle, state: PendingActivityState) -> None:
    async def reached():
        return (await handle.describe()).run_state == state

    await eventually(reached)


async def test_a_standalone_activity_is_paused_and_goes_on(env: Env):
    async with worker(env):
        handle = await start_alone(env, held)
        await in_state(handle, PendingActivityState.STARTED)
        await handle.pause(reason="a look at it")
        await in_state(handle, PendingActivityState.PAUSED)
        error = await refused(handle.pause())
        assert (error.status, error.message) == (
            RPCStatusCode.FAILED_PRECONDITION, "activity is in non-pausable state Paused",
        )
        let_go(env)
        await handle.unpause()
        assert await handle.result() == "released at attempt 2"
        assert "terminal state Completed" in (await refused(handle.unpause())).message


async def test_options_of_a_standalone_activity_are_changed_and_restored(env: Env):
    handle = await start_alone(env, held, start_delay=timedelta(seconds=50))
    after = await handle.update_options([
        ActivityOptionsKeys.start_delay.value_set(timedelta(seconds=40)),
        ActivityOptionsKeys.heartbeat_timeout.value_set(timedelta(seconds=5)),
    ])
    assert (after.start_delay, after.heartbeat_timeout) == (timedelta(seconds=40), timedelta(seconds=5))
    described = await handle.describe()
    assert described.next_attempt_schedule_time == described.schedule_time + timedelta(seconds=40)
    restored = await handle.restore_original_options()
    assert (restored.start_delay, restored.heartbeat_timeout) == (timedelta(seconds=50), timedelta(seconds=20))
    let_go(env)
    await handle.update_options([ActivityOptionsKeys.start_delay.value_set(timedelta())])
    async with worker(env):
        assert await handle.result() == "released at attempt 1"
    error = await refused(handle.restore_original_options())
    assert error.message == "Cannot update options for activity in state Completed"
