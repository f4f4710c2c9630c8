"""The library: listing, showing, hearing, changing, removing."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, datetime
from http import HTTPStatus
from typing import Annotated, Any, Final

import msgspec
from aiohttp import web

from broadcast_core.audio.server import answer
from broadcast_core.library import Change, ItemKind, MediaItem, TextPart, Wanted
from broadcast_core.model import ResumeRule
from broadcast_core.report import Page
from broadcast_core.tokens import TokenScope
from broadcast_core.web.alerts import Limit
from broadcast_core.web.kit import SERVICES, actor_of, json_response
from broadcast_core.web.problem import language_for
from broadcast_core.web.reading import SMALL_BODY, parse_json, read_body
from broadcast_core.web.route import PREFIX, Answer, Body, NoQuery, Route

MEDIA: Final = f"{PREFIX}/media"
_ITEM: Final = f"{MEDIA}/{{item_id}}"
_MIME_TYPE: Final = "audio/mpeg"


class MediaQuery(msgspec.Struct, frozen=True, kw_only=True):
    kind: ItemKind | None = None
    expired: Annotated[bool | None, msgspec.Meta(description="only items that are expired, or that are not")] = None
    title: Annotated[str | None, msgspec.Meta(description="a part of the title")] = None
    limit: Limit = 100
    before: Annotated[str | None, msgspec.Meta(description="the last item of the page before")] = None


class ItemBody(msgspec.Struct, frozen=True, kw_only=True):
    """An item of the library. Loudness and true peak are those of the file that speakers play."""

    id: str
    kind: ItemKind
    title: str
    seconds: float
    lufs: float
    true_peak_dbtp: float
    size: int
    mime_type: str
    sha256: str
    source_sha256: str
    texts: tuple[TextPart, ...]
    notes: tuple[str, ...]
    uploader: str
    licence: str
    expires_on: date | None  # the last day on which it may sound
    resume: ResumeRule  # what it does after an interruption
    expired: bool
    created_at: datetime


class WholeItemBody(ItemBody, frozen=True, kw_only=True):
    """An item with its shape: about 400 points of equal length, the highest sample of each; 255 is full scale."""

    waveform: tuple[int, ...]


class MediaChangeBody(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What to change; what is left out stays. `expires_on` null: it never expires."""

    title: str | msgspec.UnsetType = msgspec.UNSET
    licence: str | msgspec.UnsetType = msgspec.UNSET
    expires_on: date | msgspec.UnsetType | None = msgspec.UNSET
    resume: ResumeRule | msgspec.UnsetType = msgspec.UNSET


async def list_media(request: web.Request, query: MediaQuery) -> web.Response:
    wanted = Wanted(kind=query.kind, expired=query.expired, title=query.title, limit=query.limit, before=query.before)
    items, following, total = await request.app[SERVICES].library.page(wanted)
    page = Page(items=tuple(item_body(request, item) for item in items), following=following, total=total)
    return json_response(page)


async def show_media(request: web.Request, _query: NoQuery) -> web.Response:
    item = await request.app[SERVICES].library.get(request.match_info["item_id"])
    return json_response(WholeItemBody(**_fields(request, item), waveform=tuple(item.waveform)))


async def play_media(request: web.Request, _query: NoQuery) -> web.StreamResponse:
    file = await request.app[SERVICES].library.file(request.match_info["item_id"])
    return await answer(request, file, "private, no-cache")


async def change_media(request: web.Request, _query: NoQuery) -> web.Response:
    wanted = parse_json(await read_body(request, SMALL_BODY), MediaChangeBody)
    expires_on = wanted.expires_on
    change = Change(
        title=None if wanted.title is msgspec.UNSET else wanted.title,
        licence=None if wanted.licence is msgspec.UNSET else wanted.licence,
        expires_on=None if expires_on is msgspec.UNSET else expires_on,
        never_expires=expires_on is None,
        resume=None if wanted.resume is msgspec.UNSET else wanted.resume,
    )
    library = request.app[SERVICES].library
    item = await library.change(request.match_info["item_id"], change, actor=actor_of(request))
    return json_response(item_body(request, item))


async def remove_media(request: web.Request, _query: NoQuery) -> web.Response:
    removed = await request.app[SERVICES].library.remove(request.match_info["item_id"], actor=actor_of(request))
    return json_response(item_body(request, removed))


def item_body(request: web.Request, item: MediaItem) -> ItemBody:
    """An item as the reader's language has it."""
    return ItemBody(**_fields(request, item))


def _fields(request: web.Request, item: MediaItem) -> Mapping[str, Any]:
    language = language_for(request)
    return {
        "id": item.id,
        "kind": item.kind,
        "title": item.title,
        "seconds": item.duration.total_seconds(),
        "lufs": item.lufs,
        "true_peak_dbtp": item.true_peak_dbtp,
        "size": item.size,
        "mime_type": item.mime_type,
        "sha256": item.sha256,
        "source_sha256": item.source_sha256,
        "texts": item.texts,
        "notes": tuple(note.say(language) for note in item.notes),
        "uploader": item.uploader,
        "licence": item.licence,
        "expires_on": item.expires_on,
        "resume": item.resume,
        "expired": item.expired(request.app[SERVICES].library.today),
        "created_at": item.created_at,
    }


ROUTES: Final[tuple[Route[Any], ...]] = (
    Route(
        method="GET",
        path=MEDIA,
        query=MediaQuery,
        handle=list_media,
        access=TokenScope.READ,
        summary="Items of the library, newest first.",
        answers={HTTPStatus.OK: Answer(says="a page of items", body=Page[ItemBody])},
        refusals=(HTTPStatus.NOT_FOUND,),
    ),
    Route(
        method="GET",
        path=_ITEM,
        query=NoQuery,
        handle=show_media,
        access=TokenScope.READ,
        summary="One item, with its waveform.",
        answers={HTTPStatus.OK: Answer(says="the item", body=WholeItemBody)},
        refusals=(HTTPStatus.NOT_FOUND,),
    ),
    Route(
        method="GET",
        path=f"{_ITEM}/audio",
        query=NoQuery,
        handle=play_media,
        access=TokenScope.READ,
        summary="The sound of an item, whole or one range.",
        headers={"Range": "bytes=FROM-TO"},
        answers={
            HTTPStatus.OK: Answer(says="the file", media=(_MIME_TYPE,)),
            HTTPStatus.PARTIAL_CONTENT: Answer(says="the range", media=(_MIME_TYPE,)),
        },
        refusals=(HTTPStatus.NOT_FOUND,),
    ),
    Route(
        method="PATCH",
        path=_ITEM,
        query=NoQuery,
        handle=change_media,
        access=TokenScope.PUBLICITY_WRITE,
        summary="Change title, licence, expiry or what it does when interrupted. Its sound never changes.",
        body=Body(media=("application/json",), kind=MediaChangeBody),
        answers={HTTPStatus.OK: Answer(says="the item", body=ItemBody)},
        refusals=(HTTPStatus.BAD_REQUEST, HTTPStatus.NOT_FOUND, HTTPStatus.REQUEST_TIMEOUT),
    ),
    Route(
        method="DELETE",
        path=_ITEM,
        query=NoQuery,
        handle=remove_media,
        access=TokenScope.PUBLICITY_WRITE,
        summary="Delete an item. Refused with the list of users while a schedule needs it.",
        answers={HTTPStatus.OK: Answer(says="the item that was deleted", body=ItemBody)},
        refusals=(HTTPStatus.NOT_FOUND, HTTPStatus.CONFLICT),
    ),
)
