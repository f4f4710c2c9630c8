"""The library over HTTP: real files of strangers into the real server, through the real children."""

from __future__ import annotations

import asyncio
import io
import json
import math
import os
import sqlite3
from array import array
from fractions import Fraction
from typing import Any

import aiohttp
import av
import pytest

from broadcast_core.audio.decode import decode
from broadcast_core.audio.filters import frames
from broadcast_core.audio.loudness import measure
from broadcast_core.audio.pcm import Pcm
from broadcast_core.audio.tone import tone
from broadcast_core.library import User

MEDIA = "/api/v1/media"
RATE = 22050


def melody(seconds: float, level: float = 0.2) -> Pcm:
    """Two voices that are no alarm."""
    notes = (330.0, 392.0, 440.0, 294.0)
    wave_ = array("h")
    for i in range(round(seconds * RATE)):
        t = i / RATE
        hertz = notes[int(t * 2) % 4]
        wave_.append(
            round(32767 * level * (math.sin(2 * math.pi * hertz * t) + math.sin(math.pi * 3 * hertz * t)) / 2)
        )
    return Pcm(rate=RATE, samples=wave_.tobytes())


def as_file(sound: Pcm, form: str, codec: str, rate: int = RATE, layout: str = "mono") -> bytes:
    out = io.BytesIO()
    with av.open(out, "w", format=form) as file:
        options = {"strict": "experimental"} if codec == "vorbis" else {}
        stream = file.add_stream(codec, rate=rate, layout=layout, options=options)
        resampler = av.AudioResampler(
            format=stream.format, layout=layout, rate=rate, frame_size=stream.frame_size or 1024
        )
        for frame in (*frames(sound, 4096), None):
            for ready in resampler.resample(frame):
                ready.time_base = Fraction(1, rate)
                file.mux(stream.encode(ready))
        file.mux(stream.encode(None))
    return out.getvalue()


FORMS = {
    "mp3": ("mp3", "libmp3lame", 44100, "stereo"),
    "aac": ("adts", "aac", 48000, "stereo"),
    "m4a": ("ipod", "aac", 44100, "mono"),
    "wav": ("wav", "pcm_s16le", 11025, "mono"),
    "wav24": ("wav", "pcm_s24le", 96000, "stereo"),
    "flac": ("flac", "flac", 37800, "stereo"),
    "ogg": ("ogg", "vorbis", 32000, "stereo"),
    "opus": ("ogg", "libopus", 48000, "stereo"),
}


async def put(
    core: Any, data: Any, *, title: str = "早安", token: str = "all", **more: str
) -> aiohttp.ClientResponse:
    params = {"title": title, **more}
    body = io.BytesIO(data) if isinstance(data, bytes) else data
    response: aiohttp.ClientResponse = await core.ask("POST", MEDIA, params=params, data=body, token=token)
    return response


async def sound_of(core: Any, item_id: str, **headers: str) -> bytes:
    sent = core.bearer("reader") | headers
    async with core.http.get(f"{core.url}{MEDIA}/{item_id}/audio", headers=sent) as response:
        assert response.status == (206 if headers else 200)
        assert response.content_type == "audio/mpeg"
        return bytes(await response.read())


async def refused(core: Any, data: Any, status: int = 422, reason: str = "media_refused") -> str:
    response = await put(core, data)
    problem = await response.json(content_type=None)
    assert (response.status, problem.get("reason")) == (status, reason), problem
    assert (await (await core.ask("GET", MEDIA)).json())["total"] == 0
    assert not list((core.services.settings.uploads_dir).iterdir())
    return str(problem["detail"])


@pytest.mark.parametrize("form", FORMS)
async def test_every_form_becomes_an_item_as_loud_as_configured(core: Any, form: str) -> None:
    response = await put(core, as_file(melody(4), *FORMS[form]), licence="自制", expires_on="2999-12-31")
    assert response.status == 201, await response.text()
    item = await response.json()
    assert response.headers["Location"] == f"{MEDIA}/{item['id']}"
    assert item["seconds"] == pytest.approx(4, abs=0.2)
    assert (item["kind"], item["uploader"], item["licence"]) == ("audio", "all-person", "自制")
    data = await sound_of(core, item["id"])
    assert len(data) == item["size"]
    found = measure(await decode(data, RATE))
    assert found.lufs == pytest.approx(-16, abs=0.5)
    assert found.true_peak_dbtp <= -1.5
    assert item["lufs"] == pytest.approx(found.lufs, abs=0.1)
    whole = await (await core.ask("GET", f"{MEDIA}/{item['id']}")).json()
    assert len(whole["waveform"]) == 400
    assert max(whole["waveform"]) > 30


async def test_the_same_upload_is_the_same_item_also_at_the_same_time(core: Any) -> None:
    data = melody(2).to_wav()
    responses = await asyncio.gather(*(put(core, data, title=f"t{n}") for n in range(3)))
    assert sorted(r.status for r in responses) == [200, 200, 201]
    assert len({(await r.json())["id"] for r in responses}) == 1
    assert (await (await core.ask("GET", MEDIA)).json())["total"] == 1
    with sqlite3.connect(core.database) as database:
        rows = database.execute("SELECT actor FROM audit WHERE action = 'media.add'").fetchall()
    database.close()
    assert rows == [("all-person",)]


async def test_a_form_is_taken_with_its_fields_before_or_after_the_file(core: Any) -> None:
    form = aiohttp.FormData()
    form.add_field("licence", "CC0")
    form.add_field(
        "file", io.BytesIO(melody(2).to_wav()), filename="../../etc/passwd.m3u8", content_type="audio/x-mpegurl"
    )
    form.add_field("title", "表单")
    response = await core.ask("POST", MEDIA, data=form)
    item = await response.json()
    assert (response.status, item["title"], item["licence"]) == (201, "表单", "CC0")
    for wrong in ({"title": "x"}, {"file": melody(2).to_wav(), "title": "x", "zone": "N"}):
        form = aiohttp.FormData(default_to_multipart=True)
        for name, value in wrong.items():
            form.add_field(name, io.BytesIO(value) if isinstance(value, bytes) else value)
        assert (await core.ask("POST", MEDIA, data=form)).status == 422
    broken = await core.ask("POST", MEDIA, data=b"--x", headers={"Content-Type": "multipart/form-data"})
    assert broken.status == 400, await broken.text()


@pytest.mark.parametrize(
    "data",
    [
        b"#EXTM3U\n#EXT-X-TARGETDURATION:10\n#EXTINF:10,\nfile:///etc/passwd\n#EXT-X-ENDLIST\n",
        b"ffconcat version 1.0\nfile /etc/passwd\n",
        b"[playlist]\nFile1=http://127.0.0.1/\n",
        b"v=0\r\nc=IN IP4 127.0.0.1\r\nm=audio 9 RTP/AVP 0\r\n",
        b"ID3\x04\0\0\0\0\0\0#EXTM3U\n#EXTINF:10,\nfile:///etc/passwd\n",
        b"\xff\xf1ffconcat version 1.0\nfile /etc/passwd\n",
        b"RIFF\xff\xff\xff\xffWAVE#EXTM3U\nfile:///etc/passwd\n",
        b"\x89PNG\r\n\x1a\n" + bytes(1000),
        b"PK\x03\x04" + bytes(1000),
        b"",
        bytes(100_000),
        os.urandom(100_000),
    ],
)
async def test_what_is_no_recording_is_refused_whatever_it_is_called(core: Any, data: bytes) -> None:
    assert "root:" not in await refused(core, data)


async def test_lying_damaged_and_truncated_files_are_refused(core: Any) -> None:
    whole = melody(6).to_wav()
    lying = bytearray(whole)
    lying[40:44] = (2**31 - 1).to_bytes(4, "little")  # the data chunk
    await refused(core, bytes(lying))
    for form in ("mp3", "aac", "m4a", "flac", "opus"):
        data = as_file(melody(6), *FORMS[form])
        await refused(core, data[: len(data) // 2])


async def test_huge_pictures_and_tags_are_ignored(core: Any) -> None:
    sound = as_file(melody(2), *FORMS["mp3"])
    frame = b"\0image/png\0\x03\0" + os.urandom(30 * 2**20)
    body = b"APIC" + len(frame).to_bytes(4) + b"\0\0" + frame
    size = bytes((len(body) >> shift) & 0x7F for shift in (21, 14, 7, 0))
    response = await put(core, b"ID3\x03\0\0" + size + body + sound)
    assert response.status == 201, await response.text()
    assert (await response.json())["size"] < 60_000


def day_of_opus() -> bytes:
    """24 hours of silence: one real packet of 120 ms, 720,000 times."""
    out = io.BytesIO()
    with av.open(out, "w", format="ogg") as file:
        stream = file.add_stream("libopus", rate=48000, layout="mono", options={"frame_duration": "120"})
        stream.bit_rate = 6000
        stream.codec_context.open()
        (frame,) = frames(Pcm.of_silence(0.12, 48000), 5760)
        packets = [*stream.encode(frame), *stream.encode(None)]
        sound = bytes(packets[0])
        for n in range(24 * 3600 * 1000 // 120):
            packet = av.Packet(sound)
            packet.stream, packet.time_base, packet.pts, packet.dts, packet.duration = (
                *(stream, Fraction(1, 48000)), *(n * 5760, n * 5760, 5760),
            )  # fmt: skip
            file.mux(packet)
    return out.getvalue()


def hours_of_flac(hours: int, *, said: bool) -> bytes:
    """Hours of silence; unless they are `said`, only decoding shows how many."""
    out = io.BytesIO()
    with av.open(out, "w", format="flac") as file:
        stream = file.add_stream("flac", rate=8000, layout="mono")
        for frame in frames(Pcm.of_silence(hours * 3600, 8000), 65536):
            file.mux(stream.encode(frame))
        file.mux(stream.encode(None))
    data = bytearray(out.getvalue())
    if not said:
        data[21] &= 0xF0  # the 36 bits of the number of samples in STREAMINFO
        data[22:26] = bytes(4)
    return bytes(data)


async def test_a_day_of_silence_in_a_small_file_is_refused_at_once(core: Any) -> None:
    bomb = await asyncio.to_thread(day_of_opus)
    assert len(bomb) < 32 * 2**20
    assert "longer than allowed" in await refused(core, bomb)


@pytest.mark.parametrize("said", [True, False])
async def test_hours_of_silence_are_refused_whether_or_not_the_file_says_so(core: Any, said: bool) -> None:
    bomb = await asyncio.to_thread(hours_of_flac, 2, said=said)
    assert len(bomb) < 4 * 2**20
    assert "longer than allowed" in await refused(core, bomb)


async def test_silence_too_short_and_nearly_nothing_are_refused(core: Any) -> None:
    assert "silent" in await refused(core, Pcm.of_silence(3, RATE).to_wav())
    assert "shorter than allowed" in await refused(core, melody(0.3).to_wav())
    whisper = Pcm(rate=RATE, samples=array("h", [0, 1] * RATE).tobytes())
    assert "as good as silent" in await refused(core, whisper.to_wav())


async def test_clipping_and_long_silence_are_noted(core: Any) -> None:
    cut = (max(-32767, min(32767, sample * 8)) for sample in array("h", melody(3).samples))
    loud = Pcm(rate=RATE, samples=array("h", cut).tobytes())
    gap = Pcm.of_silence(15, RATE)
    data = Pcm(rate=RATE, samples=loud.samples + gap.samples + melody(3).samples).to_wav()
    item = await (await put(core, data)).json()
    notes = " ".join(item["notes"])
    assert "clipped in" in notes
    assert "silent for 15 s from 0:03" in notes


@pytest.mark.parametrize("name", ["attention-1", "attention-2", "attention-3", "attention-4"])
async def test_the_attention_tone_is_refused_with_its_place(core: Any, name: str) -> None:
    before = melody(3)
    sound = Pcm(rate=RATE, samples=before.samples + tone(name).samples + before.samples)
    said = await refused(core, as_file(sound, "mp3", "libmp3lame"), reason="attention_tone")
    assert "0:02" in said or "0:03" in said  # a frame of the coder early


async def test_too_large_is_refused_before_and_while_it_comes(core: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    most = core.services.settings.library.largest_bytes

    async def endless() -> Any:
        for _n in range(most // 2**20 + 2):
            yield bytes(2**20)

    assert "128 MiB" in await refused(core, endless(), 413, "too_large")
    with socket_of(core, f"Content-Length: {most + 1}") as answer:
        assert b" 413 " in await answer


class socket_of:
    """A request whose body never comes."""

    def __init__(self, core: Any, header: str) -> None:
        self._core, self._header = core, header

    def __enter__(self) -> Any:
        return self._ask()

    def __exit__(self, *exc: object) -> None:
        return None

    async def _ask(self) -> bytes:
        reader, writer = await asyncio.open_connection(*self._core.address)
        authorization = self._core.bearer()["Authorization"]
        head = f"POST {MEDIA}?title=x HTTP/1.1\r\nHost: x\r\nAuthorization: {authorization}\r\n{self._header}\r\n\r\n"
        writer.write(head.encode())
        line = await asyncio.wait_for(reader.readline(), 20)
        writer.close()
        return line


async def test_an_upload_that_breaks_off_leaves_nothing(core: Any) -> None:
    _reader, writer = await asyncio.open_connection(*core.address)
    authorization = core.bearer()["Authorization"]
    head = f"POST {MEDIA}?title=x HTTP/1.1\r\nHost: x\r\nAuthorization: {authorization}\r\n"
    head += "Content-Length: 9000000\r\n\r\n"
    writer.write(head.encode() + bytes(3_000_000))
    await writer.drain()
    folder = core.services.settings.uploads_dir

    async def coming() -> bool:
        return bool(list(folder.iterdir()))

    async def gone() -> bool:
        return not list(folder.iterdir())

    await core.until(coming)
    writer.transport.abort()
    await core.until(gone)


async def test_what_is_left_of_the_disk_belongs_to_alerts(core: Any) -> None:
    core.disk.free = 513_000_000
    assert (await put(core, melody(1).to_wav())).status == 201
    core.disk.free = 100_000_000
    response = await put(core, melody(2).to_wav())
    assert (response.status, (await response.json(content_type=None))["reason"]) == (507, "storage_reserved")
    assert not list(core.services.settings.uploads_dir.iterdir())


async def test_only_so_many_uploads_at_once(core: Any) -> None:
    library = core.services.library
    places = [library.receiving() for _n in range(core.services.settings.library.uploads_at_once)]
    for place in places:
        await place.__aenter__()
    response = await put(core, melody(1).to_wav())
    assert (response.status, (await response.json(content_type=None))["reason"]) == (503, "busy")
    for place in places:
        await place.__aexit__(None, None, None)
    assert (await put(core, melody(1).to_wav())).status == 201


async def test_words_become_an_item_without_any_tone(core: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    music = (await (await put(core, melody(5).to_wav())).json())["id"]
    words = {
        "title": "讲座",
        "texts": [
            {"language": "zh-CN", "text": "周六上午9:00在文化广场举办健康讲座，咨询电话12345。"},
            {"language": "en", "text": "Health talk on Saturday at 9:00."},
        ],
    }
    plain = await core.ask("POST", f"{MEDIA}/text", json=words)
    assert plain.status == 201, await plain.text()
    item = await plain.json()
    assert item["kind"] == "text"
    assert item["texts"] == words["texts"]
    assert item["lufs"] == pytest.approx(-16, abs=0.5)
    assert item["true_peak_dbtp"] <= -1.5
    again = await core.ask("POST", f"{MEDIA}/text", json=words)
    assert (again.status, (await again.json())["id"]) == (200, item["id"])
    rich = await (await core.ask("POST", f"{MEDIA}/text", json={**words, "chime": True, "bed": music})).json()
    assert rich["seconds"] == pytest.approx(item["seconds"] + 2.7 + 4, abs=0.5)
    assert rich["lufs"] == pytest.approx(-16, abs=0.5)
    for wrong, status in (
        ({"texts": []}, 422),
        ({"texts": [{"language": "xx", "text": "x"}]}, 422),
        ({"texts": [{"language": "zh", "text": "啊" * 2001}]}, 422),
        ({"bed": "nothing"}, 404),
        ({"tone": "attention-1"}, 422),
    ):
        response = await core.ask("POST", f"{MEDIA}/text", json={**words, **wrong})
        assert response.status == status, await response.text()


async def test_items_are_listed_filtered_paged_changed_and_heard_in_part(core: Any) -> None:
    ids = [(await (await put(core, melody(1 + n / 10).to_wav(), title=f"曲 {n}%")).json())["id"] for n in range(3)]

    async def listed(**query: str) -> list[str]:
        page = await (await core.ask("GET", MEDIA, params=query)).json()
        return [item["id"] for item in page["items"]]

    assert await listed() == ids[::-1]
    first = await (await core.ask("GET", MEDIA, params={"limit": "2"})).json()
    assert (first["total"], first["following"]) == (3, ids[1])
    assert await listed(limit="2", before=ids[1]) == ids[:1]
    assert await listed(title="2%") == ids[2:]
    assert await listed(kind="text") == []
    changed = await core.ask("PATCH", f"{MEDIA}/{ids[0]}", json={"title": "新名", "expires_on": "2999-01-01"})
    assert ((await changed.json())["title"], (await changed.json())["expires_on"]) == ("新名", "2999-01-01")
    assert (await core.ask("PATCH", f"{MEDIA}/{ids[0]}", json={"expires_on": "2020-01-01"})).status == 422
    with sqlite3.connect(core.database) as database:  # time passes
        database.execute("UPDATE media_item SET expires_on = '2020-01-01' WHERE id = ?", (ids[1],))
        audits = [
            json.loads(d) for (d,) in database.execute("SELECT detail FROM audit WHERE action = 'media.change'")
        ]
    database.close()
    assert audits == [{"title": {"from": "曲 0%", "to": "新名"}, "expires_on": {"from": None, "to": "2999-01-01"}}]
    assert await listed(expired="true") == [ids[1]]
    assert await listed(expired="false") == [ids[2], ids[0]]
    assert (await (await core.ask("PATCH", f"{MEDIA}/{ids[1]}", json={"expires_on": None})).json())[
        "expired"
    ] is False
    assert await sound_of(core, ids[0], Range="bytes=10-19") == (await sound_of(core, ids[0]))[10:20]
    assert (await core.ask("GET", f"{MEDIA}/nothing/audio")).status == 404


async def test_an_item_that_is_needed_stays_and_the_users_are_named(core: Any) -> None:
    item = await (await put(core, melody(2).to_wav(), title="早安")).json()
    core.users[item["id"]] = [User(kind="playlist", id="p-1", name="晨间")]
    response = await core.ask("DELETE", f"{MEDIA}/{item['id']}")
    problem = await response.json(content_type=None)
    assert (response.status, problem["reason"]) == (409, "in_use")
    assert problem["users"] == [{"kind": "playlist", "id": "p-1", "name": "晨间"}]
    assert "晨间" in problem["detail"]
    core.users.clear()
    assert (await core.ask("DELETE", f"{MEDIA}/{item['id']}")).status == 200
    assert (await core.ask("GET", f"{MEDIA}/{item['id']}")).status == 404
    assert not list(core.services.settings.media_dir.glob("*.mp3"))


async def test_a_file_that_two_items_share_goes_with_the_last_of_them(core: Any) -> None:
    sound = as_file(melody(2), *FORMS["mp3"])
    first = await (await put(core, sound)).json()
    second = await (await put(core, b"ID3\x03\0\0\0\0\0\x0a" + bytes(10) + sound)).json()
    assert first["id"] != second["id"]
    assert first["sha256"] == second["sha256"]
    assert (await core.ask("DELETE", f"{MEDIA}/{first['id']}")).status == 200
    assert (await core.ask("GET", f"{MEDIA}/{second['id']}/audio")).status == 200


async def test_who_may_not_does_not(core: Any) -> None:
    item = await (await put(core, melody(1).to_wav())).json()
    path = f"{MEDIA}/{item['id']}"
    for method, where in (("POST", f"{MEDIA}?title=x"), ("POST", f"{MEDIA}/text"), ("PATCH", path), ("DELETE", path)):
        for token, status in (("reader", 403), ("sender", 403), (None, 401)):
            assert (await core.ask(method, where, token=token)).status == status


@pytest.mark.parametrize(
    ("query", "field"),
    [({}, "title"), ({"title": " "}, "title"), ({"title": "x", "expires_on": "2020-01-01"}, "expires_on"),
     ({"title": "x" * 201}, "title"), ({"title": "a\nb"}, "title"),
     ({"title": "x", "expires_on": "soon"}, "query.expires_on")],
)  # fmt: skip
async def test_what_is_said_of_an_item_must_make_sense(core: Any, query: dict[str, str], field: str) -> None:
    response = await core.ask("POST", MEDIA, params=query, data=melody(1).to_wav())
    assert (response.status, (await response.json(content_type=None))["field"]) == (422, field)
