"""Submitting an alert."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from hashlib import sha256
from http import HTTPStatus
from typing import Annotated, Any, Final

import msgspec
from aiohttp import web

from broadcast_core import cap
from broadcast_core.errors import Rejected, RejectReason, StorageFailed
from broadcast_core.i18n import Sentence, _
from broadcast_core.model import Channel, MsgType
from broadcast_core.plan import parse_areas
from broadcast_core.services import Accepted, Idempotency
from broadcast_core.tokens import TokenScope
from broadcast_core.web.kit import LOCATION, SERVICES, actor_of, json_response
from broadcast_core.web.metrics import METRICS
from broadcast_core.web.problem import BadRequest, language_for
from broadcast_core.web.reading import read_body
from broadcast_core.web.route import PREFIX, Answer, Body, Route

XML_MEDIA: Final = ("application/cap+xml", "application/xml", "text/xml")
JSON_MEDIA: Final = "application/json"
IDEMPOTENCY_KEY: Final = "Idempotency-Key"
_LONGEST_KEY: Final = 255


class SubmitQuery(msgspec.Struct, frozen=True, kw_only=True):
    area: Annotated[
        tuple[str, ...],
        msgspec.Meta(
            description="aims the alert here instead of where its own areas say, once or more: district, zone:CODE, "
            "polygon:LAT,LON LAT,LON LAT,LON, circle:LAT,LON KM, endpoint:ID, exclude:CODE-OR-ID"
        ),
    ] = ()


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


async def submit_alert(request: web.Request, query: SubmitQuery) -> web.Response:
    metrics = request.app[METRICS]
    try:
        accepted, notes = await _submit(request, query)
    except Rejected as refusal:
        metrics.refused(refusal.reason)
        raise
    except StorageFailed:
        metrics.refused(RejectReason.STORAGE_FAILED)
        raise
    if not accepted.repeated:
        metrics.accepted(accepted.msg_type)
    status = HTTPStatus.OK if accepted.repeated else HTTPStatus.CREATED
    where = {LOCATION: f"{PREFIX}/alerts/{accepted.alert_id}"}
    said = tuple(sentence.say(language_for(request)) for sentence in (*notes, *accepted.notes))
    return json_response(_accepted_body(accepted, said), status, where)


async def _submit(request: web.Request, query: SubmitQuery) -> tuple[Accepted, tuple[Sentence, ...]]:
    """The answer of the intake, and what a person should know about the reading."""
    services = request.app[SERVICES]
    media = request.content_type
    if media not in (*XML_MEDIA, JSON_MEDIA):
        known = ", ".join((*XML_MEDIA, JSON_MEDIA))
        sentence = _("Send the alert as one of: {known}.", known=known)
        raise BadRequest(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, sentence)
    key = _idempotency_key(request)
    body = await read_body(request, cap.LARGEST_MESSAGE)
    parsed = cap.Parsed(alert=cap.parse_json(body)) if media == JSON_MEDIA else cap.parse_xml(body)
    idempotency = None if key is None else Idempotency(key=key, fingerprint=_fingerprint(media, body, query.area))
    area = parse_areas(query.area, services.registry().root.code) if query.area else None
    accepted = await services.intake.submit(parsed.alert, actor=actor_of(request), area=area, idempotency=idempotency)
    return accepted, parsed.notes


def _idempotency_key(request: web.Request) -> str | None:
    keys = request.headers.getall(IDEMPOTENCY_KEY, [])
    if not keys:
        return None
    key = keys[0]
    if len(keys) > 1 or not 0 < len(key) <= _LONGEST_KEY or not key.isascii() or not key.isprintable():
        sentence = _("Send one Idempotency-Key of at most {most} printable ASCII characters.", most=_LONGEST_KEY)
        raise Rejected(RejectReason.INVALID_VALUE, sentence, IDEMPOTENCY_KEY)
    return key


def _fingerprint(media: str, body: bytes, areas: tuple[str, ...]) -> str:
    """SHA-256 over what was asked; lengths keep the parts apart."""
    parts = (b"json" if media == JSON_MEDIA else b"xml", body, *(area.encode() for area in areas))
    digest = sha256()
    for part in parts:
        digest.update(len(part).to_bytes(8, "big"))
        digest.update(part)
    return digest.hexdigest()


def _accepted_body(accepted: Accepted, notes: tuple[str, ...]) -> AcceptedBody:
    return AcceptedBody(
        alert_id=accepted.alert_id,
        revision=accepted.revision,
        msg_type=accepted.msg_type,
        accepted_at=accepted.accepted_at,
        targets=dict(accepted.targets),
        simulated=accepted.simulated,
        unreachable=accepted.unreachable,
        notes=notes,
        ended=accepted.ended,
        repeated=accepted.repeated,
    )


ROUTES: Final[tuple[Route[Any], ...]] = (
    Route(
        method="POST",
        path=f"{PREFIX}/alerts",
        query=SubmitQuery,
        handle=submit_alert,
        access=TokenScope.ALERT_SEND,
        summary="Submit a CAP 1.2 message. A 2xx is answered only when it is durable.",
        headers={
            IDEMPOTENCY_KEY: "your own name for this request, at most 255 characters: the same again gives the same "
            "answer, never a second alert"
        },
        body=Body(media=(*XML_MEDIA, JSON_MEDIA)),
        answers={
            HTTPStatus.CREATED: Answer(says="accepted", body=AcceptedBody, headers={LOCATION: "the alert"}),
            HTTPStatus.OK: Answer(says="accepted before", body=AcceptedBody, headers={LOCATION: "the alert"}),
        },
        refusals=(
            HTTPStatus.BAD_REQUEST,
            HTTPStatus.REQUEST_TIMEOUT,
            HTTPStatus.CONFLICT,
            HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
            HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
        ),
    ),
)
