"""What the checks look at: the settings, the registry, and whether the core runs."""

from __future__ import annotations

import asyncio
import socket
import tempfile
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any, Final

import aiohttp
from sqlalchemy.engine import make_url
from sqlalchemy.exc import SQLAlchemyError

from broadcast_core.broker import EmbeddedBroker
from broadcast_core.clock import Clock
from broadcast_core.config import Listener, Mqtt, Settings
from broadcast_core.errors import StorageFailed
from broadcast_core.keys import InsecureSecret, read_secret
from broadcast_core.model import Channel
from broadcast_core.registry import Registry
from broadcast_core.registry import rows as registry_rows
from broadcast_core.store import Store
from drivers.ip_speaker.access import Access

REFERENCE_SPEAKERS: Final = 1099  # what is assumed while there is no registry
_PATIENCE: Final = aiohttp.ClientTimeout(total=5)


@dataclass(frozen=True, kw_only=True, slots=True)
class Core:
    """A core that answered on the API's address. `ahead` is how far its clock is before ours."""

    health: Mapping[str, Any]
    ahead: timedelta


@dataclass(frozen=True, kw_only=True, slots=True)
class Scene:
    """One installation at one moment. `registry` is None before its first start; `core` while it does not run.

    `broker` is where to find the broker: the real one, or a trial of the embedded one on a port of its own while
    the core does not run. `broker_failure` says why there is none.
    """

    settings: Settings
    clock: Clock
    registry: Registry | None
    registry_failure: str | None
    core: Core | None
    broker: Access | None
    broker_failure: str | None

    @property
    def speakers(self) -> int:
        """How many speakers there are; the reference size while nobody knows."""
        known = 0 if self.registry is None else self.registry.count(channel=Channel.SPEAKER)
        return known or REFERENCE_SPEAKERS


@asynccontextmanager
async def scene_of(settings: Settings, clock: Clock) -> AsyncIterator[Scene]:
    """Look at an installation. A trial broker lives as long as the context; nothing else is started or changed."""
    async with AsyncExitStack() as stack:
        core = await _core(settings.api, clock)
        registry, registry_failure = await _registry(settings)
        broker, broker_failure = await _broker(settings.mqtt, stack, trial=settings.mqtt.embedded and core is None)
        yield Scene(
            settings=settings,
            clock=clock,
            registry=registry,
            registry_failure=registry_failure,
            core=core,
            broker=broker,
            broker_failure=broker_failure,
        )


async def _core(listener: Listener, clock: Clock) -> Core | None:
    url = f"http://{listener.host}:{listener.port}/healthz"
    try:
        async with aiohttp.ClientSession(timeout=_PATIENCE) as session, session.get(url) as answer:
            health = await answer.json()
            there = parsedate_to_datetime(answer.headers["Date"])
    except (aiohttp.ClientError, TimeoutError, ValueError, KeyError):
        return None
    if not isinstance(health, dict) or "store_writable" not in health:
        return None  # somebody else's server; the check of the ports says so
    return Core(health=health, ahead=_ahead(there, clock.now()))


def _ahead(there: datetime, here: datetime) -> timedelta:
    """An HTTP date is cut to the second: what could be the cut is no difference."""
    ahead = there - here
    if timedelta(seconds=-1) <= ahead <= timedelta():
        return timedelta()
    return ahead + timedelta(seconds=1) if ahead < timedelta() else ahead


async def _registry(settings: Settings) -> tuple[Registry | None, str | None]:
    url = make_url(settings.database_url)
    if url.get_backend_name() == "sqlite" and not await asyncio.to_thread(Path(url.database or "").exists):
        return None, None  # opening it would make one
    try:
        async with Store.reading(settings.database_url) as store:
            return await registry_rows.load(store), None
    except (StorageFailed, SQLAlchemyError, OSError) as error:
        return None, str(error).splitlines()[0]


async def _broker(settings: Mqtt, stack: AsyncExitStack, *, trial: bool) -> tuple[Access | None, str | None]:
    try:
        password = None if settings.password_file is None else read_secret(settings.password_file).decode().strip()
        if trial:
            settings = settings.model_copy(update={"host": "127.0.0.1", "port": _free_port()})
            directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="tocsin-doctor-")))
            await stack.enter_async_context(EmbeddedBroker(settings.host, settings.port, directory))
    except (OSError, RuntimeError, InsecureSecret) as error:
        return None, str(error)
    return Access(settings, password), None


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
        return port
