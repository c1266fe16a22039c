"""The simulated sensor: a wearer's day through a cheap chip, in frames of the open profile, first the past, then live.

A `Transport` for the demo and for tests: everything behind it is the real chain. What is sent is a function of the
settings and of absolute time (`processing.synthetic`): the device clock and the sample count go on over restarts of the
process, and a journal that ends in the middle of a day is continued by exactly the payloads that follow.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import compress
from typing import Final

import numpy as np

from processing.alignment.static import AlignmentError
from processing.synthetic import NEUTRAL_S, RadioModel, Script, Wearer, bmi270, day_script, render
from processing.types import I64, NS_PER_S
from sensor_gateway.config import Sensor
from sensor_gateway.drivers.base import Received, Sink, TransportContext
from sensor_gateway.drivers.open_profile import DATA_UUID, OpenProfileDriver, encode_frames
from sensor_gateway.drivers.options import option_error, read_options, time_option

PER_FRAME: Final = 10
BLOCK_FRAMES: Final = 200
"""Frames that are computed and handed over at once while catching up: 20 s at 100 Hz, a few ms of work."""
LIVE_FRAMES: Final = 10
RECONNECT_S: Final = 15.0
"""After a restart the wearer is met again this much later, on a new day's script."""
_HOUR_NS: Final = 3600 * NS_PER_S
_CHARGE_H: Final = 32  # from full to a fifth, then the wearer charges it
_AHEAD_S: Final = 86_400.0
_FAR_NS: Final = 1 << 62


@dataclass(frozen=True, slots=True)
class SyntheticOptions:
    """Options of a `synthetic` sensor.

    ``hours`` of past come first, as fast as the gateway takes them. With ``start`` (ISO 8601) the day begins there, the
    same on every run; without it ``hours`` before now. ``until`` ends the stream. ``speed`` scales live time; 0 does not wait
    at all and needs ``until``. ``loss`` is the share of frames lost in bursts of ``burst_s``, ``ppm`` the oscillator's error,
    ``raised`` whether the wearer has the habit that the rules look for. ``bow_rounds``: after the neutral pose
    the wearer bows three times, so many times over, about every sixteen seconds (for the guided set-up).
    """

    seed: int = 1
    hours: float = 8.0
    start: str = ""
    until: str = ""
    speed: float = 1.0
    loss: float = 0.0
    burst_s: float = 0.5
    ppm: float = 20.0
    misplaced_deg: float = 6.0
    raised: bool = True
    bow_rounds: int = 0


class SyntheticSensor:
    """See the module. ``began_utc_ns`` is when this wearer's day began: the ten seconds from there are a neutral pose.

    Raises `ConfigError` for options that cannot be used. ``on_link`` hears of the link from when the past has been caught
    up: it tells what is, and the past's interruptions show as missing samples.
    """

    def __init__(self, sensor: Sensor, context: TransportContext) -> None:
        self.options = options = read_options(sensor, SyntheticOptions)
        _check(sensor, options)
        # The sensor counts whole microseconds between samples, so 60 Hz is in truth 1e6 / 16667.
        self._period_us = round(1e6 / sensor.rate_hz)
        self.driver = OpenProfileDriver(sensor.rate_hz, PER_FRAME, acc_range_g=16, gyr_range_dps=2000)
        self._clock, self._progress = context.clock, context.on_progress
        try:
            self._chip = bmi270(options.seed, sensor.mount, options.misplaced_deg)
        except AlignmentError as e:
            raise option_error(sensor, "mount", sensor.mount, str(e)) from None
        self._radio = RadioModel(
            options.seed,
            1e6 / self._period_us,
            PER_FRAME,
            options.ppm,
            loss=options.loss,
            burst_s=options.burst_s,
        )
        now_ns = context.clock.utc_ns()
        self._mono_offset_ns = context.clock.mono_ns() - now_ns
        self._real_ns = self._simulated_ns = now_ns
        past_ns = round(options.hours * _HOUR_NS)
        start_ns, after_ns = time_option(sensor, "start", options.start), context.start_after_utc_ns
        if start_ns is not None:
            self.began_utc_ns, lively_from_s = start_ns, None
        else:
            met_again_ns = 0 if after_ns is None else after_ns + round(RECONNECT_S * NS_PER_S)
            self.began_utc_ns = max(now_ns - past_ns, met_again_ns)
            lively_from_s = max((now_ns - self.began_utc_ns) / NS_PER_S, NEUTRAL_S)
        low, high = Wearer().raised_deg if options.raised else (0.0, 0.0)
        self._wearer = Wearer(options.seed, raised_deg=(low, high), bow_rounds=options.bow_rounds)
        self._lively_from_s = lively_from_s
        self._script: Script | None = None
        self._until_ns = time_option(sensor, "until", options.until)
        self._frame = self._first_frame(after_ns)
        self._caught_up = False
        self._link = ""

    async def run(self, sink: Sink, on_link: Callable[[str], None]) -> None:
        """Deliver the past in blocks, then live frame by frame; see `Transport`. Goes on where an earlier run stopped."""
        begin_ns = self._frame * self._radio.frame_ns
        while (count := self._frames_left()) > 0:
            arrival = self._radio.arrival_utc_ns(self._frame, count)
            now_ns = self._now_ns()
            if arrival[-1] > now_ns:
                self._tell_progress(1.0)
                await self._live(min(count, LIVE_FRAMES), sink, on_link)
                continue
            received = self._received(arrival)
            if received:
                await sink(received)
            self._frame += count
            end_ns = now_ns if self._until_ns is None else min(now_ns, self._until_ns)
            self._tell_progress(min(0.999, (int(arrival[-1]) - begin_ns) / max(1, end_ns - begin_ns)))
            await self._clock.sleep(0)  # let the rest of the gateway run between blocks
        self._tell_progress(1.0)
        if self._link:
            self._tell_link("lost", on_link)

    async def _live(self, count: int, sink: Sink, on_link: Callable[[str], None]) -> None:
        """A second's frames, each when it arrives; several at once where the gateway was held up."""
        arrival = self._radio.arrival_utc_ns(self._frame, count)
        waiting = {r.rx_utc_ns: r for r in self._received(arrival)}
        in_range = self._in_range(arrival)
        done = 0
        while done < count:
            now_ns = self._now_ns()
            due = int(np.searchsorted(arrival, now_ns, side="right"))
            if due <= done:
                await self._clock.sleep((int(arrival[done]) - now_ns) / NS_PER_S / self.options.speed)
                continue
            self._tell_link("streaming" if in_range[due - 1] else "searching", on_link)
            received = [waiting[at] for at in arrival[done:due].tolist() if at in waiting]
            if received:
                await sink(received)
            self._frame += due - done
            done = due

    def _received(self, arrival: I64) -> list[Received]:
        """Payloads of the frames from `_frame` on that arrive at these times; those lost or out of range are left out."""
        count, first = len(arrival), self._frame * PER_FRAME
        times = self._radio.sample_utc_ns(first, count * PER_FRAME)
        script = self._script_for(int(times[-1]))
        truth = render(script, times)
        acc, gyr = self._chip.measure(times, first, truth.acc_p_mps2, truth.gyr_p_rps)
        payloads = encode_frames(
            first,
            first * self._period_us,
            acc,
            gyr,
            self._battery_percent(self._frame),
            period_us=self._period_us,
            batch=PER_FRAME,
            acc_range_g=16,
            gyr_range_dps=2000,
        )
        arrives = ~self._radio.lost(self._frame, count) & truth.linked[PER_FRAME - 1 :: PER_FRAME]
        offset = self._mono_offset_ns
        return [
            Received(DATA_UUID, payload, at + offset, at)
            for payload, at in compress(zip(payloads, arrival.tolist(), strict=True), arrives.tolist())
        ]

    def _first_frame(self, after_ns: int | None) -> int:
        """The first whole frame of the day that arrives after what the journal holds."""
        frame = -(-self._radio.sample_at(self.began_utc_ns) // PER_FRAME)
        if after_ns is None:
            return frame
        near = max(frame, after_ns // self._radio.frame_ns - BLOCK_FRAMES)
        arrival = self._radio.arrival_utc_ns(near, 2 * BLOCK_FRAMES)
        return near + int(np.searchsorted(arrival, after_ns, side="right"))

    def _frames_left(self) -> int:
        """Frames up to the next multiple of the block (so that blocks and restarts see the same battery) or the end."""
        count = BLOCK_FRAMES - self._frame % BLOCK_FRAMES
        if self._until_ns is None:
            return count
        return min(count, self._until_ns // self._radio.frame_ns - self._frame)

    def _script_for(self, utc_ns: int) -> Script:
        script = self._script
        if script is None or utc_ns > script.stop_utc_ns:
            # Written a day ahead; a longer script begins with the shorter one, so the wearer's past stays.
            duration_s = (utc_ns - self.began_utc_ns) / NS_PER_S + _AHEAD_S
            script = day_script(self.began_utc_ns, duration_s, self._wearer, lively_from_s=self._lively_from_s)
            self._script = script
        return script

    def _in_range(self, arrival: I64) -> list[bool]:
        script = self._script_for(int(arrival[-1]))
        return [bool(linked) for linked in script.linked((arrival - script.start_utc_ns) / NS_PER_S)]

    def _battery_percent(self, frame: int) -> float:
        block_ns = frame // BLOCK_FRAMES * BLOCK_FRAMES * self._radio.frame_ns
        return 100.0 - 80.0 * (block_ns % (_CHARGE_H * _HOUR_NS)) / (_CHARGE_H * _HOUR_NS)

    def _now_ns(self) -> int:
        """Simulated now: real time at ``speed``; beyond everything where nothing is waited for."""
        speed = self.options.speed
        if not speed:
            return _FAR_NS
        real_ns = self._clock.utc_ns()
        self._simulated_ns += round((real_ns - self._real_ns) * speed)
        self._real_ns = real_ns
        return self._simulated_ns

    def _tell_link(self, state: str, on_link: Callable[[str], None]) -> None:
        if state == self._link:
            return
        if state == "searching" and self._link == "streaming":
            on_link("lost")
        self._link = state
        on_link(state)

    def _tell_progress(self, share: float) -> None:
        """Share of the past that is caught up; 1 once, at its end."""
        if self._progress is not None and not self._caught_up:
            self._caught_up = share == 1.0
            self._progress(share)


def _check(sensor: Sensor, options: SyntheticOptions) -> None:
    for key, value, fits, remedy in (
        ("hours", options.hours, 0.0 <= options.hours <= 24.0 * 60.0, "give 0 to 1440"),
        ("speed", options.speed, options.speed >= 0.0, "give 1 for real time, 0 for no waiting"),
        (
            "speed",
            options.speed,
            options.speed > 0.0 or bool(options.until),
            "without waiting there must be an 'until'",
        ),
        ("loss", options.loss, 0.0 <= options.loss < 1.0, "give a share from 0 to below 1"),
        ("burst_s", options.burst_s, 0.0 < options.burst_s <= 60.0, "give seconds up to 60"),
        ("ppm", options.ppm, abs(options.ppm) <= 50_000.0, "give at most 50000"),
        ("bow_rounds", options.bow_rounds, 0 <= options.bow_rounds <= 100, "give 0 to 100"),
        ("seed", options.seed, options.seed >= 0, "give 0 or more"),
        ("rate_hz", sensor.rate_hz, 16.0 <= sensor.rate_hz <= 1000.0, "the open profile carries 16 to 1000"),
    ):
        if not fits:
            raise option_error(sensor, key, value, remedy)
