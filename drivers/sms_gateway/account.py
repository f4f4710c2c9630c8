"""The gateway's account, where the gateway tells of it. Nothing is sent; without an address nothing is claimed."""

from __future__ import annotations

import re
from typing import Final
from urllib.parse import quote

import aiohttp

from broadcast_core.config import Sms
from broadcast_core.model import Part, PartResult

_MOST: Final = 64 * 1024


async def look(settings: Sms, password: str) -> PartResult:
    """Ask for the state of the account. Needs `gateway.account_url`."""
    gateway = settings.gateway
    assert gateway.account_url is not None
    url = gateway.account_url.replace("{username}", quote(settings.username)).replace("{password}", quote(password))
    timeout = aiohttp.ClientTimeout(total=settings.timeout_s)
    try:
        async with (
            aiohttp.ClientSession(timeout=timeout) as session,
            session.get(url, allow_redirects=False) as answer,
        ):
            body = (await answer.content.read(_MOST)).decode(errors="replace")
            status = answer.status
    except TimeoutError:
        return PartResult(part=Part.ACCOUNT, ok=False, note="no answer")
    except (aiohttp.ClientError, ValueError) as error:
        return PartResult(part=Part.ACCOUNT, ok=False, note=type(error).__name__)  # its text may hold the password
    if status != 200:
        return PartResult(part=Part.ACCOUNT, ok=False, note=f"HTTP {status}")
    if re.search(gateway.account_pattern, body) is None:
        return PartResult(part=Part.ACCOUNT, ok=False, note="not as expected")
    return PartResult(part=Part.ACCOUNT, ok=True)
