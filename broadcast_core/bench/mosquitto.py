"""A private mosquitto for the bench, set up as docs/operations.md tells an operator to."""

from __future__ import annotations

import asyncio
import shutil
import socket
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

# With its defaults (20 in flight, 1,000 queued) mosquitto delivers 1,020 of 1,099 acknowledgements, in silence.
CONFIGURATION: Final = """\
listener {port} 127.0.0.1
allow_anonymous true
max_inflight_messages 0
max_queued_messages 100000
max_connections -1
set_tcp_nodelay true
persistence false
log_type error
"""


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


@asynccontextmanager
async def mosquitto() -> AsyncIterator[tuple[int, int]]:
    """(port, process id) of a running mosquitto. Raises FileNotFoundError if it is not installed."""
    program = shutil.which("mosquitto", path="/usr/sbin:/usr/local/sbin:/usr/bin:/usr/local/bin")
    if program is None:
        raise FileNotFoundError("mosquitto is not installed: apt install mosquitto")
    with tempfile.TemporaryDirectory(prefix="tocsin-bench-") as directory:
        port = free_port()
        file = Path(directory) / "mosquitto.conf"
        file.write_text(CONFIGURATION.format(port=port))
        process = await asyncio.create_subprocess_exec(program, "-c", str(file))
        try:
            while process.returncode is None:
                try:
                    _, writer = await asyncio.open_connection("127.0.0.1", port)
                    writer.close()
                    break
                except OSError:
                    await asyncio.sleep(0.05)
            yield port, process.pid
        finally:
            if process.returncode is None:
                process.terminate()
            await process.wait()
