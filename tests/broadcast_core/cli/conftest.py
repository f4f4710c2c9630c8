"""A core as a process, its registry imported by the command line, and the command line as processes."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result
from typer.testing import CliRunner

from broadcast_core.cli import app
from broadcast_core.config import Settings
from broadcast_core.registry import csv_file
from broadcast_core.registry.dataset import generate

PATIENCE_S = 60.0


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
        return port


@dataclass
class Installation:
    """A core that can be ended and started again, and `tocsin` in front of it."""

    config: Path
    process: subprocess.Popen[str] | None = None

    def start(self) -> None:
        command = [sys.executable, "-m", "broadcast_core", "serve", "--config", str(self.config)]
        with (self.config.parent / "core.log").open("a") as log:
            self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log, text=True)
        assert self.process.stdout is not None
        assert self.process.stdout.readline(), (self.config.parent / "core.log").read_text()
        deadline = time.monotonic() + PATIENCE_S
        while not self._ready():
            assert time.monotonic() < deadline, (self.config.parent / "core.log").read_text()
            time.sleep(0.05)

    def _ready(self) -> bool:
        url = f"http://127.0.0.1:{Settings.load(self.config).api.port}/healthz"
        try:
            with urllib.request.urlopen(url, timeout=5) as answer:
                return bool(answer.status == 200)
        except OSError:  # 503 while the broker's links are not up
            return False

    def await_connections(self, wanted: int) -> None:
        """Until so many connections to the API are open, this one among them."""
        url = f"http://127.0.0.1:{Settings.load(self.config).api.port}/metrics"
        deadline = time.monotonic() + PATIENCE_S
        while True:
            with urllib.request.urlopen(url, timeout=5) as answer:
                found = re.search(r"^tocsin_api_connections (\S+)", answer.read().decode(), re.MULTILINE)
            if found is not None and float(found[1]) >= wanted:
                return
            assert time.monotonic() < deadline, f"{found} connections"
            time.sleep(0.05)

    def end(self) -> None:
        if self.process is not None:
            self.process.send_signal(signal.SIGTERM)
            self.process.wait(PATIENCE_S)
            assert self.process.stdout is not None
            self.process.stdout.close()
            self.process = None

    def command(self, *arguments: str) -> tuple[list[str], dict[str, str]]:
        environment = os.environ | {"TOCSIN_CONFIG": str(self.config), "TOCSIN_LANG": "en", "COLUMNS": "200"}
        return [sys.executable, "-m", "broadcast_core", *arguments], environment

    def run(self, *arguments: str, code: int = 0, given: str | None = None) -> Result:
        """The command in this process (starting one costs a second); what it printed, if it ended with `code`."""
        _command, environment = self.command()
        ended = CliRunner().invoke(app, list(arguments), input=given, env=environment)
        assert ended.exit_code == code, (ended.exit_code, ended.stdout, ended.stderr, ended.exception)
        return ended

    def json(self, *arguments: str, code: int = 0) -> Any:
        """The one JSON value of a command."""
        return json.loads(self.run(*arguments, "--json", code=code).stdout)


@pytest.fixture(scope="module")
def core(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    """A core with 14 speakers, none of them connected."""
    root = tmp_path_factory.mktemp("installation")
    config = root / "tocsin.toml"
    config.write_text(
        f'data_dir = "{root / "data"}"\n[api]\nport = {free_port()}\n[media]\nport = {free_port()}\n'
        f'[mqtt]\nport = {free_port()}\n[sms]\nenabled = false\n[voice]\nengine = "none"\n'
    )
    installation = Installation(config)
    installation.start()
    registry = root / "registry.csv"
    registry.write_bytes(
        csv_file.encode(generate(speakers=14, communities=14, horns=0, recipients=3), with_phones=True)
    )
    installation.run("registry", "import", str(registry))
    yield installation
    installation.end()


@pytest.fixture
def send(core: Installation) -> Iterator[Callable[..., str]]:
    """Send an alert to the whole district; its id. It is stopped at the end."""
    sent: list[str] = []

    def act(*more: str) -> str:
        words = ("--event", "暴雨", "--headline", "测试", "--channel", "speaker", "--area", "district")
        sent.append(core.json("alert", "send", *words, *more)["alert_id"])
        return sent[-1]

    yield act
    for alert_id in sent:
        CliRunner().invoke(app, ["alert", "stop", alert_id], env=core.command()[1])  # it may be over already
