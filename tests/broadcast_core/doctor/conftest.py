"""Scenes on real brokers, ptys and files."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from broadcast_core.clock import SystemClock
from broadcast_core.config import Listener, Mqtt, Settings, Sms
from broadcast_core.doctor.scene import Core, Scene
from broadcast_core.registry import Registry
from drivers.ip_speaker.access import Access

SetTheScene = Callable[..., Scene]


@pytest.fixture
def scene(tmp_path: Path) -> SetTheScene:
    """An installation under `tmp_path`; keywords are its settings, or what was seen of it."""

    def make(
        *, running: bool = False, registry: Registry | None = None, password: str | None = None, **settings: Any
    ) -> Scene:
        defaults = {
            "data_dir": tmp_path / "data",
            "api": Listener(port=0),
            "media": Listener(port=0),
            "mqtt": Mqtt(embedded=False),
            "sms": Sms(reports=Listener(port=0)),
        }
        made = Settings(**(defaults | settings))
        return Scene(
            settings=made,
            clock=SystemClock(),
            registry=registry,
            registry_failure=None,
            core=Core(health={"ready": True}, ahead=timedelta()) if running else None,
            broker=Access(made.mqtt, password),
            broker_failure=None,
        )

    return make
