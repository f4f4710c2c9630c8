"""The tests that are open and the newest results, in memory: numbers for a scrape must not ask the database."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Final

from broadcast_core.selftest import rows
from broadcast_core.selftest.rows import Kind, Outcome, Row
from broadcast_core.store import Store

_REMEMBERED: Final = timedelta(days=3)  # an occasion is not opened twice; none is opened that lies further back
_LATE: Final = timedelta(days=1)  # so long an answer that comes late still counts


class Book:
    """Follows the database; every change here has become durable before."""

    def __init__(self) -> None:
        self.open: dict[tuple[str, str], Row] = {}
        self.unanswered: dict[tuple[str, str], Row] = {}  # whose answer may still come
        self.latest: dict[str, Row] = {}  # the newest silent test of each endpoint that had its turn
        self.aloud: dict[str, Row] = {}  # the newest audible one
        self.proven: dict[str, datetime] = {}  # when an endpoint last proved itself in silence
        self.occasions: dict[str, datetime] = {}

    async def load(self, store: Store, now: datetime) -> None:
        """Read everything; once, at the start."""
        async with store.read() as connection:
            waiting = await rows.open_rows(connection)
            recent = await rows.since(connection, now - _REMEMBERED)
            silent = await rows.newest(connection, Kind.SILENT)
            aloud = await rows.newest(connection, Kind.AUDIBLE)
            proven = await rows.newest(connection, Kind.SILENT, Outcome.PROVEN)
        self.add(waiting)
        for row in recent:
            self.occasions[row.occasion] = row.due_at
        for row in (*silent, *aloud, *proven, *recent):
            self._note(row)

    def add(self, added: Iterable[Row]) -> None:
        """Tests that were opened."""
        for row in added:
            self.open[row.key] = row
            self.occasions[row.occasion] = row.due_at

    def note_sent(self, sent: Iterable[Row]) -> None:
        for row in sent:
            self.open[row.key] = row

    def note_ended(self, ended: Iterable[Row]) -> None:
        for row in ended:
            self.open.pop(row.key, None)
            self.unanswered.pop(row.key, None)
            self._note(row)

    def forget(self, now: datetime) -> None:
        """What can no longer matter."""
        self.unanswered = {k: r for k, r in self.unanswered.items() if r.sent_at and now - r.sent_at < _LATE}
        self.occasions = {o: at for o, at in self.occasions.items() if now - at < _REMEMBERED}

    def _note(self, row: Row) -> None:
        if row.ended_at is None or row.outcome is Outcome.MISSED:
            return
        if row.outcome is Outcome.UNANSWERED:
            self.unanswered[row.key] = row
        newest = self.latest if row.kind is Kind.SILENT else self.aloud
        known = newest.get(row.endpoint_id)
        if known is None or known.ended_at is None or known.ended_at <= row.ended_at:
            newest[row.endpoint_id] = row
        if row.kind is Kind.SILENT and row.outcome is Outcome.PROVEN:
            at = self.proven.get(row.endpoint_id)
            self.proven[row.endpoint_id] = row.ended_at if at is None else max(at, row.ended_at)
