"""Kindness by zone: quiet hours, volume ceilings, the no-repeat window and the nuisance budget."""

from __future__ import annotations

from datetime import UTC, time, timedelta
from http import HTTPStatus
from typing import Annotated, Any, Final

import msgspec
from aiohttp import web

from broadcast_core.errors import NotFound, Rejected, RejectReason
from broadcast_core.i18n import _
from broadcast_core.tokens import TokenScope
from broadcast_core.web.findings import SavedBody, saved_body
from broadcast_core.web.kit import SCHEDULE, actor_of, json_response
from broadcast_core.web.reading import SMALL_BODY, parse_json, read_body
from broadcast_core.web.route import PREFIX, Answer, Body, NoQuery, Route
from broadcast_core.web.submission import JSON_MEDIA
from scheduler.kindness import Ceiling, Quiet, Rules, ZoneKindness, rules_of
from scheduler.model import DayKind
from scheduler.rows import EVERYWHERE

_MOST_WINDOWS: Final = 24
_DEFAULT: Final = "default"

TimeOfDay = Annotated[str, msgspec.Meta(description="local, 08:00 or 08:00:00")]
Volume = Annotated[int, msgspec.Meta(ge=0, le=100)]
Windows = msgspec.Meta(max_length=_MOST_WINDOWS)
Seconds = Annotated[float, msgspec.Meta(ge=0, le=86_400, description="seconds")]
Budget = Annotated[float, msgspec.Meta(ge=0, le=1e6, description="minutes at full volume a day")]


class QuietBody(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An end that is not after its start is on the next day."""

    start: TimeOfDay
    end: TimeOfDay
    on: DayKind | None = None  # null: on every day


class CeilingBody(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    start: TimeOfDay
    end: TimeOfDay
    volume: Volume
    on: DayKind | None = None


class OwnBody(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a zone sets of its own; what is null it has from its parent, an empty list sets that there are none."""

    quiet: Annotated[tuple[QuietBody, ...], Windows] | None = None
    ceilings: Annotated[tuple[CeilingBody, ...], Windows] | None = None
    no_repeat_s: Seconds | None = None
    budget: Budget | None = None


class RulesBody(msgspec.Struct, frozen=True, kw_only=True):
    """What holds."""

    quiet: tuple[QuietBody, ...]
    ceilings: tuple[CeilingBody, ...]
    no_repeat_s: float
    budget: float


class ZoneKindnessBody(msgspec.Struct, frozen=True, kw_only=True):
    zone: str
    sets: OwnBody | None
    holds: RulesBody


class KindnessBody(msgspec.Struct, frozen=True, kw_only=True):
    """`default` holds where no zone says otherwise; `default_sets` is what of it was set, the rest is built in."""

    default: RulesBody
    default_sets: OwnBody | None
    zones: tuple[ZoneKindnessBody, ...]  # that set something, or the one that was asked for


class KindnessQuery(msgspec.Struct, frozen=True, kw_only=True):
    zone: Annotated[str | None, msgspec.Meta(description="only this zone, also if it sets nothing")] = None


async def show_kindness(request: web.Request, query: KindnessQuery) -> web.Response:
    desk = request.app[SCHEDULE]
    known, own = desk.circumstances(), desk.kindness
    if query.zone is not None and query.zone not in known.zones:
        raise NotFound("zone", query.zone)
    zones = [query.zone] if query.zone is not None else sorted(zone for zone in own if zone in known.zones)
    return json_response(
        KindnessBody(
            default=_rules(known.kindness.default),
            default_sets=_own(own.get(EVERYWHERE)),
            zones=tuple(
                ZoneKindnessBody(
                    zone=zone, sets=_own(own.get(zone)), holds=_rules(rules_of(known.kindness, known.zones, zone))
                )
                for zone in zones
            ),
        )
    )


async def put_zone(request: web.Request, _query: NoQuery) -> web.Response:
    return await _put(request, request.match_info["zone"])


async def put_default(request: web.Request, _query: NoQuery) -> web.Response:
    return await _put(request, EVERYWHERE)


async def remove_zone(request: web.Request, _query: NoQuery) -> web.Response:
    return await _remove(request, request.match_info["zone"])


async def remove_default(request: web.Request, _query: NoQuery) -> web.Response:
    return await _remove(request, EVERYWHERE)


async def _put(request: web.Request, zone: str) -> web.Response:
    said = parse_json(await read_body(request, SMALL_BODY), OwnBody)
    own = ZoneKindness(
        quiet=None if said.quiet is None else tuple(_quiet_of(q, n) for n, q in enumerate(said.quiet)),
        ceilings=None if said.ceilings is None else tuple(_ceiling_of(c, n) for n, c in enumerate(said.ceilings)),
        no_repeat=None if said.no_repeat_s is None else timedelta(seconds=said.no_repeat_s),
        budget=said.budget,
    )
    saved = await request.app[SCHEDULE].put_kindness(zone, own, actor=actor_of(request))
    return json_response(saved_body(zone or _DEFAULT, saved.warnings, request))


async def _remove(request: web.Request, zone: str) -> web.Response:
    desk = request.app[SCHEDULE]
    if zone not in desk.kindness:
        raise NotFound("kindness", zone or _DEFAULT)
    # The zone itself may have left the registry since: what it set can be removed all the same.
    saved = await desk.put_kindness(zone, None, actor=actor_of(request))
    return json_response(saved_body(zone or _DEFAULT, saved.warnings, request))


def _quiet_of(body: QuietBody, n: int) -> Quiet:
    return Quiet(start=_time(body.start, f"quiet[{n}].start"), end=_time(body.end, f"quiet[{n}].end"), on=body.on)


def _ceiling_of(body: CeilingBody, n: int) -> Ceiling:
    start, end = _time(body.start, f"ceilings[{n}].start"), _time(body.end, f"ceilings[{n}].end")
    return Ceiling(start=start, end=end, volume=body.volume, on=body.on)


def _time(text: str, field: str) -> time:
    try:
        read = time.fromisoformat(text)
    except ValueError:
        read = time.max.replace(tzinfo=UTC)
    if read.tzinfo is not None:
        raise Rejected(RejectReason.INVALID_VALUE, _("A time of day is like 08:00."), field)
    return read


def _rules(rules: Rules) -> RulesBody:
    return RulesBody(
        quiet=_quiet(rules.quiet),
        ceilings=_ceilings(rules.ceilings),
        no_repeat_s=rules.no_repeat.total_seconds(),
        budget=rules.budget,
    )


def _own(own: ZoneKindness | None) -> OwnBody | None:
    if own is None:
        return None
    return OwnBody(
        quiet=None if own.quiet is None else _quiet(own.quiet),
        ceilings=None if own.ceilings is None else _ceilings(own.ceilings),
        no_repeat_s=None if own.no_repeat is None else own.no_repeat.total_seconds(),
        budget=own.budget,
    )


def _quiet(quiet: tuple[Quiet, ...]) -> tuple[QuietBody, ...]:
    return tuple(QuietBody(start=q.start.isoformat(), end=q.end.isoformat(), on=q.on) for q in quiet)


def _ceilings(ceilings: tuple[Ceiling, ...]) -> tuple[CeilingBody, ...]:
    return tuple(
        CeilingBody(start=c.start.isoformat(), end=c.end.isoformat(), volume=c.volume, on=c.on) for c in ceilings
    )


_KINDNESS: Final = f"{PREFIX}/kindness"
_ZONE: Final = f"{_KINDNESS}/{{zone}}"
_BODY: Final = Body(media=(JSON_MEDIA,), kind=OwnBody)
_SAVED: Final = {
    HTTPStatus.OK: Answer(says="saved and in force, with what the schedule now runs into", body=SavedBody)
}
_UNKNOWN: Final = (HTTPStatus.NOT_FOUND,)

ROUTES: Final[tuple[Route[Any], ...]] = (
    Route(
        method="GET",
        path=_KINDNESS,
        query=KindnessQuery,
        handle=show_kindness,
        access=TokenScope.READ,
        summary="The district's default, what zones set of their own, and what holds there.",
        answers={HTTPStatus.OK: Answer(says="the rules", body=KindnessBody)},
        refusals=_UNKNOWN,
    ),
    Route(
        method="PUT",
        path=_KINDNESS,
        query=NoQuery,
        handle=put_default,
        access=TokenScope.ADMIN,
        summary="Set the district's default. What is queued follows.",
        body=_BODY,
        answers=_SAVED,
    ),
    Route(
        method="DELETE",
        path=_KINDNESS,
        query=NoQuery,
        handle=remove_default,
        access=TokenScope.ADMIN,
        summary="Go back to the built-in default.",
        answers=_SAVED,
        refusals=_UNKNOWN,
    ),
    Route(
        method="PUT",
        path=_ZONE,
        query=NoQuery,
        handle=put_zone,
        access=TokenScope.ADMIN,
        summary="Set what a zone has of its own, all of it at once. What is queued follows.",
        body=_BODY,
        answers=_SAVED,
        refusals=_UNKNOWN,
    ),
    Route(
        method="DELETE",
        path=_ZONE,
        query=NoQuery,
        handle=remove_zone,
        access=TokenScope.ADMIN,
        summary="Let a zone have its parent's rules again.",
        answers=_SAVED,
        refusals=_UNKNOWN,
    ),
)
