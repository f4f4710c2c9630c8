"""Programmes, modes and proof of play through the real driver, a real broker and simulated speakers."""

from __future__ import annotations

import asyncio
import base64
import io
import json
import wave
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path
from typing import Any

import aiomqtt
import pytest
from aiohttp import web

from broadcast_core.clock import SystemClock
from broadcast_core.config import Mqtt
from broadcast_core.keys import signing_keys
from broadcast_core.model import (
    MOST_CLIPS,
    Approval,
    AudioRef,
    Authority,
    Certainty,
    Channel,
    Clip,
    Delivery,
    Domain,
    Endpoint,
    Hello,
    ItemPlay,
    LateRule,
    Level,
    Mode,
    ModeChange,
    Order,
    Orders,
    Programme,
    Progress,
    Reason,
    Receipt,
    ResumeRule,
    SoundClass,
    Spoken,
    Standing,
    Start,
    Urgency,
)
from broadcast_core.signing import LocalSigner, Mac
from drivers.ip_speaker.driver import IpSpeakerDriver
from drivers.ip_speaker.wire import MalformedMessage, command, report
from drivers.ip_speaker.wire.provision import Broker, Provision, SpeakerKey
from drivers.ip_speaker.wire.report import receipt_of
from simulators.speakers import Fleet, FleetOptions, Habits

IDS = ("SPK-0001", "SPK-0002", "SPK-0003")
ZONE, VERSION = "430103", 7
PATIENCE_S = 40.0
STANDING = Standing(
    sound_class=SoundClass.PUBLICITY,
    authority=Authority.DISTRICT,
    level=Level.UNKNOWN,
    urgency=Urgency.UNKNOWN,
    certainty=Certainty.UNKNOWN,
)


class OneZone:
    def path_of(self, endpoint_id: str) -> Mapping[str, int]:
        return {ZONE: VERSION}

    def speakers_in(self, zone: str) -> int:
        return len(IDS)

    def speakers(self) -> Sequence[str]:
        return IDS


@dataclass
class Core:
    """What the core does of this: it answers hellos with what is live, and writes down what comes."""

    driver: IpSpeakerDriver
    live: list[Start] = field(default_factory=list)
    mode: Mode = Mode.PEACETIME
    hellos: list[Hello] = field(default_factory=list)
    receipts: list[Receipt] = field(default_factory=list)
    news: asyncio.Event = field(default_factory=asyncio.Event)

    async def listen(self) -> None:
        async for batch in self.driver.listen():
            for event in batch.events:
                if isinstance(event, Hello):
                    self.hellos.append(event)
                    orders = Orders(
                        nonce=event.nonce, live=lambda: tuple(self.live), holds=event.holds, mode=self.mode
                    )
                    await self.driver.send([Delivery(endpoint=endpoint(event.endpoint_id), order=orders)])
                elif isinstance(event, Receipt):
                    self.receipts.append(event)
            batch.settled()
            self.news.set()

    async def to_all(self, order: Order) -> None:
        await self.driver.send(
            [Delivery(endpoint=endpoint(i), order=order, via=ZONE, via_version=VERSION) for i in IDS]
        )

    def who(self, alert: str, progress: Progress) -> set[str]:
        return {r.key.endpoint_id for r in self.receipts if (r.key.alert_id, r.progress) == (alert, progress)}

    async def until(self, true: Callable[[], bool], what: str) -> None:
        try:
            async with asyncio.timeout(PATIENCE_S):
                while not true():
                    self.news.clear()
                    await self.news.wait()
        except TimeoutError:
            pytest.fail(f"waited in vain for {what}; {self.receipts}")


def endpoint(endpoint_id: str) -> Endpoint:
    return Endpoint(id=endpoint_id, zone=ZONE, channel=Channel.SPEAKER, name=endpoint_id)


def wav(ms: int, level: int) -> bytes:
    file = io.BytesIO()
    with wave.open(file, "wb") as out:
        out.setnchannels(1)
        out.setsampwidth(2)
        out.setframerate(8000)
        out.writeframes(level.to_bytes(2, "little") * (8 * ms))
    return file.getvalue()


@pytest.fixture
async def clips() -> AsyncIterator[list[AudioRef]]:
    """Two pieces of audio, and the server that has them."""
    bodies = {sha256(body).hexdigest(): body for body in (wav(600, 1), wav(400, 2))}

    async def serve(request: web.Request) -> web.Response:
        return web.Response(body=bodies[request.match_info["digest"]])

    app = web.Application()
    app.router.add_get("/{digest}", serve)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    host, port = runner.addresses[0][:2]
    yield [
        AudioRef(
            sha256=digest,
            url=f"http://{host}:{port}/{digest}",
            mime_type="audio/wav",
            size=len(body),
            duration=timedelta(milliseconds=ms),
        )
        for (digest, body), ms in zip(bodies.items(), (600, 400), strict=True)
    ]
    await runner.cleanup()


@pytest.fixture
async def core(mosquitto: Any, tmp_path: Path) -> AsyncIterator[tuple[Core, Fleet]]:
    signer = LocalSigner(signing_keys(tmp_path / "secrets"))
    keys = {i: bytes([n]) * 32 for n, i in enumerate(IDS, 1)}
    macs = {i: Mac(i, key) for i, key in keys.items()}
    settings = Mqtt(embedded=False, port=mosquitto.port, heartbeat_s=5.0)
    driver = IpSpeakerDriver(
        settings,
        password=None,
        signer=signer,
        mac_of=macs.get,
        zones=OneZone(),
        tones={},
        epoch=1,
        clock=SystemClock(),
    )
    provision = Provision(
        broker=Broker(host=mosquitto.host, port=mosquitto.port),
        prefix=settings.prefix,
        domain=Domain.LIVE,
        trusted=signer.trusted(Domain.LIVE),
        speakers=tuple(SpeakerKey(id=i, mac_key=key) for i, key in keys.items()),
    )
    async with driver:
        core = Core(driver)
        listening = asyncio.create_task(core.listen())
        await driver.ready()
        async with Fleet(provision, options=FleetOptions(habits=Habits(report_spread_ms=300))) as fleet:
            await fleet.ready()
            yield core, fleet
    await listening


def occurrence(clips: list[AudioRef], rev: int = 1, delay_s: float = 6.0) -> Start:
    now = datetime.now(UTC)
    first, second = clips
    return Start(
        alert_id="slot-7-20260501",
        revision=rev,
        domain=Domain.LIVE,
        standing=STANDING,
        issued_at=now,
        starts_at=now + timedelta(seconds=delay_s),
        expires=now + timedelta(seconds=delay_s + 60),
        content=Programme(
            clips=(
                Clip(item_id="chime", audio=first, offset=timedelta(0), resume=ResumeRule.SKIP),
                Clip(item_id="news", audio=second, offset=timedelta(seconds=1), resume=ResumeRule.LIVE),
            ),
            late=LateRule.JOIN,
            grace=timedelta(seconds=2),
        ),
        approval=Approval(kind="one-person", actors=("editor",)),
        volume=35,
    )


def payload_of(token: bytes) -> bytes:
    part = token.split(b".")[1]
    return base64.urlsafe_b64decode(part + b"=" * (-len(part) % 4))


async def test_a_programme_is_sent_ahead_played_together_and_summed_up(
    core: tuple[Core, Fleet], clips: list[AudioRef]
) -> None:
    told, fleet = core
    start = occurrence(clips)
    told.live.append(start)
    await told.to_all(start)
    await told.until(lambda: told.who(start.alert_id, Progress.RECEIVED) == set(IDS), "received")
    await told.until(lambda: told.who(start.alert_id, Progress.FINISHED) == set(IDS), "finished")
    assert told.who(start.alert_id, Progress.STARTED) == set()
    for receipt in told.receipts:
        if receipt.progress is Progress.FINISHED:
            assert receipt.plays == (
                ItemPlay(item_id="chime", times=1, played=timedelta(milliseconds=600)),
                ItemPlay(item_id="news", times=1, played=timedelta(milliseconds=400)),
            )
            assert receipt.played == timedelta(seconds=1)
    for endpoint_id in IDS:
        assert [(p.sha256, p.volume) for p in fleet.played(endpoint_id)] == [(c.sha256, 35) for c in clips]


async def test_what_a_speaker_holds_is_named_and_not_sent_again(
    core: tuple[Core, Fleet], mosquitto: Any, clips: list[AudioRef]
) -> None:
    told, fleet = core
    start = occurrence(clips, delay_s=600)
    told.live.append(start)
    await told.to_all(start)
    await told.until(lambda: told.who(start.alert_id, Progress.RECEIVED) == set(IDS), "received")
    async with aiomqtt.Client(mosquitto.host, mosquitto.port) as client:
        await client.subscribe(f"tocsin/1/live/down/{IDS[0]}")

        async def next_orders() -> command.OrdersCommand:
            async with asyncio.timeout(PATIENCE_S):
                async for message in client.messages:
                    said = command.decode(payload_of(bytes(message.payload)))
                    if isinstance(said, command.OrdersCommand):
                        return said
            raise AssertionError("the connection ended")

        fleet.reboot(IDS[0])
        orders = await next_orders()
        assert (orders.due, orders.live) == ({start.alert_id: 1}, ())
        await told.until(lambda: told.hellos[-1].holds == {start.alert_id: 1}, "what it holds")
        told.live[0] = occurrence(clips, rev=2, delay_s=600)
        fleet.reboot(IDS[0])
        orders = await next_orders()
        assert (orders.due, len(orders.live)) == ({start.alert_id: 2}, 1)
    await told.until(
        lambda: any(r.key.revision == 2 and r.progress is Progress.RECEIVED for r in told.receipts), "the revision"
    )


async def test_a_day_larger_than_a_packet_does_not_keep_orders_and_alerts_from_a_speaker(
    core: tuple[Core, Fleet], clips: list[AudioRef]
) -> None:
    """A speaker that holds nothing yet comes to a day of fourteen long programmes: more than 1 MiB once signed."""
    told, fleet = core
    clip = clips[0]
    programme = Programme(
        clips=tuple(
            Clip(item_id="news", audio=clip, offset=timedelta(seconds=n), resume=ResumeRule.SKIP)
            for n in range(MOST_CLIPS)
        ),
        late=LateRule.JOIN,
        grace=timedelta(seconds=2),
    )
    told.live += [
        replace(occurrence(clips, delay_s=3600 - 60 * n), alert_id=f"long-{n:02}", content=programme)
        for n in range(14)
    ]
    fleet.reboot(IDS[0])
    await told.until(lambda: told.who("long-13", Progress.RECEIVED) == {IDS[0]}, "the programme that is due first")
    now = datetime.now(UTC)
    alert = replace(
        occurrence(clips, delay_s=0),
        alert_id="alert-1",
        standing=replace(STANDING, sound_class=SoundClass.EMERGENCY, level=Level.RED),
        expires=now + timedelta(minutes=5),
        content=Spoken(tone="attention-1", audio=clip, text=()),
    )
    told.live.append(alert)
    await told.to_all(alert)
    await told.until(lambda: told.who("alert-1", Progress.FINISHED) == set(IDS), "the alert")

    def held() -> int:
        return sum(IDS[0] in told.who(start.alert_id, Progress.RECEIVED) for start in told.live[:14])

    while (before := held()) < 14:  # each hello brings some more
        fleet.reboot(IDS[0])
        await told.until(lambda before=before: held() > before, "more of the day")  # type: ignore[misc]


async def test_a_switch_of_the_mode_is_proven_by_each_speaker_and_carried_by_orders(
    core: tuple[Core, Fleet], clips: list[AudioRef]
) -> None:
    told, fleet = core
    now = datetime.now(UTC)
    start = occurrence(clips, delay_s=600)
    told.live.append(start)
    await told.to_all(start)
    await told.until(lambda: told.who(start.alert_id, Progress.RECEIVED) == set(IDS), "received")
    fleet.disconnect(IDS[2])
    change = ModeChange(
        alert_id="mode-1",
        revision=1,
        domain=Domain.LIVE,
        mode=Mode.EMERGENCY,
        issued_at=now,
        expires=now + timedelta(hours=1),
        actor="duty",
        volume_floor=80,
    )
    told.mode = Mode.EMERGENCY
    await told.to_all(change)
    await told.until(lambda: told.who("mode-1", Progress.FINISHED) == set(IDS[:2]), "the two that were there")
    assert told.who("mode-1", Progress.RECEIVED) == set(IDS[:2])
    assert fleet.remembered(IDS[0]).volume_floor == 80
    fleet.reconnect(IDS[2])
    await fleet.ready()
    assert [fleet.remembered(i).mode for i in IDS] == ["emergency"] * 3
    # Sent to it once more, because its proof is owed.
    await told.driver.send([Delivery(endpoint=endpoint(IDS[2]), order=change)])
    await told.until(lambda: told.who("mode-1", Progress.FINISHED) == set(IDS), "the third")


@pytest.mark.parametrize(
    "plays",
    [
        [["news", -1, 0, None]],
        [["news", 2**31, 0, None]],
        [["news", 1, -1, None]],
        [["news", 1, 10**30, None]],
        [["", 1, 1, None]],
        [["x" * 65, 1, 1, None]],
        [["a\u202eb", 1, 1, None]],
        [["news", 1]],
        [["news", 1, 1, None]] * 201,
    ],
)
def test_sums_that_cannot_be_are_refused(plays: list[Any]) -> None:
    said = {"say": "receipt", "v": 1, "alert": "P", "rev": 1, "progress": "finished", "at": 1, "plays": plays}
    with pytest.raises(MalformedMessage):
        receipt_of(report.decode(json.dumps(said).encode()), IDS[0])


def test_a_reason_that_is_not_known_is_a_fault_of_the_device() -> None:
    said = {"say": "receipt", "v": 1, "alert": "P", "rev": 1, "progress": "finished", "at": 1}
    receipt = receipt_of(report.decode(json.dumps(said | {"plays": [["news", 0, 5, "tired"]]}).encode()), IDS[0])
    assert receipt.plays == (
        ItemPlay(item_id="news", times=0, played=timedelta(milliseconds=5), reason=Reason.HARDWARE),
    )
    assert report.report_of(receipt).plays == (("news", 0, 5, "hardware"),)
