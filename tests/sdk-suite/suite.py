"""Runs the Python SDK's own tests against one server, which it starts: `cargo xtask sdk-suite` calls this for each.

    suite.py --engine helve|temporal --source CHECKOUT --results FILE [PYTEST ARGUMENT...]

The results are one line per test: its name, a tab, what became of it. Without arguments the tests run that talk to a
server and are about workflows, activities, clients and schedules.
"""

from __future__ import annotations

import argparse
import os
import re
import subprocess
import sys
import tempfile
import xml.etree.ElementTree as ElementTree
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "conformance"))

from engines import Engine  # noqa: E402

CORE = [
    "tests/worker/test_workflow.py", "tests/test_client.py", "tests/worker/test_activity.py",
    "tests/worker/test_worker.py", "tests/worker/test_update_with_start.py", "tests/worker/test_interceptor.py",
    "tests/worker/test_replayer.py", "tests/test_service.py", "tests/test_activity.py",
    "tests/test_serialization_context.py",
]
# These start a server of their own, which they download.
ELSEWHERE = [
    "tests/worker/test_workflow.py::test_workflow_cancel_signal_and_timer_fired_in_same_task",
    "tests/worker/test_workflow.py::test_workflow_replace_worker_client",
]
SUGGEST_CONTINUE_AS_NEW_AFTER = 50
# As in the suite's own conftest.py, for the server it would start itself.
SETTINGS = [
    "system.forceSearchAttributesCacheRefreshOnRead=true",
    f"limit.historyCount.suggestContinueAsNew={SUGGEST_CONTINUE_AS_NEW_AFTER}",
    "system.enableEagerWorkflowStart=true",
    "frontend.enableExecuteMultiOperation=true",
    "frontend.workerVersioningWorkflowAPIs=true",
    "frontend.workerVersioningDataAPIs=true",
    "system.enableDeploymentVersions=true",
    "frontend.activityAPIsEnabled=true",
    "frontend.enableCancelWorkerPollsOnShutdown=true",
    "component.nexusoperations.recordCancelRequestCompletionEvents=true",
    "activity.enableStandalone=true",
    "activity.startDelayEnabled=true",
    "history.enableChasm=true",
    "history.enableTransitionHistory=true",
    "history.enableCHASMCallbacks=true",
    "history.enableCHASMSignalBacklinks=true",
    "nexusoperation.enableStandalone=true",
    'system.system.refreshNexusEndpointsMinWait="0s"',
    "history.enableSignalWithStartFromWorkflow=true",
    "history.enableUpdateCallbacks=true",
    "activity.enableCallbacks=true",
]


class SuiteEngine(Engine):
    """A server with the settings that the suite counts on."""

    def command(self) -> list[str]:
        if self.kind == "helve":
            return [os.environ["HELVE_SERVE_BIN"], str(self.folder / "data"), self.address, str(SUGGEST_CONTINUE_AS_NEW_AFTER)]
        words = [os.environ["HELVE_TEMPORAL_BIN"], "server", "start-dev", "--headless", "--log-level", "error"]
        words += ["--ip", "127.0.0.1", "--port", str(self.port)]
        for setting in SETTINGS:
            words += ["--dynamic-config-value", setting]
        return words


def outcomes(junit: Path) -> dict[str, str]:
    """The worst that became of each test: a test that ran twice has two entries."""
    order = ["skipped", "passed", "failed", "error"]
    found: dict[str, str] = {}
    for case in ElementTree.parse(junit).getroot().iter("testcase"):
        if not case.get("name"):
            continue  # a process of pytest that was killed leaves one without a name
        path = "/".join(part for part in case.get("classname", "").split(".") if not part[:1].isupper())
        name = f"{path}.py::{case.get('name')}"
        outcome = next((tag for tag in ("error", "failure", "skipped") if case.find(tag) is not None), "passed")
        outcome = "failed" if outcome == "failure" else outcome
        found[name] = max(found.get(name, outcome), outcome, key=order.index)
    return found


def progress(log: str) -> dict[str, str]:
    """What is known of a run that did not come to its end."""
    lines = re.findall(r"^\[gw\d+\](?: \[\s*\d+%\])? (PASSED|FAILED|ERROR|SKIPPED) (\S+)", log, re.MULTILINE)
    return {name: outcome.lower() for outcome, name in lines}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--engine", choices=["helve", "temporal"], required=True)
    parser.add_argument("--source", type=Path, required=True)
    parser.add_argument("--results", type=Path, required=True)
    parser.add_argument("--processes", default="2")
    parser.add_argument("--limit-minutes", type=float, default=40)
    options, selection = parser.parse_known_args()
    junit = options.results.with_suffix(".xml")
    log = options.results.with_suffix(".log")
    junit.unlink(missing_ok=True)
    deselected = [word for name in ELSEWHERE for word in ("--deselect", name)]
    with tempfile.TemporaryDirectory(prefix="sdk-suite-") as folder:
        engine = SuiteEngine(options.engine, Path(folder), durable=False).start()
        try:
            # A test that hangs is killed with its process, and the run goes on with another one.
            command = [
                sys.executable, "-m", "pytest", *(selection or CORE), *deselected, "-E", engine.address,
                "-n", options.processes, "--dist=worksteal", "--max-worker-restart=200", "-p", "no:cacheprovider",
                "--timeout", "60", "--timeout-method=thread", "-o", "timeout_func_only=false",
                "-v", "--tb=line", "--show-capture=no", f"--junitxml={junit}",
            ]
            with log.open("w") as output:
                limit = options.limit_minutes * 60
                subprocess.run(command, cwd=options.source, stdout=output, stderr=output, timeout=limit, check=False)
        except subprocess.TimeoutExpired:
            print(f"stopped after {options.limit_minutes:.0f} minutes")
        finally:
            engine.stop()
    found = outcomes(junit) if junit.exists() else progress(log.read_text(errors="replace"))
    options.results.write_text("".join(f"{name}\t{outcome}\n" for name, outcome in sorted(found.items())))
    print(f"details: {log}")
    return 0 if found else 1


if __name__ == "__main__":
    sys.exit(main())
