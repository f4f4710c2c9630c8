"""What a CAP 1.2 message must keep beyond the shape of its elements."""

from __future__ import annotations

from typing import Any, Final

from broadcast_core.cap.leaf import Unfit
from broadcast_core.cap.shape import ALERT, Part, Shape, missing, path, rejected
from broadcast_core.errors import AlertRejected, RejectReason
from broadcast_core.i18n import Sentence, _
from broadcast_core.model import Alert, MsgType, Scope

LARGEST_MESSAGE: Final = 256 * 1024  # bytes; a message is read into memory before anything is known of it

_NEEDS_REFERENCES: Final = frozenset({MsgType.UPDATE, MsgType.CANCEL, MsgType.ACK, MsgType.ERROR})


def refuse_large(data: bytes) -> None:
    """Refuse a message of more than LARGEST_MESSAGE bytes, read or about to be written."""
    if len(data) > LARGEST_MESSAGE:
        raise AlertRejected(
            RejectReason.TOO_LARGE,
            _(
                "The message has {size} bytes, at most {most} are read; link to what is large or simplify polygons.",
                size=len(data),
                most=LARGEST_MESSAGE,
            ),
        )


def check_values(alert: Alert) -> None:
    """Judge every value of an alert that no reader has judged. Raises AlertRejected for the first bad one."""
    _check_shape(alert, ALERT, "")


def _check_shape(holder: object, shape: Shape, where: str) -> None:
    for part in shape.parts:
        values = part.values_of(holder)
        if part.occurs.required and not values:
            raise missing(part, where)
        for index, value in enumerate(values):
            _check_value(value, part, path(where, part, index))


def _check_value(value: Any, part: Part, where: str) -> None:
    if isinstance(part.form, Shape):
        _check_shape(value, part.form, where)
        return
    try:
        part.form.check(value)
    except Unfit as unfit:
        raise rejected(unfit, where) from None


def check_rules(alert: Alert) -> None:
    """Judge what holds between elements (CAP 3.2.1, 3.2.4). Raises AlertRejected for the first rule broken."""
    if alert.scope is Scope.RESTRICTED and alert.restriction is None:
        raise _broken("restriction", _("Scope Restricted needs restriction: say who may have this message."))
    if alert.scope is Scope.PRIVATE and not alert.addresses:
        raise _broken("addresses", _("Scope Private needs addresses: name who it is for."))
    if alert.msg_type in _NEEDS_REFERENCES and not alert.references:
        raise _broken(
            "references", _("{type} needs references: name the messages it is about.", type=str(alert.msg_type))
        )
    for i, info in enumerate(alert.infos):
        for j, area in enumerate(info.area):
            if area.ceiling is not None and area.altitude is None:
                raise _broken(f"info[{i}].area[{j}].altitude", _("ceiling needs altitude; add it or leave both out."))


def _broken(field: str, sentence: Sentence) -> AlertRejected:
    return AlertRejected(RejectReason.MISSING, sentence, field)
