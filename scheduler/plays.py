"""Proof of play: what the speakers themselves summed up, by occurrence, by item and by zone. Read only.

A speaker's sum comes with its final receipt for an occurrence, under its own key. What nobody has proven is in no
number but `owed`; what is simulated is counted apart and proves nothing.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from typing import Any

import msgspec
from sqlalchemy import and_, select
from sqlalchemy.ext.asyncio import AsyncConnection

from broadcast_core.aside import aside
from broadcast_core.clock import from_ms
from broadcast_core.model import Channel, DeliveryKind, ItemPlay, Progress, Reason
from broadcast_core.registry import Registry
from broadcast_core.store import Store
from broadcast_core.store.schema import delivery, occurrence, receipt

_plays: msgspec.json.Decoder[list[ItemPlay]] = msgspec.json.Decoder(list[ItemPlay])


@dataclass(kw_only=True, slots=True)
class ItemSum:
    """One item: how many times it was played to its end, for how long altogether, on which speakers."""

    times: int = 0
    played: timedelta = timedelta()
    speakers: set[str] = field(default_factory=set)
    simulated: set[str] = field(default_factory=set)  # of these speakers
    reasons: Counter[Reason] = field(default_factory=Counter)  # why it was not played to its end


@dataclass(kw_only=True, slots=True)
class OccurrenceSum:
    """One occurrence. `targets` = `proven` + `owed` + `failed` + `withdrawn`, at every moment."""

    key: str
    slot_id: str
    date: date
    starts_at: datetime
    expires: datetime
    skipped: bool = False  # nobody was told: it was too late
    targets: int = 0
    proven: int = 0
    owed: int = 0  # not over, or not reported yet
    failed: int = 0
    withdrawn: int = 0
    simulated: int = 0  # of the targets
    reasons: Counter[Reason] = field(default_factory=Counter)
    items: dict[str, ItemSum] = field(default_factory=lambda: defaultdict(ItemSum))


@dataclass(frozen=True, kw_only=True, slots=True)
class PlaysReport:
    """Days from `first` to `last`, both included. `zones` are minutes of proven sound, by community, all speakers."""

    first: date
    last: date
    occurrences: tuple[OccurrenceSum, ...]
    items: Mapping[str, ItemSum]
    zones: Mapping[str, float]


async def plays_report(
    store: Store, registry: Registry, first: date, last: date, zone: str | None = None
) -> PlaysReport:
    """What was played in a zone (or everywhere) on these local dates. Raises NotFound for an unknown zone."""
    among = None if zone is None else {e.id for e in registry.members(zone, Channel.SPEAKER)}
    async with store.read() as connection:
        occurrences = await _occurrences(connection, first, last)
        deliveries = await _deliveries(connection, first, last)
        sums = await _sums(connection, first, last)
    zone_of = {e.id: e.zone for e in registry.ordered(Channel.SPEAKER)}
    return await aside(_add_up, first, last, occurrences, deliveries, sums, among, zone_of)


def _between(first: date, last: date) -> Any:
    return occurrence.c.date.between(first.isoformat(), last.isoformat())


async def _occurrences(connection: AsyncConnection, first: date, last: date) -> Sequence[Any]:
    statement = select(occurrence).where(_between(first, last)).order_by(occurrence.c.starts_at, occurrence.c.key)
    return (await connection.execute(statement)).all()


async def _deliveries(connection: AsyncConnection, first: date, last: date) -> Sequence[Any]:
    d, o = delivery.c, occurrence.c
    statement = (
        select(o.key, d.endpoint_id, d.revision, d.progress, d.reason, d.simulated)
        .join(delivery, and_(d.alert_id == o.alert_id, d.revision == o.revision))
        .where(_between(first, last), d.kind == DeliveryKind.START.value)
        .order_by(d.revision)
    )
    return (await connection.execute(statement)).all()


async def _sums(connection: AsyncConnection, first: date, last: date) -> Sequence[Any]:
    r, o = receipt.c, occurrence.c
    statement = (
        select(o.key, r.endpoint_id, r.revision, r.plays)
        .join(receipt, and_(r.alert_id == o.alert_id, r.revision == o.revision))
        .where(_between(first, last), r.kind == DeliveryKind.START.value, r.plays.is_not(None))
        .order_by(r.progress)
    )
    return (await connection.execute(statement)).all()


def _add_up(
    first: date,
    last: date,
    occurrences: Sequence[Any],
    deliveries: Sequence[Any],
    sums: Sequence[Any],
    among: Collection[str] | None,
    zone_of: Mapping[str, str],
) -> PlaysReport:
    found: dict[str, OccurrenceSum] = {}
    for row in occurrences:
        known = found.setdefault(
            row.key,
            OccurrenceSum(
                key=row.key,
                slot_id=row.slot_id,
                date=date.fromisoformat(row.date),
                starts_at=from_ms(row.starts_at),
                expires=from_ms(row.expires),
            ),
        )
        known.expires = max(known.expires, from_ms(row.expires))
        known.skipped |= row.outcome == "skipped"
    simulated = _count(found, deliveries, among)
    items: dict[str, ItemSum] = defaultdict(ItemSum)
    zones: defaultdict[str, float] = defaultdict(float)
    # One revision's final receipt may have come twice, by two rungs: the higher rung is the later word.
    final = {(row.key, row.endpoint_id, row.revision): row.plays for row in sums}
    for (key, endpoint, _revision), text in final.items():
        if among is not None and endpoint not in among:
            continue
        for play in _plays.decode(text):
            for into in (found[key].items[play.item_id], items[play.item_id]):
                _add(into, play, endpoint)
                if endpoint in simulated:
                    into.simulated.add(endpoint)
            zones[zone_of.get(endpoint, "")] += play.played / timedelta(minutes=1)
    return PlaysReport(
        first=first,
        last=last,
        occurrences=tuple(found.values()),
        items=dict(items),
        zones={zone: round(minutes, 2) for zone, minutes in sorted(zones.items())},
    )


def _count(found: Mapping[str, OccurrenceSum], deliveries: Sequence[Any], among: Collection[str] | None) -> set[str]:
    """Where each speaker stands with its newest revision; returns the simulated ones."""
    newest = {(row.key, row.endpoint_id): row for row in deliveries}  # by revision, so the last one stays
    simulated = set()
    for (key, endpoint), row in newest.items():
        if among is not None and endpoint not in among:
            continue
        of, progress = found[key], Progress(row.progress)
        of.targets += 1
        if row.simulated:
            of.simulated += 1
            simulated.add(endpoint)
        if progress >= Progress.FINISHED:
            of.proven += 1
        elif progress is Progress.STOPPED:
            of.withdrawn += 1
        elif progress.ended:
            of.failed += 1
            of.reasons[Reason(row.reason) if row.reason else Reason.NO_ANSWER] += 1
        else:
            of.owed += 1
    return simulated


def _add(into: ItemSum, play: ItemPlay, endpoint: str) -> None:
    into.times += play.times
    into.played += play.played
    into.speakers.add(endpoint)
    if play.reason is not None:
        into.reasons[play.reason] += 1
