"""Peacetime and emergency: show, switch, let inherit."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from datetime import datetime, timedelta
from http import HTTPStatus
from typing import Annotated, Any, Final

import msgspec
from aiohttp import web

from broadcast_core.mode import Modes, ModeSetting, effective
from broadcast_core.model import Channel, Mode
from broadcast_core.registry import Registry
from broadcast_core.services import Switched
from broadcast_core.tokens import TokenScope
from broadcast_core.web.kit import SERVICES, actor_of, json_response
from broadcast_core.web.reading import SMALL_BODY, parse_json, read_body
from broadcast_core.web.route import PREFIX, Answer, Body, NoQuery, Route
from broadcast_core.web.submission import JSON_MEDIA

Why = Annotated[str, msgspec.Meta(min_length=1, max_length=500, description="why; kept and shown")]


class SettingBody(msgspec.Struct, frozen=True, kw_only=True):
    """A zone with a mode of its own."""

    zone: str
    mode: Mode
    reason: str
    actor: str
    set_at: datetime
    remind_at: datetime | None
    overdue: bool  # the emergency has outlived its reason: ask whether it still has one
    cause: str | None  # the alert that switched it
    speakers: int  # whose mode it decides


class ModesBody(msgspec.Struct, frozen=True, kw_only=True):
    """Where the district stands."""

    speakers: Mapping[Mode, int]  # by their effective mode
    settings: tuple[SettingBody, ...]  # every other zone has its parent's mode


class SetBody(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Switch zones."""

    zones: Annotated[tuple[str, ...], msgspec.Meta(min_length=1, max_length=2000)]
    mode: Mode
    reason: Why
    remind_after_s: Annotated[int, msgspec.Meta(ge=60, le=30 * 86_400)] | None = None


class ClearBody(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    reason: Why


class SwitchedBody(msgspec.Struct, frozen=True, kw_only=True):
    """A switch that is durable and on its way; `messages` are reported as alerts are (GET /alerts/{id})."""

    changed: Mapping[str, Mode]
    messages: tuple[str, ...]
    endpoints: int


async def show_modes(request: web.Request, _query: NoQuery) -> web.Response:
    services = request.app[SERVICES]
    return json_response(_body(services.modes.modes, services.registry(), services.clock.now()))


async def set_mode(request: web.Request, _query: NoQuery) -> web.Response:
    said = parse_json(await read_body(request, SMALL_BODY), SetBody)
    after = None if said.remind_after_s is None else timedelta(seconds=said.remind_after_s)
    switched = await request.app[SERVICES].modes.set(
        said.zones, said.mode, actor=actor_of(request), reason=said.reason, remind_after=after
    )
    return json_response(_switched(switched))


async def clear_mode(request: web.Request, _query: NoQuery) -> web.Response:
    said = parse_json(await read_body(request, SMALL_BODY), ClearBody)
    zone = request.match_info["zone"]
    switched = await request.app[SERVICES].modes.clear(zone, actor=actor_of(request), reason=said.reason)
    return json_response(_switched(switched))


def _body(modes: Modes, registry: Registry, now: datetime) -> ModesBody:
    by_zone = effective(modes, registry)
    speakers = registry.ordered(Channel.SPEAKER)
    counted = Counter(by_zone[e.zone] for e in speakers)
    deciding = Counter(s.zone for e in speakers if (s := modes.setting_for(e.zone, registry)) is not None)
    return ModesBody(
        speakers={mode: counted[mode] for mode in Mode},
        settings=tuple(_setting(s, deciding[s.zone], now) for s in modes.settings.values()),
    )


def _setting(setting: ModeSetting, speakers: int, now: datetime) -> SettingBody:
    return SettingBody(
        zone=setting.zone,
        mode=setting.mode,
        reason=setting.reason,
        actor=setting.actor,
        set_at=setting.set_at,
        remind_at=setting.remind_at,
        overdue=setting.overdue(now),
        cause=setting.cause,
        speakers=speakers,
    )


def _switched(switched: Switched) -> SwitchedBody:
    return SwitchedBody(changed=switched.changed, messages=switched.messages, endpoints=switched.endpoints)


_MODES: Final = f"{PREFIX}/modes"
_DONE: Final = {HTTPStatus.OK: Answer(says="durable, and on its way", body=SwitchedBody)}

ROUTES: Final[tuple[Route[Any], ...]] = (
    Route(
        method="GET",
        path=_MODES,
        query=NoQuery,
        handle=show_modes,
        access=TokenScope.READ,
        summary="Peacetime or emergency: zones with a mode of their own, and how many speakers are in which.",
        answers={HTTPStatus.OK: Answer(says="the modes", body=ModesBody)},
    ),
    Route(
        method="POST",
        path=_MODES,
        query=NoQuery,
        handle=set_mode,
        access=TokenScope.MODE_SET,
        summary="Give zones a mode of their own. Publicity in zones that go to emergency stops at once.",
        body=Body(media=(JSON_MEDIA,), kind=SetBody),
        answers=_DONE,
        refusals=(HTTPStatus.NOT_FOUND,),
    ),
    Route(
        method="POST",
        path=f"{_MODES}/{{zone}}/clear",
        query=NoQuery,
        handle=clear_mode,
        access=TokenScope.MODE_SET,
        summary="Let a zone have its parent's mode again.",
        body=Body(media=(JSON_MEDIA,), kind=ClearBody),
        answers=_DONE,
        refusals=(HTTPStatus.NOT_FOUND,),
    ),
)
