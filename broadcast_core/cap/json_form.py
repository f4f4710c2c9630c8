"""CAP 1.2 as JSON: the same elements under CAP's own names, repeated ones as lists, polygons as [lat, lon] pairs."""

from __future__ import annotations

import json
from typing import Any, Final, NoReturn

import msgspec

from broadcast_core.cap.leaf import Unfit, json_list, shown
from broadcast_core.cap.rules import check_rules, check_values, refuse_large
from broadcast_core.cap.shape import ALERT, Part, Shape, assemble, below, path, rejected
from broadcast_core.errors import AlertRejected, RejectReason
from broadcast_core.i18n import Sentence, _
from broadcast_core.model import Alert

_UNREADABLE: Final = (ValueError, RecursionError)  # JSONDecodeError and UnicodeDecodeError are ValueErrors


def parse_json(data: bytes) -> Alert:
    """Read one alert. Raises AlertRejected with the path of the first key that is not right.

    null, blank strings and empty lists count as absent, as empty elements do in XML.
    """
    refuse_large(data)
    try:
        document = json.loads(data.decode("utf-8"), object_pairs_hook=_Object, parse_constant=_no_constant)
    except _UNREADABLE as error:
        raise _malformed(_("This is not JSON: {detail}.", detail=shown(error))) from None
    alert: Alert = _shape(document, ALERT, "")
    check_rules(alert)
    return alert


def encode_json(alert: Alert) -> bytes:
    """Write `alert` as UTF-8 JSON that `parse_json` reads back equal. Raises as `to_builtins` does."""
    data = msgspec.json.encode(to_builtins(alert))
    refuse_large(data)
    return data


def to_builtins(alert: Alert) -> dict[str, Any]:
    """`alert` as dicts, lists, strings and numbers, keys in CAP's order, absent elements left out.

    Raises AlertRejected for an alert that CAP 1.2 cannot carry.
    """
    check_values(alert)
    check_rules(alert)
    return _builtins(alert, ALERT)


def _builtins(holder: object, shape: Shape) -> dict[str, Any]:
    result: dict[str, Any] = {}
    for part in shape.parts:
        if values := [_builtin(value, part) for value in part.values_of(holder)]:
            result[part.element] = values if part.occurs.repeats else values[0]
    return result


def _builtin(value: Any, part: Part) -> Any:
    return _builtins(value, part.form) if isinstance(part.form, Shape) else part.form.to_json(value)


class _Object(dict[str, Any]):
    """A JSON object that remembers a key which came twice: decoders keep the last in silence."""

    def __init__(self, pairs: list[tuple[str, Any]]) -> None:
        super().__init__()
        self.doubled: str | None = None
        for key, value in pairs:
            if key in self:
                self.doubled = key
            self[key] = value


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no JSON number")


def _shape(value: object, shape: Shape, where: str) -> Any:
    if not isinstance(value, _Object):
        raise _malformed(_("This must be an object, in braces."), where or None)
    if value.doubled is not None:
        raise _refused_key(
            RejectReason.DUPLICATE_ELEMENT, _("{element} stands here more than once; keep one.",
            element=shown(value.doubled)), where, value.doubled)  # fmt: skip
    found: dict[str, list[Any]] = {}
    for key, held in value.items():
        part = shape.part(key)
        if part is None:
            sentence = _("CAP 1.2 has no {element} here; remove it or put it where it belongs.", element=shown(key))
            raise _refused_key(RejectReason.UNKNOWN_ELEMENT, sentence, where, key)
        if held is not None:
            found[key] = _values(held, part, where)
    return assemble(shape, found, where)


def _values(held: object, part: Part, parent: str) -> list[Any]:
    """What stands under one key; nothing, where it is blank."""
    if not part.occurs.repeats:
        return _value(held, part, path(parent, part, 0))
    try:
        items = json_list(held)
    except Unfit as unfit:
        raise rejected(unfit, below(parent, part.element)) from None
    return [value for i, item in enumerate(items) for value in _value(item, part, path(parent, part, i))]


def _value(item: object, part: Part, where: str) -> list[Any]:
    if isinstance(part.form, Shape):
        return [_shape(item, part.form, where)]
    if isinstance(item, str) and not item.strip() and not part.form.blank:
        return []
    if item == [] and not part.occurs.repeats:
        return []
    try:
        value = part.form.from_json(item)
        part.form.check(value)
    except Unfit as unfit:
        raise rejected(unfit, where) from None
    return [value]


def _malformed(sentence: Sentence, where: str | None = None) -> AlertRejected:
    return AlertRejected(RejectReason.MALFORMED, sentence, where)


def _refused_key(reason: RejectReason, sentence: Sentence, parent: str, key: str) -> AlertRejected:
    return AlertRejected(reason, sentence, below(parent, shown(key)))
