"""The checks of the machine, the disk, the keys and the addresses."""

from __future__ import annotations

import os
import resource
import socket
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from broadcast_core.config import Listener, Space
from broadcast_core.doctor import Grade, machine, ports, storage
from broadcast_core.doctor.listeners import owner_of
from broadcast_core.doctor.scene import Core
from broadcast_core.keys import secret_bytes, signing_keys, write_secret


class At:
    """A clock that stands."""

    def __init__(self, now: datetime) -> None:
        self._now = now

    def now(self) -> datetime:
        return self._now

    def monotonic(self) -> float:
        return 0.0


@pytest.fixture
def installed(scene: Any) -> Any:
    """A scene whose keys are all made."""
    made = scene()
    directory = made.settings.secrets_dir
    signing_keys(directory)
    secret_bytes(directory / "sms-reports")
    write_secret(directory / "api-token", b"tcs_1_secret")
    return made


async def test_keys_that_are_in_order_are_ok(installed: Any) -> None:
    assert (await storage.secrets(installed)).grade is Grade.OK


@pytest.mark.parametrize("name", ["sign-live-emergency.pem", "sms-reports", "api-token"])
async def test_a_secret_that_others_can_read_is_named(installed: Any, name: str) -> None:
    (installed.settings.secrets_dir / name).chmod(0o644)
    found = await storage.secrets(installed)
    assert found.grade is Grade.FAIL
    assert name in str(found.details[0])


async def test_a_broken_and_a_missing_key_are_named(installed: Any) -> None:
    directory = installed.settings.secrets_dir
    (directory / "sign-live-emergency.pem").write_bytes(b"not a key")
    (directory / "sms-reports").unlink()
    found = await storage.secrets(installed)
    assert found.grade is Grade.FAIL
    assert len(found.details) == 2


async def test_the_first_token_may_be_taken_away(installed: Any) -> None:
    (installed.settings.secrets_dir / "api-token").unlink()
    assert (await storage.secrets(installed)).grade is Grade.OK


async def test_before_the_first_start_nothing_is_missing_and_nothing_is_made(scene: Any) -> None:
    fresh = scene()
    for look in (storage.secrets, storage.database, storage.space, storage.fsync):
        assert (await look(fresh)).grade is not Grade.FAIL
    assert not fresh.settings.data_dir.exists()


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
async def test_a_data_directory_of_somebody_else_is_found(scene: Any) -> None:
    installation = scene()
    installation.settings.data_dir.mkdir(mode=0o500)
    assert (await storage.space(installation)).grade is Grade.FAIL


async def test_an_address_that_another_program_has_is_named_with_the_program(scene: Any) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        found = await ports.ports(scene(media=Listener(port=port)))
        owner = owner_of(port)
    assert found.grade is Grade.FAIL
    assert f"media (127.0.0.1:{port})" in str(found.details[0])
    if owner is not None:  # where /proc tells
        assert owner.pid == os.getpid()
        assert str(os.getpid()) in str(found.details[0])


async def test_a_core_on_its_last_reserve_is_a_fault_even_if_it_is_ready(scene: Any) -> None:
    health = {"ready": True, "store_writable": True, "channels_up": {}, "ballast": False}
    running = Core(health=health, ahead=timedelta())
    assert (await ports.core(replace(scene(), core=running))).grade is Grade.FAIL
    running = Core(health={**health, "ballast": True}, ahead=timedelta())
    assert (await ports.core(replace(scene(), core=running))).grade is Grade.OK


async def test_less_room_than_the_reserve_is_a_fault(scene: Any) -> None:
    found = await storage.space(scene(space=Space(reserve_mb=10**9)))
    assert found.grade is Grade.FAIL


async def test_free_addresses_are_ok(scene: Any) -> None:
    assert (await ports.ports(scene())).grade is Grade.OK


async def test_a_core_that_is_not_ready_says_what_is_down(scene: Any) -> None:
    health = {"ready": False, "store_writable": False, "channels_up": {"speaker": True, "horn": False}}
    found = await ports.core(replace(scene(), core=Core(health=health, ahead=timedelta())))
    assert found.grade is Grade.FAIL
    assert [detail.values.get("channel") for detail in found.details] == [None, "horn"]


async def test_too_few_descriptors_are_found(scene: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resource, "getrlimit", lambda _which: (1024, 1024))
    found = await machine.descriptors(scene())
    assert found.grade is Grade.FAIL
    assert found.says.values["speakers"] == 1099


async def test_a_clock_of_long_ago_and_one_that_differs_from_the_cores_are_found(scene: Any) -> None:
    old = replace(scene(), clock=At(datetime(1970, 1, 1, tzinfo=UTC)))
    assert (await machine.clock(old)).grade is Grade.FAIL
    apart = replace(scene(), core=Core(health={}, ahead=timedelta(seconds=-40)))
    assert (await machine.clock(apart)).grade is Grade.FAIL


async def test_a_time_zone_that_does_not_exist_is_found(scene: Any) -> None:
    assert (await machine.clock(scene(timezone="Asia/Nowhere"))).grade is Grade.FAIL


async def test_every_library_that_the_project_needs_is_there(scene: Any) -> None:
    assert (await machine.versions(scene())).grade is Grade.OK
