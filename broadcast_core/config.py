"""Settings: one TOML file and `TOCSIN_…` environment variables over it (`TOCSIN_MQTT__PORT=1883`).

Secrets are never settings: they lie in files under `data_dir` (mode 0600), named here by path at most.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, time, timedelta
from pathlib import Path
from typing import Final, Literal, Self
from zoneinfo import ZoneInfo

from cronsim import CronSim, CronSimError
from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator
from pydantic_settings import (
    BaseSettings,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    TomlConfigSettingsSource,
)


class Section(BaseModel):
    """A table of the file. An unknown key is an error, never ignored."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Listener(Section):
    """An HTTP listener of ours."""

    host: str = "127.0.0.1"
    port: int = Field(ge=0, le=65535)
    public_url: str | None = None  # how the field reaches it, when that differs


class SpeakersLogin(Section):
    """What provision files tell the speakers of the broker; what is not set is as for the core."""

    host: str | None = None  # the address on their network
    port: int | None = Field(None, ge=1, le=65535)
    tls: bool | None = None
    username: str | None = None
    password_file: Path | None = None


class Mqtt(Section):
    """The broker for the speakers. `embedded` starts one of our own on `port`."""

    embedded: bool = True
    host: str = "127.0.0.1"
    port: int = 1883
    tls: bool = False
    ca_file: Path | None = None
    username: str | None = None
    password_file: Path | None = None
    speakers: SpeakersLogin = SpeakersLogin()
    prefix: str = "tocsin/1"
    heartbeat_s: float = Field(20.0, gt=0)  # a speaker is a visible fault after `silent_after_s` without one
    silent_after_s: float = Field(50.0, gt=0)
    shard_size: int = Field(1000, ge=1)  # subscribers to one topic: more is a long walk in mosquitto
    orders_per_second: int = Field(2000, ge=1)  # answers to hellos; alerts never wait for them


class BoardTimer(Section):
    """A board's own switch-off: the holding register that takes the seconds until it opens all its coils."""

    register_address: int = Field(ge=0)
    max_s: int = Field(600, gt=0)


class Board(Section):
    """One relay board on a line."""

    unit: int = Field(ge=1, le=247)
    coils: int = Field(8, ge=1, le=64)
    timer: BoardTimer | None = None


class SerialLine(Section):
    """One serial line with its relay boards (Modbus RTU)."""

    name: str
    port: str
    baudrate: int = 9600
    parity: Literal["N", "E", "O"] = "N"
    stopbits: Literal[1, 2] = 1
    boards: tuple[Board, ...] = ()


class Serial(Section):
    lines: tuple[SerialLine, ...] = ()
    reply_timeout_s: float = Field(0.25, gt=0)
    max_on_s: float = Field(200.0, gt=0)  # no coil stays closed longer without a new order, whatever happens
    watchdog_s: float = Field(2.0, gt=0)  # a driver process silent this long is ended and its coils opened


# What a value of `SmsGateway.parameters` and `headers` may name in braces.
SMS_PLACES: Final = frozenset(
    {"username", "password", "from", "to", "to_digits", "text", "coding", "dlr_url", "reference", "validity_min"}
)
_PLACE: Final = re.compile(r"\{(\w+)\}")


class SmsGateway(Section):
    """How to speak to an HTTP gateway (docs/protocols/sms-gateway.md). The defaults are Kannel's sendsms."""

    url: str = "http://127.0.0.1:13013/cgi-bin/sendsms"
    method: Literal["GET", "POST"] = "GET"
    body: Literal["form", "json"] = "form"  # of a POST
    headers: dict[str, str] = {}
    parameters: dict[str, str] = {
        "username": "{username}",
        "password": "{password}",
        "from": "{from}",
        "to": "{to}",
        "text": "{text}",
        "charset": "UTF-8",
        "coding": "{coding}",
        "validity": "{validity_min}",
        "dlr-mask": "31",
        "dlr-url": "{dlr_url}?type=%d",
    }
    coding_gsm7: str = "0"
    coding_ucs2: str = "2"
    accepted_status: tuple[int, ...] = (200, 202)
    accepted_pattern: str = r"^(0: Accepted|3: Queued)"  # searched in the body
    # Refused for now. A wrong password says nothing about the message, and somebody is about to correct it.
    retry_pattern: str = r"Temporal failure|Authorization failed"
    report_id_parameter: str = "id"  # where {reference} comes back if it is not in the report's path
    report_type_parameter: str = "type"
    report_delivered: tuple[str, ...] = ("1",)
    report_accepted: tuple[str, ...] = ("4", "8")
    report_failed: tuple[str, ...] = ("2",)
    report_refused: tuple[str, ...] = ("16",)
    # Where the gateway tells the state of the account, if it does; {username} and {password} are put in. Without it
    # the nightly self-test claims nothing of the gateway.
    account_url: str | None = None
    account_pattern: str = r"."  # searched in a 200's body

    @field_validator("parameters", "headers")
    @classmethod
    def _known_places(cls, values: dict[str, str]) -> dict[str, str]:
        unknown = {place for value in values.values() for place in _PLACE.findall(value)} - SMS_PLACES
        if unknown:
            raise ValueError(f"unknown in braces: {sorted(unknown)}; known: {sorted(SMS_PLACES)}")
        return values

    @field_validator("accepted_pattern", "retry_pattern", "account_pattern")
    @classmethod
    def _compiles(cls, pattern: str) -> str:
        try:
            re.compile(pattern)
        except re.error as error:
            raise ValueError(f"not a regular expression: {error}") from error
        return pattern


class Sms(Section):
    enabled: bool = True
    gateway: SmsGateway = SmsGateway()
    username: str = "tocsin"
    password_file: Path | None = None
    sender: str = "12345"
    rate_per_second: float = Field(100.0, gt=0)
    connections: int = Field(10, ge=1)
    timeout_s: float = Field(10.0, gt=0)
    retry_delay_s: float = Field(2.0, gt=0)  # first wait; doubles, at most `retry_delay_max_s`
    retry_delay_max_s: float = Field(60.0, gt=0)
    reports: Listener = Listener(port=8792)
    max_parts: int = Field(10, ge=1)  # a longer text is refused before anything is sent


class Voice(Section):
    """Speech and the sound around it."""

    engine: Literal["espeak", "none"] = "espeak"
    timeout_s: float = Field(8.0, gt=0)  # then tone and text go out without speech
    rate_wpm: int = Field(150, ge=80, le=300)
    repeats: int = Field(2, ge=1, le=10)
    pause_s: float = Field(1.0, ge=0)
    loudness_lufs: float = -16.0
    true_peak_dbtp: float = -1.5
    sample_rate: int = 22050
    bitrate_kbps: int = 64


class Space(Section):
    """Room on the disk of `data_dir`. What is not an alert has to leave `reserve_mb` free."""

    reserve_mb: int = Field(512, ge=0)
    ballast_mb: int = Field(64, ge=0)  # a file that is let go when the disk is full all the same; 0: none


class Retention(Section):
    """How many days what is over is kept; 0 is for ever. The audit is always kept."""

    alerts_days: int = Field(400, ge=0)  # messages with their deliveries and receipts, after they have expired
    publicity_days: int = Field(60, ge=0)  # programmes and self-tests with theirs: some million rows a year
    chains_days: int = Field(800, ge=0)  # what tells an old message from a new one: never less than the alerts
    media_days: int = Field(30, ge=0)  # announcements of alerts that have expired
    idempotency_days: int = Field(30, ge=0)  # answers to requests that may be sent again

    @model_validator(mode="after")
    def _chains_outlive_alerts(self) -> Self:
        if self.chains_days and (not self.alerts_days or self.chains_days < self.alerts_days):
            raise ValueError("chains_days has to be 0 or at least alerts_days")
        return self


class AudibleTest(Section):
    """An audible test by calendar: one endpoint or one zone, at the local times of five cron fields."""

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9-]{0,31}$")
    cron: str  # minute hour day month weekday
    zone: str | None = None
    endpoints: tuple[str, ...] = ()
    volume: int = Field(40, ge=1, le=100)

    @field_validator("cron")
    @classmethod
    def _fires(cls, expression: str) -> str:
        if len(expression.split()) != 5:
            raise ValueError("five fields: minute hour day month weekday")
        try:
            CronSim(expression, datetime(2026, 1, 1, tzinfo=UTC))
        except CronSimError as error:
            raise ValueError(str(error)) from None
        return expression

    @model_validator(mode="after")
    def _one_target(self) -> Self:
        if (self.zone is None) == (not self.endpoints):
            raise ValueError("name either a zone or endpoints")
        return self


class SelfTests(Section):
    """The nightly silent self-test, and audible tests."""

    enabled: bool = True
    start: time = time(1, 0)  # local; a window whose end is not after its start reaches over midnight
    end: time = time(5, 0)
    every_s: float = Field(60.0, gt=0)  # how often some are sent, and how many at most
    most_at_once: int = Field(60, ge=1, le=1000)
    answer_within_s: float = Field(300.0, gt=0)
    clock_limit_s: float = Field(2.0, gt=0)
    most_audible: int = Field(50, ge=1, le=200)  # a zone with more endpoints is no target of an audible test
    audible_gap_s: float = Field(6.0, ge=0)  # from one loudspeaker to the next, so that one can be told from another
    audible: tuple[AudibleTest, ...] = ()


class Library(Section):
    """Items for peacetime: what may be uploaded. They are as loud as `voice` says."""

    largest_bytes: int = Field(128 * 2**20, ge=1)
    shortest_s: float = Field(0.5, ge=0)
    longest_s: float = Field(3600.0, gt=0)
    prepare_s: float = Field(900.0, gt=0)  # an hour of sound takes about two minutes on one core
    uploads_at_once: int = Field(4, ge=1)
    fade_in_s: float = Field(0.05, ge=0)
    fade_out_s: float = Field(0.5, ge=0)
    speech_s: float = Field(60.0, gt=0)  # for a language of a text item


class Policy(Section):
    """Decisions of the district that are not the code's to make."""

    sender: str = "tocsin@district.invalid"
    authority_by_sender: dict[str, Literal["SUBDISTRICT", "DISTRICT", "CITY", "PROVINCE", "NATIONAL"]] = {}
    default_lifetime: timedelta = timedelta(hours=1)
    default_channels: tuple[Literal["speaker", "horn", "sms"], ...] = ("speaker", "sms")
    default_pattern: str | None = None  # horns sound only where an alert names a pattern, unless set here
    emergency_volume: int = Field(100, ge=0, le=255)
    # What sounds in emergency mode is never quieter than this, whatever a message or a speaker's own setting says.
    emergency_volume_floor: int = Field(60, ge=0, le=100)
    # An alert of one of these levels switches its zones to emergency mode by itself.
    emergency_levels: tuple[Literal["RED", "ORANGE", "YELLOW", "BLUE"], ...] = ("RED", "ORANGE")
    emergency_reminder: timedelta = timedelta(hours=6)  # then somebody is asked whether it still has its reason
    # Speakers within hearing of each other start together, and receipts of arrival come before those of the start.
    start_lead: timedelta = timedelta(milliseconds=500)


class Settings(BaseSettings):
    """Everything that can be set. Read with `Settings.load(path)`."""

    model_config = SettingsConfigDict(
        env_prefix="TOCSIN_", env_nested_delimiter="__", extra="forbid", frozen=True, toml_file=None
    )

    data_dir: Path = Path("var")
    patterns_file: Path | None = None  # the district's own siren patterns over the shipped ones
    sirens_file: Path | None = None  # the district's own siren acts and calendar instead of the shipped ones
    store_url: str | None = None  # default: sqlite+aiosqlite on data_dir/tocsin.db
    timezone: str = "Asia/Shanghai"
    language: Literal["zh", "en"] = "zh"
    api: Listener = Listener(port=8790)
    media: Listener = Listener(port=8791)
    mqtt: Mqtt = Mqtt()
    serial: Serial = Serial()
    sms: Sms = Sms()
    voice: Voice = Voice()
    space: Space = Space()
    retention: Retention = Retention()
    selftest: SelfTests = SelfTests()
    library: Library = Library()
    policy: Policy = Policy()

    @property
    def zone_info(self) -> ZoneInfo:
        return ZoneInfo(self.timezone)

    @property
    def database_url(self) -> str:
        return self.store_url or f"sqlite+aiosqlite:///{self.data_dir / 'tocsin.db'}"

    @property
    def secrets_dir(self) -> Path:
        return self.data_dir / "secrets"

    @property
    def media_dir(self) -> Path:
        return self.data_dir / "media"

    @property
    def uploads_dir(self) -> Path:
        return self.data_dir / "uploads"

    @classmethod
    def load(cls, path: Path | None = None) -> Settings:
        """Settings from `path` (TOML) under the environment. Raises pydantic.ValidationError naming each bad key."""

        class FromFile(cls):  # type: ignore[valid-type, misc]
            @classmethod
            def settings_customise_sources(
                cls,
                settings_cls: type[BaseSettings],
                init_settings: PydanticBaseSettingsSource,
                env_settings: PydanticBaseSettingsSource,
                dotenv_settings: PydanticBaseSettingsSource,
                file_secret_settings: PydanticBaseSettingsSource,
            ) -> tuple[PydanticBaseSettingsSource, ...]:
                sources = (init_settings, env_settings)
                return sources if path is None else (*sources, TomlConfigSettingsSource(settings_cls, path))

        return FromFile()
