"""The live hub: everybody gets every frame, a slow reader loses the oldest, nobody blocks the publisher."""

from __future__ import annotations

import asyncio
import threading

from sensor_gateway.live import QUEUE_FRAMES, LiveFrame, LiveHub, Subscription


def frame(i: int, wearer: str = "w-001") -> LiveFrame:
    return LiveFrame(i, float(i), None, True, "standing", wearer, "clip-1")


def test_subscribers_get_their_wearers_frames_in_order() -> None:
    async def run() -> None:
        hub = LiveHub()
        with hub.subscribe("w-001") as one, hub.subscribe("w-002") as two:
            for i in range(3):
                hub.publish(frame(i))
            hub.publish(frame(9, "w-002"))
            assert [(await anext(one)).t_utc_ns for _ in range(3)] == [0, 1, 2]
            assert (await anext(two)).t_utc_ns == 9
        assert hub.subscribers == 0

    asyncio.run(run())


def test_slow_reader_loses_the_oldest_and_it_is_counted() -> None:
    async def run() -> None:
        hub = LiveHub()
        with hub.subscribe("w-001") as frames:
            for i in range(QUEUE_FRAMES + 5):
                hub.publish(frame(i))
            assert (await anext(frames)).t_utc_ns == 5
            assert frames.dropped == 5
            newest = frames.newest()
            assert newest is not None
            assert newest.t_utc_ns == QUEUE_FRAMES + 4
            assert frames.newest() is None

    asyncio.run(run())


def test_frames_from_a_thread_wake_a_waiting_reader() -> None:
    async def run() -> None:
        hub = LiveHub()
        with hub.subscribe("w-001") as frames:
            waiting = asyncio.ensure_future(anext(frames))
            await asyncio.sleep(0)
            thread = threading.Thread(target=hub.publish, args=(frame(1),))
            thread.start()
            assert (await asyncio.wait_for(waiting, 60)).t_utc_ns == 1
            thread.join()

    asyncio.run(run())


def test_close_ends_the_iteration_of_a_waiting_reader() -> None:
    async def run() -> None:
        hub = LiveHub()
        with hub.subscribe("w-001") as frames:
            waiting = asyncio.ensure_future(collect(frames))
            hub.publish(frame(1))
            await asyncio.sleep(0)
            hub.close()
            assert [f.t_utc_ns for f in await asyncio.wait_for(waiting, 60)] == [1]
        latest = hub.latest("w-001")
        assert latest is not None
        assert latest.t_utc_ns == 1
        assert hub.latest("w-404") is None

    async def collect(frames: Subscription) -> list[LiveFrame]:
        return [f async for f in frames]

    asyncio.run(run())
