"""What guard and worker need from the kernel to die with those they belong to."""

from __future__ import annotations

import ctypes
import signal
import sys
from typing import Final

_PR_SET_PDEATHSIG: Final = 1


def wake_when_parent_dies() -> None:
    """Have the kernel send SIGCONT when the parent dies.

    A dead parent shows as end of file on the channel to it, but a process that was stopped never reads it. SIGCONT
    means nothing to one that runs. A signal that kills would be wrong: a dying worker has coils to open first.
    """
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGCONT, 0, 0, 0)


def command(module: str, *arguments: str) -> tuple[str, ...]:
    """How to start one of our modules as a process. -P: nothing from the working directory takes its name."""
    return (sys.executable, "-P", "-m", module, *arguments)
