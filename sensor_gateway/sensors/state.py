"""How each bound sensor is doing, read from a gateway's data folder while it runs or after: behind `tiltline sensors`.

The store knows the last device report (battery, signal, firmware, link, losses), the journal the newest payloads as they came:
decoding their last minutes again gives the true rate, the clock's offset and drift, and why payloads were refused.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import numpy as np

from processing.pipeline import DeviceStatus
from processing.types import NS_PER_S, ClockSpec, ImuBatch
from sensor_gateway import controls
from sensor_gateway.clock import SystemClock
from sensor_gateway.config import Sensor, Settings
from sensor_gateway.drivers.base import Rejected, TransportContext
from sensor_gateway.drivers.reasons import Tally
from sensor_gateway.drivers.registry import transport_factory
from sensor_gateway.replay.rederive import ReplayError, SpoolReader
from sensor_gateway.sensors.tail import journal_tail
from sensor_gateway.spool.journal import CONTROL
from sensor_gateway.status.status import SPOOL_FILE, STORE_FILE

FRESH_S: Final = 60.0
"""Data older than this are not a state any more: a gateway writes several times a second."""
_BREAK_S: Final = 5.0
_DRIFT_FROM_S: Final = 120.0
_HOUR_NS: Final = 3600 * NS_PER_S


@dataclass(slots=True)
class SensorState:
    """One sensor. None: not known. ``rate_hz`` and what follows it come from the newest payloads."""

    sensor: str
    wearer: str
    driver: str
    state: str = "no data yet"
    age_s: float | None = None
    alarm: str = ""
    battery_percent: float | None = None
    rssi_dbm: float | None = None
    firmware: str | None = None
    nominal_hz: float | None = None
    rate_hz: float | None = None
    lost: int | None = None
    lost_percent: float | None = None
    refused: dict[str, int] = field(default_factory=dict)
    clock_offset_s: float | None = None
    drift_ppm: float | None = None
    jitter_ms: float | None = None


def sensor_states(
    settings: Settings, base: Path, span_s: float, now_utc_ns: int, on_sensor: Callable[[int], None] | None = None
) -> list[SensorState]:
    """All bound sensors; what has not been written yet stays None. Raises `ReplayError` where a file is damaged."""
    folder = base / settings.site.data_dir
    out = []
    for i, sensor in enumerate(settings.sensors):
        state = SensorState(sensor.id, sensor.wearer, sensor.driver, nominal_hz=sensor.rate_hz)
        if (folder / STORE_FILE).is_file():
            _from_store(state, folder / STORE_FILE)
        if (folder / SPOOL_FILE).is_file():
            _from_journal(state, sensor, folder / SPOOL_FILE, span_s, now_utc_ns)
        if state.age_s is not None and state.age_s > FRESH_S:
            state.state = "no fresh data"
            state.alarm = state.alarm or "is the gateway running, and the sensor charged and near?"
        out.append(state)
        if on_sensor is not None:
            on_sensor(i + 1)
    return out


def _from_store(state: SensorState, path: Path) -> None:
    """The last device report, and the losses since the one of an hour before it."""
    db = sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)
    db.row_factory = sqlite3.Row
    try:
        newest = _row(db, "sensor = ? AND wearer = ?", (state.sensor, state.wearer))
        if newest is None:
            return
        since = newest["t_utc_ns"] - _HOUR_NS
        before = _row(db, "sensor = ? AND wearer = ? AND t_utc_ns <= ?", (state.sensor, state.wearer, since)) or {}
    except sqlite3.Error as e:
        raise ReplayError(f"{path}: the store cannot be read ({e}); is it of this version?") from e
    finally:
        db.close()
    state.battery_percent, state.rssi_dbm = newest.get("battery_percent"), newest.get("rssi_dbm")
    state.firmware, state.state = newest.get("firmware"), newest.get("link") or "no radio"
    if newest.get("frames_lost") is not None:
        state.lost = int(newest["frames_lost"]) - int(before.get("frames_lost") or 0)
        span_s = (newest["t_utc_ns"] - before["t_utc_ns"]) / NS_PER_S if before else 0.0
        if span_s and newest.get("rate_hz"):
            state.lost_percent = round(100 * state.lost / (span_s * newest["rate_hz"]), 3)


def _row(db: sqlite3.Connection, where: str, params: tuple[Any, ...]) -> Mapping[str, Any] | None:
    row = db.execute(f"SELECT * FROM device WHERE {where} ORDER BY t_utc_ns DESC LIMIT 1", params).fetchone()
    return None if row is None else dict(row)


def _from_journal(state: SensorState, sensor: Sensor, path: Path, span_s: float, now_utc_ns: int) -> None:
    spool = SpoolReader(path)
    try:
        entries = journal_tail(spool, sensor.id, round(span_s * NS_PER_S))
    finally:
        spool.close()
    payloads = [e for e in entries if e.source != CONTROL]
    if not payloads:
        return
    state.age_s = round((now_utc_ns - payloads[-1].received.rx_utc_ns) / NS_PER_S, 1)
    driver = transport_factory(sensor)(sensor, TransportContext(SystemClock())).driver
    state.nominal_hz = driver.capabilities.rate_hz
    batches, refused = list[ImuBatch](), Tally()
    for entry in entries:
        r = entry.received
        if entry.source == CONTROL:
            _take_status(state, entry.received, driver.reset)
        elif entry.source.driver == driver.id:
            for item in driver.feed(r.uuid, r.payload, r.rx_mono_ns, r.rx_utc_ns):
                if isinstance(item, ImuBatch):
                    batches.append(item)
                elif isinstance(item, Rejected):
                    refused.add(item.reason)
    state.refused = refused.counts
    if batches:
        _clock(state, batches, driver.capabilities.clock)


def _take_status(state: SensorState, received: Any, reset: Callable[[], None]) -> None:
    try:
        status = controls.decode(received)
    except controls.ControlError:
        return
    if not isinstance(status, DeviceStatus):
        return
    if status.link is not None:
        state.state = status.link
        if status.link in ("lost", "no_adapter"):
            reset()
    if status.alarm is not None:
        state.alarm = status.alarm
    state.firmware = status.firmware or state.firmware
    state.rssi_dbm = state.rssi_dbm if status.rssi_dbm is None else status.rssi_dbm


def _clock(state: SensorState, batches: list[ImuBatch], clock: ClockSpec) -> None:
    """Rate, offset, drift and jitter of the newest stretch without a break or a restart of the sensor's clock."""
    span = None if clock.bits is None else 1 << clock.bits
    ticks = [int(b.t_dev_ticks[-1]) for b in batches]
    mono = [b.rx_mono_ns for b in batches]
    device, first = [0], 0
    for i in range(1, len(batches)):
        step = ticks[i] - ticks[i - 1]
        step = step % span if span else step
        slip_s = (step * clock.tick_ns - (mono[i] - mono[i - 1])) / NS_PER_S
        if abs(slip_s) > _BREAK_S or step < 0:
            first = i
        device.append(device[-1] + step)
    d = (np.array(device[first:], np.float64) - device[first]) * clock.tick_ns / NS_PER_S
    m = (np.array(mono[first:], np.float64) - mono[first]) / NS_PER_S
    samples = sum(len(b.t_dev_ticks) for b in batches[first + 1 :])
    if len(d) < 2 or d[-1] <= 0:
        return
    state.rate_hz = round(samples / float(d[-1]), 3)
    delay = m - d
    last = batches[-1]
    state.clock_offset_s = round((last.rx_utc_ns - ticks[-1] * clock.tick_ns) / NS_PER_S, 3)
    if d[-1] >= _DRIFT_FROM_S:
        third = max(1, len(d) // 3)
        i, j = int(np.argmin(delay[:third])), len(d) - third + int(np.argmin(delay[-third:]))
        slope = float((delay[j] - delay[i]) / (d[j] - d[i]))
        state.drift_ppm = round(1e6 * slope, 1)
        delay = delay - slope * d
    state.jitter_ms = round(1000 * float(np.quantile(delay, 0.95) - delay.min()), 1)
