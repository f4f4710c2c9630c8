"""What a check found: how good it is, what it saw, and what to do about it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from broadcast_core.i18n import Sentence


class Grade(StrEnum):
    """How good. Only `fail` makes the doctor's exit code 1."""

    OK = "ok"
    WARN = "warn"  # works today; somebody should decide about it
    FAIL = "fail"  # an alert would suffer from it
    SKIPPED = "skipped"  # not looked at, and why: never the same as ok


@dataclass(frozen=True, kw_only=True, slots=True)
class Finding:
    """One check's result. `details` are lines under `says`, one for each thing that is not as it should be."""

    grade: Grade
    says: Sentence
    advice: Sentence | None = None
    details: tuple[Sentence, ...] = ()


def ok(says: Sentence, *details: Sentence) -> Finding:
    """As it should be."""
    return Finding(grade=Grade.OK, says=says, details=details)


def warn(says: Sentence, advice: Sentence | None = None, *details: Sentence) -> Finding:
    """Works, but somebody should know."""
    return Finding(grade=Grade.WARN, says=says, advice=advice, details=details)


def fail(says: Sentence, advice: Sentence | None = None, *details: Sentence) -> Finding:
    """An alert would suffer."""
    return Finding(grade=Grade.FAIL, says=says, advice=advice, details=details)


def skipped(says: Sentence) -> Finding:
    """Not looked at."""
    return Finding(grade=Grade.SKIPPED, says=says)
