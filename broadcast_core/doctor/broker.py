"""The broker: reachable with MQTT 5, does not lose acknowledgements, takes every speaker's connection."""

from __future__ import annotations

from typing import Final

from broadcast_core.doctor import probe
from broadcast_core.doctor.finding import Finding, fail, ok, skipped, warn
from broadcast_core.doctor.listeners import owner_of
from broadcast_core.doctor.scene import Scene
from broadcast_core.i18n import Sentence, _
from drivers.ip_speaker.access import Access
from drivers.ip_speaker.wire.mqtt5 import ProtocolError

# mosquitto's defaults let exactly 1,020 acknowledgements through (20 in flight + 1,000 queued): just above that.
LEAST_STORM: Final = 1200
_SPARE: Final = 50  # the core's own connections, a console, and a speaker that comes back before it was missed
_UNSUPPORTED: Final = (0x01, 0x84)
_BAD_LOGIN: Final = (0x86, probe.NOT_AUTHORIZED, 0x8C)  # mosquitto says "not authorized" of a wrong password
_HERE: Final = frozenset({"127.0.0.1", "::1", "localhost"})

_LIMITS: Final = _(
    "In mosquitto.conf: max_inflight_messages 0, max_queued_messages 100000, max_connections -1, "
    "set_tcp_nodelay true, persistence false."
)


async def reached(scene: Scene) -> Finding:
    """Whether the broker takes our login and speaks MQTT 5, and whether it takes anybody's."""
    access = scene.broker
    if access is None:
        return fail(_("There is no broker: {why}.", why=scene.broker_failure), _no_broker_advice(scene))
    settings = access.settings
    where = f"{settings.host}:{settings.port}"
    try:
        await probe.greet(access)
    except (probe.BrokerRefused, ProtocolError, OSError) as error:
        return fail(_("The broker at {where}: {why}", where=where, why=_why(error)), _no_broker_advice(scene))
    if scene.settings.mqtt.embedded:
        trial = _("The embedded broker starts and speaks MQTT 5 (a trial on a port of its own).")
        return ok(trial if scene.core is None else _("The embedded broker speaks MQTT 5."))
    if settings.host not in _HERE and not settings.tls:
        return warn(
            _("The broker at {where} speaks MQTT 5, but the way to it is not encrypted.", where=where),
            _("Set mqtt.tls, or keep the broker on a network of its own."),
        )
    if await _lets_anybody_in(access):
        return warn(
            _("The broker at {where} speaks MQTT 5, and lets anybody in without a password.", where=where),
            _("Set allow_anonymous false and an access list: see docs/operations.md."),
        )
    return ok(_("The broker at {where} speaks MQTT 5.", where=where))


async def storm(scene: Scene) -> Finding:
    """Whether as many acknowledgements as there are speakers come through whole when they come at once."""
    if scene.broker is None:
        return skipped(_("There is no broker to try it with."))
    count = max(LEAST_STORM, scene.speakers + scene.speakers // 10)
    try:
        result = await probe.storm(scene.broker, count)
    except (probe.BrokerRefused, ProtocolError, OSError) as error:
        if not await _greets(scene.broker):
            return skipped(_("There is no broker to try it with."))
        return fail(
            _("The storm of {count} acknowledgements broke off: {why}", count=count, why=_why(error)), _LIMITS
        )
    if result.arrived < result.sent:
        return fail(
            _(
                "{arrived} of {sent} acknowledgements came through when they came at once; the broker dropped the "
                "others without a word.",
                arrived=result.arrived,
                sent=result.sent,
            ),
            _LIMITS,
        )
    return ok(_("{sent} acknowledgements at once came through whole.", sent=result.sent))


async def crowd(scene: Scene) -> Finding:
    """Whether every speaker can be connected at once.

    Tried with real connections while the core does not run. In front of a live field they could shut a speaker out,
    so then only the limits of a broker on this machine are read.
    """
    if scene.broker is None:
        return skipped(_("There is no broker to try it with."))
    wanted = scene.speakers + _SPARE
    if scene.core is not None:
        return _by_limits(scene, wanted)
    result = await probe.crowd(scene.broker, wanted)
    if result.taken == result.wanted:
        return ok(_("The broker took {count} connections at once.", count=result.taken))
    if not result.taken and not await _greets(scene.broker):
        return skipped(_("There is no broker to try it with."))
    if result.ours:
        return warn(
            _("Only {taken} of {wanted} connections could be tried from here.", taken=result.taken, wanted=wanted),
            _("Raise this shell's limit of open files (ulimit -n 65536) and try again."),
        )
    return fail(
        _("The broker took only {taken} of {wanted} connections.", taken=result.taken, wanted=wanted),
        _("Give the broker's service LimitNOFILE=65536, and max_connections -1."),
    )


def _by_limits(scene: Scene, wanted: int) -> Finding:
    settings = scene.settings.mqtt
    owner = owner_of(settings.port) if settings.host in _HERE else None
    if owner is None or owner.open_files is None:
        return skipped(_("Not tried in front of a live field; stop the core to try it."))
    if owner.open_files < wanted + _SPARE:
        return fail(
            _(
                "The broker ({name}, process {pid}) may open {limit} files; {wanted} connections need more.",
                name=owner.name,
                pid=owner.pid,
                limit=owner.open_files,
                wanted=wanted,
            ),
            _("Give the broker's service LimitNOFILE=65536, and max_connections -1."),
        )
    return ok(
        _(
            "The broker ({name}, process {pid}) may open {limit} files, enough for {wanted} connections.",
            name=owner.name,
            pid=owner.pid,
            limit=owner.open_files,
            wanted=wanted,
        )
    )


async def _lets_anybody_in(access: Access) -> bool:
    return await _greets(access, anonymous=True)


async def _greets(access: Access, *, anonymous: bool = False) -> bool:
    """Whether it takes a connection at all. Where not, the first check has said why."""
    try:
        await probe.greet(access, anonymous=anonymous)
    except (probe.BrokerRefused, ProtocolError, OSError):
        return False
    return True


def _no_broker_advice(scene: Scene) -> Sentence:
    if scene.settings.mqtt.embedded:
        return _("Look at the core's log; or run mosquitto and set mqtt.embedded = false.")
    return _("Start the broker, and check mqtt.host, mqtt.port and mqtt.password_file.")


def _why(error: Exception) -> Sentence | str:
    match error:
        case probe.LoginRefused(code=code) if code in _UNSUPPORTED:
            return _("it does not speak MQTT 5")
        case probe.LoginRefused(code=code) if code in _BAD_LOGIN:
            return _("it refuses the user name or the password")
        case probe.BrokerRefused(code=probe.NOT_AUTHORIZED):
            return _("its access list does not allow it: the core needs every topic under the prefix")
        case ProtocolError():
            return _("what answers does not speak MQTT 5 ({detail})", detail=error)
        case TimeoutError():
            return _("no answer in time")
        case _:
            return str(error)
