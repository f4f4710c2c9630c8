"""The demo's stage: a fresh installation in a directory of its own, the core and the simulated field as processes."""

from __future__ import annotations

import asyncio
import os
import secrets
import socket
import sys
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

import aiohttp

from broadcast_core.config import Settings
from broadcast_core.keys import write_secret
from broadcast_core.provision import provision_from
from broadcast_core.registry import Registry, csv_file
from broadcast_core.registry.dataset import serial_lines

_START_S: Final = 60.0
_END_S: Final = 15.0

# The demo's account takes its whole list within seconds; a real one is slower and shaped to its contract.
_CONFIGURATION: Final = """\
# Written by `tocsin demo`: everything on loopback, everything simulated.
data_dir = "{root}/data"
language = "{language}"

[api]
port = {api}

[media]
port = {media}

[mqtt]
embedded = true
port = {mqtt}

[voice]
repeats = 1

[sms]
password_file = "{root}/sms-password"
rate_per_second = 1000.0
gateway.url = "http://127.0.0.1:{gateway}/cgi-bin/sendsms"
reports.port = {reports}

{lines}
"""

_LINE: Final = """\
[[serial.lines]]
name = "{name}"
port = "{root}/serial/{name}"
boards = [{boards}]
"""


class StageFailed(Exception):
    """A part of the demo did not come up; the text says which and what it said."""


def write_configuration(root: Path, language: str, horns: int) -> Path:
    """The settings of a demo under `root`, on free ports. Returns the file."""
    ports = [str(root / "serial" / name) for name in ("line-1", "line-2", "line-3")]
    lines = [
        _LINE.format(
            name=line.name,
            root=root,
            boards=", ".join(f"{{ unit = {board.unit}, coils = {board.coils} }}" for board in line.boards),
        )
        for line in (serial_lines(horns, ports) if horns else ())
    ]
    (root / "serial").mkdir(parents=True)
    write_secret(root / "sms-password", secrets.token_urlsafe(16).encode())
    api, media, mqtt, gateway, reports = free_ports(5)
    file = root / "tocsin.toml"
    file.write_text(
        _CONFIGURATION.format(
            root=root, language=language, api=api, media=media, mqtt=mqtt, gateway=gateway, reports=reports,
            lines="\n".join(lines),
        )
    )  # fmt: skip
    return file


def free_ports(count: int) -> list[int]:
    """Ports of loopback that nobody has now."""
    listeners = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    try:
        return [listener.getsockname()[1] for listener in listeners]
    finally:
        for listener in listeners:
            listener.close()


class Stage:
    """A running demo: where it is, and its API."""

    def __init__(self, root: Path, config: Path, registry: Registry) -> None:
        self.root = root
        self.config = config
        self.settings = Settings.load(config)
        self.registry = registry

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.settings.api.port}"

    @property
    def token_file(self) -> Path:
        return self.settings.secrets_dir / "api-token"

    @property
    def headers(self) -> dict[str, str]:
        """What the API wants to see."""
        return {"Authorization": f"Bearer {self.token_file.read_text().strip()}"}

    def words_of_the_core(self) -> str:
        """The end of the core's log."""
        return _tail(self.root / "core.log")

    @asynccontextmanager
    async def core(self) -> AsyncIterator[None]:
        """The core as a process, up."""
        command = ("broadcast_core", "serve", "--config", str(self.config), "--until-stdin-closes")
        async with _process("core", command, self.root / "core.log"):
            yield

    async def import_registry(self) -> None:
        """Give the core its zones and endpoints, through the API as anybody would."""
        headers = {**self.headers, "Content-Type": "text/csv"}
        body = csv_file.encode(self.registry, with_phones=True)
        async with (
            aiohttp.ClientSession(headers=headers) as session,
            session.post(f"{self.url}/api/v1/registry/import", data=body) as answer,
        ):
            if answer.status != 200:
                raise StageFailed(f"registry: {await answer.text()}")

    @asynccontextmanager
    async def field(
        self, *, record: Mapping[str, Path], faults: Path | None, report_spread_s: float | None = None
    ) -> AsyncIterator[None]:
        """The simulated field as a process, every speaker connected."""
        provision = self.root / "provision.json"
        write_secret(provision, await provision_from(self.settings))
        command = [
            "simulators", "--config", str(self.config), "--provision", str(provision), "--until-stdin-closes",
            "--log", str(self.root / "played.jsonl"),
        ]  # fmt: skip
        for endpoint_id, path in record.items():
            command += ["--record", f"{endpoint_id}={path}"]
        if faults is not None:
            command += ["--faults", str(faults)]
        if report_spread_s is not None:
            command += ["--report-spread-s", str(report_spread_s)]
        async with _process("simulators", command, self.root / "simulators.log"):
            yield


@asynccontextmanager
async def _process(name: str, command: Sequence[str], log: Path) -> AsyncIterator[None]:
    """One of our modules as a process, from its first line on standard output until the context is left.

    It ends by itself when its standard input closes, which happens however we end, SIGKILL included.
    """
    environment = os.environ | {"PYTHONUNBUFFERED": "1"}
    with log.open("wb") as errors:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-P", "-m", *command,
            stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, stderr=errors,
            env=environment, start_new_session=True,
        )  # fmt: skip
    assert process.stdout is not None
    try:
        try:
            async with asyncio.timeout(_START_S):
                up = await process.stdout.readline()
        except TimeoutError:
            up = b""
        if not up:
            raise StageFailed(f"{name} did not come up; {log}:\n{_tail(log)}")
        yield
    finally:
        if process.returncode is None:
            process.terminate()
            try:
                async with asyncio.timeout(_END_S):
                    await process.wait()
            except TimeoutError:
                process.kill()
                await process.wait()


def _tail(log: Path, lines: int = 15) -> str:
    return "\n".join(log.read_text(errors="replace").splitlines()[-lines:])
