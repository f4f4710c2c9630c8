"""The core as a process: what it leaves for others to see."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

import pytest

from broadcast_core.alone import AlreadyRunning, alone_on
from broadcast_core.cli.demo.stage import free_ports

_CONFIGURATION = """\
data_dir = "{root}/data"
[api]
port = {api}
[media]
port = {media}
[mqtt]
embedded = false
port = 9
[voice]
engine = "none"
[sms]
enabled = false
"""


async def test_nobody_else_can_read_what_it_writes_though_its_directory_is_open(tmp_path: Path) -> None:
    api, media = free_ports(2)
    (tmp_path / "tocsin.toml").write_text(_CONFIGURATION.format(root=tmp_path, api=api, media=media))
    data = tmp_path / "data"
    data.mkdir()
    data.chmod(0o755)
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "broadcast_core", "serve", "--config", str(tmp_path / "tocsin.toml"),
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL,
    )  # fmt: skip
    assert process.stdout is not None
    try:
        async with asyncio.timeout(60):
            assert await process.stdout.readline()
        files = [path for path in data.rglob("*") if path.is_file()]
    finally:
        process.terminate()
        await process.wait()
    assert data / "tocsin.db" in files  # endpoints' keys and phone numbers
    assert [path for path in files if path.exists() and path.stat().st_mode & 0o077] == []


def test_a_second_core_on_the_same_directory_does_not_start(tmp_path: Path) -> None:
    with alone_on(tmp_path), pytest.raises(AlreadyRunning, match=str(tmp_path)), alone_on(tmp_path):
        pass
    with alone_on(tmp_path):  # the first has ended
        pass
