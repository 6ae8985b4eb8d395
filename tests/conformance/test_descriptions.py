"""What can be known about a run from outside: description, memo, search attributes, lists and counts."""

from __future__ import annotations

import asyncio
from datetime import datetime, timedelta, timezone

import pytest
from temporalio import activity, workflow
from temporalio.api.enums.v1 import IndexedValueType, PendingActivityState
from temporalio.api.operatorservice.v1 import AddSearchAttributesRequest, ListSearchAttributesRequest
from temporalio.client import WorkflowExecutionStatus
from temporalio.common import RetryPolicy, SearchAttributeKey, SearchAttributePair, TypedSearchAttributes
from temporalio.exceptions import ApplicationError
from temporalio.service import RPCError, RPCStatusCode

from support import SOON, Env, eventually, failure_of, has_event, ms

TEAM = SearchAttributeKey.for_keyword("ConformanceTeam")
LEVEL = SearchAttributeKey.for_int("ConformanceLevel")


@activity.defn
async def fails_and_beats() -> None:
    activity.heartbeat("page", activity.info().attempt)
    raise ApplicationError("not this time")


@activity.defn
async def holds_on() -> None:
    activity.heartbeat("holding")
    await asyncio.Event().wait()


@workflow.defn
class Idle:
    def __init__(self) -> None:
        self.done = False

    @workflow.run
    async def run(self, doing: str = "") -> str:
        if doing == "fail":
            raise ApplicationError("as asked", non_retryable=True)
        if doing == "retry":
            retry = RetryPolicy(initial_interval=timedelta(hours=1))
            await workflow.execute_activity(
                fails_and_beats, activity_id="sisyphus", start_to_close_timeout=SOON, retry_policy=retry
            )
        if doing == "activity":
            await workflow.execute_activity(holds_on, activity_id="holder", start_to_close_timeout=SOON)
        await workflow.wait_condition(lambda: self.done)
        return "idle no more"

    @workflow.signal
    def finish(self) -> None:
        self.done = True


async def test_a_description_tells_what_was_started(env: Env):
    before = datetime.now(timezone.utc) - timedelta(seconds=1)
    handle = await env.start(
        Idle.run, memo={"ticket": 7}, run_timeout=timedelta(seconds=80), task_timeout=timedelta(seconds=9)
    )
    described = await handle.describe()
    assert (described.id, described.run_id) == (handle.id, handle.result_run_id)
    assert (described.workflow_type, described.task_queue) == ("Idle", env.task_queue)
    assert described.status == WorkflowExecutionStatus.RUNNING
    assert before < described.start_time <= datetime.now(timezone.utc) + timedelta(seconds=1)
    assert described.close_time is None
    assert await described.memo() == {"ticket": 7}
    assert described.history_length == 2
    assert (described.root_id, described.root_run_id) == (handle.id, handle.result_run_id)
    config = described.raw_description.execution_config
    assert config.workflow_execution_timeout.seconds == 90
    assert config.workflow_run_timeout.seconds == 80
    assert config.default_workflow_task_timeout.seconds == 9
    await handle.terminate()


async def test_a_description_of_a_closed_run_tells_how_it_closed(env: Env):
    async with env.worker([Idle]):
        handle = await env.start(Idle.run, start_signal="finish")
        await handle.result()
    described = await handle.describe()
    assert described.status == WorkflowExecutionStatus.COMPLETED
    assert described.close_time and described.close_time >= described.start_time
    history = [e async for e in handle.fetch_history_events()]
    assert described.history_length == len(history) == history[-1].event_id


async def test_a_pending_activity_shows_attempt_last_failure_and_heartbeat(env: Env):
    async with env.worker([Idle], [fails_and_beats]):
        # A retry later than the run's own end would be given up at once.
        handle = await env.start(Idle.run, "retry", execution_timeout=timedelta(hours=5))

        async def failed_once():
            pending = (await handle.describe()).raw_description.pending_activities
            return pending and pending[0].HasField("last_failure") and pending[0]

        pending = await eventually(failed_once)
        assert (pending.activity_id, pending.activity_type.name) == ("sisyphus", "fails_and_beats")
        assert pending.attempt == 2
        assert pending.state == PendingActivityState.PENDING_ACTIVITY_STATE_SCHEDULED
        assert pending.last_failure.message == "not this time"
        await handle.terminate()


async def test_a_running_activity_shows_who_works_on_it_and_its_heartbeat(env: Env):
    async with env.worker([Idle], [holds_on], identity="the worker", graceful_shutdown_timeout=ms(0)):
        handle = await env.start(Idle.run, "activity")

        async def heard():
            pending = (await handle.describe()).raw_description.pending_activities
            return pending and pending[0].HasField("heartbeat_details") and pending[0]

        pending = await eventually(heard)
        assert pending.state == PendingActivityState.PENDING_ACTIVITY_STATE_STARTED
        assert pending.last_worker_identity == "the worker"
        assert pending.heartbeat_details.payloads[0].data == b'"holding"'
        await handle.terminate()


async def test_an_unknown_workflow_or_run_cannot_be_described(env: Env):
    handle = await env.start(Idle.run)
    for ghost in (
        env.client.get_workflow_handle(env.id("ghost")),
        env.client.get_workflow_handle(handle.id, run_id="11111111-2222-4333-8444-555555555555"),
    ):
        with pytest.raises(RPCError) as refusal:
            await ghost.describe()
        assert refusal.value.status == RPCStatusCode.NOT_FOUND
    await handle.terminate()


@workflow.defn
class Labelled:
    @workflow.run
    async def run(self) -> dict:
        workflow.upsert_memo({"added": [1, 2], "replaced": "new", "removed": None})
        return {key: workflow.memo_value(key) for key in workflow.memo()}


async def test_a_memo_is_changed_by_the_workflow(env: Env):
    async with env.worker([Labelled]):
        handle = await env.start(Labelled.run, memo={"replaced": "old", "removed": "x", "kept": True})
        wanted = {"added": [1, 2], "replaced": "new", "kept": True}
        assert await handle.result() == wanted
    assert await (await handle.describe()).memo() == wanted


@pytest.fixture
async def search_attributes(env: Env):
    service = env.client.operator_service
    listed = await service.list_search_attributes(ListSearchAttributesRequest(namespace="default"))
    wanted = {
        TEAM.name: IndexedValueType.INDEXED_VALUE_TYPE_KEYWORD, LEVEL.name: IndexedValueType.INDEXED_VALUE_TYPE_INT,
    }
    missing = {name: kind for name, kind in wanted.items() if name not in listed.custom_attributes}
    if missing:
        try:
            await service.add_search_attributes(
                AddSearchAttributesRequest(namespace="default", search_attributes=missing)
            )
        except RPCError as error:
            assert error.status == RPCStatusCode.ALREADY_EXISTS, error


@workflow.defn
class Tagged:
    @workflow.run
    async def run(self) -> list:
        before = workflow.info().typed_search_attributes.get(TEAM)
        workflow.upsert_search_attributes([TEAM.value_set("red"), LEVEL.value_set(7)])
        now = workflow.info().typed_search_attributes
        await workflow.execute_activity("nothing", start_to_close_timeout=SOON)
        return [before, now.get(TEAM), now.get(LEVEL)]


@activity.defn(name="nothing")
async def nothing() -> None:
    pass


async def tagged(env: Env):
    async with env.worker([Tagged], [nothing]):
        given = TypedSearchAttributes([SearchAttributePair(TEAM, "blue")])
        handle = await env.start(Tagged.run, search_attributes=given)
        assert await handle.result() == ["blue", "red", 7]
    return handle


async def test_search_attributes_are_set_and_changed(env: Env, search_attributes):
    described = await (await tagged(env)).describe()
    assert described.typed_search_attributes.get(TEAM) == "red"
    assert described.typed_search_attributes.get(LEVEL) == 7


async def test_custom_search_attributes_can_be_searched(env: Env, search_attributes):
    handle = await tagged(env)
    for query, wanted in (
        (f"ConformanceTeam = 'red' AND ConformanceLevel = 7 AND WorkflowId = '{handle.id}'", True),
        (f"ConformanceLevel > 7 AND WorkflowId = '{handle.id}'", False),
        (f"ConformanceTeam IN ('green', 'red') AND WorkflowId = '{handle.id}'", True),
    ):
        async def found(query=query, wanted=wanted):
            return [w.id async for w in env.client.list_workflows(query)] == ([handle.id] if wanted else [])

        assert await eventually(found)


async def test_a_search_attribute_that_was_never_defined_is_refused(env: Env):
    unknown = SearchAttributeKey.for_keyword("NobodyDefinedThis")
    with pytest.raises(RPCError) as refusal:
        await env.start(Idle.run, search_attributes=TypedSearchAttributes([SearchAttributePair(unknown, "x")]))
    assert refusal.value.status == RPCStatusCode.INVALID_ARGUMENT


async def test_lists_and_counts_follow_the_query(env: Env):
    async with env.worker([Idle]):
        open_runs = [await env.start(Idle.run, id=env.id(f"open-{n}")) for n in range(3)]
        done = await env.start(Idle.run, id=env.id("done"), start_signal="finish")
        await done.result()
        failed = await env.start(Idle.run, "fail", id=env.id("failed"))
        await failure_of(failed)
    queue = f"TaskQueue = '{env.task_queue}'"
    everything = {h.id for h in open_runs} | {done.id, failed.id}

    async def ids(query: str) -> set[str]:
        return {w.id async for w in env.client.list_workflows(query, page_size=2)}

    async def all_listed() -> bool:
        return await ids(queue) == everything

    await eventually(all_listed)
    for query, wanted in {
        f"{queue} AND ExecutionStatus = 'Running'": {h.id for h in open_runs},
        f"{queue} AND ExecutionStatus != 'Running'": {done.id, failed.id},
        f"{queue} AND ExecutionStatus IN ('Completed', 'Failed')": {done.id, failed.id},
        f"{queue} AND (ExecutionStatus = 'Failed' OR WorkflowId = '{done.id}')": {done.id, failed.id},
        f"WorkflowType = 'Idle' AND WorkflowId = '{done.id}'": {done.id},
        f"WorkflowId STARTS_WITH '{env.id('open')}'": {h.id for h in open_runs},
        f"{queue} AND StartTime > '2020-01-01T00:00:00Z' AND CloseTime IS NULL": {h.id for h in open_runs},
        f"{queue} AND WorkflowType = 'NoSuchType'": set(),
    }.items():
        async def matches(query=query, wanted=wanted):
            return await ids(query) == wanted

        assert await eventually(matches), query
        assert (await env.client.count_workflows(query)).count == len(wanted), query

    groups = (await env.client.count_workflows(f"{queue} GROUP BY ExecutionStatus")).groups
    assert {g.group_values[0]: g.count for g in groups} == {"Running": 3, "Completed": 1, "Failed": 1}
    for handle in open_runs:
        await handle.terminate()


async def test_a_query_that_makes_no_sense_is_an_invalid_argument(env: Env):
    for query in ("WorkflowId =", "NoSuchAttribute = 'x'", "ExecutionStatus = 'Running' AND"):
        with pytest.raises(RPCError) as refusal:
            await env.client.count_workflows(query)
        assert refusal.value.status == RPCStatusCode.INVALID_ARGUMENT, query


async def test_summary_and_details_of_a_start_are_kept(env: Env):
    handle = await env.start(Idle.run, static_summary="in short", static_details="at length")
    described = await handle.describe()
    assert await described.static_summary() == "in short"
    assert await described.static_details() == "at length"
    await handle.terminate()


@workflow.defn
class Summarized:
    @workflow.run
    async def run(self) -> None:
        await workflow.sleep(0.01, summary="a nap")
        await workflow.execute_activity(says_nothing, start_to_close_timeout=SOON, summary="a chore")
        await workflow.execute_child_workflow(
            Idle.run, id=f"{workflow.info().workflow_id}-child", static_summary="a child", static_details="its details",
            parent_close_policy=workflow.ParentClosePolicy.TERMINATE, execution_timeout=timedelta(milliseconds=500),
        )


@activity.defn
async def says_nothing() -> None:
    pass


async def test_what_workflow_code_says_about_its_steps_is_with_their_events(env: Env):
    async with env.worker([Summarized, Idle], [says_nothing]):
        handle = await env.start(Summarized.run)
        await failure_of(handle)
    said = {}
    async for event in handle.fetch_history_events():
        if event.HasField("user_metadata"):
            said[event.WhichOneof("attributes")] = (event.user_metadata.summary.data, event.user_metadata.details.data)
    assert said == {
        "timer_started_event_attributes": (b'"a nap"', b""),
        "activity_task_scheduled_event_attributes": (b'"a chore"', b""),
        "start_child_workflow_execution_initiated_event_attributes": (b'"a child"', b'"its details"'),
    }
    child = await env.client.get_workflow_handle(f"{handle.id}-child").describe()
    assert await child.static_summary() == "a child"
    assert await child.static_details() == "its details"
