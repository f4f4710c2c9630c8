"""A board proves itself by being read; nothing is written for it, and an alert never waits for it."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from broadcast_core.model import (
    Delivery,
    DeliveryKey,
    DeliveryKind,
    Domain,
    Part,
    Progress,
    Reason,
    SelfTest,
    SoundClass,
    read_parts,
)
from drivers.serial_relay import rtu
from drivers.serial_relay.proving import Proving
from drivers.serial_relay.wire import BoardConfig, Coil, Evidence, Prove
from simulators.relay.board import Lie
from tests.drivers.serial_relay.conftest import CLOCK

TESTS = "t1"


def selftest(alert_id: str = TESTS, *, lifetime_s: float = 30.0) -> SelfTest:
    now = CLOCK.now()
    return SelfTest(
        alert_id=alert_id,
        revision=1,
        domain=Domain.LIVE,
        issued_at=now,
        expires=now + timedelta(seconds=lifetime_s),
        parts=(Part.COILS, Part.TIMER),
    )


async def ask(bench: Any, order: SelfTest, *names: str) -> None:
    horns = [bench.horn(n) for n in names] or bench.horns
    await bench.driver.send([Delivery(endpoint=horn, order=order) for horn in horns])


async def test_coils_and_timer_are_read_and_nothing_moves(bench: Any) -> None:
    built = await bench(units={"L1": (1, 2)}, timer_s=600)
    await ask(built, selftest())
    await built.ended(alert_id=TESTS)
    for horn in built.horns:
        last = built.last(horn.id, alert_id=TESTS)
        assert (last.progress, last.reason) == (Progress.FINISHED, None)
        assert [(r.part, r.ok) for r in read_parts(last.detail)] == [(Part.COILS, True), (Part.TIMER, True)]
    assert built.bus().edges == []
    assert all(built.bus().board(unit).registers == {} for unit in (1, 2))  # the timer was not armed either


async def test_a_board_without_a_timer_claims_nothing_of_one(bench: Any) -> None:
    built = await bench(units={"L1": (1,)})
    await ask(built, selftest())
    await built.ended(alert_id=TESTS)
    assert [r.part for r in read_parts(built.last("L1-1", alert_id=TESTS).detail)] == [Part.COILS]


async def test_each_fault_is_named_and_the_others_are_proven(bench: Any) -> None:
    built = await bench(units={"L1": (1, 2, 3)}, timer_s=600)
    built.bus().board(1).dead = True
    built.bus().board(2).lie = Lie.EXCEPTION
    await ask(built, selftest())
    await built.ended(alert_id=TESTS)
    reasons = {h.id: built.last(h.id, alert_id=TESTS).reason for h in built.horns}
    assert reasons == {"L1-1": Reason.BOARD_SILENT, "L1-2": Reason.BOARD_EXCEPTION, "L1-3": None}


async def test_a_coil_that_somebody_closed_shows_and_is_opened(bench: Any, until: Any) -> None:
    built = await bench(units={"L1": (1,)}, timer_s=600)
    board = built.bus().board(1)
    await until(lambda: built.presence("L1-1"))  # it has been written and read once
    board.closed[3] = True
    await ask(built, selftest())
    await built.ended(alert_id=TESTS)
    last = built.last("L1-1", alert_id=TESTS)
    assert last.reason is Reason.READBACK_DIFFERS
    await until(lambda: not board.closed[3])


async def test_a_timer_that_holds_the_impossible_fails(bench: Any) -> None:
    built = await bench(units={"L1": (1,)}, timer_s=600)
    built.bus().board(1).registers[3] = 60_000
    await ask(built, selftest())
    await built.ended(alert_id=TESTS)
    last = built.last("L1-1", alert_id=TESTS)
    assert last.progress is Progress.FAILED
    assert [(r.part, r.ok) for r in read_parts(last.detail)] == [(Part.COILS, True), (Part.TIMER, False)]


async def test_while_an_alert_wants_the_board_it_is_not_asked(bench: Any, start: Any, stop: Any, until: Any) -> None:
    built = await bench(units={"L1": (1, 2)}, timer_s=600)
    await built.send(start([(1, 1)] * 4), "L1-1")
    await until(lambda: Progress.STARTED in built.progress("L1-1"))
    await ask(built, selftest(), "L1-1")
    await built.ended("L1-1")
    assert Progress.FINISHED not in built.progress("L1-1", alert_id=TESTS)
    assert built.last("L1-1").progress is Progress.FINISHED
    await built.ended("L1-1", alert_id=TESTS)
    order = [
        (e.key.alert_id, e.progress) for e in built.said if hasattr(e, "key") and e.progress is Progress.FINISHED
    ]
    assert order == [("a", Progress.FINISHED), (TESTS, Progress.FINISHED)]


@pytest.mark.parametrize("sound_class", [SoundClass.PUBLICITY, SoundClass.TEST])
async def test_no_playlist_and_no_test_ever_closes_a_relay(bench: Any, start: Any, sound_class: SoundClass) -> None:
    built = await bench(units={"L1": (1,)})
    await built.send(start([(1, 0)], sound_class=sound_class))
    await built.ended()
    assert built.last("L1-1").reason is Reason.UNSUPPORTED
    assert built.bus().edges == []


def test_what_has_expired_is_not_proven() -> None:
    said: list[Evidence] = []
    proving = Proving(BoardConfig(unit=1, coils=2), said.append)
    key = DeliveryKey(alert_id=TESTS, revision=1, kind=DeliveryKind.START, endpoint_id="h")
    proving.take(Prove(key=key, coil=Coil(line="L", unit=1, number=0), expires=10.0), 0.0)
    assert proving.due(9.0)
    assert not proving.due(10.0)
    proving.coils((False, False), 11.0)
    assert [e.progress for e in said] == [Progress.SENT]


def test_a_register_is_read_byte_for_byte() -> None:
    request = rtu.read_registers(0x11, 0x006B)
    assert request.frame.hex() == "1103006b0001f746"  # Modbus application protocol 1.1b3, 6.3, with its CRC
    assert rtu.find_answer(request, answer("110302022b")) == rtu.Good(values=(0x022B,))
    assert isinstance(rtu.find_answer(request, answer("11030400000000")), rtu.Wrong)
    assert rtu.find_answer(request, answer("118302")) == rtu.Refused(2)


def answer(body: str) -> bytes:
    """A frame with its CRC, by the polynomial and not by the code under test."""
    crc = 0xFFFF
    for byte in bytes.fromhex(body):
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0xA001 if crc & 1 else 0)
    return bytes.fromhex(body) + crc.to_bytes(2, "little")
