"""Starts one engine for the whole run and gives every test its own task queue on it."""

from __future__ import annotations

import tempfile
from pathlib import Path

import pytest
import pytest_asyncio

from engines import Engine, connect
from support import Env


def pytest_addoption(parser):
    group = parser.getgroup("conformance")
    group.addoption("--engine", choices=["helve", "temporal"], default="helve", help="which server to start")
    group.addoption("--address", default=None, help="use the server at this address and start none")
    group.addoption("--record", action="store_true", help="write the histories of `recorded.py` anew")
    group.addoption("--results", default=None, help="write the outcome of each test to this file, one per line")


def _is_controller(config) -> bool:
    return not hasattr(config, "workerinput")


def pytest_configure(config):
    config.helve_engine = None
    if not _is_controller(config) or config.option.collectonly:
        return
    if config.option.address:
        config.helve_address = config.option.address
        return
    config.helve_folder = tempfile.TemporaryDirectory(prefix="conformance-")
    config.helve_engine = Engine(config.option.engine, Path(config.helve_folder.name) / "shared", durable=False)
    try:
        config.helve_engine.start()
    except RuntimeError as error:
        pytest.exit(str(error), returncode=3)
    config.helve_address = config.helve_engine.address


def pytest_configure_node(node):
    node.workerinput["address"] = node.config.helve_address


def pytest_unconfigure(config):
    if config.helve_engine:
        config.helve_engine.stop()
        config.helve_folder.cleanup()


def pytest_report_header(config):
    return f"engine: {config.option.engine} at {getattr(config, 'helve_address', 'none')}"


def write_results(reporter, path: str) -> None:
    worst: dict[str, str] = {}
    for outcome in ("skipped", "passed", "failed", "error"):
        for report in reporter.stats.get(outcome, []):
            worst[getattr(report, "nodeid", str(report))] = outcome
    Path(path).write_text("".join(f"{name}\t{outcome}\n" for name, outcome in sorted(worst.items())))


@pytest.hookimpl(wrapper=True)
def pytest_terminal_summary(terminalreporter, config):
    yield
    if config.option.results:
        write_results(terminalreporter, config.option.results)
    engine = config.helve_engine
    if engine and terminalreporter.stats.get("failed") and engine.log.exists():
        terminalreporter.section("the engine's last words")
        terminalreporter.write_line(engine.tail())


@pytest.fixture(scope="session")
def engine_kind(request) -> str:
    return request.config.option.engine


@pytest.fixture(scope="session")
def address(request) -> str:
    config = request.config
    return config.helve_address if _is_controller(config) else config.workerinput["address"]


@pytest_asyncio.fixture(scope="session")
async def client(address):
    return await connect(address)


@pytest.fixture
def env(client, address, engine_kind, request) -> Env:
    return Env(client=client, address=address, engine=engine_kind, name=request.node.name)


@pytest.fixture
def own_engine(engine_kind, tmp_path):
    """An engine that only this test uses: it may be killed."""
    engine = Engine(engine_kind, tmp_path / "engine")
    engine.start()
    yield engine
    engine.stop()
