"""What is wrong in the field: lost receipts, a pulled line, a failing gateway, silence."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from broadcast_core.provision import provision_from
from broadcast_core.signing import split
from drivers.ip_speaker.wire import command, provision
from simulators.sms_gateway import Faults as SmsFaults
from simulators.speakers import Fault, FaultKind, Faults, Fleet

pytestmark = pytest.mark.slow


async def test_lost_receipts_are_asked_for_again_from_those_who_owe_them_and_counted_once(new_site: Any) -> None:
    site = await new_site(speakers=60)
    mute = frozenset(site.speakers[:20])
    site.fleet.afflict(Fault(kind=FaultKind.LOST_RECEIPTS, ids=mute, chance=1.0))
    async with site.overhear("down/+") as heard:
        alert = await site.send()
        count = await site.reached(
            alert, lambda c: c["rungs"].get("finished") == len(site.speakers) - 20, within_s=30
        )
        assert count["rungs"]["received"] == len(site.speakers) - 20
        await asyncio.sleep(4)  # whose end were not on record would be asked for it by now
        asked_while_mute = len(heard)
        site.fleet.faults = Faults()
        count = await site.finished(alert, within_s=60)
    assert count["rungs"]["finished"] == count["targets"] == len(site.speakers)
    assert {len(played) for played in site.stretches(alert).values()} == {1}
    # Nothing but questions and repetitions goes to a speaker's own topic here; each names whom it is meant for.
    assert {h.topic.rsplit("/", 1)[1] for h in heard} == mute
    assert asked_while_mute
    for h in heard:
        order = command.decode(split(h.payload)[1])
        assert isinstance(order, (command.StartCommand, command.QueryCommand))
        assert set(order.target.endpoints) <= mute


async def test_a_speaker_without_power_is_a_visible_fault_within_a_minute(new_site: Any, mosquitto: Any) -> None:
    """Nobody closes its connection, and the broker that knew its will dies too. The settings are those we ship."""
    site = await new_site(speakers=14)
    frail = site.speakers[0]
    site.fleet.disconnect(frail)
    async with _Wire(mosquitto.port) as wire:
        provided = provision.decode(await provision_from(site.stage.settings))
        alone = msgspec.structs.replace(
            provided,
            broker=msgspec.structs.replace(provided.broker, port=wire.port),
            speakers=tuple(s for s in provided.speakers if s.id == frail),
        )
        async with Fleet(alone) as fleet:
            await fleet.ready()
            await _seen(site, "online", lambda ids: frail in ids, within_s=10)
            assert len(await _seen(site, "online", len, within_s=10)) == len(site.speakers)
            wire.cut()
            cut = time.monotonic()
            mosquitto.kill()
            mosquitto.start()
            await site.fleet.ready()
            await _seen(site, "online", lambda ids: frail not in ids, within_s=60)
            noticed_s = time.monotonic() - cut
    print(f"noticed after {noticed_s:.0f} s")
    assert noticed_s <= 60
    assert await site.metric("tocsin_endpoints", channel="speaker", presence="silent") == 1
    assert await site.metric("tocsin_endpoints", channel="speaker", presence="online") == len(site.speakers) - 1


async def _seen(site: Any, presence: str, test: Callable[[list[str]], Any], *, within_s: float) -> list[str]:
    """The speakers that the API shows in a presence, as soon as they pass `test`."""
    deadline = time.monotonic() + within_s
    query = {"channel": "speaker", "presence": presence}
    while True:
        async with site.session.get("/api/v1/registry/endpoints", params=query) as answer:
            ids = [item["id"] for item in (await answer.json())["items"]]
        if test(ids):
            return ids
        if time.monotonic() > deadline:
            pytest.fail(f"not within {within_s} s; {presence}: {ids}")
        await asyncio.sleep(0.2)


class _Wire:
    """A cable to the broker that can be cut: from then on nothing passes, and neither end is told."""

    def __init__(self, broker: int) -> None:
        self._broker = broker
        self._passing: set[asyncio.Task[None]] = set()
        self._whole = asyncio.Event()
        self._whole.set()
        self.port = 0

    async def __aenter__(self) -> _Wire:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1")
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *exc: object) -> None:
        self._server.close()
        for task in self._passing:
            task.cancel()
        await asyncio.gather(*self._passing, return_exceptions=True)

    def cut(self) -> None:
        self._whole.clear()

    async def _accept(self, device: asyncio.StreamReader, to_device: asyncio.StreamWriter) -> None:
        broker, to_broker = await asyncio.open_connection("127.0.0.1", self._broker)
        for source, sink in ((device, to_broker), (broker, to_device)):
            task = asyncio.create_task(self._pass(source, sink))
            self._passing.add(task)
            task.add_done_callback(self._passing.discard)

    async def _pass(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        try:
            while data := await source.read(65536):
                await self._whole.wait()
                sink.write(data)
            await self._whole.wait()
        finally:
            sink.close()


async def test_a_gateway_that_fails_and_recovers_reaches_every_phone_once(new_site: Any) -> None:
    site = await new_site(speakers=14, recipients=100)
    site.gateway.faults = SmsFaults(error=0.3)
    alert = await site.send("sms")
    await site.eventually(lambda: len(site.gateway.log) >= 100, 20, "every phone was tried")
    site.gateway.faults = SmsFaults()
    count = await site.finished(alert, "sms", within_s=40)
    assert count["targets"] == len(site.phones)
    assert {site.gateway.rung(phone) for phone in site.phones} == {1}


async def test_a_horn_resumes_after_its_line_was_unplugged_and_a_stop_opens_everything(new_site: Any) -> None:
    site = await new_site(speakers=14, horns=6)
    bus = next(iter(site.relays.buses.values()))
    alert = await site.send("horn")
    await site.eventually(lambda: any(edge.closed for edge in bus.edges), 15, "a horn sounds")
    bus.unplug()
    await asyncio.sleep(1.5)  # the line is away longer than one sound of the pattern
    bus.replug()
    back = time.monotonic()
    heard = {(edge.unit, edge.coil) for edge in bus.edges if edge.closed}

    def again() -> bool:
        return {(e.unit, e.coil) for e in bus.edges if e.closed and e.monotonic > back} >= heard

    await site.eventually(again, 15, "every horn of the line sounds again")
    asked = time.monotonic()
    await site.stop(alert)
    await site.eventually(lambda: not any(b.closed() for b in site.relays.buses.values()), 5, "every horn is open")
    last = max(edge.monotonic for b in site.relays.buses.values() for edge in b.edges)
    assert last - asked <= 3
    assert not any(e.closed and e.monotonic > last for b in site.relays.buses.values() for e in b.edges)
