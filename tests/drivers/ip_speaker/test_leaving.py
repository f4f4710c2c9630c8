"""The driver can be left at any moment, also in the middle of connecting."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from broadcast_core.clock import SystemClock
from broadcast_core.config import Mqtt
from broadcast_core.keys import signing_keys
from broadcast_core.signing import LocalSigner
from drivers.ip_speaker.driver import IpSpeakerDriver


class NoZones:
    def path_of(self, endpoint_id: str) -> Mapping[str, int]:
        return {}

    def speakers_in(self, zone: str) -> int:
        return 0

    def speakers(self) -> Sequence[str]:
        return ()


async def test_leaving_in_the_middle_of_connecting_never_hangs(mosquitto: Any, tmp_path: Path) -> None:
    signer, chance = LocalSigner(signing_keys(tmp_path / "secrets")), random.Random(3)
    for _ in range(150):  # without the second cancellation about one in fifteen hung
        driver = IpSpeakerDriver(
            Mqtt(embedded=False, port=mosquitto.port),
            password=None,
            signer=signer,
            mac_of=lambda _endpoint_id: None,
            zones=NoZones(),
            tones={},
            epoch=1,
            clock=SystemClock(),
        )
        async with asyncio.timeout(20):
            async with driver:
                await asyncio.sleep(chance.uniform(0, 0.015))
