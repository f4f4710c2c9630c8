"""Sirens: one act led through its signals, and the calendar that officers confirm."""

from __future__ import annotations

from datetime import date, datetime
from http import HTTPStatus
from typing import Annotated, Any, Final

import msgspec
from aiohttp import web

from broadcast_core.errors import NotFound
from broadcast_core.siren.desk import CONFIRMATIONS, ActView, EventView, SignalView
from broadcast_core.siren.rows import Confirmation, EventState, SignalOutcome
from broadcast_core.tokens import TokenScope
from broadcast_core.web.kit import SIRENS, actor_of, json_response
from broadcast_core.web.reading import SMALL_BODY, parse_json, read_body
from broadcast_core.web.route import PREFIX, Answer, Body, NoQuery, Route
from broadcast_core.web.submission import JSON_MEDIA


class SignalBody(msgspec.Struct, frozen=True, kw_only=True):
    """One signal. Without an outcome it is still to come; `alert_id` has the proof (GET /alerts/{id})."""

    number: int
    pattern: str
    headline_zh: str
    headline_en: str
    planned: datetime | None
    sent: datetime | None
    actor: str | None
    outcome: SignalOutcome | None
    alert_id: str | None
    stopped: bool
    sounds_until: datetime | None


class ActBody(msgspec.Struct, frozen=True, kw_only=True):
    """An act. `following` is the number of the next signal; null after the last."""

    id: str
    template: str
    name_zh: str
    name_en: str
    test: bool
    area: tuple[str, ...]
    started_at: datetime
    started_by: str
    running: bool
    ended_at: datetime | None
    ended_by: str | None
    following: int | None
    signals: tuple[SignalBody, ...]


class ActsBody(msgspec.Struct, frozen=True, kw_only=True):
    """The act that is running or the last one, and what can be started."""

    act: ActBody | None
    templates: tuple[str, ...]


class EventBody(msgspec.Struct, frozen=True, kw_only=True):
    """A day of the calendar. Nothing sounds before `needed` people have confirmed it."""

    template: str
    date: date
    name_zh: str
    name_en: str
    test: bool
    state: EventState
    area: tuple[str, ...]
    confirmed: tuple[Confirmation, ...]
    needed: int
    signals: tuple[SignalBody, ...]


class SirenDaysBody(msgspec.Struct, frozen=True, kw_only=True):
    items: tuple[EventBody, ...]


class StartBody(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Begin an act: which, and where (as `--area` says it: district, zone:CODE, …)."""

    template: str
    area: Annotated[tuple[str, ...], msgspec.Meta(min_length=1, max_length=1000)]


class NextQuery(msgspec.Struct, frozen=True, kw_only=True):
    """Which signal is meant: the number in `following`."""

    signal: Annotated[int, msgspec.Meta(ge=0, description="said twice, it sounds once")] | None = None


async def show_act(request: web.Request, _query: NoQuery) -> web.Response:
    desk = request.app[SIRENS]
    newest = desk.newest()
    return json_response(ActsBody(act=None if newest is None else _act(newest), templates=tuple(desk.templates.acts)))


async def start_act(request: web.Request, _query: NoQuery) -> web.Response:
    said = parse_json(await read_body(request, SMALL_BODY), StartBody)
    view = await request.app[SIRENS].start(said.template, said.area, actor=actor_of(request))
    return json_response(_act(view), HTTPStatus.CREATED)


async def next_signal(request: web.Request, query: NextQuery) -> web.Response:
    return json_response(_act(await request.app[SIRENS].next(actor=actor_of(request), signal=query.signal)))


async def stop_act(request: web.Request, _query: NoQuery) -> web.Response:
    return json_response(_act(await request.app[SIRENS].stop(actor=actor_of(request))))


async def show_siren_days(request: web.Request, _query: NoQuery) -> web.Response:
    return json_response(SirenDaysBody(items=tuple(map(_event, request.app[SIRENS].calendar()))))


async def confirm(request: web.Request, _query: NoQuery) -> web.Response:
    template, when = _day(request)
    return json_response(_event(await request.app[SIRENS].confirm(template, when, actor=actor_of(request))))


async def withdraw(request: web.Request, _query: NoQuery) -> web.Response:
    template, when = _day(request)
    return json_response(_event(await request.app[SIRENS].withdraw(template, when, actor=actor_of(request))))


def _day(request: web.Request) -> tuple[str, date]:
    template, when = request.match_info["template"], request.match_info["date"]
    try:
        return template, date.fromisoformat(when)
    except ValueError:
        raise NotFound("siren day", f"{template} {when}"[:80]) from None


def _act(view: ActView) -> ActBody:
    row, act = view.row, view.act
    return ActBody(
        id=row.id,
        template=row.template,
        name_zh=act.name_zh,
        name_en=act.name_en,
        test=act.test,
        area=row.area,
        started_at=row.started_at,
        started_by=row.started_by,
        running=view.running,
        ended_at=row.ended_at,
        ended_by=row.ended_by,
        following=view.following,
        signals=tuple(
            _signal(s, t.headline_zh, t.headline_en) for s, t in zip(view.signals, act.signals, strict=True)
        ),
    )


def _event(view: EventView) -> EventBody:
    return EventBody(
        template=view.event.template,
        date=view.event.date,
        name_zh=view.act.name_zh,
        name_en=view.act.name_en,
        test=view.act.test,
        state=view.event.state,
        area=view.yearly.area,
        confirmed=view.event.confirmed,
        needed=CONFIRMATIONS,
        signals=tuple(
            _signal(s, t.headline_zh, t.headline_en) for s, t in zip(view.signals, view.act.signals, strict=True)
        ),
    )


def _signal(view: SignalView, headline_zh: str, headline_en: str) -> SignalBody:
    known = view.signal
    return SignalBody(
        number=view.number,
        pattern=view.pattern,
        headline_zh=headline_zh,
        headline_en=headline_en,
        planned=view.planned,
        sent=None if known is None else known.sent,
        actor=None if known is None else known.actor,
        outcome=None if known is None else known.outcome,
        alert_id=None if known is None else known.alert_id,
        stopped=view.stopped,
        sounds_until=view.sounds_until,
    )


_ACT: Final = f"{PREFIX}/sirens/act"
_CALENDAR: Final = f"{PREFIX}/sirens/calendar"
_STANDS: Final = {HTTPStatus.OK: Answer(says="how the act stands", body=ActBody)}
_THE_DAY: Final = {HTTPStatus.OK: Answer(says="how the day stands", body=EventBody)}
_NOT_NOW: Final = (HTTPStatus.NOT_FOUND, HTTPStatus.CONFLICT)

ROUTES: Final[tuple[Route[Any], ...]] = (
    Route(
        method="GET",
        path=_ACT,
        query=NoQuery,
        handle=show_act,
        access=TokenScope.READ,
        summary="The siren act that is running, or the last one.",
        answers={HTTPStatus.OK: Answer(says="the act", body=ActsBody)},
    ),
    Route(
        method="POST",
        path=_ACT,
        query=NoQuery,
        handle=start_act,
        access=TokenScope.ALERT_SEND,
        summary="Begin a siren act with its first signal. It is sounded for real.",
        body=Body(media=(JSON_MEDIA,), kind=StartBody),
        answers={HTTPStatus.CREATED: Answer(says="the first signal is accepted", body=ActBody)},
        refusals=_NOT_NOW,
    ),
    Route(
        method="POST",
        path=f"{_ACT}/next",
        query=NextQuery,
        handle=next_signal,
        access=TokenScope.ALERT_SEND,
        summary="End the signal that sounds, and sound the next.",
        answers=_STANDS,
        refusals=_NOT_NOW,
    ),
    Route(
        method="POST",
        path=f"{_ACT}/stop",
        query=NoQuery,
        handle=stop_act,
        access=TokenScope.ALERT_STOP,
        summary="Silence the act, now; nothing more comes of it.",
        answers=_STANDS,
        refusals=_NOT_NOW,
    ),
    Route(
        method="GET",
        path=_CALENDAR,
        query=NoQuery,
        handle=show_siren_days,
        access=TokenScope.READ,
        summary="The siren days that are proposed, confirmed or over.",
        answers={HTTPStatus.OK: Answer(says="the days", body=SirenDaysBody)},
    ),
    Route(
        method="POST",
        path=f"{_CALENDAR}/{{template}}/{{date}}/confirm",
        query=NoQuery,
        handle=confirm,
        access=TokenScope.ALERT_SEND,
        summary="Let a proposed siren day sound. Who confirmed is recorded.",
        answers=_THE_DAY,
        refusals=_NOT_NOW,
    ),
    Route(
        method="POST",
        path=f"{_CALENDAR}/{{template}}/{{date}}/withdraw",
        query=NoQuery,
        handle=withdraw,
        access=TokenScope.ALERT_STOP,
        summary="Take a siren day back, and silence what of it sounds.",
        answers=_THE_DAY,
        refusals=_NOT_NOW,
    ),
)
