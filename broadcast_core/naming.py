"""The closed lists of the field as people read them: channels, where a delivery stands, why it failed.

Keyed by the values that the API carries, so that who only shows them imports nothing else.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from broadcast_core.i18n import Sentence, _

CHANNELS: Final[Mapping[str, Sentence]] = {
    "speaker": _("speakers"),
    "horn": _("horns"),
    "sms": _("phones"),
}
STATES: Final[Mapping[str, Sentence]] = {
    "queued": _("waiting"),
    "claimed": _("on its way"),
    "sent": _("sent"),
    "received": _("received"),
    "started": _("started"),
    "expired": _("expired"),
    "failed": _("failed"),
    "stopped": _("stopped"),
    "finished": _("finished"),
}
MODES: Final[Mapping[str, Sentence]] = {
    "peacetime": _("PEACETIME"),
    "emergency": _("EMERGENCY"),
}
# Each of `broadcast_core.model.Presence`.
PRESENCES: Final[Mapping[str, Sentence]] = {
    "unknown": _("unknown"),
    "online": _("online"),
    "silent": _("silent"),
    "offline": _("offline"),
}
# Each of `broadcast_core.model.Reason`; an endpoint's own words, where it has any, are in the report.
REASONS: Final[Mapping[str, Sentence]] = {
    "offline": _("not connected"),
    "no_answer": _("no answer"),
    "expired": _("the time was over before it could start"),
    "refused_signature": _("it refused the command: the signature is not ours"),
    "refused_replay": _("it refused the command: an old one again"),
    "refused_scope": _("it refused the command: the key may not say this"),
    "content_unavailable": _("it could not fetch the audio"),
    "content_mismatch": _("the audio it fetched was not the one announced"),
    "content_undecodable": _("it could not play the audio"),
    "interrupted": _("it rebooted or lost power while it played"),
    "preempted": _("something more urgent took its whole time"),
    "hardware": _("the device reports a defect"),
    "storage_full": _("its storage is full"),
    "clock_off": _("its clock is off"),
    "port_lost": _("the serial port is gone"),
    "board_silent": _("its relay board does not answer"),
    "board_exception": _("its relay board refused the command"),
    "readback_differs": _("its relay did not switch"),
    "max_on_reached": _("switched off: the longest time a horn may sound"),
    "gateway_error": _("the SMS gateway failed"),
    "gateway_refused": _("the SMS gateway refused the message"),
    "gateway_timeout": _("the SMS gateway did not answer: the message may be out"),
    "number_invalid": _("no valid phone number"),
    "undelivered": _("the network could not deliver the message"),
    "too_long": _("the text is too long for a message"),
    "channel_down": _("it was not handed over in time: its channel was down or busy"),
    "driver_crashed": _("its driver crashed"),
    "unsupported": _("it cannot do this"),
    "disabled": _("out of service in the registry"),
}
