"""The runner: what should be on the speakers and what is, made the same.

It looks at the whole of the next day and compares by endpoint, so that it does not matter what happened since: an
edit, a holiday, an import, a restart, a core that was away. What is missing is opened, what is too much withdrawn; an
endpoint that has the right thing is left alone. Everything goes through `intake.direct`, like any message.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections import Counter, defaultdict
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Final

import msgspec
import structlog
from sqlalchemy import Select, insert, select
from sqlalchemy.ext.asyncio import AsyncConnection

from broadcast_core import audit
from broadcast_core.aside import aside
from broadcast_core.clock import Clock, to_ms
from broadcast_core.errors import StorageFailed
from broadcast_core.intake.direct import Direct, Message
from broadcast_core.live import Live
from broadcast_core.model import (
    Channel,
    Endpoint,
    LateRule,
    MessageKind,
)
from broadcast_core.registry import Registry
from broadcast_core.store import Store
from broadcast_core.store.schema import alert as alert_table
from broadcast_core.store.schema import occurrence as occurrence_table
from scheduler.day import Circumstances, Sent
from scheduler.local_time import local_date
from scheduler.sending import ACTOR, message_id, start_of
from scheduler.what_plays import messages

log = structlog.get_logger(__name__)

AHEAD: Final = timedelta(hours=26)  # the next day, and time to fetch it after the core comes back
# What a speaker's flash holds at least (rule 22 of its protocol). What it does not hold would be in its orders at
# every hello, and a schedule of thousands would keep the core signing. The rest is sent when it has come nearer.
MOST_AHEAD: Final = 64
_LOOK_EVERY_S: Final = 60.0
_RETRY_S: Final = 2.0
_GATHER_S: Final = 0.2  # edits that come together are one look
_DAY: Final = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Wanted:
    """One occurrence as some endpoints should have it. `digest` is over everything that the field would notice."""

    sent: Sent
    digest: str
    endpoints: tuple[Endpoint, ...]


class Runner:
    """`run` until cancelled; `look` says that something may have changed."""

    def __init__(
        self,
        circumstances: Callable[[], Awaitable[Circumstances]],
        *,
        direct: Direct,
        live: Live,
        store: Store,
        registry: Callable[[], Registry],
        clock: Clock,
    ) -> None:
        self._circumstances = circumstances
        self._direct = direct
        self._live = live
        self._store = store
        self._registry = registry
        self._clock = clock
        self._woken = asyncio.Event()
        self._digests: dict[tuple[str, int], str] = {}  # of what was sent, by message and revision
        self._newest: dict[str, int] = {}
        self._skipped: set[str] = set()
        self._stopped: set[str] = set()  # messages that somebody has stopped: nothing brings them back
        self.looks = 0  # how often everything was compared; for tests and metrics

    def look(self) -> None:
        """Something may have changed."""
        self._woken.set()

    async def load(self) -> None:
        """Read what was sent before; once, at the start."""
        since = to_ms(self._clock.now() - _DAY)
        o = occurrence_table.c
        async with self._store.read() as connection:
            rows = (await connection.execute(select(occurrence_table).where(o.expires > since))).all()
            stopped = [row.alert_id for row in await connection.execute(_stopped_since(since))]
        for row in rows:
            self._note(row.alert_id, row.revision, row.digest)
            if row.outcome == "skipped":
                self._skipped.add(row.key)
        self._stopped.update(stopped)

    async def run(self) -> None:
        while True:
            self._woken.clear()
            try:
                await self.reconcile()
                wait = _LOOK_EVERY_S
            except StorageFailed as error:
                log.error("the schedule is not on its way yet", detail=error.detail)  # noqa: TRY400
                wait = _RETRY_S
            try:
                async with asyncio.timeout(wait):
                    await self._woken.wait()
                await asyncio.sleep(_GATHER_S)
            except TimeoutError:
                pass

    async def reconcile(self) -> None:
        """Compare, open and withdraw. Raises StorageFailed; what was done until then is durable."""
        now, registry = self._clock.now(), self._registry()
        wanted = await aside(desired, await self._circumstances(), registry, now)
        for alert_id in self._sent_ahead(now):
            if alert_id not in wanted:
                await self._withdraw(alert_id, self._live.told(alert_id))
        for alert_id, variants in wanted.items():
            if not self._is_stopped(alert_id):
                await self._settle(alert_id, variants, now)
        self.looks += 1

    def _is_stopped(self, alert_id: str) -> bool:
        """Whether somebody has stopped it. What the runner takes back itself is not stopped."""
        if any(live.ended for live in self._live.revisions(alert_id)):
            self._stopped.add(alert_id)  # also when it is no longer live
        return alert_id in self._stopped

    def _sent_ahead(self, now: datetime) -> list[str]:
        """The occurrences that are live and not over."""
        return list(dict.fromkeys(a.alert_id for a in self._live if a.kind is MessageKind.SLOT and a.expires > now))

    async def _settle(self, alert_id: str, variants: Iterable[Wanted], now: datetime) -> None:
        told = self._live.told(alert_id)
        excess = dict(told)
        for variant in variants:
            lacking = []
            for endpoint in variant.endpoints:
                revision = told.get(endpoint.id)
                excess.pop(endpoint.id, None)
                if revision is None or self._digests.get((alert_id, revision)) != variant.digest:
                    lacking.append(endpoint)
            if lacking:
                await self._open(alert_id, variant.sent, variant.digest, lacking, now)
        if excess:
            await self._withdraw(alert_id, excess)

    async def _open(self, alert_id: str, sent: Sent, digest: str, endpoints: list[Endpoint], now: datetime) -> None:
        key = sent.occurrence.key
        late = now > sent.occurrence.starts_at + sent.slot.grace and sent.slot.late is LateRule.SKIP
        if late and alert_id not in self._newest:
            await self._skip(alert_id, sent, digest, now)
            return
        if key in self._skipped:
            return
        revision = self._newest.get(alert_id, 0) + 1
        message = Message(
            kind=MessageKind.SLOT,
            alert_id=alert_id,
            revision=revision,
            starts={Channel.SPEAKER: start_of(alert_id, revision, sent)},
            targets=endpoints,
            expires=sent.expires,
            actor=ACTOR,
            title=sent.slot.name,
            detail={"occurrence": key, "starts_at": sent.occurrence.starts_at.isoformat()},
        )
        await self._direct.open([message], lambda c: _insert(c, alert_id, revision, sent, digest, "sent", now))
        self._note(alert_id, revision, digest)

    async def _skip(self, alert_id: str, sent: Sent, digest: str, now: datetime) -> None:
        """Its start was missed by more than its grace, and it is not to be joined: on record, and never again."""

        async def job(connection: AsyncConnection) -> None:
            await _insert(connection, alert_id, 0, sent, digest, "skipped", now)
            detail = {"occurrence": sent.occurrence.key, "starts_at": sent.occurrence.starts_at.isoformat()}
            await audit.record(connection, now=now, actor=ACTOR, action="slot.skip", object_=alert_id, detail=detail)

        if sent.occurrence.key not in self._skipped:
            await self._store.write(job)
            self._skipped.add(sent.occurrence.key)
            log.warning("skipped, too late", occurrence=sent.occurrence.key)

    async def _withdraw(self, alert_id: str, told: Mapping[str, int]) -> None:
        if told:
            await self._direct.withdraw(alert_id, told, actor=ACTOR, cause="withdrawn")

    def _note(self, alert_id: str, revision: int, digest: str) -> None:
        if revision > 0:
            self._digests[alert_id, revision] = digest
            self._newest[alert_id] = max(revision, self._newest.get(alert_id, 0))


def desired(circumstances: Circumstances, registry: Registry, now: datetime) -> dict[str, list[Wanted]]:
    """What should be on which speakers, by message: all that begins within `AHEAD` and is not over. Pure.

    Quiet hours, budgets and expiry are in it already; the mode is not, because a speaker keeps that itself and has to
    know what would be playing when it ends.
    """
    first, last = local_date(now, circumstances.tz) - _DAY, local_date(now + AHEAD, circumstances.tz)
    zones: dict[tuple[str, str], list[str]] = defaultdict(list)
    sents: dict[tuple[str, str], Sent] = {}
    for n in range((last - first).days + 1):
        for message in messages(circumstances, first + n * _DAY):
            sent = message.sent
            if sent.expires > now and sent.occurrence.starts_at <= now + AHEAD:
                which = message_id(sent.occurrence.key), digest_of(sent)
                zones[which] += message.zones
                sents[which] = sent
    speakers: dict[str, list[Endpoint]] = defaultdict(list)
    for endpoint in registry.ordered(Channel.SPEAKER):
        if endpoint.enabled:
            speakers[endpoint.zone].append(endpoint)
    found: dict[str, list[Wanted]] = defaultdict(list)
    for (alert_id, digest), codes in _nearest(zones, sents).items():
        endpoints = tuple(e for code in codes for e in speakers.get(code, ()))
        if endpoints:
            found[alert_id].append(Wanted(sents[alert_id, digest], digest, endpoints))
    return dict(found)


def _nearest(
    zones: Mapping[tuple[str, str], Sequence[str]], sents: Mapping[tuple[str, str], Sent]
) -> dict[tuple[str, str], list[str]]:
    """For each zone only its next `MOST_AHEAD` occurrences."""
    counts: Counter[str] = Counter()
    found: dict[tuple[str, str], list[str]] = {}
    for which in sorted(zones, key=lambda w: (sents[w].occurrence.starts_at, sents[w].occurrence.key, w)):
        near = [code for code in zones[which] if counts[code] < MOST_AHEAD]
        counts.update(near)
        found[which] = near
    return found


def digest_of(sent: Sent) -> str:
    """SHA-256 over everything of an occurrence that the field would notice."""
    content = [
        sent.occurrence.starts_at,
        sent.expires,
        sent.volume,
        int(sent.slot.authority),
        sent.slot.late.value,
        sent.slot.grace,
        [(c.item_id, c.audio.sha256, c.offset, c.resume.value) for c in sent.clips],
    ]
    return hashlib.sha256(msgspec.json.encode(content)).hexdigest()


def _stopped_since(since: int) -> Select[tuple[str]]:
    a = alert_table.c
    return select(a.alert_id).where(a.kind == MessageKind.SLOT.value, a.expires > since, a.ended_at.is_not(None))


async def _insert(
    connection: AsyncConnection, alert_id: str, revision: int, sent: Sent, digest: str, outcome: str, now: datetime
) -> None:
    await connection.execute(
        insert(occurrence_table).values(
            alert_id=alert_id,
            revision=revision,
            key=sent.occurrence.key,
            slot_id=sent.slot.id,
            date=_iso(sent.occurrence.date),
            starts_at=to_ms(sent.occurrence.starts_at),
            expires=to_ms(sent.expires),
            digest=digest,
            outcome=outcome,
            created_at=to_ms(now),
        )
    )


def _iso(when: date) -> str:
    return when.isoformat()
