"""What the schedule's checks found, as the API tells it: in the answer to a save, and in the check of everything."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec
from aiohttp import web

from broadcast_core.web.problem import language_for
from scheduler.checks import Finding, FindingKind


class FindingBody(msgspec.Struct, frozen=True, kw_only=True):
    """One thing to know about the schedule."""

    problem: FindingKind
    refused: bool
    slot: str | None
    field: str
    detail: str


class SavedBody(msgspec.Struct, frozen=True, kw_only=True):
    """It is saved and in force."""

    id: str
    warnings: tuple[FindingBody, ...]


def saved_body(identifier: str, warnings: Iterable[Finding], request: web.Request) -> SavedBody:
    """The answer to a save, in the reader's language."""
    return SavedBody(id=identifier, warnings=finding_bodies(warnings, request))


def finding_bodies(findings: Iterable[Finding], request: web.Request) -> tuple[FindingBody, ...]:
    """Findings in the reader's language."""
    language = language_for(request)
    return tuple(
        FindingBody(
            problem=f.problem, refused=f.refused, slot=f.slot_id, field=f.field, detail=f.sentence.say(language)
        )
        for f in findings
    )
