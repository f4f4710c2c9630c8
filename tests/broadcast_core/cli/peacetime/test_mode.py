"""`tocsin mode` against a core: whom a switch reached, and what it waits for."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

import pytest
from rich.cells import cell_len

from tests.broadcast_core.cli.test_light import HEAVY, PROGRAM


def test_a_switch_stays_until_the_speakers_have_proven_it(town: Any) -> None:
    done = town.json("mode", "set", "N1", "N2", "emergency", "--reason", "flood")
    assert set(done["changed"]) == {"N1", "N2"}
    assert (done["endpoints"], done["proof"]["speakers"], done["proof"]["proven"]) == (3, 3, 3)
    assert done["proof"]["simulated"] == 1
    shown = town.json("mode", "show")
    assert [(s["zone"], s["reason"]) for s in shown["settings"]] == [("N1", "flood"), ("N2", "flood")]


def test_who_does_not_answer_is_exit_code_1_and_named(town: Any) -> None:
    town.core.speakers.answers["SPK-3"] = ()
    done = town.json("mode", "set", "N", "emergency", "--reason", "flood", "--within", "3s", code=1)
    assert (done["proof"]["proven"], done["proof"]["speakers"]) == (2, 3)
    assert done["proof"]["states"]["finished"] == 2
    assert sum(done["proof"]["states"].values()) == 3


@pytest.mark.parametrize("language", ["en", "zh"])
def test_the_mode_is_big_clear_and_fits_the_terminal(town: Any, language: str) -> None:
    said = town.run("mode", "set", "N1", "emergency", "--reason", "flood", language=language)
    word = {"en": "EMERGENCY", "zh": "应急"}[language]
    first = said.stdout.splitlines()[0]
    assert (word in first, "N1" in first) == (True, True)
    assert "100%" not in said.stdout
    shown = town.run("mode", "show", language=language)
    assert word in shown.stdout
    for line in (*said.stdout.splitlines(), *shown.stdout.splitlines()):
        assert cell_len(line) <= 90, line


def test_without_waiting_nothing_heavy_is_imported(town: Any) -> None:
    words = ("mode", "set", "N1", "emergency", "--reason", "flood", "--no-wait")
    environment = {**town.variables, "TOCSIN_LANG": "en", "PATH": ""}
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, *words],
        capture_output=True,
        text=True,
        env=environment,
        timeout=60,
        check=True,
    )
    found = json.loads(done.stderr.splitlines()[-1])
    assert found["code"] == 0
    assert set(HEAVY) & set(found["modules"]) == set()
    assert "EMERGENCY" in done.stdout


def test_the_zone_above_decides_again_after_a_clear(town: Any) -> None:
    town.run("mode", "set", "N1", "N2", "emergency", "--reason", "flood", "--no-wait")
    done = town.json("mode", "clear", "N1", "N2", "--reason", "over")
    assert done["changed"] == {"N1": "peacetime", "N2": "peacetime"}
    assert done["proof"]["proven"] == 3
    again = town.run("mode", "clear", "N1", "--reason", "over", code=1)
    assert "tocsin mode show" in again.stderr
    assert "No zone" in town.run("mode", "show").stdout


def test_a_switch_to_what_is_so_already_tells_nobody(town: Any) -> None:
    done = town.json("mode", "set", "N", "peacetime", "--reason", "to be sure")
    assert (done["changed"], done["messages"], done["endpoints"]) == ({}, [], 0)


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (("N1", "--reason", "x"), 2, "tocsin mode set N1 emergency"),
        (("emergency", "--reason", "x"), 2, "tocsin registry show"),
        (("N1", "emergency"), 2, "--reason"),
        (("N1", "emergency", "--reason", ""), 2, "reason"),
        (("nowhere", "emergency", "--reason", "x"), 1, "nowhere"),
        (("N1", "nowhere", "emergency", "--reason", "x"), 1, "nowhere"),
        (("N1", "emergency", "--reason", "x", "--remind", "1s"), 2, "remind_after_s"),
    ],
)
def test_a_mistake_is_a_sentence_and_switches_nothing(
    town: Any, words: tuple[str, ...], code: int, said: str
) -> None:
    refused = town.run("mode", "set", *words, code=code)
    assert (refused.stdout, said in refused.stderr) == ("", True), refused.stderr
    assert town.json("mode", "show")["settings"] == []


def test_a_reason_is_shown_as_it_was_written(town: Any) -> None:
    town.run("mode", "set", "N1", "emergency", "--reason", "flood [/red] [see log]")
    assert "[/red]" in town.run("mode", "show").stdout
    assert "[see" in town.run("mode", "show").stdout
