"""A route and what is said of it: one declaration makes the route, its guard and its page in the OpenAPI document."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, field
from enum import Enum
from http import HTTPStatus
from typing import Any, Final, Generic, TypeVar

import msgspec
from aiohttp import web
from aiohttp.typedefs import Handler

from broadcast_core.tokens import TokenScope
from broadcast_core.web.kit import Gatekeeper
from broadcast_core.web.reading import parse_query

PREFIX: Final = "/api/v1"

Q = TypeVar("Q", bound=msgspec.Struct)


class Access(Enum):
    """Who may use a route that asks for no scope."""

    ANYBODY = "anybody"
    ANY_TOKEN = "any token"  # noqa: S105 - no secret


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
class Route(Generic[Q]):
    """`query` is how the parameters are read. `refusals` are the HTTP statuses beside those that any route has."""

    method: str
    path: str
    query: type[Q]
    handle: Callable[[web.Request, Q], Awaitable[web.StreamResponse]]
    access: TokenScope | Access
    summary: str
    answers: Mapping[HTTPStatus, Answer]
    headers: Mapping[str, str] = field(default_factory=dict)
    body: Body | None = None
    refusals: tuple[HTTPStatus, ...] = ()


def add_routes(app: web.Application, routes: Iterable[Route[Any]], gatekeeper: Gatekeeper) -> None:
    """Put the routes into the application, each behind its guard."""
    for route in routes:
        app.router.add_route(route.method, route.path, _guarded(route, gatekeeper))


def _guarded(route: Route[Q], gatekeeper: Gatekeeper) -> Handler:
    scope = route.access if isinstance(route.access, TokenScope) else None

    async def handle(request: web.Request) -> web.StreamResponse:
        if route.access is not Access.ANYBODY:
            await gatekeeper.admit(request, scope)
        return await route.handle(request, parse_query(request, route.query))

    return handle
