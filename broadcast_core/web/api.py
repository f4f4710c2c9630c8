"""The HTTP API, put together."""

from __future__ import annotations

import asyncio
from http import HTTPStatus
from typing import Any, Final

import msgspec
from aiohttp import web

from broadcast_core.selftest import SelfTestDesk
from broadcast_core.services import Services
from broadcast_core.siren import SirenDesk
from broadcast_core.tokens import TokenBook
from broadcast_core.web import (
    access,
    alerts,
    calendar,
    events,
    health,
    kindness,
    media,
    media_upload,
    modes,
    plays,
    registry,
    registry_files,
    reports,
    schedule,
    schedule_files,
    selftest,
    sirens,
    submission,
)
from broadcast_core.web.connections import Connections, Limits
from broadcast_core.web.events import WATCH
from broadcast_core.web.health import PROBE, StoreProbe
from broadcast_core.web.kit import (
    CONNECTIONS,
    SCHEDULE,
    SELFTEST,
    SERVICES,
    SIRENS,
    TOKENS,
    Gatekeeper,
    add_headers,
    keep_time,
    tell_problems,
)
from broadcast_core.web.metrics import METRICS, Metrics
from broadcast_core.web.openapi import document
from broadcast_core.web.registry_files import IMPORTING
from broadcast_core.web.route import PREFIX, Access, Answer, NoQuery, Route, add_routes
from broadcast_core.web.watch import Watch
from scheduler.desk import ScheduleDesk

_DOCUMENT: Final = web.AppKey("document", bytes)


def make_app(
    services: Services,
    tokens: TokenBook,
    desk: ScheduleDesk,
    tests: SelfTestDesk,
    sirens_desk: SirenDesk,
    limits: Limits | None = None,
) -> web.Application:
    """The application. Serve it with `listening(app, listener, app[CONNECTIONS])`, which keeps
    `limits` (the default ones if none are given)."""
    app = web.Application(middlewares=[keep_time, tell_problems])
    connections = Connections(limits or Limits())
    app[SERVICES] = services
    app[TOKENS] = tokens
    app[SCHEDULE] = desk
    app[SELFTEST] = tests
    app[SIRENS] = sirens_desk
    app[CONNECTIONS] = connections
    app[METRICS] = Metrics(services, tests, connections)
    app[WATCH] = Watch(services)
    app[PROBE] = StoreProbe(services.store, services.clock)
    app[IMPORTING] = asyncio.Lock()
    app[_DOCUMENT] = msgspec.json.encode(document(ROUTES))
    add_routes(app, ROUTES, Gatekeeper(tokens))
    app.on_response_prepare.append(add_headers)
    app.on_shutdown.append(events.close_streams)
    app.on_cleanup.append(health.close_probe)
    return app


async def show_document(request: web.Request, _query: NoQuery) -> web.Response:
    return web.Response(body=request.app[_DOCUMENT], content_type="application/json")


ROUTES: Final[tuple[Route[Any], ...]] = (
    *submission.ROUTES,
    *alerts.ROUTES,
    *modes.ROUTES,
    *schedule.ROUTES,
    *schedule_files.ROUTES,
    *kindness.ROUTES,
    *calendar.ROUTES,
    *plays.ROUTES,
    *selftest.ROUTES,
    *sirens.ROUTES,
    *reports.ROUTES,
    *events.ROUTES,
    *registry.ROUTES,
    *registry_files.ROUTES,
    *media.ROUTES,
    *media_upload.ROUTES,
    *access.ROUTES,
    Route(
        method="GET",
        path=f"{PREFIX}/openapi.json",
        query=NoQuery,
        handle=show_document,
        access=Access.ANY_TOKEN,
        summary="This document.",
        answers={HTTPStatus.OK: Answer(says="OpenAPI 3.1", body=dict[str, Any])},
    ),
    *health.ROUTES,
)
