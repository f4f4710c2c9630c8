"""Phones through an HTTP gateway: a paced queue, a few kept-alive connections, and the reports that come back.

What a request's answer means is decided in `wire`, what it means for a message in `ledger`; this file only carries.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable, Sequence
from datetime import datetime, timedelta
from typing import Final, Self

import structlog

from broadcast_core.clock import Clock
from broadcast_core.config import Sms
from broadcast_core.errors import DriverUnavailable
from broadcast_core.model import Batch, Channel, Delivery, Progress, Reason, Receipt, Start, Stop
from drivers.sms_gateway.arrivals import Arrivals
from drivers.sms_gateway.client import GatewayClient
from drivers.sms_gateway.compose import Refusal, compose
from drivers.sms_gateway.ledger import Ledger, Message, start_key
from drivers.sms_gateway.pace import Pace
from drivers.sms_gateway.reports import ReportListener
from drivers.sms_gateway.tally import Tally
from drivers.sms_gateway.wire import Account, Answer, Outcome, TextMessage, build_request
from drivers.sms_gateway.wire_token import Tokens

log = structlog.get_logger(__name__)

_LAST_ANSWERS_S: Final = 2.0  # how long a leaving driver waits for the answers to what it has already written
_FORGET_EVERY_S: Final = 60.0


class SmsGatewayDriver:
    """The phones' driver; see `broadcast_core.driver.Driver`.

    `password` is the gateway account's; `secret` (16 bytes or more, kept over restarts) proves delivery reports.
    Entering raises DriverUnavailable if the listener's address is taken. `tally` counts what happened.
    """

    channel = Channel.SMS

    def __init__(self, settings: Sms, password: str, secret: bytes, clock: Clock) -> None:
        self.tally: Final = Tally()
        self._settings = settings
        self._clock = clock
        self._account = Account(username=settings.username, password=password, sender=settings.sender)
        self._tokens = Tokens(secret)
        self._arrivals = Arrivals(self.channel)
        self._ledger = Ledger()
        self._client = GatewayClient(settings)
        self._reports = ReportListener(settings, self._tokens, clock, self._arrivals, self.tally, self._ledger.prove)
        self._pace = Pace(settings.rate_per_second, clock.monotonic)
        self._turn = asyncio.Lock()  # one worker at a time takes its turn, so that no turn is lost on an empty queue
        self._work = asyncio.Event()
        self._workers: list[asyncio.Task[None]] = []
        self._busy: set[asyncio.Task[None] | None] = set()
        self._running = False
        self._forget_at = float("-inf")
        self._works = True  # as far as the last answers tell

    @property
    def reports_url(self) -> str:
        """Where a gateway with one address for the whole account sends its reports."""
        return self._reports.base_url + self._tokens.path()

    async def __aenter__(self) -> Self:
        await self._reports.__aenter__()
        await self._client.__aenter__()
        self._running = True
        self._workers = [
            asyncio.create_task(self._send_forever(), name=f"sms-{n}") for n in range(self._settings.connections)
        ]
        return self

    async def __aexit__(self, *exc: object) -> None:
        self._running = False
        for worker in self._workers:
            if worker not in self._busy:
                worker.cancel()
        await asyncio.wait(self._workers, timeout=min(self._settings.timeout_s, _LAST_ANSWERS_S))
        for worker in self._workers:
            worker.cancel()
        await asyncio.gather(*self._workers, return_exceptions=True)
        await self._client.__aexit__()
        await self._reports.__aexit__()
        self._arrivals.close()

    async def send(self, deliveries: Sequence[Delivery]) -> None:
        if not self._running:
            raise DriverUnavailable(self.channel, "the driver is not running")
        now = self._clock.now()
        self._forget(now)
        for delivery in deliveries:
            match delivery.order:
                case Start() as start:
                    self._note(self._take_up(delivery, start, now))
                case Stop() as stop:
                    self._note(self._ledger.stop(stop, delivery.endpoint.id, now))
                case order:  # a phone says no hello and cannot be asked
                    log.debug("not for phones", order=type(order).__name__, endpoint=delivery.endpoint.id)
        if self._ledger.waiting:
            self._work.set()

    def listen(self) -> AsyncIterator[Batch]:
        return self._arrivals.batches()

    def _take_up(self, delivery: Delivery, start: Start, now: datetime) -> Iterable[Receipt]:
        words = compose(start, delivery.endpoint, self._settings.max_parts)
        if isinstance(words, Refusal):
            return [
                Receipt(
                    key=start_key(start, delivery.endpoint.id),
                    progress=Progress.FAILED,
                    at=now,
                    reason=words.reason,
                    detail=str(words.sentence),
                )
            ]
        return self._ledger.hand_over(delivery, start, words, now)

    async def _send_forever(self) -> None:
        task = asyncio.current_task()
        while self._running:
            message = await self._next()
            self._busy.add(task)
            try:
                answer = await self._submit(message)
            except Exception:  # one broken message must neither be lost nor end the worker
                log.exception("the driver failed on a message", endpoint=message.key.endpoint_id)
                answer = Answer(outcome=Outcome.REFUSED, reason=Reason.DRIVER_CRASHED)
            finally:
                self._busy.discard(task)
            self._conclude(message, answer)

    async def _next(self) -> Message:
        """The next message to send, when its turn has come."""
        async with self._turn:
            while True:
                await self._work.wait()
                await self._pace.turn()
                message, expired = self._ledger.take(self._clock.now())
                self._note(expired)
                if message is not None:
                    return message
                self._work.clear()

    async def _submit(self, message: Message) -> Answer:
        token = self._tokens.encode(message.key, message.attempt)
        request = build_request(
            self._settings.gateway,
            self._account,
            TextMessage(
                to=message.phone,
                text=message.words.text,
                reference=token,
                dlr_url=self._reports.base_url + self._tokens.path(token),
                valid_for=message.start.expires - self._clock.now(),
            ),
        )
        if message.unknowns:
            self.tally.possible_duplicates += 1
            log.warning("sent again, possible duplicate", endpoint=message.key.endpoint_id)
        return await self._client.submit(request)

    def _conclude(self, message: Message, answer: Answer) -> None:
        match answer.outcome:
            case Outcome.ACCEPTED:
                self.tally.accepted += 1
            case Outcome.REFUSED:
                self.tally.refused += 1
            case Outcome.RETRY:
                self.tally.returned += 1
            case Outcome.UNKNOWN:
                self.tally.unknown += 1
        self._watch(answer)
        self._note(self._ledger.conclude(message, answer, self._clock.now(), self._retry_after(message.attempt)))

    def _retry_after(self, attempt: int) -> timedelta:
        doublings = min(max(attempt, 1) - 1, 32)
        return timedelta(seconds=min(self._settings.retry_delay_s * 2**doublings, self._settings.retry_delay_max_s))

    def _watch(self, answer: Answer) -> None:
        """Say once that the gateway fails, and once that it works again."""
        works = answer.outcome in {Outcome.ACCEPTED, Outcome.REFUSED}
        if works != self._works:
            self._works = works
            if works:
                log.info("the gateway answers again")
            else:
                log.warning("the gateway fails", reason=answer.reason, detail=answer.detail)

    def _note(self, receipts: Iterable[Receipt]) -> None:
        """Pass evidence on, counted."""
        receipts = list(receipts)
        self.tally.withdrawn += sum(r.progress is Progress.STOPPED for r in receipts)
        self.tally.expired += sum(r.progress is Progress.EXPIRED for r in receipts)
        if receipts:
            self._arrivals.note(receipts)

    def _forget(self, now: datetime) -> None:
        if self._clock.monotonic() >= self._forget_at:
            self._forget_at = self._clock.monotonic() + _FORGET_EVERY_S
            self._ledger.forget(now)
