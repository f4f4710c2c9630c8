"""Around every request: who asks, what they may, and how refusals are told."""

from __future__ import annotations

import asyncio
from http import HTTPStatus
from typing import Any, Final

import msgspec
import structlog
from aiohttp import hdrs, web
from aiohttp.typedefs import Handler

from broadcast_core.errors import Rejected, RejectReason, TocsinError
from broadcast_core.i18n import _
from broadcast_core.selftest import SelfTestDesk
from broadcast_core.services import Services
from broadcast_core.siren import SirenDesk
from broadcast_core.tokens import Token, TokenBook, TokenScope
from broadcast_core.web.connections import Connections
from broadcast_core.web.problem import BadRequest, Problem, blank, language_for, problem_of, respond
from scheduler.desk import ScheduleDesk

log = structlog.get_logger(__name__)

SERVICES: Final = web.AppKey("services", Services)
TOKENS: Final = web.AppKey("tokens", TokenBook)
SCHEDULE: Final = web.AppKey("schedule", ScheduleDesk)
SELFTEST: Final = web.AppKey("selftest", SelfTestDesk)
SIRENS: Final = web.AppKey("sirens", SirenDesk)
CONNECTIONS: Final = web.AppKey("connections", Connections)
TOKEN: Final = web.RequestKey("token", Token)

LOCATION: Final = "Location"
_AUTHORIZATION: Final = "Authorization"

# A wrong token waits this long for its answer, but only so many do at once: who waits holds a connection.
_SLOW_S: Final = 0.5
_MOST_SLOWED: Final = 32

_HEADERS: Final = {
    "Cache-Control": "no-store",
    "X-Content-Type-Options": "nosniff",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
}


def json_response(
    body: Any, status: HTTPStatus = HTTPStatus.OK, headers: dict[str, str] | None = None
) -> web.Response:
    """Our types as JSON."""
    data = msgspec.json.encode(body)
    return web.Response(body=data, status=status, content_type="application/json", headers=headers)


class Gatekeeper:
    """Lets in who shows a valid token. All in memory, so that it holds while the database does not answer."""

    def __init__(self, tokens: TokenBook) -> None:
        self._tokens = tokens
        self._slowed = 0

    async def admit(self, request: web.Request, scope: TokenScope | None) -> None:
        """Note who asks. Raises Rejected if the token is missing, invalid, or has not `scope` (None: any will do)."""
        token = self._tokens.verify(_presented(request))
        if token is None:
            await self._slow_down()
            raise Rejected(
                RejectReason.UNAUTHENTICATED,
                _("Send a valid token: Authorization: Bearer tcs_…; the first one lies in secrets/api-token."),
                _AUTHORIZATION,
            )
        if (guard := request.app[CONNECTIONS].guard_of(request)) is not None:
            guard.trust(token.id)
        if scope is not None and scope not in token.scopes:
            sentence = _("This needs a token with the scope {scope}; this one has: {scopes}.",
                         scope=scope.value, scopes=", ".join(sorted(token.scopes)) or "-")  # fmt: skip
            raise Rejected(RejectReason.FORBIDDEN, sentence, _AUTHORIZATION)
        request[TOKEN] = token

    async def _slow_down(self) -> None:
        if self._slowed >= _MOST_SLOWED:
            return
        self._slowed += 1
        try:
            await asyncio.sleep(_SLOW_S)
        finally:
            self._slowed -= 1


@web.middleware
async def keep_time(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Tell the connection's guard when a request begins and ends."""
    guard = request.app[CONNECTIONS].guard_of(request)
    if guard is None:
        return await handler(request)
    guard.begin()
    try:
        return await handler(request)
    finally:
        guard.finish()


@web.middleware
async def tell_problems(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Every refusal as problem+json; what nobody expected is logged and says nothing of our inside."""
    language = language_for(request)
    try:
        return await handler(request)
    except TocsinError as error:
        problem = problem_of(error, language)
        log.info("refused", path=request.path, status=problem.status, reason=problem.reason, field=problem.field)
        headers = _challenge(problem)
    except web.HTTPException as error:
        if error.status < HTTPStatus.BAD_REQUEST:
            raise
        problem, headers = _of_http(error, language)
    except (ConnectionError, asyncio.CancelledError):
        raise
    except Exception:
        log.exception("unexpected", method=request.method, path=request.path)
        sentence = _(
            "This is our fault and has been logged. Nothing may have been accepted: ask before you send again."
        )
        problem, headers = blank(HTTPStatus.INTERNAL_SERVER_ERROR, sentence.say(language)), {}
    response = respond(problem, language, headers)
    if not request.content.is_eof() or problem.status == HTTPStatus.UNAUTHORIZED:
        response.force_close()  # the rest of a body that nobody wants, or somebody trying
    return response


async def add_headers(_request: web.BaseRequest, response: web.StreamResponse) -> None:
    """Signal before a response goes out."""
    for name, value in _HEADERS.items():
        response.headers.setdefault(name, value)


def actor_of(request: web.Request) -> str:
    """The name that this request leaves in the audit."""
    return request[TOKEN].actor


def _presented(request: web.Request) -> str:
    kind, _space, token = request.headers.get(_AUTHORIZATION, "").partition(" ")
    return token.strip() if kind.lower() == "bearer" else ""


def _challenge(problem: Problem) -> dict[str, str]:
    match problem.status:
        case HTTPStatus.UNAUTHORIZED:
            return {hdrs.WWW_AUTHENTICATE: 'Bearer realm="tocsin"'}
        case HTTPStatus.FORBIDDEN:
            return {hdrs.WWW_AUTHENTICATE: 'Bearer realm="tocsin", error="insufficient_scope"'}
        case HTTPStatus.SERVICE_UNAVAILABLE:
            return {hdrs.RETRY_AFTER: "1"}
        case _:
            return {}


def _of_http(error: web.HTTPException, language: str) -> tuple[Problem, dict[str, str]]:
    """What aiohttp refuses by itself: no such path, no such method."""
    if error.status == HTTPStatus.NOT_FOUND:
        sentence = _("There is nothing at this path; GET /api/v1/openapi.json lists what there is.")
        return problem_of(Rejected(RejectReason.NOT_FOUND, sentence), language), {}
    if isinstance(error, web.HTTPMethodNotAllowed):
        allowed = ", ".join(sorted(error.allowed_methods))
        sentence = _("This path takes {allowed}.", allowed=allowed)
        return problem_of(BadRequest(HTTPStatus.METHOD_NOT_ALLOWED, sentence), language), {hdrs.ALLOW: allowed}
    status = HTTPStatus(error.status)
    return blank(status, status.description or status.phrase), {}
