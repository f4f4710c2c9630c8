"""How our child programs end. A module of its own because they start in milliseconds and import nothing else."""

from __future__ import annotations

from enum import IntEnum


class Exit(IntEnum):
    """Exit codes (those of sysexits.h that fit); anything else is a crash, a negative one a signal."""

    OK = 0
    REFUSED = 65  # EX_DATAERR: the input is at fault; stderr says why
    UNAVAILABLE = 69  # EX_UNAVAILABLE: something it needs is not installed
