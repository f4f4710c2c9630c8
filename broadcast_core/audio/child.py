"""Running a program of ours for one piece of work: input on its stdin, the result on its stdout, killed when late.

What may hang, crash, eat memory or bring another licence (the synthesiser, ffmpeg) runs in such a child, so that it
takes neither the event loop nor the core with it. Starting one and talking to it happen in threads: asyncio's own
subprocesses are started in the loop, which stood still for up to 25 ms on two busy cores.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import sys
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from pathlib import Path
from subprocess import PIPE, Popen
from typing import IO, Final

Process = Popen[bytes]

_SAID: Final = 500  # bytes of the child's last words that are kept
_THREADS: Final = ThreadPoolExecutor(32, thread_name_prefix="child")


@dataclass(eq=False)
class ChildFailed(Exception):
    """The child gave no result. `code` is its exit code (negative: a signal), None when it was late or never ran."""

    code: int | None
    said: str  # the end of its stderr, or what we have to say

    def __str__(self) -> str:
        return self.said if self.code is None else f"exit {self.code}: {self.said}"


def module_command(module: str, *args: str) -> tuple[str, ...]:
    """The command line that runs one of our modules with this interpreter.

    -P: whatever lies in the current folder (a `templates`, a `wave.py`) must not be imported instead of ours.
    """
    return (sys.executable, "-P", "-W", "ignore", "-m", module, *args)


async def run(command: Sequence[str], data: bytes | Callable[[], Awaitable[bytes]], timeout: float) -> bytes:
    """What `command` writes to stdout when given `data`. Raises ChildFailed; leaves no process behind.

    `data` may still have to be made: the child is started first and gets it when it is there. What making it raises
    comes out of here too.
    """
    process = await _started(command)
    talk: Future[tuple[bytes, bytes]] | None = None
    try:
        async with asyncio.timeout(timeout):
            given = data if isinstance(data, bytes) else await data()
            talk = _THREADS.submit(process.communicate, given)
            out, err = await asyncio.wrap_future(talk)
    except TimeoutError:
        raise ChildFailed(None, f"no answer within {timeout:g} s") from None
    finally:
        _kill(process)
        await asyncio.shield(asyncio.wrap_future(_THREADS.submit(_end, process, talk)))
    if process.returncode:
        raise ChildFailed(process.returncode, _words(err))
    return out


class FirstFailed(ChildFailed):
    """Of two chained children the first one failed."""


async def run_chain(first: Sequence[str], second: Sequence[str], source: Path, timeout: float) -> bytes:
    """What `second` makes of what `first` makes of the file `source`; between the two it does not pass through us.

    Raises FirstFailed or ChildFailed, whichever of the two it was; leaves no process behind. What `second` made of
    the output of a `first` that then failed is not looked at.
    """
    processes: list[Process] = []
    talks: list[Future[tuple[bytes, bytes]]] = []
    try:
        async with asyncio.timeout(timeout):
            with source.open("rb") as file:
                processes.append(await _started(first, stdin=file))
            feed = processes[0].stdout
            assert feed is not None
            processes.append(await _started(second, stdin=feed))
            feed.close()  # the second one's alone: if it dies, the first one learns of it
            processes[0].stdout = None
            talks += [_THREADS.submit(process.communicate) for process in processes]
            _out, first_err = await asyncio.wrap_future(talks[0])
            if processes[0].returncode and processes[1].poll() in (None, 0):
                raise FirstFailed(processes[0].returncode, _words(first_err))
            out, second_err = await asyncio.wrap_future(talks[1])
    except TimeoutError:
        raise ChildFailed(None, f"no answer within {timeout:g} s") from None
    finally:
        for process in processes:
            _kill(process)
        for process, talk in itertools.zip_longest(processes, talks):
            await asyncio.shield(asyncio.wrap_future(_THREADS.submit(_end, process, talk)))
    if processes[1].returncode:
        raise ChildFailed(processes[1].returncode, _words(second_err))
    return out


def _words(err: bytes) -> str:
    return err[-_SAID:].decode("utf-8", "replace").strip()


async def _started(command: Sequence[str], stdin: int | IO[bytes] = PIPE) -> Process:
    starting = _THREADS.submit(Popen, command, stdin=stdin, stdout=PIPE, stderr=PIPE)
    try:
        return await asyncio.shield(asyncio.wrap_future(starting))
    except OSError as error:
        raise ChildFailed(None, str(error)) from error
    except asyncio.CancelledError:
        starting.add_done_callback(_abandon)
        raise


def _abandon(starting: Future[Process]) -> None:
    """End a child whose caller went away while it was being started."""
    if starting.exception() is None:
        _kill(starting.result())
        _THREADS.submit(_end, starting.result(), None)


def _kill(process: Process) -> None:
    """Only signals; does nothing to a child that has ended."""
    with contextlib.suppress(ProcessLookupError):
        process.kill()


def _end(process: Process, talk: Future[tuple[bytes, bytes]] | None) -> None:
    """Reap a child that has ended or was killed, once nobody reads its pipes any more."""
    if talk is not None:
        wait([talk])
    with process:
        pass
