from __future__ import annotations

import asyncio
import contextlib
import os
import sys
import time
import uuid
from pathlib import Path

import pytest

from broadcast_core.audio.child import ChildFailed, run


def python(source: str) -> tuple[str, ...]:
    return (sys.executable, "-c", source)


async def test_input_goes_in_and_output_comes_out() -> None:
    echo = python("import sys; sys.stdout.buffer.write(sys.stdin.buffer.read()[::-1])")
    assert await run(echo, b"abc" * 10**6, 20) == b"cba" * 10**6


async def test_the_child_runs_while_its_input_is_made(tmp_path: Path) -> None:
    began = tmp_path / "began"

    async def made() -> bytes:
        while not began.exists():
            await asyncio.sleep(0.01)
        return b"x"

    source = f"import pathlib, sys; pathlib.Path({str(began)!r}).touch(); sys.stdout.write(sys.stdin.read())"
    async with asyncio.timeout(20):
        assert await run(python(source), made, 20) == b"x"


async def test_a_child_that_hangs_is_killed_and_gone(tmp_path: Path) -> None:
    written = tmp_path / "pid"
    source = f"import os, pathlib, time; pathlib.Path({str(written)!r}).write_text(str(os.getpid())); time.sleep(999)"
    began = time.monotonic()
    with pytest.raises(ChildFailed, match="no answer within"):
        await run(python(source), b"", 1.0)
    assert time.monotonic() - began < 30
    with pytest.raises(ProcessLookupError):
        os.kill(int(written.read_text()), 0)


async def test_a_child_whose_input_fails_is_killed_and_the_failure_comes_out() -> None:
    async def failing() -> bytes:
        raise LookupError("no input")

    with pytest.raises(LookupError, match="no input"):
        await run(python("import sys; sys.stdin.read()"), failing, 20)


@pytest.mark.parametrize(
    ("source", "code", "said"),
    [
        ("import sys; sys.stderr.write('because'); sys.exit(65)", 65, "because"),
        ("import os, signal; os.kill(os.getpid(), signal.SIGKILL)", -9, ""),
        ("raise RuntimeError('inside')", 1, "inside"),
        ("import sys; sys.stderr.write('x' * 10**6 + 'the end'); sys.exit(3)", 3, "the end"),
    ],
)
async def test_a_child_that_fails_says_how(source: str, code: int, said: str) -> None:
    with pytest.raises(ChildFailed) as failed:
        await run(python(source), b"input that nobody reads" * 10**5, 20)
    assert failed.value.code == code
    assert failed.value.said.endswith(said)
    assert len(failed.value.said) <= 500


async def test_a_program_that_does_not_exist_fails_the_same_way() -> None:
    with pytest.raises(ChildFailed, match="No such file"):
        await run(("/nonexistent/program",), b"", 5)


def running(marker: str) -> list[int]:
    """Processes (zombies have no command line) that were started with `marker` as an argument."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if marker.encode() in (folder / "cmdline").read_bytes().split(b"\0"):
                found.append(int(folder.name))
    return found


@pytest.mark.parametrize("turns", [0, 1, 2, 3])
async def test_a_caller_that_goes_away_leaves_no_process_behind(turns: int) -> None:
    marker = f"marker-{uuid.uuid4()}"
    task = asyncio.create_task(run((*python("import time; time.sleep(999)"), marker), b"", 999))
    for _turn in range(turns):
        await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    async with asyncio.timeout(20):
        while running(marker):
            await asyncio.sleep(0.01)


async def test_more_children_hang_than_there_are_threads_and_all_are_ended() -> None:
    marker = f"marker-{uuid.uuid4()}"
    hanging = (run((*python("import time; time.sleep(999)"), marker), b"", 3.0) for _ in range(40))
    ended = await asyncio.gather(*hanging, return_exceptions=True)
    assert all(isinstance(one, ChildFailed) for one in ended)
    assert running(marker) == []
