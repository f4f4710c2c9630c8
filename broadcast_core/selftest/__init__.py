"""Endpoints prove themselves: every night in silence, and aloud by calendar or by a technician's hand.

night      when each endpoint has its turn (pure)
freshness  what was proven how long ago, as numbers (pure)
rows       one row for each endpoint and occasion, in and out of the database
book       the rows that are open and the newest results, in memory
desk       the acts: run, audible
runner     sends what is due, and takes down what the field says

Everything goes through `intake.direct`: outbox, dispatch, drivers and receipts are those of an alert.
"""

from broadcast_core.selftest.desk import Circumstances, SelfTestDesk
from broadcast_core.selftest.runner import SelfTestRunner

__all__ = ["Circumstances", "SelfTestDesk", "SelfTestRunner"]
