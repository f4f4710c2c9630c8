"""Self-tests: how fresh the proof is, what was found, and tests by hand."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from http import HTTPStatus
from typing import Annotated, Any, Final

import msgspec
from aiohttp import web

from broadcast_core.model import Channel, read_parts
from broadcast_core.selftest import rows
from broadcast_core.selftest.desk import Opened, SelfTestDesk
from broadcast_core.selftest.freshness import Freshness
from broadcast_core.selftest.rows import ACCOUNT, Kind, Outcome, Row
from broadcast_core.tokens import TokenScope
from broadcast_core.web.kit import SELFTEST, SERVICES, actor_of, json_response
from broadcast_core.web.reading import SMALL_BODY, parse_json, read_body
from broadcast_core.web.route import PREFIX, Answer, Body, NoQuery, Route
from broadcast_core.web.submission import JSON_MEDIA

_MOST_NAMES: Final = 2000
_MOST_FAILING: Final = 200
Names = Annotated[tuple[str, ...], msgspec.Meta(max_length=_MOST_NAMES)]


class FreshnessBody(msgspec.Struct, frozen=True, kw_only=True):
    """Endpoints in service. A share is null where there are none: nobody is not everybody."""

    endpoints: int
    simulated: int  # of them; they prove nothing about a real one
    proven_24h: int
    proven_7d: int
    share_24h: float | None
    share_7d: float | None
    never: int
    oldest: datetime | None  # the proof that is longest ago


class FreshZoneBody(msgspec.Struct, frozen=True, kw_only=True):
    zone: str
    name_zh: str
    name_en: str
    channels: Mapping[Channel, FreshnessBody]


class PartBody(msgspec.Struct, frozen=True, kw_only=True):
    part: str
    ok: bool
    note: str


class ResultBody(msgspec.Struct, frozen=True, kw_only=True):
    """One endpoint's test. Without an outcome it is still to come, or its answer is."""

    occasion: str
    endpoint_id: str
    channel: str
    kind: Kind
    simulated: bool
    due_at: datetime
    sent_at: datetime | None
    ended_at: datetime | None
    outcome: Outcome | None
    reason: str | None
    parts: tuple[PartBody, ...]
    alert_id: str | None


class SelfTestBody(msgspec.Struct, frozen=True, kw_only=True):
    """`account` is null where the SMS gateway tells nothing of its account: then nothing is claimed of phones."""

    held_by: str | None  # the alert that all tests wait for
    waiting: int
    underway: int
    zones: tuple[FreshZoneBody, ...]  # the zone that was asked for, then those right below it
    failing: tuple[ResultBody, ...]  # whose newest test did not prove them
    account: ResultBody | None


class ResultsBody(msgspec.Struct, frozen=True, kw_only=True):
    items: tuple[ResultBody, ...]


class RunBody(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Silent tests: of these endpoints, or of a zone, or with neither of all."""

    endpoints: Names = ()
    zone: str | None = None


class AudibleBody(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Audible tests: of these loudspeakers or of one small zone."""

    endpoints: Names = ()
    zone: str | None = None
    volume: Annotated[int, msgspec.Meta(ge=1, le=100)] = 40


class OpenedBody(msgspec.Struct, frozen=True, kw_only=True):
    """Tests that are durable and will have their turn."""

    occasion: str
    endpoints: int
    ends_at: datetime


class OfZone(msgspec.Struct, frozen=True, kw_only=True):
    zone: str | None = None


class Which(msgspec.Struct, frozen=True, kw_only=True):
    """Either an endpoint's newest tests or all of an occasion."""

    endpoint: str | None = None
    occasion: str | None = None
    limit: Annotated[int, msgspec.Meta(ge=1, le=1000)] = 50


async def show(request: web.Request, query: OfZone) -> web.Response:
    desk, registry = request.app[SELFTEST], request.app[SERVICES].registry()
    zones = tuple(
        FreshZoneBody(
            zone=found.zone.code,
            name_zh=found.zone.name_zh,
            name_en=found.zone.name_en,
            channels={channel: _numbers(fresh) for channel, fresh in found.channels.items()},
        )
        for found in desk.freshness_of(query.zone)
    )
    inside = {e.id for e in registry.members(query.zone or registry.root.code)}
    failing = [r for r in desk.book.latest.values() if r.outcome is not Outcome.PROVEN and r.endpoint_id in inside]
    failing.sort(key=lambda r: r.endpoint_id)
    account = desk.book.latest.get(ACCOUNT)
    held_by = desk.held_by()
    return json_response(
        SelfTestBody(
            held_by=None if held_by is None else held_by.alert_id,
            waiting=sum(r.alert_id is None for r in desk.book.open.values()),
            underway=sum(r.alert_id is not None for r in desk.book.open.values()),
            zones=zones,
            failing=tuple(map(_result, failing[:_MOST_FAILING])),
            account=None if account is None else _result(account),
        )
    )


async def results(request: web.Request, query: Which) -> web.Response:
    desk: SelfTestDesk = request.app[SELFTEST]
    async with desk.store.read() as connection:
        if query.occasion is not None:
            found = await rows.of_occasion(connection, query.occasion)
        elif query.endpoint is not None:
            found = await rows.of_endpoint(connection, query.endpoint, query.limit)
        else:
            found = sorted(desk.book.latest.values(), key=lambda r: r.endpoint_id)
    return json_response(ResultsBody(items=tuple(map(_result, found))))


async def run(request: web.Request, _query: NoQuery) -> web.Response:
    said = parse_json(await read_body(request, _LARGE), RunBody)
    opened = await request.app[SELFTEST].run(said.endpoints, said.zone, actor=actor_of(request))
    return json_response(_opened(opened), HTTPStatus.ACCEPTED)


async def audible(request: web.Request, _query: NoQuery) -> web.Response:
    said = parse_json(await read_body(request, SMALL_BODY), AudibleBody)
    opened = await request.app[SELFTEST].audible(
        said.endpoints, said.zone, volume=said.volume, actor=actor_of(request)
    )
    return json_response(_opened(opened), HTTPStatus.ACCEPTED)


def _numbers(fresh: Freshness) -> FreshnessBody:
    return FreshnessBody(
        endpoints=fresh.endpoints,
        simulated=fresh.simulated,
        proven_24h=fresh.proven_day,
        proven_7d=fresh.proven_week,
        share_24h=fresh.share_day,
        share_7d=fresh.share_week,
        never=fresh.never,
        oldest=fresh.oldest,
    )


def _result(row: Row) -> ResultBody:
    return ResultBody(
        occasion=row.occasion,
        endpoint_id=row.endpoint_id,
        channel=row.channel,
        kind=row.kind,
        simulated=row.simulated,
        due_at=row.due_at,
        sent_at=row.sent_at,
        ended_at=row.ended_at,
        outcome=row.outcome,
        reason=row.reason,
        parts=tuple(PartBody(part=p.part, ok=p.ok, note=p.note) for p in read_parts(row.detail)),
        alert_id=row.alert_id,
    )


def _opened(opened: Opened) -> OpenedBody:
    return OpenedBody(occasion=opened.occasion, endpoints=len(opened.endpoints), ends_at=opened.ends_at)


_LARGE: Final = 128 * 1024
_BASE: Final = f"{PREFIX}/selftest"
_ACCEPTED: Final = {HTTPStatus.ACCEPTED: Answer(says="durable; each has its turn", body=OpenedBody)}

ROUTES: Final[tuple[Route[Any], ...]] = (
    Route(
        method="GET",
        path=_BASE,
        query=OfZone,
        handle=show,
        access=TokenScope.READ,
        summary="How many endpoints have proven themselves within a day and a week, by zone, and which did not.",
        answers={HTTPStatus.OK: Answer(says="the numbers", body=SelfTestBody)},
        refusals=(HTTPStatus.NOT_FOUND,),
    ),
    Route(
        method="GET",
        path=f"{_BASE}/results",
        query=Which,
        handle=results,
        access=TokenScope.READ,
        summary="Results part by part: of an endpoint, of an occasion, or the newest of all.",
        answers={HTTPStatus.OK: Answer(says="the results", body=ResultsBody)},
    ),
    Route(
        method="POST",
        path=f"{_BASE}/run",
        query=NoQuery,
        handle=run,
        access=TokenScope.TEST_RUN,
        summary="Test endpoints in silence, now.",
        body=Body(media=(JSON_MEDIA,), kind=RunBody),
        answers=_ACCEPTED,
        refusals=(HTTPStatus.NOT_FOUND,),
    ),
    Route(
        method="POST",
        path=f"{_BASE}/audible",
        query=NoQuery,
        handle=audible,
        access=TokenScope.TEST_RUN,
        summary="Test loudspeakers aloud, one after the other, within the kind hours. Never the whole district.",
        body=Body(media=(JSON_MEDIA,), kind=AudibleBody),
        answers=_ACCEPTED,
        refusals=(HTTPStatus.NOT_FOUND,),
    ),
)
