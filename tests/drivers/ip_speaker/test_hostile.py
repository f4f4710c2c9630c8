"""Whoever may publish, with a stolen key or without one, costs the other speakers nothing."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import aiomqtt
import pytest

from broadcast_core.clock import SystemClock
from broadcast_core.config import Mqtt
from broadcast_core.keys import signing_keys
from broadcast_core.model import Batch, Domain, Hello, Progress, Receipt
from broadcast_core.signing import LocalSigner, Mac, SignatureRefused, b64url
from drivers.ip_speaker.driver import IpSpeakerDriver
from drivers.ip_speaker.roll_call import RollCall
from drivers.ip_speaker.wire import MalformedMessage, Topics, report

KEYS = {name: Mac(name, name.encode() * 8) for name in ("THIEF", "HONEST")}
RECEIPT: Mapping[str, Any] = {"say": "receipt", "v": 1, "alert": "a1", "rev": 1, "progress": "finished", "at": 1}
HELLO: Mapping[str, Any] = {"say": "hello", "v": 1, "session": 1, "nonce": "bm9uY2U", "at": 1}

IMPOSSIBLE: Mapping[str, Mapping[str, Any]] = {
    "played for ages": {"played_ms": 10**18},
    "played less than nothing": {"played_ms": -1},
    "at no instant": {"at": 10**18},
    "a revision that no database holds": {"rev": 2**63},
    "a revision before the first": {"rev": 0},
    "an alert longer than any": {"alert": "a" * 40_000},
    "an alert with a NUL": {"alert": "a\x00"},
    "no alert": {"alert": ""},
}
UNREADABLE: Mapping[str, bytes] = {
    "not UTF-8": b'{"say":"receipt","v":1,"alert":"\xff","rev":1,"progress":"finished","at":1}',
    "nested without end": b'{"say":"receipt","x":' + b"[" * 20_000 + b"]" * 20_000 + b"}",
}


class NoZones:
    def path_of(self, endpoint_id: str) -> Mapping[str, int]:
        return {}

    def speakers_in(self, zone: str) -> int:
        return 0

    def speakers(self) -> Sequence[str]:
        return ()


@pytest.mark.parametrize("change", IMPOSSIBLE.values(), ids=IMPOSSIBLE)
def test_a_receipt_that_no_order_can_have_earned_is_malformed(change: Mapping[str, Any]) -> None:
    read = report.decode(json.dumps({**RECEIPT, **change}).encode())
    assert isinstance(read, report.ReceiptReport)
    with pytest.raises(MalformedMessage):
        report.receipt_of(read, "THIEF")


@pytest.mark.parametrize("payload", UNREADABLE.values(), ids=UNREADABLE)
def test_bytes_that_are_no_report_are_malformed(payload: bytes) -> None:
    with pytest.raises(MalformedMessage):
        report.decode(payload)


@pytest.mark.parametrize("header", [b"\xff", b"[" * 20_000, b'{"alg":'])
def test_a_header_that_is_no_header_is_refused(header: bytes) -> None:
    with pytest.raises(SignatureRefused):
        KEYS["THIEF"].open(b64url(header) + b".e30.AAAA")


def test_what_a_speaker_writes_cannot_act_on_a_terminal() -> None:
    said = report.decode(json.dumps({**RECEIPT, "detail": "\x1b[2J\u202eok\n", "reason": "odd\x07"}).encode())
    assert isinstance(said, report.ReceiptReport)
    assert report.receipt_of(said, "THIEF").detail == "odd\ufffd: \ufffd[2J\ufffdok\ufffd"


async def test_after_everything_a_thief_can_send_the_honest_are_heard(mosquitto: Any, tmp_path: Path) -> None:
    driver = IpSpeakerDriver(
        Mqtt(embedded=False, port=mosquitto.port),
        password=None,
        signer=LocalSigner(signing_keys(tmp_path / "secrets")),
        mac_of=KEYS.get,
        zones=NoZones(),
        tones={},
        epoch=1,
        clock=SystemClock(),
    )
    poisons = [json.dumps({**RECEIPT, **change}).encode() for change in IMPOSSIBLE.values()] + list(
        UNREADABLE.values()
    )
    evidence = [{**RECEIPT, **change} for change in IMPOSSIBLE.values()]
    async with asyncio.timeout(30), driver:
        await driver.ready()
        async with aiomqtt.Client("127.0.0.1", mosquitto.port, protocol=aiomqtt.ProtocolVersion.V5) as client:

            async def say(who: str, what: str, payload: bytes) -> None:
                await client.publish(f"tocsin/1/live/up/{who}/{what}", payload, qos=1)

            for what in ("receipt", "hello", "alive"):
                await say("THIEF", what, b64url(b"\xff") + b".e30.AAAA")
                await say("THIEF", what, b"x" * 3_000_000)
                for poison in poisons:
                    await say("THIEF", what, KEYS["THIEF"].seal(poison))
            await say("THIEF", "hello", KEYS["THIEF"].seal(json.dumps({**HELLO, "evidence": evidence}).encode()))
            await say("HONEST", "receipt", KEYS["HONEST"].seal(json.dumps(RECEIPT).encode()))
            good = {**HELLO, "evidence": [{**RECEIPT, "rev": 0}, {**RECEIPT, "rev": 2}]}
            await say("HONEST", "hello", KEYS["HONEST"].seal(json.dumps(good).encode()))
            hello, receipt = await _heard(driver)
    assert receipt.progress is Progress.FINISHED
    assert [r.key.revision for r in hello.evidence] == [2]  # the one that makes no sense costs only itself


async def _heard(driver: IpSpeakerDriver) -> tuple[Hello, Receipt]:
    """The honest speaker's hello and receipt; none of the thief's receipts."""
    hello: Hello | None = None
    receipt: Receipt | None = None
    async for batch in driver.listen():
        for event in batch.events:
            if isinstance(event, Receipt):
                assert event.key.endpoint_id == "HONEST"
                receipt = event
            elif isinstance(event, Hello) and event.endpoint_id == "HONEST":
                hello = event
        if hello is not None and receipt is not None:
            return hello, receipt
    raise AssertionError("the driver ended")


async def test_a_stolen_key_is_heard_only_so_often_and_the_honest_as_before() -> None:
    events: asyncio.Queue[Batch | None] = asyncio.Queue()
    topics = Topics("tocsin/1", Domain.LIVE)
    roll_call = RollCall(topics, KEYS.get, events, SystemClock(), expected=tuple, silent_after_s=50.0)
    hello = {who: mac.seal(json.dumps(HELLO).encode()) for who, mac in KEYS.items()}
    for _ in range(20_000):
        roll_call.take_status("tocsin/1/live/up/THIEF/hello", hello["THIEF"])
        roll_call.take_status("tocsin/1/live/up/HONEST/hello", hello["THIEF"])  # a stranger in the honest one's name
    roll_call.take_status("tocsin/1/live/up/HONEST/hello", hello["HONEST"])
    heard = Counter(e.endpoint_id for b in iter_of(events) for e in b.events if isinstance(e, Hello))
    assert heard["HONEST"] == 1
    assert 0 < heard["THIEF"] < 1000


def iter_of(events: asyncio.Queue[Batch | None]) -> Iterator[Batch]:
    while not events.empty():
        batch = events.get_nowait()
        assert batch is not None
        yield batch


async def test_what_needs_no_acknowledgement_gets_none(mosquitto: Any, tmp_path: Path) -> None:
    """A PUBACK for QoS 0 makes the broker end the connection, and with it everybody's receipts."""
    driver = IpSpeakerDriver(
        Mqtt(embedded=False, port=mosquitto.port),
        password=None,
        signer=LocalSigner(signing_keys(tmp_path / "secrets")),
        mac_of=KEYS.get,
        zones=NoZones(),
        tones={},
        epoch=1,
        clock=SystemClock(),
    )
    async with asyncio.timeout(30), driver:
        await driver.ready()
        async with aiomqtt.Client("127.0.0.1", mosquitto.port, protocol=aiomqtt.ProtocolVersion.V5) as client:
            heard: asyncio.Queue[int] = asyncio.Queue()
            listening = asyncio.create_task(_revisions(driver, heard))
            for number in range(1, 11):
                receipt = json.dumps({**RECEIPT, "rev": number}).encode()
                await client.publish("tocsin/1/live/up/HONEST/receipt", KEYS["HONEST"].seal(receipt), qos=number % 2)
                assert await heard.get() == number
                await asyncio.sleep(0.1)  # a broker that takes offence has ended the connection by now
            listening.cancel()
            await asyncio.gather(listening, return_exceptions=True)


async def _revisions(driver: IpSpeakerDriver, heard: asyncio.Queue[int]) -> None:
    """Take receipts as the core does: settled once they are durable."""
    async for batch in driver.listen():
        for event in batch.events:
            if isinstance(event, Receipt):
                heard.put_nowait(event.key.revision)
        batch.settled()
