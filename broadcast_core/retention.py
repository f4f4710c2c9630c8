"""What is over is removed after its days: messages with their evidence, announcements, answers, old links.

Runs while alerts come in, and no alert waits for it: every transaction is a small one, and between two of them the
writer is free. What is live is never touched. Each removal leaves an audit row; the audit itself is kept for ever.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Collection, Sequence
from datetime import datetime, timedelta
from functools import partial
from typing import Any, Final, Self

import msgspec
import structlog
from sqlalchemy import ColumnElement, Table, delete, func, insert, or_, select, tuple_
from sqlalchemy.ext.asyncio import AsyncConnection

from broadcast_core import audit, config, tasks
from broadcast_core.audio.media import MediaStore
from broadcast_core.clock import Clock, from_ms, to_ms
from broadcast_core.errors import StorageFailed
from broadcast_core.live import Live
from broadcast_core.model import MessageKind
from broadcast_core.store import Store
from broadcast_core.store.schema import (
    alert,
    cancelled,
    chain,
    delivery,
    fact,
    filed,
    idempotency,
    media_item,
    occurrence,
    receipt,
    selftest,
)

log = structlog.get_logger(__name__)

ACTOR: Final = "tocsin"
_FIRST_S: Final = 300.0  # a start has better things to do
_EVERY_S: Final = 3600.0
_PORTION: Final = 500  # rows in one transaction (measured in SQLite: 1 ms, 9 at most)
_BREATH_S: Final = 0.02
_PAGE: Final = 200
_FILES: Final = 100  # named in one audit row
_WEIGHTY: Final = (MessageKind.ALERT, MessageKind.MODE)
_DAILY: Final = (MessageKind.SLOT, MessageKind.TEST)
_REMAINS: Final = "remains:"  # facts: alerts that are gone and whose deliveries and receipts are being removed
_LOOKED: Final = "retention"  # fact: when it was looked last
_JUMP: Final = timedelta(days=20)  # a clock that went further than this between two looks is not believed at once
_DAY: Final = timedelta(days=1)


class Retention:
    """`async with Retention(...)` looks every hour. `tones` are the hashes of what every speaker keeps."""

    def __init__(
        self,
        keep: config.Retention,
        *,
        store: Store,
        live: Live,
        media: MediaStore,
        tones: Collection[str],
        clock: Clock,
    ) -> None:
        self._keep, self._store, self._live, self._media, self._clock = keep, store, live, media, clock
        self._tones = frozenset(tones)
        self._task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        self._task = asyncio.create_task(self._run(), name="retention")
        return self

    async def __aexit__(self, *exc: object) -> None:
        if self._task is not None:
            await tasks.end([self._task])

    async def _run(self) -> None:
        await asyncio.sleep(_FIRST_S)
        while True:
            try:
                await self.sweep()
            except StorageFailed as error:
                log.error("nothing could be removed", detail=error.detail)  # noqa: TRY400
            except Exception:
                log.exception("retention failed; it is tried again")
            await asyncio.sleep(_EVERY_S)

    async def sweep(self) -> Counter[str]:
        """Remove everything whose days are over; how much of what. Raises StorageFailed."""
        removed: Counter[str] = Counter()
        now = self._clock.now()
        await self._clear_remains()
        if not await self._believable(now):
            return removed
        for what, days, remove in (
            ("media", self._keep.media_days, self._announcements),  # before the alerts that name them
            ("alert", self._keep.alerts_days, partial(self._messages, kinds=_WEIGHTY)),
            ("publicity", self._keep.publicity_days, partial(self._messages, kinds=_DAILY)),
            ("filed", self._keep.alerts_days, self._filed),
            ("chain", self._keep.chains_days, self._chains),
            ("cancelled", self._keep.chains_days, self._cancelled),
            ("selftest", self._keep.alerts_days, self._tests),
            ("idempotency", self._keep.idempotency_days, self._answers),
        ):
            if days:
                removed[what] = await remove(now - timedelta(days=days))
        if removed.total():
            log.info("removed what was over", **removed)
        return removed

    async def _believable(self, now: datetime) -> bool:
        """A clock that jumps ahead must not empty the archive: for a day it is only said."""
        async with self._store.read() as connection:
            looked = await connection.scalar(select(fact.c.value).where(fact.c.name == _LOOKED))
        last = now if looked is None else from_ms(int(looked))
        if now < last <= now + _DAY:
            return False
        jumped = now - last > _JUMP
        if jumped:
            log.error("the clock went far ahead since the last look: nothing is removed for a day", last=str(last))
        await self._store.write(partial(_set_fact, name=_LOOKED, value=str(to_ms(now + _DAY if jumped else now))))
        return not jumped

    async def _messages(self, before: datetime, *, kinds: Collection[MessageKind]) -> int:
        """Messages all of whose revisions are over, one transaction each; then what remains of them."""
        a = alert.c
        newest = func.max(a.expires), func.max(a.accepted_at)
        over = (
            select(a.alert_id)
            .where(a.kind.in_([kind.value for kind in kinds]))
            .group_by(a.alert_id)
            .having(*(n < to_ms(before) for n in newest))
            .order_by(newest[1])
        )
        async with self._store.read() as connection:
            found: Sequence[str] = (await connection.execute(over)).scalars().all()
        count = 0
        for alert_id in found:
            if not self._live.revisions(alert_id):
                count += await self._store.write(partial(self._remove_alert, alert_id=alert_id, before=before))
                await self._clear_remains()
        return count

    async def _remove_alert(self, connection: AsyncConnection, alert_id: str, before: datetime) -> int:
        """From here on there is no such alert; its deliveries and receipts are found by the fact."""
        young = or_(alert.c.expires >= to_ms(before), alert.c.accepted_at >= to_ms(before))
        if await connection.scalar(select(func.count()).where(alert.c.alert_id == alert_id, young)):
            return 0  # revised in this moment
        revisions = (await connection.execute(delete(alert).where(alert.c.alert_id == alert_id))).rowcount
        messages = (await connection.execute(delete(filed).where(filed.c.alert_id == alert_id))).rowcount
        await connection.execute(delete(occurrence).where(occurrence.c.alert_id == alert_id))
        await _set_fact(connection, f"{_REMAINS}{alert_id}", "")
        detail = {"what": "alert", "revisions": revisions, "filed": messages}
        await self._record(connection, alert_id, detail)
        return 1

    async def _clear_remains(self) -> None:
        async with self._store.read() as connection:
            names = (await connection.execute(select(fact.c.name).where(fact.c.name.startswith(_REMAINS)))).scalars()
            left = [name.removeprefix(_REMAINS) for name in names]
        for alert_id in left:
            for table in (receipt, delivery):
                await self._in_portions(table, table.c.alert_id == alert_id, on_record=False)
            await self._store.write(partial(_forget, name=f"{_REMAINS}{alert_id}"))

    async def _filed(self, before: datetime) -> int:
        """Messages that sounded nothing and belong to no alert that is still kept."""
        kept = select(alert.c.alert_id)
        return await self._in_portions(filed, filed.c.filed_at < to_ms(before), filed.c.alert_id.not_in(kept))

    async def _chains(self, before: datetime) -> int:
        """Links of chains all of whose messages are over, and of which no alert is kept."""
        other = chain.alias()
        young = select(other.c.alert_id).where(other.c.expires >= to_ms(before))
        return await self._in_portions(
            chain,
            chain.c.expires < to_ms(before),
            chain.c.alert_id.not_in(young),
            chain.c.alert_id.not_in(select(alert.c.alert_id)),
        )

    async def _cancelled(self, before: datetime) -> int:
        """Cancels of messages that are not known any more, or never were."""
        c, m = cancelled.c, chain.c
        known = select(m.sent).where(m.sender == c.sender, m.identifier == c.identifier, m.sent == c.sent).exists()
        return await self._in_portions(cancelled, c.cancel_sent < to_ms(before), ~known)

    async def _tests(self, before: datetime) -> int:
        return await self._in_portions(selftest, selftest.c.ended_at < to_ms(before))

    async def _answers(self, before: datetime) -> int:
        return await self._in_portions(idempotency, idempotency.c.created_at < to_ms(before))

    async def _in_portions(self, table: Table, *conditions: ColumnElement[bool], on_record: bool = True) -> int:
        async def job(connection: AsyncConnection) -> int:
            count = await _portion(connection, table, *conditions)
            if count and on_record:
                await self._record(connection, "retention", {"what": str(table.name), "count": count})
            return count

        total = 0
        while count := await self._store.write(job):
            total += count
            await asyncio.sleep(_BREATH_S)
        return total

    async def _announcements(self, before: datetime) -> int:
        """Audio that only alerts name which have expired; no tone, nothing of the library, nothing used since."""
        old: set[str] = set()
        young: set[str] = set()
        async for expires, hashes in self._named():
            (young if expires >= to_ms(before) else old).update(hashes)
        async with self._store.read() as connection:
            library = set((await connection.execute(select(media_item.c.sha256))).scalars())
        unused, count = sorted(old - young - self._tones - library), 0
        for start in range(0, len(unused), _FILES):
            some = unused[start : start + _FILES]
            gone = await asyncio.to_thread(self._discard, some, before)
            if gone:
                await self._store.write(partial(self._record, object_="retention", detail=_files(gone)))
            count += len(gone)
        return count

    def _discard(self, hashes: Sequence[str], before: datetime) -> list[str]:
        return [sha256 for sha256 in hashes if self._media.discard(sha256, before)]

    async def _named(self) -> AsyncIterator[tuple[int, set[str]]]:
        """Every stored message: when it expires, and the audio that it names."""
        a = alert.c
        after: tuple[str, int] = ("", 0)
        while True:
            page = select(a.alert_id, a.revision, a.expires, a.starts).order_by(a.alert_id, a.revision).limit(_PAGE)
            async with self._store.read() as connection:
                rows = (await connection.execute(page.where(tuple_(a.alert_id, a.revision) > after))).all()
            for row in rows:
                yield row.expires, set(_hashes(msgspec.json.decode(row.starts)))
            if len(rows) < _PAGE:
                return
            after = (rows[-1].alert_id, rows[-1].revision)
            await asyncio.sleep(0)

    async def _record(self, connection: AsyncConnection, object_: str, detail: dict[str, Any]) -> None:
        await audit.record(
            connection, now=self._clock.now(), actor=ACTOR, action="retention.remove", object_=object_, detail=detail
        )


def _files(gone: Sequence[str]) -> dict[str, Any]:
    return {"what": "media", "count": len(gone), "files": gone}


async def _portion(connection: AsyncConnection, table: Table, *conditions: ColumnElement[bool]) -> int:
    """Remove some of the rows; how many."""
    key = tuple_(*table.primary_key.columns)
    some = select(*table.primary_key.columns).where(*conditions).limit(_PORTION)
    return (await connection.execute(delete(table).where(key.in_(some)))).rowcount


async def _set_fact(connection: AsyncConnection, name: str, value: str) -> None:
    await _forget(connection, name)
    await connection.execute(insert(fact).values(name=name, value=value))


async def _forget(connection: AsyncConnection, name: str) -> None:
    await connection.execute(delete(fact).where(fact.c.name == name))


def _hashes(found: Any) -> Any:
    """Every SHA-256 that stands anywhere in a message's orders."""
    if isinstance(found, dict):
        if isinstance(found.get("sha256"), str):
            yield found["sha256"]
        for value in found.values():
            yield from _hashes(value)
    elif isinstance(found, list):
        for value in found:
            yield from _hashes(value)
