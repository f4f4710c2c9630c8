"""Alerts: submit, list, show, stop."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from hashlib import sha256
from http import HTTPStatus
from typing import Annotated, Any, Final

import msgspec
import structlog
from aiohttp import hdrs, web

from broadcast_core import cap
from broadcast_core.errors import Rejected, RejectReason
from broadcast_core.i18n import Sentence, _
from broadcast_core.model import Alert, Channel, DeliveryKind, MsgType
from broadcast_core.plan import Expression, parse_areas
from broadcast_core.report import Page, Report, Row, State, Summary, Wanted, deliveries, message, report, summaries
from broadcast_core.services import Accepted, Idempotency, Services, Stopped
from broadcast_core.tokens import TokenScope
from broadcast_core.web.kit import METRICS, SERVICES, actor_of, json_response
from broadcast_core.web.problem import BadRequest, language_for
from broadcast_core.web.reading import SMALL_BODY, parse_json, read_body
from broadcast_core.web.route import PREFIX, QUERY, Answer, Body, Route

log = structlog.get_logger(__name__)

XML_MEDIA: Final = ("application/cap+xml", "application/xml", "text/xml")
JSON_MEDIA: Final = "application/json"
IDEMPOTENCY_KEY: Final = "Idempotency-Key"
_LONGEST_KEY: Final = 255
# A stop does not wait for its reason: what has not arrived by then is left out.
_REASON_S: Final = 1.0
_LONGEST_REASON: Final = 1000

Limit = Annotated[int, msgspec.Meta(ge=1, le=1000, description="how many at most")]


class SubmitQuery(msgspec.Struct, frozen=True, kw_only=True):
    area: Annotated[
        tuple[str, ...],
        msgspec.Meta(
            description="aims the alert here instead of where its own areas say, once or more: district, zone:CODE, "
            "polygon:LAT,LON LAT,LON LAT,LON, circle:LAT,LON KM, endpoint:ID, exclude:CODE-OR-ID"
        ),
    ] = ()


class ListQuery(msgspec.Struct, frozen=True, kw_only=True):
    limit: Limit = 50
    before: Annotated[str | None, msgspec.Meta(description="the last alert of the page before")] = None


class RevisionQuery(msgspec.Struct, frozen=True, kw_only=True):
    revision: Annotated[int | None, msgspec.Meta(ge=1, description="the newest if it is not given")] = None


class DeliveriesQuery(msgspec.Struct, frozen=True, kw_only=True):
    revision: Annotated[int | None, msgspec.Meta(ge=1, description="the newest if it is not given")] = None
    kind: DeliveryKind = DeliveryKind.START
    channel: Channel | None = None
    state: State | None = None
    zone: Annotated[str | None, msgspec.Meta(description="a zone's code; everything below it counts too")] = None
    limit: Limit = 100
    after: Annotated[str | None, msgspec.Meta(description="the last endpoint of the page before")] = None


class StopBody(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Why, for the audit."""

    reason: Annotated[str, msgspec.Meta(max_length=_LONGEST_REASON)] = ""


class AcceptedBody(msgspec.Struct, frozen=True, kw_only=True):
    """A message that is durable and on its way. Targets include those that cannot be reached."""

    alert_id: str
    revision: int
    msg_type: MsgType
    accepted_at: datetime
    targets: Mapping[Channel, int]
    simulated: int
    unreachable: int
    notes: tuple[str, ...]
    ended: tuple[tuple[str, int], ...]  # what it ended, as alert and revision
    repeated: bool  # the answer to an earlier, identical request


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
    """An alert: its report without the single deliveries, and its newest message as CAP in JSON."""

    report: Report
    message: dict[str, Any]


async def submit_alert(request: web.Request) -> web.Response:
    services, metrics = request.app[SERVICES], request.app[METRICS]
    try:
        accepted = await _submit(request, services)
    except Rejected as refusal:
        metrics.rejected(refusal.reason)
        raise
    if not accepted.repeated:
        metrics.accepted(accepted.msg_type)
    status = HTTPStatus.OK if accepted.repeated else HTTPStatus.CREATED
    where = {hdrs.LOCATION: f"{PREFIX}/alerts/{accepted.alert_id}"}
    return json_response(_accepted_body(accepted, language_for(request)), status, where)


async def list_alerts(request: web.Request) -> web.Response:
    query = msgspec.convert(request[QUERY], ListQuery, from_attributes=True)
    return json_response(await summaries(request.app[SERVICES].store, limit=query.limit, before=query.before))


async def show_alert(request: web.Request) -> web.Response:
    services, alert_id = request.app[SERVICES], request.match_info["alert_id"]
    found = await report(
        services.store, alert_id, services.registry(), language=language_for(request), rows=False
    )
    newest = await message(services.store, alert_id)
    return json_response(AlertBody(report=found, message=cap.to_builtins(newest)))
