"""What is over goes after its days, in small steps; what is live, young or needed stays."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest
from pydantic import ValidationError
from sqlalchemy import Table, func, insert, select
from sqlalchemy.ext.asyncio import AsyncConnection

from broadcast_core import config
from broadcast_core.audio.media import MediaFile, MediaStore
from broadcast_core.clock import SystemClock, from_ms, to_ms
from broadcast_core.errors import AlertRejected, NotFound, RejectReason
from broadcast_core.live import Live
from broadcast_core.model import Level, MsgType, Progress, Spoken
from broadcast_core.render import Words
from broadcast_core.report import report
from broadcast_core.retention import Retention
from broadcast_core.services import Idempotency
from broadcast_core.store import Store, bulk
from broadcast_core.store.schema import alert, audit, cancelled, chain, delivery, fact, filed, idempotency, receipt

DAY = timedelta(days=1)
MANY = 20_000


class Ahead:
    """A clock so much later than now."""

    def __init__(self, by: timedelta) -> None:
        self.by = by

    def now(self) -> datetime:
        return SystemClock().now() + self.by

    def monotonic(self) -> float:
        return SystemClock().monotonic()


@pytest.fixture
def media(tmp_path: Path) -> MediaStore:
    return MediaStore(tmp_path / "media")


@pytest.fixture
def retention(site, media: MediaStore):
    def make(by: timedelta, *, live: Live | None = None, tones: Sequence[str] = (), **days: int) -> Retention:
        keep = config.Retention(**({"alerts_days": 1, "chains_days": 5} | days))
        return Retention(keep, store=site.store, live=live or Live(), media=media, tones=tones, clock=Ahead(by))

    return make


async def count(store: Store, table: Table, alert_id: str | None = None) -> int:
    statement = select(func.count()).select_from(table)
    if alert_id is not None:
        statement = statement.where(table.c.alert_id == alert_id)
    async with store.read() as connection:
        return int(await connection.scalar(statement) or 0)


async def removals(store: Store) -> list[tuple[str, Any]]:
    async with store.read() as connection:
        rows = await connection.execute(
            select(audit.c.object, audit.c.detail).where(audit.c.action == "retention.remove").order_by(audit.c.seq)
        )
        return [(row.object, msgspec.json.decode(row.detail)) for row in rows]


async def more_receipts(store: Store, alert_id: str, many: int) -> None:
    columns = [c.name for c in receipt.c]
    rows = [(alert_id, 1, "start", f"E-{n}", int(Progress.SENT), 1, 0, 0, None, "", None, None) for n in range(many)]
    await store.write(lambda c: bulk(c, insert(receipt), rows, columns))


async def test_an_alert_goes_with_its_evidence_and_a_younger_one_stays(site, retention) -> None:
    site.speakers.answers = (Progress.SENT, Progress.RECEIVED, Progress.STARTED, Progress.FINISHED)
    old = await site.intake.submit(site.alert("N"), actor="li")
    young = await site.intake.submit(site.alert("N", lifetime=10 * DAY), actor="li")
    await site.crash()  # whatever the field still had to say is on record now
    kept = [await count(site.store, table, young.alert_id) for table in (alert, delivery)]
    removed = await retention(2 * DAY).sweep()
    assert removed["alert"] == 1
    assert [await count(site.store, table, old.alert_id) for table in (alert, delivery, receipt)] == [0, 0, 0]
    assert [await count(site.store, table, young.alert_id) for table in (alert, delivery)] == kept == [1, 4]
    assert await removals(site.store) == [(old.alert_id, {"what": "alert", "revisions": 1, "filed": 0})]
    with pytest.raises(NotFound):
        await report(site.store, old.alert_id, site.intake.registry)
    acts = await count(site.store, audit)
    assert (await retention(2 * DAY).sweep()).total() == 0
    assert await count(site.store, audit) == acts, "nothing was removed and something was recorded"


async def test_what_is_live_is_never_touched(site, retention) -> None:
    accepted = await site.intake.submit(site.alert("N"), actor="li")
    assert (await retention(900 * DAY, live=site.live).sweep())["alert"] == 0
    assert await count(site.store, delivery, accepted.alert_id) == 4


async def test_for_ever_is_for_ever(site, retention) -> None:
    await site.intake.submit(site.alert("N"), actor="li", idempotency=Idempotency(key="k", fingerprint="f"))
    never = retention(9000 * DAY, alerts_days=0, chains_days=0, media_days=0, idempotency_days=0)
    assert (await never.sweep()).total() == 0
    assert [await count(site.store, t) for t in (alert, chain, idempotency)] == [1, 1, 1]


async def test_a_message_whose_alert_is_gone_does_not_sound_again(site, retention) -> None:
    message = site.alert("N", lifetime=timedelta(minutes=5))
    await site.intake.submit(message, actor="li")
    assert (await retention(2 * DAY).sweep())["alert"] == 1
    with pytest.raises(AlertRejected) as refused:
        await site.intake.submit(message, actor="li")
    assert refused.value.reason is RejectReason.IDENTIFIER_REUSED


async def test_links_cancels_and_answers_go_after_their_own_days(site, retention) -> None:
    first = site.alert("N")
    await site.intake.submit(first, actor="li", idempotency=Idempotency(key="k", fingerprint="f"))
    await site.intake.submit(site.alert("N", msg_type=MsgType.UPDATE, references=(first.reference,)), actor="li")
    await site.intake.submit(site.alert("N", msg_type=MsgType.CANCEL, references=(first.reference,)), actor="li")
    unknown = site.alert("N").reference
    await site.intake.submit(site.alert("N", msg_type=MsgType.CANCEL, references=(unknown,)), actor="li")
    before = [await count(site.store, t) for t in (alert, filed, chain, cancelled, idempotency)]
    assert before == [2, 2, 2, 2, 1]
    await retention(2 * DAY, idempotency_days=9).sweep()
    assert [await count(site.store, t) for t in (alert, filed, chain, cancelled, idempotency)] == [0, 0, 2, 2, 1]
    removed = await retention(10 * DAY, idempotency_days=9).sweep()
    assert removed == {
        "chain": 2, "cancelled": 2, "idempotency": 1, "alert": 0, "filed": 0, "media": 0, "selftest": 0,
        "publicity": 0,
    }  # fmt: skip
    assert [await count(site.store, t) for t in (chain, cancelled, idempotency)] == [0, 0, 0]


async def test_an_alert_is_accepted_in_the_middle_of_a_large_removal(site, retention) -> None:
    old = await site.intake.submit(site.alert("N"), actor="li")
    await more_receipts(site.store, old.alert_id, MANY)
    sweeping = asyncio.create_task(retention(2 * DAY).sweep())
    while await count(site.store, alert):
        assert not sweeping.done()
        await asyncio.sleep(0)
    new = await site.intake.submit(site.alert("S"), actor="li")
    still_sweeping, left = not sweeping.done(), await count(site.store, receipt, old.alert_id)
    await sweeping
    assert still_sweeping
    assert left > 0
    assert await count(site.store, receipt, old.alert_id) == 0
    assert await count(site.store, alert, new.alert_id) == 1


async def test_what_an_interrupted_removal_left_is_removed_by_the_next(site, retention) -> None:
    old = await site.intake.submit(site.alert("N"), actor="li")
    await more_receipts(site.store, old.alert_id, MANY)
    sweeping = asyncio.create_task(retention(2 * DAY).sweep())
    while await count(site.store, alert):
        assert not sweeping.done()
        await asyncio.sleep(0)
    sweeping.cancel()
    await asyncio.gather(sweeping, return_exceptions=True)
    assert await count(site.store, receipt, old.alert_id) > 0
    await retention(2 * DAY).sweep()
    assert await count(site.store, receipt, old.alert_id) == 0
    assert await count(site.store, delivery, old.alert_id) == 0
    async with site.store.read() as connection:
        facts = (await connection.execute(select(fact.c.name))).scalars().all()
    assert not [name for name in facts if name.startswith("remains:")]


async def test_announcements_of_old_alerts_go_and_nothing_else_does(site, retention, media: MediaStore) -> None:
    say: list[MediaFile] = []

    async def speak(words: Sequence[Words], _level: Level, _clip: str | None) -> Spoken:
        audio = say[-1].reference("http://media.invalid", timedelta(seconds=3))
        return Spoken(tone="attention-1", audio=audio, text=tuple((w.language, w.text) for w in words))

    await site.crash()
    site.speak = speak
    await site.start()
    only_old, shared, tone, upload, used = (media.put(bytes([n]), "audio/mpeg") for n in range(5))
    for file, lifetime in ((only_old, DAY), (shared, DAY), (tone, DAY), (used, DAY), (shared, 90 * DAY)):
        say.append(file)
        await site.intake.submit(site.alert("N", lifetime=lifetime), actor="li")
    later = retention(40 * DAY, tones=[tone.sha256], alerts_days=400, chains_days=800, media_days=30)
    in_use_until = to_ms(SystemClock().now() + 20 * DAY) / 1000
    os.utime(used.path, (in_use_until, in_use_until))
    removed = await later.sweep()
    assert removed["media"] == 1
    assert {p.name for p in only_old.path.parent.iterdir()} == {f.name for f in (shared, tone, upload, used)}
    assert await removals(site.store) == [("retention", {"what": "media", "count": 1, "files": [only_old.sha256]})]
    assert await count(site.store, alert) == 5


async def test_a_clock_that_jumps_ahead_does_not_empty_the_archive(site, retention) -> None:
    await site.intake.submit(site.alert("N"), actor="li")
    assert (await retention(timedelta()).sweep()).total() == 0
    for hours in (0, 1, 23):
        assert (await retention(500 * DAY + timedelta(hours=hours)).sweep()).total() == 0
    assert await count(site.store, alert) == 1
    assert (await retention(501 * DAY + timedelta(hours=1)).sweep())["alert"] == 1


async def test_a_clock_that_was_set_back_is_no_reason_to_wait(site, retention) -> None:
    await site.intake.submit(site.alert("N"), actor="li")
    far = to_ms(SystemClock().now() + 9000 * DAY)

    async def write(connection: AsyncConnection) -> None:
        await connection.execute(insert(fact).values(name="retention", value=str(far)))

    await site.store.write(write)
    assert from_ms(far) > SystemClock().now()
    assert (await retention(2 * DAY).sweep())["alert"] == 1


def test_links_are_never_kept_shorter_than_the_alerts() -> None:
    config.Retention(alerts_days=0, chains_days=0)
    config.Retention(alerts_days=400, chains_days=0)
    for alerts, chains in ((400, 399), (0, 800)):
        with pytest.raises(ValidationError):
            config.Retention(alerts_days=alerts, chains_days=chains)


async def test_programmes_go_after_their_own_days_and_alerts_stay(site, retention) -> None:
    from broadcast_core.intake.direct import Message
    from broadcast_core.model import Channel, Domain, MessageKind, Mode, ModeChange

    now = site.clock.now()
    alert_id = (await site.intake.submit(site.alert("N"), actor="duty")).alert_id
    # Whatever a slot's message carries, it is its kind that decides how long it is kept.
    order = ModeChange(
        alert_id="oslot", revision=1, domain=Domain.LIVE, mode=Mode.PEACETIME, issued_at=now,
        expires=now + timedelta(minutes=10), actor="x",
    )  # fmt: skip
    await site.direct.open(
        [
            Message(
                kind=MessageKind.SLOT,
                alert_id="oslot",
                revision=1,
                starts={Channel.SPEAKER: order},
                targets=site.intake.registry.ordered(Channel.SPEAKER),
                expires=order.expires,
                actor="x",
                title="x",
            )
        ]
    )
    for live in list(site.live):
        site.live.forget(live)
    later = retention(10 * DAY, alerts_days=400, chains_days=800, publicity_days=5)
    removed = await later.sweep()
    assert removed["publicity"] == 1
    assert [await count(site.store, table, "oslot") for table in (alert, delivery, receipt)] == [0, 0, 0]
    assert await count(site.store, alert, alert_id) == 1
