"""The ledger's decisions where two things happen at once."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from broadcast_core.model import Delivery, Progress, Reason, Receipt, Start
from drivers.sms_gateway.compose import Words, compose
from drivers.sms_gateway.ledger import Ledger, Message
from drivers.sms_gateway.wire import Answer, Outcome

AGAIN = timedelta(seconds=2)
UNKNOWN = Answer(outcome=Outcome.UNKNOWN, reason=Reason.GATEWAY_TIMEOUT)
ACCEPTED = Answer(outcome=Outcome.ACCEPTED)
BUSY = Answer(outcome=Outcome.RETRY, reason=Reason.GATEWAY_ERROR)


class Desk:
    """A ledger with one phone and a fixed now."""

    def __init__(self, orders: Any) -> None:
        self.orders = orders
        self.now = orders.clock.now()
        self.ledger = Ledger()
        self.phone = orders.phone(1)
        self.start: Start = orders.start()
        self.stop = orders.stop()

    def hand_over(self, start: Start | None = None, attempt: int = 1) -> list[Receipt]:
        start = start or self.start
        words = compose(start, self.phone, 10)
        assert isinstance(words, Words)
        return self.ledger.hand_over(
            Delivery(endpoint=self.phone, order=start, attempt=attempt), start, words, self.now
        )

    def take(self) -> Message:
        message, _ = self.ledger.take(self.now)
        assert message is not None
        return message

    def conclude(self, message: Message, answer: Answer) -> list[Receipt]:
        return self.ledger.conclude(message, answer, self.now, AGAIN)

    def report(self, progress: Progress) -> None:
        key = self.orders.key(self.phone, self.start)
        self.ledger.prove(Receipt(key=key, progress=progress, at=self.now))

    def nothing_left(self) -> bool:
        return self.ledger.take(self.now) == (None, []) and self.ledger.waiting == 0


@pytest.fixture
def desk(orders: Any) -> Desk:
    return Desk(orders)


def test_a_report_that_comes_while_the_repeat_waits_takes_it_out_of_the_queue(desk: Desk) -> None:
    desk.hand_over()
    desk.conclude(desk.take(), UNKNOWN)
    desk.hand_over(attempt=2)
    assert desk.ledger.waiting == 1
    desk.report(Progress.RECEIVED)
    assert desk.nothing_left()


def test_a_report_after_a_restart_keeps_the_message_from_being_sent_again(desk: Desk) -> None:
    desk.hand_over()  # claimed before the restart, so queued again after it
    desk.report(Progress.FINISHED)
    assert desk.nothing_left()


def test_a_report_of_failure_does_not_keep_the_repeat_from_being_sent(desk: Desk) -> None:
    desk.hand_over()
    desk.conclude(desk.take(), UNKNOWN)
    desk.hand_over(attempt=2)
    desk.report(Progress.FAILED)
    assert desk.take().attempt == 2


def test_failures_before_the_unknown_do_not_use_up_its_repeat(desk: Desk) -> None:
    for attempt in range(1, 4):
        desk.hand_over(attempt=attempt)
        assert desk.conclude(desk.take(), BUSY)[0].retry_after == AGAIN
    desk.hand_over(attempt=4)
    assert desk.conclude(desk.take(), UNKNOWN)[0].retry_after == AGAIN
    desk.hand_over(attempt=5)
    assert desk.conclude(desk.take(), UNKNOWN)[0].retry_after is None


def test_a_stop_between_an_unknown_and_its_repeat_withdraws_it_and_admits_the_doubt(desk: Desk) -> None:
    desk.hand_over()
    desk.conclude(desk.take(), UNKNOWN)
    said = desk.ledger.stop(desk.stop, desk.phone.id, desk.now)
    assert [r.progress for r in said] == [Progress.STOPPED, Progress.RECEIVED, Progress.FAILED]
    assert [r.progress for r in desk.hand_over(attempt=2)] == [Progress.STOPPED]
    assert desk.nothing_left()


def test_a_stop_that_meets_a_request_on_its_way_waits_for_the_answer(desk: Desk) -> None:
    desk.hand_over()
    message = desk.take()
    said = desk.ledger.stop(desk.stop, desk.phone.id, desk.now)
    assert [r.progress for r in said] == [Progress.RECEIVED]
    assert [r.progress for r in desk.conclude(message, ACCEPTED)] == [Progress.SENT, Progress.FAILED]


def test_a_request_that_fails_after_the_stop_is_not_tried_again(desk: Desk) -> None:
    desk.hand_over()
    message = desk.take()
    desk.ledger.stop(desk.stop, desk.phone.id, desk.now)
    said = desk.conclude(message, BUSY)
    assert [r.progress for r in said] == [Progress.STOPPED, Progress.FINISHED]
    assert all(r.retry_after is None for r in said)


def test_a_stop_answers_once_for_two_revisions_on_their_way(desk: Desk) -> None:
    update = replace(desk.start, revision=2)
    desk.hand_over()
    desk.hand_over(update)
    first, second = desk.take(), desk.take()
    stop = replace(desk.stop, revision=2)
    desk.ledger.stop(stop, desk.phone.id, desk.now)
    assert [r.progress for r in desk.conclude(first, BUSY)] == [Progress.STOPPED]
    assert [r.progress for r in desk.conclude(second, ACCEPTED)] == [Progress.SENT, Progress.FAILED]


def test_the_first_stop_withdraws_the_message_of_every_phone(desk: Desk) -> None:
    desk.hand_over()
    said = desk.ledger.stop(desk.stop, "another phone of the same alert", desk.now)
    assert said[0].key == desk.orders.key(desk.phone, desk.start)
    assert said[0].progress is Progress.STOPPED
    assert desk.nothing_left()
    again = desk.ledger.stop(desk.stop, desk.phone.id, desk.now)
    assert [r.progress for r in again] == [Progress.RECEIVED, Progress.FINISHED]


def test_a_stop_that_overtakes_its_start_holds(desk: Desk) -> None:
    desk.ledger.stop(desk.stop, desk.phone.id, desk.now)
    assert [r.progress for r in desk.hand_over()] == [Progress.STOPPED]
    assert desk.nothing_left()


def test_an_expired_alert_is_forgotten_and_its_waiting_messages_are_not_lost(desk: Desk) -> None:
    desk.hand_over()
    after = desk.start.expires + timedelta(seconds=1)
    desk.ledger.forget(after)
    message, expired = desk.ledger.take(after)
    assert message is None
    assert [(r.progress, r.reason) for r in expired] == [(Progress.EXPIRED, Reason.EXPIRED)]
    assert desk.ledger.waiting == 0
