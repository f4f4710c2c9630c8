"""Fetching audio over HTTP for many speakers in one process: bounded in bytes, time and connections."""

from __future__ import annotations

import asyncio
from hashlib import sha256
from types import TracebackType
from typing import Final, Self

import aiohttp

from drivers.ip_speaker.wire.command import Audio
from simulators.speakers import sound
from simulators.speakers.downloads import Fetched

_CONNECTIONS: Final = 64
_TIMEOUT: Final = aiohttp.ClientTimeout(total=30, sock_connect=5)
_CHUNK: Final = 1 << 16


class AudioSource:
    """One HTTP session for the fleet.

    Each speaker fetches and hashes for itself; with `once`, the first one does it for all. Decoding, which only
    tells how long the sound is, happens once for each file in any case, and its PCM is kept only with `keep_pcm`.
    """

    def __init__(self, *, once: bool = False, keep_pcm: bool = False) -> None:
        self._once = once
        self._keep_pcm = keep_pcm
        self._session: aiohttp.ClientSession | None = None
        self._shared: dict[str, asyncio.Task[Fetched | None]] = {}
        self._lengths: dict[str, asyncio.Task[int | None]] = {}
        self.pcm: dict[str, bytes] = {}  # by SHA-256

    async def __aenter__(self) -> Self:
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=_CONNECTIONS),
            timeout=_TIMEOUT,
            cookie_jar=aiohttp.DummyCookieJar(),
        )
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        tasks = [*self._shared.values(), *self._lengths.values()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        if self._session is not None:
            await self._session.close()

    async def fetch(self, audio: Audio) -> Fetched | None:
        """The body at `audio.url`, judged by nobody yet. None if there was none."""
        if not self._once:
            return await self._fetch(audio)
        task = self._shared.get(audio.sha256)
        if task is None:
            task = self._shared[audio.sha256] = asyncio.create_task(self._fetch(audio), name=f"fetch {audio.sha256}")
        body = await asyncio.shield(task)
        if body is None or body.sha256 != audio.sha256:
            self._shared.pop(audio.sha256, None)  # the next one tries again
        return body

    async def _fetch(self, audio: Audio) -> Fetched | None:
        try:
            data = await self._read(audio)
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError):
            return None
        if data is None:
            return None
        digest = sha256(data).hexdigest()
        ms = await self._length(digest, data) if digest == audio.sha256 else None
        return Fetched(sha256=digest, size=len(data), ms=ms)

    async def _read(self, audio: Audio) -> bytes | None:
        """The body, or as much of it as shows that it is too long."""
        assert self._session is not None
        async with self._session.get(audio.url) as response:
            if response.status != 200:
                return None
            data = bytearray()
            async for chunk in response.content.iter_chunked(_CHUNK):
                data += chunk
                if len(data) > audio.size:
                    break
            return bytes(data)

    async def _length(self, digest: str, data: bytes) -> int | None:
        task = self._lengths.get(digest)
        if task is None:
            task = self._lengths[digest] = asyncio.create_task(self._decode(digest, data), name=f"decode {digest}")
        return await asyncio.shield(task)

    async def _decode(self, digest: str, data: bytes) -> int | None:
        try:
            pcm = await asyncio.to_thread(sound.decode, data)
        except sound.Undecodable:
            return None
        if self._keep_pcm:
            self.pcm[digest] = pcm
        return sound.length_ms(pcm)
