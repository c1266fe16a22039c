"""Raw notifications of one sensor as a file that says nothing of whose it is, and that tests replay: behind `tiltline capture`.

A capture is lines of JSON: a head (driver, its options, where the bytes come from), one line a notification (milliseconds
since the first, number of the characteristic, bytes in hex), and what the driver made of them when they were recorded. Put
into ``tests/golden/`` it is a golden packet test: `differences` decodes it again and compares. Left out are the radio
address, the date, and what the advertised name says of a serial number; where their bytes stand in a notification they are
zeroed and counted.
"""

from __future__ import annotations

import hashlib
import json
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Final

import msgspec
import numpy as np

from processing.types import ImuBatch
from sensor_gateway.clock import SystemClock
from sensor_gateway.config import ConfigError, Sensor
from sensor_gateway.drivers.base import Battery, Driver, Received, Rejected, TransportContext
from sensor_gateway.drivers.reasons import Tally
from sensor_gateway.drivers.registry import transport_factory

FORMAT: Final = 1
SUFFIX: Final = ".capture.jsonl"
NO_ADDRESS: Final = "02:00:00:00:00:01"
"""A locally administered address, as no sensor is sold with: drivers are made with it when a capture is read."""
_REPLAY_UTC_NS: Final = 1_760_000_000_000_000_000
_SERIAL: Final = re.compile(r"(?=[0-9A-Za-z]*\d)[0-9A-Za-z]{5,}")
_WHOSE: Final = ("serial", "adapter")
_TOLERANCE: Final = 1e-9


class CaptureError(Exception):
    """A capture that cannot be made or read; the text is one sentence with the remedy."""


@dataclass(frozen=True, slots=True)
class Head:
    """What the bytes are. ``provenance``: "sensor" (a real one), "simulated", or "journal" (of a gateway)."""

    tiltline_capture: int
    driver: str
    rate_hz: float
    provenance: str
    options: dict[str, str | int | float | bool] = field(default_factory=dict)
    model: str = ""
    note: str = ""
    redacted: int = 0
    uuids: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Capture:
    """A capture in memory: notifications with arrival times that begin at 0, and what was made of them."""

    head: Head
    received: tuple[Received, ...]
    expect: Mapping[str, Any]


def kept_options(sensor: Sensor) -> dict[str, str | int | float | bool]:
    """The sensor's options without those that say which one it is, or which adapter hears it."""
    return {key: value for key, value in sensor.options.items() if key not in _WHOSE}


def make_capture(sensor: Sensor, received: Sequence[Received], head: Head, secrets: Iterable[str] = ()) -> Capture:
    """Redact and describe what came from ``sensor``. ``secrets``: its advertised name, and whatever else must not stay.

    Raises `CaptureError` where nothing came.
    """
    if not received:
        raise CaptureError(
            "nothing came from the sensor; is it charged and near, and not connected to another program?"
        )
    serials = [str(sensor.options.get(key, "")) for key in _WHOSE]
    needles = _needles(sensor.address, [*secrets, *serials])
    zero_ns, redacted, clean = received[0].rx_mono_ns, 0, list[Received]()
    for r in received:
        payload, found = _zeroed(r.payload, needles)
        redacted += found
        at_ns = (r.rx_mono_ns - zero_ns) // 1_000_000 * 1_000_000  # what the file keeps
        clean.append(Received(r.uuid, payload, at_ns, _REPLAY_UTC_NS + at_ns))
    whole = replace(head, redacted=redacted, uuids=tuple(dict.fromkeys(r.uuid for r in clean)))
    return Capture(whole, tuple(clean), decode(whole, clean))


def decode(head: Head, received: Iterable[Received]) -> dict[str, Any]:
    """What the driver makes of the notifications: counts, battery, refusals by kind, device times and values."""
    driver = _driver(head)
    batches, battery, refused, payloads = list[ImuBatch](), list[float](), Tally(), 0
    for r in received:
        payloads += 1
        for item in driver.feed(r.uuid, r.payload, r.rx_mono_ns, r.rx_utc_ns):
            if isinstance(item, ImuBatch):
                batches.append(item)
            elif isinstance(item, Battery):
                battery.append(item.percent)
            elif isinstance(item, Rejected):
                refused.add(item.reason)
    told: dict[str, Any] = {"payloads": payloads, "samples": 0, "battery": battery, "refused": refused.counts}
    if batches:
        ticks = np.concatenate([b.t_dev_ticks for b in batches]).astype("<i8")
        acc, gyr = (np.concatenate([getattr(b, name) for b in batches]) for name in ("acc_mps2", "gyr_rps"))
        told |= {
            "samples": len(ticks),
            "first_tick": int(ticks[0]),
            "last_tick": int(ticks[-1]),
            "ticks_sha256": hashlib.sha256(ticks.tobytes()).hexdigest(),
            "acc_mps2": _described(acc),
            "gyr_rps": _described(gyr),
        }
    return told


def differences(capture: Capture) -> list[str]:
    """Decode again; what differs from what was recorded, a sentence each. Empty: the driver still reads it as before."""
    now = decode(capture.head, capture.received)
    return [
        f"{key}: recorded {capture.expect.get(key)!r}, decoded now {now.get(key)!r}"
        for key in sorted({*capture.expect, *now})
        if not _same(capture.expect.get(key), now.get(key))
    ]


def write_capture(capture: Capture, path: Path) -> None:
    """Write the file; it must not exist. Raises `CaptureError`."""
    index = {uuid: i for i, uuid in enumerate(capture.head.uuids)}
    lines = [json.dumps(asdict(capture.head), ensure_ascii=False)]
    lines += [
        json.dumps([r.rx_mono_ns // 1_000_000, index[r.uuid], r.payload.hex()], separators=(",", ":"))
        for r in capture.received
    ]
    lines.append(json.dumps({"expect": capture.expect}, ensure_ascii=False))
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("x", encoding="utf-8") as f:
            f.write("\n".join(lines) + "\n")
    except FileExistsError:
        raise CaptureError(f"{path}: is there already; name another --out") from None
    except OSError as e:
        raise CaptureError(f"{path}: cannot be written ({e.strerror or e}); name another --out") from None


def read_capture(path: Path) -> Capture:
    """Raises `CaptureError` where the file is none."""
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
        if not any(lines):
            raise CaptureError(f"{path}: is no capture, it is empty; record it with `tiltline capture`")
        head = msgspec.json.decode(lines[0], type=Head)
        rows = msgspec.json.decode("[" + ",".join(lines[1:-1]) + "]", type=list[tuple[int, int, str]])
        expect = msgspec.json.decode(lines[-1], type=dict[str, Any])["expect"]
        if head.tiltline_capture != FORMAT:
            raise CaptureError(f"{path}: format {head.tiltline_capture}; this version reads {FORMAT}")
        received = tuple(
            Received(head.uuids[i], bytes.fromhex(h), ms * 1_000_000, _REPLAY_UTC_NS + ms * 1_000_000)
            for ms, i, h in rows
        )
    except OSError as e:
        raise CaptureError(f"{path}: cannot be read ({e.strerror or e}); check the path") from None
    except (msgspec.DecodeError, ValueError, IndexError, KeyError) as e:
        raise CaptureError(f"{path}: is no capture, or damaged ({e}); record it with `tiltline capture`") from None
    return Capture(head, received, expect)


def _driver(head: Head) -> Driver:
    sensor = Sensor("capture", "capture", head.driver, NO_ADDRESS, head.rate_hz, options=dict(head.options))
    try:
        return transport_factory(sensor)(sensor, TransportContext(SystemClock())).driver
    except ConfigError as e:
        raise CaptureError(f"the capture's driver cannot be made here: {e}") from None


def _needles(address: str, secrets: Iterable[str]) -> list[bytes]:
    """Byte strings that would tell which sensor it was: the address in binary both ways and as text, serials as text."""
    found = list[bytes]()
    plain = address.replace(":", "").replace("-", "")
    if len(plain) == 12:
        raw = bytes.fromhex(plain)
        texts = (plain, ":".join(plain[i : i + 2] for i in range(0, 12, 2)))
        found += [raw, raw[::-1], *(t.encode() for text in texts for t in (text.upper(), text.lower()))]
    for secret in secrets:
        found += [serial.encode() for serial in _SERIAL.findall(secret)]
    return [n for n in dict.fromkeys(found) if n.strip(b"\0")]


def _zeroed(payload: bytes, needles: Sequence[bytes]) -> tuple[bytes, int]:
    count = 0
    for needle in needles:
        count += payload.count(needle)
        payload = payload.replace(needle, bytes(len(needle)))
    return payload, count


def _described(values: np.ndarray[Any, np.dtype[np.float64]]) -> dict[str, list[float]]:
    """Enough of (n, 3) values to see any change of scale, axis, sign or order: first, last, mean, and mean of steps."""
    steps = np.abs(np.diff(values, axis=0)).mean(axis=0) if len(values) > 1 else np.zeros(3)
    rows = {"first": values[0], "last": values[-1], "mean": values.mean(axis=0), "mean_step": steps}
    return {name: [float(v) for v in row] for name, row in rows.items()}


def _same(a: Any, b: Any) -> bool:
    if isinstance(a, dict) and isinstance(b, dict):
        return a.keys() == b.keys() and all(_same(a[k], b[k]) for k in a)
    if isinstance(a, list | tuple) and isinstance(b, list | tuple):
        return len(a) == len(b) and all(map(_same, a, b))
    if isinstance(a, float) or isinstance(b, float):
        numbers = isinstance(a, int | float) and isinstance(b, int | float)
        return numbers and math.isclose(a, b, rel_tol=_TOLERANCE, abs_tol=_TOLERANCE)
    return bool(a == b)
