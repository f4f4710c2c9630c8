"""What the driver counts, since it started. Read by metrics."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(slots=True)
class Tally:
    accepted: int = 0  # requests that the gateway took
    refused: int = 0
    returned: int = 0  # requests that failed for now, and safely
    unknown: int = 0  # requests that were written and not answered
    possible_duplicates: int = 0  # requests sent although an earlier one may have been taken
    withdrawn: int = 0  # messages that a stop kept from being sent
    expired: int = 0
    reports: int = 0
    strangers: int = 0  # reports with a wrong secret, a token that is not ours, or an unknown type
    late: int = 0  # reports that could not be made durable in time; the gateway was told to ask again
