"""Adding to the library: a recording as it streams in, or words to be said."""

from __future__ import annotations

import asyncio
from datetime import date
from functools import partial
from http import HTTPStatus
from typing import Annotated, Any, Final

import msgspec
from aiohttp import BodyPartReader, MultipartReader, hdrs, web

from broadcast_core.errors import Rejected, RejectReason
from broadcast_core.i18n import _
from broadcast_core.library import Added, Details, Saying, TextPart, Upload
from broadcast_core.model import ResumeRule
from broadcast_core.tokens import TokenScope
from broadcast_core.web.kit import LOCATION, SERVICES, actor_of, json_response
from broadcast_core.web.media import MEDIA, ItemBody, item_body
from broadcast_core.web.problem import BadRequest
from broadcast_core.web.reading import SMALL_BODY, paced, parse_json, read_body, refuse_encoded
from broadcast_core.web.route import Answer, Body, NoQuery, Route

_MULTIPART: Final = "multipart/form-data"
_FILE: Final = "file"
_FIELDS: Final = ("title", "licence", "expires_on", "resume")
_LONGEST_FIELD: Final = 2000  # bytes
_CHUNK: Final = 64 * 1024
_NEXT_PART_S: Final = 20.0
_AROUND: Final = 64 * 1024  # what the form itself may take beside the file


class UploadQuery(msgspec.Struct, frozen=True, kw_only=True):
    title: Annotated[str | None, msgspec.Meta(description="needed, here or in the form")] = None
    licence: Annotated[str, msgspec.Meta(description="whose it is, and what allows us to play it")] = ""
    expires_on: Annotated[date | None, msgspec.Meta(description="the last day on which it may sound")] = None
    resume: Annotated[ResumeRule, msgspec.Meta(description="what it does after an interruption")] = (
        ResumeRule.POSITION
    )


class SayBody(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Words to be said by the voice of the alerts, without their tones; `bed` is an item that plays under them."""

    title: str
    texts: tuple[TextPart, ...]
    licence: str = ""
    expires_on: date | None = None
    resume: ResumeRule = ResumeRule.POSITION
    chime: bool = False
    bed: str | None = None


class _Form(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The fields of a form, which stand over those of the query."""

    title: str | None = None
    licence: str | None = None
    expires_on: date | None = None
    resume: ResumeRule | None = None


async def upload_media(request: web.Request, query: UploadQuery) -> web.Response:
    refuse_encoded(request)
    library = request.app[SERVICES].library
    if request.content_type == _MULTIPART:
        async with library.receiving(_without_form(request.content_length)) as upload:
            details = await _read_form(request, upload, query)
            added = await library.add(upload, details, actor=actor_of(request))
    else:
        _details(query)  # before the bytes come, not after
        async with library.receiving(request.content_length) as upload:
            async for chunk in paced(request.content.readany):
                await upload.write(chunk)
            added = await library.add(upload, _details(query), actor=actor_of(request))
    return _answer(request, added)


async def say_media(request: web.Request, _query: NoQuery) -> web.Response:
    wanted = parse_json(await read_body(request, SMALL_BODY * 4), SayBody)
    added = await request.app[SERVICES].library.say(
        Saying(texts=wanted.texts, chime=wanted.chime, bed=wanted.bed),
        Details(title=wanted.title, licence=wanted.licence, expires_on=wanted.expires_on, resume=wanted.resume),
        actor=actor_of(request),
    )
    return _answer(request, added)


def _answer(request: web.Request, added: Added) -> web.Response:
    status = HTTPStatus.OK if added.repeated else HTTPStatus.CREATED
    return json_response(item_body(request, added.item), status, {LOCATION: f"{MEDIA}/{added.item.id}"})


def _details(query: UploadQuery) -> Details:
    if query.title is None:
        raise Rejected(RejectReason.MISSING, _("Give the item a title."), "title")
    return Details(title=query.title, licence=query.licence, expires_on=query.expires_on, resume=query.resume)


def _without_form(length: int | None) -> int | None:
    return None if length is None else max(0, length - _AROUND)


async def _read_form(request: web.Request, upload: Upload, query: UploadQuery) -> Details:
    """Writes the form's file to `upload`; what its fields say of it. Raises Rejected, BadRequest."""
    fields: dict[str, str] = {}
    files = 0
    try:
        form = await request.multipart()
        while (part := await _next(form)) is not None:
            if part.name == _FILE and not files:
                files += 1
                async for chunk in paced(partial(part.read_chunk, _CHUNK)):
                    await upload.write(chunk)
            elif part.name in _FIELDS and part.name not in fields:
                fields[part.name] = await _text(part)
            else:
                sentence = _("A form has one file named {file} and the fields {fields}, each once.",
                             file=_FILE, fields=", ".join(_FIELDS))  # fmt: skip
                raise Rejected(RejectReason.UNKNOWN_ELEMENT, sentence, (part.name or "-")[:80])
    except (ValueError, AssertionError) as error:  # what aiohttp says of a form that is none
        sentence = _("This is no form with a file: {detail}.", detail=str(error)[:200])
        raise Rejected(RejectReason.MALFORMED, sentence) from None
    if not files:
        raise Rejected(RejectReason.MISSING, _("The form has no file named {file}.", file=_FILE), _FILE)
    given = parse_json(msgspec.json.encode(fields), _Form)
    return _details(
        UploadQuery(
            title=query.title if given.title is None else given.title,
            licence=query.licence if given.licence is None else given.licence,
            expires_on=query.expires_on if given.expires_on is None else given.expires_on,
            resume=query.resume if given.resume is None else given.resume,
        )
    )


async def _next(form: MultipartReader) -> BodyPartReader | None:
    try:
        async with asyncio.timeout(_NEXT_PART_S):
            part = await form.next()
    except TimeoutError:
        raise BadRequest(HTTPStatus.REQUEST_TIMEOUT, _("The body came too slowly; send it again.")) from None
    if part is not None and not isinstance(part, BodyPartReader):
        raise ValueError("a form within a form")
    if part is not None and part.headers.get(hdrs.CONTENT_ENCODING, "identity").lower() != "identity":
        raise ValueError("a part that is encoded")
    return part


async def _text(part: BodyPartReader) -> str:
    data = bytearray()
    async for chunk in paced(lambda: part.read_chunk(_LONGEST_FIELD)):
        data += chunk
        if len(data) > _LONGEST_FIELD:
            raise ValueError("a field is too long")
    return data.decode("utf-8")


_REFUSALS: Final = (
    HTTPStatus.BAD_REQUEST,
    HTTPStatus.REQUEST_TIMEOUT,
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
    HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
    HTTPStatus.INSUFFICIENT_STORAGE,
)
_ADDED: Final = {
    HTTPStatus.CREATED: Answer(says="the new item", body=ItemBody, headers={LOCATION: "the item"}),
    HTTPStatus.OK: Answer(says="the item, which was there already", body=ItemBody, headers={LOCATION: "the item"}),
}

ROUTES: Final[tuple[Route[Any], ...]] = (
    Route(
        method="POST",
        path=MEDIA,
        query=UploadQuery,
        handle=upload_media,
        access=TokenScope.PUBLICITY_WRITE,
        summary="Upload a recording (MP3, AAC, M4A, WAV, FLAC, Ogg, Opus): as the body, or as `file` of a form. "
        "It is answered when the item is ready, which takes about two seconds for each minute of sound.",
        body=Body(media=("application/octet-stream", _MULTIPART)),
        answers=_ADDED,
        refusals=_REFUSALS,
    ),
    Route(
        method="POST",
        path=f"{MEDIA}/text",
        query=NoQuery,
        handle=say_media,
        access=TokenScope.PUBLICITY_WRITE,
        summary="Make an item of words, said by the voice of the alerts.",
        body=Body(media=("application/json",), kind=SayBody),
        answers=_ADDED,
        refusals=(*_REFUSALS, HTTPStatus.NOT_FOUND),
    ),
)
