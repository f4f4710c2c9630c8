"""Written signs as they are said: numbers, times, units and telephone numbers, by `templates/message/spoken.toml`.

A synthesiser that drops "℃" or says 12345 as a sum would garble exactly what matters in a warning.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import cache
from typing import Final

from broadcast_core.render.phrases import SpokenSigns, spoken_signs

_WIDTH: Final = {ord(full): ord(half) for full, half in zip("０１２３４５６７８９％．", "0123456789%.", strict=True)}
_DATE: Final = re.compile(r"(?<!\d)(\d{4})-(\d{1,2})-(\d{1,2})(?!\d)T?")
_CLOCK: Final = re.compile(r"(?<!\d)([01]?\d|2[0-4])[:：]([0-5]\d)(?::[0-5]\d)?(?:[+-]\d{2}:\d{2})?(?!\d)")
_YEAR: Final = re.compile(r"(?<!\d)(\d{4})(?=\s*年)")
_RANGE: Final = re.compile(r"(?<![\dA-Za-z-])(\d+(?:\.\d+)?)\s*[-~～–—]\s*(?=\d)")
_LONG: Final = re.compile(r"(?<![\d.])(0\d{2,3}-)?\d{7,}(?![\d.])")
_PERCENT: Final = re.compile(r"(?<![\d.])(\d+(?:\.\d+)?)\s*%")
_BELOW: Final = re.compile(r"(?<![A-Za-z\d到])[-−](?=\d+(?:\.\d+)?\s*(?:℃|°C|摄氏度|度))")
_NUMBER: Final = re.compile(r"\d+(?:\.\d+)?")
_DIGITS: Final = "零一二三四五六七八九"


def read_aloud(text: str, language: str) -> str:
    """`text` with signs written out for a voice of `language` (a primary tag); unchanged without a table for it."""
    signs = spoken_signs(language)
    if signs is None:
        return text
    return _mandarin(text, signs) if language == "zh" else _units(_telephones(text, signs, language), signs)


def numeral(number: int) -> str:
    """A non-negative whole number below 10^12 in Chinese: 十九, 一百零五, 一万二千."""
    words, gap = "", False
    for power, unit in ((10**8, "亿"), (10**4, "万"), (1, "")):
        group = number // power % 10**4
        if group:
            words += ("零" if words and (gap or group < 1000) else "") + _below_ten_thousand(group) + unit
        gap = not group
    return (words[1:] if words.startswith("一十") else words) or _DIGITS[0]


def _below_ten_thousand(group: int) -> str:
    words, gap = "", False
    for power, unit in ((1000, "千"), (100, "百"), (10, "十"), (1, "")):
        digit = group // power % 10
        if digit:
            words += ("零" if gap and words else "") + _DIGITS[digit] + unit
        gap = not digit
    return words


def _mandarin(text: str, signs: SpokenSigns) -> str:
    text = _DATE.sub(r"\1年\2月\3日", text.translate(_WIDTH))
    text = _CLOCK.sub(_clock, text)
    text = _telephones(text, signs, "zh")
    text = _LONG.sub(lambda m: _one_by_one(m[0], signs.digits), text)
    text = _YEAR.sub(lambda m: _one_by_one(m[1], _DIGITS), text)
    text = _RANGE.sub(r"\1到", _BELOW.sub("零下", text))
    text = re.sub(rf"(?<![\d.])2(?=(?:到[\d.]+)?\s*(?:{_any(signs.measures)}))", "两", _units(text, signs))
    text = _PERCENT.sub(lambda m: "百分之" + _number(m[1]), text)
    return _NUMBER.sub(lambda m: _number(m[0]), text)


def _clock(found: re.Match[str]) -> str:
    hour, minute = int(found[1]), int(found[2])
    return f"{hour}点" + (f"{'零' if minute < 10 else ''}{minute}分" if minute else "")


def _number(digits: str) -> str:
    whole, _dot, part = digits.partition(".")
    if len(whole) > 12 or (len(whole) > 1 and whole.startswith("0")):
        return _one_by_one(digits, _DIGITS)
    return numeral(int(whole)) + ("点" + _one_by_one(part, _DIGITS) if part else "")


def _one_by_one(digits: str, names: str, gap: str = "") -> str:
    return gap.join(names[int(d)] for d in digits if d.isdecimal())


def _telephones(text: str, signs: SpokenSigns, language: str) -> str:
    gap = "" if language == "zh" else " "
    before, after, number = _telephone_patterns(language)
    text = before.sub(lambda m: m[1] + number.sub(lambda n: _one_by_one(n[0], signs.digits, gap), m[2]), text)
    return after.sub(lambda m: _one_by_one(m[1], signs.digits, gap), text)


def _units(text: str, signs: SpokenSigns) -> str:
    pattern = rf"(?<=\d)\s*({_any(signs.units)})(?![A-Za-z/])"
    return re.sub(pattern, lambda m: signs.units[m[1]], text)


@cache
def _telephone_patterns(language: str) -> tuple[re.Pattern[str], re.Pattern[str], re.Pattern[str]]:
    """A cue and the numbers after it, a number with its cue after it, and one number."""
    signs = spoken_signs(language)
    assert signs is not None
    edge, and_more = ("", "[、或和及/]") if language == "zh" else (r"\b", r"(?:/|,\s*|\s+(?:or|and)\s+)")
    one = r"\d[\d-]{1,18}\d(?: \d{4,8})?"
    near = r"[^\d。；，！？,;.!?]"  # between a cue and its number no sentence ends
    before = rf"({edge}(?:{_any(signs.telephone_before)}){edge}{near}{{0,8}})({one}(?:{and_more}{one})*)"
    after = rf"(?<![\d.])({one})(?={near}{{0,6}}?(?:{_any(signs.telephone_after)}))"
    whole = r"(?!\d|[.:]\d|[年月日点])"
    return re.compile(before + whole, re.IGNORECASE), re.compile(after, re.IGNORECASE), re.compile(one)


def _any(words: Iterable[str]) -> str:
    """An alternation, the longest first, so that km/h is not read as km."""
    return "|".join(re.escape(w) for w in sorted(words, key=len, reverse=True))
