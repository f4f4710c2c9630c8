"""The registry as a file: out, and in whole or not at all."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from enum import StrEnum
from http import HTTPStatus
from typing import Annotated, Any, Final

import msgspec
from aiohttp import hdrs, web

from broadcast_core import audit
from broadcast_core.aside import aside, settled
from broadcast_core.errors import Rejected, RejectReason
from broadcast_core.i18n import _
from broadcast_core.model import Channel
from broadcast_core.registry import Change, Mode, Sheet, csv_file, geojson_file
from broadcast_core.registry.sheet import MOST_BYTES
from broadcast_core.services import Services
from broadcast_core.tokens import TokenScope
from broadcast_core.web.kit import SERVICES, TOKEN, actor_of, json_response
from broadcast_core.web.problem import BadRequest
from broadcast_core.web.reading import read_body
from broadcast_core.web.route import PREFIX, Answer, Body, Route


class Form(StrEnum):
    """A file's form."""

    CSV = "csv"
    GEOJSON = "geojson"


# A file of the largest size is some hundred megabytes once it is read: one at a time.
IMPORTING: Final = web.AppKey("importing", asyncio.Lock)

_GROWS: Final = 4  # a row in the database, in its log and for a while beside the one it replaces

_MEDIA: Final[Mapping[Form, str]] = {Form.CSV: "text/csv", Form.GEOJSON: "application/geo+json"}
_PARSE: Final[Mapping[str, Callable[[bytes], Sheet]]] = {
    _MEDIA[Form.CSV]: csv_file.parse,
    _MEDIA[Form.GEOJSON]: geojson_file.parse,
}
_ENCODE: Final[Mapping[Form, Callable[..., bytes]]] = {
    Form.CSV: csv_file.encode,
    Form.GEOJSON: geojson_file.encode,
}


class ExportQuery(msgspec.Struct, frozen=True, kw_only=True):
    format: Form = Form.CSV
    phones: Annotated[bool, msgspec.Meta(description="with phone numbers; needs the scope admin")] = False


class ImportQuery(msgspec.Struct, frozen=True, kw_only=True):
    mode: Annotated[
        Mode, msgspec.Meta(description="`replace`: what is not in the file is removed; `merge`: it stays")
    ] = Mode.MERGE


class DifferenceBody(msgspec.Struct, frozen=True, kw_only=True):
    added: int
    changed: int
    removed: int


class ChangeBody(msgspec.Struct, frozen=True, kw_only=True):
    """What an import changed."""

    zones: DifferenceBody
    endpoints: DifferenceBody
    raised: int  # zones whose membership has another version now


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
        body = await read_body(request, MOST_BYTES)
        services.reserve.admit(_GROWS * len(body))
        with settled():
            sheet = await aside(parse, body)
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
            HTTPStatus.INSUFFICIENT_STORAGE,
        ),
    ),
)
