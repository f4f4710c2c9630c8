"""A whole installation for fault tests: core and broker are real processes, the field is in the test.

What the core claims comes from its API; what really sounded comes from the fleet's play log and the boards' edges.
"""

from __future__ import annotations

import asyncio
import ctypes
import os
import sqlite3
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, closing, contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import aiohttp
import aiomqtt
import pytest
from prometheus_client.parser import text_string_to_metric_families

from broadcast_core import cap
from broadcast_core.cli.demo.alert import demo_alert
from broadcast_core.cli.demo.stage import Stage, free_ports
from broadcast_core.keys import write_secret
from broadcast_core.model import Area, Channel, NamedValue
from broadcast_core.provision import provision_from
from broadcast_core.registry import Registry
from broadcast_core.registry.dataset import generate, serial_lines
from drivers.ip_speaker.wire import provision
from simulators.relay import RelayField
from simulators.sms_gateway import SmsGatewaySimulator
from simulators.speakers import Faults, Fleet, FleetOptions, Habits, Played

PASSWORD = "gateway-of-this-test"
PATTERN = "test-beat"  # one second on, one off: many edges to lose

# With speech and repeats long enough to be stopped in its middle.
LONG = "Keep away from low ground and from the river. Take the stairs and not the lift. Help your neighbours. " * 3

_CONFIGURATION = """\
data_dir = "{root}/data"
language = "en"
timezone = "{timezone}"
patterns_file = "{root}/patterns.toml"
[api]
port = {api}
[media]
port = {media}
[mqtt]
embedded = false
port = {mqtt}
[voice]
engine = "{engine}"
repeats = {repeats}
{more}
[sms]
password_file = "{root}/sms-password"
rate_per_second = 1000.0
retry_delay_s = 0.5
retry_delay_max_s = 2.0
gateway.url = "http://127.0.0.1:{gateway}/cgi-bin/sendsms"
reports.port = {reports}
"""

_PATTERNS = f"""\
[pattern.{PATTERN}]
name_zh = "测试"
name_en = "Test"
steps = [[1, 1]]
repeat = 20
"""


@dataclass(frozen=True, slots=True)
class Heard:
    """A message that passed through the broker."""

    topic: str
    payload: bytes
    at: float  # monotonic


class CoreProcess:
    """`tocsin serve` as a process that can be killed and started again."""

    def __init__(self, config: Path, log: Path) -> None:
        self._command = [sys.executable, "-P", "-m", "broadcast_core", "serve", "--config", str(config)]
        self._log = log
        self.environment: dict[str, str] = {}  # more of it, from the next start on
        self._process: asyncio.subprocess.Process | None = None

    async def start(self) -> None:
        """Start it; it is up on return."""
        with self._log.open("ab") as errors:
            self._process = await asyncio.create_subprocess_exec(
                *self._command,
                stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=errors,
                env=os.environ | {"PYTHONUNBUFFERED": "1"} | self.environment,
                start_new_session=True, preexec_fn=_let_it_be_traced,
            )  # fmt: skip
        assert self._process.stdout is not None
        async with asyncio.timeout(60):
            if not await self._process.stdout.readline():
                pytest.fail(f"the core did not come up:\n{self._log.read_text()[-3000:]}")

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    async def died(self) -> None:
        """Wait for an end that somebody else brings about."""
        assert self._process is not None
        await self._process.wait()
        self._process = None

    async def kill(self) -> None:
        """kill -9."""
        process, self._process = self._process, None
        if process is not None:
            process.kill()
            await process.wait()

    async def stop(self) -> None:
        """Ask it to end."""
        process, self._process = self._process, None
        if process is not None:
            process.terminate()
            try:
                async with asyncio.timeout(20):
                    await process.wait()
            except TimeoutError:
                process.kill()
                await process.wait()


def _let_it_be_traced() -> None:
    """Where Yama lets a process be traced only by its parents, this one says that anybody may."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(0x59616D61, ctypes.c_ulong(-1), 0, 0, 0)  # PR_SET_PTRACER, PR_SET_PTRACER_ANY


class Site:
    """One installation: its core, its field, its API, and the truth."""

    def __init__(self, stage: Stage, core: CoreProcess, session: aiohttp.ClientSession) -> None:
        self.stage = stage
        self.core = core
        self.session = session
        self.fleet: Fleet
        self.relays: RelayField
        self.gateway: SmsGatewaySimulator

    @property
    def database(self) -> Path:
        return self.stage.settings.data_dir / "tocsin.db"

    @property
    def speakers(self) -> list[str]:
        return [e.id for e in self.stage.registry.endpoints.values() if e.channel is Channel.SPEAKER]

    @property
    def phones(self) -> list[str]:
        return [e.phone for e in self.stage.registry.endpoints.values() if e.phone is not None]

    @property
    def prefix(self) -> str:
        """What all topics of live alerts begin with."""
        return "tocsin/1/live"

    def alert(
        self, channels: str = "speaker", *, identifier: str = "", long: bool = False, zones: Iterable[str] = ()
    ) -> bytes:
        """A CAP message for zones, or the whole district; `long` is half a minute of speech for each repeat."""
        root = self.stage.registry.root
        now = datetime.now(UTC).replace(microsecond=0)
        alert = demo_alert(now, root.code, root.name_zh, horns=False)
        parameter = (NamedValue(name="tocsin:channels", value=channels),)
        if "horn" in channels:
            parameter += (NamedValue(name="tocsin:horn-pattern", value=PATTERN),)
        infos = tuple(
            replace(info, parameter=parameter, instruction=LONG if long else info.instruction) for info in alert.infos
        )
        if areas := tuple(Area(area_desc=z, geocodes=(NamedValue(name="tocsin:zone", value=z),)) for z in zones):
            infos = tuple(replace(info, area=areas) for info in infos)
        return cap.encode_xml(replace(alert, infos=infos, identifier=identifier or alert.identifier))

    async def submit(self, message: bytes, key: str = "") -> tuple[int, dict[str, Any]]:
        """Submit a CAP message, under an Idempotency-Key if one is given; status and body of the answer."""
        headers = {"Content-Type": "application/cap+xml"} | ({"Idempotency-Key": key} if key else {})
        async with self.session.post("/api/v1/alerts", data=message, headers=headers) as answer:
            return answer.status, await answer.json(content_type=None)

    async def send(
        self, channels: str = "speaker", *, identifier: str = "", long: bool = False, zones: Iterable[str] = ()
    ) -> str:
        """An alert for zones, or the whole district; the id it got with its 201."""
        status, body = await self.submit(self.alert(channels, identifier=identifier, long=long, zones=zones))
        assert status == 201, body
        return str(body["alert_id"])

    async def stop(self, alert_id: str) -> None:
        async with self.session.post(f"/api/v1/alerts/{alert_id}/stop", json={}) as answer:
            assert answer.status in range(200, 300), await answer.text()

    async def report(self, alert_id: str) -> dict[str, Any]:
        async with self.session.get(f"/api/v1/alerts/{alert_id}/report.json") as answer:
            assert answer.status == 200, await answer.text()
            found: dict[str, Any] = await answer.json()
            return found

    async def count(self, alert_id: str, channel: str = "speaker") -> dict[str, Any]:
        """What the core claims of one channel; its states add up to its targets, always."""
        found: dict[str, Any] = (await self.report(alert_id))["revisions"][0]["channels"][channel]
        assert sum(found["states"].values()) == found["targets"]
        return found

    async def silence(self, alert_id: str, *, within_s: float) -> dict[str, Any]:
        """The evidence of a stop, once everybody who was told has proven to be silent."""
        deadline = time.monotonic() + within_s
        while True:
            found: dict[str, Any] | None = (await self.report(alert_id))["revisions"][0]["silence"]
            if found is not None and found["total"]["proven"] == found["total"]["told"] > 0:
                return found
            if time.monotonic() > deadline:
                pytest.fail(f"silence is not proven within {within_s} s: {found}")
            await asyncio.sleep(0.1)

    async def finished(self, alert_id: str, channel: str = "speaker", *, within_s: float) -> dict[str, Any]:
        """Wait until the report says that all have finished."""
        return await self.reached(
            alert_id, lambda count: count["states"].get("finished") == count["targets"], channel, within_s=within_s
        )

    async def reached(
        self, alert_id: str, test: Callable[[dict[str, Any]], bool], channel: str = "speaker", *, within_s: float
    ) -> dict[str, Any]:
        """The channel's count as soon as it passes `test`."""
        deadline = time.monotonic() + within_s
        while True:
            count = await self.count(alert_id, channel)
            if test(count):
                return count
            if time.monotonic() > deadline:
                pytest.fail(f"not within {within_s} s: {count}")
            await asyncio.sleep(0.1)

    @staticmethod
    async def eventually(find: Callable[[], Any], within_s: float, what: str) -> Any:
        """What `find` finds, as soon as it finds something."""
        deadline = time.monotonic() + within_s
        while not (found := find()):
            if time.monotonic() > deadline:
                pytest.fail(f"not within {within_s} s: {what}")
            await asyncio.sleep(0.02)
        return found

    async def metric(self, name: str, **labels: str) -> float:
        """One sample of the core's metrics."""
        async with self.session.get("/metrics") as answer:
            families = list(text_string_to_metric_families(await answer.text()))
        found = [s.value for f in families for s in f.samples if s.name == name and s.labels == labels]
        assert len(found) == 1, (name, labels)
        return float(found[0])

    @asynccontextmanager
    async def overhear(self, *topics: str) -> AsyncIterator[list[Heard]]:
        """What passes through the broker on topics under `prefix`."""
        mqtt, heard = self.stage.settings.mqtt, list[Heard]()

        async def listen(client: aiomqtt.Client) -> None:
            async for message in client.messages:
                assert isinstance(message.payload, bytes)
                heard.append(Heard(str(message.topic), message.payload, time.monotonic()))

        async with aiomqtt.Client(mqtt.host, mqtt.port, protocol=aiomqtt.ProtocolVersion.V5) as client:
            for topic in topics:
                await client.subscribe(f"{self.prefix}/{topic}", qos=1)
            listening = asyncio.create_task(listen(client))
            try:
                yield heard
            finally:
                listening.cancel()
                await asyncio.gather(listening, return_exceptions=True)

    def audited(self) -> list[tuple[int, int]]:
        """Of each stop in the audit: when it acted, and when it was recorded."""
        with closing(sqlite3.connect(self.database)) as database:
            return database.execute("SELECT acted_at, recorded_at FROM audit WHERE action = 'alert.stop'").fetchall()

    def stretches(self, alert_id: str, speakers: Iterable[str] | None = None) -> dict[str, list[Played]]:
        """What each speaker truly sounded of an alert."""
        chosen = self.speakers if speakers is None else speakers
        return {s: [p for p in self.fleet.played(s) if p.alert == alert_id] for s in chosen}

    def sounding(self, speakers: Iterable[str] | None = None) -> list[str]:
        """The speakers that sound at this moment."""
        chosen = self.speakers if speakers is None else speakers
        return [s for s in chosen if (played := self.fleet.played(s)) and played[-1].ended is None]

    def sounds(self) -> int:
        """How many stretches of sound there have been, of all speakers."""
        return sum(len(self.fleet.played(s)) for s in self.speakers)


@contextmanager
def locked(site: Site) -> Iterator[None]:
    """Another process writes to the database and does not end."""
    with closing(sqlite3.connect(site.database, isolation_level=None)) as lock:
        lock.execute("BEGIN IMMEDIATE")
        yield
        lock.execute("ROLLBACK")


SiteMaker = Callable[..., Awaitable[Site]]


@pytest.fixture
async def new_site(tmp_path: Path, mosquitto: Any) -> AsyncIterator[SiteMaker]:
    """Makes the test's installation, up and with every speaker connected."""
    async with AsyncExitStack() as stack:

        async def make(
            *,
            speakers: int = 60,
            communities: int | None = None,
            horns: int = 0,
            recipients: int = 0,
            faults: Faults | None = None,
            habits: Habits | None = None,
            **settings: Any,
        ) -> Site:
            registry = generate(
                speakers=speakers,
                communities=communities or max(14, speakers // 2),
                horns=horns,
                recipients=recipients,
            )
            stage = _stage(tmp_path / "site", mosquitto.port, registry, horns, **settings)
            options = FleetOptions(habits=habits or Habits())
            return await stack.enter_async_context(_running(stage, faults, options))

        yield make


def _stage(
    root: Path,
    mqtt: int,
    registry: Registry,
    horns: int,
    *,
    engine: str = "none",
    repeats: int = 1,
    timezone: str = "Asia/Shanghai",
    more: str = "",
) -> Stage:
    """`more` is more of the configuration."""
    (root / "serial").mkdir(parents=True)
    (root / "patterns.toml").write_text(_PATTERNS)
    write_secret(root / "sms-password", PASSWORD.encode())
    api, media, gateway, reports = free_ports(4)
    text = _CONFIGURATION.format(
        root=root, api=api, media=media, mqtt=mqtt, engine=engine, repeats=repeats, gateway=gateway, reports=reports,
        timezone=timezone, more=more,
    )  # fmt: skip
    ports = [str(root / "serial" / name) for name in ("line-1", "line-2", "line-3")]
    for line in serial_lines(horns, ports) if horns else ():
        boards = ", ".join(f"{{ unit = {board.unit}, coils = {board.coils} }}" for board in line.boards)
        text += f'[[serial.lines]]\nname = "{line.name}"\nport = "{line.port}"\nboards = [{boards}]\n'
    (root / "tocsin.toml").write_text(text)
    return Stage(root, root / "tocsin.toml", registry)


@asynccontextmanager
async def _running(stage: Stage, faults: Faults | None, options: FleetOptions) -> AsyncIterator[Site]:
    root = stage.root
    async with AsyncExitStack() as stack:
        relays = await stack.enter_async_context(RelayField(stage.settings.serial.lines, root / "serial"))
        port = int(stage.settings.sms.gateway.url.split(":")[2].split("/")[0])
        gateway = await stack.enter_async_context(SmsGatewaySimulator(port=port, password=PASSWORD))
        core = CoreProcess(stage.config, root / "core.log")
        stack.push_async_callback(core.stop)
        await core.start()
        await stage.import_registry()
        headers = {"Authorization": f"Bearer {stage.token_file.read_text().strip()}"}
        session = await stack.enter_async_context(aiohttp.ClientSession(stage.url, headers=headers))
        site = Site(stage, core, session)
        site.relays, site.gateway = relays, gateway
        provided = provision.decode(await provision_from(stage.settings))
        site.fleet = await stack.enter_async_context(Fleet(provided, faults=faults, options=options))
        await site.fleet.ready()
        yield site
