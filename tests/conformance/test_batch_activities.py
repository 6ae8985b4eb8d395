"""Batch operations on activities, those of workflows and standalone ones, and on the options of workflows."""

from __future__ import annotations

from datetime import timedelta

import pytest
from google.protobuf.duration_pb2 import Duration
from google.protobuf.field_mask_pb2 import FieldMask
from temporalio import activity, workflow
from temporalio.api.activity.v1 import ActivityOptions
from temporalio.api.batch.v1 import (
    BatchOperationCancelActivities, BatchOperationDeleteActivities, BatchOperationDeletion,
    BatchOperationResetActivities, BatchOperationTerminateActivities, BatchOperationUnpauseActivities,
    BatchOperationUpdateActivityOptions, BatchOperationUpdateWorkflowExecutionOptions,
)
from temporalio.api.common.v1 import Execution, WorkflowExecution
from temporalio.api.enums.v1 import BatchOperationType as Kind, ExecutionType
from temporalio.api.workflowservice.v1 import PauseActivityRequest
from temporalio.client import ActivityExecutionStatus, WorkflowHandle
from temporalio.common import RetryPolicy
from temporalio.service import RPCError, RPCStatusCode

from support import SOON, Env, eventually
from test_batch import completed, start_batch

PATIENT = RetryPolicy(initial_interval=timedelta(seconds=60))


@activity.defn
async def echo(word: str) -> str:
    return word


@workflow.defn
class Echoes:
    @workflow.run
    async def run(self, word: str) -> str:
        return await workflow.execute_activity(
            echo, word, activity_id="it", task_queue=f"{workflow.info().task_queue}-activities",
            start_to_close_timeout=timedelta(seconds=60), retry_policy=PATIENT,
        )


async def paused(env: Env, count: int = 3) -> tuple[list[WorkflowHandle], str]:
    """Workflows whose activities are paused before any worker has them, and a query that finds them."""
    handles = [await env.start(Echoes.run, str(n), id=env.id(str(n))) for n in range(count)]
    for handle in handles:
        await eventually(lambda handle=handle: pending(handle))
        await env.client.workflow_service.pause_activity(
            PauseActivityRequest(
                namespace=env.client.namespace, execution=WorkflowExecution(workflow_id=handle.id), id="it"
            )
        )
    query = f"TaskQueue = '{env.task_queue}'"

    async def all_listed() -> bool:
        return (await env.client.count_workflows(query)).count == count

    await eventually(all_listed)
    return handles, query


async def pending(handle: WorkflowHandle):
    activities = (await handle.describe()).raw_description.pending_activities
    return activities[0] if activities else None


async def test_paused_activities_of_many_workflows_are_unpaused(env: Env):
    async with env.worker([Echoes]):
        handles, query = await paused(env)
        operation = BatchOperationUnpauseActivities(identity="operator", match_all=True, reset_attempts=True)
        job = await start_batch(env, visibility_query=query, unpause_activities_operation=operation)
        description = await completed(env, job)
        assert description.operation_type == Kind.BATCH_OPERATION_TYPE_UNPAUSE_ACTIVITY
        assert (description.complete_operation_count, description.failure_operation_count) == (3, 0)
        async with env.worker([], [echo], task_queue=f"{env.task_queue}-activities"):
            assert [await handle.result() for handle in handles] == ["0", "1", "2"]


async def test_options_of_many_activities_are_changed_and_a_reset_restores_them(env: Env):
    async with env.worker([Echoes]):
        handles, query = await paused(env)
        change = BatchOperationUpdateActivityOptions(
            type="echo", activity_options=ActivityOptions(start_to_close_timeout=Duration(seconds=77)),
            update_mask=FieldMask(paths=["start_to_close_timeout"]),
        )
        await completed(env, await start_batch(env, visibility_query=query, update_activity_options_operation=change))
        for handle in handles:
            assert (await pending(handle)).activity_options.start_to_close_timeout.seconds == 77
        restore = BatchOperationResetActivities(type="echo", keep_paused=True, restore_original_options=True)
        await completed(env, await start_batch(env, visibility_query=query, reset_activities_operation=restore))
        for handle in handles:
            left = await pending(handle)
            assert left.paused and left.activity_options.start_to_close_timeout.seconds == 60
            await handle.terminate()


async def test_workflows_without_such_an_activity_are_left_alone(env: Env):
    async with env.worker([Echoes]):
        handles, query = await paused(env, 1)
        other = BatchOperationResetActivities(type="another")
        description = await completed(env, await start_batch(env, visibility_query=query, reset_activities_operation=other))
        assert (description.complete_operation_count, description.failure_operation_count) == (1, 0)
        assert (await pending(handles[0])).paused
        await handles[0].terminate()


async def test_the_priority_of_many_workflows_is_changed(env: Env):
    async with env.worker([Echoes]):
        handles, query = await paused(env, 2)
        change = BatchOperationUpdateWorkflowExecutionOptions(update_mask=FieldMask(paths=["priority"]))
        change.workflow_execution_options.priority.priority_key = 2
        job = await start_batch(env, visibility_query=query, update_workflow_options_operation=change)
        assert (await completed(env, job)).complete_operation_count == 2
        for handle in handles:
            info = (await handle.describe()).raw_description.workflow_execution_info
            assert info.priority.priority_key == 2
            await handle.terminate()


async def test_workflows_of_a_query_are_deleted(env: Env):
    handles = [await env.start(Echoes.run, str(n), id=env.id(str(n))) for n in range(3)]
    await handles[0].terminate()
    query = f"TaskQueue = '{env.task_queue}'"

    async def listed(count: int) -> bool:
        return (await env.client.count_workflows(query)).count == count

    await eventually(lambda: listed(3))
    job = await start_batch(env, visibility_query=query, deletion_operation=BatchOperationDeletion(identity="tester"))
    assert (await completed(env, job)).complete_operation_count == 3
    await eventually(lambda: listed(0), limit=40)

    async def gone(handle: WorkflowHandle) -> bool:
        try:
            await handle.describe()
        except RPCError as error:
            return error.status == RPCStatusCode.NOT_FOUND
        return False

    for handle in handles:
        await eventually(lambda handle=handle: gone(handle), limit=40)


async def standalone(env: Env, count: int):
    handles = [
        await env.client.start_activity(
            echo, str(n), id=env.id(str(n)), task_queue=env.task_queue, start_to_close_timeout=SOON
        )
        for n in range(count)
    ]
    query = f"TaskQueue = '{env.task_queue}'"
    await eventually(lambda: counted(env, query, count))
    return handles, query


async def counted(env: Env, query: str, count: int) -> bool:
    return (await env.client.count_activities(query)).count == count


async def test_standalone_activities_are_cancelled_terminated_and_deleted(env: Env):
    handles, query = await standalone(env, 4)
    chosen = [
        Execution(type=ExecutionType.EXECUTION_TYPE_ACTIVITY, business_id=handle.id, run_id=handle.run_id or "")
        for handle in handles[:2]
    ]
    cancel = BatchOperationCancelActivities(identity="operator", reason="enough")
    job = await start_batch(env, target_executions=chosen, cancel_activities_operation=cancel)
    description = await completed(env, job)
    assert description.operation_type == Kind.BATCH_OPERATION_TYPE_CANCEL_ACTIVITY
    assert list(description.executions) == chosen and description.complete_operation_count == 2
    for handle in handles[:2]:
        assert (await handle.describe()).status == ActivityExecutionStatus.CANCELED
    await eventually(lambda: counted(env, f"{query} AND ExecutionStatus = 'Running'", 2))

    terminate = BatchOperationTerminateActivities(identity="operator", reason="enough")
    job = await start_batch(env, visibility_query=query, terminate_activities_operation=terminate)
    assert (await completed(env, job)).complete_operation_count == 2, "closed ones are not asked"
    for handle in handles[2:]:
        assert (await handle.describe()).status == ActivityExecutionStatus.TERMINATED
    await eventually(lambda: counted(env, f"{query} AND ExecutionStatus = 'Running'", 0))

    job = await start_batch(
        env, visibility_query=query, delete_activities_operation=BatchOperationDeleteActivities()
    )
    assert (await completed(env, job)).complete_operation_count == 4
    await eventually(lambda: counted(env, query, 0), limit=40)


@pytest.mark.parametrize(
    "fields",
    [
        {"unpause_activities_operation": BatchOperationUnpauseActivities()},
        {"unpause_activities_operation": BatchOperationUnpauseActivities(match_all=False)},
        {"reset_activities_operation": BatchOperationResetActivities(type="")},
        {"update_activity_options_operation": BatchOperationUpdateActivityOptions(match_all=True)},
        {"update_workflow_options_operation": BatchOperationUpdateWorkflowExecutionOptions()},
        {
            "visibility_query": "", "cancel_activities_operation": BatchOperationCancelActivities(),
            "target_executions": [Execution(type=ExecutionType.EXECUTION_TYPE_WORKFLOW, business_id="w")],
        },
    ],
)
async def test_a_job_that_makes_no_sense_is_refused(env: Env, fields: dict):
    with pytest.raises(RPCError) as error:
        await start_batch(env, **{"visibility_query": "WorkflowType = 'none'", "job_id": env.id(), **fields})
    assert error.value.status == RPCStatusCode.INVALID_ARGUMENT
