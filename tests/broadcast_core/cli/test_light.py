"""Stopping waits for no library: what a command imports on its way, by set and not by time."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import pytest

HEAVY = ("sqlalchemy", "shapely", "av", "pymodbus", "lxml", "numpy", "aiohttp", "rich", "babel", "pydantic_settings")
PROGRAM = """
import json, sys
from broadcast_core.cli import app
try:
    app(sys.argv[1:])
except SystemExit as ended:
    print(json.dumps({"code": ended.code, "modules": sorted(sys.modules)}), file=sys.stderr)
"""


def ended(core: Any, *arguments: str) -> dict[str, Any]:
    """How the command ended in a process of its own, and what it had imported then."""
    _command, environment = core.command()
    command = [sys.executable, "-c", PROGRAM, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=60, check=True)
    found: dict[str, Any] = json.loads(done.stderr.splitlines()[-1])
    return found


@pytest.mark.parametrize("command", [("alert", "stop"), ("stop",)])
def test_a_stop_imports_nothing_heavy(core: Any, send: Callable[..., str], command: tuple[str, ...]) -> None:
    found = ended(core, *command, send())
    assert found["code"] == 0
    assert set(HEAVY) & set(found["modules"]) == set()


def test_a_stop_without_an_id_imports_nothing_heavy(core: Any, send: Callable[..., str]) -> None:
    send()
    found = ended(core, "stop", "--all")
    assert found["code"] == 0
    assert set(HEAVY) & set(found["modules"]) == set()


def test_the_help_imports_no_command(core: Any) -> None:
    found = ended(core, "--help")
    assert found["code"] == 0
    assert set(HEAVY) & set(found["modules"]) == set()
    assert not [name for name in found["modules"] if name.startswith("broadcast_core.cli.alert.")]
