"""The registry: zones, endpoints, and the files it goes out and comes in by."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from enum import StrEnum
from http import HTTPStatus
from typing import Annotated, Any, Final

import msgspec
from aiohttp import hdrs, web

from broadcast_core import audit
from broadcast_core.aside import aside
from broadcast_core.dispatch import PresenceBoard
from broadcast_core.errors import Rejected, RejectReason
from broadcast_core.i18n import _
from broadcast_core.model import Channel, CoilAddress, Endpoint, Point, Presence, Zone, ZoneLevel
from broadcast_core.registry import Change, Mode, Registry, Sheet, csv_file, geojson_file
from broadcast_core.registry.sheet import MOST_BYTES
from broadcast_core.report import Page
from broadcast_core.services import Services
from broadcast_core.tokens import TokenScope
from broadcast_core.web.alerts import Limit
from broadcast_core.web.kit import SERVICES, TOKEN, actor_of, json_response
from broadcast_core.web.problem import BadRequest
from broadcast_core.web.reading import read_body
from broadcast_core.web.route import PREFIX, Answer, Body, NoQuery, Route
from drivers.sms_gateway.wire import redact


class Form(StrEnum):
    """A file's form."""

    CSV = "csv"
    GEOJSON = "geojson"


# A file of the largest size is some hundred megabytes once it is read: one at a time.
IMPORTING: Final = web.AppKey("importing", asyncio.Lock)

_MEDIA: Final[Mapping[Form, str]] = {Form.CSV: "text/csv", Form.GEOJSON: "application/geo+json"}
_PARSE: Final[Mapping[str, Callable[[bytes], Sheet]]] = {
    _MEDIA[Form.CSV]: csv_file.parse,
    _MEDIA[Form.GEOJSON]: geojson_file.parse,
}
_ENCODE: Final[Mapping[Form, Callable[..., bytes]]] = {
    Form.CSV: csv_file.encode,
    Form.GEOJSON: geojson_file.encode,
}


class EndpointsQuery(msgspec.Struct, frozen=True, kw_only=True):
    channel: Channel | None = None
    zone: Annotated[str | None, msgspec.Meta(description="a zone's code; everything below it counts too")] = None
    presence: Presence | None = None
    simulated: bool | None = None
    enabled: bool | None = None
    limit: Limit = 100
    after: Annotated[str | None, msgspec.Meta(description="the last endpoint of the page before")] = None


class ExportQuery(msgspec.Struct, frozen=True, kw_only=True):
    format: Form = Form.CSV
    phones: Annotated[bool, msgspec.Meta(description="with phone numbers; needs the scope admin")] = False


class ImportQuery(msgspec.Struct, frozen=True, kw_only=True):
    mode: Annotated[
        Mode, msgspec.Meta(description="`replace`: what is not in the file is removed; `merge`: it stays")
    ] = Mode.MERGE


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


class DifferenceBody(msgspec.Struct, frozen=True, kw_only=True):
    added: int
    changed: int
    removed: int


class ChangeBody(msgspec.Struct, frozen=True, kw_only=True):
    """What an import changed."""

    zones: DifferenceBody
    endpoints: DifferenceBody
    raised: int  # zones whose membership has another version now


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


async def export_registry(request: web.Request, query: ExportQuery) -> web.Response:
    services = request.app[SERVICES]
    if query.phones:
        await _note_phones(request, services, query.format)
    data = await aside(_ENCODE[query.format], services.registry(), with_phones=query.phones)
    name = f'attachment; filename="tocsin-registry.{query.format}"'
    return web.Response(
        body=data, content_type=_MEDIA[query.format], charset="utf-8", headers={hdrs.CONTENT_DISPOSITION: name}
    )


async def import_registry(request: web.Request, query: ImportQuery) -> web.Response:
    services = request.app[SERVICES]
    parse = _PARSE.get(request.content_type)
    if parse is None:
        known = ", ".join(_PARSE)
        raise BadRequest(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, _("Send the file as one of: {known}.", known=known))
    one_at_a_time = request.app[IMPORTING]
    if one_at_a_time.locked():
        raise Rejected(RejectReason.BUSY, _("Another import is running; try again when it has ended."))
    async with one_at_a_time:
        sheet = await aside(parse, await read_body(request, MOST_BYTES))
        change = await services.intake.import_registry(sheet, actor=actor_of(request), mode=query.mode)
    return json_response(_change(change))


async def _note_phones(request: web.Request, services: Services, form: Form) -> None:
    """Phone numbers leave only with the right to, and with a name to it."""
    token = request[TOKEN]
    if TokenScope.ADMIN not in token.scopes:
        sentence = _(
            "An export with phone numbers needs a token with the scope {scope}.", scope=TokenScope.ADMIN.value
        )
        raise Rejected(RejectReason.FORBIDDEN, sentence, "query.phones")
    now = services.clock.now()
    phones = services.registry().count(channel=Channel.SMS)
    await services.store.write(
        lambda connection: audit.record(
            connection,
            now=now,
            actor=token.actor,
            action="registry.export",
            object_="registry",
            detail={"format": form.value, "phones": phones},
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


def _change(change: Change) -> ChangeBody:
    zones, endpoints = (
        DifferenceBody(added=len(d.added), changed=len(d.changed), removed=len(d.removed))
        for d in (change.zones, change.endpoints)
    )
    return ChangeBody(zones=zones, endpoints=endpoints, raised=len(change.raised))


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
    Route(
        method="GET",
        path=f"{_REGISTRY}/export",
        query=ExportQuery,
        handle=export_registry,
        access=TokenScope.READ,
        summary="The whole registry as a file. With phone numbers it is written into the audit.",
        answers={HTTPStatus.OK: Answer(says="the file", media=tuple(_MEDIA.values()))},
    ),
    Route(
        method="POST",
        path=f"{_REGISTRY}/import",
        query=ImportQuery,
        handle=import_registry,
        access=TokenScope.REGISTRY_WRITE,
        summary="Import a file: all of it or, with every bad row named by its line, nothing.",
        body=Body(media=tuple(_PARSE)),
        answers={HTTPStatus.OK: Answer(says="what has changed", body=ChangeBody)},
        refusals=(
            HTTPStatus.REQUEST_TIMEOUT,
            HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
            HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
        ),
    ),
)
