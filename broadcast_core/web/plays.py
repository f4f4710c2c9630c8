"""Proof of play: what the speakers themselves summed up."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, datetime, timedelta
from http import HTTPStatus
from typing import Annotated, Any, Final

import msgspec
from aiohttp import web

from broadcast_core.errors import Rejected, RejectReason
from broadcast_core.i18n import _
from broadcast_core.model import Reason
from broadcast_core.tokens import TokenScope
from broadcast_core.web.kit import SCHEDULE, SERVICES, json_response
from broadcast_core.web.route import PREFIX, Answer, Route
from scheduler.plays import ItemSum, OccurrenceSum, plays_report

_MOST_DAYS: Final = 92


class PlaysQuery(msgspec.Struct, frozen=True, kw_only=True):
    first: Annotated[date | None, msgspec.Meta(description="local; today if it is not given")] = None
    last: Annotated[date | None, msgspec.Meta(description="included; `first` if it is not given")] = None
    zone: str | None = None


class PlayedBody(msgspec.Struct, frozen=True, kw_only=True):
    """One item: how often it was played to its end, for how long altogether, on how many speakers."""

    times: int
    played_s: float
    speakers: int
    simulated: int
    reasons: Mapping[Reason, int]  # why it was not played to its end


class OccurrenceBody(msgspec.Struct, frozen=True, kw_only=True):
    """One occurrence: targets = proven + owed + failed + withdrawn, at every moment."""

    key: str
    slot: str
    date: date
    starts_at: datetime
    expires: datetime
    skipped: bool
    targets: int
    proven: int
    owed: int
    failed: int
    withdrawn: int
    simulated: int
    reasons: Mapping[Reason, int]
    items: Mapping[str, PlayedBody]


class PlaysBody(msgspec.Struct, frozen=True, kw_only=True):
    """What was played. `zones` are minutes of sound by community, over all its speakers."""

    first: date
    last: date
    timezone: str  # whose local dates they are
    occurrences: tuple[OccurrenceBody, ...]
    items: Mapping[str, PlayedBody]
    zones: Mapping[str, float]


async def show_plays(request: web.Request, query: PlaysQuery) -> web.Response:
    services, today = request.app[SERVICES], request.app[SCHEDULE].today
    first = query.first or today
    last = query.last or first
    if not timedelta() <= last - first < timedelta(days=_MOST_DAYS):
        sentence = _("Ask for 1 to {most} days, the first before the last.", most=_MOST_DAYS)
        raise Rejected(RejectReason.INVALID_VALUE, sentence, "query.last")
    found = await plays_report(services.store, services.registry(), first, last, query.zone)
    return json_response(
        PlaysBody(
            first=found.first,
            last=found.last,
            timezone=request.app[SCHEDULE].timezone.key,
            occurrences=tuple(_occurrence(o) for o in found.occurrences),
            items={item: _item(s) for item, s in found.items.items()},
            zones=found.zones,
        )
    )


def _occurrence(found: OccurrenceSum) -> OccurrenceBody:
    return OccurrenceBody(
        key=found.key,
        slot=found.slot_id,
        date=found.date,
        starts_at=found.starts_at,
        expires=found.expires,
        skipped=found.skipped,
        targets=found.targets,
        proven=found.proven,
        owed=found.owed,
        failed=found.failed,
        withdrawn=found.withdrawn,
        simulated=found.simulated,
        reasons=found.reasons,
        items={item: _item(s) for item, s in found.items.items()},
    )


def _item(found: ItemSum) -> PlayedBody:
    return PlayedBody(
        times=found.times,
        played_s=found.played.total_seconds(),
        speakers=len(found.speakers),
        simulated=len(found.simulated),
        reasons=found.reasons,
    )


ROUTES: Final[tuple[Route[Any], ...]] = (
    Route(
        method="GET",
        path=f"{PREFIX}/plays",
        query=PlaysQuery,
        handle=show_plays,
        access=TokenScope.READ,
        summary="Proof of play by occurrence, item and zone, from what the speakers summed up under their own keys.",
        answers={HTTPStatus.OK: Answer(says="the report", body=PlaysBody)},
        refusals=(HTTPStatus.NOT_FOUND,),
    ),
)
