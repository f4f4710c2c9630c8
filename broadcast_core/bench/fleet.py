"""Processes of the bench: a fleet, and what processor time it takes."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

_TICKS_PER_S = 100  # USER_HZ, fixed on Linux


@asynccontextmanager
async def process(module: str, *arguments: str) -> AsyncIterator[int]:
    """A Python module as a process of its own, ready once it has printed its first line. Yields its id."""
    child = await asyncio.create_subprocess_exec(
        sys.executable, "-m", module, *arguments, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE
    )
    assert child.stdout is not None
    try:
        if not await child.stdout.readline():
            raise RuntimeError(f"{module} ended before it was ready")
        yield child.pid
    finally:
        if child.returncode is None:
            child.terminate()
        await child.wait()


def cpu_seconds(pid: int) -> float:
    """Processor time a process has used, its threads included."""
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS_PER_S


def resident_mb(pid: int) -> float:
    """Resident memory now."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) / 1024
    return 0.0


def median(values: Sequence[float]) -> float:
    ordered = sorted(values)
    middle = len(ordered) // 2
    return ordered[middle] if len(ordered) % 2 else (ordered[middle - 1] + ordered[middle]) / 2
