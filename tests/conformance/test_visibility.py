"""Lists and counts: the query language, order, pages, and the `temporal` command line on top of them."""

from __future__ import annotations

import asyncio
import json

import pytest
from temporalio import workflow
from temporalio.api.enums.v1 import WorkflowExecutionStatus
from temporalio.api.filter.v1 import StatusFilter, WorkflowExecutionFilter, WorkflowTypeFilter
from temporalio.api.workflowservice.v1 import (
    CountWorkflowExecutionsRequest,
    GetSearchAttributesRequest,
    ListClosedWorkflowExecutionsRequest,
    ListOpenWorkflowExecutionsRequest,
    ListWorkflowExecutionsRequest,
    ScanWorkflowExecutionsRequest,
)
from temporalio.service import RPCError, RPCStatusCode

from engines import temporal_binary
from support import Env, eventually


@workflow.defn
class Parent:
    @workflow.run
    async def run(self) -> str:
        return await workflow.execute_child_workflow(Child.run, id=f"{workflow.info().workflow_id}-child")


@workflow.defn
class Child:
    @workflow.run
    async def run(self) -> str:
        return "done"


async def ids(env: Env, query: str) -> list[str]:
    return [found.id async for found in env.client.list_workflows(query)]


async def patiently(call):
    """The real server takes only so many lists a second."""
    while True:
        try:
            return await call()
        except RPCError as error:
            if error.status != RPCStatusCode.RESOURCE_EXHAUSTED:
                raise
            await asyncio.sleep(0.1)


@pytest.fixture
async def family(env: Env):
    """Four runs of one queue: one open, one terminated, a completed parent and its child."""
    async with env.worker([Parent, Child]):
        parent = await env.start(Parent.run, id=env.id("parent"), memo={"colour": "red"})
        await parent.result()
    open_run = await env.client.start_workflow("Nobody", id=env.id("open"), task_queue=env.task_queue)
    gone = await env.client.start_workflow("Nobody", id=env.id("gone"), task_queue=env.task_queue)
    await gone.terminate()

    async def all_there():
        found = [f async for f in env.client.list_workflows(f"TaskQueue = '{env.task_queue}'")]
        return len(found) == 4 and sum(f.close_time is not None for f in found) == 3

    await eventually(all_there, swallow=(RPCError,))
    yield env
    await open_run.terminate()


async def test_queries_find_by_every_system_attribute(family: Env):
    env = family
    queue = f"TaskQueue = '{env.task_queue}'"
    every = {"parent", "parent-child", "open", "gone"}
    for query, wanted in {
        "CloseTime IS NULL": {"open"},
        "CloseTime IS NOT NULL AND CloseTime > '2020-01-01T00:00:00+02:00'": every - {"open"},
        "NOT (ExecutionStatus = 'Completed' OR ExecutionStatus = 1)": {"gone"},
        "ExecutionStatus IN ('Completed', 'WORKFLOW_EXECUTION_STATUS_TERMINATED')": every - {"open"},
        "ExecutionStatus BETWEEN 1 AND 1": {"open"},
        "WorkflowType != 'Nobody'": {"parent", "parent-child"},
        "WorkflowType = \"Nobody\" && `ExecutionStatus` <> 'Running'": {"gone"},
        f"WorkflowId IN ('{env.id('open')}', '{env.id('gone')}') || WorkflowType = 'Child'": every - {"parent"},
        f"ParentWorkflowId = '{env.id('parent')}'": {"parent-child"},
        "ParentWorkflowId IS NULL": every - {"parent-child"},
        f"RootWorkflowId = '{env.id('parent')}'": {"parent", "parent-child"},
        "HistoryLength > 5": {"parent"},
        "StateTransitionCount >= 1 AND HistorySizeBytes > 1 AND CloseTime IS NOT NULL": every - {"open"},
        "ExecutionDuration < '1h30m' AND ExecutionDuration >= 0": every - {"open"},
        "ExecutionDuration BETWEEN '00:00:00' AND '00:30:00'": every - {"open"},
        "ExecutionTime NOT BETWEEN '2020-01-01T00:00:00Z' AND '2021-01-01T00:00:00Z'": every,
        "StartTime > 0 AND StartTime < '2100-01-01T00:00:00Z'": every,
        "TemporalChangeVersion IS NULL AND TemporalScheduledById IS NULL": every,
        "WorkflowId NOT STARTS_WITH 'test'": set(),
    }.items():
        found = await patiently(lambda query=query: ids(env, f"{queue} AND ({query})"))
        assert {name.removeprefix(f"{env.id()}-") for name in found} == wanted, query


async def test_a_query_that_makes_no_sense_is_refused_with_the_reason(env: Env):
    for query, reason in {
        "NoSuchAttribute = 'x'": "NoSuchAttribute",
        "workflowid = 'x'": "workflowid",
        "WorkflowId LIKE 'a%'": "LIKE",
        "WorkflowId = 3": "invalid value type for search attribute WorkflowId",
        "ExecutionStatus = 'running'": "invalid ExecutionStatus value 'running'",
        "StartTime > 'yesterday'": "unable to parse datetime 'yesterday'",
        "WorkflowId": "incomplete expression",
        "WorkflowId = 'x": "malformed SQL query",
        "WorkflowId = 'x'; DROP TABLE runs": "malformed SQL query",
        "WorkflowId = other": "did you forget to quote",
        "GROUP BY WorkflowType": "'GROUP BY' clause is not supported for search attribute WorkflowType",
        "WorkflowId = 'x' LIMIT 3": "'LIMIT' clause",
        "ORDER BY NoSuchAttribute": "NoSuchAttribute",
    }.items():
        request = CountWorkflowExecutionsRequest(namespace="default", query=query)
        with pytest.raises(RPCError) as refusal:
            await patiently(lambda: env.client.workflow_service.count_workflow_executions(request))
        assert refusal.value.status == RPCStatusCode.INVALID_ARGUMENT, query
        assert reason in refusal.value.message, f"{query}: {refusal.value.message}"


async def test_pages_follow_each_other_with_the_open_ones_first(family: Env):
    env = family
    service = env.client.workflow_service
    query = f"TaskQueue = '{env.task_queue}'"
    for list_, request_type in (
        (service.list_workflow_executions, ListWorkflowExecutionsRequest),
        (service.scan_workflow_executions, ScanWorkflowExecutionsRequest),
    ):
        seen, token = [], b""
        while True:
            request = request_type(namespace="default", query=query, page_size=1, next_page_token=token)
            page = await patiently(lambda: list_(request))
            seen += [info.execution.workflow_id for info in page.executions]
            token = page.next_page_token
            if not token:
                break
        assert [name.removeprefix(f"{env.id()}-") for name in seen] == ["open", "gone", "parent", "parent-child"]


async def test_counts_are_split_by_status(family: Env):
    query = f"TaskQueue = '{family.task_queue}' GROUP BY ExecutionStatus"
    count = await patiently(lambda: family.client.count_workflows(query))
    assert count.count == 4
    assert {group.group_values[0]: group.count for group in count.groups} == {
        "Running": 1, "Completed": 2, "Terminated": 1,
    }


async def test_a_list_shows_memo_parent_and_root(family: Env):
    env = family
    found = [f async for f in env.client.list_workflows(f"TaskQueue = '{env.task_queue}'")]
    by_name = {f.id.removeprefix(f"{env.id()}-"): f for f in found}
    assert await by_name["parent"].memo() == {"colour": "red"}
    child = by_name["parent-child"]
    assert (child.parent_id, child.root_id) == (env.id("parent"), env.id("parent"))
    assert by_name["parent"].history_length > 5
    assert by_name["gone"].close_time >= by_name["gone"].start_time


async def test_the_older_lists_of_open_and_closed_ones_take_their_filters(family: Env):
    env = family
    service = env.client.workflow_service
    one = WorkflowExecutionFilter(workflow_id=env.id("open"))

    async def open_(**filters):
        request = ListOpenWorkflowExecutionsRequest(namespace="default", **filters)
        return [i.execution.workflow_id for i in (await service.list_open_workflow_executions(request)).executions]

    async def closed(**filters):
        request = ListClosedWorkflowExecutionsRequest(namespace="default", **filters)
        return [i.execution.workflow_id for i in (await service.list_closed_workflow_executions(request)).executions]

    assert await patiently(lambda: open_(execution_filter=one)) == [env.id("open")]
    assert await patiently(lambda: closed(execution_filter=one)) == []
    gone = WorkflowExecutionFilter(workflow_id=env.id("gone"))
    assert await patiently(lambda: closed(execution_filter=gone)) == [env.id("gone")]
    assert env.id("open") in await patiently(lambda: open_(type_filter=WorkflowTypeFilter(name="Nobody")))
    terminated = StatusFilter(status=WorkflowExecutionStatus.WORKFLOW_EXECUTION_STATUS_TERMINATED)
    found = await patiently(lambda: closed(status_filter=terminated))
    assert env.id("gone") in found and env.id("parent") not in found
    running = StatusFilter(status=WorkflowExecutionStatus.WORKFLOW_EXECUTION_STATUS_RUNNING)
    with pytest.raises(RPCError) as refusal:
        await patiently(lambda: closed(status_filter=running))
    assert refusal.value.status == RPCStatusCode.INVALID_ARGUMENT


async def test_the_server_names_its_search_attributes(env: Env):
    keys = (await env.client.workflow_service.get_search_attributes(GetSearchAttributesRequest())).keys
    assert {"WorkflowId", "ExecutionStatus", "CloseTime", "ExecutionDuration", "TemporalScheduledById"} <= set(keys)


async def test_lists_can_be_ordered(family: Env):
    """The real server orders with Elasticsearch only; on SQL it says so."""
    env = family
    query = f"TaskQueue = '{env.task_queue}' ORDER BY WorkflowType DESC, StartTime ASC"
    if env.engine == "temporal":
        with pytest.raises(RPCError, match="'ORDER BY' clause"):
            await patiently(lambda: ids(env, query))
        return
    found = [name.removeprefix(f"{env.id()}-") for name in await ids(env, query)]
    assert found == ["parent", "open", "gone", "parent-child"]


async def temporal(env: Env, *words: str) -> str:
    process = await asyncio.create_subprocess_exec(
        temporal_binary(), *words, "--address", env.address, "--color", "never", "-o", "json",
        stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )
    out, err = await process.communicate()
    assert process.returncode == 0, err.decode() + out.decode()
    return out.decode()


async def test_the_command_line_lists_and_counts(family: Env):
    env = family
    query = f"TaskQueue = '{env.task_queue}' AND ExecutionStatus = 'Terminated'"
    listed = json.loads(await temporal(env, "workflow", "list", "--query", query))
    assert [entry["execution"]["workflowId"] for entry in listed] == [env.id("gone")]
    assert json.loads(await temporal(env, "workflow", "count", "--query", query))["count"] == "1"
