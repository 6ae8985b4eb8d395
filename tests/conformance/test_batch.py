"""Batch operations: one request for many workflows."""

from __future__ import annotations

import asyncio
import json
import uuid

import pytest
from temporalio import workflow
from temporalio.api.batch.v1 import (
    BatchOperationCancellation, BatchOperationReset, BatchOperationSignal, BatchOperationTermination,
)
from temporalio.api.common.v1 import ResetOptions, WorkflowExecution
from temporalio.api.enums.v1 import BatchOperationState, BatchOperationType
from temporalio.api.workflowservice.v1 import (
    DescribeBatchOperationRequest, ListBatchOperationsRequest, StartBatchOperationRequest, StopBatchOperationRequest,
)
from temporalio.client import WorkflowExecutionStatus
from temporalio.service import RPCError, RPCStatusCode

from engines import temporal_binary
from support import Env, eventually, has_event


@workflow.defn
class Waits:
    def __init__(self) -> None:
        self.words: list[str] = []

    @workflow.run
    async def run(self) -> list[str]:
        await workflow.wait_condition(lambda: "stop" in self.words)
        return self.words

    @workflow.signal
    def say(self, word: str) -> None:
        self.words.append(word)


async def start_many(env: Env, count: int = 4):
    handles = [await env.start(Waits.run, id=env.id(str(n))) for n in range(count)]
    query = f"TaskQueue = '{env.task_queue}'"

    async def all_listed() -> bool:
        return (await env.client.count_workflows(query)).count == count

    await eventually(all_listed)
    return handles, query


async def start_batch(env: Env, **fields) -> str:
    fields.setdefault("job_id", str(uuid.uuid4()))

    async def started() -> bool:
        # The real server runs one at a time.
        try:
            await env.client.workflow_service.start_batch_operation(
                StartBatchOperationRequest(namespace=env.client.namespace, reason="for the test", **fields)
            )
        except RPCError as error:
            if error.status != RPCStatusCode.RESOURCE_EXHAUSTED:
                raise
            return False
        return True

    await eventually(started, limit=30)
    return fields["job_id"]


async def describe(env: Env, job_id: str):
    return await env.client.workflow_service.describe_batch_operation(
        DescribeBatchOperationRequest(namespace=env.client.namespace, job_id=job_id)
    )


async def completed(env: Env, job_id: str):
    async def is_over():
        description = await describe(env, job_id)
        return description if description.state != BatchOperationState.BATCH_OPERATION_STATE_RUNNING else None

    description = await eventually(is_over, limit=40)
    assert description.state == BatchOperationState.BATCH_OPERATION_STATE_COMPLETED
    return description


async def test_workflows_of_a_query_are_terminated(env: Env):
    handles, query = await start_many(env)
    job = await start_batch(
        env, visibility_query=query, termination_operation=BatchOperationTermination(identity="tester")
    )
    description = await completed(env, job)
    assert description.operation_type == BatchOperationType.BATCH_OPERATION_TYPE_TERMINATE_WORKFLOW
    assert (description.job_id, description.reason, description.identity) == (job, "for the test", "tester")
    assert description.complete_operation_count == description.total_operation_count == 4
    assert description.failure_operation_count == 0
    for handle in handles:
        assert (await handle.describe()).status == WorkflowExecutionStatus.TERMINATED


async def test_workflows_of_a_query_are_signalled_once(env: Env):
    async with env.worker([Waits]):
        handles, query = await start_many(env)
        payloads = (await env.client.data_converter.encode(["stop"]))
        signal = BatchOperationSignal(signal="say")
        signal.input.payloads.extend(payloads)
        await completed(env, await start_batch(env, visibility_query=query, signal_operation=signal))
        for handle in handles:
            assert await handle.result() == ["stop"]


async def test_listed_workflows_are_cancelled_and_the_others_are_not(env: Env):
    async with env.worker([Waits]):
        handles, _ = await start_many(env, 3)
        chosen = [WorkflowExecution(workflow_id=h.id, run_id=h.result_run_id) for h in handles[:2]]
        await completed(
            env, await start_batch(env, executions=chosen, cancellation_operation=BatchOperationCancellation())
        )
        for handle in handles[:2]:
            await eventually(lambda handle=handle: has_event(handle, "WORKFLOW_EXECUTION_CANCELED"))
        assert not await has_event(handles[2], "WORKFLOW_EXECUTION_CANCEL_REQUESTED")
        await handles[2].terminate()


async def test_workflows_of_a_query_are_reset(env: Env):
    async with env.worker([Waits]):
        handles, query = await start_many(env, 2)
        for handle in handles:
            await handle.signal(Waits.say, "stop")
            assert await handle.result() == ["stop"]

        async def all_closed() -> bool:
            return (await env.client.count_workflows(f"{query} AND ExecutionStatus = 'Completed'")).count == 2

        await eventually(all_closed)
        options = ResetOptions()
        options.first_workflow_task.SetInParent()
        await completed(
            env, await start_batch(env, visibility_query=query, reset_operation=BatchOperationReset(options=options))
        )
        for handle in handles:
            again = env.client.get_workflow_handle(handle.id)
            assert (await again.describe()).run_id != handle.result_run_id
            assert await again.result() == ["stop"]


async def test_a_job_id_is_used_once(env: Env):
    _, query = await start_many(env, 1)
    operation = BatchOperationTermination()
    job = await start_batch(env, visibility_query=query, termination_operation=operation)
    await completed(env, job)
    with pytest.raises(RPCError) as error:
        await start_batch(env, job_id=job, visibility_query=query, termination_operation=operation)
    assert error.value.status == RPCStatusCode.ALREADY_EXISTS


async def test_a_slow_job_is_stopped(env: Env):
    # The real server goes by its own rate unless that is higher, so it may well be done already.
    _, query = await start_many(env, 6)
    signal = BatchOperationSignal(signal="say")
    job = await start_batch(env, visibility_query=query, signal_operation=signal, max_operations_per_second=0.5)
    try:
        await env.client.workflow_service.stop_batch_operation(
            StopBatchOperationRequest(namespace=env.client.namespace, job_id=job, reason="enough", identity="tester")
        )
        expected = BatchOperationState.BATCH_OPERATION_STATE_FAILED
    except RPCError as error:
        assert error.status == RPCStatusCode.NOT_FOUND
        expected = BatchOperationState.BATCH_OPERATION_STATE_COMPLETED
    assert (await describe(env, job)).state == expected

    async def listed() -> bool:
        answer = await env.client.workflow_service.list_batch_operations(
            ListBatchOperationsRequest(namespace=env.client.namespace)
        )
        return any(info.job_id == job and info.state == expected for info in answer.operation_info)

    await eventually(listed)
    await completed(
        env, await start_batch(env, visibility_query=query, termination_operation=BatchOperationTermination())
    )


@pytest.mark.parametrize(
    "fields",
    [
        {"job_id": ""},
        {"visibility_query": ""},
        {"visibility_query": "WorkflowType = "},
        {"signal_operation": BatchOperationSignal()},
        {"executions": [WorkflowExecution(workflow_id="x")]},
    ],
)
async def test_a_job_that_makes_no_sense_is_refused(env: Env, fields: dict):
    fields = {"visibility_query": "WorkflowType = 'none'", "job_id": "x", **fields}
    if "signal_operation" not in fields:
        fields["termination_operation"] = BatchOperationTermination()
    with pytest.raises(RPCError) as error:
        await start_batch(env, **fields)
    assert error.value.status == RPCStatusCode.INVALID_ARGUMENT


async def test_the_command_line_terminates_by_a_query(env: Env):
    handles, query = await start_many(env, 2)
    process = await asyncio.create_subprocess_exec(
        temporal_binary(), "workflow", "terminate", "--query", query, "--reason", "by hand", "--yes",
        "--address", env.address, "-o", "json", stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
    )
    output, _ = await process.communicate()
    assert process.returncode == 0, output.decode()
    job = json.loads(output.decode()[output.decode().index("{"):])["batchJobId"]
    await completed(env, job)
    for handle in handles:
        assert (await handle.describe()).status == WorkflowExecutionStatus.TERMINATED
