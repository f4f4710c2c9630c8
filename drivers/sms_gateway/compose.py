"""From an order to the words that go to one phone, or why none do. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from broadcast_core.i18n import Sentence, _
from broadcast_core.model import Endpoint, Reason, Start, Texted
from drivers.sms_gateway.wire import Parts, is_number, parts_of, pick_text


@dataclass(frozen=True, kw_only=True, slots=True)
class Words:
    """What one phone will read, and its size."""

    text: str
    parts: Parts


@dataclass(frozen=True, kw_only=True, slots=True)
class Refusal:
    """Why nothing is sent to this phone."""

    reason: Reason
    sentence: Sentence


def compose(start: Start, endpoint: Endpoint, max_parts: int) -> Words | Refusal:
    """The text for this recipient, whole: a text of more than `max_parts` parts is refused, never cut."""
    if not isinstance(start.content, Texted):
        return Refusal(reason=Reason.UNSUPPORTED, sentence=_("A phone takes text only."))
    if start.silent:
        return Refusal(reason=Reason.UNSUPPORTED, sentence=_("A phone cannot acknowledge without ringing."))
    if not is_number(endpoint.phone):
        return Refusal(reason=Reason.NUMBER_INVALID, sentence=_("This is not a phone number in international form."))
    text = pick_text(start.content.text, endpoint.language) if start.content.text else ""
    if not text.strip() or not _is_unicode(text):
        return Refusal(reason=Reason.CONTENT_UNAVAILABLE, sentence=_("There is no text that could be sent."))
    parts = parts_of(text)
    if parts.count > max_parts:
        sentence = _("The text takes {count} parts, the account allows {limit}.", count=parts.count, limit=max_parts)
        return Refusal(reason=Reason.TOO_LONG, sentence=sentence)
    return Words(text=text, parts=parts)


def _is_unicode(text: str) -> bool:
    """False for half a surrogate pair, which no gateway can be told."""
    return not any("\ud800" <= character <= "\udfff" for character in text)
