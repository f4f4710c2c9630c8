"""The silent self-test on the wire: how the command is made. What it carries is in `command.SelfTestCommand`."""

from __future__ import annotations

from datetime import timedelta

from broadcast_core.clock import to_ms
from broadcast_core.model import SelfTest
from drivers.ip_speaker.wire.command import SelfTestCommand, Stamp, Target, audio_of


def selftest_command(order: SelfTest, target: Target, stamp: Stamp) -> SelfTestCommand:
    """The wire's form of a self-test for one speaker."""
    return SelfTestCommand(
        domain=order.domain,
        epoch=stamp.epoch,
        seq=stamp.seq,
        iat=stamp.iat,
        exp=to_ms(order.expires),
        target=target,
        alert=order.alert_id,
        rev=order.revision,
        parts=tuple(order.parts),
        audio=None if order.audio is None else audio_of(order.audio),
        clock_ms=order.clock_limit // timedelta(milliseconds=1),
    )
