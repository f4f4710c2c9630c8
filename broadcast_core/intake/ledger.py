"""One accepted message, whole, into the database: a job for `Store.write`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

import msgspec
from sqlalchemy import insert, select
from sqlalchemy.ext.asyncio import AsyncConnection

from broadcast_core import audit, cap, outbox
from broadcast_core.clock import from_ms, to_ms
from broadcast_core.errors import AlertRejected, RejectReason
from broadcast_core.i18n import Sentence, _
from broadcast_core.intake import memory
from broadcast_core.lifecycle import Lesson
from broadcast_core.model import Alert, Channel, Endpoint, MsgType, Plan, Progress, Start, Stop
from broadcast_core.model.form import encode_starts
from broadcast_core.plan import Expression, to_builtins
from broadcast_core.services import Accepted, Idempotency
from broadcast_core.store.schema import alert as alert_table
from broadcast_core.store.schema import filed as filed_table
from broadcast_core.store.schema import idempotency as idempotency_table


@dataclass(frozen=True, kw_only=True, slots=True)
class Entry:
    """Everything that becomes durable together."""

    alert: Alert
    actor: str
    accepted: Accepted
    outcome: str
    lesson: Lesson
    plan: Plan | None  # None: nothing of this message sounds
    starts: Mapping[Channel, Start]
    expression: Expression | None
    expires: datetime
    stops: Sequence[tuple[Stop, Plan]]
    idempotency: Idempotency | None


async def enter(connection: AsyncConnection, entry: Entry) -> None:
    """Store the message, its deliveries, what it ends, what it taught, who did it, and the answer.

    The deliveries are claimed in this same transaction: intake hands them to dispatch as soon as it is durable.
    """
    now = entry.accepted.accepted_at
    await memory.remember(connection, entry.lesson)
    for stop, plan in entry.stops:
        await outbox.end(connection, stop)
        await outbox.put(connection, plan, expires=stop.expires, now=now, progress=Progress.CLAIMED)
    if entry.plan is None:
        await _file(connection, entry, now)
    else:
        await _insert_alert(connection, entry, now)
        await outbox.put(connection, entry.plan, expires=entry.expires, now=now, progress=Progress.CLAIMED)
    await audit.record(
        connection,
        now=now,
        actor=entry.actor,
        action=f"alert.{entry.outcome}",
        object_=entry.accepted.alert_id,
        detail={
            "identifier": entry.alert.identifier,
            "sender": entry.alert.sender,
            "revision": entry.accepted.revision,
            "msg_type": entry.alert.msg_type,
            "targets": {channel.value: n for channel, n in entry.accepted.targets.items()},
            "ended": entry.accepted.ended,
        },
    )
    if entry.idempotency is not None:
        await connection.execute(
            insert(idempotency_table).values(
                actor=entry.actor,
                key=entry.idempotency.key,
                fingerprint=entry.idempotency.fingerprint,
                answer=msgspec.json.encode(entry.accepted).decode(),
                created_at=to_ms(now),
            )
        )


async def earlier_answer(connection: AsyncConnection, actor: str, idempotency: Idempotency) -> Accepted | None:
    """What this request was answered before. Raises AlertRejected if the key stood for another request."""
    t = idempotency_table.c
    statement = select(t.fingerprint, t.answer).where(t.actor == actor, t.key == idempotency.key)
    row = (await connection.execute(statement)).first()
    if row is None:
        return None
    if row.fingerprint != idempotency.fingerprint:
        raise AlertRejected(
            RejectReason.IDEMPOTENCY_KEY_REUSED,
            _("The Idempotency-Key {key} was used for another request: take a new one.", key=idempotency.key),
            "Idempotency-Key",
        )
    return replace(msgspec.json.decode(row.answer, type=Accepted, strict=False), repeated=True)


async def same_message(connection: AsyncConnection, alert: Alert) -> Accepted | None:
    """The answer to a message that was accepted before. Raises AlertRejected if its content is another."""
    for table in (alert_table, filed_table):
        t = table.c
        row = (
            await connection.execute(
                select(table).where(
                    t.sender == alert.sender, t.identifier == alert.identifier, t.sent == to_ms(alert.sent)
                )
            )
        ).first()
        if row is None:
            continue
        if cap.parse_json(row.cap.encode()) != alert:
            raise AlertRejected(
                RejectReason.IDENTIFIER_REUSED,
                _("Another message was accepted as {identifier} of {sender}: give this one its own identifier.",
                  identifier=alert.identifier, sender=alert.sender),
                "identifier",
            )  # fmt: skip
        is_alert = table is alert_table
        return Accepted(
            alert_id=row.alert_id,
            revision=row.revision if is_alert else 0,
            msg_type=MsgType(row.msg_type),
            accepted_at=from_ms(row.accepted_at if is_alert else row.filed_at),
            targets={},
            simulated=0,
            unreachable=0,
            notes=(_("This message had been accepted before."),),
            repeated=True,
        )
    return None


def targets_of(plan: Plan) -> tuple[Endpoint, ...]:
    """Everyone a plan is meant for, the unreachable included."""
    return tuple(d.endpoint for d in plan.deliveries) + tuple(u.endpoint for u in plan.unreachable)


def notes_text(notes: Sequence[Sentence]) -> str:
    """Sentences as JSON, to be said in the reader's language later."""
    return msgspec.json.encode([{"msgid": n.msgid, "values": n.values} for n in notes], enc_hook=str).decode()


async def _insert_alert(connection: AsyncConnection, entry: Entry, now: datetime) -> None:
    expression = None if entry.expression is None else to_builtins(entry.expression)
    await connection.execute(
        insert(alert_table).values(
            alert_id=entry.accepted.alert_id,
            revision=entry.accepted.revision,
            sender=entry.alert.sender,
            identifier=entry.alert.identifier,
            sent=to_ms(entry.alert.sent),
            msg_type=entry.alert.msg_type.value,
            cap=cap.encode_json(entry.alert).decode(),
            expression=msgspec.json.encode(expression).decode(),
            notes=notes_text(entry.accepted.notes),
            accepted_at=to_ms(now),
            expires=to_ms(entry.expires),
            actor=entry.actor,
            starts=encode_starts(entry.starts),
        )
    )


async def _file(connection: AsyncConnection, entry: Entry, now: datetime) -> None:
    await connection.execute(
        insert(filed_table).values(
            sender=entry.alert.sender,
            identifier=entry.alert.identifier,
            sent=to_ms(entry.alert.sent),
            alert_id=entry.accepted.alert_id,
            msg_type=entry.alert.msg_type.value,
            outcome=entry.outcome,
            cap=cap.encode_json(entry.alert).decode(),
            filed_at=to_ms(now),
            actor=entry.actor,
        )
    )
