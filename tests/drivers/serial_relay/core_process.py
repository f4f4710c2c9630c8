"""A core of its own for the tests that kill it: python core_process.py SETTINGS-JSON SECONDS-ON."""

from __future__ import annotations

import asyncio
import json
import sys
from datetime import timedelta

import structlog

from broadcast_core.clock import SystemClock
from broadcast_core.config import Serial
from broadcast_core.model import (
    Approval,
    Authority,
    Certainty,
    Channel,
    CoilAddress,
    Delivery,
    Domain,
    Endpoint,
    Level,
    SirenPattern,
    SoundClass,
    Sounded,
    Standing,
    Start,
    Urgency,
)
from drivers.serial_relay.driver import SerialRelayDriver


async def main(settings: Serial, on_s: float) -> None:
    clock = SystemClock()
    now = clock.now()
    pattern = SirenPattern(id="t", name_zh="t", name_en="t", steps=((timedelta(seconds=on_s), timedelta()),))
    order = Start(
        alert_id="a",
        revision=1,
        domain=Domain.LIVE,
        standing=Standing(
            sound_class=SoundClass.EMERGENCY,
            authority=Authority.DISTRICT,
            level=Level.RED,
            urgency=Urgency.IMMEDIATE,
            certainty=Certainty.OBSERVED,
        ),
        issued_at=now,
        starts_at=now,
        expires=now + timedelta(seconds=300),
        content=Sounded(pattern=pattern, max_on=timedelta(seconds=300)),
        approval=Approval(kind="one-person", actors=("t",)),
    )
    horns = [
        Endpoint(
            id=f"{line.name}-{board.unit}",
            channel=Channel.HORN,
            zone="z",
            name="n",
            coil=CoilAddress(line=line.name, unit=board.unit, coil=0),
        )
        for line in settings.lines
        for board in line.boards
    ]
    async with SerialRelayDriver(settings, clock) as driver:
        await driver.send([Delivery(endpoint=horn, order=order) for horn in horns])
        async for _ in driver.listen():
            guard, worker = driver.processes
            if worker is not None:
                print(json.dumps({"guard": guard, "worker": worker}), flush=True)


if __name__ == "__main__":
    structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr))  # stdout is the test's
    asyncio.run(main(Serial.model_validate_json(sys.argv[1]), float(sys.argv[2])))
