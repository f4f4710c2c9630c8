from __future__ import annotations

import hashlib
import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from broadcast_core.audio.media import MediaStore
from broadcast_core.errors import StorageFailed


def test_a_file_lies_under_the_hash_of_its_bytes(media: MediaStore) -> None:
    file = media.put(b"sound", "audio/mpeg")
    assert file.sha256 == hashlib.sha256(b"sound").hexdigest()
    assert file.path.name == file.name == f"{file.sha256}.mp3"
    assert file.path.read_bytes() == b"sound"
    assert file.size == 5
    assert media.find(file.sha256) == media.named(file.name) == file


def test_an_order_names_where_to_fetch_it_and_what_it_must_be(media: MediaStore) -> None:
    file = media.put(b"sound", "audio/wav")
    reference = file.reference("http://media.example:8791/", timedelta(seconds=3))
    assert reference.url == f"http://media.example:8791/media/{file.sha256}.wav"
    assert (reference.sha256, reference.size, reference.mime_type) == (file.sha256, 5, "audio/wav")
    assert reference.duration == timedelta(seconds=3)


def test_putting_the_same_bytes_again_writes_nothing(media: MediaStore) -> None:
    first = media.put(b"sound", "audio/mpeg")
    written = first.path.stat().st_ino
    assert media.put(b"sound", "audio/mpeg") == first
    assert first.path.stat().st_ino == written


def test_only_what_was_not_used_since_is_discarded(media: MediaStore) -> None:
    file = media.put(b"sound", "audio/mpeg")
    then = datetime.fromtimestamp(file.path.stat().st_mtime - 60, UTC)
    assert not media.discard(file.sha256, then)
    assert not media.discard("0" * 64, then)

    def grow_old() -> None:
        os.utime(file.path, (0, 0))

    for again in (lambda: media.put(b"sound", "audio/mpeg"), lambda: media.use(file.sha256)):
        grow_old()
        assert again() == file
        assert not media.discard(file.sha256, then), "it is about to be announced"
    grow_old()
    assert media.discard(file.sha256, then)
    assert media.use(file.sha256) is None


@pytest.mark.parametrize("left", [b"", b"soun", b"other bytes"])
def test_a_file_that_no_longer_has_its_hash_is_replaced(media: MediaStore, left: bytes) -> None:
    file = media.put(b"sound", "audio/mpeg")
    file.path.write_bytes(left)
    assert media.put(b"sound", "audio/mpeg").path.read_bytes() == b"sound"


def test_what_a_crash_left_half_written_is_never_found_and_swept(media: MediaStore) -> None:
    file = media.put(b"sound", "audio/mpeg")
    half = file.path.parent / f".{file.name}.1.0.part"
    half.write_bytes(b"sou")
    assert media.named(half.name) is None
    media.sweep()
    assert [p.name for p in file.path.parent.iterdir()] == [file.name]


def test_a_disk_that_refuses_is_told_and_leaves_nothing(tmp_path: Path) -> None:
    store = MediaStore(tmp_path / "media")
    (tmp_path / "media").rmdir()
    with pytest.raises(StorageFailed, match="media"):
        store.put(b"sound", "audio/mpeg")
    (tmp_path / "file").touch()
    with pytest.raises(StorageFailed):
        MediaStore(tmp_path / "file")


@pytest.mark.parametrize(
    "name",
    [
        "",
        "..",
        "../secret.mp3",
        "a" * 64 + ".exe",
        "A" * 64 + ".mp3",
        "a" * 63 + ".mp3",
        "a" * 64 + ".mp3\n",
        "a" * 64,
    ],
)
def test_a_name_that_is_not_ours_is_nobody(media: MediaStore, name: str) -> None:
    assert media.named(name) is None


def test_neither_a_link_nor_a_folder_is_a_file_of_the_store(media: MediaStore, tmp_path: Path) -> None:
    folder = media.put(b"x", "audio/mpeg").path.parent
    (tmp_path / "secret").write_text("secret")
    (folder / ("b" * 64 + ".mp3")).symlink_to(tmp_path / "secret")
    (folder / ("c" * 64 + ".mp3")).mkdir()
    assert media.find("b" * 64) is None
    assert media.find("c" * 64) is None


def test_only_audio_that_speakers_play_is_stored(media: MediaStore) -> None:
    with pytest.raises(KeyError):
        media.put(b"<html>", "text/html")
