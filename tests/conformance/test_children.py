"""Child workflows: results, failures, and who ends when the parent ends."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest
from temporalio import workflow
from temporalio.client import WorkflowExecutionStatus
from temporalio.common import RetryPolicy, WorkflowIDReusePolicy
from temporalio.exceptions import (
    ApplicationError, CancelledError, ChildWorkflowError, TerminatedError, TimeoutError, WorkflowAlreadyStartedError,
)
from temporalio.workflow import ChildWorkflowCancellationType, ParentClosePolicy

from support import Env, event_names, events, eventually, failure_of, has_event, ms


@workflow.defn
class Child:
    """Does what it is told to: an echo, an error, or waiting for ever."""

    def __init__(self) -> None:
        self.released = False

    @workflow.run
    async def run(self, action: str, number: int = 0) -> str:
        info = workflow.info()
        if action == "echo":
            return f"child {number}"
        if action == "fail":
            raise ApplicationError("the child failed", number, type="Childish", non_retryable=True)
        if action == "family":
            assert info.parent and info.root
            return f"{info.parent.workflow_id} {info.parent.run_id} {info.root.workflow_id}"
        if action == "grandchild":
            return await workflow.execute_child_workflow(Child.run, args=["family"], id=f"{info.workflow_id}-grand")
        if action == "again" and number < 3:
            workflow.continue_as_new(args=["again", number + 1])
        if action == "third time":
            if info.attempt < 3:
                raise ApplicationError(f"attempt {info.attempt}")
            return f"attempt {info.attempt}"
        if action in ("wait", "wait and swallow"):
            try:
                await workflow.wait_condition(lambda: self.released)
            except asyncio.CancelledError:
                if action == "wait and swallow":
                    return "cleaned up"
                raise
        return f"{action} {number}"

    @workflow.signal
    def release(self) -> None:
        self.released = True


@workflow.defn
class Parent:
    """Starts one child and gives what became of it."""

    @workflow.run
    async def run(self, action: str, number: int, options: dict) -> str:
        if "policy" in options:
            options["parent_close_policy"] = ParentClosePolicy[options.pop("policy")]
        if "cancellation" in options:
            options["cancellation_type"] = ChildWorkflowCancellationType[options.pop("cancellation")]
        if "run_timeout" in options:
            options["run_timeout"] = timedelta(seconds=options.pop("run_timeout"))
        if "attempts" in options:
            options["retry_policy"] = RetryPolicy(initial_interval=ms(50), maximum_attempts=options.pop("attempts"))
        if options.pop("reject", False):
            options["id_reuse_policy"] = WorkflowIDReusePolicy.REJECT_DUPLICATE
        leave = options.pop("leave", False)
        options.setdefault("id", child_id(workflow.info().workflow_id))
        child = await workflow.start_child_workflow(Child.run, args=[action, number], **options)
        if leave:
            return child.id
        return await child


def child_id(parent_id: str) -> str:
    return f"{parent_id}-child"


def child_of(env: Env):
    return env.client.get_workflow_handle(child_id(env.id()))


async def status_of(handle) -> WorkflowExecutionStatus | None:
    return (await handle.describe()).status


@pytest.fixture
async def family(env: Env):
    async with env.worker([Parent, Child]):
        yield env


async def test_a_child_s_result_reaches_its_parent(family: Env):
    assert await family.run(Parent.run, "echo", 5, {}) == "child 5"


async def test_a_child_s_failure_reaches_its_parent_with_its_cause(family: Env):
    error = await failure_of(await family.start(Parent.run, "fail", 9, {}))
    assert isinstance(error, ChildWorkflowError)
    assert error.workflow_id == child_id(family.id())
    assert error.workflow_type == "Child"
    assert isinstance(error.cause, ApplicationError)
    assert (error.cause.message, error.cause.type, list(error.cause.details)) == ("the child failed", "Childish", [9])


async def test_a_child_knows_its_parent_and_the_root(family: Env):
    handle = await family.start(Parent.run, "family", 0, {})
    assert await handle.result() == f"{handle.id} {handle.result_run_id} {handle.id}"


async def test_a_grandchild_s_root_is_the_first_of_the_family(family: Env):
    handle = await family.start(Parent.run, "grandchild", 0, {})
    parent_id, _, root_id = (await handle.result()).split()
    assert (parent_id, root_id) == (child_id(handle.id), handle.id)


async def test_a_child_that_continues_as_new_answers_with_its_last_run(family: Env):
    assert await family.run(Parent.run, "again", 0, {}) == "again 3"


async def test_a_child_s_retry_policy_is_followed(family: Env):
    assert await family.run(Parent.run, "third time", 0, {"attempts": 5}) == "attempt 3"


async def test_a_child_that_runs_out_of_time_fails_with_a_timeout(family: Env):
    error = await failure_of(await family.start(Parent.run, "wait", 0, {"run_timeout": 0.8}))
    assert isinstance(error, ChildWorkflowError)
    assert isinstance(error.cause, TimeoutError)


async def test_a_terminated_child_fails_its_parent_with_that(family: Env):
    handle = await family.start(Parent.run, "wait", 0, {})
    await eventually(lambda: has_event(handle, "CHILD_WORKFLOW_EXECUTION_STARTED"))
    await child_of(family).terminate("no more")
    error = await failure_of(handle)
    assert isinstance(error, ChildWorkflowError)
    assert isinstance(error.cause, TerminatedError)


async def test_a_child_with_the_id_of_a_running_workflow_is_refused(family: Env):
    taken = await family.start(Child.run, "wait", id=family.id("taken"))
    error = await failure_of(await family.start(Parent.run, "echo", 0, {"id": taken.id}))
    assert "already" in str(error).lower()
    await taken.signal(Child.release)
    assert await taken.result() == "wait 0"


@workflow.defn
class Catching:
    @workflow.run
    async def run(self, taken: str) -> str:
        try:
            await workflow.start_child_workflow(Child.run, args=["echo", 0], id=taken)
        except WorkflowAlreadyStartedError as error:
            return f"{error.workflow_id} of {error.workflow_type}"
        return "started"


async def test_a_parent_may_catch_that_its_child_s_id_is_taken(env: Env):
    async with env.worker([Catching, Child]):
        taken = await env.start(Child.run, "wait", id=env.id("taken"))
        assert await env.run(Catching.run, taken.id) == f"{taken.id} of Child"
        await taken.terminate()


async def test_a_child_is_refused_when_its_id_was_used_and_the_policy_says_so(family: Env):
    await family.run(Child.run, "echo", id=family.id("used"))
    error = await failure_of(await family.start(Parent.run, "echo", 0, {"id": family.id("used"), "reject": True}))
    assert "already" in str(error).lower()


@pytest.mark.parametrize(
    ("policy", "wanted"),
    [("TERMINATE", WorkflowExecutionStatus.TERMINATED), ("REQUEST_CANCEL", WorkflowExecutionStatus.CANCELED)],
)
async def test_the_parent_close_policy_ends_the_child(family: Env, policy: str, wanted: WorkflowExecutionStatus):
    await family.run(Parent.run, "wait", 0, {"policy": policy, "leave": True})

    async def ended() -> bool:
        return await status_of(child_of(family)) == wanted

    assert await eventually(ended)


async def test_an_abandoned_child_outlives_its_parent(family: Env):
    await family.run(Parent.run, "wait", 0, {"policy": "ABANDON", "leave": True})
    child = child_of(family)
    assert await status_of(child) == WorkflowExecutionStatus.RUNNING
    await child.signal(Child.release)
    assert await child.result() == "wait 0"


async def test_the_parent_close_policy_holds_when_the_parent_is_terminated(family: Env):
    handle = await family.start(Parent.run, "wait", 0, {"policy": "TERMINATE"})
    await eventually(lambda: has_event(handle, "CHILD_WORKFLOW_EXECUTION_STARTED"))
    await handle.terminate("gone")

    async def ended() -> bool:
        return await status_of(child_of(family)) == WorkflowExecutionStatus.TERMINATED

    assert await eventually(ended)


async def test_cancelling_a_parent_waits_for_the_child_s_cleanup(family: Env):
    options = {"cancellation": "WAIT_CANCELLATION_COMPLETED"}
    handle = await family.start(Parent.run, "wait and swallow", 0, options)
    await eventually(lambda: has_event(handle, "CHILD_WORKFLOW_EXECUTION_STARTED"))
    # A child that is cancelled before its first task never comes to its clean-up.
    await eventually(lambda: has_event(child_of(family), "WORKFLOW_TASK_COMPLETED"))
    await handle.cancel()
    assert await handle.result() == "cleaned up"
    names = await event_names(handle)
    assert "REQUEST_CANCEL_EXTERNAL_WORKFLOW_EXECUTION_INITIATED" in names
    assert "CHILD_WORKFLOW_EXECUTION_COMPLETED" in names


@pytest.mark.parametrize("how", ["TRY_CANCEL", "WAIT_CANCELLATION_REQUESTED"])
async def test_a_parent_that_does_not_wait_ends_as_cancelled_and_its_child_too(family: Env, how: str):
    handle = await family.start(Parent.run, "wait", 0, {"cancellation": how, "policy": "ABANDON"})
    await eventually(lambda: has_event(handle, "CHILD_WORKFLOW_EXECUTION_STARTED"))
    await eventually(lambda: has_event(child_of(family), "WORKFLOW_TASK_COMPLETED"))
    await handle.cancel()
    error = await failure_of(handle)
    assert isinstance(error, (CancelledError, ChildWorkflowError))

    async def cancelled() -> bool:
        return await status_of(child_of(family)) == WorkflowExecutionStatus.CANCELED

    if how == "WAIT_CANCELLATION_REQUESTED":
        assert await eventually(cancelled)


async def test_an_abandoning_cancellation_leaves_the_child_alone(family: Env):
    handle = await family.start(Parent.run, "wait", 0, {"cancellation": "ABANDON", "policy": "ABANDON"})
    await eventually(lambda: has_event(handle, "CHILD_WORKFLOW_EXECUTION_STARTED"))
    await handle.cancel()
    await failure_of(handle)
    child = child_of(family)
    assert await status_of(child) == WorkflowExecutionStatus.RUNNING
    await child.signal(Child.release)
    await child.result()


async def test_cancelling_a_child_from_outside_is_a_cancelled_child_for_the_parent(family: Env):
    handle = await family.start(Parent.run, "wait", 0, {})
    await eventually(lambda: has_event(handle, "CHILD_WORKFLOW_EXECUTION_STARTED"))
    await child_of(family).cancel()
    error = await failure_of(handle)
    assert isinstance(error, ChildWorkflowError)
    assert isinstance(error.cause, CancelledError)


@workflow.defn
class Brood:
    @workflow.run
    async def run(self, count: int) -> list:
        base = workflow.info().workflow_id
        return await asyncio.gather(
            *(workflow.execute_child_workflow(Child.run, args=["echo", n], id=f"{base}-{n}") for n in range(count))
        )


async def test_many_children_run_in_parallel(env: Env):
    async with env.worker([Brood, Child]):
        handle = await env.start(Brood.run, 20)
        assert await handle.result() == [f"child {n}" for n in range(20)]
    starts = [e for e in await events(handle) if e.HasField("child_workflow_execution_started_event_attributes")]
    assert len(starts) == 20


@workflow.defn
class Talking:
    @workflow.run
    async def run(self) -> str:
        child = await workflow.start_child_workflow(Child.run, args=["wait", 1], id=f"{workflow.info().workflow_id}-c")
        await child.signal(Child.release)
        return await child


async def test_a_parent_signals_its_child(env: Env):
    async with env.worker([Talking, Child]):
        assert await env.run(Talking.run) == "wait 1"


async def test_a_description_names_the_children_that_are_running(family: Env):
    handle = await family.start(Parent.run, "wait", 0, {})
    await eventually(lambda: has_event(handle, "CHILD_WORKFLOW_EXECUTION_STARTED"))
    pending = (await handle.describe()).raw_description.pending_children
    assert [(p.workflow_id, p.workflow_type_name) for p in pending] == [(child_id(handle.id), "Child")]
    described = await child_of(family).describe()
    assert (described.parent_id, described.root_id) == (handle.id, handle.id)
    await handle.terminate()
