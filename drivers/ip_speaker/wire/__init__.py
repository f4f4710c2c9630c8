"""The speaker protocol's pure codec: topics, commands, reports. No I/O."""

from drivers.ip_speaker.wire import command, report
from drivers.ip_speaker.wire.command import MalformedMessage
from drivers.ip_speaker.wire.topics import Topics, Up

__all__ = ["MalformedMessage", "Topics", "Up", "command", "report"]
