"""Exit codes, as docs/operations.md has them."""

from __future__ import annotations

from typing import Final

OK: Final = 0
FAILED: Final = 1  # the act failed, or not every target has finished
BAD_INPUT: Final = 2
UNREACHABLE: Final = 3
INTERRUPTED: Final = 130
BY_SIGNAL: Final = 128  # and the signal's number
