"""Deleting executions, on request and with the command line. (Retention itself is proven with a clock that is moved.)"""

from __future__ import annotations

import asyncio

import pytest
from temporalio import workflow
from temporalio.api.common.v1 import WorkflowExecution
from temporalio.api.workflowservice.v1 import DeleteWorkflowExecutionRequest, DescribeNamespaceRequest
from temporalio.client import WorkflowFailureError, WorkflowHandle
from temporalio.service import RPCError, RPCStatusCode

from engines import temporal_binary
from support import SOON, Env, eventually

# The real server deletes half a minute after the execution closed.
PATIENCE = 70.0


@workflow.defn
class Waits:
    @workflow.run
    async def run(self, child: str = "") -> str:
        if child:
            try:
                await workflow.execute_child_workflow(Waits.run, id=child)
            except Exception as error:
                return type(error.__cause__).__name__
        await workflow.wait_condition(lambda: False)
        return "never"


async def delete(env: Env, handle: WorkflowHandle, run_id: str = "") -> None:
    execution = WorkflowExecution(workflow_id=handle.id, run_id=run_id)
    request = DeleteWorkflowExecutionRequest(namespace="default", workflow_execution=execution)
    await env.client.workflow_service.delete_workflow_execution(request)


async def is_gone(handle: WorkflowHandle) -> bool:
    try:
        await handle.describe()
    except RPCError as error:
        return error.status == RPCStatusCode.NOT_FOUND
    return False


async def test_open_and_closed_executions_are_deleted_and_their_ids_are_free(env: Env):
    open_run = await env.client.start_workflow("Nobody", id=env.id("open"), task_queue=env.task_queue)
    closed = await env.client.start_workflow("Nobody", id=env.id("closed"), task_queue=env.task_queue)
    await closed.terminate()
    for handle in (open_run, closed):
        await delete(env, handle)
        assert await eventually(lambda handle=handle: is_gone(handle), PATIENCE)

    async def unlisted():
        return [f.id async for f in env.client.list_workflows(f"TaskQueue = '{env.task_queue}'")] == []

    await eventually(unlisted, swallow=(RPCError,))
    again = await env.client.start_workflow("Nobody", id=env.id("open"), task_queue=env.task_queue)
    assert again.first_execution_run_id != open_run.first_execution_run_id
    await again.terminate()


async def test_what_is_not_there_cannot_be_deleted(env: Env):
    with pytest.raises(RPCError) as refusal:
        await delete(env, env.client.get_workflow_handle(env.id("never")))
    assert refusal.value.status == RPCStatusCode.NOT_FOUND


async def test_only_the_run_that_is_named_is_deleted(env: Env):
    first = await env.client.start_workflow("Nobody", id=env.id(), task_queue=env.task_queue)
    await first.terminate()
    second = await env.client.start_workflow("Nobody", id=env.id(), task_queue=env.task_queue)
    await delete(env, first, first.first_execution_run_id)
    old = env.client.get_workflow_handle(env.id(), run_id=first.first_execution_run_id)
    assert await eventually(lambda: is_gone(old), PATIENCE)
    assert (await second.describe()).run_id == second.first_execution_run_id
    await second.terminate()


async def test_a_parent_hears_that_its_deleted_child_was_terminated(env: Env):
    async with env.worker([Waits]):
        parent = await env.start(Waits.run, env.id("child"))
        child = env.client.get_workflow_handle(env.id("child"))

        async def child_runs():
            return (await child.describe()).run_id

        await eventually(child_runs, swallow=(RPCError,))
        await delete(env, child)
        assert await parent.result() == "TerminatedError"
        assert await eventually(lambda: is_gone(child), PATIENCE)


async def test_who_waits_for_a_deleted_execution_does_not_wait_for_ever(env: Env):
    async with env.worker([Waits]):
        handle = await env.start(Waits.run)
        waiting = asyncio.ensure_future(handle.result())
        await delete(env, handle)
        with pytest.raises((WorkflowFailureError, RPCError)):
            await asyncio.wait_for(waiting, SOON.total_seconds())


async def test_the_command_line_deletes(env: Env):
    handle = await env.client.start_workflow("Nobody", id=env.id(), task_queue=env.task_queue)
    process = await asyncio.create_subprocess_exec(
        temporal_binary(), "workflow", "delete", "--workflow-id", env.id(), "--yes", "--address", env.address,
        stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )
    out, err = await process.communicate()
    assert process.returncode == 0, err.decode() + out.decode()
    assert await eventually(lambda: is_gone(handle), PATIENCE)


async def test_the_retention_of_a_namespace_is_told(env: Env):
    described = await env.client.workflow_service.describe_namespace(DescribeNamespaceRequest(namespace="default"))
    assert described.config.HasField("workflow_execution_retention_ttl")
    if env.engine == "helve":
        # For ever: a namespace that is there from the start loses nothing unless it is told to.
        assert described.config.workflow_execution_retention_ttl.seconds == 0
