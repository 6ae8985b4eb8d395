"""Runs the `temporal` command line against the engine under test."""

from __future__ import annotations

import asyncio
import json
from typing import Any

from engines import temporal_binary
from support import Env


class Refused(Exception):
    """What a command complained about."""


async def cli(env: Env, *words: str, as_json: bool = True) -> Any:
    """Runs one command; its output, or an error with what it complained about."""
    output = ["-o", "json"] if as_json else []
    process = await asyncio.create_subprocess_exec(
        temporal_binary(), *words, "--address", env.address, "--color", "never", *output,
        stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )
    out, err = await process.communicate()
    if process.returncode:
        raise Refused(err.decode() + out.decode())
    if not as_json:
        return out.decode()
    return json.loads(out) if out.strip() else None
