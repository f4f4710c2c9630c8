"""All checks together, on an installation that was never started and on one that runs."""

from __future__ import annotations

import socket
from pathlib import Path
from typing import Any

from broadcast_core import app
from broadcast_core.clock import SystemClock
from broadcast_core.config import Listener, Mqtt, Settings, Sms
from broadcast_core.doctor import CHECKS, Finding, Grade, examine


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
        return port


def settings(tmp_path: Path, **more: Any) -> Settings:
    return Settings(
        data_dir=tmp_path / "data",
        api=Listener(port=free_port()),
        media=Listener(port=free_port()),
        sms=Sms(enabled=False),
        **more,
    )


async def examined(installation: Settings) -> dict[str, Finding]:
    found = {check.name: finding async for check, finding in examine(installation, SystemClock())}
    assert list(found) == [check.name for check in CHECKS]
    return found


def failures(found: dict[str, Finding]) -> dict[str, str]:
    return {name: str(finding.says) for name, finding in found.items() if finding.grade is Grade.FAIL}


async def test_before_the_first_start_the_embedded_broker_is_tried_and_nothing_is_left(tmp_path: Path) -> None:
    found = await examined(settings(tmp_path, mqtt=Mqtt(embedded=True, port=free_port())))
    assert failures(found) == {}
    assert found["storm"].grade is Grade.OK
    assert found["connections"].grade is Grade.OK
    assert found["core"].grade is Grade.SKIPPED
    assert list(tmp_path.iterdir()) == []


async def test_a_running_core_is_recognised_with_its_addresses_keys_and_database(
    tmp_path: Path, mosquitto: Any
) -> None:
    (place := tmp_path / "core").mkdir()
    installation = settings(place, mqtt=Mqtt(embedded=False, port=mosquitto.port))
    async with app.running(installation) as services:
        lines = services.dispatch.lines.values()
        assert lines
        found = await examined(installation)
    assert found["core"].grade in (Grade.OK, Grade.FAIL)  # ready as soon as the broker's link is up
    assert set(failures(found)) <= {"core"}
    assert "own" in str(found["ports"].says)
    assert found["keys"].grade is Grade.OK
    assert "registry is empty" in str(found["registry"].says)
