"""What the conformance tests share: an environment per test, waiting for conditions, reading histories."""

from __future__ import annotations

import asyncio
import re
import time
import uuid
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, TypeVar

from temporalio.api.enums.v1 import EventType
from temporalio.client import Client, WorkflowFailureError, WorkflowHandle
from temporalio.common import RetryPolicy
from temporalio.worker import UnsandboxedWorkflowRunner, Worker

T = TypeVar("T")

SOON = timedelta(seconds=20)
ONCE = RetryPolicy(maximum_attempts=1)


def ms(milliseconds: int) -> timedelta:
    return timedelta(milliseconds=milliseconds)


async def eventually(
    condition: Callable[[], Awaitable[T]], limit: float = 20.0, swallow: tuple[type[Exception], ...] = ()
) -> T:
    """Waits until the condition gives something truthy, and returns it."""
    deadline = time.monotonic() + limit
    last: Any = None
    while True:
        try:
            last = await condition()
            if last:
                return last
        except swallow as error:
            last = error
        if time.monotonic() > deadline:
            raise AssertionError(f"did not happen within {limit} s; last seen: {last!r}")
        await asyncio.sleep(0.03)


@dataclass
class Env:
    client: Client
    address: str
    engine: str
    name: str
    unique: str = field(default_factory=lambda: uuid.uuid4().hex[:10])

    @property
    def task_queue(self) -> str:
        return f"{self._slug()}-{self.unique}"

    def _slug(self) -> str:
        return re.sub(r"[^A-Za-z0-9_]+", "-", self.name)[:80]

    def id(self, suffix: str = "") -> str:
        return f"{self._slug()}-{self.unique}{'-' + suffix if suffix else ''}"

    def worker(self, workflows: Sequence[type] = (), activities: Sequence[Callable] = (), **options: Any) -> Worker:
        # The sandbox re-imports the test's module for every workflow; one test of its own shows that it works too.
        options.setdefault("workflow_runner", UnsandboxedWorkflowRunner())
        options.setdefault("task_queue", self.task_queue)
        client = options.pop("client", self.client)
        return Worker(client, workflows=list(workflows), activities=list(activities), **options)

    async def start(self, workflow: Any, *args: Any, **options: Any) -> WorkflowHandle:
        options.setdefault("id", self.id())
        options.setdefault("task_queue", self.task_queue)
        options.setdefault("execution_timeout", timedelta(seconds=90))
        client = options.pop("client", self.client)
        return await client.start_workflow(workflow, args=list(args), **options)

    async def run(self, workflow: Any, *args: Any, **options: Any) -> Any:
        return await (await self.start(workflow, *args, **options)).result()


async def events(handle: WorkflowHandle) -> list[Any]:
    return [event async for event in handle.fetch_history_events()]


async def event_names(handle: WorkflowHandle) -> list[str]:
    """Names of the history's events, such as `TIMER_FIRED`."""
    return [event_name(event) for event in await events(handle)]


def event_name(event: Any) -> str:
    return EventType.Name(event.event_type).removeprefix("EVENT_TYPE_")


async def has_event(handle: WorkflowHandle, name: str, at_least: int = 1) -> bool:
    return (await event_names(handle)).count(name) >= at_least


async def failure_of(handle: WorkflowHandle) -> BaseException:
    """The cause that the client sees when the workflow did not complete."""
    try:
        result = await handle.result()
    except WorkflowFailureError as error:
        assert error.cause is not None
        return error.cause
    raise AssertionError(f"the workflow completed with {result!r}")
