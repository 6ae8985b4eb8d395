"""How a workflow ends badly, and what its client sees; workflow tasks that fail and are repaired."""

from __future__ import annotations

import asyncio
import time
from datetime import timedelta

import pytest
from temporalio import activity, workflow
from temporalio.api.enums.v1 import WorkflowTaskFailedCause
from temporalio.client import WorkflowExecutionStatus
from temporalio.exceptions import ActivityError, ApplicationError, ApplicationErrorCategory, TimeoutError, TimeoutType
from temporalio.service import RPCError, RPCStatusCode

from support import ONCE, SOON, Env, event_names, events, eventually, failure_of, has_event, ms


class OwnError(Exception):
    pass


@workflow.defn(failure_exception_types=[OwnError])
class Failing:
    @workflow.run
    async def run(self, how: str) -> None:
        if how == "own type":
            raise OwnError("my own")
        try:
            raise ApplicationError("the inner one", type="Inner")
        except ApplicationError as inner:
            raise ApplicationError(
                "the outer one", 1, {"two": [2]}, type="Outer", non_retryable=True,
                category=ApplicationErrorCategory.BENIGN,
            ) from inner


async def test_an_application_error_keeps_type_details_and_causes(env: Env):
    async with env.worker([Failing]):
        handle = await env.start(Failing.run, "chain")
        error = await failure_of(handle)
        assert (await handle.describe()).status == WorkflowExecutionStatus.FAILED
    assert isinstance(error, ApplicationError)
    assert (error.message, error.type, error.non_retryable) == ("the outer one", "Outer", True)
    assert list(error.details) == [1, {"two": [2]}]
    assert error.category == ApplicationErrorCategory.BENIGN
    inner = error.cause
    assert isinstance(inner, ApplicationError)
    assert (inner.message, inner.type) == ("the inner one", "Inner")
    assert "raise ApplicationError" in (error.failure.stack_trace if error.failure else "")


async def test_an_exception_type_that_the_workflow_names_fails_it(env: Env):
    async with env.worker([Failing]):
        error = await failure_of(await env.start(Failing.run, "own type"))
    assert isinstance(error, ApplicationError)
    assert (error.message, error.type) == ("my own", "OwnError")


broken: dict[str, int] = {}


@workflow.defn
class Repaired:
    """Raises until the test has seen it fail."""

    @workflow.run
    async def run(self) -> str:
        left = broken.get(workflow.info().workflow_id, 0)
        if left > 0:
            broken[workflow.info().workflow_id] = left - 1
            raise RuntimeError("a bug that somebody will repair")
        return "repaired"


async def test_a_bug_in_workflow_code_suspends_the_run_until_it_is_repaired(env: Env):
    broken[env.id()] = 2
    async with env.worker([Repaired]):
        # The SDK reports the first failure only; it lets the later attempts run into the task's timeout.
        handle = await env.start(Repaired.run, task_timeout=ms(1000))
        assert await handle.result() == "repaired"
    names = await event_names(handle)
    assert names.count("WORKFLOW_TASK_FAILED") == 1, "only the first failed attempt is in the history"
    failed = next(e for e in await events(handle) if e.HasField("workflow_task_failed_event_attributes"))
    attributes = failed.workflow_task_failed_event_attributes
    assert attributes.failure.message == "a bug that somebody will repair"
    started = [e for e in await events(handle) if e.HasField("workflow_task_started_event_attributes")]
    scheduled = [e for e in await events(handle) if e.HasField("workflow_task_scheduled_event_attributes")]
    assert len(started) == 2
    assert scheduled[-1].workflow_task_scheduled_event_attributes.attempt == 3


async def test_the_description_tells_how_often_a_task_has_failed(env: Env):
    broken[env.id()] = 1_000_000
    async with env.worker([Repaired]):
        handle = await env.start(Repaired.run, task_timeout=ms(1000))

        async def attempts() -> bool:
            return (await handle.describe()).raw_description.pending_workflow_task.attempt >= 2

        await eventually(attempts)
        assert (await handle.describe()).status == WorkflowExecutionStatus.RUNNING
        await handle.terminate()


@activity.defn
async def one() -> int:
    return 1


@activity.defn
async def two() -> int:
    return 2


@workflow.defn(name="Changing")
class ChangingV1:
    def __init__(self) -> None:
        self.go = False

    @workflow.run
    async def run(self) -> int:
        result = await workflow.execute_activity(one, start_to_close_timeout=SOON, retry_policy=ONCE)
        await workflow.wait_condition(lambda: self.go)
        return result

    @workflow.signal
    def proceed(self) -> None:
        self.go = True


@workflow.defn(name="Changing")
class ChangingV2(ChangingV1):
    @workflow.run
    async def run(self) -> int:
        result = await workflow.execute_activity(two, start_to_close_timeout=SOON, retry_policy=ONCE)
        await workflow.wait_condition(lambda: self.go)
        return result

    @workflow.signal
    def proceed(self) -> None:
        self.go = True


async def test_a_changed_workflow_is_stopped_as_non_deterministic_and_goes_on_with_the_old_code(env: Env):
    fast = {"sticky_queue_schedule_to_start_timeout": ms(300)}
    async with env.worker([ChangingV1], [one, two], **fast):
        handle = await env.start(ChangingV1.run, task_timeout=ms(2000))
        await eventually(lambda: has_event(handle, "WORKFLOW_TASK_COMPLETED", 2))
    async with env.worker([ChangingV2], [one, two], **fast):
        await handle.signal(ChangingV1.proceed)
        await eventually(lambda: has_event(handle, "WORKFLOW_TASK_FAILED"))
    failed = next(e for e in await events(handle) if e.HasField("workflow_task_failed_event_attributes"))
    cause = failed.workflow_task_failed_event_attributes.cause
    assert cause == WorkflowTaskFailedCause.WORKFLOW_TASK_FAILED_CAUSE_NON_DETERMINISTIC_ERROR
    async with env.worker([ChangingV1], [one, two], **fast):
        assert await handle.result() == 1


@workflow.defn
class Waiting:
    @workflow.run
    async def run(self) -> None:
        await workflow.wait_condition(lambda: False)


@pytest.mark.parametrize("which", ["execution_timeout", "run_timeout"])
async def test_a_run_that_takes_too_long_times_out(env: Env, which: str):
    async with env.worker([Waiting]):
        handle = await env.start(Waiting.run, **{which: ms(1000)})
        error = await failure_of(handle)
        assert isinstance(error, TimeoutError)
        assert error.type == TimeoutType.START_TO_CLOSE
        assert (await handle.describe()).status == WorkflowExecutionStatus.TIMED_OUT
    assert (await event_names(handle))[-1] == "WORKFLOW_EXECUTION_TIMED_OUT"


async def test_a_run_times_out_without_any_worker(env: Env):
    handle = await env.start(Waiting.run, run_timeout=ms(1000))
    assert isinstance(await failure_of(handle), TimeoutError)


slow_once: set[str] = set()


@workflow.defn
class Slow:
    """Its first task takes longer than a task may."""

    @workflow.run
    async def run(self) -> str:
        if workflow.info().workflow_id not in slow_once:
            slow_once.add(workflow.info().workflow_id)
            time.sleep(1.6)  # this IS the fault: code that blocks the worker beyond the task's timeout
        return "in time"


async def test_a_workflow_task_that_takes_too_long_is_given_out_again(env: Env):
    async with env.worker([Slow]):
        handle = await env.start(Slow.run, task_timeout=ms(1000))
        assert await handle.result() == "in time"
    assert (await event_names(handle)).count("WORKFLOW_TASK_TIMED_OUT") == 1


@activity.defn
async def too_much(size: int) -> str:
    return "x" * size


@workflow.defn
class Hungry:
    @workflow.run
    async def run(self, size: int) -> int:
        return len(await workflow.execute_activity(too_much, size, start_to_close_timeout=SOON, retry_policy=ONCE))


async def test_a_payload_of_one_mebibyte_passes(env: Env):
    async with env.worker([Hungry], [too_much]):
        assert await env.run(Hungry.run, 1 << 20) == 1 << 20


async def test_an_activity_result_over_the_limit_fails_the_activity(env: Env):
    async with env.worker([Hungry], [too_much]):
        handle = await env.start(Hungry.run, 3 << 20, execution_timeout=timedelta(seconds=30))
        error = await failure_of(handle)
    assert isinstance(error, ActivityError), error


@workflow.defn
class Sink:
    @workflow.run
    async def run(self, text: str) -> int:
        await workflow.wait_condition(lambda: False)
        return len(text)

    @workflow.signal
    def more(self, text: str) -> None:
        pass


async def test_a_start_with_too_big_an_input_is_refused(env: Env):
    with pytest.raises(RPCError) as refusal:
        await env.start(Sink.run, "x" * (3 << 20))
    assert refusal.value.status == RPCStatusCode.INVALID_ARGUMENT
    with pytest.raises(RPCError) as nothing:
        await env.client.get_workflow_handle(env.id()).describe()
    assert nothing.value.status == RPCStatusCode.NOT_FOUND


async def test_a_signal_with_too_big_an_input_changes_nothing(env: Env):
    handle = await env.start(Sink.run, "")
    with pytest.raises(RPCError) as refusal:
        await handle.signal(Sink.more, "x" * (3 << 20))
    assert refusal.value.status == RPCStatusCode.INVALID_ARGUMENT
    assert "WORKFLOW_EXECUTION_SIGNALED" not in await event_names(handle)
    await handle.terminate()


async def test_a_start_without_a_task_queue_type_or_id_is_refused(env: Env):
    for missing in ({"task_queue": ""}, {"id": ""}):
        with pytest.raises((RPCError, ValueError)) as refusal:
            await env.start("Sink", **missing)
        if isinstance(refusal.value, RPCError):
            assert refusal.value.status == RPCStatusCode.INVALID_ARGUMENT
    with pytest.raises(RPCError) as refusal:
        await env.start("")
    assert refusal.value.status == RPCStatusCode.INVALID_ARGUMENT


async def test_an_unknown_namespace_is_not_found(env: Env):
    from temporalio.client import Client

    elsewhere = await Client.connect(env.address, namespace="no-such-namespace")
    with pytest.raises(RPCError) as refusal:
        await env.start("Sink", client=elsewhere)
    assert refusal.value.status == RPCStatusCode.NOT_FOUND


async def test_a_result_is_awaited_by_many_clients_at_once(env: Env):
    handle = await env.start(Repaired.run)
    waiting = [asyncio.create_task(handle.result()) for _ in range(10)]
    async with env.worker([Repaired]):
        assert await asyncio.gather(*waiting) == ["repaired"] * 10
