"""What a speaker says: receipts, hello, alive, gone. Pure codec; the bytes are the payload of its sealed JWS."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final

import msgspec
from msgspec import Struct, field

from broadcast_core.clock import from_ms, to_ms
from broadcast_core.model import DeliveryKey, DeliveryKind, ItemPlay, Progress, Reason, Receipt
from drivers.ip_speaker.wire.command import VERSION, MalformedMessage

# The rungs a speaker may claim, by their word on the wire.
CLAIMS: Final = {
    "received": Progress.RECEIVED,
    "started": Progress.STARTED,
    "failed": Progress.FAILED,
    "stopped": Progress.STOPPED,
    "finished": Progress.FINISHED,
}
_WORDS: Final = {v: k for k, v in CLAIMS.items()}
_REASONS: Final = {r.value: r for r in Reason}
_MS: Final = timedelta(milliseconds=1)
_KINDS: Final = {k.value: k for k in DeliveryKind}


PlayEntry = tuple[str, int, int, str | None]
"""Of one item of a programme: its id, times to its end, milliseconds altogether, and why not to its end."""


class ReceiptReport(Struct, frozen=True, kw_only=True, omit_defaults=True, tag="receipt", tag_field="say"):
    """One piece of evidence. `at` is the device's own time of it, in UTC epoch milliseconds."""

    v: int = field(default_factory=lambda: VERSION)
    alert: str
    rev: int
    kind: str = "start"  # or "stop": evidence that a stop was obeyed
    progress: str
    at: int
    reason: str | None = None
    detail: str = ""
    played_ms: int | None = None
    plays: tuple[PlayEntry, ...] = ()  # with the final receipt of a programme


class HelloReport(Struct, frozen=True, kw_only=True, omit_defaults=True, tag="hello", tag_field="say"):
    """I have (re)connected. `session` rises with every connection, over reboots; `nonce` is fresh and random."""

    v: int = field(default_factory=lambda: VERSION)
    session: int
    nonce: str
    at: int
    firmware: str = ""
    zones: dict[str, int] = {}  # memberships it knows, by version
    evidence: tuple[ReceiptReport, ...] = ()
    holds: dict[str, int] = {}  # the publicity it has: occurrence -> revision


class AliveReport(Struct, frozen=True, kw_only=True, omit_defaults=True, tag="alive", tag_field="say"):
    """The heartbeat. `n` rises within a session."""

    v: int = field(default_factory=lambda: VERSION)
    session: int
    n: int
    at: int
    sounding: str | None = None


class GoneReport(Struct, frozen=True, kw_only=True, omit_defaults=True, tag="gone", tag_field="say"):
    """The last will, sealed when the session began."""

    v: int = field(default_factory=lambda: VERSION)
    session: int


Report = ReceiptReport | HelloReport | AliveReport | GoneReport

_decoder: Final[msgspec.json.Decoder[Report]] = msgspec.json.Decoder(Report)
_encode: Final = msgspec.json.Encoder().encode


def encode(report: Report) -> bytes:
    """The JSON payload to be sealed."""
    return _encode(report)


def decode(payload: bytes) -> Report:
    """The report in authenticated bytes. Raises MalformedMessage."""
    try:
        report = _decoder.decode(payload)
    except msgspec.DecodeError as error:
        raise MalformedMessage(str(error)) from None
    if report.v != VERSION:
        raise MalformedMessage(f"version {report.v}")
    return report


def receipt_of(report: ReceiptReport, endpoint_id: str) -> Receipt:
    """Our type of a receipt. An unknown word is refused; an unknown reason is kept as a hardware fault's detail."""
    progress = CLAIMS.get(report.progress)
    kind = _KINDS.get(report.kind)
    if progress is None or kind is None:
        raise MalformedMessage(f"a speaker cannot claim {report.kind}/{report.progress}")
    reason, detail = None, report.detail[:500]
    if report.reason is not None:
        reason = _REASONS.get(report.reason)
        if reason is None:
            reason, detail = Reason.HARDWARE, f"{report.reason[:64]}: {detail}"
    if progress is Progress.FAILED and reason is None:
        reason = Reason.HARDWARE
    return Receipt(
        key=DeliveryKey(alert_id=report.alert, revision=report.rev, kind=kind, endpoint_id=endpoint_id),
        progress=progress,
        at=_instant(report.at),
        reason=reason,
        detail=detail,
        played=None if report.played_ms is None else _span(report.played_ms),
        plays=tuple(_play(entry) for entry in report.plays),
    )


def report_of(receipt: Receipt) -> ReceiptReport:
    """The wire's form of a receipt, for a speaker."""
    return ReceiptReport(
        alert=receipt.key.alert_id,
        rev=receipt.key.revision,
        kind=receipt.key.kind,
        progress=_WORDS[receipt.progress],
        at=to_ms(receipt.at),
        reason=receipt.reason,
        detail=receipt.detail,
        played_ms=None if receipt.played is None else receipt.played // _MS,
        plays=tuple((p.item_id, p.times, p.played // _MS, p.reason) for p in receipt.plays),
    )


def _play(entry: PlayEntry) -> ItemPlay:
    item_id, times, ms, why = entry
    if times < 0 or ms < 0:
        raise MalformedMessage(f"{item_id} cannot have been played {times} times, {ms} ms")
    reason = None if why is None else _REASONS.get(why, Reason.HARDWARE)
    return ItemPlay(item_id=item_id, times=times, played=_span(ms), reason=reason)


def _span(milliseconds: int) -> timedelta:
    try:
        return timedelta(milliseconds=milliseconds)
    except OverflowError:
        raise MalformedMessage(f"no such duration: {milliseconds} ms") from None


def _instant(milliseconds: int) -> datetime:
    try:
        return from_ms(milliseconds)
    except OverflowError:
        raise MalformedMessage(f"no such instant: {milliseconds}") from None
