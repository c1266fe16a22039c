"""The recordings of a Movella DOT over an open connection: state, directory, start, stop, fetch, erase.

Behind `tiltline recordings`. `drivers.dot_recording` says what to write and what came; here are the waits: an acknowledgement is
read after each message until it is that message's, notifications end with one of a known kind, and where nothing comes any more
the question is asked again. Times are generous: a sensor's memory is slow, and a lost one ends the connection anyway.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import Final

from processing.types import NS_PER_S
from sensor_gateway.clock import Clock
from sensor_gateway.drivers import dot_recording as dot
from sensor_gateway.drivers.base import Driver, Received, Sink, Step
from sensor_gateway.drivers.dot_message import Message, decode
from sensor_gateway.drivers.movella_dot import BATTERY_UUID, MovellaDotDriver
from sensor_gateway.radio.link import Link

_TRIES: Final = 3
_READS: Final = 20
_GROUP: Final = 500
_MOST_FILES: Final = 254


class RecorderError(Exception):
    """The sensor did not do what it was asked for; the text is one sentence with the remedy."""


@dataclass(frozen=True, slots=True)
class Patience:
    """Seconds: for an answer, until it records, without any packet of an export, between two looks, for erasing."""

    answer_s: float = 10.0
    begin_s: float = 3.0
    silence_s: float = 5.0
    look_s: float = 0.1
    erase_s: float = 300.0


@dataclass(frozen=True, slots=True)
class Recorded:
    """A recording on the sensor: its number there, its rough size, what its head says, and the head as it came."""

    number: int
    size_bytes: int
    head: dot.Head
    raw: bytes


class Recorder:
    """One connected DOT. Call `begin` first; raises `RecorderError`, and `LinkError` where the connection fails."""

    def __init__(self, link: Link, clock: Clock, patience: Patience | None = None) -> None:
        self._link, self._clock, self._wait = link, clock, patience or Patience()
        self._came: asyncio.Queue[bytes] = asyncio.Queue()

    async def begin(self) -> None:
        """Hear what the sensor tells."""
        await self._link.subscribe((dot.MESSAGE_UUID,), lambda _, payload: self._came.put_nowait(payload))

    async def battery_percent(self) -> int:
        """The charge."""
        told = await self._link.read(BATTERY_UUID)
        if not told or told[0] > 100:
            raise RecorderError(f"the sensor's battery report {told.hex()} cannot be read; switch it off and on")
        return told[0]

    async def state(self) -> int:
        """What the sensor is doing: one of `dot_recording.STATES`."""
        return await self._ask(dot.message(dot.GET_STATE))

    async def settled(self) -> int:
        """Idle or recording: an export that an earlier connection left behind is stopped."""
        state = await self.state()
        if state in (dot.IDLE, dot.ON_RECORDING):
            return state
        if state == dot.ON_EXPORT:
            await self._write(dot.message(dot.DATA_STOP))
        await self._reach(dot.IDLE, self._wait.answer_s, "is busy with its memory; wait a minute and try again")
        return dot.IDLE

    async def running(self) -> tuple[int, int | None, int | None]:
        """Of the running recording: start [UTC s], timer [s] and what is left."""
        told = (await self._answers(dot.message(dot.ASK_TIME), (dot.TIME,)))[-1]
        try:
            return dot.time_of(told.data)
        except ValueError as e:
            raise RecorderError(f"the sensor's answer cannot be read: {e}") from None

    async def directory(self) -> tuple[dot.Directory, list[Recorded]]:
        """All recordings; the sensor must be idle."""
        directory = dot.Directory()
        for told in await self._answers(dot.message(dot.ASK_FLASH), (dot.FLASH_DONE, dot.UNKNOWN_FORMAT)):
            if told.kind == dot.FLASH:
                directory.told(told.data)
        found = []
        for number, size in enumerate(directory.sizes[:_MOST_FILES], 1):
            answers = await self._answers(dot.message(dot.ASK_FILE, bytes([number])), (dot.FILE_DONE, dot.NO_FILE))
            heads = [told for told in answers if told.kind == dot.FILE]
            try:
                found += [Recorded(number, size, dot.Head.of(told.data), told.encode()) for told in heads]
            except ValueError as e:
                raise RecorderError(f"recording {number} cannot be read: {e}") from None
        return directory, found

    async def start(self, driver: MovellaDotDriver, seconds: int = dot.NO_TIMER) -> Received:
        """Set rate and sleep, then begin to record at the turn of a second, since the sensor is told whole ones; what it
        tells of its recording then.
        """
        await self._link.write(driver.start()[:-1])
        await self._clock.sleep((-self._clock.utc_ns() % NS_PER_S) / NS_PER_S)
        asked = dot.start(round(self._clock.utc_ns() / NS_PER_S), seconds)
        await self._write(asked)
        result = await self._result(asked, 1)
        if result is not None:
            self._refuse(result, "start recording")
        if await self.state() != dot.ON_RECORDING:
            raise RecorderError(
                "the sensor took the command but does not record; is its memory full? fetch, then erase"
            )
        told = (await self._answers(dot.message(dot.ASK_TIME), (dot.TIME,)))[-1]
        return self._received(dot.MESSAGE_UUID, told.encode())

    async def stop(self) -> None:
        """End the running recording; returns once the sensor is idle."""
        # What it was acknowledged as is not asked: the state tells.
        await self._write(dot.message(dot.STOP))
        await self._reach(dot.IDLE, self._wait.answer_s, "is still recording; hold its button for a second to stop it")

    async def erase(self, progress: Callable[[float], None]) -> None:
        """Clear the memory; returns once the sensor is idle again."""
        result = await self._ask(dot.erase(self._clock.utc_ns() // NS_PER_S))
        if result not in (dot.ERASING, dot.IDLE):
            self._refuse(result, "erase")
        await self._reach(
            dot.IDLE, self._wait.erase_s, "is still erasing; leave it switched on, and look again later", progress
        )

    async def fetch(
        self, recorded: Recorded, held: int, progress: Callable[[int], None]
    ) -> AsyncIterator[list[Received]]:
        """What is to be journaled of a recording from packet ``held`` on: its head, packets in their order, its end.
        ``progress`` hears the number of packets. The sensor must be idle.
        """
        yield [self._received(dot.MESSAGE_UUID, recorded.raw)]
        export = dot.Export(recorded.number, held)
        await self._say(export.begin())
        silences, group = 0, list[Received]()
        while not export.done:
            try:
                async with asyncio.timeout(self._wait.silence_s):
                    raw = await self._next()
            except TimeoutError:
                silences += 1
                if silences > _TRIES:
                    raise RecorderError(
                        f"recording {recorded.number} stopped at packet {export.next}; fetch again, it goes on from there"
                    ) from None
                await self._say(export.silent(await self.state()))
                continue
            at = export.next
            keep, wanted = export.told(raw)
            if export.error:
                raise RecorderError(f"recording {recorded.number}: {export.error}")
            if keep:
                group.append(self._received(dot.MESSAGE_UUID, raw))
            if export.next > at:
                silences = 0
            if len(group) >= _GROUP or (group and self._came.empty()):
                yield group
                group = []
                progress(export.next)
            await self._say(wanted)
        if group:
            yield group

    async def _next(self) -> bytes:
        """The next notification; ends with the connection."""
        while self._came.empty():
            if self._link.disconnected.is_set():
                raise RecorderError("the connection broke; fetch again, it goes on where it broke off")
            try:
                async with asyncio.timeout(self._wait.look_s):
                    return await self._came.get()
            except TimeoutError:
                continue
        return self._came.get_nowait()

    async def _answers(self, asked: Message, ends: tuple[int, ...]) -> list[Message]:
        """All messages up to one of ``ends``, that included; asked again where one comes damaged or none."""
        for _ in range(_TRIES):
            while not self._came.empty():
                self._came.get_nowait()
            result = await self._ask(asked)
            if result == dot.BUSY:
                await self._clock.sleep(self._wait.look_s * 10)
                continue
            self._refuse(result, "tell about its recordings")
            found = list[Message]()
            try:
                async with asyncio.timeout(self._wait.answer_s):
                    while not found or found[-1].kind not in ends:
                        found.append(decode(await self._next()))
            except (TimeoutError, ValueError):
                continue
            return found
        raise RecorderError(f"the sensor gave no whole answer to message {asked.kind:02x}; come nearer and try again")

    async def _say(self, messages: list[Message]) -> None:
        """Write messages of an export. What comes of asking for a packet again is seen by the packets alone."""
        for asked in messages:
            if asked.kind == dot.RETRANSMIT:
                await self._write(asked)
            else:
                self._refuse(await self._ask(asked), "send a recording")

    async def _ask(self, asked: Message) -> int:
        """Write a message; the result in its acknowledgement."""
        await self._write(asked)
        result = await self._result(asked, _READS)
        if result is None:
            raise RecorderError(f"the sensor does not acknowledge message {asked.kind:02x}; switch it off and on")
        return result

    async def _result(self, asked: Message, reads: int) -> int | None:
        """The result as soon as it is that of ``asked``: firmware is said to keep an older acknowledgement for a while."""
        for _ in range(reads):
            try:
                result = dot.result_of(await self._link.read(dot.ACK_UUID), asked)
            except ValueError:
                result = None  # torn between two messages
            if result is not None:
                return result
            await self._clock.sleep(self._wait.look_s)
        return None

    async def _write(self, asked: Message) -> None:
        await self._link.write([Step(dot.CONTROL_UUID, asked.encode(), self._wait.answer_s)])

    async def _reach(
        self, state: int, most_s: float, what: str, progress: Callable[[float], None] = lambda _: None
    ) -> None:
        """Wait until the sensor is in ``state``; ``what`` it does where it is not."""
        began_ns = self._clock.mono_ns()
        while await self.state() != state:
            share = (self._clock.mono_ns() - began_ns) / NS_PER_S / most_s
            if share >= 1:
                raise RecorderError(f"the sensor {what}")
            progress(share)
            await self._clock.sleep(self._wait.look_s)

    def _refuse(self, result: int, what: str) -> None:
        if result != dot.SUCCESS:
            doing = dot.STATES.get(result, f"result {result:02x}")
            raise RecorderError(f"the sensor does not {what} now: {doing}")

    def _received(self, uuid: str, payload: bytes) -> Received:
        return Received(uuid, payload, self._clock.mono_ns(), self._clock.utc_ns())


class Delivery:
    """Groups of payloads on their way into the journal: the transport that a runner takes them from (`base.Transport`)."""

    def __init__(self, driver: Driver, groups: AsyncIterator[list[Received]]) -> None:
        self.driver: Driver = driver
        self._groups = groups

    async def run(self, sink: Sink, on_link: Callable[[str], None]) -> None:  # noqa: ARG002 - its link is the command's
        """Deliver until the groups end; see `base.Transport`."""
        async for group in self._groups:
            await sink(group)
