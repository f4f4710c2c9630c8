"""The gateway's HTTP interface as configured: requests, replies and reports <-> our types. Pure.

Interface and test vectors: docs/protocols/sms-gateway.md.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from enum import StrEnum
from typing import Final
from urllib.parse import quote, urlencode

from broadcast_core.config import SmsGateway
from broadcast_core.model import Reason
from drivers.sms_gateway.wire_parts import Encoding, Parts, parts_of

__all__ = [
    "Account", "Answer", "Encoding", "HttpRequest", "Outcome", "Parts", "Report", "TextMessage", "build_request",
    "classify", "is_number", "parts_of", "pick_text", "redact", "report_of", "scrub",
]  # fmt: skip

_PLACE: Final = re.compile(r"\{(\w+)\}")
_E164: Final = re.compile(r"\+[1-9]\d{6,14}", re.ASCII)
_DIGITS: Final = re.compile(r"\+?\d{7,}", re.ASCII)
_BUSY: Final = frozenset({408, 425, 429})
_GATEWAY_TIMEOUT: Final = 504


class Outcome(StrEnum):
    """What became of one request."""

    ACCEPTED = "accepted"
    REFUSED = "refused"  # and will be again
    RETRY = "retry"  # not taken; may be tried again without harm
    UNKNOWN = "unknown"  # written, but nobody said whether it was taken


@dataclass(frozen=True, kw_only=True, slots=True)
class Answer:
    """What became of one request, why if it was not accepted, and the gateway's own words (scrubbed)."""

    outcome: Outcome
    reason: Reason | None = None
    detail: str = ""


class Report(StrEnum):
    """What a delivery report says, by our names."""

    ACCEPTED = "accepted"  # the centre has it
    DELIVERED = "delivered"  # the handset confirmed
    FAILED = "failed"  # the handset never confirmed
    REFUSED = "refused"  # the centre would not have it


@dataclass(frozen=True, kw_only=True, slots=True)
class Account:
    """Who we are to the gateway."""

    username: str
    password: str = field(repr=False)
    sender: str


@dataclass(frozen=True, kw_only=True, slots=True)
class TextMessage:
    """One message to one phone. `to` is E.164 with its plus; `valid_for` is how long it may still be delivered."""

    to: str = field(repr=False)
    text: str
    reference: str
    dlr_url: str = field(repr=False)
    valid_for: timedelta


@dataclass(frozen=True, kw_only=True, slots=True, repr=False)
class HttpRequest:
    """A request ready to be written. `url` is fully escaped; it and the body hold the password: never log them."""

    method: str
    url: str
    headers: Mapping[str, str]
    body: bytes | None


def build_request(gateway: SmsGateway, account: Account, message: TextMessage) -> HttpRequest:
    """The request that hands `message` over, from the configured parameters.

    Raises ValueError (UnicodeEncodeError) if the text cannot be written as UTF-8.
    """
    places = _places(gateway, account, message)
    parameters = {name: _fill(value, places) for name, value in gateway.parameters.items()}
    headers = {name: _fill(value, places) for name, value in gateway.headers.items()}
    if gateway.method == "GET":
        joint = "&" if "?" in gateway.url else "?"
        return HttpRequest(method="GET", url=gateway.url + joint + _form(parameters), headers=headers, body=None)
    if gateway.body == "json":
        body, kind = json.dumps(parameters, ensure_ascii=False), "application/json"
    else:
        body, kind = _form(parameters), "application/x-www-form-urlencoded"
    return HttpRequest(method="POST", url=gateway.url, headers={"Content-Type": kind} | headers, body=body.encode())


def classify(gateway: SmsGateway, status: int, body: str) -> Answer:
    """What a reply says. A reply that is not understood is a refusal, never a success."""
    said = f"{status} {scrub(body)}".strip()
    if status == _GATEWAY_TIMEOUT:  # a proxy gave up waiting; the gateway behind it may have taken it
        return Answer(outcome=Outcome.UNKNOWN, reason=Reason.GATEWAY_TIMEOUT, detail=said)
    if status in gateway.accepted_status and re.search(gateway.accepted_pattern, body):
        return Answer(outcome=Outcome.ACCEPTED, detail=said)
    if status >= 500 or status in _BUSY:
        return Answer(outcome=Outcome.RETRY, reason=Reason.GATEWAY_ERROR, detail=said)
    outcome = Outcome.RETRY if re.search(gateway.retry_pattern, body) else Outcome.REFUSED
    return Answer(outcome=outcome, reason=Reason.GATEWAY_REFUSED, detail=said)


def report_of(gateway: SmsGateway, value: str) -> Report | None:
    """What the report's type parameter means; None if the configuration does not know it."""
    for report, values in (
        (Report.DELIVERED, gateway.report_delivered),
        (Report.ACCEPTED, gateway.report_accepted),
        (Report.FAILED, gateway.report_failed),
        (Report.REFUSED, gateway.report_refused),
    ):
        if value in values:
            return report
    return None


def pick_text(texts: Sequence[tuple[str, str]], language: str | None) -> str:
    """The text in the recipient's language: its exact tag, else the same primary tag, else the first."""
    wanted = (language or "").casefold()
    for tag, text in texts:
        if tag.casefold() == wanted:
            return text
    for tag, text in texts:
        if _primary(tag) == _primary(wanted):
            return text
    return texts[0][1]


def is_number(phone: str | None) -> bool:
    """Whether `phone` is an E.164 number with its plus."""
    return phone is not None and _E164.fullmatch(phone) is not None


def redact(phone: str) -> str:
    """A phone number as it may stand in a log: its first three and last two characters."""
    return phone[:3] + "*" * max(len(phone) - 5, 3) + phone[-2:] if len(phone) > 7 else "***"


def scrub(reply: str) -> str:
    """A gateway's own words as they may stand in a log or a receipt: one short line without phone numbers."""
    line = "".join(c if c.isprintable() else " " for c in reply[:200]).strip()
    return _DIGITS.sub(lambda match: redact(match.group()), line)[:120]


def _places(gateway: SmsGateway, account: Account, message: TextMessage) -> Mapping[str, str]:
    gsm7 = parts_of(message.text).encoding is Encoding.GSM7
    return {
        "username": account.username,
        "password": account.password,
        "from": account.sender,
        "to": message.to,
        "to_digits": message.to.removeprefix("+"),
        "text": message.text,
        "coding": gateway.coding_gsm7 if gsm7 else gateway.coding_ucs2,
        "dlr_url": message.dlr_url,
        "reference": message.reference,
        # Rounded down, so that a centre that queues gives up before the alert's end; its smallest value is 1.
        "validity_min": str(max(1, message.valid_for // timedelta(minutes=1))),
    }


def _fill(pattern: str, places: Mapping[str, str]) -> str:
    """`pattern` with its places filled in, once: braces inside a value stay braces."""
    return _PLACE.sub(lambda match: places[match.group(1)], pattern)


def _form(parameters: Mapping[str, str]) -> str:
    return urlencode(parameters, quote_via=quote, safe="")


def _primary(tag: str) -> str:
    return tag.casefold().replace("_", "-").split("-")[0]
