"""`tiltline sensors`: how each bound sensor is doing."""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Final

from sensor_gateway.cli.progress import Progress
from sensor_gateway.cli.scan import DEFAULT_CONFIG, signal_text
from sensor_gateway.clock import SystemClock
from sensor_gateway.config import ConfigError, load_settings
from sensor_gateway.replay.rederive import ReplayError
from sensor_gateway.sensors.state import SensorState, sensor_states

_TEXT: Final = """\
Reads a gateway's data folder, whether it runs or not: state of the link, battery, signal, firmware, the rate measured by the
sensor's own clock, samples lost in the last hour, the offset and drift of its clock, and why payloads were refused.
"""


def configure(parser: argparse.ArgumentParser) -> None:
    parser.description = _TEXT
    parser.add_argument("--config", type=Path, default=DEFAULT_CONFIG, help="gateway file (default: gateway.toml)")
    parser.add_argument("--sensor", action="append", default=[], help="only this sensor; repeatable")
    parser.add_argument(
        "--minutes",
        metavar="M",
        type=_minutes,
        default=10.0,
        help="how much of the newest data to look at (default: 10)",
    )
    parser.add_argument("--json", action="store_true", help="print everything for a machine")


def run(args: argparse.Namespace) -> int:
    """Exit status 1 with a sentence where the folder cannot be read; a sensor that is away is no failure."""
    try:
        settings = load_settings(args.config)
        with Progress("reading the newest data") as bar:
            count = max(1, len(settings.sensors))
            states = sensor_states(
                settings, args.config.parent, 60 * args.minutes, SystemClock().utc_ns(), lambda n: bar(n / count)
            )
    except (ConfigError, ReplayError) as e:
        print(f"tiltline sensors: {e}", file=sys.stderr)
        return 1
    known = {s.sensor for s in states}
    if unknown := [s for s in args.sensor if s not in known]:
        print(f"tiltline sensors: no sensor {', '.join(unknown)}; bound: {', '.join(sorted(known))}", file=sys.stderr)
        return 1
    shown = [s for s in states if not args.sensor or s.sensor in args.sensor]
    print(json.dumps([asdict(s) for s in shown], ensure_ascii=False) if args.json else _table(shown))
    return 0


def _table(states: list[SensorState]) -> str:
    rows = [("sensor", "wearer", "state", "age", "battery", "signal", "rate", "lost", "clock", "firmware")]
    for s in states:
        rate = "-" if s.rate_hz is None else f"{s.rate_hz:.5g}/{s.nominal_hz:g} Hz"
        lost = "-" if s.lost is None else f"{s.lost}" + ("" if s.lost_percent is None else f" ({s.lost_percent:g} %)")
        battery = "-" if s.battery_percent is None else f"{s.battery_percent:.0f} %"
        rssi = signal_text(None if s.rssi_dbm is None else round(s.rssi_dbm))
        rows.append(
            (s.sensor, s.wearer, s.state, _age(s.age_s), battery, rssi, rate, lost, _clock(s), s.firmware or "-")
        )
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    lines = ["  ".join(cell.ljust(w) for cell, w in zip(row, widths, strict=True)).rstrip() for row in rows]
    lines += [f"{s.sensor}: {s.alarm}" for s in states if s.alarm]
    lines += [f"{s.sensor}: refused {n}: {reason}" for s in states for reason, n in s.refused.items()]
    return "\n".join(lines if states else ["No sensor is bound; see tiltline scan and tiltline bind."])


def _age(age_s: float | None) -> str:
    if age_s is None:
        return "-"
    return f"{age_s:.0f} s" if age_s < 120 else f"{age_s / 60:.0f} min" if age_s < 7200 else f"{age_s / 3600:.0f} h"


def _clock(s: SensorState) -> str:
    """Offset where the sensor shows UTC; else its own clock, and how fast it runs."""
    if s.clock_offset_s is None:
        return "-"
    offset = f"{s.clock_offset_s:+.3f} s" if abs(s.clock_offset_s) < 1000 else "its own"
    return offset + ("" if s.drift_ppm is None else f", {s.drift_ppm:+.0f} ppm")


def _minutes(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0.1 <= value <= 1440:
        raise argparse.ArgumentTypeError(f"{text!r} must be 0.1 to 1440 minutes")
    return value
