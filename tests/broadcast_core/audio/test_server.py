"""Over real HTTP."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
import textwrap
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest

from broadcast_core.audio import listener
from broadcast_core.audio.listener import MediaListener
from broadcast_core.audio.media import MediaFile, MediaStore
from broadcast_core.audio.server import serving
from broadcast_core.config import Listener

ANYWHERE = Listener(port=0)
SOUND = bytes(range(256)) * 1200  # 307,200 bytes


@pytest.fixture
def file(media: MediaStore) -> MediaFile:
    return media.put(SOUND, "audio/mpeg")


@pytest.fixture
async def base(media: MediaStore) -> AsyncIterator[str]:
    async with serving(media, "127.0.0.1", 0) as port:
        yield f"http://127.0.0.1:{port}"


@pytest.fixture
async def http() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:
        yield session


Client = aiohttp.ClientSession


async def test_a_file_is_served_whole_and_for_ever(base: str, http: Client, file: MediaFile) -> None:
    async with http.get(f"{base}/media/{file.name}") as answer:
        assert answer.status == 200
        assert await answer.read() == SOUND
        assert answer.headers["ETag"] == f'"{file.sha256}"'
        assert answer.headers["Cache-Control"] == "public, max-age=31536000, immutable"
        assert answer.headers["Content-Type"] == "audio/mpeg"
        assert answer.headers["Accept-Ranges"] == "bytes"


async def test_head_tells_the_same_without_the_bytes(base: str, http: Client, file: MediaFile) -> None:
    async with http.head(f"{base}/media/{file.name}") as answer:
        assert answer.status == 200
        assert answer.headers["Content-Length"] == str(len(SOUND))
        assert answer.headers["ETag"] == f'"{file.sha256}"'
        assert await answer.read() == b""


@pytest.mark.parametrize(
    ("wanted", "start", "stop"),
    [
        ("bytes=0-0", 0, 1),
        ("bytes=0-99", 0, 100),
        ("bytes=1000-", 1000, len(SOUND)),
        ("bytes=-500", len(SOUND) - 500, len(SOUND)),
        ("bytes=-999999999", 0, len(SOUND)),
        (f"bytes=100-{len(SOUND) + 5}", 100, len(SOUND)),
    ],
)
async def test_a_part_can_be_fetched(
    base: str, http: Client, file: MediaFile, wanted: str, start: int, stop: int
) -> None:
    async with http.get(f"{base}/media/{file.name}", headers={"Range": wanted}) as answer:
        assert answer.status == 206
        assert answer.headers["Content-Range"] == f"bytes {start}-{stop - 1}/{len(SOUND)}"
        assert await answer.read() == SOUND[start:stop]


async def test_a_broken_download_goes_on_where_it_stopped(base: str, http: Client, file: MediaFile) -> None:
    headers = {"Range": "bytes=150000-", "If-Range": f'"{file.sha256}"'}
    async with http.get(f"{base}/media/{file.name}", headers=headers) as answer:
        assert answer.status == 206
        assert SOUND[:150000] + await answer.read() == SOUND


@pytest.mark.parametrize("wanted", [f"bytes={len(SOUND)}-", "bytes=99999999-"])
async def test_a_part_that_does_not_exist_is_refused(base: str, http: Client, file: MediaFile, wanted: str) -> None:
    async with http.get(f"{base}/media/{file.name}", headers={"Range": wanted}) as answer:
        assert answer.status == 416
        assert answer.headers["Content-Range"] == f"bytes */{len(SOUND)}"


@pytest.mark.parametrize(
    "headers",
    [
        {"Range": "bytes=0-1,5-6"},
        {"Range": "lines=1-2"},
        {"Range": "bytes=9-3"},
        {"Range": "bytes=0-9", "If-Range": '"another"'},
    ],
)
async def test_a_range_that_does_not_apply_gives_the_whole(
    base: str, http: Client, file: MediaFile, headers: dict[str, str]
) -> None:
    async with http.get(f"{base}/media/{file.name}", headers=headers) as answer:
        assert answer.status == 200
        assert await answer.read() == SOUND


@pytest.mark.parametrize("tag", ['"{sha}"', 'W/"{sha}"', "*", '"x", "{sha}"'])
async def test_who_has_it_already_gets_nothing(base: str, http: Client, file: MediaFile, tag: str) -> None:
    headers = {"If-None-Match": tag.format(sha=file.sha256)}
    async with http.get(f"{base}/media/{file.name}", headers=headers) as answer:
        assert answer.status == 304
        assert answer.headers["ETag"] == f'"{file.sha256}"'
        assert await answer.read() == b""


async def test_other_conditions_are_kept(base: str, http: Client, file: MediaFile) -> None:
    url = f"{base}/media/{file.name}"
    async with http.get(url, headers={"If-None-Match": '"other"'}) as answer:
        assert answer.status == 200
    async with http.get(url, headers={"If-Match": '"other"'}) as answer:
        assert answer.status == 412
    async with http.get(url, headers={"If-Match": f'"{file.sha256}"'}) as answer:
        assert answer.status == 200


async def asked(base: str, request: bytes) -> bytes:
    """The answer to raw bytes, so that no client tidies the path."""
    reader, writer = await asyncio.open_connection("127.0.0.1", int(base.rsplit(":", 1)[1]))
    writer.write(request)
    async with asyncio.timeout(20):
        answer = await reader.read()
    writer.close()
    await writer.wait_closed()
    return answer


@pytest.mark.parametrize(
    "path",
    [
        "/",
        "/media/",
        "/media",
        "/media/../secret.txt",
        "/media/%2e%2e/secret.txt",
        "/media/..%2fsecret.txt",
        "/media/%2fetc%2fpasswd",
        "//etc/passwd",
        "/media/" + "0" * 64 + ".mp3",
        "/media/" + "0" * 64 + ".mp3/../../secret.txt",
        "/media/.hidden.part",
        "/metrics",
    ],
)
async def test_nothing_else_is_served(base: str, media: MediaStore, tmp_path: Path, path: str) -> None:
    (tmp_path / "secret.txt").write_text("a secret")
    (tmp_path / "media" / ".hidden.part").write_text("a secret")
    answer = await asked(base, f"GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode())
    assert b" 404 " in answer.split(b"\r\n")[0]
    assert b"a secret" not in answer
    assert b"root:" not in answer


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH"])
async def test_nothing_can_be_changed(base: str, http: Client, file: MediaFile, method: str) -> None:
    async with http.request(method, f"{base}/media/{file.name}", data=b"x" * 5000) as answer:
        assert answer.status == 405
    assert file.path.read_bytes() == SOUND


async def test_hundreds_fetch_at_once_and_all_get_the_same(base: str, http: Client, file: MediaFile) -> None:
    async def fetch() -> bool:
        async with http.get(f"{base}/media/{file.name}") as answer:
            return await answer.read() == SOUND

    assert all(await asyncio.gather(*(fetch() for _ in range(300))))


@pytest.mark.parametrize("beginning", [b"", b"GET /media/", b"GET / HTTP/1.1\r\nHost: x\r\nX: "])
async def test_a_connection_that_never_finishes_asking_is_cut_off(media: MediaStore, beginning: bytes) -> None:
    async with serving(media, "127.0.0.1", 0, first_request_s=0.2) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(beginning)
        async with asyncio.timeout(20):
            assert await reader.read() == b""
        writer.close()


async def test_a_reader_that_goes_away_in_the_middle_harms_nobody(base: str, http: Client, file: MediaFile) -> None:
    for _ in range(20):
        _reader, writer = await asyncio.open_connection("127.0.0.1", int(base.rsplit(":", 1)[1]))
        writer.write(f"GET /media/{file.name} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        await writer.drain()
        writer.transport.abort()
    async with http.get(f"{base}/media/{file.name}") as answer:
        assert await answer.read() == SOUND


async def test_a_process_of_its_own_serves_the_same(media: MediaStore, http: Client, file: MediaFile) -> None:
    async with MediaListener(ANYWHERE, file.path.parent) as served:
        assert served.pid not in (None, os.getpid())
        async with http.get(f"http://127.0.0.1:{served.port}/media/{file.name}") as answer:
            assert await answer.read() == SOUND
        pid = served.pid
    assert pid is not None
    assert not alive(pid)


async def test_the_process_is_started_again_when_it_dies(media: MediaStore, http: Client, file: MediaFile) -> None:
    async with MediaListener(ANYWHERE, file.path.parent) as served:
        first, port = served.pid, served.port
        assert first is not None
        os.kill(first, signal.SIGKILL)
        async with asyncio.timeout(30):
            while served.pid in (None, first):
                await asyncio.sleep(0.02)
            while True:
                try:
                    async with http.get(f"http://127.0.0.1:{port}/media/{file.name}") as answer:
                        assert await answer.read() == SOUND
                    break
                except aiohttp.ClientConnectionError:
                    await asyncio.sleep(0.02)


async def test_a_port_that_stays_taken_is_told(
    media: MediaStore, base: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(listener, "_START_TRIES", 2)
    taken = Listener(port=int(base.rsplit(":", 1)[1]))
    with pytest.raises(OSError, match="does not start"):
        async with MediaListener(taken, tmp_path / "media"):
            pass


async def test_a_port_that_becomes_free_is_taken(media: MediaStore, http: Client, file: MediaFile) -> None:
    async with contextlib.AsyncExitStack() as stack, asyncio.timeout(60):
        async with serving(media, "127.0.0.1", 0) as port:
            served = MediaListener(Listener(port=port), file.path.parent)
            starting = asyncio.create_task(stack.enter_async_context(served))
            while served._process is None or served._process.returncode is None:
                await asyncio.sleep(0.01)  # until its first try has failed
            assert not starting.done()
        await starting
        async with http.get(f"http://127.0.0.1:{port}/media/{file.name}") as answer:
            assert await answer.read() == SOUND


async def test_the_process_ends_with_the_one_that_started_it(tmp_path: Path) -> None:
    source = f"""
        import asyncio, pathlib
        from broadcast_core.audio.listener import MediaListener
        from broadcast_core.config import Listener
        async def main():
            async with MediaListener(Listener(port=0), pathlib.Path({str(tmp_path)!r})) as served:
                print(served.pid, flush=True)
                await asyncio.sleep(999)
        asyncio.run(main())
    """
    parent = await asyncio.create_subprocess_exec(
        sys.executable, "-c", textwrap.dedent(source), stdout=asyncio.subprocess.PIPE
    )
    assert parent.stdout is not None
    async with asyncio.timeout(30):
        child = int(await parent.stdout.readline())
        assert alive(child)
        parent.kill()
        await parent.wait()
        while alive(child):
            await asyncio.sleep(0.02)


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False
