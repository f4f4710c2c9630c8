"""Whose turn it is on a line, and what a board needs."""

from __future__ import annotations

import pytest

from broadcast_core.model import (
    Authority,
    Certainty,
    DeliveryKey,
    DeliveryKind,
    Level,
    Reason,
    SoundClass,
    Standing,
    Urgency,
)
from drivers.serial_relay import rtu, wire
from drivers.serial_relay.board import IDLE_CHECK_S, Board, Rank
from drivers.serial_relay.schedule import choose

NOW = 1000.0
OFF = (False,) * 4


def key(kind, alert="a"):
    return DeliveryKey(alert_id=alert, revision=1, kind=kind, endpoint_id="h")


def sound(unit, starts, steps=((5.0, 5.0),), number=0):
    return wire.Sound(
        key=key(DeliveryKind.START, f"a{unit}{number}"),
        coil=wire.Coil(line="L", unit=unit, number=number),
        standing=Standing(
            sound_class=SoundClass.EMERGENCY,
            authority=Authority.DISTRICT,
            level=Level.RED,
            urgency=Urgency.IMMEDIATE,
            certainty=Certainty.OBSERVED,
        ),
        issued_ms=0,
        starts=starts,
        expires=starts + 500,
        steps=tuple(steps),
        max_on_s=200.0,
    )


def board(unit, timer_max_s=0):
    timer = {"timer_register": 3, "timer_max_s": timer_max_s} if timer_max_s else {}
    config = wire.BoardConfig(unit=unit, coils=4, **timer)
    settings = wire.Configure(lines=(), reply_timeout_s=0.25, max_on_s=200.0, watchdog_s=2.0)
    made = Board("L", config, settings, lambda event: None)
    made.reachable()
    return made


def proven(made, now):
    """Let a board do and prove all it is to do now."""
    write = made.plan(now)
    if write is not None:
        made.closing(write)
        made.acknowledged(write, now, 0.01)
        made.read(write.bits, now, 0.01)
    assert made.need(now) in (None, Rank.CHECK)
    return made


@pytest.fixture
def one():
    return proven(board(1), NOW)


@pytest.fixture
def two():
    return proven(board(2), NOW)


def test_a_board_is_written_before_it_is_read_and_then_left_in_peace():
    made = board(1)
    assert made.need(NOW) is Rank.WRITE
    write = made.plan(NOW)
    assert write.bits == OFF
    made.acknowledged(write, NOW, 0.01)
    assert (made.need(NOW), made.plan(NOW)) == (Rank.READ, None)
    made.read(OFF, NOW, 0.01)
    assert made.proven_open
    assert made.need(NOW) is None
    assert made.need(NOW + IDLE_CHECK_S) is Rank.CHECK


def test_what_has_ended_goes_before_every_edge(one, two):
    for made, unit in ((one, 1), (two, 2)):
        made.coils[0].sound(sound(unit, NOW), NOW)
        proven(made, NOW)
    two.coils[1].sound(sound(2, NOW + 1, number=1), NOW)
    one.coils[0].silence(wire.Silence(key=key(DeliveryKind.STOP, "a10"), coil=None, expires=NOW + 9), NOW)
    chosen, _ = choose([two, one], NOW)
    assert chosen is one
    assert one.need(NOW) is Rank.STOP_WRITE


def test_edges_of_one_moment_are_one_write(one):
    for number in (0, 2):
        one.coils[number].sound(sound(1, NOW, number=number), NOW)
    assert one.plan(NOW).bits == (True, False, True, False)


def test_all_boards_are_written_before_any_is_read(one, two):
    for made, unit in ((one, 1), (two, 2)):
        made.coils[0].sound(sound(unit, NOW), NOW)
    first, _ = choose([one, two], NOW)
    first.acknowledged(first.plan(NOW), NOW, 0.01)
    second, _ = choose([one, two], NOW)
    assert second is not first


def test_a_dead_board_waits_for_a_gap_between_edges(one, two):
    two.coils[0].sound(sound(2, NOW + 0.3), NOW)
    proven(two, NOW)
    for _ in range(2):
        one.failed(Reason.BOARD_SILENT, "no answer", NOW)
    one.served_at = two.served_at = NOW
    later = NOW + 0.26
    assert one.need(later) is Rank.RETRY
    chosen, wake = choose([one, two], later)
    assert chosen is None
    assert wake == pytest.approx(NOW + 0.3)
    assert choose([one, two], NOW + 2.0)[0] is two  # its edge first
    proven(two, NOW + 2.0)
    assert choose([one, two], NOW + 2.0)[0] is one


def test_a_first_failure_is_tried_again_at_once_but_behind_the_others(one, two):
    one.failed(Reason.BOARD_SILENT, "no answer", NOW)
    assert choose([one, two], NOW)[0] is one
    two.coils[0].sound(sound(2, NOW), NOW)
    assert choose([one, two], NOW)[0] is two


def test_a_reading_that_differs_is_a_failure_and_the_write_comes_first_again(one):
    one.coils[0].sound(sound(1, NOW), NOW)
    write = one.plan(NOW)
    one.acknowledged(write, NOW, 0.01)
    one.read(OFF, NOW, 0.01)
    assert one.failures == 1
    assert one.plan(NOW).bits == write.bits


def test_a_coil_that_somebody_else_closed_is_opened(one):
    later = NOW + IDLE_CHECK_S
    assert one.plan(later) is None
    one.read((False, True, False, False), later, 0.01)
    assert one.plan(later).bits == OFF


def test_a_refusal_counts_as_an_answer_that_proves_nothing(one):
    one.answered_badly(rtu.Refused(4), NOW)
    assert not one.proven_open


def test_the_boards_timer_gets_the_rest_of_the_sound_and_a_second(one):
    made = proven(board(3, timer_max_s=600), NOW)
    assert made.plan(NOW) is None
    made.coils[0].sound(sound(3, NOW - 2.0), NOW)
    assert made.plan(NOW).timer_s == 4
    assert one.plan(NOW) is None


def test_a_timer_that_cannot_count_so_far_is_wound_up_again():
    made = proven(board(3, timer_max_s=2), NOW)
    made.coils[0].sound(sound(3, NOW), NOW)
    proven(made, NOW)
    assert made.need(NOW + 0.9) is None
    assert made.need(NOW + 1.1) is Rank.WRITE
    assert made.plan(NOW + 1.1).timer_s == 2


def test_the_guard_hears_of_a_closed_coil_until_it_is_proven_open(one):
    assert one.closed() is None
    one.coils[0].sound(sound(1, NOW), NOW)
    one.closing(one.plan(NOW))  # not even acknowledged
    assert one.closed() == wire.Closed(line="L", unit=1, until=NOW + 5, tried=False)
    one.failed(Reason.BOARD_SILENT, "no answer", NOW + 1)
    assert not one.closed().tried
    one.failed(Reason.BOARD_SILENT, "no answer", NOW + 6)
    one.reachable()
    assert one.closed().tried
    proven(one, NOW + 6.5)
    assert one.closed() is None
