"""What a new user sees: help and mistakes, in the language of the terminal, within 80 columns."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from rich.cells import cell_len
from typer.testing import CliRunner

from broadcast_core.cli import app

COMMANDS = [
    "", "stop", "alert", "alert send", "alert list", "alert show", "alert watch", "alert stop", "alert report",
    "mode", "mode show", "mode set", "mode clear", "schedule", "schedule add", "schedule list", "schedule show",
    "schedule remove", "schedule preview", "schedule check", "schedule import", "schedule export", "playlist",
    "playlist add", "playlist list", "playlist show", "playlist remove", "kindness", "kindness show", "kindness set",
    "calendar", "calendar show", "calendar set", "report", "report plays", "registry",
    "registry import", "registry export", "registry show", "registry provision", "doctor", "serve",
    "simulate", "demo", "bench",
]  # fmt: skip


def run(*arguments: str, language: str = "en", **variables: str) -> Any:
    environment = {"TOCSIN_LANG": language, "COLUMNS": "80", "TOCSIN_CONFIG": None, **variables}
    return CliRunner().invoke(app, list(arguments), env=environment, prog_name="tocsin")


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command or "tocsin")
def test_every_help_fits_the_terminal_in_both_languages(command: str) -> None:
    shown = {}
    for language in ("en", "zh"):
        ended = run(*command.split(), "--help", language=language)
        assert ended.exit_code == 0, ended.output
        assert max(cell_len(line) for line in ended.stdout.splitlines()) <= 80, ended.stdout
        shown[language] = ended.stdout
    assert "Usage: tocsin" in shown["en"]
    assert "用法：tocsin" in shown["zh"]
    own_words = [line for line in shown["zh"].splitlines() if line.startswith("  ") and "用法" not in line]
    assert own_words[0].strip()
    assert any("\u4e00" <= sign <= "\u9fff" for sign in own_words[0])  # what it does


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("stpo", "没有命令 stpo。"),
        ("alert sho", "没有命令 sho。"),
        ("alert show", "缺少 ALERT。"),
        ("alert show --xm x", "没有选项 --xm"),
        ("alert show x y", "多余的内容：y"),
        ("alert stop x --reason", "选项 --reason 需要一个值。"),
        ("registry provision", "缺少选项 --out。"),
        ("alert send --volume 200", "最大为 100。"),
        ("alert send --volume loud", "这不是数字。"),
        ("alert send --severity bad", "'bad' 不是以下之一"),
        ("alert send --lifetime soon", "soon 不是 90s、10m 或 2h 这样的时长。"),
    ],
)
def test_a_wrong_command_line_is_a_sentence_with_a_way_on_and_exit_code_2(line: str, said: str) -> None:
    ended = run(*line.split(), language="zh")
    assert ended.exit_code == 2
    assert ended.stdout == ""
    assert said in ended.stderr
    assert "→ tocsin" in ended.stderr
    assert ended.stderr.rstrip().endswith("--help")


def test_a_core_that_is_not_there_is_named_with_its_address(tmp_path: Path) -> None:
    token = tmp_path / "token"
    token.write_text("tcs_a_b")
    for language, said in (("en", "nothing listens there"), ("zh", "该地址没有程序监听")):
        for line in (("stop",), ("stop", "x"), ("alert", "watch", "x"), ("alert", "list"), ("registry", "show")):
            ended = run(*line, language=language, TOCSIN_URL="http://127.0.0.1:9", TOCSIN_TOKEN_FILE=str(token))
            assert ended.exit_code == 3, ended.output
            assert said in ended.stderr
            assert "http://127.0.0.1:9" in ended.stderr
            assert ended.stdout == ""


def test_an_address_that_is_none_is_exit_code_3(tmp_path: Path) -> None:
    token = tmp_path / "token"
    token.write_text("tcs_a_b")
    for url in ("127.0.0.1:8790", "http://", "http://127.0.0.1:port", "ftp://127.0.0.1"):
        for line in (("stop", "x"), ("alert", "watch", "x")):
            ended = run(*line, TOCSIN_URL=url, TOCSIN_TOKEN_FILE=str(token))
            assert (ended.exit_code, url in ended.stderr) == (3, True), ended.output


@pytest.mark.parametrize("line", ["serve", "doctor", "simulate", "stop"])
def test_settings_that_are_not_there_are_never_taken_for_empty_ones(line: str, tmp_path: Path) -> None:
    missing = tmp_path / "typo.toml"
    ended = run(line, TOCSIN_CONFIG=str(missing))
    assert ended.exit_code == 2
    assert str(missing) in ended.stderr


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    missing = str(tmp_path / "missing")
    for line in (("alert", "send", missing), ("registry", "import", missing), ("demo", "--faults", missing)):
        ended = run(*line, language="zh")
        assert (ended.exit_code, ended.stderr) == (2, f"无法读取 {missing}：没有这个文件或目录。\n")
