"""Working days and days of rest: the official calendar, and the administrator's word over it."""

from __future__ import annotations

from datetime import date, timedelta
from http import HTTPStatus
from typing import Annotated, Any, Final

import msgspec
from aiohttp import web

from broadcast_core.errors import NotFound, Rejected, RejectReason
from broadcast_core.i18n import _
from broadcast_core.tokens import TokenScope
from broadcast_core.web.findings import SavedBody, saved_body
from broadcast_core.web.kit import SCHEDULE, actor_of, json_response
from broadcast_core.web.problem import language_for
from broadcast_core.web.reading import SMALL_BODY, parse_json, read_body
from broadcast_core.web.route import PREFIX, Answer, Body, NoQuery, Route
from broadcast_core.web.submission import JSON_MEDIA
from scheduler.calendar import CalendarEdit, Source
from scheduler.model import DayKind

_MOST_DAYS: Final = 366
_USUAL: Final = timedelta(days=34)  # five weeks

# An anchor in 1950 and one in 2099 are both possible; beyond them there is no calendar to ask.
_FIRST: Final = date(1950, 1, 1)
_LAST: Final = date(2099, 12, 31)


class CalendarQuery(msgspec.Struct, frozen=True, kw_only=True):
    first: Annotated[date | None, msgspec.Meta(description="local; today if it is not given")] = None
    last: Annotated[date | None, msgspec.Meta(description="included; five weeks if it is not given")] = None


class CalendarDayBody(msgspec.Struct, frozen=True, kw_only=True):
    date: date
    kind: DayKind
    source: Source
    name: str


class CalendarBody(msgspec.Struct, frozen=True, kw_only=True):
    """`notes` say which years nobody has announced yet."""

    first: date
    last: date
    days: tuple[CalendarDayBody, ...]
    notes: tuple[str, ...]


class EditBody(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The administrator's word for a day."""

    kind: DayKind
    name: Annotated[str, msgspec.Meta(max_length=100)] = ""


async def show_calendar(request: web.Request, query: CalendarQuery) -> web.Response:
    desk, language = request.app[SCHEDULE], language_for(request)
    first = query.first or desk.today
    last = query.last or min(first + _USUAL, _LAST)
    if not (_FIRST <= first <= last <= _LAST and last - first < timedelta(days=_MOST_DAYS)):
        sentence = _("Ask for 1 to {most} days, the first before the last.", most=_MOST_DAYS)
        raise Rejected(RejectReason.INVALID_VALUE, sentence, "query.last")
    calendar = desk.circumstances().calendar
    days = (calendar.day(first + timedelta(days=n)) for n in range((last - first).days + 1))
    return json_response(
        CalendarBody(
            first=first,
            last=last,
            days=tuple(CalendarDayBody(date=d.date, kind=d.kind, source=d.source, name=d.name) for d in days),
            notes=tuple(note.say(language) for note in calendar.notes(first, last)),
        )
    )


async def put_day(request: web.Request, _query: NoQuery) -> web.Response:
    when = _date(request)
    said = parse_json(await read_body(request, SMALL_BODY), EditBody)
    edit = CalendarEdit(date=when, kind=said.kind, name=said.name.strip())
    saved = await request.app[SCHEDULE].put_day(when, edit, actor=actor_of(request))
    return json_response(saved_body(when.isoformat(), saved.warnings, request))


async def remove_day(request: web.Request, _query: NoQuery) -> web.Response:
    when, desk = _date(request), request.app[SCHEDULE]
    if when not in desk.edits:
        raise NotFound("edit", when.isoformat())
    saved = await desk.put_day(when, None, actor=actor_of(request))
    return json_response(saved_body(when.isoformat(), saved.warnings, request))


def _date(request: web.Request) -> date:
    try:
        when = date.fromisoformat(request.match_info["date"])
    except ValueError:
        when = date.min
    if not _FIRST <= when <= _LAST:
        raise Rejected(RejectReason.INVALID_VALUE, _("A date is like 2026-10-01, from 1950 to 2099."), "date")
    return when


_CALENDAR: Final = f"{PREFIX}/calendar"
_DAY: Final = f"{_CALENDAR}/{{date}}"
_SAVED: Final = {HTTPStatus.OK: Answer(says="saved; what is queued for that day follows", body=SavedBody)}

ROUTES: Final[tuple[Route[Any], ...]] = (
    Route(
        method="GET",
        path=_CALENDAR,
        query=CalendarQuery,
        handle=show_calendar,
        access=TokenScope.READ,
        summary="Working days and days of rest, make-up days included, each with where that comes from.",
        answers={HTTPStatus.OK: Answer(says="the days", body=CalendarBody)},
    ),
    Route(
        method="PUT",
        path=_DAY,
        query=NoQuery,
        handle=put_day,
        access=TokenScope.ADMIN,
        summary="Say what kind of day a date is, whatever was announced.",
        body=Body(media=(JSON_MEDIA,), kind=EditBody),
        answers=_SAVED,
    ),
    Route(
        method="DELETE",
        path=_DAY,
        query=NoQuery,
        handle=remove_day,
        access=TokenScope.ADMIN,
        summary="Let a date be as it was announced again.",
        answers=_SAVED,
        refusals=(HTTPStatus.NOT_FOUND,),
    ),
)
