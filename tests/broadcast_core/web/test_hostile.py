"""Hostile and broken clients: bounded in bytes, time and connections, and no valid one is kept out."""

from __future__ import annotations

import asyncio
import gzip
from contextlib import AsyncExitStack
from typing import Any

import aiohttp
import pytest

from broadcast_core.cap import LARGEST_MESSAGE
from broadcast_core.web import Limits

ALERTS = "/api/v1/alerts"


@pytest.fixture
def limits() -> Limits:
    return Limits(connections=20, head_s=0.5, idle_s=1.0, stalled_s=0.5, lingering_s=0.2, headers=32)


async def closed(reader: asyncio.StreamReader, seconds: float = 10.0) -> bytes:
    """What still comes until the other side closes."""
    async with asyncio.timeout(seconds):
        try:
            return await reader.read()
        except ConnectionError:
            return b""


async def test_a_head_that_never_ends_is_cut_off(core: Any) -> None:
    for begun in (b"", b"GET /healthz HTTP/1.1\r\nHost: x\r\nX-Slow: ", b"\r\n"):
        reader, writer = await asyncio.open_connection(*core.address)
        writer.write(begun)
        assert await closed(reader) == b""
        writer.close()


async def test_a_head_that_drips_is_cut_off_all_the_same(core: Any) -> None:
    reader, writer = await asyncio.open_connection(*core.address)

    async def drip() -> None:
        for letter in b"GET /healthz HTTP/1.1\r\nX-Slow: " + b"a" * 1000:
            writer.write(bytes([letter]))
            await asyncio.sleep(0.05)

    dripping = asyncio.create_task(drip())
    assert await closed(reader) == b""
    dripping.cancel()
    writer.close()


async def test_an_idle_connection_is_closed(core: Any) -> None:
    reader, writer = await asyncio.open_connection(*core.address)
    writer.write(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
    assert (await closed(reader)).startswith(b"HTTP/1.1 200")
    writer.close()


async def test_a_body_beyond_the_most_is_refused_with_and_without_its_length(core: Any) -> None:
    async def endless() -> Any:
        while True:
            yield b"x" * 65536

    for body in (b"x" * (LARGEST_MESSAGE + 1), endless()):
        response = await core.ask("POST", ALERTS, data=body, headers={"Content-Type": "application/xml"})
        assert response.status == 413
        assert (await response.json())["type"] == "urn:tocsin:problem:too_large"


async def test_a_compressed_body_is_refused_unopened(core: Any) -> None:
    bomb = gzip.compress(b" " * 50_000_000)
    headers = {"Content-Type": "application/xml", "Content-Encoding": "gzip"}
    response = await core.ask("POST", ALERTS, data=bomb, headers=headers)
    assert response.status == 415


async def test_too_many_headers_are_refused(core: Any) -> None:
    response = await core.ask("GET", "/healthz", token=None, headers={f"X-{n}": "v" for n in range(100)})
    assert response.status == 400


async def test_a_reader_that_takes_nothing_is_cut_off(core: Any) -> None:
    loop = asyncio.get_running_loop()
    gone = loop.create_future()

    class Deaf(asyncio.Protocol):
        def connection_made(self, transport: asyncio.BaseTransport) -> None:
            assert isinstance(transport, asyncio.Transport)
            transport.pause_reading()
            request = "GET /api/v1/openapi.json HTTP/1.1\r\nHost: x\r\n"
            request += f"Authorization: {core.bearer()['Authorization']}\r\n\r\n"
            transport.write(request.encode() * 400)

        def connection_lost(self, _error: Exception | None) -> None:
            if not gone.done():
                gone.set_result(None)

    transport, _protocol = await loop.create_connection(Deaf, *core.address)

    async def few() -> bool:
        # A closed peer is not seen by who does not read: ask the server.
        metrics = await (await core.ask("GET", "/metrics")).text()
        line = next(m for m in metrics.splitlines() if m.startswith("tocsin_api_connections "))
        return float(line.split()[1]) <= 1

    await core.until(few)
    transport.abort()
    await gone


async def test_when_all_places_are_taken_the_oldest_stranger_goes(core: Any) -> None:
    strangers = [await asyncio.open_connection(*core.address) for _ in range(60)]
    response = await core.ask("GET", "/api/v1/me")
    assert response.status == 200
    metrics = await (await core.ask("GET", "/metrics")).text()
    evicted = next(line for line in metrics.splitlines() if line.startswith("tocsin_api_connections_evicted_total "))
    assert float(evicted.split()[1]) >= 40
    for _reader, writer in strangers:
        writer.close()


async def test_who_has_shown_a_token_keeps_its_stream_in_a_flood(core: Any) -> None:
    async with core.http.get(f"{core.url}/api/v1/events", headers=core.bearer()) as stream:
        first = await stream.content.readline()
        strangers = [await asyncio.open_connection(*core.address) for _ in range(60)]
        assert first == b"event: counts\r\n"
        accepted = await core.send(core.cap())
        async with asyncio.timeout(10):
            while accepted["alert_id"].encode() not in await stream.content.readline():
                pass
    for _reader, writer in strangers:
        writer.close()


async def test_known_clients_that_only_idle_make_room_too(core: Any) -> None:
    idle = []
    for _ in range(20):
        reader, writer = await asyncio.open_connection(*core.address)
        request = f"GET /api/v1/me HTTP/1.1\r\nHost: x\r\nAuthorization: {core.bearer()['Authorization']}\r\n\r\n"
        writer.write(request.encode())
        assert (await reader.readline()).startswith(b"HTTP/1.1 200")
        idle.append(writer)
    assert (await core.ask("GET", "/api/v1/me")).status == 200
    for writer in idle:
        writer.close()


async def test_one_token_that_keeps_all_places_busy_makes_room_for_a_stop(core: Any) -> None:
    accepted = await core.send(core.cap())
    greedy = core.bearer("reader")
    async with AsyncExitStack() as stack:
        streams = []
        for _ in range(20):
            response = await stack.enter_async_context(core.http.get(f"{core.url}/api/v1/events", headers=greedy))
            await response.content.readline()
            streams.append(response)
        async with aiohttp.ClientSession() as officer:  # a connection of its own
            url = f"{core.url}/api/v1/alerts/{accepted['alert_id']}/stop"
            async with officer.post(url, headers=core.bearer(), json={}) as answer:
                assert answer.status == 200, await answer.text()
        assert not streams[-1].content.at_eof()  # only the oldest had to go


async def test_what_nobody_expected_is_a_500_that_tells_nothing(core: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(self: Any) -> Any:
        raise ZeroDivisionError("the secret of the inside")

    monkeypatch.setattr(type(core.tokens), "__iter__", broken)
    response = await core.ask("GET", "/api/v1/tokens")
    assert response.status == 500
    assert response.content_type == "application/problem+json"
    assert "secret" not in await response.text()
    assert "Zero" not in await response.text()
