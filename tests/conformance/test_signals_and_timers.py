"""Signals: delivered once, in order, whatever else happens; timers."""

from __future__ import annotations

import asyncio
import threading
from datetime import timedelta

import pytest
from temporalio import workflow
from temporalio.api.common.v1 import WorkflowExecution
from temporalio.api.enums.v1 import WorkflowTaskFailedCause
from temporalio.api.workflowservice.v1 import SignalWorkflowExecutionRequest
from temporalio.client import WorkflowExecutionStatus
from temporalio.exceptions import ApplicationError
from temporalio.service import RPCError, RPCStatusCode

from support import Env, event_names, events, eventually, failure_of, has_event, ms


@workflow.defn
class Collecting:
    """Collects what it is told until it is told to stop."""

    def __init__(self) -> None:
        self.heard: list = []
        self.stop = False

    @workflow.run
    async def run(self) -> list:
        await workflow.wait_condition(lambda: self.stop)
        return self.heard

    @workflow.signal
    def tell(self, *words) -> None:
        self.heard.extend(words)

    @workflow.signal
    def finish(self) -> None:
        self.stop = True


async def test_signals_arrive_in_the_order_they_were_sent(env: Env):
    async with env.worker([Collecting]):
        handle = await env.start(Collecting.run)
        for number in range(30):
            await handle.signal(Collecting.tell, number)
        await handle.signal(Collecting.finish)
        assert await handle.result() == list(range(30))


async def test_signals_sent_at_once_all_arrive_once(env: Env):
    async with env.worker([Collecting]):
        handle = await env.start(Collecting.run)
        limit = asyncio.Semaphore(16)

        async def tell(number: int) -> None:
            async with limit:
                await handle.signal(Collecting.tell, number)

        await asyncio.gather(*(tell(number) for number in range(200)))
        await handle.signal(Collecting.finish)
        assert sorted(await handle.result()) == list(range(200))


async def test_signals_sent_before_any_worker_exists_are_there_at_the_first_task(env: Env):
    handle = await env.start(Collecting.run)
    await handle.signal(Collecting.tell, args=["a", "b"])
    await handle.signal(Collecting.finish)
    async with env.worker([Collecting]):
        assert await handle.result() == ["a", "b"]
    assert (await event_names(handle)).count("WORKFLOW_TASK_SCHEDULED") == 1


async def test_a_signal_with_one_request_id_is_delivered_once(env: Env):
    async with env.worker([Collecting]):
        handle = await env.start(Collecting.run)
        request = SignalWorkflowExecutionRequest(
            namespace="default", workflow_execution=WorkflowExecution(workflow_id=handle.id), signal_name="tell",
            request_id="the same", identity="conformance",
        )
        request.input.payloads.extend(await env.client.data_converter.encode(["once"]))
        for _ in range(3):
            await env.client.workflow_service.signal_workflow_execution(request)
        await handle.signal(Collecting.finish)
        assert await handle.result() == ["once"]


class Gate:
    """Holds a workflow task open until the test lets it go on."""

    def __init__(self) -> None:
        self.reached, self.opened = threading.Event(), threading.Event()

    def wait_here(self) -> None:
        self.reached.set()
        # Under the SDK's 2 s deadlock limit; the test opens it long before.
        assert self.opened.wait(1.8)


gates: dict[str, Gate] = {}


@workflow.defn
class Gated:
    """Its first task hangs at the gate; it returns, or sets a timer first."""

    def __init__(self) -> None:
        self.heard: list = []

    @workflow.run
    async def run(self, then_wait: bool) -> list:
        gate = gates[workflow.info().workflow_id]
        if not gate.opened.is_set():
            gate.wait_here()
        if then_wait:
            await workflow.wait_condition(lambda: len(self.heard) == 2)
        return self.heard

    @workflow.signal
    def tell(self, word: str) -> None:
        self.heard.append(word)


async def reach(gate: Gate) -> None:
    async def reached():
        return gate.reached.is_set()

    await eventually(reached)


async def test_signals_during_a_started_task_are_buffered_until_it_completes(env: Env):
    gate = gates[env.id()] = Gate()
    async with env.worker([Gated]):
        handle = await env.start(Gated.run, True)
        await reach(gate)
        await handle.signal(Gated.tell, "one")
        await handle.signal(Gated.tell, "two")
        assert await event_names(handle) == [
            "WORKFLOW_EXECUTION_STARTED", "WORKFLOW_TASK_SCHEDULED", "WORKFLOW_TASK_STARTED",
        ], "buffered events have no place in the history yet"
        gate.opened.set()
        assert await handle.result() == ["one", "two"]
    names = await event_names(handle)
    assert names[3:7] == [
        "WORKFLOW_TASK_COMPLETED", "WORKFLOW_EXECUTION_SIGNALED", "WORKFLOW_EXECUTION_SIGNALED",
        "WORKFLOW_TASK_SCHEDULED",
    ]


async def test_a_workflow_cannot_close_over_a_signal_that_it_has_not_seen(env: Env):
    gate = gates[env.id()] = Gate()
    async with env.worker([Gated]):
        handle = await env.start(Gated.run, False)
        await reach(gate)
        await handle.signal(Gated.tell, "unseen")
        gate.opened.set()
        assert await handle.result() == ["unseen"]
    failed = [e for e in await events(handle) if e.HasField("workflow_task_failed_event_attributes")]
    assert len(failed) == 1
    cause = failed[0].workflow_task_failed_event_attributes.cause
    assert cause == WorkflowTaskFailedCause.WORKFLOW_TASK_FAILED_CAUSE_UNHANDLED_COMMAND


async def test_signal_with_start_starts_once_and_then_only_signals(env: Env):
    async with env.worker([Collecting]):
        first = await env.start(Collecting.run, start_signal="tell", start_signal_args=["first"])
        second = await env.start(Collecting.run, start_signal="tell", start_signal_args=["second"])
        described = await first.describe()
        assert (await second.describe()).run_id == described.run_id
        await first.signal(Collecting.finish)
        assert await first.result() == ["first", "second"]


async def test_signal_with_start_starts_again_when_the_run_is_closed(env: Env):
    async with env.worker([Collecting]):
        first = await env.start(Collecting.run, start_signal="finish")
        assert await first.result() == []
        second = await env.start(Collecting.run, start_signal="tell", start_signal_args=["new"])
        await second.signal(Collecting.finish)
        assert await second.result() == ["new"]
        assert (await second.describe()).run_id != first.result_run_id


async def test_a_signal_to_a_closed_workflow_is_not_found(env: Env):
    async with env.worker([Collecting]):
        handle = await env.start(Collecting.run, start_signal="finish")
        await handle.result()
        with pytest.raises(RPCError) as refusal:
            await handle.signal(Collecting.tell, "late")
    assert refusal.value.status == RPCStatusCode.NOT_FOUND


async def test_a_signal_to_an_unknown_workflow_is_not_found(env: Env):
    with pytest.raises(RPCError) as refusal:
        await env.client.get_workflow_handle(env.id("ghost")).signal("tell", "?")
    assert refusal.value.status == RPCStatusCode.NOT_FOUND


@workflow.defn
class Messenger:
    @workflow.run
    async def run(self, target: str, action: str) -> str:
        other = workflow.get_external_workflow_handle(target)
        if action == "cancel":
            await other.cancel()
        else:
            await other.signal("tell", "from a workflow")
            await other.signal("finish")
        return "delivered"


async def test_a_workflow_signals_another_one(env: Env):
    async with env.worker([Collecting, Messenger]):
        target = await env.start(Collecting.run, id=env.id("target"))
        messenger = await env.start(Messenger.run, target.id, "signal")
        assert await messenger.result() == "delivered"
        assert await target.result() == ["from a workflow"]
    names = await event_names(messenger)
    assert names.count("EXTERNAL_WORKFLOW_EXECUTION_SIGNALED") == 2
    signaled = [e.workflow_execution_signaled_event_attributes for e in await events(target)
                if e.HasField("workflow_execution_signaled_event_attributes")]
    assert signaled[0].external_workflow_execution.workflow_id == messenger.id


async def test_a_workflow_cancels_another_one(env: Env):
    async with env.worker([Collecting, Messenger]):
        target = await env.start(Collecting.run, id=env.id("target"))
        assert await env.run(Messenger.run, target.id, "cancel") == "delivered"
        await failure_of(target)
        assert (await target.describe()).status == WorkflowExecutionStatus.CANCELED


@pytest.mark.parametrize("action", ["signal", "cancel"])
async def test_a_message_to_a_workflow_that_is_not_there_fails_in_the_sender(env: Env, action: str):
    async with env.worker([Messenger]):
        handle = await env.start(Messenger.run, env.id("ghost"), action)
        error = await failure_of(handle)
    assert isinstance(error, ApplicationError)
    assert "EXTERNAL_WORKFLOW_EXECUTION_FAILED" in " ".join(await event_names(handle))


@workflow.defn
class Sleeping:
    @workflow.run
    async def run(self, milliseconds: list) -> list:
        order: list = []

        async def nap(duration: int) -> None:
            await asyncio.sleep(duration / 1000)
            order.append(duration)

        await asyncio.gather(*(nap(duration) for duration in milliseconds))
        return order


async def test_timers_fire_in_the_order_of_their_times(env: Env):
    async with env.worker([Sleeping]):
        handle = await env.start(Sleeping.run, [900, 100, 500, 1])
        assert await handle.result() == [1, 100, 500, 900]
    assert (await event_names(handle)).count("TIMER_FIRED") == 4


async def test_a_timer_does_not_fire_early_and_not_much_late(env: Env):
    async with env.worker([Sleeping]):
        handle = await env.start(Sleeping.run, [700])
        await handle.result()
    history = await events(handle)
    started = next(e for e in history if e.HasField("timer_started_event_attributes"))
    fired = next(e for e in history if e.HasField("timer_fired_event_attributes"))
    took = fired.event_time.ToDatetime() - started.event_time.ToDatetime()
    assert ms(700) <= took < timedelta(seconds=3)


@workflow.defn
class Impatient:
    def __init__(self) -> None:
        self.go = False

    @workflow.run
    async def run(self) -> str:
        try:
            await workflow.wait_condition(lambda: self.go, timeout=3600)
            first = "told"
        except asyncio.TimeoutError:
            first = "timed out"
        try:
            await workflow.wait_condition(lambda: False, timeout=0.05)
            return "impossible"
        except asyncio.TimeoutError:
            return f"{first}, then timed out"

    @workflow.signal
    def proceed(self) -> None:
        self.go = True


async def test_a_condition_that_comes_true_cancels_its_timer(env: Env):
    async with env.worker([Impatient]):
        handle = await env.start(Impatient.run)
        await eventually(lambda: has_event(handle, "TIMER_STARTED"))
        await handle.signal(Impatient.proceed)
        assert await handle.result() == "told, then timed out"
    names = await event_names(handle)
    assert (names.count("TIMER_CANCELED"), names.count("TIMER_FIRED")) == (1, 1)
