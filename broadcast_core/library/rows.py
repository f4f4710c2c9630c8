"""The table of items: what is read, and the jobs that write, each with its audit row."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date, datetime, timedelta
from typing import Any, Final

import msgspec
from sqlalchemy import ColumnElement, RowMapping, and_, delete, func, insert, or_, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from broadcast_core import audit
from broadcast_core.clock import from_ms, to_ms
from broadcast_core.errors import NotFound, RejectReason
from broadcast_core.i18n import Sentence, _
from broadcast_core.library.item import Change, InUse, ItemKind, MediaItem, TextPart, User, UsersOf, Wanted
from broadcast_core.model import ResumeRule
from broadcast_core.store.schema import media_item as table


async def find(connection: AsyncConnection, item_id: str) -> MediaItem:
    """Raises NotFound."""
    return _item(await _row(connection, item_id))


async def by_source(connection: AsyncConnection, source_sha256: str) -> MediaItem | None:
    """The item that was made of that source."""
    query = select(table).where(table.c.source_sha256 == source_sha256)
    row = (await connection.execute(query)).mappings().first()
    return None if row is None else _item(row)


async def page(connection: AsyncConnection, wanted: Wanted, today: date) -> tuple[tuple[MediaItem, ...], bool, int]:
    """Items, newest first; whether there are more; and how many the whole list has. Raises NotFound for `before`."""
    fits = _conditions(wanted, today)
    total = await connection.scalar(select(func.count()).select_from(table).where(*fits))
    if wanted.before is not None:
        last = await _row(connection, wanted.before)
        at, code = last["created_at"], last["id"]
        fits.append(or_(table.c.created_at < at, and_(table.c.created_at == at, table.c.id < code)))
    query = select(table).where(*fits).order_by(table.c.created_at.desc(), table.c.id.desc()).limit(wanted.limit + 1)
    rows = (await connection.execute(query)).mappings().all()
    return tuple(map(_item, rows[: wanted.limit])), len(rows) > wanted.limit, total or 0


async def add(connection: AsyncConnection, *, item: MediaItem) -> tuple[MediaItem, bool]:
    """A job. The item that is stored, and whether it had been before: of one source there is one item."""
    known = await by_source(connection, item.source_sha256)
    if known is not None:
        return known, True
    await connection.execute(insert(table).values(**_values(item)))
    detail = {
        "kind": item.kind.value,
        "title": item.title,
        "sha256": item.sha256,
        "source_sha256": item.source_sha256,
        "licence": item.licence,
        "expires_on": None if item.expires_on is None else item.expires_on.isoformat(),
    }
    await _record(connection, item.created_at, item.uploader, "media.add", item.id, detail)
    return item, False


async def everything(connection: AsyncConnection) -> tuple[MediaItem, ...]:
    """All items, in no order."""
    return tuple(map(_item, (await connection.execute(select(table))).mappings().all()))


async def alter(connection: AsyncConnection, *, item_id: str, change: Change, actor: str, now: datetime) -> MediaItem:
    """A job. Raises NotFound. A change that changes nothing leaves no audit row."""
    before = await _row(connection, item_id)
    values: dict[str, Any] = {}
    if change.title is not None:
        values["title"] = change.title.strip()
    if change.licence is not None:
        values["licence"] = change.licence.strip()
    if change.expires_on is not None or change.never_expires:
        values["expires_on"] = None if change.expires_on is None else change.expires_on.isoformat()
    if change.resume is not None:
        values["resume"] = change.resume.value
    changed = {name: value for name, value in values.items() if before[name] != value}
    if changed:
        await connection.execute(update(table).where(table.c.id == item_id).values(**changed))
        detail = {name: {"from": before[name], "to": value} for name, value in changed.items()}
        await _record(connection, now, actor, "media.change", item_id, detail)
    return await find(connection, item_id)


async def remove(
    connection: AsyncConnection, *, item_id: str, users_of: UsersOf, actor: str, now: datetime
) -> str | None:
    """A job. The hash of the file that no item needs any more, or None. Raises NotFound, InUse."""
    row = await _row(connection, item_id)
    users = tuple(await users_of(connection, item_id))
    if users:
        sentence = _("{title} is still needed: {users}.", title=row["title"], users=_named(users))
        raise InUse(RejectReason.IN_USE, sentence, None, users)
    await connection.execute(delete(table).where(table.c.id == item_id))
    detail = {"title": row["title"], "sha256": row["sha256"]}
    await _record(connection, now, actor, "media.remove", item_id, detail)
    others = await connection.scalar(select(func.count()).select_from(table).where(table.c.sha256 == row["sha256"]))
    return None if others else str(row["sha256"])


_USERS: Final[Mapping[str, Sentence]] = {
    "playlist": _("playlist {name}"),
    "occurrence": _("what the speakers hold of “{name}”"),
}


def _named(users: Sequence[User]) -> Sentence:
    """Users as one sentence, in any language."""
    said = {
        f"u{n}": Sentence(_USERS[user.kind].msgid, {"name": user.name or user.id})
        if user.kind in _USERS
        else f"{user.kind} {user.name or user.id}"
        for n, user in enumerate(users)
    }
    return Sentence(", ".join(f"{{{place}}}" for place in said), dict(said))


async def _record(
    connection: AsyncConnection, now: datetime, actor: str, action: str, item_id: str, detail: Mapping[str, Any]
) -> None:
    await audit.record(connection, now=now, actor=actor, action=action, object_=item_id, detail=detail)


async def _row(connection: AsyncConnection, item_id: str) -> RowMapping:
    row = (await connection.execute(select(table).where(table.c.id == item_id))).mappings().first()
    if row is None:
        raise NotFound("media", item_id)
    return row


def _conditions(wanted: Wanted, today: date) -> list[ColumnElement[bool]]:
    found: list[ColumnElement[bool]] = []
    if wanted.kind is not None:
        found.append(table.c.kind == wanted.kind.value)
    if wanted.expired is True:
        found.append(table.c.expires_on < today.isoformat())
    elif wanted.expired is False:
        found.append(or_(table.c.expires_on.is_(None), table.c.expires_on >= today.isoformat()))
    if wanted.title:
        found.append(func.lower(table.c.title).contains(wanted.title.lower(), autoescape=True))
    return found


def _values(item: MediaItem) -> dict[str, Any]:
    return {
        "id": item.id,
        "kind": item.kind.value,
        "title": item.title,
        "sha256": item.sha256,
        "source_sha256": item.source_sha256,
        "size": item.size,
        "mime_type": item.mime_type,
        "duration_ms": item.duration // timedelta(milliseconds=1),
        "lufs": item.lufs,
        "true_peak_dbtp": item.true_peak_dbtp,
        "waveform": item.waveform,
        "texts": msgspec.json.encode(item.texts).decode(),
        "notes": msgspec.json.encode([{"msgid": n.msgid, "values": n.values} for n in item.notes]).decode(),
        "uploader": item.uploader,
        "licence": item.licence,
        "expires_on": None if item.expires_on is None else item.expires_on.isoformat(),
        "resume": item.resume.value,
        "created_at": to_ms(item.created_at),
    }


def _item(row: RowMapping) -> MediaItem:
    return MediaItem(
        id=row["id"],
        kind=ItemKind(row["kind"]),
        title=row["title"],
        sha256=row["sha256"],
        source_sha256=row["source_sha256"],
        size=row["size"],
        mime_type=row["mime_type"],
        duration=timedelta(milliseconds=row["duration_ms"]),
        lufs=row["lufs"],
        true_peak_dbtp=row["true_peak_dbtp"],
        waveform=bytes(row["waveform"]),
        texts=msgspec.json.decode(row["texts"], type=tuple[TextPart, ...]),
        notes=tuple(Sentence(note["msgid"], note["values"]) for note in msgspec.json.decode(row["notes"])),
        uploader=row["uploader"],
        licence=row["licence"],
        expires_on=None if row["expires_on"] is None else date.fromisoformat(row["expires_on"]),
        resume=ResumeRule(row["resume"]),
        created_at=from_ms(row["created_at"]),
    )
