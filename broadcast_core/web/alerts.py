"""Alerts: list, show, stop."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from http import HTTPStatus
from typing import Annotated, Any, Final

import msgspec
import structlog
from aiohttp import web

from broadcast_core import cap
from broadcast_core.errors import NotFound, Rejected
from broadcast_core.i18n import Sentence
from broadcast_core.model import Channel, DeliveryKind
from broadcast_core.report import Page, Report, Row, State, Summary, Wanted, deliveries, message, report, summaries
from broadcast_core.services import Stopped
from broadcast_core.tokens import TokenScope
from broadcast_core.web.kit import SERVICES, actor_of, json_response
from broadcast_core.web.problem import BadRequest, language_for
from broadcast_core.web.reading import SMALL_BODY, parse_json, read_body
from broadcast_core.web.route import PREFIX, Answer, Body, NoQuery, Route
from broadcast_core.web.submission import JSON_MEDIA, XML_MEDIA

log = structlog.get_logger(__name__)

# A stop does not wait for its reason: what has not arrived by then is left out.
_REASON_S: Final = 1.0
_LONGEST_REASON: Final = 1000

Limit = Annotated[int, msgspec.Meta(ge=1, le=1000, description="how many at most")]
RevisionNumber = Annotated[int, msgspec.Meta(ge=1, le=2**31 - 1)]  # what the database can be asked for


class ListQuery(msgspec.Struct, frozen=True, kw_only=True):
    limit: Limit = 50
    before: Annotated[str | None, msgspec.Meta(description="the last alert of the page before")] = None


class RevisionQuery(msgspec.Struct, frozen=True, kw_only=True):
    revision: Annotated[RevisionNumber | None, msgspec.Meta(description="the newest if it is not given")] = None


class DeliveriesQuery(msgspec.Struct, frozen=True, kw_only=True):
    revision: Annotated[RevisionNumber | None, msgspec.Meta(description="the newest if it is not given")] = None
    kind: DeliveryKind = DeliveryKind.START
    channel: Channel | None = None
    state: State | None = None
    zone: Annotated[str | None, msgspec.Meta(description="a zone's code; everything below it counts too")] = None
    limit: Limit = 100
    after: Annotated[str | None, msgspec.Meta(description="the last endpoint of the page before")] = None


class StopBody(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Why, for the audit."""

    reason: Annotated[str, msgspec.Meta(max_length=_LONGEST_REASON)] = ""


class StoppedBody(msgspec.Struct, frozen=True, kw_only=True):
    """A stop that has been sent. Which endpoints are proven silent, the report tells."""

    alert_id: str
    revision: int
    acted_at: datetime
    endpoints: Mapping[Channel, int]
    taken: Mapping[Channel, bool]  # whether the channel took it at once; where not, it is tried again
    journaled: bool
    note: str | None = None  # what was wrong with the request, which did not hold the stop back


class AlertBody(msgspec.Struct, frozen=True, kw_only=True):
    """An alert: its report without the single deliveries, and its newest message as CAP in JSON.

    A switch of mode and an occurrence of a slot are reported in the same way and have no CAP message.
    """

    report: Report
    message: dict[str, Any] | None


async def list_alerts(request: web.Request, query: ListQuery) -> web.Response:
    return json_response(await summaries(request.app[SERVICES].store, limit=query.limit, before=query.before))


async def show_alert(request: web.Request, _query: NoQuery) -> web.Response:
    services, alert_id = request.app[SERVICES], request.match_info["alert_id"]
    found = await report(services.store, alert_id, services.registry(), language=language_for(request), rows=False)
    newest = await message(services.store, alert_id)
    return json_response(AlertBody(report=found, message=None if newest is None else cap.to_builtins(newest)))


async def show_cap(request: web.Request, query: RevisionQuery) -> web.Response:
    alert_id = request.match_info["alert_id"]
    found = await message(request.app[SERVICES].store, alert_id, query.revision)
    if found is None:
        raise NotFound("CAP message", alert_id)
    return web.Response(body=cap.encode_xml(found), content_type=XML_MEDIA[0])


async def list_deliveries(request: web.Request, query: DeliveriesQuery) -> web.Response:
    services = request.app[SERVICES]
    wanted = Wanted(
        revision=query.revision, kind=query.kind, channel=query.channel, state=query.state, zone=query.zone
    )
    page = await deliveries(
        services.store,
        request.match_info["alert_id"],
        services.registry(),
        wanted,
        limit=query.limit,
        after=query.after,
    )
    return json_response(page)


async def stop_alert(request: web.Request, _query: NoQuery) -> web.Response:
    """Everything here is in memory; nothing about the request's body can hold the stop back."""
    reason, note = await _reason_for(request)
    stopped = await request.app[SERVICES].express.stop(
        request.match_info["alert_id"], actor=actor_of(request), reason=reason
    )
    return json_response(_stopped_body(stopped, None if note is None else note.say(language_for(request))))


async def _reason_for(request: web.Request) -> tuple[str, Sentence | None]:
    """Why it is stopped, as far as the request says so in time and in a readable form."""
    if not request.can_read_body:
        return "", None
    try:
        body = await read_body(request, SMALL_BODY, seconds=_REASON_S)
        return (parse_json(body, StopBody).reason if body else ""), None
    except (Rejected, BadRequest) as unreadable:
        log.warning("a stop without its reason", detail=str(unreadable.sentence))
        return "", unreadable.sentence


def _stopped_body(stopped: Stopped, note: str | None) -> StoppedBody:
    return StoppedBody(
        alert_id=stopped.alert_id,
        revision=stopped.revision,
        acted_at=stopped.acted_at,
        endpoints=dict(stopped.endpoints),
        taken=dict(stopped.taken),
        journaled=stopped.journaled,
        note=note,
    )


_ALERT: Final = f"{PREFIX}/alerts/{{alert_id}}"

ROUTES: Final[tuple[Route[Any], ...]] = (
    Route(
        method="GET",
        path=f"{PREFIX}/alerts",
        query=ListQuery,
        handle=list_alerts,
        access=TokenScope.READ,
        summary="Alerts by when they were first accepted, newest first.",
        answers={HTTPStatus.OK: Answer(says="a page of alerts", body=Page[Summary])},
        refusals=(HTTPStatus.NOT_FOUND,),
    ),
    Route(
        method="GET",
        path=_ALERT,
        query=NoQuery,
        handle=show_alert,
        access=TokenScope.READ,
        summary="An alert: its numbers, its timeline, and its newest message.",
        answers={HTTPStatus.OK: Answer(says="the alert", body=AlertBody)},
        refusals=(HTTPStatus.NOT_FOUND,),
    ),
    Route(
        method="GET",
        path=f"{_ALERT}/cap",
        query=RevisionQuery,
        handle=show_cap,
        access=TokenScope.READ,
        summary="A revision's message as CAP 1.2 XML.",
        answers={HTTPStatus.OK: Answer(says="the message", media=(XML_MEDIA[0],))},
        refusals=(HTTPStatus.NOT_FOUND,),
    ),
    Route(
        method="GET",
        path=f"{_ALERT}/deliveries",
        query=DeliveriesQuery,
        handle=list_deliveries,
        access=TokenScope.READ,
        summary="The evidence endpoint by endpoint, by endpoint id.",
        answers={HTTPStatus.OK: Answer(says="a page of deliveries", body=Page[Row])},
        refusals=(HTTPStatus.NOT_FOUND,),
    ),
    Route(
        method="POST",
        path=f"{_ALERT}/stop",
        query=NoQuery,
        handle=stop_alert,
        access=TokenScope.ALERT_STOP,
        summary="End an alert everywhere, now. Waits for nothing, not for the database either; never rate limited.",
        body=Body(media=(JSON_MEDIA,), kind=StopBody, required=False),
        answers={HTTPStatus.OK: Answer(says="the stop has been sent", body=StoppedBody)},
        refusals=(HTTPStatus.NOT_FOUND, HTTPStatus.CONFLICT),
    ),
)
