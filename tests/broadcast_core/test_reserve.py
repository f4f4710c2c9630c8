"""Room on the disk that belongs to alerts: the rules, and a file system that is really full."""

from __future__ import annotations

import asyncio
import os
import shutil
import subprocess
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from sqlalchemy import insert, select
from sqlalchemy.ext.asyncio import AsyncConnection

from broadcast_core.audio.media import MediaStore
from broadcast_core.config import Space
from broadcast_core.errors import Rejected, RejectReason, StorageFailed
from broadcast_core.journal import Journal
from broadcast_core.model import Domain, Stop
from broadcast_core.reserve import MB, Reserve
from broadcast_core.store import Store
from broadcast_core.store.schema import fact

NOW = datetime(2026, 11, 23, 8, tzinfo=UTC)
STOP = Stop(alert_id="A", revision=1, domain=Domain.LIVE, acted_at=NOW, expires=NOW, actor="li", cause="stop")


class Disk:
    """A disk of which only the free space is known."""

    def __init__(self, free: int) -> None:
        self.free = free

    def __call__(self, _folder: Path) -> int:
        return self.free


def test_what_is_not_an_alert_has_to_leave_the_reserve(tmp_path: Path) -> None:
    disk = Disk(130 * MB)
    reserve = Reserve(tmp_path, Space(reserve_mb=100, ballast_mb=0), free=disk)
    reserve.admit(30 * MB)
    with pytest.raises(Rejected) as refused:
        reserve.admit(30 * MB + 1)
    assert refused.value.reason is RejectReason.STORAGE_RESERVED
    assert not reserve.room().reserved
    disk.free = 99 * MB
    assert reserve.room().reserved
    with pytest.raises(Rejected):
        reserve.admit(0)


def test_the_ballast_takes_real_room_goes_when_the_disk_is_full_and_comes_back(tmp_path: Path) -> None:
    disk = Disk(200 * MB)
    reserve = Reserve(tmp_path, Space(reserve_mb=100, ballast_mb=2), free=disk)
    reserve.look()
    (ballast,) = tmp_path.iterdir()
    assert ballast.stat().st_blocks * 512 >= 2 * MB
    assert reserve.room().ballast
    disk.free = 7 * MB
    reserve.look()
    assert list(tmp_path.iterdir()) == []
    assert not reserve.room().ballast
    assert not reserve.let_go(), "there is nothing left to give"
    disk.free = 101 * MB
    reserve.look()
    assert not reserve.room().ballast, "there is no room for it and the reserve"
    disk.free = 102 * MB
    reserve.look()
    assert reserve.room().ballast


async def test_it_is_looked_after_while_the_core_runs(tmp_path: Path) -> None:
    disk = Disk(200 * MB)
    async with Reserve(tmp_path, Space(ballast_mb=1, reserve_mb=1), free=disk, look_every_s=0.01) as reserve:
        assert reserve.room().ballast
        disk.free = 0
        async with asyncio.timeout(30):
            while reserve.room().ballast:
                await asyncio.sleep(0.01)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 24 MiB of its own."""
    if os.geteuid() != 0 or shutil.which("mount") is None:
        pytest.skip("only root can mount a small file system")
    place = tmp_path / "disk"
    place.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=24m", "tmpfs", str(place)], capture_output=True, text=True
    )
    if mounted.returncode != 0:
        pytest.skip(f"no file system can be mounted here: {mounted.stderr.strip()}")
    yield place
    subprocess.run(["umount", str(place)], check=True)


def fill(folder: Path) -> Path:
    """Take every byte that is left."""
    path = folder / "somebody-elses.log"
    with path.open("ab", buffering=0) as file:
        for size in (64 * 1024, 1024, 1):
            try:
                while file.write(bytes(size)):
                    pass
            except OSError:
                continue
    return path


async def put(connection: AsyncConnection, name: str) -> str:
    await connection.execute(insert(fact).values(name=name, value="x" * 100_000))
    return name


async def too_much(connection: AsyncConnection) -> None:
    for n in range(200):
        await put(connection, f"more {n}")


async def names(store: Store) -> set[str]:
    async with store.read() as connection:
        return set((await connection.execute(select(fact.c.name))).scalars())


async def test_on_a_full_disk_the_ballast_goes_to_what_has_to_be_written(small_disk: Path) -> None:
    space = Space(reserve_mb=1, ballast_mb=10)
    # It looks only when it is told: what is shown here is what a write that finds no room does.
    url = f"sqlite+aiosqlite:///{small_disk / 'tocsin.db'}"
    async with Reserve(small_disk, space, look_every_s=3600) as reserve, Store(url, on_full=reserve.let_go) as store:
        await store.write(lambda c: put(c, "before"))
        filled = fill(small_disk)
        assert reserve.room().ballast
        assert await asyncio.gather(*(store.write(lambda c, n=n: put(c, f"full {n}")) for n in range(5))) == [
            f"full {n}" for n in range(5)
        ]
        assert not reserve.room().ballast
        assert await names(store) == {"before", *(f"full {n}" for n in range(5))}

        fill(small_disk)
        with pytest.raises(StorageFailed):
            await store.write(too_much)
        assert "more 0" not in await names(store)
        filled.unlink()
        await store.write(lambda c: put(c, "after"))
        reserve.look()
        assert reserve.room().ballast


async def test_on_a_full_disk_a_stop_is_journaled_and_an_announcement_stored(small_disk: Path) -> None:
    async with Reserve(small_disk, Space(reserve_mb=0, ballast_mb=4), look_every_s=3600) as reserve:
        media = MediaStore(small_disk / "media", on_full=reserve.let_go)
        journal = Journal(small_disk / "stops.journal", on_full=reserve.let_go)
        filled = fill(small_disk)
        journal.append(STOP)
        assert journal.pending() == [STOP]
        assert not reserve.room().ballast

        filled.unlink()
        reserve.look()
        fill(small_disk)
        file = media.put(bytes(1_000_000), "audio/mpeg")
        assert file.path.stat().st_size == 1_000_000
        assert not reserve.room().ballast
