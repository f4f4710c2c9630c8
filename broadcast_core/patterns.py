"""Siren patterns: the shipped ones (`patterns.toml`) and a district's own file over them, checked once when read.

A district's file has the same form. It may add patterns, and of a shipped one it may change `enabled`,
`name_zh` and `name_en`: a known name never gets another timing, because people have learned what it means.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from types import MappingProxyType
from typing import Final

from broadcast_core.errors import Rejected, RejectReason
from broadcast_core.i18n import Sentence, _
from broadcast_core.model import SirenPattern

SHIPPED: Final = Path(__file__).with_name("patterns.toml")

_ID: Final = re.compile(r"[a-z0-9][a-z0-9-]{0,63}")
_MAX_STEPS: Final = 500
_MAX_TOTAL: Final = timedelta(hours=1)
_MIN_PHASE_S: Final = 0.2  # shorter than this a relay on a 9600-baud line cannot be switched and read back
_SHIPPED_MAY_CHANGE: Final = frozenset({"name_zh", "name_en", "enabled"})
_KEYS: Final = _SHIPPED_MAY_CHANGE | {"steps", "repeat", "demonstration"}

_Table = Mapping[str, object]


def patterns(extra: Path | None = None) -> Mapping[str, SirenPattern]:
    """Every known pattern by id, the disabled ones included, in the files' order.

    Raises Rejected, its `field` naming the pattern and key, if a file is not of the form described above.
    """
    tables = _read(SHIPPED)
    if extra is not None:
        shipped = frozenset(tables)
        for name, table in _read(extra).items():
            tables[name] = _confirmed(name, tables[name], table) if name in shipped else table
    return MappingProxyType({name: _pattern(name, table) for name, table in tables.items()})


def _read(path: Path) -> dict[str, _Table]:
    try:
        document = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise Rejected(
            RejectReason.MALFORMED,
            _("The pattern file {path} cannot be read: {detail}", path=str(path), detail=str(error)),
        ) from error
    tables = document.pop("pattern", {})
    if document or not isinstance(tables, dict):
        raise _refused("pattern", _("A pattern file holds tables named [pattern.ID] and nothing else."))
    for name, table in tables.items():
        if not _ID.fullmatch(name) or not isinstance(table, dict):
            raise _refused(f"pattern.{name}", _("A pattern's id is 1 to 64 of a-z, 0-9 and hyphen."))
    return tables


def _confirmed(name: str, shipped: _Table, table: _Table) -> _Table:
    for key in table:
        if key not in _SHIPPED_MAY_CHANGE:
            raise _refused(
                f"pattern.{name}.{key}",
                _("{id} is a shipped pattern and its timing is fixed; give yours another id.", id=name),
            )
    return {**shipped, **table}


def _pattern(name: str, table: _Table) -> SirenPattern:
    for key in table:
        if key not in _KEYS:
            raise _refused(f"pattern.{name}.{key}", _("A pattern has no such key."), RejectReason.UNKNOWN_ELEMENT)
    pattern = SirenPattern(
        id=name,
        name_zh=_text(name, table, "name_zh"),
        name_en=_text(name, table, "name_en"),
        steps=_steps(name, table),
        enabled=_flag(name, table, "enabled", default=True),
        demonstration=_flag(name, table, "demonstration", default=False),
    )
    if pattern.total > _MAX_TOTAL:
        raise _refused(f"pattern.{name}.steps", _("A pattern lasts at most {limit}.", limit=str(_MAX_TOTAL)))
    return pattern


def _steps(name: str, table: _Table) -> tuple[tuple[timedelta, timedelta], ...]:
    field = f"pattern.{name}.steps"
    rows, repeat = table.get("steps"), table.get("repeat", 1)
    if not isinstance(repeat, int) or isinstance(repeat, bool) or not 1 <= repeat <= _MAX_STEPS:
        raise _refused(f"pattern.{name}.repeat", _("`repeat` is a whole number from 1 to {limit}.", limit=_MAX_STEPS))
    if not isinstance(rows, list) or not 1 <= len(rows) * repeat <= _MAX_STEPS:
        raise _refused(field, _("`steps` is a list of 1 to {limit} pairs [on, off].", limit=_MAX_STEPS))
    once = []
    for row in rows:
        if not isinstance(row, list) or len(row) != 2 or not all(map(_is_duration, row)) or row[0] == 0:
            raise _refused(
                field, _("A step is [on, off] in seconds, neither below {least}; off may be 0.", least=_MIN_PHASE_S)
            )
        once.append((timedelta(seconds=row[0]), timedelta(seconds=row[1])))
    return tuple(once) * repeat


def _is_duration(value: object) -> bool:
    if not isinstance(value, int | float) or isinstance(value, bool):
        return False
    return value == 0 or _MIN_PHASE_S <= value <= _MAX_TOTAL.total_seconds()


def _text(name: str, table: _Table, key: str) -> str:
    value = table.get(key)
    if not isinstance(value, str) or not value.strip():
        raise _refused(f"pattern.{name}.{key}", _("A pattern needs a name in Chinese and in English."))
    return value


def _flag(name: str, table: _Table, key: str, *, default: bool) -> bool:
    value = table.get(key, default)
    if not isinstance(value, bool):
        raise _refused(f"pattern.{name}.{key}", _("`{key}` is true or false.", key=key))
    return value


def _refused(field: str, sentence: Sentence, reason: RejectReason = RejectReason.INVALID_VALUE) -> Rejected:
    return Rejected(reason, sentence, field)
