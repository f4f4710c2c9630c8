"""The broker killed, emptied, and in the wrong hands."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import aiomqtt
import pytest

from broadcast_core.keys import signing_keys
from broadcast_core.model import Domain
from broadcast_core.signing import KeyScope, LocalSigner, split
from simulators.speakers import Fault, FaultKind, Faults

pytestmark = pytest.mark.slow


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
        await site.eventually(lambda: len(site.sounding()) >= 50, 10, "the quick half sounds")
        assert not any(site.fleet.played(s) for s in slow)
        mosquitto.kill()
        site.fleet.faults = Faults()
    mosquitto.start()
    back = time.monotonic()
    await _assert_served(site, alert, back)


# What an operator may have set in good faith; nothing of it may be needed. (`user`: root's broker could not write.)
_PERSISTENT = """\
user root
persistence true
persistence_location {folder}/
autosave_on_changes true
autosave_interval 1
"""


@pytest.mark.parametrize("mosquitto", [_PERSISTENT], ids=["persistent"], indirect=True)
async def test_when_the_broker_lost_its_stored_state_all_are_served_within_15_seconds_of_its_return(
    new_site: Any, mosquitto: Any, tmp_path: Path
) -> None:
    site = await new_site(speakers=100)
    state = tmp_path / "mosquitto.db"
    slow = frozenset(site.speakers[50:])
    site.fleet.afflict(Fault(kind=FaultKind.SLOW, ids=slow, seconds=3))
    alert = await site.send()
    await site.eventually(lambda: len(site.sounding()) >= 50, 10, "the quick half sounds")
    await site.eventually(state.exists, 10, "the broker has stored its state")
    mosquitto.kill()
    state.unlink()
    site.fleet.faults = Faults()
    assert not any(site.fleet.played(s) for s in slow)
    mosquitto.start()
    back = time.monotonic()
    await _assert_served(site, alert, back)


async def _assert_served(site: Any, alert: str, back: float) -> None:
    """Everybody sounds it within 15 s of the broker's return, once."""
    await site.eventually(lambda: all(site.stretches(alert).values()), 30, "everybody sounds")
    served_s = max(played[0].began for played in site.stretches(alert).values()) - back
    print(f"the last was served {served_s:.1f} s after the broker's return")
    assert served_s <= 15
    await site.finished(alert, within_s=40)
    assert {len(played) for played in site.stretches(alert).values()} == {1}


async def test_replayed_forged_and_wrongly_signed_commands_sound_nowhere(new_site: Any, mosquitto: Any) -> None:
    site = await new_site(speakers=60)
    async with site.overhear("zone/#") as recorded:
        alert = await site.send()
        await site.finished(alert, within_s=30)
    assert recorded
    sounds, me = site.sounds(), site.speakers[0]
    forged = await _forgeries(site, recorded[0].payload)
    own = f"{site.prefix}/down/{me}"
    refused = site.fleet.refused(me).total()
    async with aiomqtt.Client(mosquitto.host, mosquitto.port, protocol=aiomqtt.ProtocolVersion.V5) as client:
        for heard in recorded:
            for retain in (False, True):
                await client.publish(heard.topic, heard.payload, qos=1, retain=retain)
                await client.publish(own, heard.payload, qos=1, retain=retain)
        for payload in forged:
            await client.publish(own, payload, qos=1)
            await client.publish(recorded[0].topic, payload, qos=1)
    await site.eventually(
        lambda: site.fleet.refused(me).total() >= refused + len(forged), 10, "the forgeries are refused"
    )
    assert any("scope" in reason for reason in site.fleet.refused(me)), site.fleet.refused(me)
    site.fleet.reboot(me)  # and meets what is retained
    await site.eventually(lambda: site.fleet.settled == len(site.speakers), 20, "it is back")
    second = await site.send(identifier="the-second")
    await site.finished(second, within_s=30)
    assert site.sounds() == sounds + len(site.speakers)


async def _forgeries(site: Any, genuine: bytes) -> list[bytes]:
    """The command under another alert's name: with the old signature, and signed by the key for publicity."""
    _header, payload, _input, _signature = split(genuine)
    changed = payload.replace(b'"alert":"', b'"alert":"x', 1)
    assert changed != payload
    signer = LocalSigner(signing_keys(site.stage.settings.secrets_dir))
    for_publicity = await signer.sign(KeyScope.PUBLICITY, Domain.LIVE, changed)
    head, _, rest = genuine.partition(b".")
    return [b".".join((head, for_publicity.split(b".")[1], rest.rpartition(b".")[2])), for_publicity]
