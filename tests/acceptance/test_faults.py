"""What goes wrong in the middle of an alert, and what is promised all the same. The truth is the field's own log."""

from __future__ import annotations

import asyncio
import sqlite3
import time
from typing import Any

import aiomqtt
import pytest

from broadcast_core.keys import signing_keys
from broadcast_core.model import Domain
from broadcast_core.signing import KeyScope, LocalSigner, split
from simulators.sms_gateway import Faults as SmsFaults
from simulators.speakers import Fault, FaultKind, Faults

pytestmark = pytest.mark.slow

LONG = "Keep away from low ground and from the river. Take the stairs and not the lift. Help your neighbours. " * 3


async def eventually(find: Any, within_s: float, what: str) -> Any:
    deadline = time.monotonic() + within_s
    while not (found := find()):
        if time.monotonic() > deadline:
            pytest.fail(f"not within {within_s} s: {what}")
        await asyncio.sleep(0.02)
    return found


@pytest.mark.parametrize("moment", ["after_the_201", "among_the_receipts"])
async def test_a_core_killed_after_its_201_serves_everybody_once(new_site: Any, moment: str) -> None:
    site = await new_site(speakers=100)
    alert = await site.send()
    if moment == "among_the_receipts":
        await eventually(lambda: len(site.sounding()) > 20, 10, "speakers sound")
    await site.core.kill()
    await site.core.start()
    count = await site.finished(alert, within_s=40)
    assert count["targets"] == len(site.speakers)
    assert {len(played) for played in site.stretches(alert).values()} == {1}


async def test_a_core_restarted_while_an_alert_is_live_makes_nobody_play_again(new_site: Any) -> None:
    site = await new_site(speakers=60)
    alert = await site.send()
    await site.finished(alert, within_s=30)
    await site.core.stop()
    await site.core.start()
    await eventually(lambda: site.fleet.settled == len(site.speakers), 30, "all connected")
    site.fleet.reboot(site.speakers[0])
    await site.fleet.ready()
    second = await site.send(identifier="the-second")
    await site.finished(second, within_s=30)
    assert {len(played) for played in site.stretches(alert).values()} == {1}
    assert {len(played) for played in site.stretches(second).values()} == {1}


async def test_a_stop_silences_all_in_three_seconds_and_those_away_stay_silent(new_site: Any) -> None:
    site = await new_site(speakers=60, engine="espeak", repeats=10)
    away, there = site.speakers[:8], site.speakers[8:]
    for speaker in away[:4]:  # these never hear of the alert before its stop
        site.fleet.disconnect(speaker)
    alert = await site.send(instruction=LONG)
    await eventually(lambda: len(site.sounding()) == len(site.speakers) - 4, 20, "all others sound")
    for speaker in away[4:]:  # these sound and cannot hear the stop
        site.fleet.disconnect(speaker)
    asked = time.monotonic()
    await site.stop(alert)
    await eventually(lambda: not site.sounding(there), 10, "silence")
    assert max(site.fleet.played(s)[-1].ended for s in there) - asked <= 3
    for speaker in away:
        site.fleet.reconnect(speaker)
    await site.fleet.ready()
    await eventually(lambda: not site.sounding(), 10, "those that come back are silent")
    # What the core claims agrees with what was heard: whoever was told to stop has proven it, those away included.
    evidence = await site.silence(alert, within_s=40)
    assert evidence["total"]["told"] >= len(there)
    assert evidence["unproven"] == []
    assert not any(site.fleet.played(s) for s in away[:4])
    assert not site.sounding()


async def test_a_locked_database_does_not_hold_a_stop_back(new_site: Any) -> None:
    site = await new_site(speakers=60, engine="espeak", repeats=10)
    alert = await site.send(instruction=LONG)
    await eventually(lambda: len(site.sounding()) == len(site.speakers), 20, "all sound")
    with sqlite3.connect(site.database, isolation_level=None) as lock:
        lock.execute("BEGIN IMMEDIATE")
        asked = time.monotonic()
        await site.stop(alert)
        await eventually(lambda: not site.sounding(), 10, "silence")
        assert max(site.fleet.played(s)[-1].ended for s in site.speakers) - asked <= 3
        assert _audited(lock) == []
        lock.execute("ROLLBACK")
        rows = await eventually(lambda: _audited(lock), 30, "the stop is recorded")
    lock.close()
    assert len(rows) == 1
    acted_at, recorded_at = rows[0]
    assert acted_at < recorded_at


@pytest.mark.parametrize("moment", ["before_the_alert", "in_its_middle"])
async def test_when_the_broker_was_killed_all_are_served_within_15_seconds_of_its_return(
    new_site: Any, mosquitto: Any, moment: str
) -> None:
    site = await new_site(speakers=100)
    if moment == "before_the_alert":
        mosquitto.kill()
        alert = await site.send()
    else:
        slow = frozenset(site.speakers[50:])
        site.fleet.afflict(Fault(kind=FaultKind.SLOW, ids=slow, seconds=3))
        alert = await site.send()
        await eventually(lambda: len(site.sounding()) >= 50, 10, "the quick half sounds")
        assert not any(site.fleet.played(s) for s in slow)
        mosquitto.kill()
        site.fleet.faults = Faults()
    mosquitto.start()
    back = time.monotonic()
    await eventually(lambda: all(site.stretches(alert).values()), 30, "everybody sounds")
    assert max(played[0].began for played in site.stretches(alert).values()) - back <= 15
    await site.finished(alert, within_s=40)
    assert {len(played) for played in site.stretches(alert).values()} == {1}


async def test_replayed_forged_and_wrongly_signed_commands_sound_nowhere(new_site: Any, mosquitto: Any) -> None:
    site = await new_site(speakers=60)
    recorded: list[tuple[str, bytes]] = []
    async with aiomqtt.Client(mosquitto.host, mosquitto.port, protocol=aiomqtt.ProtocolVersion.V5) as client:
        await client.subscribe("tocsin/1/live/zone/#", qos=1)
        listening = asyncio.create_task(_record(client, recorded))
        alert = await site.send()
        await site.finished(alert, within_s=30)
        listening.cancel()
        await asyncio.gather(listening, return_exceptions=True)
        assert recorded
        sounds, me = site.sounds(), site.speakers[0]
        forged = await _forgeries(site, recorded[0][1])
        own = f"tocsin/1/live/down/{me}"
        refused = site.fleet.refused(me).total()
        for topic, payload in recorded:
            for retain in (False, True):
                await client.publish(topic, payload, qos=1, retain=retain)
                await client.publish(own, payload, qos=1, retain=retain)
        for payload in forged:
            await client.publish(own, payload, qos=1)
            await client.publish(recorded[0][0], payload, qos=1)
    await eventually(lambda: site.fleet.refused(me).total() >= refused + len(forged), 10, "the forgeries are refused")
    assert any("scope" in reason for reason in site.fleet.refused(me)), site.fleet.refused(me)
    site.fleet.reboot(me)  # and meets what is retained
    await eventually(lambda: site.fleet.settled == len(site.speakers), 20, "it is back")
    second = await site.send(identifier="the-second")
    await site.finished(second, within_s=30)
    assert site.sounds() == sounds + len(site.speakers)


async def test_lost_receipts_are_asked_for_again_and_counted_once(new_site: Any) -> None:
    site = await new_site(speakers=60)
    mute = frozenset(site.speakers[:20])
    site.fleet.afflict(Fault(kind=FaultKind.LOST_RECEIPTS, ids=mute, chance=1.0))
    alert = await site.send()
    count = await site.reached(alert, lambda c: c["rungs"].get("finished") == len(site.speakers) - 20, within_s=30)
    assert count["rungs"]["received"] == len(site.speakers) - 20
    site.fleet.faults = Faults()
    count = await site.finished(alert, within_s=60)
    assert count["rungs"]["finished"] == count["targets"] == len(site.speakers)
    assert {len(played) for played in site.stretches(alert).values()} == {1}


async def test_a_gateway_that_fails_and_recovers_reaches_every_phone_once(new_site: Any) -> None:
    site = await new_site(speakers=14, recipients=100)
    site.gateway.faults = SmsFaults(error=0.3)
    alert = await site.send("sms")
    await eventually(lambda: len(site.gateway.log) >= 100, 20, "every phone was tried")
    site.gateway.faults = SmsFaults()
    count = await site.finished(alert, "sms", within_s=40)
    assert count["targets"] == len(site.phones)
    assert {site.gateway.rung(phone) for phone in site.phones} == {1}


async def test_a_horn_resumes_after_its_line_was_unplugged_and_a_stop_opens_everything(new_site: Any) -> None:
    site = await new_site(speakers=14, horns=6)
    bus = next(iter(site.relays.buses.values()))
    alert = await site.send("horn")
    await eventually(lambda: any(edge.closed for edge in bus.edges), 15, "a horn sounds")
    bus.unplug()
    await asyncio.sleep(1.5)  # the line is away longer than one sound of the pattern
    bus.replug()
    back = time.monotonic()
    heard = {(edge.unit, edge.coil) for edge in bus.edges if edge.closed}

    def again() -> bool:
        return {(e.unit, e.coil) for e in bus.edges if e.closed and e.monotonic > back} >= heard

    await eventually(again, 15, "every horn of the line sounds again")
    asked = time.monotonic()
    await site.stop(alert)
    await eventually(lambda: not any(b.closed() for b in site.relays.buses.values()), 5, "every horn is open")
    last = max(edge.monotonic for b in site.relays.buses.values() for edge in b.edges)
    assert last - asked <= 3
    assert not any(e.closed and e.monotonic > last for b in site.relays.buses.values() for e in b.edges)


def _audited(database: sqlite3.Connection) -> list[tuple[int, int]]:
    return database.execute("SELECT acted_at, recorded_at FROM audit WHERE action = 'alert.stop'").fetchall()


async def _record(client: aiomqtt.Client, into: list[tuple[str, bytes]]) -> None:
    async for message in client.messages:
        assert isinstance(message.payload, bytes)
        into.append((str(message.topic), message.payload))


async def _forgeries(site: Any, genuine: bytes) -> list[bytes]:
    """The command under another alert's name: with the old signature, and signed by the key for publicity."""
    _header, payload, _input, _signature = split(genuine)
    changed = payload.replace(b'"alert":"', b'"alert":"x', 1)
    assert changed != payload
    signer = LocalSigner(signing_keys(site.stage.settings.secrets_dir))
    for_publicity = await signer.sign(KeyScope.PUBLICITY, Domain.LIVE, changed)
    head, _, rest = genuine.partition(b".")
    return [b".".join((head, for_publicity.split(b".")[1], rest.rpartition(b".")[2])), for_publicity]
