"""A route and what is said of it: one declaration makes the route, its guard and its page in the OpenAPI document."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, field
from enum import Enum
from http import HTTPStatus
from typing import Any, Final

import msgspec
from aiohttp import web

from broadcast_core.tokens import TokenScope
from broadcast_core.web.kit import Gatekeeper
from broadcast_core.web.reading import parse_query

PREFIX: Final = "/api/v1"

Handle = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Access(Enum):
    """Who may use a route that asks for no scope."""

    ANYBODY = "anybody"
    ANY_TOKEN = "any token"  # noqa: S105 - it is not one


class NoQuery(msgspec.Struct, frozen=True):
    """A route that takes no parameters."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Answer:
    """One successful response: its body as a type of ours, or as another medium."""

    says: str
    body: Any = None  # None: not JSON, or empty
    media: tuple[str, ...] = ("application/json",)
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True, slots=True)
class Body:
    """A request's body."""

    media: tuple[str, ...]
    kind: Any = None  # the type of JSON bodies that are ours
    required: bool = True


@dataclass(frozen=True, kw_only=True, slots=True)
class Route:
    """`query` is how the parameters are read: the handler finds them by `query_of`. `refusals` are HTTP statuses."""

    method: str
    path: str
    handle: Handle
    access: TokenScope | Access
    summary: str
    answers: Mapping[HTTPStatus, Answer]
    query: type[msgspec.Struct] = NoQuery
    headers: Mapping[str, str] = field(default_factory=dict)
    body: Body | None = None
    refusals: tuple[HTTPStatus, ...] = ()


QUERY: Final = web.RequestKey("query", msgspec.Struct)


def add_routes(app: web.Application, routes: Iterable[Route], gatekeeper: Gatekeeper) -> None:
    """Put the routes into the application, each behind its guard."""
    for route in routes:
        app.router.add_route(route.method, route.path, _guarded(route, gatekeeper))


def _guarded(route: Route, gatekeeper: Gatekeeper) -> Handle:
    scope = route.access if isinstance(route.access, TokenScope) else None

    async def handle(request: web.Request) -> web.StreamResponse:
        if route.access is not Access.ANYBODY:
            await gatekeeper.admit(request, scope)
        request[QUERY] = parse_query(request, route.query)
        return await route.handle(request)

    return handle
