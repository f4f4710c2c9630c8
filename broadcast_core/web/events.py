"""Server-sent events: an alert as it happens, or everything that is live."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable
from http import HTTPStatus
from typing import Any, Final

import msgspec
from aiohttp import web
from aiohttp_sse import sse_response

from broadcast_core.report import report, settled_counts
from broadcast_core.tokens import TokenScope
from broadcast_core.web.kit import SERVICES
from broadcast_core.web.route import PREFIX, Answer, NoQuery, Route
from broadcast_core.web.watch import Counts, Event, Watch

WATCH: Final = web.AppKey("watch", Watch)
SSE_MEDIA: Final = "text/event-stream"
_HEARTBEAT_S: Final = 15.0
_SEND_S: Final = 20.0  # a reader that takes nothing for so long is cut off


async def alert_events(request: web.Request, _query: NoQuery) -> web.StreamResponse:
    """Of a live alert from memory, whatever the database does; of a past one what it came to, and the end."""
    alert_id, watch = request.match_info["alert_id"], request.app[WATCH]
    if watch.is_live(alert_id):
        return await _stream(request, alert_id)
    services = request.app[SERVICES]
    found = await report(services.store, alert_id, services.registry(), rows=False)
    data = msgspec.json.encode(Counts(alert_id=alert_id, revisions=settled_counts(found))).decode()
    return await _send_all(request, _few([Event("counts", data), Event("end", data, last=True)]))


async def all_events(request: web.Request, _query: NoQuery) -> web.StreamResponse:
    return await _stream(request, None)


async def close_streams(app: web.Application) -> None:
    """Signal at the shutdown."""
    app[WATCH].close()


async def _stream(request: web.Request, alert_id: str | None) -> web.StreamResponse:
    with request.app[WATCH].watching(alert_id) as watcher:
        return await _send_all(request, watcher.follow())


async def _send_all(request: web.Request, events: AsyncIterator[Event]) -> web.StreamResponse:
    async with sse_response(request, ping_interval=_HEARTBEAT_S, send_timeout=_SEND_S) as response:
        try:
            async for event in events:
                await response.send(event.data, event=event.name)
        except (ConnectionError, TimeoutError):
            pass  # the reader has gone, or takes nothing
    return response


async def _few(events: Iterable[Event]) -> AsyncIterator[Event]:
    for event in events:
        yield event


ROUTES: Final[tuple[Route[Any], ...]] = (
    Route(
        method="GET",
        path=f"{PREFIX}/alerts/{{alert_id}}/events",
        query=NoQuery,
        handle=alert_events,
        access=TokenScope.READ,
        summary="An alert as it happens: event `counts` first, then `changes` at most four times a second, and `end` "
        "when every delivery has ended. A comment every 15 s keeps the line open.",
        answers={HTTPStatus.OK: Answer(says="the events", media=(SSE_MEDIA,))},
        refusals=(HTTPStatus.NOT_FOUND,),
    ),
    Route(
        method="GET",
        path=f"{PREFIX}/events",
        query=NoQuery,
        handle=all_events,
        access=TokenScope.READ,
        summary="All live messages and the presence of endpoints: event `counts` first, then `changes`.",
        answers={HTTPStatus.OK: Answer(says="the events", media=(SSE_MEDIA,))},
    ),
)
