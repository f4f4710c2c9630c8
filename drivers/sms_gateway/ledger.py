"""What became of each message this process was given. No I/O: the ledger answers with receipts.

It forgets an alert when that has expired, since then nothing of it can be sent any more.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import Enum, auto
from itertools import count
from typing import Final

from broadcast_core.i18n import _
from broadcast_core.model import Delivery, DeliveryKey, DeliveryKind, Progress, Reason, Receipt, Start, Stop
from broadcast_core.precedence import weight
from drivers.sms_gateway.compose import Words
from drivers.sms_gateway.wire import Answer, Outcome

# A request that was written and never answered may have rung the phone. It is repeated once: better twice than never,
# and no more than twice.
_UNKNOWNS_ALLOWED: Final = 1


class State(Enum):
    WAITING = auto()  # in the queue
    IN_FLIGHT = auto()  # a request is being written or answered
    RETURNED = auto()  # given back to dispatch, which may try again
    ACCEPTED = auto()  # the gateway has it
    ENDED = auto()  # refused, expired, or unknown for good
    WITHDRAWN = auto()  # by a stop


@dataclass(slots=True, eq=False)
class Message:
    """One phone's message. `unknowns` counts its requests that were written and never answered."""

    key: DeliveryKey
    phone: str = field(repr=False)
    start: Start
    words: Words
    attempt: int = 1
    state: State = State.RETURNED
    unknowns: int = 0
    proven: bool = False  # a report showed that the gateway has it
    stops: set[DeliveryKey] = field(default_factory=set)  # stops that came while it was in flight
    last: Receipt | None = None  # what was last said of it


@dataclass(slots=True)
class _OfAlert:
    """An alert's messages by endpoint, the newest revision ended by a stop (-1: none), and when to forget it."""

    forget_at: datetime
    stopped: int = -1
    messages: dict[str, list[Message]] = field(default_factory=dict)

    def find(self, key: DeliveryKey) -> Message | None:
        return next((m for m in self.messages.get(key.endpoint_id, ()) if m.key == key), None)

    def of(self, endpoint_id: str, revision: int) -> list[Message]:
        """The messages to one phone, up to a revision."""
        return [m for m in self.messages.get(endpoint_id, ()) if m.key.revision <= revision]

    def unsent(self, revision: int) -> Iterator[Message]:
        """The messages up to a revision that could still go out and are not doing so now."""
        for messages in self.messages.values():
            for message in messages:
                if message.key.revision <= revision and message.state in {State.WAITING, State.RETURNED}:
                    yield message


_Entry = tuple[tuple[int, ...], int, Message, int]  # lightness, order of arrival, message, its attempt


class Ledger:
    """Queue and memory of the phones. The heavier alert leaves first, then first come, first served."""

    def __init__(self) -> None:
        self._alerts: dict[str, _OfAlert] = {}
        self._heap: list[_Entry] = []
        self._serial = count()
        self.waiting = 0

    def hand_over(self, delivery: Delivery, start: Start, words: Words, now: datetime) -> list[Receipt]:
        """Queue a message. One that is under way is not doubled; one that is decided is reported again."""
        alert = self._alert(start.alert_id, start.expires)
        key = start_key(start, delivery.endpoint.id)
        message = alert.find(key)
        if message is None:
            message = Message(key=key, phone=delivery.endpoint.phone or "", start=start, words=words)
            alert.messages.setdefault(key.endpoint_id, []).append(message)
        elif message.state in {State.WAITING, State.IN_FLIGHT}:
            return []
        elif message.state is not State.RETURNED:
            return [message.last] if message.last else []
        message.attempt = delivery.attempt
        if key.revision <= alert.stopped:
            return [self._withdraw(message, now)]
        message.state = State.WAITING
        self.waiting += 1
        lightness = tuple(-w for w in weight(start.standing))
        heapq.heappush(self._heap, (lightness, next(self._serial), message, message.attempt))
        return []

    def take(self, now: datetime) -> tuple[Message | None, list[Receipt]]:
        """The next message to send, in flight from now on, and the receipts of those that expired before it."""
        expired: list[Receipt] = []
        while self._heap:
            _lightness, _order, message, attempt = heapq.heappop(self._heap)
            if message.state is not State.WAITING or message.attempt != attempt:
                continue  # withdrawn by a stop or settled by a report while it waited
            if now < message.start.expires:
                self._leave(message, State.IN_FLIGHT)
                return message, expired
            expired.append(self._say(message, State.ENDED, Progress.EXPIRED, now, reason=Reason.EXPIRED))
        return None, expired

    def conclude(self, message: Message, answer: Answer, now: datetime, retry_after: timedelta) -> list[Receipt]:
        """What a request's answer means for its message, and for the stops that came meanwhile."""
        match answer.outcome:
            case Outcome.ACCEPTED:
                detail = answer.detail
                if message.unknowns:
                    detail = f"{_('Possible duplicate: an earlier request was not answered.')} {detail}"
                said = self._say(message, State.ACCEPTED, Progress.SENT, now, detail=detail)
            case Outcome.REFUSED:
                said = self._fail(message, answer, now, None)
            case Outcome.RETRY:
                stopped = self._stopped(message)
                said = self._withdraw(message, now) if stopped else self._fail(message, answer, now, retry_after)
            case Outcome.UNKNOWN if message.proven:
                detail = str(_("The gateway did not answer; a delivery report shows that it has the message."))
                said = self._say(message, State.ACCEPTED, Progress.SENT, now, detail=detail)
            case Outcome.UNKNOWN:
                message.unknowns += 1
                final = message.unknowns > _UNKNOWNS_ALLOWED or self._stopped(message)
                said = self._fail(message, answer, now, None if final else retry_after)
        stops, message.stops = message.stops, set()
        return [said, *(r for stop in stops for r in self._answer(stop, now))]

    def prove(self, receipt: Receipt) -> None:
        """Take a report into account: a message that the gateway turns out to have is not sent again."""
        if receipt.progress is Progress.FAILED:
            return
        alert = self._alerts.get(receipt.key.alert_id)
        message = alert.find(receipt.key) if alert else None
        if message is None:
            return
        message.proven = True
        if message.state in {State.WAITING, State.RETURNED}:
            self._leave(message, State.ACCEPTED)
            message.last = receipt

    def stop(self, order: Stop, endpoint_id: str, now: datetime) -> list[Receipt]:
        """Withdraw what is unsent of the alert, to anybody, and answer for this phone.

        Finished: nothing of it was sent. Failed, unsupported: it was or may have been, and a phone cannot unring.
        """
        alert = self._alert(order.alert_id, order.expires)
        receipts = []
        if order.revision > alert.stopped:
            alert.stopped = order.revision
            receipts = [self._withdraw(message, now) for message in alert.unsent(order.revision)]
        key = DeliveryKey(
            alert_id=order.alert_id, revision=order.revision, kind=DeliveryKind.STOP, endpoint_id=endpoint_id
        )
        for message in alert.of(endpoint_id, order.revision):
            if message.state is State.IN_FLIGHT:
                message.stops.add(key)
        return [*receipts, Receipt(key=key, progress=Progress.RECEIVED, at=now), *self._answer(key, now)]

    def forget(self, now: datetime) -> None:
        """Drop the alerts that have expired."""
        self._alerts = {name: alert for name, alert in self._alerts.items() if alert.forget_at > now}

    def _answer(self, stop: DeliveryKey, now: datetime) -> list[Receipt]:
        alert = self._alerts.get(stop.alert_id)
        messages = alert.of(stop.endpoint_id, stop.revision) if alert else []
        if any(m.state is State.IN_FLIGHT for m in messages):
            return []  # it answers when it is concluded
        if messages and not any(m.state is State.ACCEPTED or m.unknowns for m in messages):
            return [Receipt(key=stop, progress=Progress.FINISHED, at=now)]
        # Not ours at all: it went out before this process began.
        detail = str(_("The message was sent, or may have been: a phone cannot take it back."))
        return [Receipt(key=stop, progress=Progress.FAILED, at=now, reason=Reason.UNSUPPORTED, detail=detail)]

    def _fail(self, message: Message, answer: Answer, now: datetime, retry_after: timedelta | None) -> Receipt:
        state = State.ENDED if retry_after is None else State.RETURNED
        return self._say(
            message,
            state,
            Progress.FAILED,
            now,
            reason=answer.reason,
            detail=answer.detail,
            retry_after=retry_after,
        )

    def _withdraw(self, message: Message, now: datetime) -> Receipt:
        return self._say(message, State.WITHDRAWN, Progress.STOPPED, now)

    def _say(
        self,
        message: Message,
        state: State,
        progress: Progress,
        now: datetime,
        *,
        reason: Reason | None = None,
        detail: str = "",
        retry_after: timedelta | None = None,
    ) -> Receipt:
        self._leave(message, state)
        message.last = Receipt(
            key=message.key, progress=progress, at=now, reason=reason, detail=detail, retry_after=retry_after
        )
        return message.last

    def _leave(self, message: Message, state: State) -> None:
        if message.state is State.WAITING:
            self.waiting -= 1
        message.state = state

    def _stopped(self, message: Message) -> bool:
        alert = self._alerts.get(message.key.alert_id)
        return alert is not None and message.key.revision <= alert.stopped

    def _alert(self, alert_id: str, expires: datetime) -> _OfAlert:
        alert = self._alerts.setdefault(alert_id, _OfAlert(forget_at=expires))
        alert.forget_at = max(alert.forget_at, expires)
        return alert


def start_key(start: Start, endpoint_id: str) -> DeliveryKey:
    """The identity of a start's delivery to one phone."""
    return DeliveryKey(
        alert_id=start.alert_id, revision=start.revision, kind=DeliveryKind.START, endpoint_id=endpoint_id
    )
