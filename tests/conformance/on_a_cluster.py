"""The programs on three nodes, one of which is killed every few seconds.

    HELVE_BIN=... python on_a_cluster.py [--every SECONDS] [PYTEST ARGUMENT...]

A balancer of connections stands before the nodes, as it would for a team: a client whose node dies connects again, and finds
another one. Nodes are killed in turns, whoever leads, and started again at once. Afterwards it is said how often, and pytest's
exit code is this program's. Tests that kill an engine of their own start that themselves.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

from engines import free_port

HERE = Path(__file__).parent
BINARY = os.environ.get("HELVE_BIN") or sys.exit("error: HELVE_BIN is not set: it names the helve program under test")
READY_WITHIN = 60


class Node:
    def __init__(self, folder: Path):
        self.folder = folder
        self.port = free_port()
        self.process: asyncio.subprocess.Process | None = None
        self.log = (folder.parent / f"{folder.name}.log").open("ab")

    def prepare(self, *words: str) -> str:
        made = subprocess.run(
            [BINARY, "cluster", *words, "--listen", "127.0.0.1:0", "--data-dir", str(self.folder), "--json"],
            check=True, capture_output=True,
        )
        return json.loads(made.stdout)["ticket"]

    async def start(self) -> None:
        self.process = await asyncio.create_subprocess_exec(
            BINARY, "up", "--data-dir", str(self.folder), "--grpc", f"127.0.0.1:{self.port}", "--grpc-open", "--no-http",
            "--no-worker", stdin=subprocess.DEVNULL, stdout=self.log, stderr=asyncio.subprocess.PIPE, start_new_session=True,
        )
        ready = asyncio.Event()
        asyncio.get_running_loop().create_task(self._read(self.process, ready))
        await asyncio.wait_for(ready.wait(), READY_WITHIN)

    async def _read(self, process: asyncio.subprocess.Process, ready: asyncio.Event) -> None:
        while line := await process.stderr.readline():
            self.log.write(line)
            self.log.flush()
            if b"cluster  ready" in line:
                ready.set()

    async def kill(self) -> None:
        """Dies as in a power cut: no signal handler runs."""
        process, self.process = self.process, None
        process.kill()
        await process.wait()


class Balancer:
    """Takes each connection to a node that accepts it, another one each time."""

    def __init__(self, nodes: list[Node]):
        self.nodes = nodes
        self.turn = 0

    async def start(self) -> int:
        server = await asyncio.start_server(self.take, "127.0.0.1", 0)
        return server.sockets[0].getsockname()[1]

    async def take(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for _ in self.nodes:
            self.turn += 1
            node = self.nodes[self.turn % len(self.nodes)]
            with contextlib.suppress(OSError):
                far_reader, far_writer = await asyncio.open_connection("127.0.0.1", node.port)
                break
        else:
            writer.close()
            return
        await asyncio.gather(carry(reader, far_writer), carry(far_reader, writer))


async def carry(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while data := await reader.read(1 << 16):
            writer.write(data)
            await writer.drain()
    except OSError:
        pass
    finally:
        writer.close()


async def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--every", type=float, default=20.0, help="seconds from one kill to the next (20)")
    options, pytest_arguments = parser.parse_known_args()
    with tempfile.TemporaryDirectory(prefix="cluster-") as folder:
        nodes = [Node(Path(folder) / f"n{number}") for number in range(1, 4)]
        ticket = nodes[0].prepare("init", "--name", "n1")
        await nodes[0].start()
        for number, node in enumerate(nodes[1:], start=2):
            node.prepare("join", ticket, "--name", f"n{number}")
            await node.start()
        port = await Balancer(nodes).start()
        print(f"three nodes; clients come to 127.0.0.1:{port}; one is killed every {options.every:g} s", flush=True)
        judging = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "pytest", str(HERE), "--address", f"127.0.0.1:{port}", *pytest_arguments, cwd=HERE,
        )
        killed = 0
        try:
            while True:
                with contextlib.suppress(asyncio.TimeoutError):
                    code = await asyncio.wait_for(asyncio.shield(judging.wait()), options.every)
                    break
                node = nodes[killed % len(nodes)]
                await node.kill()
                killed += 1
                await node.start()
        finally:
            with contextlib.suppress(ProcessLookupError):
                judging.send_signal(signal.SIGINT)
            for node in nodes:
                if node.process:
                    await node.kill()
        print(f"{killed} nodes were killed meanwhile")
        if keep := os.environ.get("HELVE_KEEP_LOGS"):
            for node in nodes:
                Path(keep, f"{node.folder.name}.log").write_bytes(Path(node.log.name).read_bytes())
        return code


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
