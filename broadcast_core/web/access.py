"""Who am I, and tokens: listing, issuing, revoking."""

from __future__ import annotations

from datetime import datetime
from http import HTTPStatus
from typing import Annotated, Any, Final

import msgspec
from aiohttp import web

from broadcast_core.errors import Rejected, RejectReason
from broadcast_core.i18n import _
from broadcast_core.report import Page
from broadcast_core.tokens import Token, TokenScope
from broadcast_core.web.kit import LOCATION, SERVICES, TOKEN, TOKENS, actor_of, json_response
from broadcast_core.web.reading import SMALL_BODY, parse_json, read_body
from broadcast_core.web.route import PREFIX, Access, Answer, Body, NoQuery, Route


class TokenBody(msgspec.Struct, frozen=True, kw_only=True):
    """A token without its secret."""

    id: str
    actor: str
    scopes: tuple[TokenScope, ...]
    created_at: datetime
    expires: datetime | None
    revoked_at: datetime | None


class IssueBody(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A token to be made. `actor` is the name that every act with it leaves in the audit."""

    actor: Annotated[str, msgspec.Meta(min_length=1, max_length=100)]
    scopes: Annotated[tuple[TokenScope, ...], msgspec.Meta(min_length=1)]
    expires: Annotated[datetime, msgspec.Meta(tz=True)] | None = None


class IssuedBody(msgspec.Struct, frozen=True, kw_only=True):
    """A new token. `text` is shown this once."""

    token: TokenBody
    text: str


async def show_me(request: web.Request, _query: NoQuery) -> web.Response:
    return json_response(_body(request[TOKEN]))


async def list_tokens(request: web.Request, _query: NoQuery) -> web.Response:
    return json_response(Page(items=tuple(_body(token) for token in request.app[TOKENS]), following=None))


async def issue_token(request: web.Request, _query: NoQuery) -> web.Response:
    wanted = parse_json(await read_body(request, SMALL_BODY), IssueBody)
    excess = frozenset(wanted.scopes) - request[TOKEN].scopes
    if excess:
        sentence = _("A token cannot give what it has not itself: {scopes}.", scopes=", ".join(sorted(excess)))
        raise Rejected(RejectReason.FORBIDDEN, sentence, "scopes")
    if wanted.expires is not None and wanted.expires <= request.app[SERVICES].clock.now():
        raise Rejected(RejectReason.INVALID_VALUE, _("The token would have expired already."), "expires")
    token, text = await request.app[TOKENS].issue(
        actor=wanted.actor, scopes=wanted.scopes, expires=wanted.expires, by=actor_of(request)
    )
    where = {LOCATION: f"{_TOKENS}/{token.id}"}
    return json_response(IssuedBody(token=_body(token), text=text), HTTPStatus.CREATED, where)


async def revoke_token(request: web.Request, _query: NoQuery) -> web.Response:
    token = await request.app[TOKENS].revoke(request.match_info["token_id"], by=actor_of(request))
    return json_response(_body(token))


def _body(token: Token) -> TokenBody:
    return TokenBody(
        id=token.id,
        actor=token.actor,
        scopes=tuple(sorted(token.scopes)),
        created_at=token.created_at,
        expires=token.expires,
        revoked_at=token.revoked_at,
    )


_TOKENS: Final = f"{PREFIX}/tokens"

ROUTES: Final[tuple[Route[Any], ...]] = (
    Route(
        method="GET",
        path=f"{PREFIX}/me",
        query=NoQuery,
        handle=show_me,
        access=Access.ANY_TOKEN,
        summary="The token that asks.",
        answers={HTTPStatus.OK: Answer(says="the token", body=TokenBody)},
    ),
    Route(
        method="GET",
        path=_TOKENS,
        query=NoQuery,
        handle=list_tokens,
        access=TokenScope.ADMIN,
        summary="All tokens, revoked ones too, oldest first.",
        answers={HTTPStatus.OK: Answer(says="the tokens", body=Page[TokenBody])},
    ),
    Route(
        method="POST",
        path=_TOKENS,
        query=NoQuery,
        handle=issue_token,
        access=TokenScope.ADMIN,
        summary="Make a token. It can be given no scope that the asking one has not.",
        body=Body(media=("application/json",), kind=IssueBody),
        answers={
            HTTPStatus.CREATED: Answer(says="the token", body=IssuedBody, headers={LOCATION: "the token"}),
        },
        refusals=(HTTPStatus.BAD_REQUEST, HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.REQUEST_ENTITY_TOO_LARGE),
    ),
    Route(
        method="DELETE",
        path=f"{_TOKENS}/{{token_id}}",
        query=NoQuery,
        handle=revoke_token,
        access=TokenScope.ADMIN,
        summary="End a token, from now on.",
        answers={HTTPStatus.OK: Answer(says="the token", body=TokenBody)},
        refusals=(HTTPStatus.NOT_FOUND,),
    ),
)
