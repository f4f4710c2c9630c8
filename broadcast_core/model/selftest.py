"""What an endpoint proves in silence, part by part, and how a receipt carries it.

A receipt's `detail` has one form for every channel, so that a result reads alike wherever it comes from::

    fetch=ok 48 ms; amplifier=failed no loop signal; clock=ok +12 ms; storage=ok
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

_LONGEST_NOTE: Final = 80


class Part(StrEnum):
    """What is looked at. Closed: also the report's words."""

    FETCH = "fetch"  # a small file was fetched, and its hash fits
    AMPLIFIER = "amplifier"  # the loop from amplifier to loudspeaker is closed, measured below hearing
    CLOCK = "clock"  # it agrees with the core's signed time
    STORAGE = "storage"  # there is room for orders, evidence and audio
    COILS = "coils"  # all coils of the board read back as they were written
    TIMER = "timer"  # the board's switch-off timer can be read and holds a possible value
    ACCOUNT = "account"  # of the SMS gateway: login and credit


SPEAKER_PARTS: Final = (Part.FETCH, Part.AMPLIFIER, Part.CLOCK, Part.STORAGE)
_PARTS: Final = {part.value: part for part in Part}


@dataclass(frozen=True, kw_only=True, slots=True)
class PartResult:
    """One part, and in a few words what was seen."""

    part: Part
    ok: bool
    note: str = ""


def say_parts(results: Iterable[PartResult]) -> str:
    """The results as a receipt's detail."""
    return "; ".join(f"{r.part}={'ok' if r.ok else 'failed'} {_plain(r.note)}".rstrip() for r in results)


def read_parts(detail: str) -> tuple[PartResult, ...]:
    """The inverse of `say_parts`. What is not of its form is left out: it proves nothing."""
    found = []
    for piece in detail.split(";"):
        name, equals, said = piece.strip().partition("=")
        verdict, _space, note = said.partition(" ")
        if equals and name in _PARTS and verdict in {"ok", "failed"}:
            found.append(PartResult(part=_PARTS[name], ok=verdict == "ok", note=note))
    return tuple(found)


def _plain(note: str) -> str:
    return note.replace(";", ",").replace("=", ":")[:_LONGEST_NOTE]
