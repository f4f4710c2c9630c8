"""How many messages a text becomes on the air. Pure.

3GPP TS 23.038: 160 septets of the GSM-7 alphabet, or 70 UTF-16 units when one character is outside it. A longer text
is cut into parts that each give up room for the concatenation header (TS 23.040): 153 and 67. A character of two
septets, or of two UTF-16 units, is never divided between parts.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache
from typing import Final

_GSM7_BASIC: Final = frozenset(
    "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?"
    "¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿abcdefghijklmnopqrstuvwxyzäöñüà"
)
_GSM7_EXTENSION: Final = frozenset("\f^{}\\[~]|€")  # an escape and a second septet
_GSM7: Final = _GSM7_BASIC | _GSM7_EXTENSION


class Encoding(StrEnum):
    GSM7 = "gsm7"
    UCS2 = "ucs2"


@dataclass(frozen=True, kw_only=True, slots=True)
class Parts:
    """What a text costs: `units` are septets (GSM-7) or UTF-16 code units (UCS-2), `count` the messages it takes."""

    encoding: Encoding
    units: int
    count: int


_SINGLE: Final = {Encoding.GSM7: 160, Encoding.UCS2: 70}
_OF_SEVERAL: Final = {Encoding.GSM7: 153, Encoding.UCS2: 67}


@lru_cache(maxsize=256)  # one alert's text goes to thousands of phones
def parts_of(text: str) -> Parts:
    """Count the parts of `text`. An empty text is one part of no units."""
    encoding = Encoding.GSM7 if _GSM7.issuperset(text) else Encoding.UCS2
    widths = [_width(character, encoding) for character in text]
    units = sum(widths)
    count = 1 if units <= _SINGLE[encoding] else _fill(widths, _OF_SEVERAL[encoding])
    return Parts(encoding=encoding, units=units, count=count)


def _width(character: str, encoding: Encoding) -> int:
    if encoding is Encoding.GSM7:
        return 2 if character in _GSM7_EXTENSION else 1
    return 2 if ord(character) > 0xFFFF else 1


def _fill(widths: list[int], room: int) -> int:
    """How many parts of `room` units the characters fill, none of them divided."""
    count, used = 1, 0
    for width in widths:
        if used + width > room:
            count, used = count + 1, 0
        used += width
    return count
