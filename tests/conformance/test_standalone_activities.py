"""Standalone activities: started by a client, and by no workflow."""

from __future__ import annotations

import asyncio
import json
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest
from temporalio import activity
from temporalio.api.common.v1 import ActivityType, Link, OnConflictOptions, WorkflowExecution
from temporalio.api.taskqueue.v1 import TaskQueue
from temporalio.api.workflowservice.v1 import (
    DeleteActivityExecutionRequest, DescribeActivityExecutionRequest, DescribeWorkflowExecutionRequest, ListActivityExecutionsRequest,
    StartActivityExecutionRequest,
)
from temporalio.client import ActivityExecutionStatus, ActivityFailureError, ActivityHandle, PendingActivityState
from temporalio.common import ActivityIDConflictPolicy, ActivityIDReusePolicy, Priority, RetryPolicy
from temporalio.exceptions import (
    ActivityAlreadyStartedError, ApplicationError, CancelledError, TerminatedError, TimeoutError, TimeoutType,
)
from temporalio.service import RPCError, RPCStatusCode
from temporalio.worker import Worker

from engines import Engine, connect, temporal_binary
from support import ONCE, SOON, Env, eventually, ms


@activity.defn
async def add(a: int, b: int) -> int:
    return a + b


@activity.defn
async def attempt_that_succeeds(wanted: int) -> int:
    attempt = activity.info().attempt
    if attempt < wanted:
        raise ApplicationError(f"attempt {attempt} fails", type="NotYet")
    return attempt


@activity.defn
async def gives_up() -> None:
    raise ApplicationError("no luck", "details", type="Bad", non_retryable=True)


@activity.defn
async def until_cancelled() -> str:
    try:
        while True:
            activity.heartbeat("alive")
            await asyncio.sleep(0.05)
    except asyncio.CancelledError:
        details = activity.cancellation_details()
        assert details is not None and details.cancel_requested
        raise


@activity.defn
async def left_to_others() -> None:
    activity.raise_complete_async()


@activity.defn
async def what_do_i_know() -> dict:
    info = activity.info()
    return {
        "activity_id": info.activity_id, "run_id": info.activity_run_id, "workflow_id": info.workflow_id,
        "namespace": info.namespace, "queue": info.task_queue, "priority": info.priority.priority_key,
    }


ALL = [add, attempt_that_succeeds, gives_up, until_cancelled, left_to_others, what_do_i_know]


async def start(env: Env, kind: Any, *args: Any, **options: Any) -> ActivityHandle:
    options.setdefault("id", env.id())
    options.setdefault("task_queue", env.task_queue)
    if "schedule_to_close_timeout" not in options:
        options.setdefault("start_to_close_timeout", SOON)
    return await env.client.start_activity(kind, args=list(args), **options)


async def cause_of(handle: ActivityHandle) -> BaseException:
    with pytest.raises(ActivityFailureError) as failed:
        await handle.result()
    return failed.value.cause


async def refused(call: Any) -> RPCError:
    with pytest.raises(RPCError) as error:
        await call
    return error.value


async def test_a_result_comes_back(env: Env):
    async with env.worker(activities=ALL):
        handle = await start(env, add, 1, 2)
        assert await handle.result() == 3
        described = await handle.describe()
        assert described.status == ActivityExecutionStatus.COMPLETED
        assert described.close_time and described.execution_duration is not None


async def test_it_is_retried_and_its_last_failure_shows(env: Env):
    async with env.worker(activities=ALL):
        policy = RetryPolicy(initial_interval=ms(20), backoff_coefficient=1.0)
        assert await (await start(env, attempt_that_succeeds, 3, retry_policy=policy)).result() == 3
        slow = RetryPolicy(initial_interval=timedelta(seconds=50))
        waits = await start(env, attempt_that_succeeds, 2, id=env.id("slow"), retry_policy=slow)

        async def failed_once():
            described = await waits.describe()
            return described if described.attempt == 2 else None

        described = await eventually(failed_once)
        assert described.run_state == PendingActivityState.SCHEDULED
        assert described.current_retry_interval == timedelta(seconds=50)
        assert described.next_attempt_schedule_time > datetime.now(timezone.utc)
        described = await waits.describe(include_last_failure=True)
        assert described.raw_info.last_failure.message == "attempt 1 fails"
        await waits.terminate()


async def test_a_failure_for_good_is_told(env: Env):
    async with env.worker(activities=ALL):
        cause = await cause_of(await start(env, gives_up))
    assert isinstance(cause, ApplicationError)
    assert (cause.type, cause.details[0]) == ("Bad", "details")


async def test_timeouts_end_it(env: Env):
    nobody = env.id("nobody")
    waits = await start(env, add, id=env.id("a"), task_queue=nobody, schedule_to_start_timeout=ms(300))
    closes = await start(env, add, id=env.id("b"), task_queue=nobody, schedule_to_close_timeout=ms(300))
    causes = [await cause_of(waits), await cause_of(closes)]
    assert [cause.type for cause in causes if isinstance(cause, TimeoutError)] == [TimeoutType.SCHEDULE_TO_START] * 2
    async with env.worker(activities=ALL):
        lost = await start(
            env, left_to_others, id=env.id("c"), start_to_close_timeout=ms(300), retry_policy=ONCE
        )
        silent = await start(env, left_to_others, id=env.id("d"), heartbeat_timeout=ms(300), retry_policy=ONCE)
        causes = [await cause_of(lost), await cause_of(silent)]
    assert [cause.type for cause in causes] == [TimeoutType.START_TO_CLOSE, TimeoutType.HEARTBEAT]
    assert (await lost.describe()).status == ActivityExecutionStatus.TIMED_OUT


async def test_cancelling_reaches_the_worker(env: Env):
    async with env.worker(activities=ALL, max_heartbeat_throttle_interval=ms(50)):
        handle = await start(env, until_cancelled, heartbeat_timeout=timedelta(seconds=5))

        async def is_alive():
            return (await handle.describe()).last_heartbeat_time is not None

        await eventually(is_alive)
        await handle.cancel(reason="not needed")
        assert isinstance(await cause_of(handle), CancelledError)
        described = await handle.describe()
        assert described.status == ActivityExecutionStatus.CANCELED
        assert described.canceled_reason == "not needed"


async def test_cancelling_what_no_worker_has_ends_it_at_once(env: Env):
    handle = await start(env, add, 1, 2)
    await handle.cancel(reason="too late")
    assert isinstance(await cause_of(handle), CancelledError)
    error = await refused(handle.cancel())
    assert (error.status, error.message) == (
        RPCStatusCode.FAILED_PRECONDITION, "activity is in terminal state Canceled",
    )


async def test_terminating_ends_it_with_a_reason(env: Env):
    handle = await start(env, add, 1, 2)
    await handle.terminate(reason="enough")
    cause = await cause_of(handle)
    assert isinstance(cause, TerminatedError) and "enough" in str(cause)
    assert (await refused(handle.terminate())).status == RPCStatusCode.FAILED_PRECONDITION


async def test_an_id_names_one_open_activity(env: Env):
    handle = await start(env, add, 1, 2)
    with pytest.raises(ActivityAlreadyStartedError) as taken:
        await start(env, add, 1, 2)
    assert taken.value.run_id == handle.run_id
    same = await start(env, add, 1, 2, id_conflict_policy=ActivityIDConflictPolicy.USE_EXISTING)
    assert same.run_id == handle.run_id
    await handle.terminate()
    with pytest.raises(ActivityAlreadyStartedError):
        await start(env, add, 1, 2, id_reuse_policy=ActivityIDReusePolicy.REJECT_DUPLICATE)
    again = await start(env, add, 1, 2, id_reuse_policy=ActivityIDReusePolicy.ALLOW_DUPLICATE_FAILED_ONLY)
    async with env.worker(activities=ALL):
        assert await again.result() == 3
    with pytest.raises(ActivityAlreadyStartedError):
        await start(env, add, 1, 2, id_reuse_policy=ActivityIDReusePolicy.ALLOW_DUPLICATE_FAILED_ONLY)
    newest = await start(env, add, 1, 2)
    assert newest.run_id not in (handle.run_id, again.run_id)
    # Without a run id the latest one is meant, with one the very one.
    assert (await env.client.get_activity_handle(env.id()).describe()).activity_run_id == newest.run_id
    assert (await handle.describe()).status == ActivityExecutionStatus.TERMINATED
    await newest.terminate()


async def test_a_workflow_of_the_same_id_is_another_thing(env: Env):
    handle = await start(env, add, 1, 2)
    execution = WorkflowExecution(workflow_id=handle.id, run_id=handle.run_id)
    request = DescribeWorkflowExecutionRequest(namespace=env.client.namespace, execution=execution)
    error = await refused(env.client.workflow_service.describe_workflow_execution(request))
    assert error.status == RPCStatusCode.NOT_FOUND
    await handle.terminate()


def raw_start(env: Env, **options: Any) -> StartActivityExecutionRequest:
    request = StartActivityExecutionRequest(
        namespace=env.client.namespace, activity_id=env.id(), activity_type=ActivityType(name="add"),
        task_queue=TaskQueue(name=env.task_queue), **options,
    )
    request.schedule_to_close_timeout.FromTimedelta(SOON)
    return request


async def test_a_repeated_request_starts_nothing_and_a_later_one_may_leave_its_links(env: Env):
    service = env.client.workflow_service
    first = await service.start_activity_execution(raw_start(env, request_id="one"))
    assert first.started and first.link.activity.run_id == first.run_id
    second = await service.start_activity_execution(raw_start(env, request_id="one"))
    assert (second.started, second.run_id) == (False, first.run_id)
    event = Link.WorkflowEvent(namespace=env.client.namespace, workflow_id="w", run_id="r")
    links = [Link(workflow_event=event)]
    attach = OnConflictOptions(attach_request_id=True, attach_links=True)
    for _ in range(2):
        request = raw_start(env, request_id="two", id_conflict_policy=2, links=links, on_conflict_options=attach)
        assert (await service.start_activity_execution(request)).run_id == first.run_id
    described = await env.client.get_activity_handle(env.id()).describe()
    assert list(described.raw_info.links) == links
    await env.client.get_activity_handle(env.id()).terminate()


async def test_a_start_that_makes_no_sense_is_refused(env: Env):
    request = raw_start(env)
    request.activity_id = ""
    error = await refused(env.client.workflow_service.start_activity_execution(request))
    assert (error.status, error.message) == (RPCStatusCode.INVALID_ARGUMENT, "activityId is not set")
    request = raw_start(env)
    request.ClearField("schedule_to_close_timeout")
    error = await refused(env.client.workflow_service.start_activity_execution(request))
    assert error.message.startswith("a valid StartToCloseTimeout or ScheduleToCloseTimeout must be set")
    error = await refused(env.client.get_activity_handle("no such activity").describe())
    assert (error.status, error.message) == (
        RPCStatusCode.NOT_FOUND, "activity not found for ID: no such activity",
    )


async def test_a_start_delay_is_waited_for(env: Env):
    async with env.worker(activities=ALL):
        handle = await start(env, add, 1, 2, start_delay=timedelta(seconds=1))
        described = await handle.describe()
        assert described.run_state == PendingActivityState.SCHEDULED
        assert described.next_attempt_schedule_time == described.schedule_time + timedelta(seconds=1)
        assert await handle.result() == 3
        described = await handle.describe()
        assert described.last_started_time >= described.schedule_time + timedelta(seconds=1)


async def test_what_its_worker_is_told(env: Env):
    async with env.worker(activities=ALL):
        handle = await start(env, what_do_i_know, priority=Priority(priority_key=2))
        told = await handle.result()
    assert told == {
        "activity_id": handle.id, "run_id": handle.run_id, "workflow_id": None, "namespace": env.client.namespace,
        "queue": env.task_queue, "priority": 2,
    }


async def test_a_long_poll_of_its_description_ends_with_news(env: Env):
    handle = await start(env, add, 1, 2)
    request = DescribeActivityExecutionRequest(namespace=env.client.namespace, activity_id=handle.id)
    before = await env.client.workflow_service.describe_activity_execution(request)
    request.run_id, request.long_poll_token = before.run_id, before.long_poll_token
    news = asyncio.create_task(env.client.workflow_service.describe_activity_execution(request))
    async with env.worker(activities=ALL):
        after = await news
        assert after.info.state_transition_count > before.info.state_transition_count
        assert await handle.result() == 3
    request.run_id = ""
    error = await refused(env.client.workflow_service.describe_activity_execution(request))
    assert error.message == "run id is required when long poll token is provided"


async def test_others_complete_it_by_its_id(env: Env):
    async with env.worker(activities=ALL):
        handle = await start(env, left_to_others)

        async def is_started():
            return (await handle.describe()).run_state == PendingActivityState.STARTED

        await eventually(is_started)
        outside = env.client.get_async_activity_handle(activity_id=handle.id, run_id=handle.run_id)
        await outside.heartbeat("half")
        await outside.complete("by id")
    assert (await (env.client.get_activity_handle(handle.id)).result()) == "by id"


async def test_lists_and_counts_find_activities_and_no_workflows(env: Env):
    handles = [await start(env, add, n, n, id=env.id(str(n))) for n in range(3)]
    query = f"TaskQueue = '{env.task_queue}' AND ActivityType = 'add'"

    async def found(query: str, size: int = 3):
        listed = [a async for a in env.client.list_activities(query)]
        return listed if len(listed) == size else None

    listed = await eventually(lambda: found(query))
    assert {entry.activity_id for entry in listed} == {handle.id for handle in handles}
    assert listed[0].raw_info.state_transition_count == 0, "only told when it is closed"
    await handles[0].terminate()
    closed = await eventually(lambda: found(f"{query} AND ExecutionStatus = 'Terminated'", 1))
    assert closed[0].status == ActivityExecutionStatus.TERMINATED
    assert closed[0].raw_info.state_transition_count

    async def grouped():
        counts = await env.client.count_activities(f"{query} GROUP BY ExecutionStatus")
        return counts if len(counts.groups) == 2 else None

    counts = await eventually(grouped)
    assert {group.group_values[0]: group.count for group in counts.groups} == {"Running": 2, "Terminated": 1}
    assert (await env.client.count_workflows(f"TaskQueue = '{env.task_queue}'")).count == 0
    pages, token = [], b""
    while True:
        page = await env.client.workflow_service.list_activity_executions(ListActivityExecutionsRequest(
            namespace=env.client.namespace, query=query, page_size=2, next_page_token=token,
        ))
        pages.append(len(page.executions))
        token = page.next_page_token
        if not token:
            break
    assert sum(pages) == 3 and pages[0] == 2
    for handle in handles[1:]:
        await handle.terminate()


async def test_a_deleted_activity_is_gone(env: Env):
    handle = await start(env, add, 1, 2)
    request = DeleteActivityExecutionRequest(namespace=env.client.namespace, activity_id=handle.id)
    await env.client.workflow_service.delete_activity_execution(request)

    async def is_gone():
        try:
            await handle.describe()
            return False
        except RPCError as error:
            return error.status == RPCStatusCode.NOT_FOUND

    await eventually(is_gone)


async def test_the_command_line_starts_describes_and_waits(env: Env):
    async def temporal(*words: str) -> Any:
        process = await asyncio.create_subprocess_exec(
            temporal_binary(), "activity", *words, "--address", env.address, "-o", "json", "--color", "never",
            stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
        )
        out, err = await process.communicate()
        assert process.returncode == 0, err.decode()
        return json.loads(out) if out.strip() else None

    named = ["--activity-id", env.id()]
    await temporal(
        "start", *named, "--type", "add", "--task-queue", env.task_queue, "--start-to-close-timeout", "20s",
        "--input", "1", "--input", "2",
    )
    assert (await temporal("describe", *named))["info"]["status"] == "ACTIVITY_EXECUTION_STATUS_RUNNING"
    await temporal("pause", *named)
    assert (await temporal("describe", *named))["info"]["status"] == "ACTIVITY_EXECUTION_STATUS_PAUSED"
    await temporal("unpause", *named)
    async with env.worker(activities=ALL):
        assert (await temporal("result", *named))["result"] == 3


@pytest.mark.restarts
@pytest.mark.timeout(120)
async def test_activities_survive_a_kill(own_engine: Engine):
    client = await connect(own_engine.address)

    async def begin(name: str, kind: Any, *args: Any, **options: Any) -> None:
        await client.start_activity(
            kind, args=list(args), id=name, task_queue="standalone", start_to_close_timeout=SOON, **options
        )

    await begin("waits", add, 1, 2)
    await begin("delayed", add, 3, 4, start_delay=timedelta(seconds=2))
    await begin("paused", add, 5, 6)
    await client.get_activity_handle("paused").pause()
    await begin("ended", add, 7, 8)
    await client.get_activity_handle("ended").terminate(reason="before the kill")
    own_engine.kill()
    own_engine.start()
    client = await connect(own_engine.address)
    assert (await client.get_activity_handle("paused").describe()).run_state == PendingActivityState.PAUSED
    ended = await client.get_activity_handle("ended").describe()
    assert ended.status == ActivityExecutionStatus.TERMINATED
    async with Worker(client, task_queue="standalone", activities=ALL):
        assert await client.get_activity_handle("waits").result() == 3
        assert await client.get_activity_handle("delayed").result() == 7
        await client.get_activity_handle("paused").unpause()
        assert await client.get_activity_handle("paused").result() == 11
