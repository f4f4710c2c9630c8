"""`tocsin bench`: speed against the limit measured in the same run."""

from __future__ import annotations

import asyncio
import json
import logging
import sys
from collections.abc import Sequence
from dataclasses import replace
from typing import Annotated

import structlog
import typer

from broadcast_core.bench import COURSES, Course, run
from broadcast_core.cli.settings import open_all_descriptors
from broadcast_core.i18n import _


def bench(
    rounds: Annotated[int | None, typer.Option(min=1, help=_("Rounds of each course.").msgid)] = None,
    only: Annotated[int | None, typer.Option(help=_("Only the courses with this many speakers.").msgid)] = None,
) -> None:
    """Raw limit, naive way and ours, interleaved; prints JSON lines. Needs mosquitto and an idle machine."""
    open_all_descriptors()
    sys.setswitchinterval(0.0005)  # as the core does (broadcast_core.app)
    structlog.configure(
        wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
    )
    courses = [c for c in COURSES if only is None or c.speakers == only]
    if rounds is not None:
        courses = [replace(course, rounds=rounds) for course in courses]
    asyncio.run(_print(courses))


async def _print(courses: Sequence[Course]) -> None:
    async for line in run(courses):
        sys.stdout.write(json.dumps(line) + "\n")
        sys.stdout.flush()
