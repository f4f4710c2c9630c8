"""Run by the Python that has the wheel and not the checkout: uses what must be inside, and tells what it saw."""

from __future__ import annotations

import asyncio
import importlib
import importlib.metadata
import json
import sys
from datetime import UTC, datetime
from pathlib import Path

from sqlalchemy import create_engine, inspect

from broadcast_core.audio.speech import voice_for
from broadcast_core.audio.tone import tones
from broadcast_core.i18n import translate
from broadcast_core.model import Alert, Category, Certainty, Info, MsgType, Scope, Severity, Status, Urgency
from broadcast_core.patterns import patterns
from broadcast_core.registry.dataset import default_registry
from broadcast_core.registry.terrain import subdistrict_cells
from broadcast_core.render import render
from broadcast_core.store import Store

TOP = ("broadcast_core", "drivers", "scheduler", "simulators", "templates")


def alert() -> Alert:
    info = Info(
        category=(Category.MET,),
        event="暴雨",
        urgency=Urgency.IMMEDIATE,
        severity=Severity.EXTREME,
        certainty=Certainty.OBSERVED,
        language="zh-CN",
        headline="暴雨红色预警",
    )
    return Alert(
        identifier="a1",
        sender="officer@district.invalid",
        sent=datetime(2026, 11, 22, 8, tzinfo=UTC),
        status=Status.ACTUAL,
        msg_type=MsgType.ALERT,
        scope=Scope.PUBLIC,
        infos=(info,),
    )


async def upgraded(folder: Path) -> list[str]:
    path = folder / "tocsin.db"
    async with Store(f"sqlite+aiosqlite:///{path}"):
        pass
    engine = create_engine(f"sqlite:///{path}")
    names = inspect(engine).get_table_names()
    engine.dispose()
    return names


def main() -> None:
    registry = default_registry()
    json.dump(
        {
            "where": {name: importlib.import_module(name).__file__ for name in TOP},
            "version": importlib.metadata.version("tocsin"),
            "said": [words.speech for words in render(alert())],
            "chinese": translate("Not found", "zh"),
            "patterns": sorted(patterns()),
            "tones": sorted(tones()),
            "voice": voice_for("zh-CN", "你好"),
            "endpoints": len(registry.endpoints),
            "cells": len(subdistrict_cells()["features"]),
            "tables": asyncio.run(upgraded(Path(sys.argv[1]))),
        },
        sys.stdout,
    )


if __name__ == "__main__":
    main()
