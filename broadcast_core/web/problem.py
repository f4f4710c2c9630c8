"""Refusals as problem+json (RFC 9457).

`type` is ``urn:tocsin:problem:<reason>`` with a reason of the closed list `RejectReason`; where the HTTP status says
it all (no such method, not acceptable, our own failure) it is ``about:blank``, as the RFC has it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Final

import msgspec
from aiohttp import web

from broadcast_core.errors import (
    NotFound,
    RegistryRejected,
    Rejected,
    RejectReason,
    RowError,
    StorageFailed,
    TocsinError,
)
from broadcast_core.i18n import Sentence, _, language_of
from broadcast_core.library import InUse

MEDIA_TYPE: Final = "application/problem+json"
URN: Final = "urn:tocsin:problem:"

_STATUS: Final[Mapping[RejectReason, HTTPStatus]] = {
    RejectReason.MALFORMED: HTTPStatus.BAD_REQUEST,
    RejectReason.TOO_LARGE: HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
    RejectReason.IDENTIFIER_REUSED: HTTPStatus.CONFLICT,
    RejectReason.IDEMPOTENCY_KEY_REUSED: HTTPStatus.CONFLICT,
    RejectReason.NOT_LIVE: HTTPStatus.CONFLICT,
    RejectReason.LOCKED: HTTPStatus.CONFLICT,
    RejectReason.IN_USE: HTTPStatus.CONFLICT,
    RejectReason.UNAUTHENTICATED: HTTPStatus.UNAUTHORIZED,
    RejectReason.FORBIDDEN: HTTPStatus.FORBIDDEN,
    RejectReason.NOT_FOUND: HTTPStatus.NOT_FOUND,
    RejectReason.STORAGE_FAILED: HTTPStatus.SERVICE_UNAVAILABLE,
    RejectReason.STORAGE_RESERVED: HTTPStatus.INSUFFICIENT_STORAGE,
    RejectReason.BUSY: HTTPStatus.SERVICE_UNAVAILABLE,
}
_TITLES: Final[Mapping[HTTPStatus, Sentence]] = {
    HTTPStatus.BAD_REQUEST: _("The request cannot be read"),
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE: _("Too large"),
    HTTPStatus.UNPROCESSABLE_ENTITY: _("The content is refused"),
    HTTPStatus.CONFLICT: _("In conflict with what is there"),
    HTTPStatus.UNAUTHORIZED: _("No valid token"),
    HTTPStatus.FORBIDDEN: _("The token does not allow this"),
    HTTPStatus.NOT_FOUND: _("Not found"),
    HTTPStatus.SERVICE_UNAVAILABLE: _("Not now"),
    HTTPStatus.INSUFFICIENT_STORAGE: _("No room but for alerts"),
}


# What `NotFound` names, as people read it.
_KINDS: Final[Mapping[str, Sentence]] = {
    "alert": _("alert"),
    "CAP message": _("CAP message"),
    "edit": _("day set by hand"),
    "endpoint": _("endpoint"),
    "media": _("item in the library"),
    "kindness": _("kindness of its own for"),
    "mode": _("mode of its own for"),
    "playlist": _("playlist"),
    "slot": _("slot"),
    "token": _("token"),
    "zone": _("zone"),
}


class ProblemRow(msgspec.Struct, frozen=True, kw_only=True):
    """One refused row of an import. The header is line 1; of GeoJSON the line is the feature's number."""

    line: int
    field: str
    reason: RejectReason
    detail: str


class ProblemUser(msgspec.Struct, frozen=True, kw_only=True):
    """What still needs the thing that was to be deleted."""

    kind: str
    id: str
    name: str


class Problem(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Why a request was refused (RFC 9457), in the reader's language. Nothing of it took effect."""

    type: str
    title: str
    status: int
    detail: str
    reason: RejectReason | None = None
    field: str | None = None  # what to correct, as a path
    rows: tuple[ProblemRow, ...] | None = None
    users: tuple[ProblemUser, ...] | None = None


@dataclass(eq=False)
class BadRequest(TocsinError):
    """A request that HTTP itself has a status for; `sentence` says what to do."""

    status: HTTPStatus
    sentence: Sentence


def status_of(reason: RejectReason) -> HTTPStatus:
    """The HTTP status that goes with a reason: what is readable and refused is 422."""
    return _STATUS.get(reason, HTTPStatus.UNPROCESSABLE_ENTITY)


def problem_of(error: TocsinError, language: str) -> Problem:
    """The problem that tells of an error of ours."""
    match error:
        case InUse():
            problem = _problem(error.reason, error.sentence, language)
            users = tuple(ProblemUser(kind=user.kind, id=user.id, name=user.name) for user in error.users)
            return msgspec.structs.replace(problem, users=users)
        case Rejected():
            return _problem(error.reason, error.sentence, language, field=error.field)
        case RegistryRejected():
            return _of_rows(error, language)
        case NotFound():
            kind = _KINDS.get(error.kind, error.kind)
            sentence = _("There is no {kind} {identifier}.", kind=kind, identifier=error.identifier)
            return _problem(RejectReason.NOT_FOUND, sentence, language)
        case StorageFailed():
            # The database's own words stay in the log: they name files and statements.
            sentence = _("Storage failed, nothing was accepted. Running alerts go on; stop works.")
            return _problem(RejectReason.STORAGE_FAILED, sentence, language)
        case BadRequest():
            return blank(error.status, error.sentence.say(language))
        case _:
            raise TypeError(f"no problem for {type(error).__name__}")


def blank(status: HTTPStatus, detail: str) -> Problem:
    """A problem that the status explains."""
    return Problem(type="about:blank", title=status.phrase, status=status, detail=detail)


def respond(problem: Problem, language: str, headers: Mapping[str, str] | None = None) -> web.Response:
    """The HTTP response of a problem."""
    return web.Response(
        body=msgspec.json.encode(problem),
        status=problem.status,
        content_type=MEDIA_TYPE,
        headers={"Content-Language": language, "Vary": "Accept-Language", **(headers or {})},
    )


def language_for(request: web.BaseRequest) -> str:
    """The language the reader asks for in Accept-Language."""
    return language_of(request.headers.get("Accept-Language"))


def _problem(reason: RejectReason, sentence: Sentence, language: str, field: str | None = None) -> Problem:
    status = status_of(reason)
    return Problem(
        type=f"{URN}{reason}",
        title=_TITLES[status].say(language),
        status=status,
        detail=sentence.say(language),
        reason=reason,
        field=field,
    )


def _of_rows(error: RegistryRejected, language: str) -> Problem:
    reasons = {row.reason for row in error.rows}
    reason = reasons.pop() if len(reasons) == 1 else RejectReason.INVALID_VALUE
    sentence = _("{count} rows are refused; nothing of the file was applied.", count=len(error.rows))
    return Problem(
        type=f"{URN}{reason}",
        title=_TITLES[HTTPStatus.UNPROCESSABLE_ENTITY].say(language),
        status=HTTPStatus.UNPROCESSABLE_ENTITY,
        detail=sentence.say(language),
        reason=reason,
        rows=tuple(_row(row, language) for row in error.rows),
    )


def _row(row: RowError, language: str) -> ProblemRow:
    return ProblemRow(line=row.line, field=row.field, reason=row.reason, detail=row.sentence.say(language))
