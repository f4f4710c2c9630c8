"""The schedule as iCalendar, out and in."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Sequence
from datetime import datetime
from http import HTTPStatus
from typing import Annotated, Any, Final

import msgspec
from aiohttp import web

from broadcast_core.aside import aside
from broadcast_core.errors import Rejected, RejectReason
from broadcast_core.i18n import _
from broadcast_core.model import Authority
from broadcast_core.tokens import TokenScope
from broadcast_core.web.findings import FindingBody, finding_bodies
from broadcast_core.web.kit import SCHEDULE, actor_of, json_response
from broadcast_core.web.problem import language_for
from broadcast_core.web.reading import read_body
from broadcast_core.web.route import PREFIX, Answer, Body, NoQuery, Route
from broadcast_core.web.schedule import SlotBody
from scheduler import ics
from scheduler.ics.read import MOST_BYTES
from scheduler.model import Slot
from scheduler.record import Record, recurrence_record, slot_record

ICALENDAR: Final = "text/calendar"
_NO_ID: Final = re.compile(r"[^A-Za-z0-9._-]+")
_LONGEST_ID: Final = 48


class ImportQuery(msgspec.Struct, frozen=True, kw_only=True):
    """Zones and playlist make slots of events that are not ours; without them such events are only shown."""

    dry_run: Annotated[bool, msgspec.Meta(description="save nothing, answer the same")] = False
    zone: Annotated[tuple[str, ...], msgspec.Meta(description="for events that name none; may be repeated")] = ()
    playlist: Annotated[str | None, msgspec.Meta(description="for events that name none")] = None
    volume: Annotated[int, msgspec.Meta(ge=1, le=100)] = 60
    authority: Annotated[str, msgspec.Meta(description="by name")] = Authority.DISTRICT.name.lower()


class ProposalBody(msgspec.Struct, frozen=True, kw_only=True):
    """Somebody else's event: when and how long; it needs zones and a playlist to become a slot."""

    uid: str
    name: str
    start: str | None
    length_s: float
    recurrence: Record
    notes: tuple[str, ...]


class RefusedBody(msgspec.Struct, frozen=True, kw_only=True):
    """A component that became nothing, and why."""

    component: str
    uid: str
    name: str
    detail: str


class ImportedBody(msgspec.Struct, frozen=True, kw_only=True):
    """What became of a file. Nothing is left out in silence: slots + proposals + refused is everything in it."""

    dry_run: bool
    saved: tuple[str, ...]  # with `dry_run`: would be
    slots: tuple[SlotBody, ...]
    proposals: tuple[ProposalBody, ...]
    refused: tuple[RefusedBody, ...]
    findings: tuple[FindingBody, ...]  # of the slots: those that are refused are not saved


async def export_schedule(request: web.Request, _query: NoQuery) -> web.Response:
    desk = request.app[SCHEDULE]
    known = desk.circumstances()
    body = await aside(ics.write, known.schedule.slots.values(), known.calendar, known.tz, desk.today)
    return web.Response(body=body, content_type=ICALENDAR, charset="utf-8")


async def import_schedule(request: web.Request, query: ImportQuery) -> web.Response:
    desk, language = request.app[SCHEDULE], language_for(request)
    if bool(query.zone) != bool(query.playlist):
        field = "query.playlist" if query.zone else "query.zone"
        raise Rejected(RejectReason.MISSING, _("Name zones and a playlist, or neither."), field)
    if query.authority not in (names := [a.name.lower() for a in Authority]):
        sentence = _("Known authorities are {known}.", known=", ".join(names))
        raise Rejected(RejectReason.INVALID_VALUE, sentence, "query.authority")
    body = await read_body(request, MOST_BYTES)
    imported = await aside(ics.read, body, desk.timezone, desk.today)
    slots, proposals = list(imported.slots), list(imported.proposals)
    if query.zone:
        slots += [_slot(proposal, slot_id, query, desk.now) for slot_id, proposal in _identified(proposals)]
        proposals = []
    _refuse_twins(slots)
    done = await desk.put_slots(slots, actor=actor_of(request), dry_run=query.dry_run)
    answer = ImportedBody(
        dry_run=query.dry_run,
        saved=done.saved,
        slots=tuple(msgspec.convert(slot_record(slot), SlotBody) for slot in slots),
        proposals=tuple(_proposal(p, language) for p in proposals),
        refused=tuple(
            RefusedBody(component=r.component, uid=r.uid, name=r.name, detail=r.sentence.say(language))
            for r in imported.refused
        ),
        findings=finding_bodies(done.findings, request),
    )
    return json_response(answer)


def _identified(proposals: Sequence[ics.Proposal]) -> Iterable[tuple[str, ics.Proposal]]:
    """Each with an id of its own, the same for the same event: an import again changes and does not double."""
    seen: dict[str, int] = {}
    for proposal in proposals:
        stem = _NO_ID.sub("-", proposal.uid.partition("@")[0]).strip("-._")[:_LONGEST_ID]
        if not stem or stem != proposal.uid.partition("@")[0]:
            digest = hashlib.sha256(proposal.uid.encode() or proposal.name.encode()).hexdigest()[:8]
            stem = f"{stem}-{digest}" if stem else f"ics-{digest}"
        seen[stem] = seen.get(stem, 0) + 1
        yield (stem if seen[stem] == 1 else f"{stem}-{seen[stem]}"), proposal


def _slot(proposal: ics.Proposal, slot_id: str, query: ImportQuery, now: datetime) -> Slot:
    assert query.playlist is not None
    return Slot(
        id=slot_id,
        name=proposal.name,
        zones=query.zone,
        start=proposal.start,
        length=proposal.length,
        recurrence=proposal.recurrence,
        playlist=query.playlist,
        volume=query.volume,
        created_at=now,
        authority=Authority[query.authority.upper()],
    )


def _refuse_twins(slots: Sequence[Slot]) -> None:
    twins = sorted({slot.id for slot in slots if sum(other.id == slot.id for other in slots) > 1})
    if twins:
        sentence = _("Several events of this file have the same identifier: {twins}.", twins=", ".join(twins[:10]))
        raise Rejected(RejectReason.DUPLICATE_ELEMENT, sentence, f"slots.{twins[0]}.id")


def _proposal(proposal: ics.Proposal, language: str) -> ProposalBody:
    return ProposalBody(
        uid=proposal.uid,
        name=proposal.name,
        start=None if proposal.start is None else proposal.start.isoformat(),
        length_s=proposal.length.total_seconds(),
        recurrence=recurrence_record(proposal.recurrence),
        notes=tuple(note.say(language) for note in proposal.notes),
    )


ROUTES: Final[tuple[Route[Any], ...]] = (
    Route(
        method="GET",
        path=f"{PREFIX}/schedule.ics",
        query=NoQuery,
        handle=export_schedule,
        access=TokenScope.READ,
        summary="All slots as iCalendar (RFC 5545); what it has no word for is in X-TOCSIN properties.",
        answers={HTTPStatus.OK: Answer(says="the file", media=(ICALENDAR,))},
    ),
    Route(
        method="POST",
        path=f"{PREFIX}/schedule/import",
        query=ImportQuery,
        handle=import_schedule,
        access=TokenScope.PUBLICITY_WRITE,
        summary="Import an iCalendar file: what is possible is saved in one transaction, the rest is told with why.",
        body=Body(media=(ICALENDAR,)),
        answers={HTTPStatus.OK: Answer(says="what became of it", body=ImportedBody)},
        refusals=(HTTPStatus.BAD_REQUEST, HTTPStatus.REQUEST_ENTITY_TOO_LARGE, HTTPStatus.CONFLICT),
    ),
)
