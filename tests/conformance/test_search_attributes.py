"""Custom search attributes of every type: defined, set, changed, found, shown, removed."""

from __future__ import annotations

import asyncio
from datetime import datetime, timedelta, timezone

import pytest
from temporalio import workflow
from temporalio.api.enums.v1 import IndexedValueType, WorkflowTaskFailedCause
from temporalio.api.operatorservice.v1 import (
    AddSearchAttributesRequest,
    ListSearchAttributesRequest,
    RemoveSearchAttributesRequest,
)
from temporalio.common import SearchAttributeKey, SearchAttributePair, TypedSearchAttributes
from temporalio.service import RPCError, RPCStatusCode

from engines import temporal_binary
from support import Env, eventually, events, has_event

WORD = SearchAttributeKey.for_keyword("SaWord")
PROSE = SearchAttributeKey.for_text("SaProse")
NUMBER = SearchAttributeKey.for_int("SaNumber")
RATIO = SearchAttributeKey.for_float("SaRatio")
FLAG = SearchAttributeKey.for_bool("SaFlag")
MOMENT = SearchAttributeKey.for_datetime("SaMoment")
TAGS = SearchAttributeKey.for_keyword_list("SaTags")
KINDS = {
    "SaWord": IndexedValueType.INDEXED_VALUE_TYPE_KEYWORD,
    "SaProse": IndexedValueType.INDEXED_VALUE_TYPE_TEXT,
    "SaNumber": IndexedValueType.INDEXED_VALUE_TYPE_INT,
    "SaRatio": IndexedValueType.INDEXED_VALUE_TYPE_DOUBLE,
    "SaFlag": IndexedValueType.INDEXED_VALUE_TYPE_BOOL,
    "SaMoment": IndexedValueType.INDEXED_VALUE_TYPE_DATETIME,
    "SaTags": IndexedValueType.INDEXED_VALUE_TYPE_KEYWORD_LIST,
}
DAY = datetime(2026, 1, 2, 3, 4, 5, tzinfo=timezone.utc)


async def defined(env: Env, kinds: dict[str, int]) -> None:
    service = env.client.operator_service
    await service.add_search_attributes(AddSearchAttributesRequest(namespace="default", search_attributes=kinds))

    async def there():
        listed = await service.list_search_attributes(ListSearchAttributesRequest(namespace="default"))
        return kinds.items() <= dict(listed.custom_attributes).items()

    await eventually(there)


@pytest.fixture
async def every_kind(env: Env) -> Env:
    await defined(env, KINDS)
    return env


def given(word: str = "blue") -> TypedSearchAttributes:
    return TypedSearchAttributes([
        SearchAttributePair(WORD, word),
        SearchAttributePair(PROSE, "The quick brown fox"),
        SearchAttributePair(NUMBER, 42),
        SearchAttributePair(RATIO, 1.5),
        SearchAttributePair(FLAG, True),
        SearchAttributePair(MOMENT, DAY),
        SearchAttributePair(TAGS, ["a", "b c"]),
    ])


async def start(env: Env, attributes: TypedSearchAttributes, suffix: str = ""):
    """The real server knows new attributes a moment after it has promised them."""
    async def started():
        return await env.client.start_workflow(
            "Nobody", id=env.id(suffix), task_queue=env.task_queue, search_attributes=attributes,
            execution_timeout=timedelta(seconds=90),
        )

    return await eventually(started, swallow=(RPCError,))


async def finds(env: Env, query: str) -> bool:
    found = [f.id async for f in env.client.list_workflows(f"WorkflowId = '{env.id()}' AND ({query})")]
    return found == [env.id()]


async def test_every_type_is_found_and_shown(every_kind: Env):
    env = every_kind
    handle = await start(env, given())
    await eventually(lambda: finds(env, "SaWord = 'blue'"), swallow=(RPCError,))
    for query, wanted in {
        "SaWord IN ('red', 'blue') AND SaWord STARTS_WITH 'bl' AND SaWord > 'a'": True,
        "SaWord != 'blue'": False,
        "SaProse = 'QUICK' AND SaProse = 'fox wolf'": True,
        "SaProse = 'qui'": False,
        "SaProse != 'wolf'": True,
        "SaNumber BETWEEN 40 AND 42 AND SaNumber >= 42 AND SaNumber < 42.5": True,
        "SaNumber NOT IN (42, 43)": False,
        "SaRatio > 1 AND SaRatio = 1.5": True,
        "SaFlag = true AND SaFlag != false": True,
        "SaMoment > '2026-01-01T00:00:00Z' AND SaMoment < '2026-01-03T00:00:00+01:00'": True,
        "SaTags = 'b c' AND SaTags IN ('x', 'a')": True,
        "SaTags = 'b'": False,
        "SaTags != 'x'": True,
        "SaWord IS NOT NULL AND SaTags IS NOT NULL AND SaProse IS NOT NULL": True,
        "SaNumber IS NULL": False,
    }.items():
        async def agrees(query=query, wanted=wanted):
            return await finds(env, query) == wanted

        assert await eventually(agrees, swallow=(RPCError,)), query
    shown = (await handle.describe()).typed_search_attributes
    assert [shown.get(key) for key in (WORD, PROSE, NUMBER, RATIO, FLAG, TAGS)] == [
        "blue", "The quick brown fox", 42, 1.5, True, ["a", "b c"],
    ]
    assert shown.get(MOMENT) == DAY
    listed = [f async for f in env.client.list_workflows(f"WorkflowId = '{env.id()}'")]
    assert listed[0].typed_search_attributes.get(WORD) == "blue"
    await handle.terminate()


@workflow.defn
class Repaints:
    def __init__(self) -> None:
        self.goes_on = False

    @workflow.run
    async def run(self, step: str = "first") -> str:
        if step == "first":
            workflow.upsert_search_attributes([WORD.value_set("green"), NUMBER.value_unset()])
            await workflow.wait_condition(lambda: self.goes_on)
            workflow.continue_as_new("second")
        child = await workflow.start_child_workflow(
            "Nobody", id=f"{workflow.info().workflow_id}-child",
            search_attributes=TypedSearchAttributes([SearchAttributePair(WORD, "child")]),
            parent_close_policy=workflow.ParentClosePolicy.ABANDON,
        )
        return f"{workflow.info().typed_search_attributes.get(WORD)} {child.id != ''}"

    @workflow.signal
    def go_on(self) -> None:
        self.goes_on = True


async def test_a_workflow_changes_unsets_and_hands_them_on(every_kind: Env):
    env = every_kind
    async with env.worker([Repaints]):
        async def started():
            return await env.start(Repaints.run, search_attributes=given())

        handle = await eventually(started, swallow=(RPCError,))
        await eventually(lambda: finds(env, "SaWord = 'green' AND SaNumber IS NULL AND SaFlag = true"), swallow=(RPCError,))
        shown = (await handle.describe()).typed_search_attributes
        assert (shown.get(WORD), shown.get(NUMBER), shown.get(FLAG)) == ("green", None, True)
        await handle.signal(Repaints.go_on)
        assert await handle.result() == "green True"

        async def child_found():
            query = f"SaWord = 'child' AND ParentWorkflowId = '{env.id()}'"
            return [f.id async for f in env.client.list_workflows(query)] == [f"{env.id()}-child"]

        await eventually(child_found, swallow=(RPCError,))
    await env.client.get_workflow_handle(f"{env.id()}-child").terminate()


async def test_what_is_undefined_or_of_another_type_is_refused(every_kind: Env):
    env = every_kind
    await (await start(env, given(), "first")).terminate()
    for key, value in (
        (SearchAttributeKey.for_keyword("SaNobodyDefinedThis"), "x"),
        (SearchAttributeKey.for_keyword("SaNumber"), "many"),
        (SearchAttributeKey.for_keyword("WorkflowId"), "mine"),
    ):
        with pytest.raises(RPCError) as refusal:
            await env.client.start_workflow(
                "Nobody", id=env.id(), task_queue=env.task_queue,
                search_attributes=TypedSearchAttributes([SearchAttributePair(key, value)]),
            )
        assert refusal.value.status == RPCStatusCode.INVALID_ARGUMENT
        assert key.name in refusal.value.message


@workflow.defn
class Misspells:
    @workflow.run
    async def run(self) -> None:
        workflow.upsert_search_attributes([SearchAttributeKey.for_keyword("SaNobodyDefinedThis").value_set("x")])
        await workflow.wait_condition(lambda: False)


async def test_a_workflow_that_sets_what_is_undefined_fails_its_task(env: Env):
    async with env.worker([Misspells]):
        handle = await env.start(Misspells.run)
        await eventually(lambda: has_event(handle, "WORKFLOW_TASK_FAILED"))
        failed = [e.workflow_task_failed_event_attributes for e in await events(handle)]
        causes = {f.cause for f in failed if f.cause}
        assert causes == {WorkflowTaskFailedCause.WORKFLOW_TASK_FAILED_CAUSE_BAD_SEARCH_ATTRIBUTES}
        await handle.terminate()


async def test_a_removed_attribute_is_neither_found_nor_shown(env: Env):
    kind = IndexedValueType.INDEXED_VALUE_TYPE_KEYWORD
    name = f"SaGone{env.unique}"
    await defined(env, {name: kind})
    key = SearchAttributeKey.for_keyword(name)
    handle = await start(env, TypedSearchAttributes([SearchAttributePair(key, "x")]))
    await eventually(lambda: finds(env, f"{name} = 'x'"), swallow=(RPCError,))
    service = env.client.operator_service
    await service.remove_search_attributes(RemoveSearchAttributesRequest(namespace="default", search_attributes=[name]))

    async def unknown():
        try:
            await finds(env, f"{name} = 'x'")
        except RPCError as error:
            return error.status == RPCStatusCode.INVALID_ARGUMENT
        return False

    assert await eventually(unknown)
    assert (await handle.describe()).typed_search_attributes.get(key) is None
    await handle.terminate()


async def test_names_of_the_system_cannot_be_added_or_removed(env: Env):
    service = env.client.operator_service
    kind = IndexedValueType.INDEXED_VALUE_TYPE_KEYWORD
    for call in (
        service.add_search_attributes(AddSearchAttributesRequest(namespace="default", search_attributes={"RunId": kind})),
        service.add_search_attributes(AddSearchAttributesRequest(namespace="default", search_attributes={})),
        service.add_search_attributes(AddSearchAttributesRequest(search_attributes={"A": kind})),
        service.remove_search_attributes(RemoveSearchAttributesRequest(namespace="default", search_attributes=["RunId"])),
        service.list_search_attributes(ListSearchAttributesRequest()),
    ):
        with pytest.raises(RPCError) as refusal:
            await call
        assert refusal.value.status == RPCStatusCode.INVALID_ARGUMENT


async def test_the_command_line_defines_lists_and_removes(env: Env):
    name = f"SaTyped{env.unique}"

    async def operator(*words: str) -> str:
        process = await asyncio.create_subprocess_exec(
            temporal_binary(), "operator", "search-attribute", *words, "--address", env.address, "--color", "never",
            stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
        )
        out, err = await process.communicate()
        assert process.returncode == 0, err.decode() + out.decode()
        return out.decode()

    await operator("create", "--name", name, "--type", "Bool")

    async def listed():
        return name in await operator("list")

    await eventually(listed)
    await operator("remove", "--name", name, "--yes")

    async def gone():
        return name not in await operator("list")

    await eventually(gone)
