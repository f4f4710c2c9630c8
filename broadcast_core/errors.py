"""The error tree and the closed lists of reasons.

    TocsinError
    ├── Rejected            bad input; nothing of it took effect          -> 4xx problem+json
    │   ├── AlertRejected       an alert that may not or cannot go out
    │   └── RegistryRejected    rows of an import, each with its line
    ├── NotFound            no such alert, endpoint, zone                 -> 404
    ├── StorageFailed       could not be made durable; refused loudly     -> 503
    └── DriverUnavailable   a whole channel is down; dispatch retries

One endpoint's failure is not an exception: it is a `Receipt` with a `Reason` (see `model`).
Each exception carries a reason for machines and a `Sentence` for people.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from broadcast_core.i18n import Sentence, _


class RejectReason(StrEnum):
    """Why input was refused. Closed: the API's problem types and the metric's labels are these."""

    MALFORMED = "malformed"  # not parseable as what it claims to be
    TOO_LARGE = "too_large"
    MISSING = "missing"  # a required element or field
    UNKNOWN_ELEMENT = "unknown_element"
    DUPLICATE_ELEMENT = "duplicate_element"
    INVALID_VALUE = "invalid_value"
    STATUS_NOT_ALLOWED = "status_not_allowed"  # Exercise, System, Test, Draft until drills are built
    MSG_TYPE_NOT_ALLOWED = "msg_type_not_allowed"
    SCOPE_NOT_ALLOWED = "scope_not_allowed"
    EXPIRED = "expired"
    NO_AREA = "no_area"
    UNKNOWN_AREA = "unknown_area"  # a zone or an endpoint that does not exist
    EMPTY_AREA = "empty_area"  # resolves to nobody
    WHOLE_DISTRICT_NOT_SAID = "whole_district_not_said"
    UNKNOWN_REFERENCE = "unknown_reference"
    IDENTIFIER_REUSED = "identifier_reused"  # same sender,identifier,sent with other content
    IDEMPOTENCY_KEY_REUSED = "idempotency_key_reused"
    UNKNOWN_PATTERN = "unknown_pattern"
    UNKNOWN_TEMPLATE = "unknown_template"
    UNKNOWN_CHANNEL = "unknown_channel"
    MEDIA_REFUSED = "media_refused"
    ATTENTION_TONE = "attention_tone"  # an item of the library that holds the emergency's own tone
    IN_USE = "in_use"  # a playlist or a schedule still needs it
    NOT_LIVE = "not_live"  # nothing to stop or update: it has ended
    QUIET_HOURS = "quiet_hours"  # a test would sound in them
    LOCKED = "locked"  # the schedule in emergency mode; a test while an alert is live; a second act
    UNAUTHENTICATED = "unauthenticated"
    FORBIDDEN = "forbidden"
    NOT_FOUND = "not_found"
    STORAGE_FAILED = "storage_failed"
    STORAGE_RESERVED = "storage_reserved"  # what room there is on the disk is kept for alerts
    BUSY = "busy"


class TocsinError(Exception):
    """Root of everything this project raises on purpose."""


@dataclass(eq=False)
class Rejected(TocsinError):
    """Bad input. `field` is a path into it (``info[1].area[0].polygon``, ``line 17``)."""

    reason: RejectReason
    sentence: Sentence
    field: str | None = None

    def __str__(self) -> str:
        return f"{self.reason}: {self.sentence}" + (f" [{self.field}]" if self.field else "")


class AlertRejected(Rejected):
    """The alert was refused before anything was stored or sent."""


@dataclass(frozen=True, slots=True)
class RowError:
    """One refused row of an import: its line in the file (the header is line 1), which field, and why."""

    line: int
    field: str
    reason: RejectReason
    sentence: Sentence


@dataclass(eq=False)
class RegistryRejected(TocsinError):
    """An import was refused; nothing of the file was applied."""

    rows: Sequence[RowError]

    def __str__(self) -> str:
        return "; ".join(f"line {r.line}, {r.field}: {r.sentence}" for r in self.rows)


@dataclass(eq=False)
class NotFound(TocsinError):
    """No such `kind` (alert, endpoint, zone, media)."""

    kind: str
    identifier: str

    def __str__(self) -> str:
        return f"no {self.kind} {self.identifier}"


@dataclass(eq=False)
class StorageFailed(TocsinError):
    """The database or the disk refused; what was asked for did not happen."""

    detail: str

    @property
    def sentence(self) -> Sentence:
        return _(
            "Storage failed, nothing was accepted: {detail}. Running alerts go on; stop works.",
            detail=self.detail,
        )

    def __str__(self) -> str:
        return str(self.sentence)


@dataclass(eq=False)
class DriverUnavailable(TocsinError):
    """The channel as a whole is down (broker gone, driver process dead). Nothing was sent."""

    channel: str
    detail: str

    def __str__(self) -> str:
        return f"{self.channel} unavailable: {self.detail}"
