"""Histories cross over: what the real server recorded replays, and what this server writes reads the same.

`histories/` holds one history of each program in `recorded.py`, as the real server wrote it (protobuf's binary form of
`temporal.api.history.v1.History`); crate `history` folds the same files. To record them again:

    python -m pytest test_recorded_histories.py --engine temporal --record
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from temporalio.api.history.v1 import History
from temporalio.client import WorkflowHistory
from temporalio.worker import Replayer, UnsandboxedWorkflowRunner

from recorded import ACTIVITIES, PROGRAMS, WORKFLOWS
from support import Env, event_name

HISTORIES = Path(__file__).parent / "histories"


def replayer() -> Replayer:
    return Replayer(workflows=WORKFLOWS, workflow_runner=UnsandboxedWorkflowRunner())


def recorded(name: str) -> WorkflowHistory:
    history = History.FromString((HISTORIES / f"{name}.binpb").read_bytes())
    started = history.events[0].workflow_execution_started_event_attributes
    return WorkflowHistory(started.workflow_id, list(history.events))


def outline(history: WorkflowHistory) -> list[str]:
    return [event_name(event) for event in history.events]


def without_traces(message: Any) -> Any:
    """Takes out what tells of the machine that recorded: who worked, and where its code lies."""
    for field, value in message.ListFields():
        if field.name in ("identity", "worker_identity", "stack_trace"):
            message.ClearField(field.name)
        elif field.message_type and field.message_type.GetOptions().map_entry:
            continue
        elif field.message_type:
            for part in value if isinstance(value, Sequence) else [value]:
                without_traces(part)
    return message


@pytest.mark.parametrize("name", PROGRAMS)
async def test_a_history_of_the_real_server_replays(name: str):
    await replayer().replay_workflow(recorded(name))


@pytest.mark.parametrize("name", PROGRAMS)
async def test_a_program_leaves_the_history_that_was_recorded_and_it_replays(env: Env, request, name: str):
    async with env.worker(WORKFLOWS, ACTIVITIES, identity="recorder"):
        handle = await PROGRAMS[name](env)
        history = await handle.fetch_history()
    await replayer().replay_workflow(history)
    if request.config.option.record:
        HISTORIES.mkdir(exist_ok=True)
        kept = without_traces(History(events=history.events))
        (HISTORIES / f"{name}.binpb").write_bytes(kept.SerializeToString(deterministic=True))
    assert outline(history) == outline(recorded(name))
