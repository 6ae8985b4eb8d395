"""Runs the Python SDK's own tests against one server, which it starts: `cargo xtask sdk-suite` calls this for each.

    suite.py --engine helve|temporal --source CHECKOUT --results FILE [PYTEST ARGUMENT...]

The results are one line per test: its name, a tab, what became of it. Without arguments the tests run that talk to a
server and are about workflows, activities, clients and schedules.

Some of these tests hang or take their process down when they fail. So they run in a few processes at once, a part of
the suite in each, and each process writes down what it does: one that is dead or that makes no progress is replaced,
and only the test that it was at has failed.
"""

from __future__ import annotations

import argparse
import os
import queue
import signal
import subprocess
import sys
import tempfile
import threading
import time
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
TESTS_A_PROCESS = 30
TEST_LIMIT_S = 60.0
# Importing the SDK and the suite, before the first test.
START_LIMIT_S = 120.0
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


PYTEST = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-p", "diary"]
HERE = str(Path(__file__).resolve().parent)


def collect(source: Path, selection: list[str], address: str) -> list[str]:
    """The names of the tests to run, in the suite's order."""
    deselected = [word for name in ELSEWHERE for word in ("--deselect", name)]
    command = [*PYTEST, "--collect-only", "-q", *(selection or CORE), *deselected, "-E", address]
    environment = {**os.environ, "PYTHONPATH": HERE}
    listed = subprocess.run(command, cwd=source, env=environment, capture_output=True, text=True, check=False)
    names = [line for line in listed.stdout.splitlines() if line.startswith("tests/") and "::" in line]
    if not names:
        sys.exit(f"no tests found:\n{listed.stdout}{listed.stderr}")
    return names


class Part:
    """A few tests one after the other, each of which gets an outcome."""

    def __init__(self, source: Path, address: str, folder: Path, log: Path):
        self.source = source
        self.address = address
        self.diary = folder / f"diary-{threading.get_ident()}"
        self.arguments = folder / f"tests-{threading.get_ident()}"
        self.log = log
        log.write_text("")

    def run(self, names: list[str]) -> dict[str, str]:
        found: dict[str, str] = {}
        while left := [name for name in names if name not in found]:
            done, at = self.attempt(left)
            found |= done
            if at is None and not done:
                at = left[0]  # it died before its first test: never the same again
            if at is not None:
                found[at] = "failed"
        return found

    def attempt(self, names: list[str]) -> tuple[dict[str, str], str | None]:
        """Runs the tests until a process ends: what became of them, and the test that it did not come back from."""
        self.diary.write_text("")
        self.arguments.write_text("\n".join(names))
        command = [*PYTEST, f"@{self.arguments}", "-E", self.address, "-v", "--tb=short", "--show-capture=no"]
        environment = {**os.environ, "SUITE_DIARY": str(self.diary), "PYTHONPATH": HERE}
        with self.log.open("a") as output:
            process = subprocess.Popen(
                command, cwd=self.source, stdout=output, stderr=output, env=environment, start_new_session=True
            )
            try:
                self.watch(process)
            finally:
                if process.poll() is None:
                    os.killpg(process.pid, signal.SIGKILL)
                    process.wait()
        done, at = self.read()
        return {name: outcome for name, outcome in done.items() if name in names}, at

    def watch(self, process: subprocess.Popen) -> None:
        """Returns when the process ended, or when it is too long at one test."""
        last, since = -1, time.monotonic()
        while process.poll() is None:
            size = self.diary.stat().st_size
            if size != last:
                last, since = size, time.monotonic()
            elif time.monotonic() - since > (TEST_LIMIT_S if size else START_LIMIT_S):
                return
            time.sleep(0.2)

    def read(self) -> tuple[dict[str, str], str | None]:
        done: dict[str, str] = {}
        at = None
        for line in self.diary.read_text().splitlines():
            what, _, name = line.partition("\t")
            at = name if what == "at" else None
            if what != "at":
                done[name] = what
        return done, at


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--engine", choices=["helve", "temporal"], required=True)
    parser.add_argument("--source", type=Path, required=True)
    parser.add_argument("--results", type=Path, required=True)
    parser.add_argument("--processes", type=int, default=2)
    options, selection = parser.parse_known_args()
    log = options.results.with_suffix(".log")
    found: dict[str, str] = {}
    with tempfile.TemporaryDirectory(prefix="sdk-suite-") as name:
        folder = Path(name)
        engine = SuiteEngine(options.engine, folder, durable=False).start()
        try:
            names = collect(options.source, selection, engine.address)
            parts: queue.SimpleQueue[list[str]] = queue.SimpleQueue()
            for first in range(0, len(names), TESTS_A_PROCESS):
                parts.put(names[first : first + TESTS_A_PROCESS])

            def work(index: int) -> None:
                part = Part(options.source, engine.address, folder, log.with_suffix(f".{index}.log"))
                while True:
                    try:
                        tests = parts.get_nowait()
                    except queue.Empty:
                        return
                    found.update(part.run(tests))
                    print(f"{len(found)} of {len(names)}", flush=True)

            workers = [threading.Thread(target=work, args=(index,)) for index in range(options.processes)]
            for worker in workers:
                worker.start()
            for worker in workers:
                worker.join()
        finally:
            engine.stop()
    options.results.write_text("".join(f"{name}\t{outcome}\n" for name, outcome in sorted(found.items())))
    print(f"details: {log.with_suffix('.*.log')}")
    return 0 if found else 1


if __name__ == "__main__":
    sys.exit(main())
