"""The leaves of a CAP message: how one value looks as XML text and as JSON, and what makes it legal.

A leaf reads a form without judging the value and `check` judges the value, so that what arrives and what is about
to be written obey the same rules. Neither knows where in the message it stands: they raise `Unfit`, and whoever
walks the message adds the path.
"""

from __future__ import annotations

import math
import re
import unicodedata
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from enum import StrEnum
from typing import Final, Generic, TypeVar

from broadcast_core.errors import RejectReason
from broadcast_core.i18n import Sentence, _

T = TypeVar("T")
E = TypeVar("E", bound=StrEnum)

# Neither in XML 1.0 nor fit for a terminal or a page: C0 (but tab and line ends), DEL, C1, surrogates.
_ILLEGAL: Final = re.compile(r"[^\t\n\r\x20-\x7e\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_TIME: Final = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d[+-]\d\d:[0-5]\d", re.ASCII)
_DECIMAL: Final = re.compile(r"[+-]?(?:\d+(?:\.\d*)?|\.\d+)", re.ASCII)
_WHOLE: Final = re.compile(r"[+-]?\d{1,19}", re.ASCII)
_LANGUAGE: Final = re.compile(r"[A-Za-z]{1,8}(?:-[A-Za-z0-9]{1,8})*", re.ASCII)
_LARGEST: Final = 2**63 - 1
_FARTHEST_OFFSET: Final = timedelta(hours=14)
_SHOWN: Final = 80  # characters of a refused value that a sentence repeats


class Unfit(Exception):
    """A value that CAP 1.2 does not allow. `at` extends the path of the element (``[2]``)."""

    def __init__(self, sentence: Sentence, at: str = "", reason: RejectReason = RejectReason.INVALID_VALUE) -> None:
        super().__init__(sentence)
        self.sentence = sentence
        self.at = at
        self.reason = reason


@dataclass(frozen=True, kw_only=True, slots=True)
class Leaf(Generic[T]):
    """One kind of value. Everything here raises Unfit and nothing else; the writers take checked values.

    An element whose text is blank counts as absent, unless `blank` says that nothing is a value too.
    """

    from_text: Callable[[str], T]
    to_text: Callable[[T], str]
    from_json: Callable[[object], T]
    to_json: Callable[[T], object]
    check: Callable[[T], None]
    blank: bool = False


def shown(value: object) -> str:
    """`value` as a sentence may repeat it: short, and without what could upset a terminal."""
    text = _ILLEGAL.sub("\N{REPLACEMENT CHARACTER}", str(value)).strip()
    return text if len(text) <= _SHOWN else text[: _SHOWN - 1] + "…"


def json_string(value: object) -> str:
    """`value` if it is a JSON string."""
    if not isinstance(value, str):
        raise Unfit(_("This must be a string, in quotation marks."), reason=RejectReason.MALFORMED)
    return value


def json_number(value: object) -> float:
    """`value` if it is a JSON number (true and false are none)."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise Unfit(_("This must be a number, without quotation marks."), reason=RejectReason.MALFORMED)
    try:
        return float(value)
    except OverflowError:
        raise Unfit(_("The number is too large.")) from None


def json_list(value: object) -> list[object]:
    """`value` if it is a JSON array."""
    if not isinstance(value, list):
        raise Unfit(_("This must be a list, in square brackets."), reason=RejectReason.MALFORMED)
    return value


def check_text(value: str) -> None:
    """Refuse characters that XML cannot carry, and control characters."""
    if found := _ILLEGAL.search(value):
        raise Unfit(_("The text holds the control character {code}; remove it.", code=f"U+{ord(found[0]):04X}"))


def check_some_text(value: str) -> None:
    """As check_text, and there must be something to read."""
    check_text(value)
    if not value.strip():
        raise Unfit(_("This is blank; fill it in or leave it out."))


def check_token(value: str) -> None:
    """As check_some_text, and without space around it (whitespace is collapsed when it is read)."""
    check_some_text(value)
    if value != value.strip():
        raise Unfit(_("Remove the space before or after {value}.", value=shown(value)))


def check_name(value: str) -> None:
    """Identifier and sender: what `references` separates by spaces and commas must hold neither (CAP 3.2.1)."""
    check_token(value)
    if any(c.isspace() or c in ",<&" for c in value):
        raise Unfit(_("{value} holds a space, a comma, < or &; CAP forbids them here.", value=shown(value)))
    if any(
        unicodedata.category(c) == "Cf" for c in value
    ):  # zero-width or bidirectional: another name that looks the same
        raise Unfit(_("{value} holds an invisible character; write it without.", value=ascii(value)[:_SHOWN]))


def _check_language(value: str) -> None:
    if not _LANGUAGE.fullmatch(value):
        raise Unfit(_("{value} is not a language code; write one such as zh-CN or en-US.", value=shown(value)))


def read_instant(text: str) -> datetime:
    """CAP's DateTime (3.3.2): whole seconds and a numeric offset, never Z."""
    try:
        if _TIME.fullmatch(text):
            return datetime.fromisoformat(text)
    except ValueError:  # such as 31 February
        pass
    raise Unfit(
        _(
            "{value} is not a CAP time; write it as 2026-11-05T14:30:00+08:00, with whole seconds and a numeric"
            " offset (-00:00 for UTC, never Z).",
            value=shown(text),
        )
    )


def write_instant(value: datetime) -> str:
    """The only form `read_instant` takes. UTC is written -00:00, as CAP 3.3.2 demands."""
    text = value.isoformat(timespec="seconds")
    return f"{text[:-6]}-00:00" if text.endswith("+00:00") else text


def check_instant(value: datetime) -> None:
    """Refuse what CAP's form cannot hold: no offset, parts of seconds, odd offsets, years beyond 1 to 9999 in UTC."""
    offset = value.utcoffset()
    if offset is None:
        raise Unfit(_("The time has no offset from UTC; add one."))
    if value.microsecond or offset % timedelta(minutes=1) or abs(offset) > _FARTHEST_OFFSET:
        raise Unfit(_("CAP times have whole seconds and an offset of whole minutes, at most 14 hours."))
    try:
        value.astimezone(UTC)
    except OverflowError:
        raise Unfit(_("The time is outside the years that can be counted.")) from None


def read_decimal(text: str) -> float:
    if not _DECIMAL.fullmatch(text):
        raise Unfit(_("{value} is not a decimal number.", value=shown(text)))
    return float(text)


def write_decimal(value: float) -> str:
    """Digits that read back as the same float, without an exponent (xs:decimal has none)."""
    return format(Decimal(repr(float(value))), "f")


def check_decimal(value: float) -> None:
    if not math.isfinite(value):
        raise Unfit(_("The number is too large."))


def _read_whole(text: str) -> int:
    if not _WHOLE.fullmatch(text):
        raise Unfit(_("{value} is not a whole number.", value=shown(text)))
    return int(text)


def _json_whole(value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise Unfit(_("This must be a whole number, without quotation marks."), reason=RejectReason.MALFORMED)
    return value


def _check_size(value: int) -> None:
    if not 0 <= value <= _LARGEST:
        raise Unfit(_("The size must be a number of bytes, not negative."))


def word(kind: type[E]) -> Leaf[E]:
    """One of CAP's code values, in CAP's own spelling."""

    def read(text: str) -> E:
        try:
            return kind(text.strip())
        except ValueError:
            allowed = ", ".join(kind)
            raise Unfit(
                _("{value} is not allowed here; use one of {allowed}.", value=shown(text), allowed=allowed)
            ) from None

    return Leaf(
        from_text=read,
        to_text=str,
        from_json=lambda value: read(json_string(value)),
        to_json=str,
        check=lambda value: None,
    )


def _string(read: Callable[[str], str], check: Callable[[str], None], *, blank: bool = False) -> Leaf[str]:
    return Leaf(
        from_text=read,
        to_text=str,
        from_json=lambda value: read(json_string(value)),
        to_json=str,
        check=check,
        blank=blank,
    )


TEXT: Final = _string(str, check_some_text)  # kept to the last space: people wrote it
VALUE: Final = _string(str, check_text, blank=True)
TOKEN: Final = _string(str.strip, check_token)
NAME: Final = _string(str.strip, check_name)
LANGUAGE: Final = _string(str.strip, _check_language)
INSTANT: Final = Leaf(
    from_text=lambda text: read_instant(text.strip()),
    to_text=write_instant,
    from_json=lambda value: read_instant(json_string(value).strip()),
    to_json=write_instant,
    check=check_instant,
)
DECIMAL: Final = Leaf(
    from_text=lambda text: read_decimal(text.strip()),
    to_text=write_decimal,
    from_json=json_number,
    to_json=float,
    check=check_decimal,
)
SIZE: Final = Leaf(
    from_text=lambda text: _read_whole(text.strip()),
    to_text=str,
    from_json=_json_whole,
    to_json=int,
    check=_check_size,
)
