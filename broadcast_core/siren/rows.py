"""Siren acts, calendar days and their signals, in and out of the database."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from enum import StrEnum
from typing import Final

import msgspec
from sqlalchemy import Table, select
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncConnection

from broadcast_core.clock import from_ms, to_ms
from broadcast_core.store.schema import alert as alert_table
from broadcast_core.store.schema import siren_act, siren_event, siren_signal


class SignalOutcome(StrEnum):
    """What became of a signal. Closed: also the API's words."""

    SENDING = "sending"  # written down; whether it went out is not known yet
    SENT = "sent"  # accepted as an alert: the alert's own report has the rest
    REFUSED = "refused"
    MISSED = "missed"  # its time passed without it, and it is never made up for


class EventState(StrEnum):
    PROPOSED = "proposed"
    CONFIRMED = "confirmed"
    WITHDRAWN = "withdrawn"
    LAPSED = "lapsed"  # nobody confirmed it in time: nothing sounded
    OVER = "over"


@dataclass(frozen=True, kw_only=True, slots=True)
class Sounded:
    """One signal of an act. `sent` is part of its alert's identity."""

    act_id: str
    number: int
    pattern: str
    sent: datetime
    actor: str
    outcome: SignalOutcome
    alert_id: str | None = None
    detail: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class ActRow:
    """An act led by a person."""

    id: str
    template: str
    area: tuple[str, ...]
    started_at: datetime
    started_by: str
    ended_at: datetime | None = None
    ended_by: str | None = None


class Confirmation(msgspec.Struct, frozen=True, kw_only=True):
    """Who let it sound, and when. How many it takes is the desk's to know."""

    actor: str
    at: datetime


@dataclass(frozen=True, kw_only=True, slots=True)
class Event:
    """One day of the calendar."""

    template: str
    date: date
    state: EventState
    digest: str
    proposed_at: datetime
    confirmed: tuple[Confirmation, ...] = ()

    @property
    def act_id(self) -> str:
        """The identity of its signals."""
        return f"{self.template}:{self.date.isoformat()}"


@dataclass(frozen=True, kw_only=True, slots=True)
class Stored:
    acts: Mapping[str, ActRow] = field(default_factory=dict)
    events: Mapping[str, Event] = field(default_factory=dict)  # by act_id
    signals: Mapping[tuple[str, int], Sounded] = field(default_factory=dict)


_confirmations: Final = msgspec.json.Decoder(tuple[Confirmation, ...])
_areas: Final = msgspec.json.Decoder(tuple[str, ...])


async def load(connection: AsyncConnection) -> Stored:
    """Everything; there are a handful a year."""
    acts = (await connection.execute(select(siren_act))).all()
    events = (await connection.execute(select(siren_event))).all()
    signals = (await connection.execute(select(siren_signal))).all()
    found_events = [
        Event(
            template=e.template,
            date=date.fromisoformat(e.date),
            state=EventState(e.state),
            digest=e.digest,
            proposed_at=from_ms(e.proposed_at),
            confirmed=_confirmations.decode(e.confirmed),
        )
        for e in events
    ]
    return Stored(
        acts={
            a.id: ActRow(
                id=a.id,
                template=a.template,
                area=_areas.decode(a.area),
                started_at=from_ms(a.started_at),
                started_by=a.started_by,
                ended_at=None if a.ended_at is None else from_ms(a.ended_at),
                ended_by=a.ended_by,
            )
            for a in acts
        },
        events={event.act_id: event for event in found_events},
        signals={
            (s.act_id, s.number): Sounded(
                act_id=s.act_id,
                number=s.number,
                pattern=s.pattern,
                sent=from_ms(s.sent),
                actor=s.actor,
                outcome=SignalOutcome(s.outcome),
                alert_id=s.alert_id,
                detail=s.detail,
            )
            for s in signals
        },
    )


async def put_act(connection: AsyncConnection, act: ActRow) -> None:
    values = {
        "id": act.id,
        "template": act.template,
        "area": msgspec.json.encode(act.area).decode(),
        "started_at": to_ms(act.started_at),
        "started_by": act.started_by,
        "ended_at": None if act.ended_at is None else to_ms(act.ended_at),
        "ended_by": act.ended_by,
    }
    await _put(connection, siren_act, values)


async def put_event(connection: AsyncConnection, event: Event) -> None:
    values = {
        "template": event.template,
        "date": event.date.isoformat(),
        "state": event.state.value,
        "digest": event.digest,
        "proposed_at": to_ms(event.proposed_at),
        "confirmed": msgspec.json.encode(event.confirmed).decode(),
    }
    await _put(connection, siren_event, values)


async def put_signal(connection: AsyncConnection, signal: Sounded) -> None:
    values = {
        "act_id": signal.act_id,
        "number": signal.number,
        "pattern": signal.pattern,
        "sent": to_ms(signal.sent),
        "actor": signal.actor,
        "alert_id": signal.alert_id,
        "outcome": signal.outcome.value,
        "detail": signal.detail,
    }
    await _put(connection, siren_signal, values)


async def accepted(connection: AsyncConnection, sender: str, identifier: str, sent: datetime) -> str | None:
    """The alert_id of a signal that had been accepted when the core died, or None if it never was."""
    a = alert_table.c
    statement = select(a.alert_id).where(a.sender == sender, a.identifier == identifier, a.sent == to_ms(sent))
    found: str | None = (await connection.execute(statement)).scalar()
    return found


async def _put(connection: AsyncConnection, table: Table, values: Mapping[str, object]) -> None:
    module = sqlite if connection.dialect.name == "sqlite" else postgresql
    key = [c.name for c in table.primary_key.columns]
    others = {name: value for name, value in values.items() if name not in key}
    statement = module.insert(table).values(**values)
    await connection.execute(statement.on_conflict_do_update(index_elements=key, set_=others))
