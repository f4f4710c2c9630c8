"""The schedule: slots and playlists; what would play when, before and after it is saved."""

from __future__ import annotations

from datetime import date, datetime
from http import HTTPStatus
from typing import Annotated, Any, Final

import msgspec
from aiohttp import web

from broadcast_core.errors import NotFound, Rejected, RejectReason
from broadcast_core.i18n import _
from broadcast_core.tokens import TokenScope
from broadcast_core.web.findings import FindingBody, SavedBody, finding_bodies, saved_body
from broadcast_core.web.kit import SCHEDULE, actor_of, json_response
from broadcast_core.web.problem import language_for
from broadcast_core.web.reading import parse_value, read_body
from broadcast_core.web.route import PREFIX, Answer, Body, NoQuery, Route
from broadcast_core.web.submission import JSON_MEDIA
from scheduler.day import Because, Conflict, HeldSegment, Segment, ZoneDay
from scheduler.held import Held, sentence
from scheduler.model import Slot
from scheduler.record import playlist_of, playlist_record, slot_of, slot_record

_LARGEST: Final = 256 * 1024

Seconds = Annotated[float, msgspec.Meta(ge=0, description="seconds")]


class SlotBody(msgspec.Struct, frozen=True, kw_only=True):
    """Zones × time × recurrence × playlist × volume."""

    id: str
    name: str
    zones: tuple[str, ...]
    start: Annotated[str | None, msgspec.Meta(description="local time of day; null where a cron says it")]
    length_s: Seconds
    recurrence: Annotated[dict[str, Any], msgspec.Meta(description="see docs/peacetime.md")]
    playlist: str
    volume: Annotated[int, msgspec.Meta(ge=1, le=100)]
    created_at: datetime
    authority: str
    late: str
    grace_s: Seconds
    fill: str
    overrun: str
    enabled: bool


class PlaylistBody(msgspec.Struct, frozen=True, kw_only=True):
    """Items of the library in their order."""

    id: str
    name: str
    items: tuple[str, ...]
    order: str
    gap_s: Seconds
    chime: str | None


class ScheduleBody(msgspec.Struct, frozen=True, kw_only=True):
    slots: tuple[SlotBody, ...]
    playlists: tuple[PlaylistBody, ...]


class CheckBody(msgspec.Struct, frozen=True, kw_only=True):
    findings: tuple[FindingBody, ...]


class SegmentBody(msgspec.Struct, frozen=True, kw_only=True):
    """Something sounds."""

    occurrence: str
    slot: str
    item: str
    starts_at: datetime
    ends_at: datetime
    volume: int
    position_s: float


class HeldBody(msgspec.Struct, frozen=True, kw_only=True):
    """Something scheduled does not sound, and why."""

    occurrence: str
    slot: str
    item: str | None
    starts_at: datetime
    ends_at: datetime
    held: Held
    detail: str
    by: str | None


class ConflictBody(msgspec.Struct, frozen=True, kw_only=True):
    winner: str
    loser: str
    starts_at: datetime
    ends_at: datetime
    because: Because


class DayBody(msgspec.Struct, frozen=True, kw_only=True):
    """One local date in one zone."""

    zone: str
    date: date
    timezone: str  # whose local date it is
    segments: tuple[SegmentBody, ...]
    held: tuple[HeldBody, ...]
    conflicts: tuple[ConflictBody, ...]
    budget_spent: float


class PreviewQuery(msgspec.Struct, frozen=True, kw_only=True):
    zone: str
    date: Annotated[date | None, msgspec.Meta(description="local; today if it is not given")] = None


async def show_schedule(request: web.Request, _query: NoQuery) -> web.Response:
    schedule = request.app[SCHEDULE].schedule
    return json_response(
        {
            "slots": [slot_record(s) for _id, s in sorted(schedule.slots.items())],
            "playlists": [playlist_record(p) for _id, p in sorted(schedule.playlists.items())],
        }
    )


async def show_slot(request: web.Request, _query: NoQuery) -> web.Response:
    slot_id = request.match_info["slot_id"]
    slot = request.app[SCHEDULE].schedule.slots.get(slot_id)
    if slot is None:
        raise NotFound("slot", slot_id)
    return json_response(slot_record(slot))


async def put_slot(request: web.Request, _query: NoQuery) -> web.Response:
    slot = await _slot(request, request.match_info["slot_id"])
    saved = await request.app[SCHEDULE].put_slot(slot, actor=actor_of(request))
    return json_response(saved_body(slot.id, saved.warnings, request))


async def remove_slot(request: web.Request, _query: NoQuery) -> web.Response:
    slot_id = request.match_info["slot_id"]
    await request.app[SCHEDULE].remove_slot(slot_id, actor=actor_of(request))
    return json_response(saved_body(slot_id, (), request))


async def put_playlist(request: web.Request, _query: NoQuery) -> web.Response:
    record = await _record(request, request.match_info["playlist_id"])
    playlist = playlist_of(record)
    saved = await request.app[SCHEDULE].put_playlist(playlist, actor=actor_of(request))
    return json_response(saved_body(playlist.id, saved.warnings, request))


async def remove_playlist(request: web.Request, _query: NoQuery) -> web.Response:
    playlist_id = request.match_info["playlist_id"]
    await request.app[SCHEDULE].remove_playlist(playlist_id, actor=actor_of(request))
    return json_response(saved_body(playlist_id, (), request))


async def check_schedule(request: web.Request, _query: NoQuery) -> web.Response:
    findings = await request.app[SCHEDULE].check()
    return json_response(CheckBody(findings=finding_bodies(findings, request)))


async def preview_day(request: web.Request, query: PreviewQuery) -> web.Response:
    desk = request.app[SCHEDULE]
    day = await desk.preview(query.zone, query.date or desk.today)
    return json_response(_day(query.zone, day, request))


async def preview_draft(request: web.Request, query: PreviewQuery) -> web.Response:
    desk = request.app[SCHEDULE]
    draft = await _slot(request, None)
    day = await desk.preview(query.zone, query.date or desk.today, draft)
    return json_response(_day(query.zone, day, request))


async def _slot(request: web.Request, slot_id: str | None) -> Slot:
    record = await _record(request, slot_id)
    before = request.app[SCHEDULE].schedule.slots.get(str(record.get("id")))
    # When it was made decides nothing but is kept: who sends a slot back does not have to know it.
    record.setdefault("created_at", (before.created_at if before else request.app[SCHEDULE].now).isoformat())
    return slot_of(record)


async def _record(request: web.Request, identifier: str | None) -> dict[str, Any]:
    """The body's record; the id in the path is the id, and one in the body has to agree."""
    value = parse_value(await read_body(request, _LARGEST))
    if not isinstance(value, dict):
        raise Rejected(RejectReason.MALFORMED, _("Send one JSON object."))
    if identifier is not None and value.setdefault("id", identifier) != identifier:
        sentence = _("The path says {path}, the body {body}: make them the same.", path=identifier, body=value["id"])
        raise Rejected(RejectReason.INVALID_VALUE, sentence, "id")
    return value


def _day(zone: str, day: ZoneDay, request: web.Request) -> DayBody:
    language = language_for(request)
    return DayBody(
        zone=zone,
        date=day.date,
        timezone=request.app[SCHEDULE].timezone.key,
        segments=tuple(_segment(s) for s in day.segments),
        held=tuple(_held(h, language) for h in day.held),
        conflicts=tuple(_conflict(c) for c in day.conflicts),
        budget_spent=day.spent,
    )


def _segment(segment: Segment) -> SegmentBody:
    return SegmentBody(
        occurrence=segment.occurrence,
        slot=segment.slot_id,
        item=segment.item_id,
        starts_at=segment.starts_at,
        ends_at=segment.ends_at,
        volume=segment.volume,
        position_s=segment.position.total_seconds(),
    )


def _held(held: HeldSegment, language: str) -> HeldBody:
    return HeldBody(
        occurrence=held.occurrence,
        slot=held.slot_id,
        item=held.item_id,
        starts_at=held.starts_at,
        ends_at=held.ends_at,
        held=held.held,
        detail=sentence(held.held).say(language),
        by=held.by,
    )


def _conflict(conflict: Conflict) -> ConflictBody:
    return ConflictBody(
        winner=conflict.winner,
        loser=conflict.loser,
        starts_at=conflict.starts_at,
        ends_at=conflict.ends_at,
        because=conflict.because,
    )


_SCHEDULE: Final = f"{PREFIX}/schedule"
_SLOT: Final = f"{_SCHEDULE}/slots/{{slot_id}}"
_PLAYLIST: Final = f"{_SCHEDULE}/playlists/{{playlist_id}}"
_OK: Final = {HTTPStatus.OK: Answer(says="saved and in force", body=SavedBody)}
_REMOVED: Final = {HTTPStatus.OK: Answer(says="removed", body=SavedBody)}
_REFUSALS: Final = (HTTPStatus.BAD_REQUEST, HTTPStatus.NOT_FOUND, HTTPStatus.CONFLICT)

ROUTES: Final[tuple[Route[Any], ...]] = (
    Route(
        method="GET",
        path=_SCHEDULE,
        query=NoQuery,
        handle=show_schedule,
        access=TokenScope.READ,
        summary="All slots and playlists.",
        answers={HTTPStatus.OK: Answer(says="the schedule", body=ScheduleBody)},
    ),
    Route(
        method="GET",
        path=f"{_SCHEDULE}/check",
        query=NoQuery,
        handle=check_schedule,
        access=TokenScope.READ,
        summary="What there is to say about the schedule: overlaps, what is held and why, days not announced.",
        answers={HTTPStatus.OK: Answer(says="the findings", body=CheckBody)},
    ),
    Route(
        method="GET",
        path=f"{_SCHEDULE}/preview",
        query=PreviewQuery,
        handle=preview_day,
        access=TokenScope.READ,
        summary="What plays in a zone on a date, what does not and why: the same function runs the day.",
        answers={HTTPStatus.OK: Answer(says="the day", body=DayBody)},
        refusals=(HTTPStatus.NOT_FOUND,),
    ),
    Route(
        method="POST",
        path=f"{_SCHEDULE}/preview",
        query=PreviewQuery,
        handle=preview_draft,
        access=TokenScope.READ,
        summary="The same with a slot that is not saved, and is not saved by this.",
        body=Body(media=(JSON_MEDIA,), kind=SlotBody),
        answers={HTTPStatus.OK: Answer(says="the day with it", body=DayBody)},
        refusals=_REFUSALS,
    ),
    Route(
        method="GET",
        path=_SLOT,
        query=NoQuery,
        handle=show_slot,
        access=TokenScope.READ,
        summary="A slot.",
        answers={HTTPStatus.OK: Answer(says="the slot", body=SlotBody)},
        refusals=(HTTPStatus.NOT_FOUND,),
    ),
    Route(
        method="PUT",
        path=_SLOT,
        query=NoQuery,
        handle=put_slot,
        access=TokenScope.PUBLICITY_WRITE,
        summary="Save a slot, new or changed. Refused with the field and the remedy; locked in an emergency.",
        body=Body(media=(JSON_MEDIA,), kind=SlotBody),
        answers=_OK,
        refusals=_REFUSALS,
    ),
    Route(
        method="DELETE",
        path=_SLOT,
        query=NoQuery,
        handle=remove_slot,
        access=TokenScope.PUBLICITY_WRITE,
        summary="Remove a slot; what of it is on the speakers is taken back.",
        answers=_REMOVED,
        refusals=(HTTPStatus.NOT_FOUND, HTTPStatus.CONFLICT),
    ),
    Route(
        method="PUT",
        path=_PLAYLIST,
        query=NoQuery,
        handle=put_playlist,
        access=TokenScope.PUBLICITY_WRITE,
        summary="Save a playlist, new or changed. Slots that play it have to stay possible.",
        body=Body(media=(JSON_MEDIA,), kind=PlaylistBody),
        answers=_OK,
        refusals=_REFUSALS,
    ),
    Route(
        method="DELETE",
        path=_PLAYLIST,
        query=NoQuery,
        handle=remove_playlist,
        access=TokenScope.PUBLICITY_WRITE,
        summary="Remove a playlist that no slot plays.",
        answers=_REMOVED,
        refusals=(HTTPStatus.NOT_FOUND, HTTPStatus.CONFLICT),
    ),
)
