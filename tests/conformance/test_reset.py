"""Reset: a workflow goes on from an earlier point of its history, in a new run."""

from __future__ import annotations

import asyncio
import uuid
from datetime import timedelta

import pytest
from temporalio import activity, workflow
from temporalio.api.common.v1 import WorkflowExecution
from temporalio.api.enums.v1 import ResetReapplyExcludeType, ResetReapplyType, WorkflowTaskFailedCause
from temporalio.api.workflow.v1 import PostResetOperation
from temporalio.api.workflowservice.v1 import DescribeWorkflowExecutionRequest, ResetWorkflowExecutionRequest
from temporalio.client import (
    WorkflowExecutionStatus, WorkflowHandle, WorkflowUpdateFailedError, WorkflowUpdateStage,
)
from temporalio.exceptions import TerminatedError
from temporalio.service import RPCError, RPCStatusCode
from temporalio.worker import Replayer, UnsandboxedWorkflowRunner

from engines import temporal_binary
from support import ONCE, SOON, Env, event_name, event_names, events, eventually, failure_of, has_event


@workflow.defn
class Collector:
    """Collects words until it is told to stop."""

    def __init__(self) -> None:
        self.words: list[str] = []
        self.stopped = False

    @workflow.run
    async def run(self) -> list[str]:
        await workflow.wait_condition(lambda: self.stopped)
        return self.words

    @workflow.signal
    def say(self, word: str) -> None:
        self.words.append(word)

    @workflow.signal
    def stop(self) -> None:
        self.stopped = True


@workflow.defn
class InTwoRuns:
    """Continues as new once, and then collects words."""

    def __init__(self) -> None:
        self.words: list[str] = []

    @workflow.run
    async def run(self, turn: int) -> list[str]:
        await workflow.wait_condition(lambda: len(self.words) >= 1 + turn)
        if turn == 0 and self.words[0] == "on":
            workflow.continue_as_new(1)
        return self.words

    @workflow.signal
    def say(self, word: str) -> None:
        self.words.append(word)


@workflow.defn
class Ledger:
    """Is told by updates; some of them wait to be released."""

    def __init__(self) -> None:
        self.entries: list[str] = []
        self.released = False
        self.stopped = False

    @workflow.run
    async def run(self) -> list[str]:
        await workflow.wait_condition(lambda: self.stopped)
        await workflow.wait_condition(workflow.all_handlers_finished)
        return self.entries

    @workflow.update
    async def enter(self, entry: str, wait: bool) -> str:
        if wait:
            await workflow.wait_condition(lambda: self.released)
        self.entries.append(entry)
        return f"{entry} of {workflow.info().run_id}"

    @enter.validator
    def check(self, entry: str, wait: bool) -> None:
        if entry == "bad":
            raise ValueError("a bad entry")

    @workflow.signal
    def release(self) -> None:
        self.released = True

    @workflow.signal
    def stop(self) -> None:
        self.stopped = True


ATTEMPTS: dict[str, int] = {}


@activity.defn
async def slow(name: str) -> int:
    """Hangs the first time, answers the second."""
    ATTEMPTS[name] = ATTEMPTS.get(name, 0) + 1
    if ATTEMPTS[name] == 1:
        await asyncio.sleep(3600)
    return ATTEMPTS[name]


@workflow.defn
class Waits:
    @workflow.run
    async def run(self, name: str) -> int:
        return await workflow.execute_activity(
            slow, name, start_to_close_timeout=SOON, schedule_to_close_timeout=timedelta(seconds=60), retry_policy=ONCE
        )


@workflow.defn
class Parent:
    def __init__(self) -> None:
        self.go = False

    @workflow.run
    async def run(self) -> list[str]:
        child = await workflow.start_child_workflow(Collector.run, id=f"{workflow.info().workflow_id}-child")
        await workflow.wait_condition(lambda: self.go)
        return await child

    @workflow.signal
    def on(self) -> None:
        self.go = True


async def reset(env: Env, handle: WorkflowHandle, event_id: int, **fields) -> WorkflowHandle:
    fields.setdefault("request_id", str(uuid.uuid4()))
    answer = await env.client.workflow_service.reset_workflow_execution(
        ResetWorkflowExecutionRequest(
            namespace=env.client.namespace,
            workflow_execution=WorkflowExecution(workflow_id=handle.id, run_id=handle.result_run_id or ""),
            workflow_task_finish_event_id=event_id,
            reason="for the test",
            **fields,
        )
    )
    return env.client.get_workflow_handle(handle.id, run_id=answer.run_id)


async def describe(env: Env, handle: WorkflowHandle):
    return await env.client.workflow_service.describe_workflow_execution(
        DescribeWorkflowExecutionRequest(
            namespace=env.client.namespace,
            execution=WorkflowExecution(workflow_id=handle.id, run_id=handle.run_id or handle.result_run_id or ""),
        )
    )


async def first(handle: WorkflowHandle, name: str) -> int:
    """The id of the first event with a name, once there is one."""
    await eventually(lambda: has_event(handle, name))
    return next(event.event_id for event in await events(handle) if event_name(event) == name)


async def test_an_open_run_is_terminated_and_a_new_one_goes_on_with_its_signals(env: Env):
    async with env.worker([Collector]):
        handle = await env.start(Collector.run)
        point = await first(handle, "WORKFLOW_TASK_COMPLETED")
        await handle.signal(Collector.say, "one")
        await handle.signal(Collector.say, "two")
        again = await reset(env, handle, point)
        assert again.run_id != handle.result_run_id
        await again.signal(Collector.stop)
        assert await again.result() == ["one", "two"]
        old = env.client.get_workflow_handle(handle.id, run_id=handle.result_run_id)
        cause = await failure_of(old)
        assert isinstance(cause, TerminatedError)
        last = (await events(old))[-1].workflow_execution_terminated_event_attributes
        assert (last.reason, last.identity) == ("for the test", "history-resetter")


async def test_the_new_history_begins_as_the_old_one_and_names_it(env: Env):
    async with env.worker([Collector]):
        handle = await env.start(Collector.run)
        point = await first(handle, "WORKFLOW_TASK_COMPLETED")
        await handle.signal(Collector.say, "one")
        again = await reset(env, handle, point)
        await again.signal(Collector.stop)
        await again.result()
        old, new = await events(handle), await events(again)
        assert [e.SerializeToString() for e in new[: point - 1]] == [e.SerializeToString() for e in old[: point - 1]]
        failed = new[point - 1].workflow_task_failed_event_attributes
        assert failed.cause == WorkflowTaskFailedCause.WORKFLOW_TASK_FAILED_CAUSE_RESET_WORKFLOW
        assert (failed.base_run_id, failed.new_run_id) == (handle.result_run_id, again.run_id)
        assert failed.failure.message == "for the test"
        assert failed.failure.HasField("reset_workflow_failure_info")
        assert failed.identity == "history-service"
        assert [event_name(e) for e in new[point:point + 2]] == ["WORKFLOW_EXECUTION_SIGNALED", "WORKFLOW_TASK_SCHEDULED"]
        started = new[0].workflow_execution_started_event_attributes
        assert started.original_execution_run_id == handle.result_run_id
        assert started.first_execution_run_id == handle.result_run_id


async def test_a_reset_run_replays(env: Env):
    async with env.worker([Collector]):
        handle = await env.start(Collector.run)
        point = await first(handle, "WORKFLOW_TASK_COMPLETED")
        await handle.signal(Collector.say, "one")
        again = await reset(env, handle, point)
        await again.signal(Collector.stop)
        assert await again.result() == ["one"]
    replayer = Replayer(workflows=[Collector], workflow_runner=UnsandboxedWorkflowRunner())
    await replayer.replay_workflow(await again.fetch_history())


async def test_what_is_described_of_both_runs(env: Env):
    async with env.worker([Collector]):
        handle = await env.start(Collector.run)
        point = await first(handle, "WORKFLOW_TASK_COMPLETED")
        again = await reset(env, handle, point)

        async def told() -> bool:
            return (await describe(env, handle)).workflow_extended_info.reset_run_id == again.run_id

        await eventually(told)
        old, new = await describe(env, handle), await describe(env, again)
        assert new.workflow_execution_info.first_run_id == handle.result_run_id
        assert new.workflow_extended_info.last_reset_time == new.workflow_execution_info.start_time
        original = new.workflow_extended_info.original_start_time
        assert original == old.workflow_execution_info.start_time
        assert new.workflow_execution_info.start_time.ToNanoseconds() > original.ToNanoseconds()
        expiration = new.workflow_extended_info.execution_expiration_time.ToNanoseconds()
        assert expiration > old.workflow_extended_info.execution_expiration_time.ToNanoseconds(), "time begins anew"
        await again.terminate()


async def test_signals_are_left_out_when_asked_for(env: Env):
    async with env.worker([Collector]):
        for fields in (
            {"reset_reapply_exclude_types": [ResetReapplyExcludeType.RESET_REAPPLY_EXCLUDE_TYPE_SIGNAL]},
            {"reset_reapply_type": ResetReapplyType.RESET_REAPPLY_TYPE_NONE},
        ):
            handle = await env.start(Collector.run, id=env.id(next(iter(fields))))
            point = await first(handle, "WORKFLOW_TASK_COMPLETED")
            await handle.signal(Collector.say, "forgotten")
            again = await reset(env, handle, point, **fields)
            await again.signal(Collector.stop)
            assert await again.result() == []


async def test_a_closed_run_is_reset(env: Env):
    async with env.worker([Collector]):
        handle = await env.start(Collector.run)
        await handle.signal(Collector.say, "one")
        point = await first(handle, "WORKFLOW_TASK_COMPLETED")
        await handle.signal(Collector.stop)
        assert await handle.result() == ["one"]
        again = await reset(env, handle, point)
        assert await again.result() == ["one"], "the signals that stopped it happen again"
        assert (await event_names(handle))[-1] == "WORKFLOW_EXECUTION_COMPLETED", "the old run stays as it was"


async def test_a_run_that_a_reset_made_is_reset_again(env: Env):
    async with env.worker([Collector]):
        handle = await env.start(Collector.run)
        point = await first(handle, "WORKFLOW_TASK_COMPLETED")
        await handle.signal(Collector.say, "one")
        second = await reset(env, handle, point)
        await eventually(lambda: has_event(second, "WORKFLOW_TASK_COMPLETED"))
        await second.signal(Collector.say, "two")
        late = max(e.event_id for e in await events(second) if event_name(e) == "WORKFLOW_TASK_COMPLETED")
        third = await reset(env, env.client.get_workflow_handle(handle.id), late)
        await third.signal(Collector.stop)
        assert await third.result() == ["one", "two"]
        # An older run may be the base once more.
        fourth = await reset(env, handle, point)
        await fourth.signal(Collector.stop)
        assert await fourth.result() == ["one"]


async def test_signals_are_taken_along_the_chain_of_runs(env: Env):
    async with env.worker([InTwoRuns]):
        handle = await env.start(InTwoRuns.run, 0)
        point = await first(handle, "WORKFLOW_TASK_COMPLETED")
        await handle.signal(InTwoRuns.say, "on")
        current = env.client.get_workflow_handle(handle.id)

        async def continued() -> bool:
            return (await describe(env, current)).workflow_execution_info.execution.run_id != handle.result_run_id

        await eventually(continued)
        await current.signal(InTwoRuns.say, "later")
        again = await reset(env, handle, point)
        # "on" makes it continue as new again, with "later" waiting: both came back.
        names = [
            event.workflow_execution_signaled_event_attributes.input.payloads[0].data
            for event in await events(again)
            if event_name(event) == "WORKFLOW_EXECUTION_SIGNALED"
        ]
        assert names == [b'"on"', b'"later"']
        await env.client.get_workflow_handle(handle.id).terminate()


async def test_a_running_activity_is_run_again(env: Env):
    async with env.worker([Waits], [slow]):
        name = env.id()
        handle = await env.start(Waits.run, name)
        await first(handle, "ACTIVITY_TASK_SCHEDULED")

        async def running() -> bool:
            return ATTEMPTS.get(name) == 1

        await eventually(running)
        point = await first(handle, "WORKFLOW_TASK_COMPLETED")
        again = await reset(env, handle, point)
        assert await again.result() == 2
        assert "ACTIVITY_TASK_FAILED" not in await event_names(again)


async def test_an_activity_that_was_scheduled_before_the_point_is_handed_out_again(env: Env):
    """The point is a later workflow task, so the Scheduled event is part of what is copied."""
    async with env.worker([WaitsAndListens], [slow]):
        name = env.id()
        handle = await env.start(WaitsAndListens.run, name)

        async def running() -> bool:
            return ATTEMPTS.get(name) == 1

        await eventually(running)
        await handle.signal(WaitsAndListens.poke)
        await eventually(lambda: has_event(handle, "WORKFLOW_TASK_COMPLETED", 2))
        point = max(e.event_id for e in await events(handle) if event_name(e) == "WORKFLOW_TASK_COMPLETED")
        again = await reset(env, handle, point)
        assert await again.result() == 2
        assert (await event_names(again)).count("ACTIVITY_TASK_SCHEDULED") == 1


@workflow.defn
class WaitsAndListens(Waits):
    @workflow.run
    async def run(self, name: str) -> int:
        return await workflow.execute_activity(slow, name, start_to_close_timeout=SOON, retry_policy=ONCE)

    @workflow.signal
    def poke(self) -> None:
        pass


async def test_a_child_that_is_still_running_becomes_the_new_run_s_child(env: Env):
    async with env.worker([Parent, Collector]):
        handle = await env.start(Parent.run)
        await eventually(lambda: has_event(handle, "CHILD_WORKFLOW_EXECUTION_STARTED"))
        await eventually(lambda: has_event(handle, "WORKFLOW_TASK_COMPLETED", 2))
        point = max(e.event_id for e in await events(handle) if event_name(e) == "WORKFLOW_TASK_COMPLETED")
        again = await reset(env, handle, point)
        child = env.client.get_workflow_handle(f"{handle.id}-child")
        await child.signal(Collector.say, "hello")
        await again.signal(Parent.on)
        await child.signal(Collector.stop)
        assert await again.result() == ["hello"]
        assert (await child.describe()).status == WorkflowExecutionStatus.COMPLETED


async def test_a_child_that_closed_after_the_point_is_told_to_the_new_run(env: Env):
    async with env.worker([Parent, Collector]):
        handle = await env.start(Parent.run)
        await eventually(lambda: has_event(handle, "WORKFLOW_TASK_COMPLETED", 2))
        point = max(e.event_id for e in await events(handle) if event_name(e) == "WORKFLOW_TASK_COMPLETED")
        child = env.client.get_workflow_handle(f"{handle.id}-child")
        await child.signal(Collector.say, "hello")
        await child.signal(Collector.stop)
        await eventually(lambda: has_event(handle, "CHILD_WORKFLOW_EXECUTION_COMPLETED"))
        again = await reset(env, handle, point)
        await again.signal(Parent.on)
        assert await again.result() == ["hello"]
        names = await event_names(again)
        assert names.count("CHILD_WORKFLOW_EXECUTION_COMPLETED") == 1


async def test_a_timer_keeps_its_time(env: Env):
    async with env.worker([Sleeper]):
        handle = await env.start(Sleeper.run)
        await first(handle, "TIMER_STARTED")
        await handle.signal(Sleeper.poke)
        await eventually(lambda: has_event(handle, "WORKFLOW_TASK_COMPLETED", 2))
        assert await handle.result() == "slept"
        point = [e.event_id for e in await events(handle) if event_name(e) == "WORKFLOW_TASK_COMPLETED"][1]
        again = await reset(env, handle, point)
        assert await again.result() == "slept"
        history = await events(again)
        fired = next(e for e in history if event_name(e) == "TIMER_FIRED")
        failed = next(e for e in history if event_name(e) == "WORKFLOW_TASK_FAILED")
        assert fired.event_time.ToNanoseconds() - failed.event_time.ToNanoseconds() < 1_900_000_000


@workflow.defn
class Sleeper:
    @workflow.run
    async def run(self) -> str:
        await asyncio.sleep(2)
        return "slept"

    @workflow.signal
    def poke(self) -> None:
        pass


async def test_only_a_workflow_task_in_the_making_is_a_point_to_reset_to(env: Env):
    async with env.worker([Collector]):
        handle = await env.start(Collector.run)
        point = await first(handle, "WORKFLOW_TASK_COMPLETED")
        for event_id, words in (
            (0, "Workflow task finish ID must be > 1 && <= workflow last event ID."),
            (1, "Workflow task finish ID must be > 1 && <= workflow last event ID."),
            (point + 1, "Workflow task finish ID must be > 1 && <= workflow last event ID."),
        ):
            with pytest.raises(RPCError) as error:
                await reset(env, handle, event_id)
            assert error.value.status == RPCStatusCode.INVALID_ARGUMENT
            assert error.value.message == words
        await handle.signal(Collector.say, "more")
        await eventually(lambda: has_event(handle, "WORKFLOW_TASK_COMPLETED", 2))
        with pytest.raises(RPCError) as error:
            await reset(env, handle, point + 1)
        assert error.value.status == RPCStatusCode.INVALID_ARGUMENT
        assert "Can only reset workflow to event ID in range [WorkflowTaskScheduled +1, WorkflowTaskStarted + 1]" in str(
            error.value
        )
        await handle.terminate()


async def test_a_missing_workflow_cannot_be_reset(env: Env):
    with pytest.raises(RPCError) as error:
        await reset(env, env.client.get_workflow_handle(env.id()), 4)
    assert error.value.status == RPCStatusCode.NOT_FOUND


async def test_a_workflow_task_that_nobody_took_yet_may_be_the_point(env: Env):
    handle = await env.start(Collector.run)
    assert await event_names(handle) == ["WORKFLOW_EXECUTION_STARTED", "WORKFLOW_TASK_SCHEDULED"]
    await handle.signal(Collector.stop)
    again = await reset(env, handle, 3)
    assert (await event_names(again))[1:] == [
        "WORKFLOW_TASK_SCHEDULED", "WORKFLOW_TASK_STARTED", "WORKFLOW_TASK_FAILED",
        "WORKFLOW_EXECUTION_SIGNALED", "WORKFLOW_TASK_SCHEDULED",
    ]
    async with env.worker([Collector]):
        assert await again.result() == []


async def cli_reset(env: Env, handle: WorkflowHandle, *words: str) -> None:
    process = await asyncio.create_subprocess_exec(
        temporal_binary(), "workflow", "reset", "--workflow-id", handle.id, "--reason", "by hand",
        "--address", env.address, *words, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
    )
    output, _ = await process.communicate()
    assert process.returncode == 0, output.decode()


@pytest.mark.parametrize("kind", ["FirstWorkflowTask", "LastWorkflowTask"])
async def test_the_command_line_resets_to_a_named_point(env: Env, kind: str):
    async with env.worker([Collector]):
        handle = await env.start(Collector.run)
        await eventually(lambda: has_event(handle, "WORKFLOW_TASK_COMPLETED"))
        await handle.signal(Collector.say, "one")
        await eventually(lambda: has_event(handle, "WORKFLOW_TASK_COMPLETED", 2))
        await cli_reset(env, handle, "--type", kind)
        again = env.client.get_workflow_handle(handle.id)
        await again.signal(Collector.stop)
        assert await again.result() == ["one"]


async def test_the_command_line_resets_to_an_event_and_leaves_signals_out(env: Env):
    async with env.worker([Collector]):
        handle = await env.start(Collector.run)
        point = await first(handle, "WORKFLOW_TASK_COMPLETED")
        await handle.signal(Collector.say, "one")
        await cli_reset(env, handle, "--event-id", str(point), "--reapply-exclude", "Signal")
        again = env.client.get_workflow_handle(handle.id)
        await again.signal(Collector.stop)
        assert await again.result() == []


async def test_updates_after_the_point_happen_again_in_the_new_run(env: Env):
    async with env.worker([Ledger]):
        handle = await env.start(Ledger.run)
        point = await first(handle, "WORKFLOW_TASK_COMPLETED")
        assert await handle.execute_update(Ledger.enter, args=["done", False], id="u1") == f"done of {handle.result_run_id}"
        waiting = await handle.start_update(
            Ledger.enter, args=["waits", True], id="u2", wait_for_stage=WorkflowUpdateStage.ACCEPTED
        )
        with pytest.raises(WorkflowUpdateFailedError):
            await handle.execute_update(Ledger.enter, args=["bad", False], id="u3")
        again = await reset(env, handle, point)
        await eventually(lambda: has_event(again, "WORKFLOW_EXECUTION_UPDATE_ACCEPTED", 2))
        await again.signal(Ledger.release)
        # By workflow id and update id, the new run answers; what was completed is not done once more for whoever asks.
        new = env.client.get_workflow_handle(handle.id)
        for update, entry in (("u1", "done"), (waiting.id, "waits")):
            outcome = await new.get_update_handle(update, result_type=str).result()
            assert outcome == f"{entry} of {again.run_id}"
        assert await new.execute_update(Ledger.enter, args=["done", False], id="u1") == f"done of {again.run_id}"
        names = await event_names(again)
        assert names.count("WORKFLOW_EXECUTION_UPDATE_ADMITTED") == 2, "the rejected one left no trace"
        await again.signal(Ledger.stop)
        assert sorted(await again.result()) == ["done", "waits"]


async def test_updates_are_left_out_when_asked_for(env: Env):
    async with env.worker([Ledger]):
        handle = await env.start(Ledger.run)
        point = await first(handle, "WORKFLOW_TASK_COMPLETED")
        await handle.execute_update(Ledger.enter, args=["one", False], id="u1")
        await handle.signal(Ledger.release)
        again = await reset(
            env, handle, point,
            reset_reapply_exclude_types=[ResetReapplyExcludeType.RESET_REAPPLY_EXCLUDE_TYPE_UPDATE],
        )
        names = await event_names(again)
        assert "WORKFLOW_EXECUTION_UPDATE_ADMITTED" not in names
        assert "WORKFLOW_EXECUTION_SIGNALED" in names
        await again.signal(Ledger.stop)
        assert await again.result() == []


async def test_an_update_that_no_worker_took_yet_is_asked_of_the_new_run(env: Env):
    async with env.worker([Ledger]):
        handle = await env.start(Ledger.run)
        point = await first(handle, "WORKFLOW_TASK_COMPLETED")
    current = env.client.get_workflow_handle(handle.id)
    asked = asyncio.create_task(current.execute_update(Ledger.enter, args=["early", False], id="u1"))
    await asyncio.sleep(0.3)
    again = await reset(env, handle, point)
    async with env.worker([Ledger]):
        try:
            assert await asked == f"early of {again.run_id}"
        except RPCError as error:
            # Its caller is told that the run it waited for has ended.
            assert error.status == RPCStatusCode.NOT_FOUND
        await again.signal(Ledger.stop)
        assert await again.result() in ([], ["early"])


async def test_updates_of_earlier_runs_survive_two_resets(env: Env):
    async with env.worker([Ledger]):
        handle = await env.start(Ledger.run)
        point = await first(handle, "WORKFLOW_TASK_COMPLETED")
        await handle.execute_update(Ledger.enter, args=["one", False], id="u1")
        second = await reset(env, handle, point)
        await eventually(lambda: has_event(second, "WORKFLOW_EXECUTION_UPDATE_COMPLETED"))
        third = await reset(env, second, point)
        await third.signal(Ledger.stop)
        assert await third.result() == ["one"]


async def test_the_options_of_the_new_run_are_changed_before_its_first_task(env: Env):
    async with env.worker([Collector]):
        handle = await env.start(Collector.run)
        point = await first(handle, "WORKFLOW_TASK_COMPLETED")
        await handle.signal(Collector.say, "one")
        change = PostResetOperation()
        change.update_workflow_options.workflow_execution_options.priority.priority_key = 1
        change.update_workflow_options.update_mask.paths.append("priority")
        again = await reset(env, handle, point, post_reset_operations=[change])
        names = await event_names(again)
        assert names.index("WORKFLOW_EXECUTION_SIGNALED") < names.index("WORKFLOW_EXECUTION_OPTIONS_UPDATED")
        assert (await describe(env, again)).workflow_execution_info.priority.priority_key == 1
        await again.signal(Collector.stop)
        assert await again.result() == ["one"]


async def test_a_signal_after_the_reset_is_the_first_thing_the_new_run_hears(env: Env):
    async with env.worker([Collector]):
        handle = await env.start(Collector.run)
        point = await first(handle, "WORKFLOW_TASK_COMPLETED")
        stop = PostResetOperation()
        stop.signal_workflow.signal_name = "stop"
        try:
            again = await reset(env, handle, point, post_reset_operations=[stop])
        except RPCError as error:
            # The real server names it in its API, but does not do it.
            assert env.engine == "temporal" and error.status == RPCStatusCode.INVALID_ARGUMENT
            await handle.signal(Collector.stop)
            again = handle
        assert await again.result() == []
