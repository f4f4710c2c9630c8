"""The properties that are ours, and the digest that tells whether another program changed an event."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from typing import Final

from icalendar import Event, vText

PLAYLIST: Final = "X-TOCSIN-PLAYLIST"
ZONES: Final = "X-TOCSIN-ZONES"
VOLUME: Final = "X-TOCSIN-VOLUME"
AUTHORITY: Final = "X-TOCSIN-AUTHORITY"
LATE: Final = "X-TOCSIN-LATE"
GRACE: Final = "X-TOCSIN-GRACE"
FILL: Final = "X-TOCSIN-FILL"
OVERRUN: Final = "X-TOCSIN-OVERRUN"
ENABLED: Final = "X-TOCSIN-ENABLED"
CREATED: Final = "X-TOCSIN-CREATED"
RECURRENCE: Final = "X-TOCSIN-RECURRENCE"
DIGEST: Final = "X-OF"  # parameter of RECURRENCE
UID_DOMAIN: Final = "@tocsin"

_ESCAPED: Final = re.compile(r"\\(.)")
_TIMING: Final = ("DTSTART", "DTEND", "DURATION", "RRULE", "RDATE", "EXDATE", "EXRULE")


def text(event: Event, name: str) -> str:
    """The value of one of our properties in a file that was read. It is TEXT; the parser, which does not know it,
    leaves it escaped (RFC 5545, 3.3.11)."""
    value = str(event[name])
    if isinstance(event[name], vText):  # the file said VALUE=TEXT
        return value
    return _ESCAPED.sub(lambda found: "\n" if found[1] in "nN" else found[1], value)


def digest(event: Event) -> str:
    """Of the standard properties that say when: another value means that they were edited elsewhere and count."""
    return hashlib.sha256("\n".join(_said(event)).encode()).hexdigest()[:16]


def _said(event: Event) -> Iterator[str]:
    for name in _TIMING:
        values = event.get(name, [])
        for value in values if isinstance(values, list) else [values]:
            yield f"{name}:{value.to_ical().decode()}"
