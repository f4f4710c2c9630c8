"""The audit: append-only rows, written in the transaction of what they record, each chained to the one before."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from hashlib import sha256
from typing import Any, Final

import msgspec
from sqlalchemy import insert, select
from sqlalchemy.ext.asyncio import AsyncConnection

from broadcast_core.clock import to_ms
from broadcast_core.store.schema import audit

GENESIS: Final = "0" * 64


async def record(
    connection: AsyncConnection,
    *,
    now: datetime,
    actor: str,
    action: str,
    object_: str,
    detail: Mapping[str, Any],
    acted_at: datetime | None = None,
) -> None:
    """Append one row. `acted_at` is when it happened, when that is not now (a stop acts before it is recorded).

    `detail` holds no personal data. Call it inside a `Store.write` job: the one writer keeps the chain in order.
    """
    last = (await connection.execute(select(audit.c.seq, audit.c.hash).order_by(audit.c.seq.desc()).limit(1))).first()
    row: dict[str, Any] = {
        "seq": last.seq + 1 if last else 1,
        "acted_at": to_ms(acted_at or now),
        "recorded_at": to_ms(now),
        "actor": actor,
        "action": action,
        "object": object_,
        "detail": msgspec.json.encode(detail, order="deterministic").decode(),
        "previous": last.hash if last else GENESIS,
    }
    await connection.execute(insert(audit).values(**row, hash=row_hash(row)))


async def has(connection: AsyncConnection, *, acted_at: datetime, actor: str, action: str, object_: str) -> bool:
    """Whether this act is recorded already (an act that is replayed after a crash)."""
    same = (
        audit.c.action == action,
        audit.c.object == object_,
        audit.c.actor == actor,
        audit.c.acted_at == to_ms(acted_at),
    )
    return (await connection.execute(select(audit.c.seq).where(*same).limit(1))).first() is not None


def row_hash(row: Mapping[str, Any]) -> str:
    """SHA-256 over the row's fields but its own hash, as a JSON array in the order of the table."""
    names = ("seq", "acted_at", "recorded_at", "actor", "action", "object", "detail", "previous")
    return sha256(msgspec.json.encode([row[name] for name in names])).hexdigest()
