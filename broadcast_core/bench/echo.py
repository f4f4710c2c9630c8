"""The bare fleet, a process of its own: every device answers each alert with one acknowledgement.

`python -m broadcast_core.bench.echo PORT COUNT`; prints "ready" and runs until its standard input ends.
"""

from __future__ import annotations

import asyncio
import sys

from broadcast_core.bench.bare import ACK, ACK_TOPIC, ALERT_TOPIC, Bare, connect, own_topic

_AT_ONCE = 64  # more connects in one instant than the broker's backlog cost a second each


async def _main(port: int, count: int) -> None:
    topic = ACK_TOPIC.encode()

    def answer(device: Bare, _at: int) -> None:
        device.write(device.publish(topic, ACK))

    for start in range(0, count, _AT_ONCE):
        numbers = range(start, min(start + _AT_ONCE, count))
        await asyncio.gather(*(connect(port, f"echo-{n}", (ALERT_TOPIC, own_topic(n)), answer) for n in numbers))
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    await asyncio.to_thread(sys.stdin.read)


if __name__ == "__main__":
    asyncio.run(_main(int(sys.argv[1]), int(sys.argv[2])))
