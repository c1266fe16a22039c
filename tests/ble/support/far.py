"""Clips in a process of their own: their air, their controllers and the gateway's controller; between the two lies HCI.

    python -m tests.ble.support.far SOCKET COUNT

Prints "ready", waits for a line on its input, stops the clips and prints what each has sent.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import math
import sys
import tempfile
from asyncio.subprocess import PIPE
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from bumble.transport import open_transport

from sensor_gateway.radio.link import Backends
from tests.ble.support.air import Air, SimController
from tests.ble.support.backend import Central
from tests.ble.support.clip import Clip


def address_of(i: int) -> str:
    return f"C0:00:00:00:{i >> 8:02X}:{i & 255:02X}"


class FarClips:
    """The gateway's view of that process."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process

    @classmethod
    @asynccontextmanager
    async def started(cls, n: int) -> AsyncIterator[tuple[Backends, FarClips]]:
        with tempfile.TemporaryDirectory() as folder:
            path = str(Path(folder) / "hci")
            process = await asyncio.create_subprocess_exec(
                sys.executable, "-m", __name__, path, str(n), stdin=PIPE, stdout=PIPE, limit=2**26
            )
            try:
                assert process.stdout is not None
                assert (await process.stdout.readline()).strip() == b"ready"
                transport = await open_transport(f"unix-client:{path}")
                central = Central(None, transport)
                await central.device.power_on()
                yield central.backends(), cls(process)
                await transport.close()
            finally:
                with contextlib.suppress(ProcessLookupError):
                    process.kill()
                await process.wait()

    async def silence(self) -> dict[str, list[int]]:
        """Stop sending; the numbers of what was sent, by address."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(b"silence\n")
        await self._process.stdin.drain()
        told: dict[str, list[int]] = json.loads(await self._process.stdout.readline())
        return told


async def main() -> None:
    path, n = sys.argv[1], int(sys.argv[2])
    transport = await open_transport(f"unix-server:{path}")
    air = Air()
    controller = SimController("central", transport.source, transport.sink, air)
    assert controller.link is air
    clips = [Clip(air, address_of(i)) for i in range(n)]
    for clip in clips:
        clip.keeps_s = math.inf  # on a busy machine it sends late, but all
        await clip.power_on()
    print("ready", flush=True)
    await asyncio.to_thread(sys.stdin.readline)
    await asyncio.gather(*(clip.fall_silent() for clip in clips))
    print(json.dumps({clip.address: clip.sent for clip in clips}), flush=True)
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main())
