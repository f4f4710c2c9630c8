"""The Modbus codec against the bytes in docs/protocols/serial-relay.md."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drivers.serial_relay import rtu

PAGE = Path(__file__).parents[3] / "docs" / "protocols" / "serial-relay.md"
ROW = re.compile(
    r"^\| [^|]+ \| `([0-9A-F ]+)` \| `([0-9A-F ]+)` \| (good|refused|wrong|none)(?:: ([^|]+))? \|$", re.M
)
VECTORS = ROW.findall(PAGE.read_text(encoding="utf-8"))

REQUESTS = [
    rtu.write_coils(1, [True] + [False] * 7),
    rtu.write_coils(1, [False] * 8),
    rtu.write_coils(17, [n in (0, 2, 8) for n in range(16)]),
    rtu.read_coils(1, 8),
    rtu.read_coils(17, 16),
    rtu.write_register(1, 3, 37),
]
BY_FRAME = {request.frame: request for request in REQUESTS}


def test_the_page_has_all_the_examples():
    assert len(VECTORS) == 13


@pytest.mark.parametrize(("request_hex", "answer_hex", "verdict", "detail"), VECTORS)
def test_a_documented_example_holds_byte_for_byte(request_hex, answer_hex, verdict, detail):
    asked = BY_FRAME[bytes.fromhex(request_hex)]
    answer = rtu.find_answer(asked, bytes.fromhex(answer_hex))
    match verdict:
        case "good":
            bits = tuple(bit == "1" for bit in detail.strip())
            assert answer == rtu.Good(bits)
        case "refused":
            assert answer == rtu.Refused(4)
        case "wrong":
            assert isinstance(answer, rtu.Wrong)
        case "none":
            assert answer is None


def test_an_answer_is_found_behind_noise_and_behind_a_late_answer_of_another_board():
    late = bytes.fromhex("11010205 01BAAF")
    answer = bytes.fromhex("010101019048")
    asked = rtu.read_coils(1, 8)
    good = rtu.Good((True,) + (False,) * 7)
    assert rtu.find_answer(asked, b"\x01\xff\x00" + answer) == good
    assert rtu.find_answer(asked, late + answer) == good


def test_nothing_is_answered_before_the_last_byte_is_there():
    answer = bytes.fromhex("010101019048")
    for end in range(len(answer)):
        assert rtu.find_answer(rtu.read_coils(1, 8), answer[:end]) is None


@given(st.binary(max_size=64))
def test_noise_never_breaks_the_search(noise):
    for asked in REQUESTS:
        rtu.find_answer(asked, noise)


@given(st.integers(1, 247), st.lists(st.booleans(), min_size=1, max_size=64), st.integers(0, 63), st.integers(1, 255))
def test_an_answer_with_one_damaged_byte_is_never_good(unit, bits, where, flip):
    asked = rtu.write_coils(unit, bits)
    assert asked.echo is not None
    damaged = bytearray(asked.echo)
    damaged[where % len(damaged)] ^= flip
    assert not isinstance(rtu.find_answer(asked, bytes(damaged)), rtu.Good)
