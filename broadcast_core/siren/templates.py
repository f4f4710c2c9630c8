"""Siren acts and their calendar (`templates.toml`, or the district's own file), checked once when read."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, time
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Final, Literal

import msgspec
from msgspec import Meta, Struct

from broadcast_core.errors import Rejected, RejectReason
from broadcast_core.i18n import Sentence, _
from broadcast_core.model import SirenPattern

SHIPPED: Final = Path(__file__).with_name("templates.toml")

_Text = Annotated[str, Meta(min_length=1, max_length=300)]
_LEAP_YEAR: Final = 2028


class Signal(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One signal of an act: how the horns sound, and what is said."""

    pattern: str
    headline_zh: _Text
    headline_en: _Text
    instruction_zh: _Text
    instruction_en: _Text


class Act(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Signals in their order. `test`: it is sounded for real, and nothing real has happened."""

    name_zh: _Text
    name_en: _Text
    test: bool
    channels: tuple[Literal["horn", "speaker", "sms"], ...]
    signals: Annotated[tuple[Signal, ...], Meta(min_length=1, max_length=9)]


class Yearly(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An act on one day of every year, each signal at its local time; proposed so many days ahead."""

    act: str
    month: Annotated[int, Meta(ge=1, le=12)]
    day: Annotated[int, Meta(ge=1, le=31)]
    at: tuple[time, ...]
    area: Annotated[tuple[str, ...], Meta(min_length=1)]
    propose_days: Annotated[int, Meta(ge=1, le=180)] = 30

    def on(self, year: int) -> date | None:
        """Its date in a year; 29 February has none in most."""
        try:
            return date(year, self.month, self.day)
        except ValueError:
            return None


class _File(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    act: dict[str, Act]
    calendar: dict[str, Yearly] = {}


@dataclass(frozen=True, kw_only=True, slots=True)
class Templates:
    acts: Mapping[str, Act]
    calendar: Mapping[str, Yearly]
    patterns: Mapping[str, SirenPattern]

    def digest(self, name: str) -> str:
        """SHA-256 over all that a calendar day would sound and say: who confirms confirms this."""
        yearly = self.calendar[name]
        steps = [self.patterns[s.pattern].steps for s in self.acts[yearly.act].signals]
        return hashlib.sha256(msgspec.json.encode((yearly, self.acts[yearly.act], steps))).hexdigest()


def templates(patterns: Mapping[str, SirenPattern], file: Path | None = None) -> Templates:
    """The templates of the file, or the shipped ones. Raises Rejected, naming what is wrong."""
    path = file or SHIPPED
    try:
        read = msgspec.toml.decode(path.read_bytes(), type=_File)
    except (OSError, UnicodeDecodeError, msgspec.DecodeError) as error:
        sentence = _("The siren file {path} cannot be read: {detail}", path=str(path), detail=str(error))
        raise Rejected(RejectReason.MALFORMED, sentence) from error
    for name, act in read.act.items():
        for number, signal in enumerate(act.signals):
            known = patterns.get(signal.pattern)
            if known is None or not known.enabled or known.demonstration:
                sentence = _("There is no confirmed siren pattern {pattern}.", pattern=signal.pattern)
                raise _refused(f"act.{name}.signals[{number}].pattern", sentence)
    for name, yearly in read.calendar.items():
        _check(name, yearly, read.act, patterns)
    return Templates(acts=read.act, calendar=read.calendar, patterns=patterns)


def _check(name: str, yearly: Yearly, acts: Mapping[str, Act], patterns: Mapping[str, SirenPattern]) -> None:
    act = acts.get(yearly.act)
    if act is None:
        raise _refused(f"calendar.{name}.act", _("There is no siren act {act}.", act=yearly.act))
    if yearly.on(_LEAP_YEAR) is None:
        raise _refused(f"calendar.{name}.day", _("There is no such day in any year."))
    if len(yearly.at) != len(act.signals):
        raise _refused(f"calendar.{name}.at", _("Each signal of the act needs its time."))
    seconds = [t.hour * 3600 + t.minute * 60 + t.second for t in yearly.at]
    for number, (first, then) in enumerate(pairwise(seconds)):
        if then - first < patterns[act.signals[number].pattern].total.total_seconds():
            raise _refused(f"calendar.{name}.at", _("A signal begins before the one before it has ended."))


def _refused(field: str, sentence: Sentence) -> Rejected:
    return Rejected(RejectReason.INVALID_VALUE, sentence, field)
