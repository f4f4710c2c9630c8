"""`tocsin media` against a core."""

from __future__ import annotations

import math
from array import array
from pathlib import Path
from typing import Any

from broadcast_core.audio.pcm import Pcm


def recording(folder: Path, name: str, seconds: float = 2.0) -> Path:
    samples = array("h", (round(6000 * math.sin(i * 0.12)) for i in range(round(seconds * 22050))))
    file = folder / name
    file.write_bytes(Pcm(rate=22050, samples=samples.tobytes()).to_wav())
    return file


def test_a_recording_is_added_listed_shown_and_removed(core: Any, tmp_path: Path) -> None:
    file = recording(tmp_path, "morning.mp3")  # the name says nothing
    item = core.json("media", "add", str(file), "--licence", "CC0", "--expires", "2999-12-31")
    assert (item["title"], item["licence"], item["expires_on"]) == ("morning", "CC0", "2999-12-31")
    assert core.json("media", "add", str(file))["id"] == item["id"]
    assert [one["id"] for one in core.json("media", "list", "--kind", "audio", "--not-expired")["items"]] == [
        item["id"]
    ]
    assert "morning" in core.run("media", "list").stdout
    shown = core.run("media", "show", item["id"]).stdout
    assert "LUFS" in shown
    assert "█" in shown
    assert core.json("media", "remove", item["id"]) == {"removed": [item["id"]]}
    assert core.json("media", "list")["items"] == []
    core.run("media", "show", item["id"], code=1)


def test_what_is_refused_is_a_sentence_and_exit_code_2(core: Any, tmp_path: Path) -> None:
    playlist = tmp_path / "list.wav"
    playlist.write_text("#EXTM3U\nfile:///etc/passwd\n")
    assert "not WAV" in core.run("media", "add", str(playlist), code=2).stderr
    assert "switched off" in core.run("media", "add", "--text", "zh=你好", code=2).stderr  # no voice in this core
    core.run("media", "add", code=2)
    core.run("media", "add", str(tmp_path / "missing.wav"), code=2)
    core.run("media", "add", "--text", "no language", code=2)
    core.run("media", "add", str(recording(tmp_path, "a.wav")), "--chime", code=2)
    for option in (("--expires", "31.12.2026"), ("--resume", "maybe")):
        refused = core.run("media", "add", str(recording(tmp_path, "b.wav")), *option, code=2).stderr
        assert option[0] in refused
    assert "--text" in core.run("media", "add", "--text", "zh=", code=2).stderr
    assert "tocsin media add" in core.run("media", "list").stdout
    for command in ("show", "remove"):
        assert "tocsin media list" in core.run("media", command, "nothing", code=1).stderr
