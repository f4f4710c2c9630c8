"""What comes in with a request, bounded and turned into our types: body, query, headers."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from http import HTTPStatus
from typing import Any, Final, NoReturn, TypeVar

import msgspec
from aiohttp import web

from broadcast_core.errors import Rejected, RejectReason
from broadcast_core.i18n import _
from broadcast_core.web.problem import BadRequest

S = TypeVar("S", bound=msgspec.Struct)

SMALL_BODY: Final = 16 * 1024  # of requests that carry a few words
_BODY_S: Final = 20.0
_SLOWEST_BYTES_PER_S: Final = 64 * 1024  # what a large upload must keep up beyond that


async def read_body(request: web.Request, most: int, *, seconds: float | None = None) -> bytes:
    """The whole body. Raises Rejected(TOO_LARGE) beyond `most` bytes, BadRequest for one that comes too slowly."""
    refuse_encoded(request)
    if (request.content_length or 0) > most:
        raise _too_large(most)
    body = bytearray()
    try:
        async with asyncio.timeout(seconds or _BODY_S + most / _SLOWEST_BYTES_PER_S):
            async for chunk in request.content.iter_any():
                body += chunk
                if len(body) > most:
                    raise _too_large(most)
    except TimeoutError:
        raise BadRequest(HTTPStatus.REQUEST_TIMEOUT, _("The body came too slowly; send it again.")) from None
    return bytes(body)


def refuse_encoded(request: web.Request) -> None:
    """Raises BadRequest for a body that would have to be unpacked."""
    if request.headers.get("Content-Encoding", "identity").lower() != "identity":
        raise BadRequest(
            HTTPStatus.UNSUPPORTED_MEDIA_TYPE, _("Send the body as it is, without a Content-Encoding such as gzip.")
        )


async def paced(read: Callable[[], Awaitable[bytes]]) -> AsyncIterator[bytes]:
    """What `read` gives until it gives nothing, for bodies that are too large to hold. Raises BadRequest for one that
    comes too slowly: a stranger must not hold a place for hours with a byte a minute."""
    began, received = asyncio.get_running_loop().time(), 0
    while True:
        allowed = began + _BODY_S + received / _SLOWEST_BYTES_PER_S
        try:
            async with asyncio.timeout_at(allowed):
                chunk = await read()
        except TimeoutError:
            raise BadRequest(HTTPStatus.REQUEST_TIMEOUT, _("The body came too slowly; send it again.")) from None
        if not chunk:
            return
        received += len(chunk)
        yield chunk


def parse_json(body: bytes, kind: type[S]) -> S:
    """A JSON body as `kind`. Raises Rejected: a key that came twice or is unknown, a value of the wrong kind."""
    return _convert(parse_value(body), kind, strict=True)


def parse_value(body: bytes) -> object:
    """A JSON body as it is. Raises Rejected(MALFORMED, DUPLICATE_ELEMENT)."""
    try:
        document: object = json.loads(body.decode("utf-8"), object_pairs_hook=_once, parse_constant=_no_constant)
    except (ValueError, RecursionError) as error:
        sentence = _("This is not JSON: {detail}.", detail=str(error)[:200])
        raise Rejected(RejectReason.MALFORMED, sentence) from None
    return document


def parse_query(request: web.Request, kind: type[S]) -> S:
    """The query as `kind`. An unknown name is refused: ``?aera=`` must never widen what was meant."""
    fields = {f.encode_name: f for f in msgspec.structs.fields(kind)}
    found: dict[str, Any] = {}
    for name in request.query:
        if name not in fields:
            known = ", ".join(fields) or "-"
            sentence = _("There is no parameter {name} here; there are: {known}.", name=name[:80], known=known)
            raise Rejected(RejectReason.UNKNOWN_ELEMENT, sentence, f"query.{name[:80]}")
        values = request.query.getall(name)
        if isinstance(fields[name].default, tuple):
            found[name] = values
        elif len(values) > 1:
            sentence = _("{name} stands here more than once; keep one.", name=name)
            raise Rejected(RejectReason.DUPLICATE_ELEMENT, sentence, f"query.{name}")
        else:
            found[name] = values[0]
    return _convert(found, kind, strict=False, prefix="query.")


def _convert(document: object, kind: type[S], *, strict: bool, prefix: str = "") -> S:
    try:
        return msgspec.convert(document, kind, strict=strict)
    except msgspec.ValidationError as error:
        # msgspec says "Expected `int` >= 1 - at `$.limit`".
        what, _at, where = str(error).partition(" - at `$")
        field = where.rstrip("`").removeprefix(".")
        sentence = _("{field} is refused: {detail}.", field=field or "-", detail=what)
        raise Rejected(RejectReason.INVALID_VALUE, sentence, f"{prefix}{field}" if field else None) from None


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """A JSON object; decoders keep the last of two equal keys in silence, and somebody meant the first."""
    found: dict[str, Any] = {}
    for key, value in pairs:
        if key in found:
            sentence = _("{name} stands here more than once; keep one.", name=key[:80])
            raise Rejected(RejectReason.DUPLICATE_ELEMENT, sentence, key[:80])
        found[key] = value
    return found


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no JSON number")


def _too_large(most: int) -> Rejected:
    return Rejected(RejectReason.TOO_LARGE, _("The body has more than {most} bytes.", most=most))
