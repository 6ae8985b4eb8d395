"""The standard health service, and what the server says of itself. (Reflection is checked beside the engine.)"""

from __future__ import annotations

import pytest
from temporalio.api.workflowservice.v1 import DescribeNamespaceRequest, GetClusterInfoRequest, GetSystemInfoRequest
from temporalio.service import RPCError, RPCStatusCode

from support import Env

WORKFLOW_SERVICE = "temporal.api.workflowservice.v1.WorkflowService"


async def test_the_service_is_healthy(env: Env):
    assert await env.client.service_client.check_health()
    assert await env.client.service_client.check_health(service=WORKFLOW_SERVICE)


async def test_the_health_of_an_unknown_service_is_unknown(env: Env):
    with pytest.raises(RPCError) as refused:
        await env.client.service_client.check_health(service="no.such.Service")
    assert refused.value.status == RPCStatusCode.NOT_FOUND


async def test_the_server_tells_its_version_and_capabilities(env: Env):
    service = env.client.workflow_service
    system = await service.get_system_info(GetSystemInfoRequest())
    assert system.server_version
    assert system.capabilities.encoded_failure_attributes
    cluster = await service.get_cluster_info(GetClusterInfoRequest())
    assert (cluster.cluster_name, cluster.server_version) == ("active", system.server_version)
    namespace = await service.describe_namespace(DescribeNamespaceRequest(namespace="default"))
    assert namespace.namespace_info.limits.blob_size_limit_error == 2 * 1024 * 1024
