"""A real mosquitto for every test that needs a broker, private to the test."""

from __future__ import annotations

import contextlib
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

# max_inflight, max_queued and nodelay: with mosquitto's defaults a thousand answers at once are lost in silence.
CONFIG = """\
listener {port} 127.0.0.1
allow_anonymous true
max_inflight_messages 0
max_queued_messages 0
max_connections -1
set_tcp_nodelay true
persistence false
log_type error
log_type warning
"""


class Mosquitto:
    """A broker process on a port of its own; `stop` and `kill` it, and `start` it again on the same port.

    `extra` is added to its configuration; ``{folder}`` in it is its folder.
    """

    def __init__(self, program: str, folder: Path, extra: str = "") -> None:
        self.host = "127.0.0.1"
        with socket.socket() as probe:
            probe.bind((self.host, 0))
            self.port: int = probe.getsockname()[1]
        self._command = [program, "-c", str(folder / "mosquitto.conf")]
        self._log = folder / "mosquitto.log"
        (folder / "mosquitto.conf").write_text(CONFIG.format(port=self.port) + extra.format(folder=folder))
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int | None:
        return None if self._process is None else self._process.pid

    def start(self) -> None:
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(self._command, stdout=log, stderr=log)
        deadline = time.monotonic() + 10
        while time.monotonic() < deadline and self._process.poll() is None:
            with contextlib.suppress(OSError), socket.create_connection((self.host, self.port), timeout=1):
                return
            time.sleep(0.02)
        raise RuntimeError(f"mosquitto did not start: {self._log.read_text()}")

    def stop(self) -> None:
        """Ask it to end."""
        if self._process is not None:
            self._process.terminate()
            self._process.wait(10)
            self._process = None

    def kill(self) -> None:
        """Power loss."""
        if self._process is not None:
            self._process.kill()
            self._process.wait(10)
            self._process = None


@pytest.fixture
def mosquitto(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Mosquitto]:
    """A broker, up. A parameter (indirect) is more configuration for it."""
    program = shutil.which("mosquitto", path="/usr/sbin:/usr/local/sbin:/usr/bin:/opt/homebrew/sbin")
    if program is None:
        pytest.fail("mosquitto is not installed; `make test` installs it (apt install mosquitto)")
    broker = Mosquitto(program, tmp_path, getattr(request, "param", ""))
    broker.start()
    yield broker
    broker.kill()
