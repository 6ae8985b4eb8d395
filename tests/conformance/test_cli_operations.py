"""The `temporal` command line beyond starting workflows: updates, reset, batches, schedules, activities, operations."""

from __future__ import annotations

import json
from datetime import timedelta

import pytest
from temporalio import activity, workflow
from temporalio.client import WorkflowExecutionStatus
from temporalio.common import RetryPolicy
from temporalio.exceptions import ApplicationError

from cli import Refused, cli
from support import SOON, Env, event_names, eventually, failure_of, has_event

OUTSIDE: dict[str, bytes] = {}


@activity.defn
async def outside() -> str:
    OUTSIDE[activity.info().workflow_id or ""] = activity.info().task_token
    activity.raise_complete_async()


@activity.defn
async def greet(name: str) -> str:
    return f"hello {name}"


@activity.defn
async def never_well() -> str:
    raise ApplicationError("not yet")


@workflow.defn
class Office:
    def __init__(self) -> None:
        self.papers: list[str] = []
        self.closed = False

    @workflow.run
    async def run(self) -> list[str]:
        await workflow.wait_condition(lambda: self.closed)
        return self.papers

    @workflow.signal
    def put(self, paper: str) -> None:
        self.papers.append(paper)

    @workflow.signal
    def close(self) -> None:
        self.closed = True

    @workflow.update
    def stamp(self, paper: str) -> int:
        self.papers.append(paper)
        return len(self.papers)

    @stamp.validator
    def check(self, paper: str) -> None:
        if not paper:
            raise ValueError("there is no paper")


@workflow.defn
class Waiter:
    """Waits for one activity, which it calls `it`."""

    @workflow.run
    async def run(self, name: str) -> str:
        return await workflow.execute_activity(
            name, activity_id="it", start_to_close_timeout=SOON, result_type=str,
            retry_policy=RetryPolicy(initial_interval=timedelta(seconds=40)),
        )


@pytest.fixture
async def office(env: Env):
    async with env.worker([Office, Waiter], [outside, greet, never_well]):
        yield env


def start_words(env: Env) -> list[str]:
    return ["--type", "Office", "--task-queue", env.task_queue, "--workflow-id", env.id()]


async def test_an_update_is_executed_started_and_described(office: Env):
    handle = await office.start(Office.run)
    words = ["--workflow-id", handle.id, "--name", "stamp", "--input", '"first"']
    done = await cli(office, "workflow", "update", "execute", *words)
    assert done["result"] == 1
    started = await cli(office, "workflow", "update", "start", *words, "--wait-for-stage", "accepted", "--update-id", "mine")
    assert started["updateId"] == "mine"
    known = ["--workflow-id", handle.id, "--update-id", "mine"]
    assert (await cli(office, "workflow", "update", "result", *known))["result"] == 2
    assert (await cli(office, "workflow", "update", "describe", *known))["stage"]
    with pytest.raises(Refused) as refusal:
        await cli(office, "workflow", "update", "execute", "-w", handle.id, "--name", "stamp", "--input", '""')
    assert "there is no paper" in str(refusal.value)
    await handle.signal(Office.close)
    assert await handle.result() == ["first", "first"]


async def test_update_with_start_starts_what_does_not_run(office: Env):
    words = ["--update-name", "stamp", "--update-input", '"first"', "--id-conflict-policy", "UseExisting"]
    done = await cli(office, "workflow", "execute-update-with-start", *start_words(office), *words)
    assert done["updateResult"] == 1
    await office.client.get_workflow_handle(office.id()).terminate()


async def test_reset_goes_back_and_takes_later_signals_along(office: Env):
    handle = await office.start(Office.run)
    await eventually(lambda: has_event(handle, "WORKFLOW_TASK_COMPLETED"))
    await handle.signal(Office.put, "kept")
    await cli(office, "workflow", "reset", "-w", handle.id, "--type", "FirstWorkflowTask", "--reason", "once more")
    again = office.client.get_workflow_handle(handle.id)
    assert (await again.describe()).run_id != handle.result_run_id
    await again.signal(Office.close)
    assert await again.result() == ["kept"]
    assert "WORKFLOW_TASK_FAILED" in await event_names(again)


async def test_delete_removes_the_execution(office: Env):
    handle = await office.start(Office.run)
    await cli(office, "workflow", "delete", "-w", handle.id, "--yes")

    async def gone() -> bool:
        try:
            await cli(office, "workflow", "describe", "-w", handle.id)
            return False
        except Refused as refusal:
            return "not found" in str(refusal).lower()

    await eventually(gone)


async def test_trace_follows_a_workflow_to_its_end(office: Env):
    handle = await office.start(Office.run)
    await handle.signal(Office.close)
    await handle.result()
    assert "Office" in await cli(office, "workflow", "trace", "-w", handle.id, "--no-fold", as_json=False)


async def test_metadata_tells_what_the_workflow_handles(office: Env):
    handle = await office.start(Office.run)
    assert "stamp" in json.dumps(await cli(office, "workflow", "metadata", "-w", handle.id))
    await handle.terminate()


async def test_a_batch_signals_and_terminates_what_a_query_finds(office: Env):
    handles = [await office.start(Office.run, id=office.id(str(n))) for n in range(3)]
    query = f"TaskQueue = '{office.task_queue}' AND ExecutionStatus = 'Running'"

    async def listed() -> bool:
        return int((await cli(office, "workflow", "count", "--query", query))["count"]) == 3

    await eventually(listed)
    batch = ["--query", query, "--yes", "--reason", "all at once"]
    started = await cli(office, "workflow", "signal", "--name", "put", "--input", '"memo"', *batch)
    job = started["batchJobId"]

    async def completed() -> bool:
        described = await cli(office, "batch", "describe", "--job-id", job)
        return "completed" in described["state"].lower()

    await eventually(completed)
    assert job in json.dumps(await cli(office, "batch", "list"))
    await handles[0].signal(Office.close)
    assert await handles[0].result() == ["memo"]
    await cli(office, "workflow", "terminate", *batch)
    for handle in handles[1:]:
        await failure_of(handle)
        assert (await handle.describe()).status == WorkflowExecutionStatus.TERMINATED


async def test_a_schedule_lives_its_life(office: Env):
    name = ["--schedule-id", office.id("schedule")]
    await cli(
        office, "schedule", "create", *name, *start_words(office), "--interval", "30d/5m", "--paused", "--notes", "not yet",
    )
    described = await cli(office, "schedule", "describe", *name)
    assert described["schedule"]["state"]["notes"] == "not yet"

    async def listed() -> bool:
        return office.id("schedule") in json.dumps(await cli(office, "schedule", "list"))

    await eventually(listed)
    await cli(office, "schedule", "toggle", *name, "--unpause", "--reason", "now")
    assert not (await cli(office, "schedule", "describe", *name))["schedule"]["state"].get("paused")
    await cli(office, "schedule", "trigger", *name)

    async def taken() -> bool:
        return bool((await cli(office, "schedule", "describe", *name))["info"].get("recentActions"))

    await eventually(taken)
    await cli(office, "schedule", "update", *name, *start_words(office), "--calendar", '{"hour": "3", "dayOfWeek": "Fri"}')
    spec = (await cli(office, "schedule", "describe", *name))["schedule"]["spec"]
    assert spec["structuredCalendar"] and not spec.get("interval")
    times = ["--start-time", "2024-01-01T00:00:00Z", "--end-time", "2024-01-15T00:00:00Z"]
    backfill = ["backfill", *name, *times, "--overlap-policy", "Skip"]
    await cli(office, "schedule", *backfill)
    await cli(office, "schedule", "delete", *name)
    with pytest.raises(Refused):
        await cli(office, "schedule", "describe", *name)


async def test_an_activity_is_completed_and_failed_by_hand(office: Env):
    completed = await office.start(Waiter.run, "outside", id=office.id("completed"))
    failed = await office.start(Waiter.run, "outside", id=office.id("failed"))

    async def both_wait() -> bool:
        return completed.id in OUTSIDE and failed.id in OUTSIDE

    await eventually(both_wait)
    await cli(office, "activity", "complete", "--activity-id", "it", "-w", completed.id, "--result", '"by hand"')
    assert await completed.result() == "by hand"
    await cli(office, "activity", "fail", "--activity-id", "it", "-w", failed.id, "--reason", "by hand")

    assert "by hand" in str((await failure_of(failed)).__cause__)


async def test_an_activity_is_paused_changed_and_resumed(office: Env):
    handle = await office.start(Waiter.run, "never_well")

    async def pending():
        found = (await handle.describe()).raw_description.pending_activities
        return found[0] if found else None

    async def failed_once() -> bool:
        found = await pending()
        return bool(found and found.HasField("last_failure"))

    await eventually(failed_once)
    it = ["--activity-id", "it", "-w", handle.id]
    await cli(office, "activity", "pause", *it, "--reason", "wait")
    paused = await pending()
    assert paused and paused.paused
    await cli(office, "activity", "update-options", *it, "--retry-maximum-attempts", "2")
    changed = await pending()
    assert changed and changed.maximum_attempts == 2
    await cli(office, "activity", "reset", *it, "--keep-paused")
    assert (await pending()).attempt == 1
    await cli(office, "activity", "unpause", *it)

    async def runs_again() -> bool:
        found = await pending()
        return not found or not found.paused

    await eventually(runs_again)
    await handle.terminate()


async def test_a_standalone_activity_is_executed_and_described(office: Env):
    words = ["--activity-id", office.id("alone"), "--type", "greet", "--task-queue", office.task_queue]
    done = await cli(office, "activity", "execute", *words, "--start-to-close-timeout", "20s", "--input", '"you"')
    assert done["result"] == "hello you"
    assert "greet" in json.dumps(await cli(office, "activity", "describe", "--activity-id", office.id("alone")))


async def test_a_task_queue_is_described(office: Env):
    async def polled() -> bool:
        described = await cli(office, "task-queue", "describe", "--task-queue", office.task_queue)
        return bool(described.get("pollers"))

    await eventually(polled)


async def test_a_namespace_is_made_changed_and_described(env: Env):
    name = env.id("namespace").lower()[-60:].strip("-")
    await cli(env, "operator", "namespace", "create", "-n", name, "--retention", "48h", "--description", "for a test")

    async def there() -> bool:
        try:
            described = await cli(env, "operator", "namespace", "describe", "-n", name)
            return described["namespaceInfo"]["description"] == "for a test"
        except Refused:
            return False

    await eventually(there)
    await cli(env, "operator", "namespace", "update", "-n", name, "--retention", "72h")

    async def changed() -> bool:
        described = await cli(env, "operator", "namespace", "describe", "-n", name)
        return described["config"]["workflowExecutionRetentionTtl"] == "259200s"

    await eventually(changed)
    assert name in json.dumps(await cli(env, "operator", "namespace", "list"))
    await cli(env, "operator", "namespace", "delete", "-n", name, "--yes")


async def test_a_search_attribute_is_made_listed_and_removed(env: Env):
    name = f"Cli{env.unique}"
    await cli(env, "operator", "search-attribute", "create", "--name", name, "--type", "Keyword")

    async def listed() -> bool:
        return name in json.dumps(await cli(env, "operator", "search-attribute", "list"))

    await eventually(listed)
    await cli(env, "operator", "search-attribute", "remove", "--name", name, "--yes")

    async def gone() -> bool:
        return not await listed()

    await eventually(gone)


async def test_the_cluster_is_well(env: Env):
    assert (await cli(env, "operator", "cluster", "health"))["status"] == "SERVING"
    assert await cli(env, "operator", "cluster", "describe")
    assert await cli(env, "operator", "cluster", "system")
