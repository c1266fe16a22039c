"""MbientLab MetaMotion (R and RL: BMI160, S: BMI270): acceleration and angular rate, three samples a message.

The parser stands between the journal and the pipeline (`base.Driver`). A message is module u8, register u8, values. What a
register means depends on the chip, so the chip is configured and the sensor's own answer is checked against it. Streamed
samples carry no time: they are counted, and the two streams are joined on the count (`metamotion_pairs`). What the board
logs while the link is away is read by `metamotion_recording`. `docs/devices.md` says what this was verified on.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import ClassVar, Final, Literal

import numpy as np

from processing.types import GRAVITY_MPS2, NS_PER_S, ClockSpec, ImuBatch
from sensor_gateway.drivers import metamotion_recording as recording
from sensor_gateway.drivers.base import Advert, Battery, Capabilities, Decoded, Late, Rejected, Step
from sensor_gateway.drivers.metamotion_chips import (
    ACC,
    ACC_LSB_PER_G,
    ASK_BATTERY,
    BATTERY_TOLD,
    CHIPS,
    GYR_LSB_PER_DPS,
    GYRO,
    INFO,
    PACKED,
    RATE_CODES,
    ask_chip,
    run,
    set_up,
    tear_down,
)
from sensor_gateway.drivers.metamotion_pairs import Pairing

SERVICE_UUID: Final = "326a9000-85cb-9195-d9dd-464cfbbae75a"
COMMAND_UUID: Final = "326a9001-85cb-9195-d9dd-464cfbbae75a"
NOTIFY_UUID: Final = "326a9006-85cb-9195-d9dd-464cfbbae75a"

_BIT: Final = {ACC: 1, GYRO: 2}
_PART: Final = {ACC: "accelerometer", GYRO: "gyroscope"}


class MetaMotionDriver:
    """Parser of MetaMotion messages. Holds the count of samples, what waits to be joined, and whether the chip is right.

    ``record``: the board logs while the link is away, and what it logged is read afterwards (`base.Fetches`). Raises ValueError
    where the configuration asks for a rate, range or chip that there is not.
    """

    id: ClassVar[str] = "metamotion"
    version: ClassVar[int] = 1
    poll_s: ClassVar[float] = 600.0

    def __init__(
        self,
        rate_hz: float = 100.0,
        chip: Literal["bmi160", "bmi270"] = "bmi270",
        acc_range_g: int = 8,
        gyr_range_dps: int = 1000,
        record: bool = False,
    ) -> None:
        if rate_hz not in RATE_CODES:
            raise ValueError(f"rate_hz is {rate_hz:g}; a MetaMotion has {', '.join(map(str, RATE_CODES))}")
        if chip not in CHIPS:
            raise ValueError(f"chip is {chip!r}; MetaMotionS has 'bmi270', MetaMotionR and RL have 'bmi160'")
        if acc_range_g not in ACC_LSB_PER_G:
            raise ValueError(f"acc_range_g is {acc_range_g}; use one of {tuple(ACC_LSB_PER_G)}")
        if gyr_range_dps not in GYR_LSB_PER_DPS:
            raise ValueError(f"gyr_range_dps is {gyr_range_dps}; use one of {tuple(GYR_LSB_PER_DPS)}")
        self._rate_hz, self._name, self._chip = float(rate_hz), chip, CHIPS[chip]
        self._remedy = f"set its option 'chip' to '{next(other for other in CHIPS if other != chip)}'"
        self._set_up = set_up(self._chip, int(rate_hz), acc_range_g, gyr_range_dps)
        self._scale = {
            ACC: GRAVITY_MPS2 / ACC_LSB_PER_G[acc_range_g],
            GYRO: math.radians(1.0 / GYR_LSB_PER_DPS[gyr_range_dps]),
        }
        self._period_ns = round(NS_PER_S / rate_hz)
        self._pairing = Pairing(self._period_ns)
        self._wrong = 0
        self._recording = recording.Recording(self._period_ns) if record else None

    @property
    def capabilities(self) -> Capabilities:
        """The clock is the count of samples; its rate is measured."""
        clock = ClockSpec(self._period_ns, None)
        return Capabilities(clock, None, self._rate_hz, PACKED, backfill=self._recording is not None)

    def match(self, advert: Advert) -> float:
        """By the service; older MetaWear boards have it too."""
        return 0.9 * (SERVICE_UUID in advert.service_uuids)

    def notify_uuids(self) -> Sequence[str]:
        """Everything comes over one characteristic."""
        return (NOTIFY_UUID,)

    def start(self) -> Sequence[Step]:
        """Tear down all that an earlier session left (else nothing streams), ask for chip and battery, set up, start."""
        logger = ([], []) if self._recording is None else (recording.ask(self._chip), recording.prepare(self._chip))
        commands = (*tear_down(self._chip), *logger[0], *ask_chip(), ASK_BATTERY, *self._set_up, *logger[1], *run())
        return tuple(Step(COMMAND_UUID, command) for command in commands)

    def stop(self) -> Sequence[Step]:
        """Tear down, for the next session's sake."""
        return tuple(Step(COMMAND_UUID, command) for command in tear_down(self._chip))

    def poll(self) -> Sequence[Step]:
        """Ask for the battery, which is told only then."""
        return (Step(COMMAND_UUID, ASK_BATTERY),)

    def fetch(self, now_mono_ns: int) -> Sequence[Step]:
        """Read what the board logged (`base.Fetches`)."""
        if self._recording is None:
            return ()
        return tuple(Step(COMMAND_UUID, command) for command in self._recording.fetch(now_mono_ns))

    def reset(self) -> None:
        """Forget the count and what waits. The chip stays known: it belongs to the device."""
        self._pairing.reset()
        if self._recording is not None:
            self._recording.connection_lost()

    def snapshot(self) -> dict[str, int]:
        """The count, what waits, and whether the chip is right."""
        logged = {} if self._recording is None else self._recording.snapshot()
        return self._pairing.snapshot() | {"wrong": self._wrong} | logged

    def restore(self, state: dict[str, int]) -> None:
        """Take `snapshot`'s numbers back."""
        self._pairing.restore(state)
        self._wrong = state["wrong"]
        if self._recording is not None and "log_uid" in state:  # a snapshot from before the option was set has none
            self._recording.restore(state)

    def feed(self, uuid: str, payload: bytes, rx_mono_ns: int, rx_utc_ns: int) -> list[Decoded]:
        """Decode one message: samples where both streams have them, the battery, or the reason why not."""
        if uuid != NOTIFY_UUID:
            return [Rejected(f"characteristic {uuid} carries no data of a MetaMotion", payload)]
        if len(payload) < 2:
            return [Rejected(f"{len(payload)} bytes; a message has a module and a register", payload)]
        module, register, body = payload[0], payload[1], payload[2:]
        if module in (ACC, GYRO) and register == INFO:
            return self._check(module, payload)
        if payload.startswith(BATTERY_TOLD):
            ok = len(body) == 3 and body[0] <= 100
            return [Battery(float(body[0])) if ok else Rejected("a battery state is percent and millivolt", payload)]
        if self._recording is not None and module == recording.LOGGING:
            return self._logged(payload, rx_mono_ns, rx_utc_ns)
        if self._recording is not None and module == recording.EVENT:
            return []  # the event's number
        n = 0
        if module in (ACC, GYRO):
            n = {self._chip.single[module]: 1, self._chip.packed[module]: PACKED}.get(register, 0)
        if n == 0:
            return [Rejected(f"module {module:02x}, register {register:02x} was not asked for", payload)]
        if len(body) != 6 * n:
            return [Rejected(f"{len(payload)} bytes; {n} samples of a {self._name} have {2 + 6 * n}", payload)]
        if self._wrong:
            return [Rejected(f"the sensor has no {self._name}; {self._remedy}", payload)]
        values = np.frombuffer(body, "<i2").reshape(n, 3) * self._scale[module]
        joined = self._pairing.add(module, values, rx_mono_ns)
        if joined is None:
            return []
        ticks, acc_mps2, gyr_rps = joined
        if self._recording is not None:
            self._recording.live()
        return [ImuBatch(ticks, None, rx_mono_ns, rx_utc_ns, acc_mps2, gyr_rps)]

    def _logged(self, payload: bytes, rx_mono_ns: int, rx_utc_ns: int) -> list[Decoded]:
        if self._recording is None:
            return []
        found = self._recording.feed(payload, rx_mono_ns)
        if isinstance(found, str):
            return [Rejected(found, payload)]
        return [
            Late(ImuBatch(t, None, rx_mono_ns, rx_utc_ns, acc * self._scale[ACC], gyr * self._scale[GYRO]), "gateway")
            for t, acc, gyr in found
        ]

    def _check(self, module: int, payload: bytes) -> list[Decoded]:
        if len(payload) < 3:
            return [Rejected("the sensor has no such module", payload)]
        right = payload[2] == self._chip.implementation[module]
        self._wrong = self._wrong & ~_BIT[module] | (0 if right else _BIT[module])
        return (
            []
            if right
            else [Rejected(f"the sensor's {_PART[module]} is not that of a {self._name}; {self._remedy}", payload)]
        )
