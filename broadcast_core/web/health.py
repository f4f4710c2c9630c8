"""Liveness, readiness and metrics: what a supervisor and Prometheus ask without a token."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any, Final

import msgspec
import structlog
from aiohttp import web
from prometheus_client import CONTENT_TYPE_LATEST
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncConnection

from broadcast_core.clock import Clock
from broadcast_core.errors import StorageFailed
from broadcast_core.model import Channel
from broadcast_core.reserve import MB
from broadcast_core.store import Store
from broadcast_core.store.schema import fact
from broadcast_core.web.kit import SERVICES, json_response
from broadcast_core.web.metrics import METRICS
from broadcast_core.web.route import Access, Answer, NoQuery, Route

log = structlog.get_logger(__name__)

_PATIENCE_S: Final = 2.0
_REMEMBERED_S: Final = 5.0  # anybody may ask, and each answer of its own would cost a write
_FACT: Final = "health-probe"


class Health(msgspec.Struct, frozen=True, kw_only=True):
    """That there is an answer shows that the core is alive; `ready` that it can accept an alert and send it."""

    ready: bool
    store_writable: bool
    channels_up: Mapping[Channel, bool]
    receipts_waiting: int  # not yet durable
    free_mb: int  # on the disk of the data directory
    reserved: bool  # room is short: what is not an alert is refused
    ballast: bool  # false: the disk was full, and the last reserve has been given to alerts


class StoreProbe:
    """Whether something can be made durable, found out by doing it."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock
        self._asking: asyncio.Task[bool] | None = None
        self._asked_at = float("-inf")

    async def writable(self) -> bool:
        """Whether the newest probe came back in time. At most one is on its way, however many ask."""
        stale = self._clock.monotonic() - self._asked_at > _REMEMBERED_S
        if self._asking is None or (self._asking.done() and stale):
            self._asked_at = self._clock.monotonic()
            self._asking = asyncio.create_task(self._probe(), name="store-probe")
        await asyncio.wait([self._asking], timeout=_PATIENCE_S)
        return self._asking.done() and self._asking.result()

    async def close(self) -> None:
        """Leave no probe behind."""
        if self._asking is not None:
            self._asking.cancel()
            await asyncio.gather(self._asking, return_exceptions=True)

    async def _probe(self) -> bool:
        value = self._clock.now().isoformat()

        async def write(connection: AsyncConnection) -> None:
            module = sqlite if connection.dialect.name == "sqlite" else postgresql
            statement = module.insert(fact).values(name=_FACT, value=value)
            await connection.execute(statement.on_conflict_do_update(index_elements=["name"], set_={"value": value}))

        try:
            await self._store.write(write)
        except StorageFailed as error:
            log.error("the store cannot be written", detail=error.detail)  # noqa: TRY400
            return False
        return True


PROBE: Final = web.AppKey("probe", StoreProbe)


async def show_health(request: web.Request, _query: NoQuery) -> web.Response:
    services = request.app[SERVICES]
    writable = await request.app[PROBE].writable()
    channels = {channel: line.down_since is None for channel, line in services.dispatch.lines.items()}
    room = services.reserve.room()
    health = Health(
        ready=writable and all(channels.values()),
        store_writable=writable,
        channels_up=channels,
        receipts_waiting=services.dispatch.settler.waiting,
        free_mb=room.free // MB,
        reserved=room.reserved,
        ballast=room.ballast,
    )
    return json_response(health, HTTPStatus.OK if health.ready else HTTPStatus.SERVICE_UNAVAILABLE)


async def show_metrics(request: web.Request, _query: NoQuery) -> web.Response:
    return web.Response(body=request.app[METRICS].exposition(), headers={"Content-Type": CONTENT_TYPE_LATEST})


async def close_probe(app: web.Application) -> None:
    """Signal at the clean-up."""
    await app[PROBE].close()


ROUTES: Final[tuple[Route[Any], ...]] = (
    Route(
        method="GET",
        path="/healthz",
        query=NoQuery,
        handle=show_health,
        access=Access.ANYBODY,
        summary="Whether the core is alive and ready.",
        answers={
            HTTPStatus.OK: Answer(says="ready", body=Health),
            HTTPStatus.SERVICE_UNAVAILABLE: Answer(says="alive, and not ready", body=Health),
        },
    ),
    Route(
        method="GET",
        path="/metrics",
        query=NoQuery,
        handle=show_metrics,
        access=Access.ANYBODY,
        summary="Metrics for Prometheus.",
        answers={HTTPStatus.OK: Answer(says="the metrics", media=("text/plain",))},
    ),
)
