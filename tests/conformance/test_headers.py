"""Headers that interceptors set reach every place that the SDK carries them to."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from temporalio import activity, workflow
from temporalio.api.common.v1 import Payload
from temporalio.client import Client, Interceptor as ClientInterceptor, OutboundInterceptor
from temporalio.converter import PayloadConverter
from temporalio.worker import (
    ActivityInboundInterceptor, Interceptor as WorkerInterceptor, WorkflowInboundInterceptor,
    WorkflowOutboundInterceptor,
)

from support import SOON, Env

KEY = "conformance-trace"
seen: dict[str, dict[str, str]] = {}


def payload(text: str) -> Payload:
    return PayloadConverter.default.to_payload(text)


def note(workflow_id: str, place: str, headers: Any) -> None:
    value = PayloadConverter.default.from_payload(headers[KEY], str) if KEY in headers else "nothing"
    seen.setdefault(workflow_id, {})[place] = value


def marked(given: Any, text: str) -> Any:
    return replace(given, headers={**given.headers, KEY: payload(text)})


class Outbound(OutboundInterceptor):
    async def start_workflow(self, input):
        return await super().start_workflow(marked(input, "start"))

    async def signal_workflow(self, input):
        return await super().signal_workflow(marked(input, "signal"))

    async def query_workflow(self, input):
        return await super().query_workflow(marked(input, "query"))


class Marking(ClientInterceptor):
    def intercept_client(self, next):
        return Outbound(super().intercept_client(next))


class InActivity(ActivityInboundInterceptor):
    async def execute_activity(self, input):
        note(activity.info().workflow_id, "activity", input.headers)
        return await super().execute_activity(input)


class InWorkflow(WorkflowInboundInterceptor):
    def init(self, outbound):
        super().init(OutOfWorkflow(outbound))

    async def execute_workflow(self, input):
        note(workflow.info().workflow_id, "workflow", input.headers)
        return await super().execute_workflow(input)

    async def handle_signal(self, input):
        note(workflow.info().workflow_id, "signal", input.headers)
        return await super().handle_signal(input)

    async def handle_query(self, input):
        note(workflow.info().workflow_id, "query", input.headers)
        return await super().handle_query(input)


class OutOfWorkflow(WorkflowOutboundInterceptor):
    def start_activity(self, input):
        return super().start_activity(marked(input, "to activity"))

    async def start_child_workflow(self, input):
        return await super().start_child_workflow(marked(input, "to child"))

    async def signal_external_workflow(self, input):
        return await super().signal_external_workflow(marked(input, "from outside"))

    def continue_as_new(self, input):
        return super().continue_as_new(marked(input, "to the next run"))


class Reading(WorkerInterceptor):
    def intercept_activity(self, next):
        return InActivity(super().intercept_activity(next))

    def workflow_interceptor_class(self, input):
        return InWorkflow


@activity.defn
async def do_nothing() -> None:
    pass


@workflow.defn
class Small:
    @workflow.run
    async def run(self, again: bool) -> None:
        if again:
            workflow.continue_as_new(False)


@workflow.defn
class Travelling:
    def __init__(self) -> None:
        self.told = False

    @workflow.run
    async def run(self) -> None:
        own = workflow.info().workflow_id
        await workflow.execute_activity(do_nothing, start_to_close_timeout=SOON)
        await workflow.execute_child_workflow(Small.run, False, id=f"{own}-child")
        await workflow.wait_condition(lambda: self.told)

    @workflow.signal
    def tell(self) -> None:
        self.told = True

    @workflow.query
    def ask(self) -> bool:
        return self.told


@workflow.defn
class Caller:
    @workflow.run
    async def run(self, target: str) -> None:
        await workflow.get_external_workflow_handle(target).signal("tell")


async def test_headers_reach_workflow_activity_child_signal_and_query(env: Env):
    client = await Client.connect(env.address, interceptors=[Marking()])
    async with env.worker([Travelling, Small], [do_nothing], client=client, interceptors=[Reading()]):
        handle = await env.start(Travelling.run, client=client)
        await handle.query(Travelling.ask)
        await handle.signal(Travelling.tell)
        await handle.result()
    assert seen[handle.id] == {"workflow": "start", "activity": "to activity", "signal": "signal", "query": "query"}
    assert seen[f"{handle.id}-child"] == {"workflow": "to child"}


async def test_headers_reach_the_next_run_and_a_workflow_signalled_by_another(env: Env):
    client = await Client.connect(env.address, interceptors=[Marking()])
    async with env.worker(
        [Travelling, Small, Caller], [do_nothing], client=client, interceptors=[Reading()], max_cached_workflows=0
    ):
        chain = await env.start(Small.run, True, client=client, id=env.id("chain"))
        await chain.result()
        assert seen[chain.id] == {"workflow": "to the next run"}
        target = await env.start(Travelling.run, client=client, id=env.id("target"))
        await env.run(Caller.run, target.id, client=client, id=env.id("caller"))
        await target.result()
        assert seen[target.id]["signal"] == "from outside"
