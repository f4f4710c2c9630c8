"""A text's parts are known before anything is sent."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drivers.sms_gateway.wire_parts import Encoding, parts_of

GSM7_VECTORS = [
    ("", 0, 1),
    ("Storm", 5, 1),
    ("a" * 160, 160, 1),
    ("a" * 161, 161, 2),
    ("a" * 306, 306, 2),
    ("a" * 307, 307, 3),
    ("@£$¥èéùìòÇØøÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ¤¡ÄÖÑÜ§¿äöñüà\n\r", 44, 1),
    ("^{}\\[~]|€\f", 20, 1),  # the extension table: two septets each
    ("€" * 80, 160, 1),
    ("€" * 81, 162, 2),
    ("a" * 152 + "€" + "a" * 10, 164, 2),  # the euro would be divided at 153, and moves on whole
    ("a" * 152 + "€" + "a" * 151, 305, 2),
    ("a" * 152 + "€" + "a" * 152, 306, 3),  # 306 septets, but not in two parts
]
UCS2_VECTORS = [
    ("暴雨", 2, 1),
    ("暴" * 70, 70, 1),
    ("暴" * 71, 71, 2),
    ("暴" * 134, 134, 2),
    ("暴" * 135, 135, 3),
    ("暴" * 670, 670, 10),
    ("暴" * 671, 671, 11),
    ("a" * 69 + "ç", 70, 1),  # one character outside GSM-7 makes all of it UCS-2 (its Ç is only a capital)
    ("a`b", 3, 1),
    ("😀", 2, 1),
    ("😀" * 35, 70, 1),
    ("😀" * 36, 72, 2),
    ("a" * 66 + "😀" + "b" * 65, 133, 2),
    ("a" * 66 + "😀" + "b" * 66, 134, 3),  # the pair would be divided at 67, and moves on whole
]


@pytest.mark.parametrize(("text", "units", "count"), GSM7_VECTORS)
def test_gsm7_is_counted_in_septets(text: str, units: int, count: int) -> None:
    parts = parts_of(text)
    assert (parts.encoding, parts.units, parts.count) == (Encoding.GSM7, units, count)


@pytest.mark.parametrize(("text", "units", "count"), UCS2_VECTORS)
def test_everything_else_is_counted_in_utf16_units(text: str, units: int, count: int) -> None:
    parts = parts_of(text)
    assert (parts.encoding, parts.units, parts.count) == (Encoding.UCS2, units, count)


@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_units_of_ucs2_are_those_of_utf16(text: str) -> None:
    parts = parts_of("雨" + text)
    assert parts.units == len(("雨" + text).encode("utf-16-le")) // 2


@given(st.text("aé€[😀雨", max_size=600))
def test_the_parts_hold_the_text_and_one_fewer_would_not(text: str) -> None:
    parts = parts_of(text)
    room = {Encoding.GSM7: 153, Encoding.UCS2: 67}[parts.encoding]
    if parts.count > 1:
        assert (parts.count - 1) * (room - 1) < parts.units <= parts.count * room
