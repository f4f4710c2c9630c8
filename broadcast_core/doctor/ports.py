"""The core itself, and the addresses it listens on."""

from __future__ import annotations

import errno
import socket
from collections.abc import Iterator

from broadcast_core.config import Settings
from broadcast_core.doctor.finding import Finding, fail, ok, skipped
from broadcast_core.doctor.listeners import owner_of
from broadcast_core.doctor.scene import Scene
from broadcast_core.i18n import Sentence, _


async def core(scene: Scene) -> Finding:
    """Whether a running core is ready to accept an alert and to send it."""
    if scene.core is None:
        return skipped(_("The core does not run."))
    health = scene.core.health
    if health.get("ballast") is False:
        return fail(_("The core runs on the last reserve of its disk: the disk was full."), _("Make room on it now."))
    if health.get("ready"):
        return ok(_("The core runs and is ready."))
    down = [
        _("The channel {channel} is down.", channel=channel)
        for channel, up in health.get("channels_up", {}).items()
        if not up
    ]
    unwritable = [] if health.get("store_writable") else [_("The database cannot be written.")]
    return fail(_("The core runs but is not ready."), _("Its log says since when and why."), *unwritable, *down)


async def ports(scene: Scene) -> Finding:
    """Whether the addresses are free, or the running core's own."""
    wrong = [
        sentence
        for name, host, port in _addresses(scene.settings)
        if (sentence := _fault(name, host, port, running=scene.core is not None)) is not None
    ]
    if wrong:
        advice = _("End that program, or set another port in the settings.")
        return fail(_("{count} addresses cannot be used.", count=len(wrong)), advice, *wrong)
    listed = ", ".join(f"{name} {port}" for name, _host, port in _addresses(scene.settings))
    if scene.core is None:
        return ok(_("Free: {ports}.", ports=listed))
    return ok(_("The core's own: {ports}.", ports=listed))


def _addresses(settings: Settings) -> Iterator[tuple[str, str, int]]:
    yield "api", settings.api.host, settings.api.port
    yield "media", settings.media.host, settings.media.port
    if settings.mqtt.embedded:
        yield "mqtt", settings.mqtt.host, settings.mqtt.port
    if settings.sms.enabled:
        yield "sms.reports", settings.sms.reports.host, settings.sms.reports.port


def _fault(name: str, host: str, port: int, *, running: bool) -> Sentence | None:
    """What is wrong with an address. A core that runs has all of them: it does not start otherwise."""
    where = _("{name} ({host}:{port})", name=name, host=host, port=port)
    try:
        family, kind, _proto, _canonical, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        with socket.socket(family, kind) as listener:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind(address)
            listener.listen(1)
    except OSError as error:
        if error.errno != errno.EADDRINUSE:
            return _("{where} cannot be listened on: {why}", where=where, why=error.strerror)
        if running:
            return None
        owner = owner_of(port)
        if owner is None:
            return _("{where} is taken by another program", where=where)
        return _("{where} is taken by {name}, process {pid}", where=where, name=owner.name, pid=owner.pid)
    return _("{where} is not listened on by the running core", where=where) if running and port else None
