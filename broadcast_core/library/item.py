"""What an item of the library is, and what is said about one when it is added or changed."""

from __future__ import annotations

import base64
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from enum import StrEnum
from typing import Final

from sqlalchemy.ext.asyncio import AsyncConnection

from broadcast_core.audio.media import EXTENSIONS
from broadcast_core.errors import Rejected, RejectReason
from broadcast_core.i18n import Sentence, _
from broadcast_core.model import AudioRef, ResumeRule

_LONGEST_WORDS: Final = 200
_LONGEST_TEXT: Final = 2000
_MOST_TEXTS: Final = 4
_ID_BYTES: Final = 10


class ItemKind(StrEnum):
    AUDIO = "audio"  # a recording that somebody uploaded
    TEXT = "text"  # spoken here


@dataclass(frozen=True, kw_only=True, slots=True)
class TextPart:
    """What a text item says in one language (a language tag)."""

    language: str
    text: str


@dataclass(frozen=True, kw_only=True, slots=True)
class MediaItem:
    """One item. Its sound never changes; loudness and true peak are measured on the file that speakers play."""

    id: str
    kind: ItemKind
    title: str
    sha256: str
    source_sha256: str  # of what was uploaded, or of the texts
    size: int
    mime_type: str
    duration: timedelta
    lufs: float
    true_peak_dbtp: float
    waveform: bytes  # a byte for each of about 400 points: the highest sample there, 255 is full scale
    texts: tuple[TextPart, ...]
    notes: tuple[Sentence, ...]
    uploader: str
    licence: str
    expires_on: date | None  # the last local date on which it may sound
    resume: ResumeRule  # what it does after an interruption
    created_at: datetime

    def expired(self, today: date) -> bool:
        return self.expires_on is not None and self.expires_on < today

    def reference(self, base_url: str) -> AudioRef:
        """How an order names its sound."""
        return AudioRef(
            sha256=self.sha256,
            url=f"{base_url.rstrip('/')}/media/{self.sha256}.{EXTENSIONS[self.mime_type]}",
            mime_type=self.mime_type,
            size=self.size,
            duration=self.duration,
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class Details:
    """What a person says about an item."""

    title: str
    licence: str = ""
    expires_on: date | None = None
    resume: ResumeRule = ResumeRule.POSITION


@dataclass(frozen=True, kw_only=True, slots=True)
class Change:
    """What to change; None leaves a value as it is."""

    title: str | None = None
    licence: str | None = None
    expires_on: date | None = None
    never_expires: bool = False
    resume: ResumeRule | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Saying:
    """A text item to be made: the same voice as an alert's and none of its tones."""

    texts: tuple[TextPart, ...]
    chime: bool = False
    bed: str | None = None  # an item that plays quietly under the words


@dataclass(frozen=True, kw_only=True, slots=True)
class Wanted:
    """Which items. None wants all; `before` is the last item of the page before."""

    kind: ItemKind | None = None
    expired: bool | None = None
    title: str | None = None  # a part of it
    limit: int = 100
    before: str | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class User:
    """What still needs an item: a playlist, a slot, an occurrence that has been sent ahead."""

    kind: str
    id: str
    name: str = ""


UsersOf = Callable[[AsyncConnection, str], Awaitable[Sequence[User]]]
"""Who uses the item with that id. Asked inside the transaction that would delete it, so that nothing can begin to use
it in between: read with the connection and await nothing else."""

Admit = Callable[[int], None]
"""Asked before so many more bytes go to the disk (`reserve.Reserve.admit`): raises Rejected(STORAGE_RESERVED)."""


def always(_size: int) -> None:
    """A disk without an end."""


async def nobody(_connection: AsyncConnection, _item_id: str) -> Sequence[User]:
    """As long as there is no schedule."""
    return ()


@dataclass(eq=False)
class InUse(Rejected):
    """An item that `users` still need."""

    users: tuple[User, ...] = ()


def id_of(source_sha256: str) -> str:
    """The id of what has this source: the same upload is the same item, also on another installation."""
    return base64.b32encode(bytes.fromhex(source_sha256)[:_ID_BYTES]).decode().lower()


def checked(details: Details, today: date) -> Details:
    """`details` with outer blanks removed. Raises Rejected."""
    title, licence = details.title.strip(), details.licence.strip()
    check_words(title, licence)
    check_expiry(details.expires_on, today)
    return replace(details, title=title, licence=licence)


def check_words(title: str | None, licence: str | None) -> None:
    """Raises Rejected for what cannot stand in a list."""
    if title is not None and not title.strip():
        raise Rejected(RejectReason.MISSING, _("Give the item a title."), "title")
    for field, words in (("title", title), ("licence", licence)):
        if words is not None and (len(words) > _LONGEST_WORDS or not words.isprintable()):
            sentence = _("{field}: at most {most} characters, and no control characters.", field=field,
                         most=_LONGEST_WORDS)  # fmt: skip
            raise Rejected(RejectReason.INVALID_VALUE, sentence, field)


def check_expiry(expires_on: date | None, today: date) -> None:
    """Raises Rejected for an item that could never sound."""
    if expires_on is not None and expires_on < today:
        sentence = _("The item would have expired already: {date} is past.", date=expires_on.isoformat())
        raise Rejected(RejectReason.EXPIRED, sentence, "expires_on")


def check_saying(saying: Saying) -> None:
    """Raises Rejected for nothing to say, or too much."""
    if not saying.texts or len(saying.texts) > _MOST_TEXTS:
        sentence = _("Give the text in one to {most} languages.", most=_MOST_TEXTS)
        raise Rejected(RejectReason.INVALID_VALUE, sentence, "texts")
    for index, part in enumerate(saying.texts):
        if not part.text.strip() or len(part.text) > _LONGEST_TEXT:
            sentence = _("A text has one to {most} characters.", most=_LONGEST_TEXT)
            raise Rejected(RejectReason.INVALID_VALUE, sentence, f"texts[{index}].text")
    languages = [part.language.lower() for part in saying.texts]
    if len(set(languages)) < len(languages):
        raise Rejected(RejectReason.DUPLICATE_ELEMENT, _("Give each language once."), "texts")
