"""A small registry to see rules on, and a store on each database."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from broadcast_core.model import Channel, CoilAddress, Endpoint, Point, Zone, ZoneLevel
from broadcast_core.registry import Registry
from broadcast_core.store import Store


def zone(code: str, parent: str | None, level: ZoneLevel, version: int = 1) -> Zone:
    return Zone(
        code=code, parent=parent, level=level, name_zh=f"{code}区", name_en=f"Zone {code}", membership_version=version
    )


def speaker(identifier: str, where: str, at: tuple[float, float] | None = None, **more: object) -> Endpoint:
    position = None if at is None else Point(lat=at[0], lon=at[1])
    return Endpoint(
        id=identifier, channel=Channel.SPEAKER, zone=where, name=f"喇叭 {identifier}", position=position, **more
    )


def phone(identifier: str, where: str, number: str, **more: object) -> Endpoint:
    return Endpoint(id=identifier, channel=Channel.SMS, zone=where, name=f"人 {identifier}", phone=number, **more)


def horn(identifier: str, where: str, coil: int, **more: object) -> Endpoint:
    address = CoilAddress(line="line-1", unit=1, coil=coil)
    return Endpoint(
        id=identifier, channel=Channel.HORN, zone=where, name=f"警报器 {identifier}", coil=address, **more
    )


ZONES = (
    zone("D", None, ZoneLevel.DISTRICT),
    zone("N", "D", ZoneLevel.SUBDISTRICT),
    zone("S", "D", ZoneLevel.SUBDISTRICT),
    zone("N1", "N", ZoneLevel.COMMUNITY),
    zone("N2", "N", ZoneLevel.COMMUNITY),
    zone("S1", "S", ZoneLevel.COMMUNITY),
)
ENDPOINTS = (
    speaker("SPK-1", "N1", (28.20, 112.90)),
    speaker("SPK-2", "N1", (28.20, 112.92)),
    speaker("SPK-3", "N2", (28.15, 112.90)),
    speaker("SPK-4", "S1", (28.00, 112.90)),
    horn("HRN-1", "N2", 0, position=Point(lat=28.15, lon=112.91)),
    phone("SMS-1", "N1", "+9990000000001", language="zh-CN"),
    phone("SMS-2", "S1", "+9990000000002", enabled=False),
)


@pytest.fixture
def small() -> Registry:
    return Registry(ZONES, ENDPOINTS)


@pytest.fixture(scope="session")
def postgresql() -> Iterator[str]:
    """The URL of a PostgreSQL server of our own, gone afterwards."""
    found = shutil.which("postgres") or next(iter(sorted(Path("/usr/lib/postgresql").glob("*/bin/postgres"))), None)
    if found is None:
        pytest.skip("PostgreSQL is not installed")
    programs = Path(found).resolve().parent
    user = "postgres" if os.geteuid() == 0 else None  # the server refuses to run as root
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    home = Path(tempfile.mkdtemp(prefix="tocsin-pg-"))
    try:
        if user:
            shutil.chown(home, user)
        data = home / "data"
        initdb = [programs / "initdb", "-D", data, "-U", "tocsin", "-A", "trust", "--no-sync"]
        subprocess.run(initdb, user=user, check=True, capture_output=True)
        options = f"-p {port} -c listen_addresses=127.0.0.1 -c unix_socket_directories= -c fsync=off"
        control = [programs / "pg_ctl", "-D", data, "-w"]
        log = home / "log"
        subprocess.run([*control, "-l", log, "-o", options, "start"], user=user, check=True, capture_output=True)
        try:
            yield f"postgresql+asyncpg://tocsin@127.0.0.1:{port}/postgres"
        finally:
            subprocess.run([*control, "-m", "immediate", "stop"], user=user, check=True, capture_output=True)
    finally:
        shutil.rmtree(home)


@pytest.fixture(params=["sqlite", "postgresql"])
async def store(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Store]:
    """An empty store on each database that is supported."""
    if request.param == "sqlite":
        url = f"sqlite+aiosqlite:///{tmp_path / 'tocsin.db'}"
    else:
        url = request.getfixturevalue("postgresql")
        await _emptied(url)
    async with Store(url) as opened:
        yield opened


async def _emptied(url: str) -> None:
    import asyncpg

    connection = await asyncpg.connect(url.replace("+asyncpg", ""))
    try:
        await connection.execute("DROP SCHEMA public CASCADE; CREATE SCHEMA public")
    finally:
        await connection.close()
