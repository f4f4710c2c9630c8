"""The listener that speakers fetch audio from: GET and HEAD of /media/<sha256>.<extension>, and nothing else.

    python -m broadcast_core.audio.server --dir var/media --host 127.0.0.1 --port 8791

Content never changes under its name, so the hash is the ETag and caches may keep it for ever. The bytes go from the
page cache to the socket by sendfile: a thousand slow readers cost no memory of ours.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import resource
import signal
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import BinaryIO, Final

from aiohttp import ETag, hdrs, web

from broadcast_core.audio.media import MediaFile, MediaStore

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

_FOREVER: Final = "public, max-age=31536000, immutable"
_BACKLOG: Final = 4096  # every speaker of a district may connect in the same second
_KEEP_ALIVE_S: Final = 15.0
_SEND_S: Final = 120.0  # a reader slower than this for one response is cut off


def application(store: MediaStore) -> web.Application:
    """The application: 404 to everything but the files of `store`."""
    app = web.Application(client_max_size=1024, middlewares=[_note_asked])
    app[_STORE], app[_ASKED] = store, set()
    app.router.add_get("/media/{name}", _media)
    return app


@contextlib.asynccontextmanager
async def serving(store: MediaStore, host: str, port: int, *, first_request_s: float = 10.0) -> AsyncIterator[int]:
    """Serve in this event loop; yields the port (chosen by the system where `port` is 0). Raises OSError.

    A connection that has asked for nothing within `first_request_s`, or reads slower than that it could be done in
    two minutes, is cut off.
    """
    app = application(store)
    runner = web.AppRunner(app, access_log=None, keepalive_timeout=_KEEP_ALIVE_S, handler_cancellation=True)
    await runner.setup()
    assert runner.server is not None
    reaper = asyncio.create_task(_reap(runner.server, app[_ASKED], first_request_s), name="media reaper")
    try:
        await web.TCPSite(runner, host, port, backlog=_BACKLOG).start()
        yield runner.addresses[0][1]
    finally:
        reaper.cancel()
        await runner.cleanup()


_STORE: Final = web.AppKey("store", MediaStore)
_ASKED: Final = web.AppKey("asked", set[web.RequestHandler])  # connections that have made a request


@web.middleware
async def _note_asked(request: web.Request, handler: Handler) -> web.StreamResponse:
    request.app[_ASKED].add(request.protocol)
    return await handler(request)


async def _reap(server: web.Server, asked: set[web.RequestHandler], first_request_s: float) -> None:
    """Cut off connections that never ask, or never finish asking: aiohttp's own time-outs begin after a request."""
    waiting: set[web.RequestHandler] = set()
    while True:
        await asyncio.sleep(first_request_s / 2)
        present = set(server.connections)
        asked &= present
        for connection in present - asked:
            if connection in waiting:
                connection.force_close()
        waiting = present - asked


async def _media(request: web.Request) -> web.StreamResponse:
    file = request.app[_STORE].named(request.match_info["name"])
    if file is None:
        raise web.HTTPNotFound
    return await answer(request, file, _FOREVER)


async def answer(request: web.Request, file: MediaFile, cache_control: str) -> web.StreamResponse:
    """A file or one range of it, by its hash as ETag (RFC 9110)."""
    headers: dict[str, str] = {
        hdrs.ETAG: f'"{file.sha256}"',
        hdrs.CACHE_CONTROL: cache_control,
        hdrs.ACCEPT_RANGES: "bytes",
    }
    if request.if_match is not None and not _matches(request.if_match, file):
        return web.Response(status=412, headers=headers)
    if request.if_none_match is not None and _matches(request.if_none_match, file):
        return web.Response(status=304, headers=headers)
    try:
        part = _part(request, file)
    except IndexError:
        return web.Response(status=416, headers=headers | {hdrs.CONTENT_RANGE: f"bytes */{file.size}"})
    return await _send(request, file, part, headers)


def _matches(wanted: tuple[ETag, ...], file: MediaFile) -> bool:
    return any(tag.value in ("*", file.sha256) for tag in wanted)


def _part(request: web.Request, file: MediaFile) -> range | None:
    """The bytes asked for, None for the whole. Raises IndexError when none of them exist (RFC 9110, 14.2).

    A Range that we do not understand, or one whose If-Range names other content, is as if it were not there.
    """
    if request.headers.get(hdrs.IF_RANGE, f'"{file.sha256}"') != f'"{file.sha256}"':
        return None
    try:
        wanted = request.http_range
    except ValueError:
        return None
    if wanted.start is None and wanted.stop is None:
        return None
    part = range(file.size)[wanted]
    if not part:
        raise IndexError
    return part


async def _send(
    request: web.Request, file: MediaFile, part: range | None, headers: dict[str, str]
) -> web.StreamResponse:
    response = web.StreamResponse(status=200 if part is None else 206, headers=headers)
    response.content_type = file.mime_type
    if part is not None:
        response.headers[hdrs.CONTENT_RANGE] = f"bytes {part.start}-{part.stop - 1}/{file.size}"
    part = range(file.size) if part is None else part
    response.content_length = len(part)
    with file.path.open("rb") as opened:
        await response.prepare(request)
        if request.method != hdrs.METH_HEAD and part:
            await _copy(request, opened, part)
    await response.write_eof()
    return response


async def _copy(request: web.Request, opened: BinaryIO, part: range) -> None:
    if request.transport is None:
        raise ConnectionResetError("the reader has gone")
    try:
        async with asyncio.timeout(_SEND_S):
            await asyncio.get_running_loop().sendfile(request.transport, opened, part.start, len(part))
    except TimeoutError:
        request.transport.abort()
        raise


def main() -> None:
    parser = argparse.ArgumentParser(description="Serve finished audio to the speakers.")
    parser.add_argument("--dir", type=Path, required=True)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, required=True, help="0: chosen by the system")
    parser.add_argument(
        "--until-stdin-closes", action="store_true", help="end with the process that started this one"
    )
    options = parser.parse_args()
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))  # a socket and a file for each speaker
    asyncio.run(_serve(MediaStore(options.dir), options.host, options.port, until_eof=options.until_stdin_closes))


async def _serve(store: MediaStore, host: str, port: int, *, until_eof: bool) -> None:
    """Serve until SIGTERM or SIGINT; the port goes to stdout as a line."""
    loop, over = asyncio.get_running_loop(), asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, over.set)
    if until_eof:
        loop.add_reader(sys.stdin.fileno(), over.set)  # nobody writes to it: readable means closed
    async with serving(store, host, port) as bound:
        sys.stdout.write(f"{bound}\n")
        sys.stdout.flush()
        await over.wait()


if __name__ == "__main__":
    main()
