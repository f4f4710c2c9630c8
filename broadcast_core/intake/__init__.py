"""Intake: the one entrance for every trigger.

What it accepts is durable before anything is sent; what it refuses leaves nothing behind.
"""

from broadcast_core.intake.intake import Intake

__all__ = ["Intake"]
