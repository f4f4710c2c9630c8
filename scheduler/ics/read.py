"""An iCalendar file of ours or of anybody: slots, proposals, and what was refused and why.

The file is a stranger's: bounded in bytes and events, nothing in it is fetched, and one bad component refuses itself
alone.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date
from typing import Final
from zoneinfo import ZoneInfo

import icalendar
import x_wr_timezone
from icalendar import Event

from broadcast_core.errors import Rejected, RejectReason
from broadcast_core.i18n import Sentence, _
from scheduler.ics import names
from scheduler.ics.event import Unusable, own_slot, proposals
from scheduler.ics.proposal import Proposal
from scheduler.model import Slot

MOST_BYTES: Final = 2_000_000
MOST_COMPONENTS: Final = 2_000
_PARTS_OF_OTHERS: Final = {"VTIMEZONE"}


@dataclass(frozen=True, kw_only=True, slots=True)
class RefusedComponent:
    """A component of the file that became nothing, and why."""

    component: str  # VTODO, VEVENT …
    uid: str
    name: str
    sentence: Sentence


@dataclass(frozen=True, kw_only=True, slots=True)
class Imported:
    """What a file gives: every component is in exactly one of these (VTIMEZONEs aside)."""

    slots: tuple[Slot, ...]
    proposals: tuple[Proposal, ...]
    refused: tuple[RefusedComponent, ...]


def read(data: bytes, tz: ZoneInfo, since: date) -> Imported:
    """Read a file. `since`: what was over by then is refused, and open-ended rules are listed from then on.

    Raises `Rejected` (too_large, malformed) where the file as a whole cannot be read.
    """
    if len(data) > MOST_BYTES:
        raise Rejected(RejectReason.TOO_LARGE, _("The file is larger than {most} bytes.", most=MOST_BYTES))
    components = [part for file in _parsed(data) for part in file.subcomponents]
    if len(components) > MOST_COMPONENTS:
        raise Rejected(RejectReason.TOO_LARGE, _("The file has more than {most} components.", most=MOST_COMPONENTS))
    slots: list[Slot] = []
    found: list[Proposal] = []
    refused = [_refused(part, _no_event(part)) for part in components if _is_other(part)]
    for events in _by_uid(part for part in components if isinstance(part, Event)):
        try:
            if names.PLAYLIST in events[0] and names.ZONES in events[0]:
                slots.append(own_slot(events, tz, since))
            else:
                found.extend(proposals(events, tz, since))
        except Unusable as why:
            refused.append(_refused(events[0], why.sentence))
        except Rejected as why:
            refused.append(_refused(events[0], why.sentence))
        except Exception as error:  # noqa: BLE001 - as above: one damaged component refuses itself alone
            sentence = _("It cannot be read: {why}", why=_printable(f"{type(error).__name__}: {error}"))
            refused.append(_refused(events[0], sentence))
    return Imported(slots=tuple(slots), proposals=tuple(found), refused=tuple(refused))


def _parsed(data: bytes) -> list[icalendar.Calendar]:
    try:
        files = icalendar.Calendar.from_ical(data, multiple=True)
        calendars = [file for file in files if isinstance(file, icalendar.Calendar)]
        standard = [x_wr_timezone.to_standard(file) for file in calendars]
    except Exception as error:
        raise Rejected(
            RejectReason.MALFORMED,
            _("This is no iCalendar file: {why}", why=_printable(f"{type(error).__name__}: {error}")),
        ) from error
    if not standard:
        raise Rejected(RejectReason.MALFORMED, _("There is no VCALENDAR in this file."))
    return standard


def _printable(text: str) -> str:
    """Of a stranger's file nothing that moves a terminal's cursor, and not too much."""
    return "".join(sign if sign.isprintable() else "�" for sign in text)[:120]


def _is_other(part: icalendar.Component) -> bool:
    return not isinstance(part, Event) and part.name not in _PARTS_OF_OTHERS


def _no_event(part: icalendar.Component) -> Sentence:
    return _("A {component} is no programme; only VEVENT is read.", component=part.name)


def _refused(part: icalendar.Component, sentence: Sentence) -> RefusedComponent:
    return RefusedComponent(
        component=part.name or "?",
        uid=str(part.get("UID", "")),
        name=str(part.get("SUMMARY", "")),
        sentence=sentence,
    )


def _by_uid(events: Iterable[Event]) -> list[list[Event]]:
    """Events of one identity together, the series before its exceptions; those without a UID stand alone."""
    found: dict[str, list[Event]] = {}
    for n, event in enumerate(events):
        found.setdefault(str(event.get("UID") or f"\0{n}"), []).append(event)
    return [sorted(group, key=lambda event: "RECURRENCE-ID" in event) for group in found.values()]
