"""One channel's way to the field: its own sender, its own listener, waiting for no other channel."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from datetime import datetime, timedelta
from typing import Final

import structlog

from broadcast_core import outbox
from broadcast_core.clock import Clock
from broadcast_core.dispatch.presence import PresenceBoard
from broadcast_core.dispatch.settler import Settler
from broadcast_core.driver import Driver
from broadcast_core.errors import DriverUnavailable, StorageFailed
from broadcast_core.live import Live, LiveAlert, LiveDelivery
from broadcast_core.model import (
    Availability,
    Batch,
    Channel,
    Delivery,
    DeliveryKey,
    DeliveryKind,
    Hello,
    Progress,
    Receipt,
)
from broadcast_core.store import Store

log = structlog.get_logger(__name__)

_CHANNEL_DOWN_RETRY: Final = timedelta(seconds=1)
_FAULT_RETRY: Final = timedelta(seconds=5)
_IDLE_S: Final = 1.0  # how often the queue is looked at without being woken: rows put back for later become due


class Line:
    """Sender and listener of one channel."""

    def __init__(
        self,
        driver: Driver,
        *,
        store: Store,
        live: Live,
        settler: Settler,
        presence: PresenceBoard,
        clock: Clock,
        greet: Callable[[Channel, Hello], None],
    ) -> None:
        self.channel: Final = driver.channel
        self._driver = driver
        self._store = store
        self._live = live
        self._settler = settler
        self._presence = presence
        self._clock = clock
        self._greet = greet
        self._woken = asyncio.Event()
        self._handed: list[tuple[LiveAlert, LiveDelivery]] = []
        self._look = True  # there may be something in the outbox
        self._settling: set[asyncio.Task[None]] = set()
        self.down_since: datetime | None = None

    def wake(self) -> None:
        """There is something in the outbox for this channel."""
        self._look = True
        self._woken.set()

    def hand_over(self, live: LiveAlert, claimed: Sequence[LiveDelivery]) -> None:
        """Send these; they are claimed already, so the outbox need not be asked."""
        self._handed += [(live, entry) for entry in claimed]
        self._woken.set()

    async def send_now(self, deliveries: Sequence[Delivery]) -> bool:
        """Hand deliveries over without the outbox (stops, questions, orders). False if the channel is down."""
        if not deliveries:
            return True
        try:
            await self._driver.send(deliveries)
        except DriverUnavailable as error:
            self._note_down(error)
            return False
        self._note_up()
        return True

    async def send_forever(self) -> None:
        while True:
            try:
                await self._send_due()
            except StorageFailed as error:
                log.error("the outbox cannot be read", channel=self.channel, detail=error.detail)  # noqa: TRY400
            try:
                async with asyncio.timeout(_IDLE_S):
                    await self._woken.wait()
            except TimeoutError:
                self._look = True

    async def listen_forever(self) -> None:
        async for batch in self._driver.listen():
            self._take(batch)

    async def settled(self) -> None:
        """Everything that was heard is durable."""
        while self._settling:
            await asyncio.gather(*self._settling, return_exceptions=True)

    async def _send_due(self) -> None:
        self._woken.clear()
        if self._handed:
            handed, self._handed = self._handed, []
            await self._send(handed)
        if self._look:
            self._look = False
            claimed = await self._store.write(lambda c: outbox.claim(c, self.channel, self._clock.now()))
            found = []
            for row in claimed:
                entry = self._live.find(row.key)
                if entry is not None:  # not known: its alert is history
                    entry[1].attempt = row.attempt
                    found.append(entry)
            await self._send(found)

    async def _send(self, claimed: Sequence[tuple[LiveAlert, LiveDelivery]]) -> None:
        now = self._clock.now()
        possible = [(live, entry) for live, entry in claimed if _may_go(live, entry, now)]
        sending = [(live, entry) for live, entry in possible if not _is_held(live, entry)]
        # What is held goes, or does not, when that is decided; the next look is at most `_IDLE_S` away.
        self._handed += [(live, entry) for live, entry in possible if _is_held(live, entry)]
        if not sending:
            return
        sent_at = self._clock.monotonic()
        for live, entry in sending:
            self._live.advance(live, entry, Progress.CLAIMED)
            entry.sent_at, entry.handed = sent_at, True
        try:
            await self._driver.send([entry.this_attempt() for _, entry in sending])
        except DriverUnavailable as error:
            self._note_down(error)
            await self._try_later(sending, _CHANNEL_DOWN_RETRY)
        except Exception:
            # A fault of ours. What was claimed must not be lost with it, nor tried without a pause.
            log.exception("a driver failed to send", channel=self.channel, deliveries=len(sending))
            await self._try_later(sending, _FAULT_RETRY)
        else:
            self._note_up()

    async def _try_later(self, claimed: Sequence[tuple[LiveAlert, LiveDelivery]], wait: timedelta) -> None:
        try:
            await self._put_back([(e.key, e.attempt, self._clock.now() + wait) for _, e in claimed])
        except StorageFailed:
            self._handed += claimed  # still claimed by us, in memory
            await asyncio.sleep(wait.total_seconds())
            self._woken.set()

    async def _put_back(self, rows: Sequence[tuple[DeliveryKey, int, datetime]]) -> None:
        for key, attempt, _ in rows:
            found = self._live.find(key)
            if found is not None:
                found[1].attempt = attempt
                self._live.requeue(*found)
        await self._store.write(lambda c: outbox.release(c, rows))

    def _take(self, batch: Batch) -> None:
        receipts: list[Receipt] = []
        for event in batch.events:
            if isinstance(event, Receipt):
                receipts.append(event)
            elif isinstance(event, Availability):
                if self._presence.note(event):
                    log.info("presence", endpoint=event.endpoint_id, presence=event.presence, detail=event.detail)
            else:
                receipts += event.evidence
                self._greet(self.channel, event)
        if receipts:
            self._spawn(self._settle(receipts, batch.settled))
        else:
            batch.settled()

    async def _settle(self, receipts: Sequence[Receipt], settled: Callable[[], None]) -> None:
        again = []
        for receipt in receipts:
            if receipt.retry_after is None:
                continue
            found = self._live.find(receipt.key)
            if found is None:
                continue
            live, entry = found
            not_before = self._clock.now() + receipt.retry_after
            if not live.ended and not_before < live.expires and entry.progress <= Progress.SENT:
                again.append((receipt.key, entry.attempt + 1, not_before))
        await self._settler.settle(receipts)
        settled()
        if again:
            await self._put_back(again)

    def _spawn(self, work: Coroutine[None, None, None]) -> None:
        task = asyncio.create_task(work)
        self._settling.add(task)
        task.add_done_callback(self._settled)

    def _settled(self, task: asyncio.Task[None]) -> None:
        self._settling.discard(task)
        if not task.cancelled() and task.exception() is not None:
            log.error("a receipt was not settled", channel=self.channel, exc_info=task.exception())

    def _note_down(self, error: DriverUnavailable) -> None:
        if self.down_since is None:
            self.down_since = self._clock.now()
            log.error("channel down", channel=self.channel, detail=error.detail)

    def _note_up(self) -> None:
        if self.down_since is not None:
            log.info("channel up", channel=self.channel, down_since=self.down_since.isoformat())
            self.down_since = None


def _may_go(live: LiveAlert, entry: LiveDelivery, now: datetime) -> bool:
    """Not if it was ended, or has expired, between its commit and now."""
    if entry.progress.ended:
        return False
    return entry.key.kind is DeliveryKind.STOP or (not live.ended and live.expires > now)


def _is_held(live: LiveAlert, entry: LiveDelivery) -> bool:
    """Whether its end is being made durable at this moment (`Live.held`)."""
    return live.held > 0 and entry.key.kind is DeliveryKind.START
