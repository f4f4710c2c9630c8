"""The disk full, the power gone: what was accepted is kept, the rest is refused, and nothing falls silent.

strace stands between the core and its disk; it needs no rights over processes that are ours.
"""

from __future__ import annotations

import asyncio
import re
import shutil
import sqlite3
import subprocess
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, closing
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from random import Random
from typing import Any

import aiohttp
import pytest

pytestmark = pytest.mark.slow

_WRITES = "write,pwrite64,fsync,fdatasync,fallocate"
# Every table in which an accepted alert leaves a row.
_TRACES = ("alert", "delivery", "chain", "idempotency", "audit")


async def test_on_a_full_disk_an_alert_is_refused_a_running_one_goes_on_and_a_stop_works(new_site: Any) -> None:
    site = await new_site(speakers=60, engine="espeak")
    running = await site.send(long=True)
    await site.eventually(lambda: len(site.sounding()) == len(site.speakers), 20, "all sound")
    refused = site.alert(identifier="refused")
    async with _full_disk(site):
        for _ in range(2):
            status, problem = await site.submit(refused, key="the-same")
            assert (status, problem["reason"]) == (503, "storage_failed")
        assert len(site.sounding()) == len(site.speakers)
        asked = time.monotonic()
        await site.stop(running)
        await site.eventually(lambda: not site.sounding(), 10, "silence")
        assert max(site.fleet.played(s)[-1].ended for s in site.speakers) - asked <= 3
        assert await site.metric("tocsin_alerts_refused_total", reason="storage_failed") == 2
    # The disk has room again, and nobody restarts anything.
    assert len(await site.eventually(site.audited, 30, "the stop is recorded")) == 1
    status, accepted = await site.submit(refused, key="the-same")
    assert status == 201, accepted
    await site.eventually(lambda: all(site.stretches(accepted["alert_id"]).values()), 10, "all sound the new one")
    evidence = await site.silence(running, within_s=40)
    assert evidence["unproven"] == []
    assert all(p.began < asked for played in site.stretches(running).values() for p in played)


@dataclass(frozen=True, kw_only=True)
class _Cut:
    """When the power goes: at the nth call of `call` that the submission makes, or else right after its answer.

    Of what was written and not synced, each sector is on the disk with the chance `kept`.
    """

    call: str = ""
    nth: int = 0
    kept: float = 0.0


_CUTS = (
    _Cut(),
    _Cut(call="pwrite64", nth=12, kept=0.5),
    _Cut(call="fdatasync", nth=1, kept=0.5),
    _Cut(call="fdatasync", nth=1, kept=1.0),
)


async def test_after_a_power_cut_what_was_answered_is_there_and_the_rest_is_whole_or_absent(
    new_site: Any, tmp_path: Path
) -> None:
    site = await new_site(speakers=20)
    for speaker in site.speakers:  # nothing but the submissions writes while they are away
        site.fleet.disconnect(speaker)
    alerts = []
    for number, cut in enumerate(_CUTS):
        identifier = f"cut-{number}"
        message = site.alert(identifier=identifier)
        answer = await _submit_until_the_cut(site, message, identifier, cut, tmp_path / f"{identifier}.trace")
        assert (answer is None) == bool(cut.call), cut
        await site.core.start()
        there = _rows(site.database, identifier)
        assert there in ((0,) * len(_TRACES), (1, len(site.speakers), 1, 1, 1)), cut
        status, again = await site.submit(message, key=identifier)
        assert status == (200 if there[0] else 201), cut
        if answer is not None:
            assert there[0], cut
            assert again["alert_id"] == answer["alert_id"], cut
        assert _rows(site.database, identifier) == (1, len(site.speakers), 1, 1, 1), cut
        alerts.append(again["alert_id"])
    for speaker in site.speakers:
        site.fleet.reconnect(speaker)
    for alert in alerts:
        await site.finished(alert, within_s=90)
    assert {p.alert for s in site.speakers for p in site.fleet.played(s)} == set(alerts)


async def _submit_until_the_cut(site: Any, message: bytes, key: str, cut: _Cut, trace: Path) -> dict[str, Any] | None:
    """What was answered before the power went, if anything was. The disk is left as the cut left it."""
    disk = _Disk(site.database)
    arguments = ["-y", "-xx", "-s", "65536", "-o", str(trace), "-e", "trace=pwrite64,ftruncate,fsync,fdatasync"]
    if cut.call:
        arguments += ["-e", f"inject={cut.call}:signal=SIGKILL:when={cut.nth}"]
    answer = None
    async with _traced(site.core.pid, *arguments) as strace:
        try:
            status, answer = await site.submit(message, key=key)
            assert status == 201, answer
        except aiohttp.ClientError:
            assert cut.call
        if cut.call:
            async with asyncio.timeout(20):
                await site.core.died()
        else:
            await site.core.kill()
        await strace.wait()
    disk.lose(trace, cut.kept, Random(key))
    return answer


def _rows(database: Path, identifier: str) -> tuple[int, ...]:
    """How many rows an alert has in each table of `_TRACES`."""
    with closing(sqlite3.connect(database)) as connection:
        found = connection.execute("SELECT alert_id FROM alert WHERE identifier = ?", (identifier,)).fetchall()
        assert len(found) <= 1
        alert = found[0][0] if found else ""
        return tuple(
            connection.execute(query, (value,)).fetchone()[0]
            for query, value in (
                ("SELECT count(*) FROM alert WHERE identifier = ?", identifier),
                ("SELECT count(*) FROM delivery WHERE alert_id = ?", alert),
                ("SELECT count(*) FROM chain WHERE alert_id = ?", alert),
                ("SELECT count(*) FROM idempotency WHERE key = ?", identifier),
                ("SELECT count(*) FROM audit WHERE json_extract(detail, '$.identifier') = ?", identifier),
            )
        )


class _Disk:
    """The database's files as they are on the disk: what was written later and not synced is lost with the power."""

    def __init__(self, database: Path) -> None:
        """As of now; nothing is being written."""
        self._files = (database, Path(f"{database}-wal"))
        self._shared_memory = Path(f"{database}-shm")
        self._durable = {str(f): bytearray(f.read_bytes() if f.exists() else b"") for f in self._files}
        self._cached: dict[str, list[tuple[int, bytes]]] = {name: [] for name in self._durable}

    def lose(self, trace: Path, kept: float, random: Random) -> None:
        """Put the files where the calls of a trace and the loss of power after them leave them."""
        for call, file, rest in _calls(trace.read_text()):
            if file not in self._durable:
                continue
            if call == "pwrite64":
                data, offset = _DATA.findall(rest)[0]
                self._cached[file].append((int(offset), bytes.fromhex(data.replace("\\x", ""))))
            elif call == "ftruncate":
                pytest.fail(f"not emulated: {call} of {file}")
            else:
                self._sync(file)
        for file in self._durable:
            sectors = [s for write in self._cached[file] for s in _sectors(*write) if random.random() < kept]
            self._cached[file] = sectors
            self._sync(file)
            Path(file).write_bytes(self._durable[file])
        self._shared_memory.unlink(missing_ok=True)

    def _sync(self, file: str) -> None:
        durable = self._durable[file]
        for offset, data in self._cached[file]:
            durable.extend(bytes(max(0, offset - len(durable))))
            durable[offset : offset + len(data)] = data
        self._cached[file].clear()


_CALL = re.compile(r"^(\d+) +(\w+)\(\d+<([^>]*)>(.*)$")
_RESUMED = re.compile(r"^(\d+) +<\.\.\. \w+ resumed>(.*)$")
_DATA = re.compile(r'"([^"]*)", \d+, (\d+)')
_SECTOR = 512


def _calls(trace: str) -> Iterator[tuple[str, str, str]]:
    """The calls that have returned, in the order in which they did: name, file, the other arguments."""
    unfinished: dict[str, tuple[str, str, str]] = {}
    for line in trace.splitlines():
        if resumed := _RESUMED.match(line):
            call, file, rest = unfinished.pop(resumed[1])
            ended = resumed[2]
        elif called := _CALL.match(line):
            call, file, rest = called[2], _plain(called[3]), called[4]
            ended = rest
            if rest.endswith("<unfinished ...>"):
                unfinished[called[1]] = call, file, rest
                continue
        else:
            continue
        if not re.search(r"= \d+$", ended):
            assert ended.endswith("= ?"), f"a call failed: {line[-200:]}"
        else:
            yield call, file, rest


def _plain(text: str) -> str:
    """A file name that strace has written in hexadecimal."""
    return bytes.fromhex(text.replace("\\x", "")).decode() if text.startswith("\\x") else text


def _sectors(offset: int, data: bytes) -> list[tuple[int, bytes]]:
    """A write in pieces that a disk writes whole."""
    first = _SECTOR - offset % _SECTOR
    cuts = [0, *range(first, len(data), _SECTOR), len(data)]
    return [(offset + begin, data[begin:end]) for begin, end in pairwise(cuts)]


@asynccontextmanager
async def _full_disk(site: Any) -> AsyncIterator[None]:
    """Nothing more can be written to the database and the journal."""
    data = site.stage.settings.data_dir
    files = [site.database, Path(f"{site.database}-wal"), data / "stops.journal"]
    paths = [word for file in files for word in ("-P", str(file))]
    inject = f"inject={_WRITES}:error=ENOSPC"
    async with _traced(site.core.pid, *paths, "-e", f"trace={_WRITES}", "-e", inject, "-o", "/dev/null"):
        yield


@asynccontextmanager
async def _traced(pid: int, *arguments: str) -> AsyncIterator[asyncio.subprocess.Process]:
    """strace on all threads of a process, for as long as the context is held; it must not be a child of ours."""
    program = shutil.which("strace")
    if program is None:
        pytest.fail("strace is not installed; `make test` installs it (apt install strace)")
    strace = await asyncio.create_subprocess_exec(
        program, "-f", *arguments, "-p", str(pid), stdin=subprocess.DEVNULL, stderr=subprocess.PIPE
    )
    assert strace.stderr is not None
    try:
        said = ""
        async with asyncio.timeout(20):
            while "attached" not in said:
                line = await strace.stderr.readline()
                if not line:
                    pytest.fail(f"strace cannot trace the core: {said}")
                said += line.decode()
        yield strace
    finally:
        if strace.returncode is None:
            strace.terminate()  # it detaches
        await strace.communicate()
