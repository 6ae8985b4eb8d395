"""Two modules at a time, a second look at what they found, and a person who has the last word.

`helve workflows build` makes workflow.wasm of it.
"""

import json

import wit_world
from wit_world.imports import durable
from wit_world.imports.types import Finding, Input, ModuleOptions, Retry, Severity

HOUR_MS = 3_600_000
ONCE = ModuleOptions(vertical=None, timeout_ms=None, retry=None)
THRICE = ModuleOptions(
    vertical=None,
    timeout_ms=None,
    retry=Retry(max_attempts=3, initial_interval_ms=1_000, backoff=2.0, max_interval_ms=60_000),
)


class WitWorld(wit_world.WitWorld):
    def run(self, input: Input) -> str:
        parameters = json.loads(input.parameters)
        durable.set_status("looks for secrets and weaknesses")
        steps = [
            durable.start_module("secrets", "secrets", "{}", ONCE),
            durable.start_module("sast", "sast", "{}", THRICE),
        ]
        found = 0
        for done, step in enumerate(steps, start=1):
            # What did not end well is raised, and ends the run if nobody catches it.
            output = json.loads(step.wait())
            found += output["findings"]
            durable.set_progress(done, len(steps))
            status = output["status"]
            if status["state"] != "completed":
                message = f"A part of the target was not looked at: {status.get('reason', '')}"
                durable.emit(Finding("not-looked-at", Severity.NOTE, message, ".", None))
        reviewer = None
        hours = parameters.get("review_hours", 0)
        if found > 0 and hours > 0:
            durable.set_status("waits for somebody to look")
            reviewed = durable.next_signal("reviewed")
            patience = durable.start_timer(hours * HOUR_MS)
            if durable.wait_any([reviewed, patience]) == 0:
                reviewer = json.loads(reviewed.wait())
        return json.dumps({"found": found, "reviewer": reviewer})
