"""The runner: opens the night, sends what has its turn, and takes down what the field says.

A test never stands in the way of an alert: while one is live nothing is sent, and it goes on afterwards. Each row is
sent once, over restarts: that it was sent is durable in the same transaction as its message.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Sequence
from datetime import datetime, timedelta
from functools import partial
from typing import Final

import structlog
from cronsim import CronSim

from broadcast_core.clock import Clock
from broadcast_core.errors import Rejected, StorageFailed, TocsinError
from broadcast_core.intake.direct import Direct
from broadcast_core.live import Live
from broadcast_core.model import (
    AudioRef,
    Channel,
    DeliveryKey,
    DeliveryKind,
    Endpoint,
    PartResult,
    Progress,
    Reason,
    say_parts,
)
from broadcast_core.registry import Registry
from broadcast_core.selftest import orders, rows
from broadcast_core.selftest.book import Book
from broadcast_core.selftest.desk import Circumstances, SelfTestDesk
from broadcast_core.selftest.night import Night, night_at
from broadcast_core.selftest.rows import ACCOUNT, Answer, Kind, Outcome, Row

log = structlog.get_logger(__name__)

ACTOR: Final = "selftest"
_LOOK_S: Final = 1.0
_LATE_LOOK_S: Final = 60.0
_GIVE_UP: Final = timedelta(minutes=3)  # after its expiry a message has ended, whatever the chaser was held up by
_CALENDAR_GRACE: Final = timedelta(minutes=10)
_PORTION: Final = 500  # rows in one transaction: an alert must not wait for a whole night's

Account = Callable[[], Awaitable[PartResult]]


class SelfTestRunner:
    """`run` until cancelled. `file` is what endpoints fetch; `account` looks at the SMS gateway, where it can."""

    def __init__(
        self,
        desk: SelfTestDesk,
        *,
        direct: Direct,
        live: Live,
        registry: Callable[[], Registry],
        circumstances: Callable[[], Circumstances],
        file: AudioRef,
        clock: Clock,
        account: Account | None = None,
    ) -> None:
        self._desk = desk
        self._book: Book = desk.book
        self._settings = desk.settings
        self._store = desk.store
        self._direct = direct
        self._live = live
        self._registry = registry
        self._circumstances = circumstances
        self._file = file
        self._clock = clock
        self._account = account
        self._woken = asyncio.Event()
        self._allowance = float(self._settings.most_at_once)
        self._refilled_at = clock.monotonic()
        self._gather_at = 0.0
        self._late_at = 0.0
        self._held: dict[str, str] = {}  # audible tests by calendar, said once each
        desk.opened = self._woken.set

    async def run(self) -> None:
        while True:
            self._woken.clear()
            try:
                await self.step()
            except StorageFailed as error:
                log.error("self-tests wait for the storage", detail=error.detail)  # noqa: TRY400
            try:
                async with asyncio.timeout(_LOOK_S):
                    await self._woken.wait()
            except TimeoutError:
                pass

    async def step(self) -> None:
        """One look. Raises StorageFailed; what was done until then is durable."""
        now = self._clock.now()
        await self._open_night(now)
        await self._open_by_calendar(now)
        await self._collect(now)
        await self._miss(now)
        await self._send(now)

    # Opening.

    async def _open_night(self, now: datetime) -> None:
        night = night_at(now, self._settings, self._circumstances().tz) if self._settings.enabled else None
        if night is None or night.occasion in self._book.occasions:
            return
        opened = [
            _row(night, e) for c in (Channel.SPEAKER, Channel.HORN) for e in self._registry().ordered(c) if e.enabled
        ]
        if self._account is not None:
            turn = night.turn(ACCOUNT)
            opened.append(_silent(night.occasion, ACCOUNT, Channel.SMS, turn, night.end, simulated=False))
        await self._store.write(partial(rows.insert, rows=opened))  # whole or not at all: a night is opened once
        self._book.add(opened)
        self._book.forget(now)
        if opened:
            log.info("night of self-tests", occasion=night.occasion, endpoints=len(opened))

    async def _open_by_calendar(self, now: datetime) -> None:
        tz = self._circumstances().tz
        for plan in self._settings.audible:
            due = next(CronSim(plan.cron, (now - _CALENDAR_GRACE).astimezone(tz)))
            occasion = f"audible:{plan.name}:{due.isoformat(timespec='minutes')}"
            if due > now or occasion in self._book.occasions:
                continue
            try:
                await self._desk.audible(
                    plan.endpoints, plan.zone, volume=plan.volume, actor=f"calendar:{plan.name}", occasion=occasion
                )
            except Rejected as refusal:  # quiet hours, an alert: tried again until its grace is over
                if self._held.get(plan.name) != occasion:
                    log.warning("an audible test is held", plan=plan.name, why=refusal.reason)
                self._held[plan.name] = occasion
            except TocsinError as error:
                self._book.occasions[occasion] = due
                log.error("an audible test by calendar cannot be done", plan=plan.name, why=str(error))  # noqa: TRY400

    # Sending.

    async def _send(self, now: datetime) -> None:
        self._refill()
        waiting = [row for row in self._book.open.values() if row.alert_id is None and row.due_at <= now]
        if not waiting or self._desk.held_by() is not None:
            return
        await self._send_audible([row for row in waiting if row.kind is Kind.AUDIBLE], now)
        gather = self._clock.monotonic() >= self._gather_at
        quiet = [row for row in waiting if row.kind is Kind.SILENT and (gather or not row.nightly)]
        if gather:
            self._gather_at = self._clock.monotonic() + self._settings.every_s
        quiet.sort(key=lambda row: (row.nightly, row.due_at))
        quiet = quiet[: int(self._allowance)]
        by_occasion: dict[str, list[Row]] = {}
        for row in quiet:
            by_occasion.setdefault(row.occasion, []).append(row)
        for together in by_occasion.values():
            self._allowance -= len(together)
            await self._send_silent(together, now)

    def _refill(self) -> None:
        """So many in `every_s`, in the mean and at once."""
        monotonic = self._clock.monotonic()
        most = float(self._settings.most_at_once)
        gained = (monotonic - self._refilled_at) / self._settings.every_s * most
        self._allowance, self._refilled_at = min(most, self._allowance + gained), monotonic

    async def _send_silent(self, together: Sequence[Row], now: datetime) -> None:
        known = self._registry().endpoints
        for row in [r for r in together if r.endpoint_id == ACCOUNT]:
            await self._look_at_account(row)
        meant = [r for r in together if r.endpoint_id in known]
        await self._end([r for r in together if r.endpoint_id not in known and r.endpoint_id != ACCOUNT],
                        Outcome.MISSED, None, now)  # fmt: skip
        if not meant:
            return
        message = orders.silent(meant, [known[r.endpoint_id] for r in meant], self._file, self._settings, now)
        going = [rows.sent(row, message.alert_id, now) for row in meant]
        await self._direct.open([message], partial(rows.note_sent, rows=going))
        self._book.note_sent(going)

    async def _send_audible(self, waiting: Sequence[Row], now: datetime) -> None:
        for row in sorted(waiting, key=lambda r: r.due_at):
            endpoint = self._registry().endpoints.get(row.endpoint_id)
            if endpoint is None or self._unkind(endpoint, now):
                await self._end([row], Outcome.MISSED, None, now)
                continue
            volume = self._desk.volume_at(endpoint, row.volume, now)
            message = orders.audible(row, endpoint, volume, now)
            going = rows.sent(row, message.alert_id, now)
            await self._direct.open([message], partial(rows.note_sent, rows=[going]))
            self._book.note_sent([going])
            return  # one at a look: those that an alert held up do not sound in one chord afterwards

    def _unkind(self, endpoint: Endpoint, now: datetime) -> bool:
        try:
            self._desk.refuse_unkind(endpoint, now)
        except Rejected:
            return True
        return False

    async def _look_at_account(self, row: Row) -> None:
        if self._account is None:
            await self._end([row], Outcome.MISSED, None, self._clock.now())
            return
        result = await self._account()
        outcome = Outcome.PROVEN if result.ok else Outcome.FAILED
        reason = None if result.ok else Reason.GATEWAY_ERROR
        await self._end([row], outcome, reason, self._clock.now(), say_parts([result]))

    # Taking down.

    async def _collect(self, now: datetime) -> None:
        asked = [
            row for row in self._book.open.values() if row.alert_id is not None and self._may_have_ended(row, now)
        ]
        if self._clock.monotonic() >= self._late_at:
            self._late_at = self._clock.monotonic() + _LATE_LOOK_S
            self._book.forget(now)
            asked += self._book.unanswered.values()
        if not asked:
            return
        async with self._store.read() as connection:
            known = await rows.answers(
                connection, sorted({row.alert_id for row in asked if row.alert_id is not None})
            )
        done = [
            ended
            for row in asked
            if row.alert_id is not None and (ended := _judged(row, known.get((row.alert_id, row.endpoint_id)), now))
        ]
        if done:
            await self._store.write(partial(rows.note_ended, rows=done))
            self._book.note_ended(done)

    def _may_have_ended(self, row: Row, now: datetime) -> bool:
        """From memory: the database is asked only about those that have."""
        key = DeliveryKey(
            alert_id=row.alert_id or "", revision=1, kind=DeliveryKind.START, endpoint_id=row.endpoint_id
        )
        found = self._live.find(key)
        return found is None or found[1].progress.ended

    async def _miss(self, now: datetime) -> None:
        """Whose turn did not come in time."""
        over = [row for row in self._book.open.values() if row.alert_id is None and row.until <= now]
        await self._end(over, Outcome.MISSED, None, now)

    async def _end(
        self, over: Iterable[Row], outcome: Outcome, reason: Reason | None, now: datetime, detail: str = ""
    ) -> None:
        done = [rows.ended(row, now, outcome, reason, detail) for row in over]
        for first in range(0, len(done), _PORTION):
            portion = done[first : first + _PORTION]
            await self._store.write(partial(rows.note_ended, rows=portion))
            self._book.note_ended(portion)


def _judged(row: Row, answer: Answer | None, now: datetime) -> Row | None:
    """The row with its end, or None while there is none (or none better than the one it has)."""
    at = now if answer is None or answer.recorded_at is None else answer.recorded_at
    if answer is not None and answer.progress in {Progress.FINISHED, Progress.HEARD}:
        return rows.ended(row, at, Outcome.PROVEN, None, answer.detail)
    if answer is not None and answer.progress is Progress.FAILED:
        return rows.ended(row, at, Outcome.FAILED, answer.reason, answer.detail)
    if row.outcome is not None:
        return None  # it had none, and there is still none
    if answer is not None and answer.progress is Progress.STOPPED:
        return rows.ended(row, at, Outcome.MISSED, None, "stopped")
    if answer is not None and answer.progress is Progress.EXPIRED:
        return rows.ended(row, now, Outcome.UNANSWERED, answer.reason)
    if row.sent_at is not None and now - row.sent_at > timedelta(hours=1) + _GIVE_UP:
        return rows.ended(row, now, Outcome.UNANSWERED, Reason.NO_ANSWER)
    return None


def _row(night: Night, endpoint: Endpoint) -> Row:
    turn = night.turn(endpoint.id)
    return _silent(night.occasion, endpoint.id, endpoint.channel, turn, night.end, simulated=endpoint.simulated)


def _silent(
    occasion: str, endpoint_id: str, channel: Channel, due_at: datetime, until: datetime, *, simulated: bool
) -> Row:
    return Row(
        occasion=occasion,
        endpoint_id=endpoint_id,
        channel=channel.value,
        kind=Kind.SILENT,
        simulated=simulated,
        due_at=due_at,
        until=until,
        actor=ACTOR,
    )
