"""What a message opens with, as JSON and back: what the outbox keeps of each channel's order. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, get_type_hints

import msgspec

from broadcast_core.model.content import Content, Programme, Sounded, Spoken, Texted
from broadcast_core.model.field import Channel
from broadcast_core.model.order import ModeChange, Opening, SelfTest, Start

_CONTENT: Final[Mapping[Channel, type[Content]]] = {
    Channel.SPEAKER: Spoken,
    Channel.SMS: Texted,
    Channel.HORN: Sounded,
}


def encode_starts(starts: Mapping[Channel, Opening]) -> str:
    """What each channel is told, as one JSON object by channel."""
    return msgspec.json.encode({channel.value: start for channel, start in starts.items()}).decode()


def decode_starts(text: str) -> dict[Channel, Opening]:
    """The inverse of `encode_starts`. Raises msgspec.ValidationError on anything else."""
    stored: dict[str, dict[str, Any]] = msgspec.json.decode(text)
    return {Channel(name): _opening(Channel(name), fields) for name, fields in stored.items()}


def _opening(channel: Channel, fields: dict[str, Any]) -> Opening:
    # A union of dataclasses has no tag in JSON: only a start has content, of which the channel says what it is, and
    # only a programme has clips; only a self-test has parts.
    if "parts" in fields:
        return msgspec.convert(fields, SelfTest, strict=False)
    if "content" not in fields:
        return msgspec.convert(fields, ModeChange, strict=False)
    content = Programme if "clips" in fields["content"] else _CONTENT[channel]
    hints = get_type_hints(Start) | {"content": content}
    return Start(**{name: msgspec.convert(value, hints[name], strict=False) for name, value in fields.items()})
