"""What hostile or broken clients may hold of us: connections, and for how long.

aiohttp itself holds idle, half-sent and unread connections for minutes. Here a request's head has a deadline, a
reader that takes nothing is cut off, and at the cap a new connection always gets in: the oldest one that has shown
no valid token goes, then one that only idles, then the oldest of whoever holds the most. So a flood of strangers, or
of one stolen token, drowns itself, and a stop gets through.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Final

import structlog
from aiohttp import web

from broadcast_core.config import Listener

log = structlog.get_logger(__name__)

_BACKLOG: Final = 1024
_FULL: Final = b"HTTP/1.1 503 Service Unavailable\r\nRetry-After: 1\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"


@dataclass(frozen=True, kw_only=True, slots=True)
class Limits:
    """Seconds and numbers that a client's connection must keep to."""

    connections: int = 512
    head_s: float = 10.0  # for a request's head, from its first byte or from the connection
    idle_s: float = 60.0  # between two requests
    stalled_s: float = 30.0  # for a reader that takes nothing
    lingering_s: float = 5.0  # for a body that nobody wants
    headers: int = 64
    shutdown_s: float = 5.0  # for requests that run when we end


class Connections:
    """The open connections of one listener."""

    def __init__(self, limits: Limits) -> None:
        self.limits: Final = limits
        self.evicted = 0
        self._strangers: dict[Guard, None] = {}  # oldest first
        self._idle: dict[Guard, None] = {}  # trusted, between requests
        self._busy: dict[str, dict[Guard, None]] = {}  # trusted, in a request, by whose token it is
        self._by_transport: dict[asyncio.BaseTransport, Guard] = {}

    def __len__(self) -> int:
        return len(self._by_transport)

    def guard_of(self, request: web.BaseRequest) -> Guard | None:
        """The guard of the connection a request came on; None if another listener serves the application."""
        return None if request.transport is None else self._by_transport.get(request.transport)

    def admit(self, guard: Guard, transport: asyncio.Transport) -> bool:
        """Make room for a connection. False if there is none to be made."""
        if len(self) >= self.limits.connections and not self._evict():
            return False
        self._by_transport[transport] = guard
        self._strangers[guard] = None
        return True

    def sort(self, guard: Guard) -> None:
        """Where a connection stands when room is needed."""
        if guard.owner is None:
            return  # a stranger, where it was put when it came
        self.leave(guard)
        if guard.busy:
            self._busy.setdefault(guard.owner, {})[guard] = None
        else:
            self._idle[guard] = None

    def leave(self, guard: Guard) -> None:
        """It stands nowhere any more."""
        self._strangers.pop(guard, None)
        self._idle.pop(guard, None)
        busy = self._busy.get(guard.owner or "")
        if busy is not None:
            busy.pop(guard, None)
            if not busy:
                del self._busy[guard.owner or ""]

    def forget(self, guard: Guard, transport: asyncio.Transport) -> None:
        self._by_transport.pop(transport, None)
        self.leave(guard)

    def _evict(self) -> bool:
        greediest: dict[Guard, None] = max(self._busy.values(), key=len, default={})
        for among in (self._strangers, self._idle, greediest):
            for guard in among:
                guard.abort()
                self.evicted += 1
                return True
        return False


class Guard(asyncio.Protocol):
    """Stands between a transport and aiohttp's handler of its requests, and keeps the time."""

    def __init__(self, inner: asyncio.Protocol, connections: Connections) -> None:
        self._inner = inner
        self._connections = connections
        self._limits: Final = connections.limits
        self._transport: asyncio.Transport | None = None
        self._head: asyncio.TimerHandle | None = None
        self._head_begun = False
        self._stalled: asyncio.TimerHandle | None = None
        self.owner: str | None = None  # the token that was shown on it; None: a stranger
        self.busy = False

    def begin(self) -> None:
        """A request's head is complete and its handler runs."""
        self.busy = True
        _cancel(self._head)
        self._connections.sort(self)

    def trust(self, owner: str) -> None:
        """A valid token came on this connection, that of `owner`."""
        self._connections.leave(self)
        self.owner = owner
        self._connections.sort(self)

    def finish(self) -> None:
        """The handler is done; the next request may come."""
        self.busy = False
        self._await_head(self._limits.idle_s, begun=False)
        self._connections.sort(self)

    def abort(self) -> None:
        """Close without a word."""
        if self._transport is not None:
            self._connections.forget(self, self._transport)
            self._transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        if not self._connections.admit(self, transport):
            transport.write(_FULL)
            transport.close()
            return
        self._transport = transport
        self._await_head(self._limits.head_s, begun=True)
        self._inner.connection_made(transport)

    def data_received(self, data: bytes) -> None:
        if self._transport is None:
            return
        if not self.busy and not self._head_begun:
            self._await_head(self._limits.head_s, begun=True)
        self._inner.data_received(data)

    def eof_received(self) -> bool | None:
        return None if self._transport is None else self._inner.eof_received()

    def pause_writing(self) -> None:
        self._stalled = asyncio.get_running_loop().call_later(self._limits.stalled_s, self.abort)
        self._inner.pause_writing()

    def resume_writing(self) -> None:
        _cancel(self._stalled)
        self._inner.resume_writing()

    def connection_lost(self, exc: Exception | None) -> None:
        _cancel(self._head)
        _cancel(self._stalled)
        transport, self._transport = self._transport, None
        if transport is not None:
            self._connections.forget(self, transport)
            self._inner.connection_lost(exc)

    def _await_head(self, seconds: float, *, begun: bool) -> None:
        _cancel(self._head)
        self._head = asyncio.get_running_loop().call_later(seconds, self.abort)
        self._head_begun = begun


@asynccontextmanager
async def listening(
    app: web.Application, listener: Listener, connections: Connections
) -> AsyncIterator[tuple[str, int]]:
    """Serve `app` within its limits for as long as the context is held; gives the address bound.

    Raises OSError if the address is taken.
    """
    limits = connections.limits
    runner = web.AppRunner(
        app,
        access_log=None,
        handler_cancellation=False,  # what was asked for is done, whether or not the asker stays
        keepalive_timeout=limits.idle_s,
        lingering_time=limits.lingering_s,
        max_headers=limits.headers,
        auto_decompress=False,
        shutdown_timeout=limits.shutdown_s,
    )
    await runner.setup()
    try:
        server = await asyncio.get_running_loop().create_server(
            _guarded(runner, connections), listener.host, listener.port, backlog=_BACKLOG
        )
        host, port = server.sockets[0].getsockname()[:2]
        log.info("listening", host=host, port=port)
        try:
            yield host, port
        finally:
            server.close()
    finally:
        await runner.cleanup()


def _guarded(runner: web.AppRunner, connections: Connections) -> Callable[[], Guard]:
    server = runner.server
    assert server is not None
    return lambda: Guard(server(), connections)


def _cancel(handle: asyncio.TimerHandle | None) -> None:
    if handle is not None:
        handle.cancel()
