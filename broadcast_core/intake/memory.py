"""What `lifecycle` remembers of messages, in and out of the database."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Final, TypeVar

from sqlalchemy import ColumnElement, Row, Table, and_, or_, select
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncConnection

from broadcast_core.clock import from_ms, to_ms
from broadcast_core.lifecycle import Known, Lesson
from broadcast_core.model import Alert, Reference
from broadcast_core.store.schema import cancelled, chain

_AT_ONCE: Final = 200  # references in a statement; SQLite refuses one with 1,000 alternatives

T = TypeVar("T")


async def recall(
    connection: AsyncConnection, alert: Alert
) -> tuple[Mapping[Reference, Known], Mapping[Reference, datetime]]:
    """Every message of every chain that `alert` or its references belong to, and which of them were cancelled."""
    named = (alert.reference, *alert.references)
    chains = {row.alert_id for row in await _rows_of(connection, chain, named)}
    rows = [row for some in _portions(sorted(chains)) for row in await _members(connection, some)]
    known = {
        _reference(row): Known(
            alert_id=row.alert_id,
            revision=row.revision,
            expires=from_ms(row.expires),
            ended=row.ended,
        )
        for row in rows
    }
    # Also of those that are not named: a Cancel of any member of a chain may have come before it.
    members = dict.fromkeys((*named, *known))
    taken_back = await _rows_of(connection, cancelled, members)
    return known, {_reference(row): from_ms(row.cancel_sent) for row in taken_back}


async def remember(connection: AsyncConnection, lesson: Lesson) -> None:
    """Store what a decision taught; entries of the same reference are replaced."""
    module = sqlite if connection.dialect.name == "sqlite" else postgresql
    for reference, known in lesson.known.items():
        values = {
            "alert_id": known.alert_id,
            "revision": known.revision,
            "expires": to_ms(known.expires),
            "ended": known.ended,
        }
        statement = module.insert(chain).values(**_key(reference), **values)
        await connection.execute(
            statement.on_conflict_do_update(index_elements=["sender", "identifier", "sent"], set_=values)
        )
    for reference, at in lesson.cancelled.items():
        statement = module.insert(cancelled).values(**_key(reference), cancel_sent=to_ms(at))
        await connection.execute(
            statement.on_conflict_do_update(
                index_elements=["sender", "identifier", "sent"],
                set_={"cancel_sent": statement.excluded.cancel_sent},
                where=cancelled.c.cancel_sent < statement.excluded.cancel_sent,  # the later Cancel counts
            )
        )


async def _rows_of(
    connection: AsyncConnection, table: Table, references: Iterable[Reference]
) -> list[Row[tuple[object, ...]]]:
    """The rows of these references: there may be thousands, in a message or in a chain."""
    found: list[Row[tuple[object, ...]]] = []
    for some in _portions(list(dict.fromkeys(references))):
        found += (await connection.execute(select(table).where(_any_of(table, some)))).all()
    return found


async def _members(connection: AsyncConnection, chains: Sequence[str]) -> Sequence[Row[tuple[object, ...]]]:
    return (await connection.execute(select(chain).where(chain.c.alert_id.in_(chains)))).all()


def _portions(items: Sequence[T]) -> Iterator[Sequence[T]]:
    return (items[at : at + _AT_ONCE] for at in range(0, len(items), _AT_ONCE))


def _any_of(table: Table, references: Iterable[Reference]) -> ColumnElement[bool]:
    t = table.c
    return or_(
        *(and_(t.sender == r.sender, t.identifier == r.identifier, t.sent == to_ms(r.sent)) for r in references)
    )


def _key(reference: Reference) -> dict[str, object]:
    return {"sender": reference.sender, "identifier": reference.identifier, "sent": to_ms(reference.sent)}


def _reference(row: Row[tuple[object, ...]]) -> Reference:
    return Reference(sender=row.sender, identifier=row.identifier, sent=from_ms(row.sent))
