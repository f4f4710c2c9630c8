"""The structure of a CAP 1.2 message as one table: element names, order, how often, and the model behind them.

XML and JSON, reading, writing and checking all follow this table, so that none can drift from the others. Element
names are CAP's own; their order is that of the schema (CAP-v1.2.xsd).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any, Final

from broadcast_core.cap.geometry import CIRCLE, POLYGON
from broadcast_core.cap.leaf import DECIMAL, INSTANT, LANGUAGE, NAME, SIZE, TEXT, TOKEN, VALUE, Leaf, Unfit, word
from broadcast_core.cap.lists import QUOTED, REFERENCES
from broadcast_core.errors import AlertRejected, RejectReason
from broadcast_core.i18n import _
from broadcast_core.model import (
    Alert,
    Area,
    Category,
    Certainty,
    Info,
    MsgType,
    NamedValue,
    Resource,
    ResponseType,
    Scope,
    Severity,
    Status,
    Urgency,
)


class Occurs(Enum):
    """How often an element stands in its parent: (at least once, more than once)."""

    ONCE = (True, False)
    MAYBE = (False, False)
    SOME = (True, True)
    ANY = (False, True)

    @property
    def required(self) -> bool:
        return self.value[0]

    @property
    def repeats(self) -> bool:
        return self.value[1]


@dataclass(frozen=True, slots=True)
class Part:
    """One element of a shape: CAP's name, the model's attribute, what it holds."""

    element: str
    attribute: str
    form: Leaf[Any] | Shape
    occurs: Occurs = Occurs.ONCE

    def values_of(self, parent: object) -> Sequence[Any]:
        """What `parent` holds of this part; an absent one gives nothing."""
        value = getattr(parent, self.attribute)
        if self.occurs.repeats:
            return tuple(value)
        return () if value is None or value == () else (value,)


@dataclass(frozen=True, slots=True)
class Shape:
    """An element with elements in it, and the model's type that it becomes."""

    build: Callable[..., Any]
    parts: tuple[Part, ...]

    def part(self, element: str) -> Part | None:
        """The part of that name, None where CAP has none."""
        return next((part for part in self.parts if part.element == element), None)


_NAMED_VALUE: Final = Shape(
    NamedValue,
    (
        Part("valueName", "name", TEXT),
        Part("value", "value", VALUE),
    ),
)
_RESOURCE: Final = Shape(
    Resource,
    (
        Part("resourceDesc", "resource_desc", VALUE),
        Part("mimeType", "mime_type", TOKEN),
        Part("size", "size", SIZE, Occurs.MAYBE),
        Part("uri", "uri", TOKEN, Occurs.MAYBE),
        Part("derefUri", "deref_uri", TEXT, Occurs.MAYBE),
        Part("digest", "digest", TOKEN, Occurs.MAYBE),
    ),
)
_AREA: Final = Shape(
    Area,
    (
        Part("areaDesc", "area_desc", TEXT),
        Part("polygon", "polygons", POLYGON, Occurs.ANY),
        Part("circle", "circles", CIRCLE, Occurs.ANY),
        Part("geocode", "geocodes", _NAMED_VALUE, Occurs.ANY),
        Part("altitude", "altitude", DECIMAL, Occurs.MAYBE),
        Part("ceiling", "ceiling", DECIMAL, Occurs.MAYBE),
    ),
)
_INFO: Final = Shape(
    Info,
    (
        Part("language", "language", LANGUAGE, Occurs.MAYBE),
        Part("category", "category", word(Category), Occurs.SOME),
        Part("event", "event", TEXT),
        Part("responseType", "response_type", word(ResponseType), Occurs.ANY),
        Part("urgency", "urgency", word(Urgency)),
        Part("severity", "severity", word(Severity)),
        Part("certainty", "certainty", word(Certainty)),
        Part("audience", "audience", TEXT, Occurs.MAYBE),
        Part("eventCode", "event_code", _NAMED_VALUE, Occurs.ANY),
        Part("effective", "effective", INSTANT, Occurs.MAYBE),
        Part("onset", "onset", INSTANT, Occurs.MAYBE),
        Part("expires", "expires", INSTANT, Occurs.MAYBE),
        Part("senderName", "sender_name", TEXT, Occurs.MAYBE),
        Part("headline", "headline", TEXT, Occurs.MAYBE),
        Part("description", "description", TEXT, Occurs.MAYBE),
        Part("instruction", "instruction", TEXT, Occurs.MAYBE),
        Part("web", "web", TOKEN, Occurs.MAYBE),
        Part("contact", "contact", TEXT, Occurs.MAYBE),
        Part("parameter", "parameter", _NAMED_VALUE, Occurs.ANY),
        Part("resource", "resource", _RESOURCE, Occurs.ANY),
        Part("area", "area", _AREA, Occurs.ANY),
    ),
)
ALERT: Final = Shape(
    Alert,
    (
        Part("identifier", "identifier", NAME),
        Part("sender", "sender", NAME),
        Part("sent", "sent", INSTANT),
        Part("status", "status", word(Status)),
        Part("msgType", "msg_type", word(MsgType)),
        Part("source", "source", TEXT, Occurs.MAYBE),
        Part("scope", "scope", word(Scope)),
        Part("restriction", "restriction", TEXT, Occurs.MAYBE),
        Part("addresses", "addresses", QUOTED, Occurs.MAYBE),
        Part("code", "code", TEXT, Occurs.ANY),
        Part("note", "note", TEXT, Occurs.MAYBE),
        Part("references", "references", REFERENCES, Occurs.MAYBE),
        Part("incidents", "incidents", QUOTED, Occurs.MAYBE),
        Part("info", "infos", _INFO, Occurs.ANY),
    ),
)


def path(parent: str, part: Part, index: int) -> str:
    """Where the `index`-th of `part` stands below `parent` (which is empty for the alert itself)."""
    name = f"{part.element}[{index}]" if part.occurs.repeats else part.element
    return below(parent, name)


def below(parent: str, name: str) -> str:
    return f"{parent}.{name}" if parent else name


def assemble(shape: Shape, found: Mapping[str, Sequence[Any]], where: str) -> Any:
    """The model's object from the values read for each element, or AlertRejected for what is missing."""
    values: dict[str, Any] = {}
    for part in shape.parts:
        got = found.get(part.element, ())
        if got:
            values[part.attribute] = tuple(got) if part.occurs.repeats else got[0]
        elif part.occurs.required:
            raise missing(part, where)
    return shape.build(**values)


def missing(part: Part, parent: str) -> AlertRejected:
    return AlertRejected(
        RejectReason.MISSING, _("{element} is missing; add it.", element=part.element), below(parent, part.element)
    )


def rejected(unfit: Unfit, where: str) -> AlertRejected:
    """The refusal of a value at its place."""
    return AlertRejected(unfit.reason, unfit.sentence, where + unfit.at)
