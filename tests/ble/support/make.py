"""What the simulated sensors of `makes` have in common: samples that carry their number, and when each was measured.

Each sample's number, which is never used twice, stands in the three axes of both quantities (base 1000), and ``truth`` tells when it was
measured. So what comes out of driver and clock can be held against it: scale, sign, order of axes, pairing, date, loss, doubles.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar


class RefusedError(Exception):
    """The sensor answers a write with an error."""


@dataclass(frozen=True)
class Packet:
    """One notification, and the samples that are complete with it."""

    uuid: str
    payload: bytes
    samples: tuple[int, ...] = ()


def digits(number: int) -> tuple[int, int, int]:
    return number % 1000, number // 1000 % 1000, number // 1_000_000


UPTIME_S = 600.0  # since which a sensor has been on when its life begins


class Make:
    """``acc``, ``gyr``: what a digit of a sample's number is worth [m/s²], [rad/s]. ``rate_off``: of the sampling, ``clock_off`` of the clock.

    ``dated``: by a clock of its own. ``tells_twice``: a message that comes twice can be told from two messages.
    """

    services: ClassVar[Mapping[str, Mapping[str, Sequence[str]]]]
    advertised: tuple[str, ...] = ()
    name: str | None = None
    rate_hz = 100.0
    acc = gyr = 1.0
    dated = tells_twice = True

    def __init__(self, now: Callable[[], float], rate_off: float, clock_off: float) -> None:
        self.now = now
        self.truth: list[float] = []
        self.rate_off, self.clock_off = rate_off, clock_off
        self.subscribed: set[str] = set()
        self.switch_on()
        self.boot_s -= UPTIME_S
        self.boot()

    def switch_on(self) -> None:
        self.boot_s = self._due_s = self.now()
        self.answers: list[Packet] = []
        self.measuring = False
        self.boot()

    def boot(self) -> None:
        """Settings as when it was switched on."""

    def connected(self) -> None:
        self.subscribed, self.answers, self.measuring = set(), [], False

    def wrote(self, value: bytes) -> None:
        raise NotImplementedError

    def turn(self) -> list[Packet]:
        """What is ready to be sent."""
        out, self.answers = self.answers, []
        while self.measuring and self.span_s <= self.now() - self._due_s:
            out += self.packets(self._due_s)
            self._due_s += self.span_s
        return out

    def begin(self) -> None:
        self.measuring, self._due_s = True, self.now()

    batch = 1

    @property
    def period_s(self) -> float:
        return 1.0 / (self.rate_hz * (1.0 + self.rate_off))

    @property
    def span_s(self) -> float:
        return self.batch * self.period_s

    def clock_s(self, t_s: float) -> float:
        return (t_s - self.boot_s) * (1.0 + self.clock_off)

    def measure(self, t_s: float, n: int) -> list[int]:
        """Numbers of ``n`` samples from ``t_s`` on."""
        first = len(self.truth)
        self.truth += [t_s + i * self.period_s for i in range(n)]
        return list(range(first, first + n))

    def packets(self, t_s: float) -> list[Packet]:
        raise NotImplementedError
