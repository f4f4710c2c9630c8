"""Who is there, as far as what they say goes."""

from __future__ import annotations

import asyncio

from broadcast_core.clock import SystemClock
from broadcast_core.model import Availability, Batch, Domain, Presence
from broadcast_core.signing import Mac
from drivers.ip_speaker.roll_call import RollCall
from drivers.ip_speaker.wire import Topics, Up, report


async def test_one_that_was_dead_before_the_start_is_a_fault_too_and_comes_back_with_its_hello() -> None:
    events: asyncio.Queue[Batch | None] = asyncio.Queue()
    topics, mac = Topics("tocsin/1", Domain.LIVE), Mac("SPK-1", bytes(32))
    roll_call = RollCall(
        topics, lambda _id: mac, events, SystemClock(), expected=lambda: ["SPK-1"], silent_after_s=0.1
    )
    running = asyncio.create_task(roll_call.run())
    async with asyncio.timeout(20):
        assert await _presence(events) == ("SPK-1", Presence.SILENT)
        hello = report.HelloReport(session=1, nonce="bm9uY2U", at=0, firmware="1")
        roll_call.take_status(topics.up("SPK-1", Up.HELLO), mac.seal(report.encode(hello)))
        assert await _presence(events) == ("SPK-1", Presence.ONLINE)
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)


async def _presence(events: asyncio.Queue[Batch | None]) -> tuple[str, Presence]:
    batch = await events.get()
    assert batch is not None
    (event,) = batch.events
    assert isinstance(event, Availability)
    return event.endpoint_id, event.presence
