"""What an edit does to occurrences that are queued already: which are added, changed and removed.

A slot, a playlist, a holiday or the kindness settings may be edited while the next day is already on the speakers.
Comparing what is queued with what would be queued now says exactly what is to be sent: a new revision of what
changed, a stop for what is gone, nothing for the rest.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

import msgspec

from scheduler.day import Message


@dataclass(frozen=True, kw_only=True, slots=True)
class Queued:
    """An occurrence as it was queued last. `withdrawn`: an edit took it away, and it may come back."""

    key: str
    revision: int
    fingerprint: str
    starts_at: datetime
    ends_at: datetime
    withdrawn: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class Revision:
    """An occurrence to queue: `revision` 1 is new, a higher one replaces what was queued before."""

    key: str
    revision: int
    fingerprint: str
    messages: tuple[Message, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Changes:
    """The difference, each part by key."""

    added: tuple[Revision, ...]
    changed: tuple[Revision, ...]
    removed: tuple[Queued, ...]

    def __bool__(self) -> bool:
        return bool(self.added or self.changed or self.removed)


def changes(queued: Iterable[Queued], messages: Iterable[Message], *, now: datetime, until: datetime) -> Changes:
    """From what is queued to what should be, of the occurrences that start before `until` and are not over at `now`.

    What is over stays as it was; what would be over already is not begun.
    """
    before = {q.key: q for q in queued if q.ends_at > now and q.starts_at < until}
    wanted = _by_occurrence(messages, now, until)
    added, changed = [], []
    for key, group in sorted(wanted.items()):
        print_ = fingerprint(group)
        old = before.get(key)
        if old is None:
            added.append(Revision(key=key, revision=1, fingerprint=print_, messages=group))
        elif old.withdrawn or old.fingerprint != print_:
            changed.append(Revision(key=key, revision=old.revision + 1, fingerprint=print_, messages=group))
    removed = [q for key, q in sorted(before.items()) if key not in wanted and not q.withdrawn]
    return Changes(added=tuple(added), changed=tuple(changed), removed=tuple(removed))


def fingerprint(group: tuple[Message, ...]) -> str:
    """SHA-256 of everything of an occurrence that the field would notice."""
    content = [
        [
            message.zones,
            message.sent.occurrence.starts_at,
            message.sent.expires,
            message.sent.volume,
            int(message.sent.slot.authority),
            message.sent.slot.late.value,
            message.sent.slot.grace,
            [(c.item_id, c.audio.sha256, c.offset, c.resume.value) for c in message.sent.clips],
        ]
        for message in group
    ]
    return hashlib.sha256(msgspec.json.encode(content)).hexdigest()


def _by_occurrence(messages: Iterable[Message], now: datetime, until: datetime) -> dict[str, tuple[Message, ...]]:
    found: dict[str, list[Message]] = {}
    for message in messages:
        occurrence = message.sent.occurrence
        if occurrence.ends_at > now and occurrence.starts_at < until:
            found.setdefault(occurrence.key, []).append(message)
    return {key: tuple(sorted(group, key=lambda m: m.zones)) for key, group in found.items()}
