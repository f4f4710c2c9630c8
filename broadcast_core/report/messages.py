"""What the database knows of an alert's messages and of the acts on them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import msgspec
from sqlalchemy import RowMapping, literal, select
from sqlalchemy.ext.asyncio import AsyncConnection

from broadcast_core import cap
from broadcast_core.clock import from_ms
from broadcast_core.errors import NotFound
from broadcast_core.i18n import Sentence
from broadcast_core.model import Alert, MessageKind, MsgType
from broadcast_core.plan import Expression, format_area
from broadcast_core.report.shape import Ended, Filed, Moment
from broadcast_core.store import Store
from broadcast_core.store.schema import alert as alert_table
from broadcast_core.store.schema import audit as audit_table
from broadcast_core.store.schema import filed as filed_table


@dataclass(frozen=True, kw_only=True, slots=True)
class Message:
    """One row of the alert table, read."""

    alert_id: str
    revision: int
    identifier: str
    sender: str
    sent: datetime
    msg_type: MsgType
    event: str
    headline: str
    area: str
    accepted_at: datetime
    expires: datetime
    actor: str
    approval: str
    approved_by: tuple[str, ...]
    notes: tuple[Sentence, ...]
    ended: Ended | None


async def message(store: Store, alert_id: str, revision: int | None = None) -> Alert | None:
    """The message of a revision, or the newest: of what went out, or else of what was only filed.

    None for what is no CAP message: an occurrence of a slot, a switch of mode. Raises NotFound, StorageFailed.
    """
    a, f = alert_table.c, filed_table.c
    went_out = select(a.cap, a.kind).where(a.alert_id == alert_id).order_by(a.revision.desc()).limit(1)
    filed = (
        select(f.cap, literal(MessageKind.ALERT.value).label("kind"))
        .where(f.alert_id == alert_id)
        .order_by(f.filed_at.desc())
        .limit(1)
    )
    async with store.read() as connection:
        if revision is not None:
            went_out = went_out.where(a.revision == revision)
        found = (await connection.execute(went_out)).first()
        if found is None and revision is None:
            found = (await connection.execute(filed)).first()
    if found is None:
        raise NotFound("alert", alert_id if revision is None else f"{alert_id} revision {revision}")
    return cap.parse_json(found.cap.encode()) if found.kind == MessageKind.ALERT.value else None


async def read_messages(connection: AsyncConnection, alert_id: str) -> list[Message]:
    """All revisions that went out, newest first."""
    a = alert_table.c
    statement = select(alert_table).where(a.alert_id == alert_id).order_by(a.revision.desc())
    return [message_of(row) for row in (await connection.execute(statement)).mappings()]


async def read_filed(connection: AsyncConnection, alert_id: str) -> list[Filed]:
    """The alert's messages that sound nothing themselves, oldest first."""
    f = filed_table.c
    statement = select(filed_table).where(f.alert_id == alert_id).order_by(f.filed_at)
    return [
        Filed(
            identifier=row["identifier"],
            sender=row["sender"],
            sent=from_ms(row["sent"]),
            msg_type=MsgType(row["msg_type"]),
            outcome=row["outcome"],
            filed_at=from_ms(row["filed_at"]),
            actor=row["actor"],
        )
        for row in (await connection.execute(statement)).mappings()
    ]


async def read_acts(connection: AsyncConnection, alert_id: str) -> list[Moment]:
    """Who did what to the alert and when, from the audit; with what was given as the reason."""
    a = audit_table.c
    statement = select(a.acted_at, a.action, a.actor, a.detail).where(a.object == alert_id).order_by(a.seq)
    acts = []
    for acted_at, action, actor, text in await connection.execute(statement):
        detail: dict[str, Any] = msgspec.json.decode(text)
        revision = detail.pop("revision", None)
        acts.append(Moment(at=from_ms(acted_at), what=action, revision=revision, actor=actor, detail=detail))
    return acts


def message_of(row: RowMapping) -> Message:
    infos: Sequence[Mapping[str, Any]] = msgspec.json.decode(row["cap"]).get("info", ())
    kind, actors = _approval(row["starts"])
    return Message(
        alert_id=row["alert_id"],
        revision=row["revision"],
        identifier=row["identifier"],
        sender=row["sender"],
        sent=from_ms(row["sent"]),
        msg_type=MsgType(row["msg_type"]),
        event=_first(infos, "event"),
        headline=_first(infos, "headline"),
        area=_area(row["expression"]),
        accepted_at=from_ms(row["accepted_at"]),
        expires=from_ms(row["expires"]),
        actor=row["actor"],
        approval=kind,
        approved_by=actors,
        notes=tuple(msgspec.json.decode(row["notes"], type=list[Sentence])),
        ended=_ended(row),
    )


def _first(infos: Sequence[Mapping[str, Any]], element: str) -> str:
    return next((str(info[element]) for info in infos if info.get(element)), "")


def _approval(starts: str) -> tuple[str, tuple[str, ...]]:
    """All channels of a message go out on the same approval."""
    for start in msgspec.json.decode(starts).values():
        approval = start.get("approval")  # a switch of mode has none
        if approval is not None:
            return str(approval["kind"]), tuple(approval["actors"])
    return "", ()


def _area(text: str) -> str:
    stored = msgspec.json.decode(text)
    return "" if stored is None else format_area(msgspec.convert(stored, Expression))


def _ended(row: RowMapping) -> Ended | None:
    if row["ended_at"] is None:
        return None
    return Ended(at=from_ms(row["ended_at"]), by=row["ended_by"] or "", cause=row["ended_cause"] or "")
