"""Running a program of ours for one piece of work: input on its stdin, the result on its stdout, killed when late.

What may hang, crash, eat memory or bring another licence (the synthesiser, ffmpeg) runs in such a child, so that it
takes neither the event loop nor the core with it.
"""

from __future__ import annotations

import asyncio
import contextlib
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Final

_SAID: Final = 500  # bytes of the child's last words that are kept


@dataclass(eq=False)
class ChildFailed(Exception):
    """The child gave no result. `code` is its exit code (negative: a signal), None when it was late or never ran."""

    code: int | None
    said: str  # the end of its stderr, or what we have to say

    def __str__(self) -> str:
        return self.said if self.code is None else f"exit {self.code}: {self.said}"


def module_command(module: str, *args: str) -> tuple[str, ...]:
    """The command line that runs one of our modules with this interpreter."""
    return (sys.executable, "-W", "ignore", "-m", module, *args)


async def run(command: Sequence[str], data: bytes | Callable[[], Awaitable[bytes]], timeout: float) -> bytes:
    """What `command` writes to stdout when given `data`. Raises ChildFailed; leaves no process behind.

    `data` may still have to be made: the child is started first and gets it when it is there. What making it raises
    comes out of here too.
    """
    process = await _started(command)
    try:
        async with asyncio.timeout(timeout):
            out, err = await process.communicate(data if isinstance(data, bytes) else await data())
    except TimeoutError:
        raise ChildFailed(None, f"no answer within {timeout:g} s") from None
    finally:
        await _ended(process)
    if process.returncode:
        raise ChildFailed(process.returncode, err[-_SAID:].decode("utf-8", "replace").strip())
    return out


async def _started(command: Sequence[str]) -> Process:
    try:
        return await asyncio.create_subprocess_exec(*command, stdin=PIPE, stdout=PIPE, stderr=PIPE)
    except OSError as error:
        raise ChildFailed(None, str(error)) from error


async def _ended(process: Process) -> None:
    """Kill the child if it still runs, and reap it."""
    if process.returncode is None:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await asyncio.shield(process.wait())
