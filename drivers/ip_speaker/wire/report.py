"""What a speaker says: receipts, hello, alive, gone. Pure codec; the bytes are the payload of its sealed JWS."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final

import msgspec
from msgspec import Struct, field

from broadcast_core.clock import from_ms, to_ms
from broadcast_core.model import DeliveryKey, DeliveryKind, ItemPlay, Progress, Reason, Receipt
from drivers.ip_speaker.wire.command import MOST_CLIPS, VERSION, MalformedMessage

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

# What a device may claim of an order, far beyond what any order says. A number or a text past these fits neither our
# types nor the database, and would be refused there together with everybody else's evidence.
_LONGEST_ALERT: Final = 32
_LAST_REVISION: Final = 2**31 - 1
_LONGEST_PLAY_MS: Final = 31 * 24 * 3600 * 1000
_LONGEST_REASON: Final = 64
_LONGEST_ITEM: Final = 64
_LONGEST_DETAIL: Final = 500


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
    """The report in authenticated bytes. Raises MalformedMessage, whatever the bytes are."""
    try:
        report = _decoder.decode(payload)
    except (msgspec.DecodeError, ValueError, RecursionError) as error:  # ValueError: bytes that are not UTF-8
        raise MalformedMessage(str(error)) from None
    if report.v != VERSION:
        raise MalformedMessage(f"version {report.v}")
    return report


def receipt_of(report: ReceiptReport, endpoint_id: str) -> Receipt:
    """Our type of a receipt. An unknown word is refused, as are an alert, a revision, an instant and a length that no
    order of ours can have; an unknown reason is kept as a hardware fault's detail. Raises MalformedMessage.
    """
    _refuse_impossible(report)
    progress = CLAIMS.get(report.progress)
    kind = _KINDS.get(report.kind)
    if progress is None or kind is None:
        raise MalformedMessage(f"a speaker cannot claim {report.kind}/{report.progress}")
    reason, detail = None, _printable(report.detail[:_LONGEST_DETAIL])
    if report.reason is not None:
        reason = _REASONS.get(report.reason)
        if reason is None:
            reason, detail = Reason.HARDWARE, f"{_printable(report.reason[:_LONGEST_REASON])}: {detail}"
    if progress is Progress.FAILED and reason is None:
        reason = Reason.HARDWARE
    return Receipt(
        key=DeliveryKey(alert_id=report.alert, revision=report.rev, kind=kind, endpoint_id=endpoint_id),
        progress=progress,
        at=_instant(report.at),
        reason=reason,
        detail=detail,
        played=None if report.played_ms is None else timedelta(milliseconds=report.played_ms),
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
    if not 0 < len(item_id) <= _LONGEST_ITEM or not item_id.isascii() or not item_id.isprintable():
        raise MalformedMessage("no item has such an id")
    if not 0 <= times <= _LAST_REVISION or not 0 <= ms <= _LONGEST_PLAY_MS:
        raise MalformedMessage("an item cannot have been played so often or so long")
    reason = None if why is None else _REASONS.get(why, Reason.HARDWARE)
    return ItemPlay(item_id=item_id, times=times, played=timedelta(milliseconds=ms), reason=reason)


def _refuse_impossible(report: ReceiptReport) -> None:
    alert, played_ms = report.alert, report.played_ms
    if not 0 < len(alert) <= _LONGEST_ALERT or not alert.isascii() or not alert.isprintable():
        raise MalformedMessage("no alert has such an id")
    if not 0 < report.rev <= _LAST_REVISION:
        raise MalformedMessage(f"no such revision: {str(report.rev)[:_LONGEST_REASON]}")
    if played_ms is not None and not 0 <= played_ms <= _LONGEST_PLAY_MS:
        raise MalformedMessage(f"cannot have played {str(played_ms)[:_LONGEST_REASON]} ms")
    if len(report.plays) > MOST_CLIPS:
        raise MalformedMessage("no programme has so many items")


def _printable(text: str) -> str:
    """The text without what could act on a terminal, a page or a database: control and format characters."""
    return "".join(c if c.isprintable() else "\ufffd" for c in text)


def _instant(milliseconds: int) -> datetime:
    try:
        return from_ms(milliseconds)
    except OverflowError:
        raise MalformedMessage(f"no such instant: {milliseconds}") from None
