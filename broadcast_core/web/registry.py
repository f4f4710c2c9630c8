"""The registry: zones, and endpoints with their presence."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from http import HTTPStatus
from typing import Annotated, Any, Final

import msgspec
from aiohttp import web

from broadcast_core.dispatch import PresenceBoard
from broadcast_core.model import Channel, CoilAddress, Endpoint, Point, Presence, Zone, ZoneLevel
from broadcast_core.registry import Registry
from broadcast_core.report import Page
from broadcast_core.tokens import TokenScope
from broadcast_core.web.alerts import Limit
from broadcast_core.web.kit import SERVICES, json_response
from broadcast_core.web.route import PREFIX, Answer, NoQuery, Route
from drivers.sms_gateway.wire import redact


class EndpointsQuery(msgspec.Struct, frozen=True, kw_only=True):
    channel: Channel | None = None
    zone: Annotated[str | None, msgspec.Meta(description="a zone's code; everything below it counts too")] = None
    presence: Presence | None = None
    simulated: bool | None = None
    enabled: bool | None = None
    limit: Limit = 100
    after: Annotated[str | None, msgspec.Meta(description="the last endpoint of the page before")] = None


class ZoneBody(msgspec.Struct, frozen=True, kw_only=True):
    """A zone, and how many endpoints its subtree has."""

    code: str
    parent: str | None
    level: ZoneLevel
    name_zh: str
    name_en: str
    membership_version: int
    endpoints: Mapping[Channel, int]


class EndpointBody(msgspec.Struct, frozen=True, kw_only=True):
    """An endpoint. Of a phone number only its ends are shown."""

    id: str
    channel: Channel
    zone: str
    name: str
    position: Point | None
    phone: str | None
    coil: CoilAddress | None
    language: str | None
    simulated: bool
    enabled: bool
    presence: Presence
    seen_at: datetime | None


async def list_zones(request: web.Request, _query: NoQuery) -> web.Response:
    registry = request.app[SERVICES].registry()
    return json_response(Page(items=tuple(_zone(z, registry) for z in registry.zones.values()), following=None))


async def list_endpoints(request: web.Request, query: EndpointsQuery) -> web.Response:
    services = request.app[SERVICES]
    registry, board = services.registry(), services.dispatch.presence
    among = registry.ordered(query.channel) if query.zone is None else registry.members(query.zone, query.channel)
    found = [e for e in among if _fits(e, query, board)]
    begin = 0 if query.after is None else _place_after(found, query.after, registry)
    page = found[begin : begin + query.limit]
    more = begin + query.limit < len(found)
    return json_response(
        Page(
            items=tuple(_endpoint(e, board) for e in page),
            following=page[-1].id if more else None,
            total=len(found),
        )
    )


def _fits(endpoint: Endpoint, query: EndpointsQuery, board: PresenceBoard) -> bool:
    return (
        query.presence in (None, board.of(endpoint.id))
        and query.simulated in (None, endpoint.simulated)
        and query.enabled in (None, endpoint.enabled)
    )


def _place_after(found: Sequence[Endpoint], after: str, registry: Registry) -> int:
    """Where the page begins: behind `after` in the registry's order, also if it no longer fits the filter."""
    last = registry.index(after)
    return next((i for i, e in enumerate(found) if registry.index(e.id) > last), len(found))


def _zone(zone: Zone, registry: Registry) -> ZoneBody:
    return ZoneBody(
        code=zone.code,
        parent=zone.parent,
        level=zone.level,
        name_zh=zone.name_zh,
        name_en=zone.name_en,
        membership_version=zone.membership_version,
        endpoints={channel: registry.count(zone.code, channel) for channel in Channel},
    )


def _endpoint(endpoint: Endpoint, board: PresenceBoard) -> EndpointBody:
    return EndpointBody(
        id=endpoint.id,
        channel=endpoint.channel,
        zone=endpoint.zone,
        name=endpoint.name,
        position=endpoint.position,
        phone=None if endpoint.phone is None else redact(endpoint.phone),
        coil=endpoint.coil,
        language=endpoint.language,
        simulated=endpoint.simulated,
        enabled=endpoint.enabled,
        presence=board.of(endpoint.id),
        seen_at=board.seen_at(endpoint.id),
    )


_REGISTRY: Final = f"{PREFIX}/registry"

ROUTES: Final[tuple[Route[Any], ...]] = (
    Route(
        method="GET",
        path=f"{_REGISTRY}/zones",
        query=NoQuery,
        handle=list_zones,
        access=TokenScope.READ,
        summary="All zones, each before those below it.",
        answers={HTTPStatus.OK: Answer(says="the zones", body=Page[ZoneBody])},
    ),
    Route(
        method="GET",
        path=f"{_REGISTRY}/endpoints",
        query=EndpointsQuery,
        handle=list_endpoints,
        access=TokenScope.READ,
        summary="Endpoints in the order of the zones, with their presence.",
        answers={HTTPStatus.OK: Answer(says="a page of endpoints", body=Page[EndpointBody])},
        refusals=(HTTPStatus.NOT_FOUND,),
    ),
)
