"""The register of workers: what they say of themselves, and who asks."""

from __future__ import annotations

from uuid import uuid4

import pytest
from google.protobuf.timestamp_pb2 import Timestamp
from temporalio.api.enums.v1 import WorkerStatus
from temporalio.api.worker.v1 import PluginInfo, WorkerHeartbeat, WorkerHostInfo
from temporalio.api.workflowservice.v1 import (
    DescribeWorkerRequest, ListWorkersRequest, ListWorkersResponse, RecordWorkerHeartbeatRequest,
)
from temporalio.service import RPCError, RPCStatusCode

from support import Env


def heartbeat(key: str, queue: str, status: WorkerStatus.ValueType = WorkerStatus.WORKER_STATUS_RUNNING):
    return WorkerHeartbeat(
        worker_instance_key=key, worker_identity=f"worker {key}", task_queue=queue, status=status,
        host_info=WorkerHostInfo(host_name="host", process_id="7"), sdk_name="test", sdk_version="1",
        start_time=Timestamp(seconds=1_700_000_000), heartbeat_time=Timestamp(seconds=1_700_000_100),
        plugins=[PluginInfo(name="semgrep", version="1.2.3")],
    )


async def say(env: Env, *heartbeats: WorkerHeartbeat) -> None:
    await env.client.workflow_service.record_worker_heartbeat(
        RecordWorkerHeartbeatRequest(namespace="default", identity="test", worker_heartbeat=heartbeats)
    )


async def ask(env: Env, query: str, **fields) -> ListWorkersResponse:
    return await env.client.workflow_service.list_workers(
        ListWorkersRequest(namespace="default", query=query, **fields)
    )


async def test_a_worker_is_listed_with_what_it_said_until_it_has_shut_down(env: Env):
    key, queue = str(uuid4()), env.id("queue")
    await say(env, heartbeat(key, queue))
    listed = await ask(env, f"TaskQueue = '{queue}'")
    (worker,) = listed.workers
    assert (worker.worker_instance_key, worker.host_name, worker.process_id) == (key, "host", "7")
    assert [(plugin.name, plugin.version) for plugin in worker.plugins] == [("semgrep", "1.2.3")]
    described = await env.client.workflow_service.describe_worker(
        DescribeWorkerRequest(namespace="default", worker_instance_key=key)
    )
    assert described.worker_info.worker_heartbeat == heartbeat(key, queue)
    await say(env, heartbeat(key, queue, WorkerStatus.WORKER_STATUS_SHUTDOWN))
    assert not (await ask(env, f"TaskQueue = '{queue}'")).workers
    with pytest.raises(RPCError) as missing:
        await env.client.workflow_service.describe_worker(
            DescribeWorkerRequest(namespace="default", worker_instance_key=key)
        )
    assert missing.value.status == RPCStatusCode.NOT_FOUND


async def test_workers_are_found_by_what_they_are_and_listed_in_pages(env: Env):
    queue = env.id("queue")
    keys = sorted(str(uuid4()) for _ in range(5))
    await say(env, *(heartbeat(key, queue) for key in keys))
    for query, found in [
        (f"WorkerInstanceKey = '{keys[0]}'", keys[:1]),
        (f"TaskQueue = '{queue}' AND WorkerInstanceKey != '{keys[0]}'", keys[1:]),
        (f"TaskQueue = '{queue}' AND StartTime > '2024-01-01T00:00:00Z'", []),
        (f"TaskQueue = '{queue}' AND WorkerStatus = 'Running'", keys),
        (f"TaskQueue STARTS_WITH '{queue}' AND SdkName IS NOT NULL", keys),
    ]:
        listed = await ask(env, query)
        assert sorted(worker.worker_instance_key for worker in listed.workers) == found, query
    seen, token = [], b""
    while True:
        page = await ask(env, f"TaskQueue = '{queue}'", page_size=2, next_page_token=token)
        seen += [worker.worker_instance_key for worker in page.workers]
        token = page.next_page_token
        if not token:
            break
    assert seen == keys


@pytest.mark.parametrize("query", ["Nothing = 'x'", "TaskQueue >"])
async def test_a_query_that_makes_no_sense_is_refused_or_finds_nothing(env: Env, query: str):
    try:
        assert not (await ask(env, query)).workers
    except RPCError as refused:
        assert refused.status == RPCStatusCode.INVALID_ARGUMENT
