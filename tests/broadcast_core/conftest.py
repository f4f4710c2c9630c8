"""A store on every backend we promise: SQLite and PostgreSQL, both real."""

from __future__ import annotations

import os
import pwd
import shutil
import socket
import subprocess
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from broadcast_core.store import Store


def _server_tool(name: str) -> str:
    found = sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{name}"))
    if not found:
        pytest.fail("PostgreSQL is not installed; `make test` installs it (apt install postgresql)")
    return str(found[-1])


@pytest.fixture(scope="session")
def postgresql() -> Iterator[str]:
    """A private cluster on loopback; its URL without the database. PostgreSQL refuses to run as root."""
    as_user = ["runuser", "-u", "postgres", "--"] if os.geteuid() == 0 else []
    with tempfile.TemporaryDirectory(prefix="tocsin-pg-") as directory:
        if as_user:
            user = pwd.getpwnam("postgres")
            os.chown(directory, user.pw_uid, user.pw_gid)
        with socket.socket() as listener:
            listener.bind(("127.0.0.1", 0))
            port = listener.getsockname()[1]
        data = f"{directory}/data"
        subprocess.run(
            [*as_user, _server_tool("initdb"), "-D", data, "-U", "tocsin", "--auth=trust", "-E", "UTF8", "--no-sync"],
            check=True, capture_output=True, cwd=directory,
        )  # fmt: skip
        options = f"-h 127.0.0.1 -p {port} -k {directory} -F"
        control = [*as_user, _server_tool("pg_ctl"), "-D", data, "-w", "-l", f"{directory}/log"]
        subprocess.run([*control, "-o", options, "start"], check=True, capture_output=True, cwd=directory)
        try:
            yield f"postgresql+asyncpg://tocsin@127.0.0.1:{port}"
        finally:
            subprocess.run([*control, "-m", "immediate", "stop"], check=True, capture_output=True, cwd=directory)
            shutil.rmtree(data, ignore_errors=True)


@pytest.fixture(params=["sqlite", "postgresql"])
async def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """An empty database."""
    if request.param == "sqlite":
        return f"sqlite+aiosqlite:///{tmp_path / 'tocsin.db'}"
    cluster: str = request.getfixturevalue("postgresql")
    name = f"t{abs(hash(str(tmp_path)))}"
    await _create_database(cluster, name)
    return f"{cluster}/{name}"


@pytest.fixture
async def store(database_url: str) -> AsyncIterator[Store]:
    """An empty, migrated store."""
    async with Store(database_url) as opened:
        yield opened


async def _create_database(cluster: str, name: str) -> None:
    import asyncpg

    connection = await asyncpg.connect(cluster.replace("+asyncpg", "") + "/postgres")
    try:
        await connection.execute(f'CREATE DATABASE "{name}"')
    finally:
        await connection.close()
