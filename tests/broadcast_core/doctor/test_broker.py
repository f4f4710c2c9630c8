"""The checks of the broker, against mosquitto as it is set up well and badly."""

from __future__ import annotations

import asyncio
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from broadcast_core.config import Mqtt
from broadcast_core.doctor import Grade, broker

Configure = Callable[[str], Any]
DEFAULTS = "allow_anonymous true\n"
GOOD = "max_inflight_messages 0\nmax_queued_messages 0\nset_tcp_nodelay true\n"


@pytest.fixture
def configured(mosquitto: Any, tmp_path: Path) -> Configure:
    """The broker again, with this configuration instead of the tests' usual one."""

    def restart(configuration: str) -> Any:
        mosquitto.stop()
        # Started by root it would become a user who cannot read the test's directory.
        text = f"user root\nlistener {mosquitto.port} 127.0.0.1\n{configuration}"
        (tmp_path / "mosquitto.conf").write_text(text)
        mosquitto.start()
        return mosquitto

    return restart


def mqtt(server: Any, **more: Any) -> Mqtt:
    return Mqtt(embedded=False, host=server.host, port=server.port, **more)


async def test_mosquittos_defaults_lose_acknowledgements_and_that_is_found(scene: Any, configured: Configure) -> None:
    found = await broker.storm(scene(mqtt=mqtt(configured(DEFAULTS))))
    assert found.grade is Grade.FAIL
    assert found.says.values == {"arrived": 1020, "sent": 1208}
    assert "max_inflight_messages 0" in str(found.advice)


async def test_a_storm_comes_through_whole_where_the_limits_are_right(scene: Any, configured: Configure) -> None:
    found = await broker.storm(scene(mqtt=mqtt(configured(DEFAULTS + GOOD))))
    assert found.grade is Grade.OK, str(found.says)


async def test_an_access_list_that_keeps_the_core_out_is_named(
    scene: Any, configured: Configure, tmp_path: Path
) -> None:
    rules = tmp_path / "acl"
    rules.write_text("topic readwrite elsewhere/#\n")
    found = await broker.storm(scene(mqtt=mqtt(configured(DEFAULTS + GOOD + f"acl_file {rules}\n"))))
    assert found.grade is Grade.FAIL
    assert "access list" in str(found.says)


async def test_a_broker_that_takes_too_few_connections_is_found(scene: Any, configured: Configure) -> None:
    found = await broker.crowd(scene(mqtt=mqtt(configured(DEFAULTS + "max_connections 40\n"))))
    assert found.grade is Grade.FAIL
    assert found.says.values["wanted"] == 1149
    assert found.says.values["taken"] in (40, 41)  # mosquitto counts from nought


async def test_no_crowd_is_sent_to_a_live_fields_broker(scene: Any, mosquitto: Any) -> None:
    found = await broker.crowd(scene(running=True, mqtt=mqtt(mosquitto)))
    assert found.grade is not Grade.FAIL
    assert "mosquitto" in str(found.says) or found.grade is Grade.SKIPPED


async def test_an_open_broker_is_a_warning(scene: Any, mosquitto: Any) -> None:
    found = await broker.reached(scene(mqtt=mqtt(mosquitto)))
    assert found.grade is Grade.WARN
    assert "anybody" in str(found.says)


async def test_a_wrong_password_is_said_in_words_and_a_right_one_is_fine(
    scene: Any, configured: Configure, tmp_path: Path
) -> None:
    program = shutil.which("mosquitto_passwd")
    assert program is not None
    file = tmp_path / "passwords"
    subprocess.run([program, "-b", "-c", str(file), "tocsin", "right"], check=True, capture_output=True)
    server = configured(f"allow_anonymous false\npassword_file {file}\n")
    refused = await broker.reached(scene(mqtt=mqtt(server, username="tocsin"), password="wrong"))
    assert refused.grade is Grade.FAIL
    assert "user name or the password" in str(refused.says)
    taken = await broker.reached(scene(mqtt=mqtt(server, username="tocsin"), password="right"))
    assert taken.grade is Grade.OK, str(taken.says)


async def test_what_is_no_broker_is_found(scene: Any) -> None:
    async def web(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        await writer.drain()
        await reader.read()
        writer.close()

    async with await asyncio.start_server(web, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        found = await broker.reached(scene(mqtt=Mqtt(embedded=False, port=port)))
    assert found.grade is Grade.FAIL


async def test_a_broker_that_is_not_there_is_found(scene: Any, mosquitto: Any) -> None:
    mosquitto.stop()
    gone = scene(mqtt=mqtt(mosquitto))
    assert (await broker.reached(gone)).grade is Grade.FAIL
    assert (await broker.storm(gone)).grade is Grade.SKIPPED  # one fault is told once
