"""The guard's judgement and the core's memory, without processes."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import msgspec
import pytest

from broadcast_core.config import Board, BoardTimer, Serial, SerialLine
from broadcast_core.model import DeliveryKey, DeliveryKind, Progress, Reason, Receipt
from drivers.serial_relay import orders, wire
from drivers.serial_relay.ledger import CRASHED_AFTER_S, KEEP_S, Ledger
from drivers.serial_relay.watch import START_S, Watch

NOW = 1000.0
COIL = wire.Coil(line="L", unit=1, number=0)


def ticks(watch, start, seconds):
    """Tick as the guard does; the first verdict, if any."""
    now = start
    while now < start + seconds:
        now += watch.period_s
        if (verdict := watch.tick(now)) is not None:
            return verdict
    return None


def test_a_worker_has_time_to_start_and_then_must_be_heard():
    watch = Watch(2.0, NOW)
    assert ticks(watch, NOW, START_S - 1) is None
    watch.beat(wire.Beat())
    assert ticks(watch, NOW + START_S - 1, 1.9) is None
    assert ticks(watch, NOW + START_S + 1, 2.0) == "worker hung"


def test_a_machine_that_stood_still_is_not_the_workers_silence():
    watch = Watch(2.0, NOW)
    watch.beat(wire.Beat())
    assert watch.tick(NOW + 60) is None


def closed(tried):
    return wire.Beat(closed=(wire.Closed(line="L", unit=7, until=NOW + 10, tried=tried),))


def test_a_coil_left_closed_by_a_worker_that_is_alive_is_its_end():
    watch = Watch(2.0, NOW)
    watch.beat(closed(tried=False))
    assert watch.tick(NOW + 11.9) is None
    watch.beat(closed(tried=False))
    assert watch.tick(NOW + 12.1) == "coils of L/7 overdue"


def test_a_board_that_cannot_be_opened_is_no_reason_to_end_a_worker_that_tries():
    watch = Watch(2.0, NOW)
    for second in range(60):
        watch.beat(closed(tried=second >= 10))
        assert watch.tick(NOW + second) is None


def key(kind):
    return DeliveryKey(alert_id="a", revision=1, kind=kind, endpoint_id="h")


def sound(**changes):
    order = {
        "key": key(DeliveryKind.START),
        "coil": COIL,
        "standing": msgspec.convert(
            {"sound_class": 50, "authority": 20, "level": 1, "urgency": "Immediate", "certainty": "Observed"},
            wire.Standing,
        ),
        "issued_ms": 0,
        "starts": NOW,
        "expires": NOW + 100,
        "steps": ((5.0, 5.0),),
        "max_on_s": 200.0,
    }
    return wire.Sound(**(order | changes))


def silence():
    return wire.Silence(key=key(DeliveryKind.STOP), coil=COIL, expires=NOW + 100)


def receipt(progress, kind=DeliveryKind.START, retry_after=None):
    return Receipt(
        key=key(kind), progress=progress, at=datetime(2026, 11, 1, tzinfo=UTC), reason=None, retry_after=retry_after
    )


def test_every_message_reads_back_equal():
    proof = wire.Proof(anchor=NOW, phases=(1, 2), played_s=3.5, started=True)
    assert wire.decode(wire.to_worker, wire.encode(sound(proof=proof))) == sound(proof=proof)
    assert wire.decode(wire.to_worker, wire.encode(silence())) == silence()
    evidence = wire.Evidence(
        key=key(DeliveryKind.START), progress=Progress.FAILED, at=NOW, reason=Reason.PORT_LOST, detail="拔掉了"
    )
    events = wire.Events(evidence=(evidence,), proven=(wire.Proven(key=evidence.key, proof=proof),))
    assert wire.decode(wire.from_worker, wire.encode(events)) == events
    assert wire.encode(events).count(b"\n") == 1


def test_a_new_worker_hears_the_stops_first_and_nothing_that_has_ended():
    ledger = Ledger()
    assert ledger.put(sound(), NOW)
    assert not ledger.put(sound(), NOW)
    assert ledger.put(silence(), NOW)
    assert [type(order) for order in ledger.again(NOW)] == [wire.Silence, wire.Sound]
    ledger.witnessed(receipt(Progress.FINISHED))
    assert ledger.again(NOW) == [silence()]


def test_a_failure_that_may_be_tried_again_has_not_ended():
    ledger = Ledger()
    ledger.put(sound(), NOW)
    ledger.witnessed(receipt(Progress.FAILED, retry_after=timedelta(seconds=5)))
    assert ledger.again(NOW) == [sound()]


def test_proof_goes_along_to_the_next_worker():
    ledger = Ledger()
    ledger.put(sound(), NOW)
    ledger.taken(key(DeliveryKind.START))
    [order] = ledger.again(NOW)
    assert order.proof == wire.Proof(anchor=NOW, phases=(), played_s=0.0)
    proof = wire.Proof(anchor=NOW + 3, phases=(1,), played_s=5.0, started=True)
    ledger.proven(key(DeliveryKind.START), proof)
    assert ledger.again(NOW)[0].proof == proof


def test_what_ended_without_a_worker_is_found_and_what_expired_is_forgotten():
    ledger = Ledger()
    ledger.put(sound(), NOW)
    assert ledger.abandoned(NOW + 10 + CRASHED_AFTER_S) == []
    assert ledger.abandoned(NOW + 11 + CRASHED_AFTER_S) == [sound()]
    assert ledger.again(NOW + 100 + KEEP_S) == []


def test_the_boards_without_a_timer_are_named():
    settings = Serial(
        lines=(
            SerialLine(
                name="L",
                port="/dev/null",
                boards=(Board(unit=1), Board(unit=2, timer=BoardTimer(register_address=3)), Board(unit=3)),
            ),
        )
    )
    assert orders.boards_without_timer(settings) == [("L", 1), ("L", 3)]


@pytest.mark.parametrize(("baudrate", "parity", "stopbits", "bits"), [(9600, "N", 1, 10), (19200, "E", 2, 12)])
def test_a_character_takes_its_bits(baudrate, parity, stopbits, bits):
    line = wire.LineConfig(name="L", port="p", baudrate=baudrate, parity=parity, stopbits=stopbits, boards=())
    assert line.char_s == pytest.approx(bits / baudrate)
