"""The whole report of one alert."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from broadcast_core.aside import aside
from broadcast_core.errors import NotFound
from broadcast_core.model import DeliveryKind
from broadcast_core.registry import Registry
from broadcast_core.report import tally
from broadcast_core.report.evidence import Evidence, read_evidence
from broadcast_core.report.messages import Message, read_acts, read_filed, read_messages
from broadcast_core.report.shape import Report, Revision, Row, Rung
from broadcast_core.store import Store


async def report(
    store: Store, alert_id: str, registry: Registry, *, language: str = "en", rows: bool = True
) -> Report:
    """Everything about an alert as the database has it at one instant. Raises NotFound, StorageFailed.

    Names come from `registry`, notes are said in `language`; without `rows` the single deliveries are left out.
    """
    async with store.read() as connection:
        messages = await read_messages(connection, alert_id)
        filed = await read_filed(connection, alert_id)
        if not messages and not filed:
            raise NotFound("alert", alert_id)
        evidence = await read_evidence(connection, alert_id)
        acts = await read_acts(connection, alert_id)

    def counted() -> Report:
        starts = [e for e in evidence if e.kind is DeliveryKind.START]
        return Report(
            alert_id=alert_id,
            complete=all(e.progress.ended for e in evidence),
            revisions=tuple(_revision(message, evidence, registry, language) for message in messages),
            filed=tuple(filed),
            timeline=tuple(sorted([*acts, *tally.moments_of(starts)], key=lambda moment: moment.at)),
            deliveries=rows_of(evidence, registry) if rows else (),
        )

    # Some ten milliseconds of counting: an alert that is accepted meanwhile must not wait for them.
    return await aside(counted)


def rows_of(evidence: Iterable[Evidence], registry: Registry) -> tuple[Row, ...]:
    """The deliveries for people to read."""
    names = {zone.code: zone.name_zh for zone in registry.zones.values()}
    return tuple(tally.row_of(e, registry, names) for e in evidence)


def _revision(message: Message, evidence: Sequence[Evidence], registry: Registry, language: str) -> Revision:
    starts = tally.starts_among(evidence, message.revision)
    stops = tally.stops_among(evidence, message.revision)
    stopped_at = message.ended.at if message.ended else message.accepted_at
    return Revision(
        revision=message.revision,
        identifier=message.identifier,
        sender=message.sender,
        sent=message.sent,
        msg_type=message.msg_type,
        event=message.event,
        headline=message.headline,
        area=message.area,
        accepted_at=message.accepted_at,
        expires=message.expires,
        actor=message.actor,
        approval=message.approval,
        approved_by=message.approved_by,
        notes=tuple(sentence.say(language) for sentence in message.notes),
        channels=tally.count_channels(starts, message.accepted_at),
        total=tally.count(starts, tuple(Rung), message.accepted_at),
        ended=message.ended,
        silence=tally.silence_of(stops, stopped_at, registry),
    )
