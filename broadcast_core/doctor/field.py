"""What stands behind the core: serial lines with their relay boards, the SMS gateway, speech."""

from __future__ import annotations

import asyncio
import os
import stat
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Final

import aiohttp
from yarl import URL

from broadcast_core.audio.speech import SpeechFailed, say
from broadcast_core.doctor.finding import Finding, fail, ok, skipped, warn
from broadcast_core.doctor.scene import Scene
from broadcast_core.i18n import Sentence, _
from broadcast_core.model import Channel
from drivers.serial_relay import rtu, wire
from drivers.serial_relay.orders import boards_without_timer, configuration
from drivers.serial_relay.port import Port, PortLost

_ATTEMPTS: Final = 2  # a board that has just got its power may miss the first
_GATEWAY_S: Final = 5.0
_PHRASES: Final = (("zh-CN", "这是一次检查，请勿惊慌。"), ("en-US", "This is a check. Nothing has happened."))


async def serial_lines(scene: Scene) -> Finding:
    """Whether every line's port is there and every board answers. Boards are only read; nothing sounds."""
    lines = configuration(scene.settings.serial).lines
    if not lines:
        return skipped(_("No serial line is configured."))
    checked = await asyncio.gather(*(_line(scene, line) for line in lines))
    wrong = [*(sentence for sentences in checked for sentence in sentences), *_unknown_coils(scene)]
    if wrong:
        advice = _("Check power, wiring, speed and unit numbers, and that the core's user is in the group dialout.")
        return fail(_("{count} faults on the serial lines.", count=len(wrong)), advice, *wrong)
    boards = sum(len(line.boards) for line in lines)
    if scene.core is not None:
        return ok(_("{lines} ports are there; the running core holds them, so the boards were not asked.",
                    lines=len(lines)))  # fmt: skip
    return ok(_("{boards} boards on {lines} lines answer; all coils are open.", boards=boards, lines=len(lines)))


async def board_timers(scene: Scene) -> Finding:
    """Which boards cannot switch off by themselves: with their bus dead nobody else can."""
    serial = scene.settings.serial
    if not serial.lines:
        return skipped(_("No serial line is configured."))
    without = boards_without_timer(serial)
    if not without:
        return ok(_("Every board has a timer of its own."))
    names = [_("line {line}, unit {unit}", line=line, unit=unit) for line, unit in without]
    return warn(
        _("{count} boards have no timer of their own: with the bus dead nobody can open their coils.",
          count=len(without)),
        _("Use boards with a switch-off timer and set boards.timer, or put a time relay before the siren."),
        *names,
    )  # fmt: skip


async def gateway(scene: Scene) -> Finding:
    """Whether the SMS gateway answers HTTP. It is asked for its root: nothing is sent, no password is shown to it."""
    sms = scene.settings.sms
    if not sms.enabled:
        return skipped(_("SMS is off."))
    url = URL(sms.gateway.url)
    advice = _("Check sms.gateway.url, the gateway's service and the way to it.")
    try:
        async with (
            aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=min(_GATEWAY_S, sms.timeout_s))) as session,
            session.head(url.origin(), allow_redirects=False) as answer,
        ):
            server = answer.headers.get("Server", "HTTP")
    except TimeoutError:
        return fail(_("The SMS gateway at {url} does not answer.", url=url.origin()), advice)
    except (aiohttp.ClientError, ValueError) as error:
        why = error.strerror if isinstance(error, aiohttp.ClientConnectorError) else error
        return fail(_("The SMS gateway at {url}: {why}", url=url.origin(), why=why), advice)
    if sms.password_file is None:
        return warn(
            _("The SMS gateway at {url} answers, but there is no password for it.", url=url.origin()),
            _("Set sms.password_file, unless the gateway needs none."),
        )
    return ok(_("The SMS gateway at {url} answers ({server}).", url=url.origin(), server=server))


async def speech(scene: Scene) -> Finding:
    """Whether Chinese and English can be spoken, well within the time an alert gives it."""
    voice = scene.settings.voice
    if voice.engine == "none":
        return warn(_("Speech is off: alerts go out with tone and text."), _("Set voice.engine to have it."))
    wrong: list[Sentence] = []
    slowest = 0.0
    for language, text in _PHRASES:
        before = time.monotonic()
        try:
            await say(text, language, words_per_minute=voice.rate_wpm, timeout=voice.timeout_s)
        except SpeechFailed as failure:
            wrong.append(failure.sentence)
        slowest = max(slowest, time.monotonic() - before)
    if wrong:
        return fail(
            _("Alerts would go out with tone and text only."),
            _("Install speech with: pip install 'tocsin[voice]'"),
            *wrong,
        )
    return ok(_("Chinese and English are spoken, each within {seconds} s.", seconds=f"{slowest:.1f}"))


async def _line(scene: Scene, line: wire.LineConfig) -> list[Sentence]:
    """What is wrong with one line."""
    fault = await asyncio.to_thread(_port_fault, line)
    if fault is not None:
        return [fault]
    if scene.core is not None:
        return []
    try:
        port = await Port.open(line)
    except PortLost as lost:
        return [_("{line}: {port} cannot be opened: {why}", line=line.name, port=line.port, why=lost)]
    try:
        return [
            sentence
            for board in line.boards
            if (sentence := await _board(port, line, board, scene.settings.serial.reply_timeout_s)) is not None
        ]
    except PortLost as lost:
        return [_("{line}: {port} went away: {why}", line=line.name, port=line.port, why=lost)]
    finally:
        await port.close()


def _port_fault(line: wire.LineConfig) -> Sentence | None:
    path = Path(line.port)
    try:
        is_device = stat.S_ISCHR(path.stat().st_mode)
    except OSError as error:
        return _("{line}: {port}: {why}", line=line.name, port=line.port, why=error.strerror)
    if not is_device:
        return _("{line}: {port} is not a serial port.", line=line.name, port=line.port)
    if not os.access(path, os.R_OK | os.W_OK):
        return _("{line}: {port} cannot be opened by this user.", line=line.name, port=line.port)
    return None


async def _board(port: Port, line: wire.LineConfig, board: wire.BoardConfig, patience_s: float) -> Sentence | None:
    """What is wrong with one board. Raises PortLost."""
    answer: rtu.Answer = rtu.Silent(0)
    for _attempt in range(_ATTEMPTS):
        answer, _took = await port.exchange(rtu.read_coils(board.unit, board.coils), patience_s)
        if isinstance(answer, rtu.Good):
            break
    name = _("line {line}, unit {unit}", line=line.name, unit=board.unit)
    match answer:
        case rtu.Good(bits=bits):
            closed = ", ".join(str(coil) for coil, is_closed in enumerate(bits) if is_closed)
            return (
                _("{board}: coils {coils} are closed, and no core runs.", board=name, coils=closed)
                if closed
                else None
            )
        case rtu.Refused(code=code):
            return _("{board} answers with the exception {code}; does it have {coils} coils?",
                     board=name, code=code, coils=board.coils)  # fmt: skip
        case rtu.Wrong(detail=detail):
            return _("{board} answers something else: {detail}", board=name, detail=detail)
        case rtu.Silent(noise=noise):
            return _("{board} does not answer ({noise} bytes of noise).", board=name, noise=noise)


def _unknown_coils(scene: Scene) -> Iterable[Sentence]:
    """Horns of the registry that hang where the settings know nothing."""
    coils = {(line.name, board.unit): board.coils for line in scene.settings.serial.lines for board in line.boards}
    for horn in () if scene.registry is None else scene.registry.ordered(Channel.HORN):
        if horn.coil is not None and horn.coil.coil >= coils.get((horn.coil.line, horn.coil.unit), 0):
            yield _("{horn} hangs on line {line}, unit {unit}, coil {coil}, which the settings do not have.",
                    horn=horn.id, line=horn.coil.line, unit=horn.coil.unit, coil=horn.coil.coil)  # fmt: skip
