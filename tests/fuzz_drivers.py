"""Every decoder against a great many random and mutated payloads: ``python -m tests.fuzz_drivers --count 1000000``.

Per driver it holds that `feed` never raises, that what comes out is whole and finite (`fuzz.check`), that each payload
which was neither decoded nor kept for reassembly is refused with a reason, that the driver holds no more than its bound, and
that the process does not grow. CI runs the same in a short seeded form (`tests/sensor_gateway/drivers/test_fuzz.py`).
"""

from __future__ import annotations

import argparse
import json
import pickle
import resource
import sys
import time
from binascii import crc_hqx
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from struct import pack
from zlib import crc32

import numpy as np

from sensor_gateway.drivers.base import Decoded, Driver, Fetches, Rejected
from sensor_gateway.drivers.capture2go import NOTIFY_UUID as C2G_UUID
from sensor_gateway.drivers.capture2go import Capture2GoDriver
from sensor_gateway.drivers.capture2go_frame import Package, encode, split
from sensor_gateway.drivers.dot_payload import LONG_UUID, MEDIUM_UUID
from sensor_gateway.drivers.dot_recording import MESSAGE_UUID as DOT_MESSAGE_UUID
from sensor_gateway.drivers.metamotion import NOTIFY_UUID as MM_UUID
from sensor_gateway.drivers.metamotion import MetaMotionDriver
from sensor_gateway.drivers.movella_dot import BATTERY_UUID as DOT_BATTERY_UUID
from sensor_gateway.drivers.movella_dot import MovellaDotDriver
from sensor_gateway.drivers.movesense import NOTIFY_UUID as MS_UUID
from sensor_gateway.drivers.movesense import MovesenseDriver
from sensor_gateway.drivers.open_profile import DATA_UUID, HEADER_BYTES, OpenProfileDriver, encode_frames
from sensor_gateway.drivers.polar import BATTERY_UUID as POLAR_BATTERY_UUID
from sensor_gateway.drivers.polar import CONTROL_UUID as POLAR_CONTROL_UUID
from sensor_gateway.drivers.polar import DATA_UUID as POLAR_DATA_UUID
from sensor_gateway.drivers.polar import PolarDriver
from sensor_gateway.drivers.reasons import kind_of
from sensor_gateway.drivers.witmotion import NOTIFY_UUID as WIT_UUID
from sensor_gateway.drivers.witmotion import WitMotionDriver
from tests.ble.support.flash import Flash
from tests.sensor_gateway.drivers import test_capture2go as c2g
from tests.sensor_gateway.drivers import test_dot_recording as dot_rec
from tests.sensor_gateway.drivers import test_metamotion as mm
from tests.sensor_gateway.drivers import test_movella_dot as dot
from tests.sensor_gateway.drivers import test_movesense as ms
from tests.sensor_gateway.drivers import test_polar as polar
from tests.sensor_gateway.drivers import test_witmotion as wit
from tests.sensor_gateway.drivers.fuzz import check

WARM_UP = 20_000
GROWTH_MB = 24.0
"""The interpreter and NumPy keep some free lists; a leak of one small object a payload would be 50 MB and more."""
HELD_BYTES = 1_000_000
"""What a driver holds, all told, as it would be written to disk: two streams of Polar's longest messages are the most."""
REASONS_MAX = 64


@dataclass(frozen=True, slots=True)
class Case:
    """A driver, what it is fed (characteristic and a good payload), and the most numbers its snapshot may hold.

    ``seal`` gives a changed payload a right checksum, where there is one: else nothing behind the checksum would be reached.
    """

    make: Callable[[], Driver]
    good: tuple[tuple[str, bytes], ...]
    most_numbers: int
    seal: Callable[[bytes], bytes] | None = None


def _on(uuid: str, *payloads: bytes) -> tuple[tuple[str, bytes], ...]:
    return tuple((uuid, p) for p in payloads)


def _open_frames() -> list[bytes]:
    acc, gyr = np.tile([0.1, -3.0, 9.8], (23, 1)), np.tile([0.2, 0.1, -0.3], (23, 1))
    frames = encode_frames(65_530, 2.0**48 - 1e5, acc, gyr, 90, period_us=10_000.0)
    # Every flag, set by hand: the sensor keeps samples, these are late ones.
    return [_seal_open(f[:1] + bytes([f[1] | flags]) + f[2:]) for f in frames for flags in (0, 2, 4, 6)]


def _seal_open(payload: bytes) -> bytes:
    if len(payload) < HEADER_BYTES:
        return payload
    crc = crc_hqx(payload[HEADER_BYTES:], crc_hqx(payload[: HEADER_BYTES - 2], 0xFFFF))
    return payload[: HEADER_BYTES - 2] + crc.to_bytes(2, "little") + payload[HEADER_BYTES:]


def _seal_capture2go(payload: bytes) -> bytes:
    """The first frame behind the notification's first byte, with a length that fits as far as one byte can say it."""
    body = payload[7:]
    if len(body) < 2:
        return payload
    size = min(len(body) - 2, 236)
    crc = crc32(body[: size + 2])
    return payload[:1] + b"\x02" + crc.to_bytes(4, "little") + bytes([size]) + body


def _capture2go_files() -> list[bytes]:
    """What a recording sensor answers: its state, its files, and a piece of one."""
    flash, start_ns = Flash(), c2g.T_NS
    name = f"tiltline-{start_ns}".encode().ljust(65, b"\0")
    asked = [(0x0140, bytes(9) + name), (0x0154, b""), (0x0141, b""), (0x0200, b""), (0x0500, b""), (0x0507, name)]
    told = [flash.command(*it, start_ns) for it in asked]
    flash.measure(start_ns + 10**9)
    told.append(flash.command(0x0503, name + pack("<II", 0, 3 * 123), start_ns))
    return [encode(p.header, p.payload) for p in split(b"".join(told))[0] if isinstance(p, Package)]


def _seal_dot(payload: bytes) -> bytes:
    """A message's length and sum put right."""
    size = min(len(payload) - 3, 157)
    if size < 1:
        return payload
    body = payload[:1] + bytes([size]) + payload[2 : 2 + size]
    return body + bytes([-sum(body) & 0xFF])


class _ForgetfulDot(MovellaDotDriver):
    """Knows no recording any more after a lost connection: a packet is decoded once, and soon none were left to try."""

    def reset(self) -> None:
        super().reset()
        self.restore({"battery": -1})


def _dot_recording() -> list[bytes]:
    """A recording with a sample that the sensor could not read, and its end."""
    file = dot_rec.file_of(5)
    file.invalid = {3}
    return [*dot_rec.journal(file, *range(5)), dot_rec.framed(0x72)]


def _metamotion(chip: str) -> Case:
    identity = [bytes([m, 0x80, mm.CHIPS[chip].implementation[m], 1]) for m in (mm.ACC, mm.GYRO)]
    good = [mm.packed(chip, mm.ACC, 5), mm.packed(chip, mm.GYRO, 7), mm.ACC_SINGLE_4G, *identity, mm.GOOD[4], mm.LOG[0]]
    make = (lambda: MetaMotionDriver(chip="bmi160")) if chip == "bmi160" else (lambda: MetaMotionDriver(chip="bmi270"))
    return Case(make, _on(MM_UUID, *good), mm.MOST_NUMBERS)


def cases() -> dict[str, Case]:
    """All decoders of bought sensors and of our own profile, with payloads that they know."""
    wit_good = [wit.frame((-1, 0, 5), (1, 2, 3)) * 4, wit.frame() + wit.register(0x64, 390), wit.frame()[:9]]
    c2g_good = [b"\xff" + c2g.PACKED_6D, b"\xff" + c2g.FULL_FIXED + c2g.STATUS_87, b"\xff" + c2g.PACKED_6D[90:]]
    c2g_files = [b"\xff" + frame for frame in _capture2go_files()]
    dot26 = pack("<I4f6f19x", 77, 1.0, 0.0, 0.0, 0.0, -0.17, 0.02, 9.79, 1.5, -2.25, 0.125)
    return {
        "open": Case(OpenProfileDriver, _on(DATA_UUID, *_open_frames()), 4, _seal_open),
        "capture2go": Case(
            Capture2GoDriver,
            _on(C2G_UUID, *c2g_good, b"\xfe" + c2g.RT_QUAT + c2g.PACKED_6D[:90]),
            c2g.MOST_NUMBERS,
            _seal_capture2go,
        ),
        "capture2go-record": Case(
            lambda: Capture2GoDriver(record=True),
            _on(C2G_UUID, *c2g_files, b"\xfe" + c2g.FULL_FIXED),
            c2g.MOST_NUMBERS,
            _seal_capture2go,
        ),
        "dot": Case(
            MovellaDotDriver,
            (
                *_on(MEDIUM_UUID, dot.PAYLOAD_21 + bytes(12), dot.PAYLOAD_20 + bytes(6)),
                *_on(LONG_UUID, dot26),
                *_on(DOT_BATTERY_UUID, b"\x50\0"),
            ),
            dot.MOST_NUMBERS,
        ),
        "dot-record": Case(
            _ForgetfulDot,
            (
                *_on(DOT_MESSAGE_UUID, *_dot_recording()),
                *_on(DOT_MESSAGE_UUID, dot_rec.framed(0x43, pack("<IHH", dot_rec.START, 1800, 1700))),
            ),
            dot_rec.MOST_NUMBERS,
            _seal_dot,
        ),
        "witmotion": Case(WitMotionDriver, _on(WIT_UUID, *wit_good, wit.frame()[9:] + wit.frame()), wit.MOST_NUMBERS),
        "movesense": Case(lambda: MovesenseDriver(52), _on(MS_UUID, *ms.GOOD), ms.MOST_NUMBERS),
        "metamotion-record": Case(
            lambda: MetaMotionDriver(record=True),
            _on(MM_UUID, *mm.LOG, b"\x0b\x84" + pack("<IB", 0x5000, 5), b"\x0b\x85" + pack("<I", 5), *mm.GOOD[:2]),
            2 * mm.MOST_NUMBERS,
        ),
        "metamotion-bmi160": _metamotion("bmi160"),
        "metamotion-bmi270": _metamotion("bmi270"),
        "polar": Case(
            PolarDriver,
            (
                *_on(POLAR_DATA_UUID, *polar.GOOD),
                *_on(POLAR_CONTROL_UUID, polar.STARTED),
                *_on(POLAR_BATTERY_UUID, b"\x50"),
            ),
            polar.MOST_NUMBERS,
        ),
    }


@dataclass(slots=True)
class Outcome:
    """What a campaign saw. ``silent``: payloads that gave nothing at once (kept for reassembly, or nothing of interest)."""

    driver: str
    payloads: int = 0
    decoded: int = 0
    refused: int = 0
    silent: int = 0
    reasons: dict[str, int] = field(default_factory=dict)
    held_bytes: int = 0
    grown_mb: float = 0.0
    cpu_s: float = 0.0


def mutate(rng: np.random.Generator, good: Sequence[tuple[str, bytes]], i: int) -> tuple[str, bytes]:
    """Payload number ``i``: a third noise, the rest known ones with bytes changed, cut off, doubled or lengthened."""
    uuid, known = good[int(rng.integers(len(good)))]
    if i % 3 == 0:
        return uuid, rng.bytes(int(rng.integers(0, 260)))
    payload = bytearray(known)
    for _ in range(int(rng.integers(0, 4))):
        payload[int(rng.integers(len(payload)))] = int(rng.integers(256))
    match int(rng.integers(12)):
        case 0:
            del payload[int(rng.integers(len(payload) + 1)) :]
        case 1:
            payload += bytes(payload)
        case 2:
            payload += rng.bytes(int(rng.integers(1, 40)))
        case _:
            pass
    return uuid, bytes(payload)


def campaign(name: str, case: Case, count: int, seed: int) -> Outcome:
    """Feed ``count`` payloads; AssertionError (or the driver's own exception) at the first thing that is not right."""
    rng = np.random.default_rng(seed)
    driver, out, reasons = case.make(), Outcome(name), Counter[str]()
    mono_ns, began, warm_kb = 5_000_000_000, time.process_time(), 0
    for i in range(count):
        uuid, payload = mutate(rng, case.good, i)
        if case.seal is not None and i % 4 < 2:
            payload = case.seal(payload)
        # Mostly one connection interval, now and then a fade or a night.
        mono_ns += 30_000_000 if i % 211 else int(rng.integers(0, 40_000_000_000_000))
        items = driver.feed(uuid, payload, mono_ns, 1_760_000_000_000_000_000 + mono_ns)
        check(driver, items, case.most_numbers)
        _count(out, items, reasons)
        if isinstance(driver, Fetches) and i % 5 == 0:
            for step in driver.fetch(mono_ns):
                assert 0 < len(step.payload) <= 244
        if i % 97 == 0:
            driver.reset()
        if i % 500 == 0:
            out.held_bytes = max(out.held_bytes, len(pickle.dumps(driver)))
        if i == min(WARM_UP, count // 2):
            warm_kb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    out.grown_mb = round((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - warm_kb) / 1024, 1)
    out.cpu_s = round(time.process_time() - began, 1)
    out.reasons = dict(reasons.most_common())
    assert out.refused == sum(reasons.values())
    assert out.payloads == count
    assert len(reasons) <= REASONS_MAX, (
        f"{name}: {len(reasons)} kinds of reasons; they cannot be counted: {list(reasons)[-5:]}"
    )
    assert out.held_bytes <= HELD_BYTES, f"{name}: the driver holds {out.held_bytes} bytes"
    assert out.grown_mb <= GROWTH_MB, f"{name}: the process grew by {out.grown_mb} MB"
    return out


def _count(out: Outcome, items: Sequence[Decoded], reasons: Counter[str]) -> None:
    refused = [item for item in items if isinstance(item, Rejected)]
    out.payloads += 1
    out.refused += len(refused)
    out.decoded += len(items) > len(refused)
    out.silent += not items
    for item in refused:
        reasons[kind_of(item.reason)] += 1


def main(argv: Sequence[str] | None = None) -> int:
    """Run the campaigns; exit status 1 at the first failure, naming driver and seed so that it can be run again."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz_drivers", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--count", type=int, default=1_000_000, help="payloads a driver (default: 1000000)")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--driver", action="append", choices=sorted(cases()), help="only this one; repeatable")
    parser.add_argument("--json", action="store_true", help="one JSON object a driver")
    args = parser.parse_args(argv)
    for name, case in cases().items():
        if args.driver and name not in args.driver:
            continue
        try:
            out = campaign(name, case, args.count, args.seed)
        except Exception as e:  # the campaign's very question is whether anything raises
            print(f"{name}: FAILED with --seed {args.seed}: {e!r}", file=sys.stderr)
            raise
        if args.json:
            print(json.dumps(asdict(out)), flush=True)
        else:
            print(
                f"{name:18} {out.payloads:>9,} payloads  {out.decoded:>9,} decoded  {out.refused:>9,} refused "
                f"({len(out.reasons)} reasons)  {out.silent:>8,} silent  holds {out.held_bytes:,} B  +{out.grown_mb} MB  {out.cpu_s:.0f} s CPU",
                flush=True,
            )
            for reason, n in out.reasons.items():
                print(f"    {n:>9,}  {reason}", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
