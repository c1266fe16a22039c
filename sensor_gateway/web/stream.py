"""The live stream as server-sent events: ``frame`` for each live frame, ``now`` about once a second, whatever else happens.

Inside a gateway frames come from the hub as they are published. Without one, the store is asked once a second and the
``now`` event carries its newest second.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator
from typing import Any, Final

from starlette.concurrency import run_in_threadpool

from sensor_gateway.live import LiveFrame, LiveHub, Subscription
from sensor_gateway.sinks.store import StoreError
from sensor_gateway.web import views
from sensor_gateway.web.source import Source

NOW_EVERY_S: Final = 1.0
MAX_STREAMS: Final = 32
RETRY_MS: Final = 1500


def sse(event: str, data: Any) -> bytes:
    """One server-sent event; JSON without line breaks, so that it is one data line."""
    return f"event: {event}\ndata: {json.dumps(data, separators=(',', ':'))}\n\n".encode()


async def stream(source: Source, hub: LiveHub, wearer: str) -> AsyncIterator[bytes]:
    """Bytes of the stream until the reader leaves or the hub is closed. ``hub`` may be one nobody publishes to."""
    yield f"retry: {RETRY_MS}\n\n".encode()
    with hub.subscribe(wearer) as frames:
        due = 0.0
        while True:
            wait = due - time.monotonic()
            if wait <= 0:
                try:
                    now = await run_in_threadpool(source.now, wearer)
                except StoreError:
                    return  # the reader comes back; `/api/now` tells him in words
                yield sse("now", now)
                due = time.monotonic() + NOW_EVERY_S
                continue
            try:
                frame = await _next(frames, wait)
            except StopAsyncIteration:
                return
            shown = frame and views.frame_view(frame, source.clock.utc_ns())
            if shown:
                yield sse("frame", shown)


async def _next(frames: Subscription, wait_s: float) -> LiveFrame | None:
    """The next frame, or None when none came in time."""
    try:
        async with asyncio.timeout(wait_s):
            return await anext(frames)
    except TimeoutError:
        return None
