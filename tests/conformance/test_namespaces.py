"""Namespaces: registered, described, updated, deprecated, deleted; what is in one is not in another."""

from __future__ import annotations

import asyncio
import json

import pytest
from google.protobuf.duration_pb2 import Duration
from temporalio import workflow
from temporalio.api.enums.v1 import NamespaceState
from temporalio.api.namespace.v1 import NamespaceConfig, UpdateNamespaceInfo
from temporalio.api.operatorservice.v1 import DeleteNamespaceRequest
from temporalio.api.workflowservice.v1 import (
    DeprecateNamespaceRequest,
    DescribeNamespaceRequest,
    ListNamespacesRequest,
    RegisterNamespaceRequest,
    UpdateNamespaceRequest,
)
from temporalio.client import Client
from temporalio.service import RPCError, RPCStatusCode

from engines import temporal_binary
from support import Env, eventually

THREE_DAYS = Duration(seconds=3 * 86_400)


@workflow.defn
class Greets:
    @workflow.run
    async def run(self, name: str) -> str:
        return f"{workflow.info().namespace}: hello {name}"


def name_of(env: Env) -> str:
    return f"ns-{env.unique}"


async def register(env: Env, **more) -> str:
    name = name_of(env)
    request = RegisterNamespaceRequest(namespace=name, workflow_execution_retention_period=THREE_DAYS, **more)
    await env.client.workflow_service.register_namespace(request)
    await eventually(lambda: describe(env, name), swallow=(RPCError,))
    return name


async def describe(env: Env, name: str = "", id: str = ""):
    return await env.client.workflow_service.describe_namespace(DescribeNamespaceRequest(namespace=name, id=id))


async def client_of(env: Env, name: str) -> Client:
    """The real server lets a namespace be used some seconds after it was registered."""
    client = await Client.connect(env.address, namespace=name)

    async def counts():
        await client.count_workflows("")
        return True

    await eventually(counts, swallow=(RPCError,))
    return client


async def refused(call) -> RPCError:
    with pytest.raises(RPCError) as refusal:
        await call
    return refusal.value


async def test_a_namespace_is_registered_described_and_listed(env: Env):
    name = await register(env, description="for tests", owner_email="me@example.com", data={"team": "a"})
    described = await describe(env, name)
    info = described.namespace_info
    assert (info.name, info.description, info.owner_email, dict(info.data)) == (
        name, "for tests", "me@example.com", {"team": "a"},
    )
    assert info.state == NamespaceState.NAMESPACE_STATE_REGISTERED
    assert described.config.workflow_execution_retention_ttl == THREE_DAYS
    assert (await describe(env, id=info.id)).namespace_info.name == name

    names, token = [], b""
    while True:
        request = ListNamespacesRequest(page_size=1, next_page_token=token)
        page = await env.client.workflow_service.list_namespaces(request)
        names += [n.namespace_info.name for n in page.namespaces]
        token = page.next_page_token
        if not token:
            break
    assert {name, "default"} <= set(names) and len(names) == len(set(names))


async def test_what_makes_no_namespace_is_refused(env: Env):
    service = env.client.workflow_service
    name = await register(env)
    again = RegisterNamespaceRequest(namespace=name, workflow_execution_retention_period=THREE_DAYS)
    error = await refused(service.register_namespace(again))
    assert error.status == RPCStatusCode.ALREADY_EXISTS
    assert [d.type_url.rsplit(".")[-1] for d in error.grpc_status.details] == ["NamespaceAlreadyExistsFailure"]
    for request in (
        RegisterNamespaceRequest(workflow_execution_retention_period=THREE_DAYS),
        RegisterNamespaceRequest(namespace=f"{name}-2"),
        RegisterNamespaceRequest(namespace=f"{name}-2", workflow_execution_retention_period=Duration(seconds=10)),
        RegisterNamespaceRequest(namespace="n" * 2000, workflow_execution_retention_period=THREE_DAYS),
    ):
        assert (await refused(service.register_namespace(request))).status == RPCStatusCode.INVALID_ARGUMENT
    assert (await refused(describe(env, f"{name}-2"))).status == RPCStatusCode.NOT_FOUND


async def test_what_runs_in_one_namespace_is_not_in_another(env: Env):
    client = await client_of(env, await register(env))
    async with env.worker([Greets]), env.worker([Greets], client=client):
        here, there = await asyncio.gather(
            env.client.execute_workflow(Greets.run, "you", id=env.id(), task_queue=env.task_queue),
            client.execute_workflow(Greets.run, "you", id=env.id(), task_queue=env.task_queue),
        )
    assert (here, there) == ("default: hello you", f"{name_of(env)}: hello you")

    async def alone():
        return [f.id async for f in client.list_workflows("")] == [env.id()]

    await eventually(alone, swallow=(RPCError,))


async def test_an_update_changes_what_it_names(env: Env):
    name = await register(env, description="before", data={"a": "1"})
    update = UpdateNamespaceRequest(
        namespace=name,
        update_info=UpdateNamespaceInfo(description="after", data={"b": "2"}),
        config=NamespaceConfig(workflow_execution_retention_ttl=Duration(seconds=7 * 86_400)),
    )
    await env.client.workflow_service.update_namespace(update)
    described = await describe(env, name)
    assert described.namespace_info.description == "after"
    assert dict(described.namespace_info.data) == {"a": "1", "b": "2"}
    assert described.config.workflow_execution_retention_ttl.seconds == 7 * 86_400
    too_short = UpdateNamespaceRequest(
        namespace=name, config=NamespaceConfig(workflow_execution_retention_ttl=Duration(seconds=100))
    )
    error = await refused(env.client.workflow_service.update_namespace(too_short))
    assert error.status == RPCStatusCode.INVALID_ARGUMENT


async def test_a_deprecated_namespace_takes_no_new_executions(env: Env):
    client = await client_of(env, await register(env))
    await client.workflow_service.deprecate_namespace(DeprecateNamespaceRequest(namespace=client.namespace))

    async def start_is_refused():
        try:
            await client.start_workflow("Nobody", id=env.id(), task_queue=env.task_queue)
        except RPCError as error:
            return error
        await client.get_workflow_handle(env.id()).terminate()

    error = await eventually(start_is_refused)
    assert error.status == RPCStatusCode.FAILED_PRECONDITION
    assert [d.type_url.rsplit(".")[-1] for d in error.grpc_status.details] == ["NamespaceInvalidStateFailure"]
    assert (await describe(env, client.namespace)).namespace_info.state == NamespaceState.NAMESPACE_STATE_DEPRECATED


async def test_a_deleted_namespace_is_gone_with_all_that_is_in_it(env: Env):
    client = await client_of(env, await register(env))
    await client.start_workflow("Nobody", id=env.id(), task_queue=env.task_queue)
    info = (await describe(env, client.namespace)).namespace_info
    request = DeleteNamespaceRequest(namespace=client.namespace)
    answer = await env.client.operator_service.delete_namespace(request)
    assert answer.deleted_namespace.startswith(f"{client.namespace}-deleted-")

    async def gone():
        return (await refused(describe(env, client.namespace))).status == RPCStatusCode.NOT_FOUND

    assert await eventually(gone)
    nowhere = DeleteNamespaceRequest(namespace=client.namespace)
    error = await refused(env.client.operator_service.delete_namespace(nowhere))
    # The real server says the latter for as long as it remembers the name.
    assert error.status in (RPCStatusCode.NOT_FOUND, RPCStatusCode.INVALID_ARGUMENT)
    if env.engine == "helve":
        # The real server takes its time before it forgets the name it gave it.
        async def forgotten():
            try:
                await describe(env, id=info.id)
            except RPCError as error:
                return error.status == RPCStatusCode.NOT_FOUND
            return False

        assert await eventually(forgotten)


async def test_the_command_line_creates_updates_and_describes(env: Env):
    name = f"{name_of(env)}-cli"

    async def operator(*words: str) -> str:
        process = await asyncio.create_subprocess_exec(
            temporal_binary(), "operator", "namespace", *words, "--address", env.address, "--color", "never",
            stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
        )
        out, err = await process.communicate()
        assert process.returncode == 0, err.decode() + out.decode()
        return out.decode()

    await operator("create", "--namespace", name, "--retention", "48h", "--description", "by hand")
    await eventually(lambda: describe(env, name), swallow=(RPCError,))
    await operator("update", "--namespace", name, "--description", "by hand again")
    described = json.loads(await operator("describe", "--namespace", name, "-o", "json"))
    assert described["namespaceInfo"]["description"] == "by hand again"
    assert described["config"]["workflowExecutionRetentionTtl"] == "172800s"
    assert name in await operator("list")
    await operator("delete", "--namespace", name, "--yes")

    async def gone():
        return (await refused(describe(env, name))).status == RPCStatusCode.NOT_FOUND

    assert await eventually(gone)
