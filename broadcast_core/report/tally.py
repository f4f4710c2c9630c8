"""From evidence to numbers. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Final

from broadcast_core.clock import from_ms, to_ms
from broadcast_core.model import Channel, DeliveryKind, Progress, Reason
from broadcast_core.registry import Registry
from broadcast_core.report.evidence import Evidence
from broadcast_core.report.shape import (
    RUNGS,
    STATE_OF,
    TIMED,
    Count,
    Moment,
    Row,
    Rung,
    Silence,
    Silenced,
    Spread,
    State,
    Unproven,
)

_MEDIAN: Final = 0.5
_MOST: Final = 0.95


def count_channels(starts: Iterable[Evidence], accepted_at: datetime) -> dict[Channel, Count]:
    """The numbers of each channel that has targets, in the order of `Channel`."""
    by_channel: dict[Channel, list[Evidence]] = {}
    for evidence in starts:
        by_channel.setdefault(evidence.channel, []).append(evidence)
    return {c: count(by_channel[c], RUNGS[c], accepted_at) for c in Channel if c in by_channel}


def count(deliveries: Sequence[Evidence], rungs: Sequence[Rung], accepted_at: datetime) -> Count:
    """The numbers of some deliveries of one message."""
    real = [e for e in deliveries if not e.simulated]
    return Count(
        targets=len(deliveries),
        simulated=len(deliveries) - len(real),
        rungs=_reached(deliveries, rungs),
        proof=_reached(real, rungs),
        states=states_of(e.progress for e in deliveries),
        failed=_reasons(deliveries, Progress.FAILED),
        expired=_reasons(deliveries, Progress.EXPIRED),
        seconds={rung: s for rung in TIMED if rung in rungs and (s := _spread_of(deliveries, rung, accepted_at))},
        attempts=sum(e.attempts for e in deliveries),
        retried=sum(e.attempts > 1 for e in deliveries),
        possible_duplicates=sum(e.possible_duplicate for e in deliveries),
    )


def states_of(progresses: Iterable[Progress]) -> dict[State, int]:
    """How many deliveries stand where; every state is there, and their sum is the number of deliveries."""
    states = dict.fromkeys(State, 0)
    for progress, n in Counter(progresses).items():
        states[STATE_OF[progress]] += n
    return states


def silence_of(stops: Sequence[Evidence], acted_at: datetime, registry: Registry) -> Silence | None:
    """How much of a stop is proven. None if nobody had to be told."""
    if not stops:
        return None
    by_channel = {channel: [e for e in stops if e.channel is channel] for channel in Channel}
    return Silence(
        channels={channel: _silenced(told, acted_at) for channel, told in by_channel.items() if told},
        total=_silenced(stops, acted_at),
        unproven=tuple(_unproven(e, registry) for e in stops if e.progress < Progress.FINISHED),
    )


def moments_of(starts: Iterable[Evidence]) -> list[Moment]:
    """The first and the last evidence of each rung on each channel of a message."""
    instants: dict[tuple[int, Channel, Rung], list[int]] = {}
    for evidence in starts:
        for rung in TIMED:
            if rung in evidence.recorded:
                where = (evidence.revision, evidence.channel, rung)
                instants.setdefault(where, []).append(evidence.recorded[rung])
    return [
        Moment(at=from_ms(pick(found)), what=f"{word}_{rung}", revision=revision, channel=channel)
        for (revision, channel, rung), found in instants.items()
        for word, pick in (("first", min), ("last", max))
    ]


def row_of(evidence: Evidence, registry: Registry, zone_names: Mapping[str, str]) -> Row:
    """One delivery for people to read."""
    endpoint = registry.endpoints.get(evidence.endpoint_id)
    zone = endpoint.zone if endpoint else ""
    return Row(
        revision=evidence.revision,
        kind=evidence.kind,
        endpoint_id=evidence.endpoint_id,
        channel=evidence.channel,
        zone=zone,
        zone_name=zone_names.get(zone, ""),
        name=endpoint.name if endpoint else "",
        simulated=evidence.simulated,
        state=STATE_OF[evidence.progress],
        reason=evidence.reason,
        detail=evidence.detail,
        attempts=evidence.attempts,
        via=evidence.via,
        possible_duplicate=evidence.possible_duplicate,
        played_seconds=None if evidence.played is None else evidence.played.total_seconds(),
        rungs=evidence.marks(),
    )


def starts_among(evidence: Iterable[Evidence], revision: int) -> list[Evidence]:
    return [e for e in evidence if e.revision == revision and e.kind is DeliveryKind.START]


def stops_among(evidence: Iterable[Evidence], revision: int) -> list[Evidence]:
    return [e for e in evidence if e.revision == revision and e.kind is DeliveryKind.STOP]


def _reached(deliveries: Iterable[Evidence], rungs: Iterable[Rung]) -> dict[Rung, int]:
    reached = Counter(rung for evidence in deliveries for rung in evidence.recorded)
    return {rung: reached[rung] for rung in rungs}


def _reasons(deliveries: Iterable[Evidence], progress: Progress) -> dict[Reason, int]:
    found = Counter(e.reason for e in deliveries if e.progress is progress)
    return {reason: found[reason] for reason in Reason if reason in found}


def _spread_of(deliveries: Iterable[Evidence], rung: Rung, since: datetime) -> Spread | None:
    start = to_ms(since)
    seconds = sorted((e.recorded[rung] - start) / 1000 for e in deliveries if rung in e.recorded)
    if not seconds:
        return None
    return Spread(first=seconds[0], median=_nearest(seconds, _MEDIAN), p95=_nearest(seconds, _MOST), last=seconds[-1])


def _nearest(ordered: Sequence[float], share: float) -> float:
    """The smallest value that at least `share` of all do not exceed (nearest rank)."""
    rank = -(-len(ordered) * share // 1)
    return ordered[max(int(rank), 1) - 1]


def _silenced(stops: Sequence[Evidence], acted_at: datetime) -> Silenced:
    proven = [e for e in stops if e.progress >= Progress.FINISHED]
    return Silenced(told=len(stops), proven=len(proven), seconds=_spread_of(proven, Rung.FINISHED, acted_at))


def _unproven(evidence: Evidence, registry: Registry) -> Unproven:
    endpoint = registry.endpoints.get(evidence.endpoint_id)
    return Unproven(
        endpoint_id=evidence.endpoint_id,
        channel=evidence.channel,
        zone=endpoint.zone if endpoint else "",
        name=endpoint.name if endpoint else "",
        state=STATE_OF[evidence.progress],
        reason=evidence.reason,
    )
