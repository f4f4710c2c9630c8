"""Slots, playlists and recurrences as plain values (JSON, TOML, a table's column) and back.

Durations are whole or broken seconds (`length_s`), dates and times ISO 8601, authorities by name (`district`). What
comes from outside is checked for its form here: a missing, unknown or malformed field is `Rejected` by its path. What
it *means* (unknown zones, a recurrence that never happens) is for `checks`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import fields
from datetime import date, datetime, time, timedelta
from typing import Any, Final, TypeVar

import msgspec

from broadcast_core.errors import Rejected, RejectReason
from broadcast_core.i18n import _
from broadcast_core.model import Authority, LateRule
from scheduler.model import (
    DEFAULT_GRACE,
    CalendarDays,
    Cron,
    Daily,
    Dates,
    Festivals,
    Fill,
    Overrun,
    Playlist,
    PlayOrder,
    Recurrence,
    Rule,
    Slot,
    Weekly,
    Yearly,
)

Record = dict[str, Any]
T = TypeVar("T")

_RULES: Final[dict[str, type[Rule]]] = {
    "daily": Daily,
    "weekly": Weekly,
    "yearly": Yearly,
    "dates": Dates,
    "calendar": CalendarDays,
    "festivals": Festivals,
    "cron": Cron,
}
_NAMES: Final = {rule: name for name, rule in _RULES.items()}
_BOUNDS: Final = ("first", "last", "without", "also")


def recurrence_record(recurrence: Recurrence) -> Record:
    """A recurrence as plain values: the rule's name and fields, and the bounds that are set."""
    bounds = {name: value for name in _BOUNDS if (value := getattr(recurrence, name))}
    rule: Record = msgspec.to_builtins(recurrence.rule)
    kept = {name: value for name, value in rule.items() if value is not None}
    return {"rule": _NAMES[type(recurrence.rule)], **kept, **msgspec.to_builtins(bounds)}


def recurrence_of(record: object, path: str = "recurrence") -> Recurrence:
    """The recurrence that a record says."""
    given = _mapping(record, path)
    kind = _RULES.get(str(given.get("rule")))
    if kind is None:
        raise _invalid(f"{path}.rule", _("Known rules are {known}.", known=", ".join(_RULES)))
    bounds = {name: given[name] for name in _BOUNDS if name in given}
    own = {name: value for name, value in given.items() if name not in bounds and name != "rule"}
    _no_others(own, {field.name for field in fields(kind)}, path)
    rule = _converted(own, kind, path)
    types: dict[str, Any] = {"first": date, "last": date, "without": tuple[date, ...], "also": tuple[date, ...]}
    return Recurrence(
        rule=rule, **{name: _converted(value, types[name], f"{path}.{name}") for name, value in bounds.items()}
    )


def slot_record(slot: Slot) -> Record:
    """A slot as plain values."""
    return {
        "id": slot.id,
        "name": slot.name,
        "zones": list(slot.zones),
        "start": None if slot.start is None else slot.start.isoformat(),
        "length_s": slot.length.total_seconds(),
        "recurrence": recurrence_record(slot.recurrence),
        "playlist": slot.playlist,
        "volume": slot.volume,
        "created_at": slot.created_at.isoformat(),
        "authority": slot.authority.name.lower(),
        "late": slot.late.value,
        "grace_s": slot.grace.total_seconds(),
        "fill": slot.fill.value,
        "overrun": slot.overrun.value,
        "enabled": slot.enabled,
    }


def slot_of(record: object, path: str = "slot") -> Slot:
    """The slot that a record says; fields left out have the type's defaults."""
    read: dict[str, tuple[str, Callable[[object, str], object]]] = {
        "id": ("id", _text),
        "name": ("name", _text),
        "zones": ("zones", _texts),
        "start": ("start", lambda v, p: None if v is None else _time(v, p)),
        "length_s": ("length", _seconds),
        "recurrence": ("recurrence", recurrence_of),
        "playlist": ("playlist", _text),
        "volume": ("volume", lambda v, p: _converted(v, int, p)),
        "created_at": ("created_at", lambda v, p: _converted(v, datetime, p)),
        "authority": ("authority", _authority),
        "late": ("late", lambda v, p: _converted(v, LateRule, p)),
        "grace_s": ("grace", _seconds),
        "fill": ("fill", lambda v, p: _converted(v, Fill, p)),
        "overrun": ("overrun", lambda v, p: _converted(v, Overrun, p)),
        "enabled": ("enabled", lambda v, p: _converted(v, bool, p)),
    }
    required = ("id", "name", "zones", "length_s", "recurrence", "playlist", "volume", "created_at")
    values = _read(record, read, required, path)
    values.setdefault("start", None)
    # A slot shorter than the usual grace has all of itself.
    values.setdefault("grace", min(DEFAULT_GRACE, values["length"]))
    return Slot(**values)


def playlist_record(playlist: Playlist) -> Record:
    """A playlist as plain values."""
    return {
        "id": playlist.id,
        "name": playlist.name,
        "items": list(playlist.items),
        "order": playlist.order.value,
        "gap_s": playlist.gap.total_seconds(),
        "chime": playlist.chime,
    }


def playlist_of(record: object, path: str = "playlist") -> Playlist:
    """The playlist that a record says."""
    read: dict[str, tuple[str, Callable[[object, str], object]]] = {
        "id": ("id", _text),
        "name": ("name", _text),
        "items": ("items", _texts),
        "order": ("order", lambda v, p: _converted(v, PlayOrder, p)),
        "gap_s": ("gap", _seconds),
        "chime": ("chime", lambda v, p: None if v is None else _text(v, p)),
    }
    return Playlist(**_read(record, read, ("id", "name", "items"), path))


def _read(
    record: object,
    read: Mapping[str, tuple[str, Callable[[object, str], object]]],
    required: tuple[str, ...],
    path: str,
) -> Record:
    given = _mapping(record, path)
    _no_others(given, read, path)
    for name in required:
        if name not in given:
            raise Rejected(RejectReason.MISSING, _("“{field}” is missing.", field=name), f"{path}.{name}")
    return {read[name][0]: read[name][1](value, f"{path}.{name}") for name, value in given.items()}


def _mapping(value: object, path: str) -> Mapping[str, object]:
    if not isinstance(value, Mapping):
        raise _invalid(path, _("An object with named fields is wanted here."))
    return value


def _no_others(given: Mapping[str, object], known: Mapping[str, object] | set[str], path: str) -> None:
    for name in given:
        if name not in known:
            raise Rejected(
                RejectReason.UNKNOWN_ELEMENT, _("“{field}” is not known here.", field=name), f"{path}.{name}"
            )


def _converted(value: object, kind: type[T], path: str) -> T:
    try:
        return msgspec.convert(value, kind)
    except msgspec.ValidationError as error:
        raise _invalid(path, _("This cannot be read: {why}.", why=str(error))) from error


def _text(value: object, path: str) -> str:
    text = _converted(value, str, path)
    if not text.strip():
        raise _invalid(path, _("This may not be empty."))
    return text


def _texts(value: object, path: str) -> tuple[str, ...]:
    return _converted(value, tuple[str, ...], path)


def _seconds(value: object, path: str) -> timedelta:
    try:
        return timedelta(seconds=_converted(value, float, path))
    except (OverflowError, ValueError) as error:  # ValueError: not a number
        raise _invalid(path, _("This cannot be read: {why}.", why=str(error))) from error


def _time(value: object, path: str) -> time:
    """A local time of day, ``08:00`` or ``08:00:00``."""
    try:
        read = time.fromisoformat(_text(value, path))
    except ValueError:
        raise _invalid(path, _("A time of day is like 08:00.")) from None
    if read.tzinfo is not None:
        raise _invalid(path, _("A time of day is local: leave the offset out."))
    return read


def _authority(value: object, path: str) -> Authority:
    names = {authority.name.lower(): authority for authority in Authority}
    if not isinstance(value, str) or value not in names:
        raise _invalid(path, _("Known authorities are {known}.", known=", ".join(names)))
    return names[value]


def _invalid(path: str, sentence: Any) -> Rejected:
    return Rejected(RejectReason.INVALID_VALUE, sentence, path)
