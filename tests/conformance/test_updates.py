"""Updates: accepted or rejected by the workflow, waited for by their callers, and dealt with whatever ends first."""

from __future__ import annotations

import asyncio
import json
import uuid
from datetime import timedelta
from typing import Any

import pytest
from temporalio import activity, workflow
from temporalio.api.common.v1 import WorkflowExecution
from temporalio.api.enums.v1 import UpdateWorkflowExecutionLifecycleStage as Stage
from temporalio.api.errordetails.v1 import MultiOperationExecutionFailure
from temporalio.api.update.v1 import Input, Meta, Request, UpdateRef, WaitPolicy
from temporalio.api.workflowservice.v1 import (
    DescribeNamespaceRequest,
    ExecuteMultiOperationRequest,
    PollWorkflowExecutionUpdateRequest,
    StartWorkflowExecutionRequest,
    UpdateWorkflowExecutionRequest,
)
from temporalio.client import (
    WithStartWorkflowOperation,
    WorkflowUpdateFailedError,
    WorkflowUpdateRPCTimeoutOrCancelledError,
    WorkflowUpdateStage,
)
from temporalio.common import WorkflowIDConflictPolicy, WorkflowIDReusePolicy
from temporalio.exceptions import ApplicationError, WorkflowAlreadyStartedError
from temporalio.service import RPCError, RPCStatusCode
from temporalio.worker import UnsandboxedWorkflowRunner, Worker

from engines import connect, temporal_binary
from support import SOON, Env, event_names, events, eventually, has_event, ms

ACCEPTED = "WORKFLOW_EXECUTION_UPDATE_ACCEPTED"
COMPLETED = "WORKFLOW_EXECUTION_UPDATE_COMPLETED"


@activity.defn
async def double(number: int) -> int:
    return 2 * number


@workflow.defn
class Account:
    """Keeps a balance until it is told to close."""

    @workflow.init
    def __init__(self, balance: int = 0) -> None:
        # An update may be handled before the first line of `run`.
        self.balance = balance
        self.gate = False
        self.end = ""

    @workflow.run
    async def run(self, balance: int = 0) -> int:
        await workflow.wait_condition(lambda: self.end != "")
        if self.end == "again":
            workflow.continue_as_new(self.balance)
        if self.end == "fail":
            raise ApplicationError("closed in anger", non_retryable=True)
        if self.end == "finish":
            await workflow.wait_condition(workflow.all_handlers_finished)
        return self.balance

    @workflow.update
    def deposit(self, amount: int) -> int:
        self.balance += amount
        return self.balance

    @deposit.validator
    def check_deposit(self, amount: int) -> None:
        if amount < 0:
            raise ApplicationError("a deposit is not negative", type="BadAmount")

    @workflow.update
    async def deposit_doubled(self, amount: int) -> int:
        await asyncio.sleep(0.01)
        self.balance += await workflow.execute_activity(double, amount, start_to_close_timeout=SOON)
        return self.balance

    @workflow.update
    async def deposit_later(self, amount: int) -> int:
        await workflow.wait_condition(lambda: self.gate)
        self.balance += amount
        return self.balance

    @workflow.update
    def refuse(self) -> None:
        raise ApplicationError("not today", type="Refusal")

    @workflow.update
    def leave(self, how: str) -> str:
        self.end = how
        return how

    @workflow.signal
    def open_gate(self) -> None:
        self.gate = True

    @workflow.signal
    def close(self, how: str) -> None:
        self.end = how

    @workflow.query
    def current(self) -> int:
        return self.balance


def worker(env: Env, **options: Any) -> Worker:
    return env.worker([Account], [double], **options)


async def started(env: Env, **options: Any) -> Any:
    """A workflow whose first task is done."""
    handle = await env.start(Account.run, **options)
    await eventually(lambda: has_event(handle, "WORKFLOW_TASK_COMPLETED"))
    return handle


async def test_an_update_has_a_result_and_two_events(env: Env):
    async with worker(env):
        handle = await started(env)
        assert await handle.execute_update(Account.deposit, 5) == 5
        assert await handle.execute_update(Account.deposit, 7) == 12
        names = await event_names(handle)
        assert (names.count(ACCEPTED), names.count(COMPLETED)) == (2, 2)
        at = names.index(ACCEPTED)
        assert names[at - 3 : at + 2] == [
            "WORKFLOW_TASK_SCHEDULED", "WORKFLOW_TASK_STARTED", "WORKFLOW_TASK_COMPLETED", ACCEPTED, COMPLETED,
        ]
        accepted = (await events(handle))[at].workflow_execution_update_accepted_event_attributes
        assert accepted.accepted_request.input.name == "deposit"


async def test_rejected_updates_leave_no_history(env: Env):
    async with worker(env):
        handle = await started(env)
        before = await event_names(handle)
        for _ in range(3):
            with pytest.raises(WorkflowUpdateFailedError) as error:
                await handle.execute_update(Account.deposit, -1)
            assert isinstance(error.value.cause, ApplicationError)
            assert error.value.cause.type == "BadAmount"
        assert await event_names(handle) == before
        assert await handle.execute_update(Account.deposit, 3) == 3
        assert await handle.query(Account.current) == 3


async def test_an_update_that_fails_is_a_failure_its_caller_sees(env: Env):
    async with worker(env):
        handle = await started(env)
        with pytest.raises(WorkflowUpdateFailedError) as error:
            await handle.execute_update(Account.refuse)
        assert isinstance(error.value.cause, ApplicationError)
        assert error.value.cause.message == "not today"
        assert ACCEPTED in await event_names(handle)
        with pytest.raises(WorkflowUpdateFailedError):
            await handle.execute_update("no_such_update")
        assert await handle.execute_update(Account.deposit, 1) == 1


async def test_an_update_before_the_first_task_waits_for_it(env: Env):
    handle = await env.start(Account.run)
    update = asyncio.create_task(handle.execute_update(Account.deposit, 4))
    await asyncio.sleep(0.1)
    async with worker(env):
        assert await update == 4


async def test_a_handler_may_use_timers_and_activities(env: Env):
    async with worker(env):
        handle = await started(env)
        assert await handle.execute_update(Account.deposit_doubled, 21) == 42
        await handle.signal(Account.close, "finish")
        assert await handle.result() == 42


async def test_callers_may_wait_for_acceptance_and_ask_for_the_outcome_later(env: Env):
    async with worker(env):
        handle = await started(env)
        update = await handle.start_update(Account.deposit_later, 9, wait_for_stage=WorkflowUpdateStage.ACCEPTED)
        assert update._known_outcome is None
        names = await event_names(handle)
        assert ACCEPTED in names and COMPLETED not in names
        waiting = asyncio.create_task(update.result())
        await handle.signal(Account.open_gate)
        assert await waiting == 9
        assert await handle.get_update_handle(update.id, result_type=int).result() == 9
        done = await handle.start_update(Account.deposit, 1, wait_for_stage=WorkflowUpdateStage.ACCEPTED)
        assert await done.result() == 10


async def test_an_update_is_carried_out_once_however_often_it_is_sent(env: Env):
    async with worker(env):
        handle = await started(env)
        once = {"id": "the-one", "result_type": int}
        assert await handle.execute_update(Account.deposit, 5, id="the-one") == 5
        assert await handle.execute_update(Account.deposit, 50, id="the-one") == 5
        start = handle.start_update
        pair = [
            await start(Account.deposit_later, amount, id="later", wait_for_stage=WorkflowUpdateStage.ACCEPTED)
            for amount in (1, 100)
        ]
        await handle.signal(Account.open_gate)
        assert [await update.result() for update in pair] == [6, 6]
        await handle.signal(Account.close, "finish")
        assert await handle.result() == 6
        assert await handle.execute_update(Account.deposit, 5, id="the-one") == 5, "also when the run is closed"
        assert await handle.get_update_handle(**once).result() == 5
        with pytest.raises(RPCError) as error:
            await handle.execute_update(Account.deposit, 5)
        assert error.value.status == RPCStatusCode.NOT_FOUND


async def test_many_updates_at_once_all_get_their_answers(env: Env):
    async with worker(env):
        handle = await started(env)
        results = await asyncio.gather(*[handle.execute_update(Account.deposit, 1) for _ in range(8)])
        assert sorted(results) == list(range(1, 9))
        accepted = (await event_names(handle)).count(ACCEPTED)
        assert accepted == 8


async def test_a_rejected_and_an_accepted_update_may_come_together_with_a_signal(env: Env):
    handle = await env.start(Account.run)
    good = asyncio.create_task(handle.execute_update(Account.deposit, 2))
    bad = asyncio.create_task(handle.execute_update(Account.deposit, -2))
    await handle.signal(Account.open_gate)
    async with worker(env):
        assert await good == 2
        with pytest.raises(WorkflowUpdateFailedError):
            await bad
        assert (await event_names(handle)).count(ACCEPTED) == 1


async def test_an_update_that_ends_its_workflow_has_its_result(env: Env):
    async with worker(env):
        handle = await started(env)
        assert await handle.execute_update(Account.leave, "finish") == "finish"
        assert await handle.result() == 0


async def test_an_accepted_update_that_is_not_finished_fails_with_its_workflow(env: Env):
    async with worker(env):
        handle = await started(env)
        update = await handle.start_update(Account.deposit_later, 9, wait_for_stage=WorkflowUpdateStage.ACCEPTED)
        await handle.signal(Account.close, "now")
        with pytest.raises(WorkflowUpdateFailedError) as error:
            await update.result()
        assert isinstance(error.value.cause, ApplicationError)
        assert error.value.cause.type == "AcceptedUpdateCompletedWorkflow"


async def test_termination_ends_updates_too(env: Env):
    async with worker(env):
        handle = await started(env)
        accepted = await handle.start_update(Account.deposit_later, 9, wait_for_stage=WorkflowUpdateStage.ACCEPTED)
    unseen = asyncio.create_task(handle.execute_update(Account.deposit, 1))
    await asyncio.sleep(0.2)
    await handle.terminate()
    with pytest.raises(WorkflowUpdateFailedError):
        await accepted.result()
    with pytest.raises(RPCError) as error:
        await unseen
    assert error.value.status == RPCStatusCode.NOT_FOUND


async def test_an_update_that_its_run_did_not_see_goes_to_the_next_run(env: Env):
    handle = await env.start(Account.run, 10)
    async with worker(env):
        await eventually(lambda: has_event(handle, "WORKFLOW_TASK_COMPLETED"))
    await handle.signal(Account.close, "again")
    update = asyncio.create_task(env.client.get_workflow_handle(handle.id).execute_update(Account.deposit, 5))
    await asyncio.sleep(0.2)
    async with worker(env):
        # Old run or new run, the deposit is made once and the balance goes along.
        assert await update == 15
        current = env.client.get_workflow_handle(handle.id)
        assert await eventually(lambda: current.query(Account.current), swallow=(RPCError,)) == 15


async def test_a_caller_may_go_away_and_the_update_goes_on(env: Env):
    async with worker(env):
        handle = await started(env)
        with pytest.raises(WorkflowUpdateRPCTimeoutOrCancelledError):
            await handle.execute_update(Account.deposit_later, 3, id="patient", rpc_timeout=ms(600))
        call = asyncio.create_task(handle.execute_update(Account.deposit_later, 4, id="cancelled"))
        await eventually(lambda: has_event(handle, ACCEPTED, 2))
        call.cancel()
        with pytest.raises((asyncio.CancelledError, WorkflowUpdateRPCTimeoutOrCancelledError)):
            await call
        await handle.signal(Account.open_gate)
        results = [await handle.get_update_handle(id, result_type=int).result() for id in ("patient", "cancelled")]
        assert results == [3, 7]


async def test_an_update_without_a_worker_times_out_at_its_caller(env: Env):
    handle = await env.start(Account.run)
    with pytest.raises(WorkflowUpdateRPCTimeoutOrCancelledError):
        await handle.execute_update(Account.deposit, 3, rpc_timeout=ms(400))


async def test_another_worker_goes_on_with_an_accepted_update(env: Env):
    async with worker(env):
        handle = await started(env)
        update = await handle.start_update(Account.deposit_later, 9, wait_for_stage=WorkflowUpdateStage.ACCEPTED)
    async with worker(env, max_cached_workflows=0):
        await handle.signal(Account.open_gate)
        assert await update.result() == 9
        assert await handle.execute_update(Account.deposit, 1) == 10
        with pytest.raises(WorkflowUpdateFailedError):
            await handle.execute_update(Account.deposit, -1)
        assert await handle.execute_update(Account.deposit, 1) == 11


def raw_update(env: Env, handle: Any, stage: int, name: str = "deposit", **changes: Any):
    request = UpdateWorkflowExecutionRequest(
        namespace=env.client.namespace,
        workflow_execution=WorkflowExecution(workflow_id=handle.id),
        wait_policy=WaitPolicy(lifecycle_stage=stage),
        request=Request(meta=Meta(update_id=str(uuid.uuid4()), identity="test"), input=Input(name=name)),
    )
    for field, value in changes.items():
        setattr(request, field, value)
    return env.client.workflow_service.update_workflow_execution(request)


async def test_bad_requests_are_refused_by_code(env: Env):
    handle = await env.start(Account.run)
    service, namespace = env.client.workflow_service, env.client.namespace
    ref = UpdateRef(workflow_execution=WorkflowExecution(workflow_id=handle.id), update_id="nobody")
    cases = [
        (raw_update(env, handle, Stage.UPDATE_WORKFLOW_EXECUTION_LIFECYCLE_STAGE_ADMITTED), RPCStatusCode.PERMISSION_DENIED),
        (raw_update(env, handle, 0, name=""), RPCStatusCode.INVALID_ARGUMENT),
        (raw_update(env, handle, 0, first_execution_run_id=str(uuid.uuid4())), RPCStatusCode.NOT_FOUND),
        (
            service.poll_workflow_execution_update(
                PollWorkflowExecutionUpdateRequest(namespace=namespace, update_ref=ref)
            ),
            RPCStatusCode.NOT_FOUND,
        ),
        (
            service.poll_workflow_execution_update(PollWorkflowExecutionUpdateRequest(namespace=namespace)),
            RPCStatusCode.INVALID_ARGUMENT,
        ),
        (
            service.execute_multi_operation(ExecuteMultiOperationRequest(namespace=namespace)),
            RPCStatusCode.INVALID_ARGUMENT,
        ),
    ]
    for call, code in cases:
        with pytest.raises(RPCError) as error:
            await call
        assert error.value.status == code, error.value


async def test_too_many_updates_in_flight_are_refused(env: Env):
    async with worker(env):
        handle = await started(env)
        for number in range(10):
            await handle.start_update(
                Account.deposit_later, number, id=str(number), wait_for_stage=WorkflowUpdateStage.ACCEPTED
            )
        with pytest.raises(RPCError) as error:
            await raw_update(env, handle, Stage.UPDATE_WORKFLOW_EXECUTION_LIFECYCLE_STAGE_ACCEPTED)
        assert error.value.status == RPCStatusCode.RESOURCE_EXHAUSTED
        await handle.signal(Account.open_gate)
        assert await handle.get_update_handle("9", result_type=int).result() == 45


@workflow.defn
class Broken:
    @workflow.run
    async def run(self) -> None:
        raise RuntimeError("a bug in the code, which fails the workflow task")

    @workflow.update
    def touch(self) -> None:
        pass


async def test_a_workflow_whose_tasks_fail_refuses_updates(env: Env):
    async with env.worker([Broken]):
        handle = await env.start(Broken.run)

        async def attempts() -> bool:
            description = await handle.describe()
            return description.raw_description.pending_workflow_task.attempt >= 3

        await eventually(attempts, limit=40)
        with pytest.raises(RPCError) as error:
            await handle.execute_update(Broken.touch)
        assert error.value.status == RPCStatusCode.FAILED_PRECONDITION
        await handle.terminate()


# Update-with-start.


def operation(env: Env, policy: WorkflowIDConflictPolicy, balance: int = 0, **options: Any) -> WithStartWorkflowOperation:
    options.setdefault("id", env.id())
    return WithStartWorkflowOperation(
        Account.run, balance, task_queue=env.task_queue, id_conflict_policy=policy,
        execution_timeout=timedelta(seconds=90), **options,
    )


async def deposit(env: Env, start: WithStartWorkflowOperation, amount: int, **options: Any) -> int:
    return await env.client.execute_update_with_start_workflow(
        Account.deposit, amount, start_workflow_operation=start, **options
    )


async def test_update_with_start_starts_what_is_not_there(env: Env):
    async with worker(env):
        for policy in (
            WorkflowIDConflictPolicy.FAIL, WorkflowIDConflictPolicy.USE_EXISTING,
            WorkflowIDConflictPolicy.TERMINATE_EXISTING,
        ):
            start = operation(env, policy, 100, id=env.id(policy.name))
            assert await deposit(env, start, 1) == 101
            handle = await start.workflow_handle()
            names = await event_names(handle)
            assert names.count("WORKFLOW_TASK_COMPLETED") == 1, "start and update are one task"
            assert names[4:6] == [ACCEPTED, COMPLETED]


async def test_update_with_start_meets_a_running_workflow_as_its_policy_says(env: Env):
    async with worker(env):
        first = await started(env)
        start = operation(env, WorkflowIDConflictPolicy.USE_EXISTING)
        assert await deposit(env, start, 1) == 1
        assert (await start.workflow_handle()).first_execution_run_id in (first.first_execution_run_id, None)

        start = operation(env, WorkflowIDConflictPolicy.FAIL)
        with pytest.raises(WorkflowAlreadyStartedError):
            await deposit(env, start, 1)

        start = operation(env, WorkflowIDConflictPolicy.TERMINATE_EXISTING, 50)
        assert await deposit(env, start, 1) == 51
        second = await start.workflow_handle()
        assert await second.query(Account.current) == 51
        description = await env.client.get_workflow_handle(first.id, run_id=first.first_execution_run_id).describe()
        assert description.status is not None and description.status.name == "TERMINATED"


async def test_update_with_start_repeated_is_the_same_update(env: Env):
    async with worker(env):
        for _ in range(2):
            start = operation(env, WorkflowIDConflictPolicy.USE_EXISTING)
            assert await deposit(env, start, 4, id="the-one") == 4
        # Not even the FAIL policy refuses an update that is known.
        start = operation(env, WorkflowIDConflictPolicy.FAIL)
        assert await deposit(env, start, 4, id="the-one") == 4


async def test_update_with_start_obeys_the_reuse_policy_when_the_workflow_is_closed(env: Env):
    async with worker(env):
        handle = await started(env)
        await handle.execute_update(Account.leave, "finish")
        await handle.result()
        start = operation(
            env, WorkflowIDConflictPolicy.USE_EXISTING, id_reuse_policy=WorkflowIDReusePolicy.REJECT_DUPLICATE
        )
        with pytest.raises(WorkflowAlreadyStartedError):
            await deposit(env, start, 1)
        start = operation(env, WorkflowIDConflictPolicy.USE_EXISTING, 10)
        assert await deposit(env, start, 1) == 11


async def test_a_rejection_by_update_with_start_leaves_the_workflow_started(env: Env):
    async with worker(env):
        start = operation(env, WorkflowIDConflictPolicy.FAIL)
        with pytest.raises(WorkflowUpdateFailedError):
            await deposit(env, start, -1)
        handle = await start.workflow_handle()
        assert ACCEPTED not in await event_names(handle)
        assert await handle.execute_update(Account.deposit, 1) == 1


async def test_each_operation_of_a_refused_request_has_its_status(env: Env):
    def request(start: dict, update: dict) -> ExecuteMultiOperationRequest:
        namespace = env.client.namespace
        start_request = StartWorkflowExecutionRequest(
            namespace=namespace, workflow_id=env.id(), request_id=str(uuid.uuid4()), **start
        )
        start_request.workflow_type.name = "Account"
        start_request.task_queue.name = env.task_queue
        update_request = UpdateWorkflowExecutionRequest(
            namespace=namespace,
            workflow_execution=WorkflowExecution(workflow_id=env.id()),
            request=Request(meta=Meta(update_id="u"), input=Input(name="deposit")),
            **update,
        )
        whole = ExecuteMultiOperationRequest(namespace=namespace)
        whole.operations.add().start_workflow.CopyFrom(start_request)
        whole.operations.add().update_workflow.CopyFrom(update_request)
        return whole

    codes = {"ok": 0, "invalid": 3, "aborted": 10}
    for start, update, expected in [
        ({"cron_schedule": "@every 1h"}, {}, ["invalid", "aborted"]),
        ({}, {"first_execution_run_id": "run"}, ["aborted", "invalid"]),
    ]:
        with pytest.raises(RPCError) as error:
            await env.client.workflow_service.execute_multi_operation(request(start, update))
        assert error.value.status == RPCStatusCode.INVALID_ARGUMENT
        details = MultiOperationExecutionFailure()
        assert error.value.grpc_status.details[0].Unpack(details)
        assert [status.code for status in details.statuses] == [codes[word] for word in expected]


async def test_workers_are_told_that_updates_work(env: Env):
    answer = await env.client.workflow_service.describe_namespace(
        DescribeNamespaceRequest(namespace=env.client.namespace)
    )
    assert answer.namespace_info.capabilities.sync_update
    assert answer.namespace_info.capabilities.async_update


# The command line.


async def temporal(env: Env, *words: str) -> Any:
    process = await asyncio.create_subprocess_exec(
        temporal_binary(), "workflow", *words, "--address", env.address, "--color", "never", "-o", "json",
        stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )
    out, err = await process.communicate()
    assert process.returncode == 0, err.decode() + out.decode()
    return json.loads(out)


async def test_the_command_line_updates(env: Env):
    async with worker(env):
        handle = await started(env)
        words = ["--workflow-id", handle.id]
        done = await temporal(env, "update", "execute", *words, "--name", "deposit", "--input", "5")
        assert done["result"] == 5
        begun = await temporal(
            env, "update", "start", *words, "--name", "deposit_later", "--input", "6", "--wait-for-stage", "accepted",
            "--update-id", "later",
        )
        assert begun["updateId"] == "later"
        described = await temporal(env, "update", "describe", *words, "--update-id", "later")
        assert "accepted" in json.dumps(described).lower()
        await handle.signal(Account.open_gate)
        result = await temporal(env, "update", "result", *words, "--update-id", "later")
        assert result["result"] == 11


# The engine dies in the middle.


@pytest.mark.restarts
async def test_an_accepted_update_survives_the_death_of_the_engine(own_engine, env: Env):
    client = await connect(own_engine.address)
    queue = "updates"
    first = Worker(
        client, task_queue=queue, workflows=[Account], activities=[double], workflow_runner=UnsandboxedWorkflowRunner()
    )
    async with first:
        handle = await client.start_workflow(Account.run, id="account", task_queue=queue)
        assert await handle.execute_update(Account.deposit, 1, id="done") == 1
        update = await handle.start_update(
            Account.deposit_later, 9, id="open", wait_for_stage=WorkflowUpdateStage.ACCEPTED
        )
    own_engine.kill()
    own_engine.start()
    client = await connect(own_engine.address)
    handle = client.get_workflow_handle("account")
    second = Worker(
        client, task_queue=queue, workflows=[Account], activities=[double], workflow_runner=UnsandboxedWorkflowRunner()
    )
    async with second:
        polled = asyncio.create_task(handle.get_update_handle(update.id, result_type=int).result())
        await handle.signal(Account.open_gate)
        assert await polled == 10
        assert await handle.execute_update(Account.deposit, 100, id="done") == 1, "it was carried out before"
        assert await handle.execute_update(Account.deposit, 1) == 11
