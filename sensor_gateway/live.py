"""The in-process way from the runner to the open pages: every frame to every subscriber, nobody waits for anybody.

The runner publishes at least ten frames a second per wearer; `web/` turns them into server-sent events. Nothing here is
stored: a frame nobody reads in time is gone, and what lasts goes through the outbox.
"""

from __future__ import annotations

import asyncio
from collections import deque
from dataclasses import dataclass
from types import TracebackType
from typing import Final

QUEUE_FRAMES: Final = 32
"""Frames a slow subscriber may lag behind (about 3 s at 10 a second); older ones are dropped, the newest matter."""


@dataclass(frozen=True, slots=True)
class LiveFrame:
    """One moment as the page draws it. ``t_utc_ns`` is the time of the newest sample in it, not of its publication.

    ``anterior_tilt_deg`` is relative to the wearer's neutral (+ = forward) and None where there is no value;
    ``valid`` is false while the filter settles. ``posture`` is that of the last judged second, None before the first.
    """

    t_utc_ns: int
    anterior_tilt_deg: float | None
    obliquity_deg: float | None
    valid: bool
    posture: str | None
    wearer: str
    sensor: str


class Subscription:
    """Frames of one wearer for one reader, as an async iterator; a context manager that ends the subscription."""

    def __init__(self, hub: LiveHub, wearer: str) -> None:
        self._hub = hub
        self._loop = asyncio.get_running_loop()
        self._ready = asyncio.Event()
        self._frames: deque[LiveFrame] = deque(maxlen=QUEUE_FRAMES)
        self._closed = False
        self.wearer = wearer
        self.dropped = 0

    def __enter__(self) -> Subscription:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __aiter__(self) -> Subscription:
        return self

    async def __anext__(self) -> LiveFrame:
        while not self._frames:
            if self._closed:
                raise StopAsyncIteration
            self._ready.clear()
            # A frame or a close between the check and the clear must not be slept through.
            if self._frames or self._closed:
                continue
            await self._ready.wait()
        return self._frames.popleft()

    def newest(self) -> LiveFrame | None:
        """The newest frame waiting, if any; the ones before it are skipped. For readers slower than the publisher."""
        frame = None
        while self._frames:
            frame = self._frames.popleft()
        return frame

    def close(self) -> None:
        """End the iteration; safe to call twice and from any thread."""
        self._closed = True
        self._hub.forget(self)
        self._wake()

    def put(self, frame: LiveFrame) -> None:
        """Called by the hub. The deque drops the oldest frame by itself; it is counted here."""
        self.dropped += len(self._frames) == QUEUE_FRAMES
        self._frames.append(frame)
        self._wake()

    def _wake(self) -> None:
        # The publisher may be a worker thread; a subscriber's loop that has ended has nobody left to wake.
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._ready.set)


class LiveHub:
    """Fans frames out to subscribers and remembers the newest frame of each wearer."""

    def __init__(self) -> None:
        self._subscriptions: tuple[Subscription, ...] = ()
        self._latest: dict[str, LiveFrame] = {}

    def publish(self, frame: LiveFrame) -> None:
        """Hand the frame to every subscriber of its wearer. Never blocks, never raises, from any thread."""
        self._latest[frame.wearer] = frame
        for subscription in self._subscriptions:
            if subscription.wearer == frame.wearer:
                subscription.put(frame)

    def subscribe(self, wearer: str) -> Subscription:
        """Frames published from now on: ``with hub.subscribe(w) as frames: async for frame in frames: ...``."""
        subscription = Subscription(self, wearer)
        self._subscriptions = (*self._subscriptions, subscription)
        return subscription

    def forget(self, subscription: Subscription) -> None:
        """Stop serving a subscription (`Subscription.close` calls this)."""
        self._subscriptions = tuple(s for s in self._subscriptions if s is not subscription)

    def latest(self, wearer: str) -> LiveFrame | None:
        """The newest frame of the wearer, however old; the reader judges its age."""
        return self._latest.get(wearer)

    def watches(self, wearer: str) -> bool:
        """Whether anybody follows this wearer now."""
        return any(s.wearer == wearer for s in self._subscriptions)

    @property
    def subscribers(self) -> int:
        return len(self._subscriptions)

    def close(self) -> None:
        """End every subscription, so that open streams finish before the server stops."""
        for subscription in self._subscriptions:
            subscription.close()
