"""A plugin of pytest that writes down each test as it begins and as it ends, so that who dies leaves a trace.

The file is named by SUITE_DIARY; its lines are `at<TAB>TEST` and `passed|failed|skipped<TAB>TEST`.
"""

from __future__ import annotations

import os

import pytest

_outcome: dict[str, str] = {}


def _write(what: str, name: str) -> None:
    if diary := os.environ.get("SUITE_DIARY"):
        with open(diary, "a") as file:
            file.write(f"{what}\t{name}\n")


def pytest_runtest_logstart(nodeid: str) -> None:
    _outcome[nodeid] = "passed"
    _write("at", nodeid)


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    if report.failed or (report.skipped and _outcome.get(report.nodeid) != "failed"):
        _outcome[report.nodeid] = report.outcome


def pytest_runtest_logfinish(nodeid: str) -> None:
    _write(_outcome.pop(nodeid, "failed"), nodeid)
