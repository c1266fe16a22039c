"""`tiltline scan`: which sensors are around, and which driver would read them."""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

from sensor_gateway.cli.progress import Progress
from sensor_gateway.config import ConfigError, Sensor, load_settings
from sensor_gateway.radio.adapter import Radio
from sensor_gateway.radio.link import LinkError
from sensor_gateway.sensors.discovery import Known, Seen, bindings, known_drivers, listen

_TEXT: Final = """\
Listens for advertisements and says, by advertised name, service and maker, which driver would read each one, how strong the
signal is, and to whom a sensor is bound. Nothing is ever connected: other people's sensors are listed and left alone.
"""
_STRONG, _FAIR = -65, -80
DEFAULT_CONFIG: Final = Path("gateway.toml")


def configure(parser: argparse.ArgumentParser) -> None:
    parser.description = _TEXT
    parser.add_argument("--seconds", metavar="S", type=seconds, default=10.0, help="how long to listen (default: 10)")
    parser.add_argument("--all", action="store_true", help="also list what no driver here would read")
    parser.add_argument("--adapter", default="", help="Bluetooth adapter, e.g. hci1 (default: the system's first)")
    parser.add_argument("--config", type=Path, help="gateway file whose bindings are shown (default: gateway.toml)")
    parser.add_argument("--json", action="store_true", help="print what was heard for a machine")


def run(args: argparse.Namespace) -> int:
    """Exit status 1 with a sentence where the radio cannot scan; hearing nothing is no failure."""
    return asyncio.run(scan(args, Radio(args.adapter)))


async def scan(args: argparse.Namespace, radio: Radio) -> int:
    """Listen with ``radio`` and print; see `run`."""
    try:
        sensors = configured(args.config)
        drivers = known_drivers()
        with Progress("listening") as bar:
            heard = await _listening(radio, args.seconds, drivers, sensors, bar)
    except (ConfigError, LinkError) as e:
        print(f"tiltline scan: {e}", file=sys.stderr)
        return 1
    for known in drivers:
        if known.driver is None:
            print(f"tiltline scan: warning: driver {known.name!r} cannot be loaded ({known.trouble})", file=sys.stderr)
    shown = heard if args.all else [s for s in heard if s.matches or s.bound]
    silent = _silent(heard, sensors)
    if args.json:
        body = {
            "seconds": args.seconds,
            "drivers": [k.name for k in drivers if k.driver],
            "devices": [_plain(s) for s in shown],
            "others": len(heard) - len(shown),
            "silent": silent,
        }
        print(json.dumps(body, ensure_ascii=False))
    else:
        print(_table(shown, len(heard) - len(shown), silent, args))
    return 0


def configured(config: Path | None) -> Sequence[Sensor]:
    """Sensors of the gateway file; none where no file is named and gateway.toml is not there."""
    if config is None and not DEFAULT_CONFIG.is_file():
        return ()
    return load_settings(config or DEFAULT_CONFIG).sensors


async def _listening(
    radio: Radio, seconds: float, drivers: Sequence[Known], sensors: Sequence[Sensor], bar: Progress
) -> list[Seen]:
    async def tick() -> None:
        loop = asyncio.get_running_loop()
        began = loop.time()
        while True:
            bar(min((loop.time() - began) / seconds, 1.0))
            await asyncio.sleep(0.5)

    ticking = asyncio.create_task(tick())
    try:
        return await listen(radio, seconds, drivers, bindings(sensors))
    finally:
        ticking.cancel()


def _silent(heard: Sequence[Seen], sensors: Sequence[Sensor]) -> list[dict[str, str]]:
    """Bound sensors that did not advertise: a connected sensor does not."""
    addresses = {s.address for s in heard}
    wanted = bindings(sensors)
    return [{"sensor": i, "wearer": w, "address": a} for a, (i, w) in wanted.items() if a not in addresses]


def _plain(seen: Seen) -> dict[str, Any]:
    sets = {"services": sorted(seen.services), "manufacturer_ids": sorted(seen.manufacturer_ids)}
    bound = {"sensor": seen.bound[0], "wearer": seen.bound[1]} if seen.bound else None
    return asdict(seen) | sets | {"bound": bound}


def _table(shown: Sequence[Seen], others: int, silent: Sequence[dict[str, str]], args: argparse.Namespace) -> str:
    rows = [("address", "name", "signal", "driver", "bound to")]
    for s in shown:
        driver = ", ".join(f"{m.driver} ({m.confidence:.0%})" for m in s.matches) or "-"
        bound = f"{s.bound[1]} as {s.bound[0]}" if s.bound else "-"
        rows.append((s.address, clean(s.name), signal_text(s.rssi_dbm), driver, bound))
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    lines = ["  ".join(cell.ljust(w) for cell, w in zip(row, widths, strict=True)).rstrip() for row in rows]
    if not shown:
        lines = [f"No sensor that Tiltline reads was heard in {args.seconds:g} s: is it charged, awake and near?"]
    lines += [
        f"{s['sensor']} of {s['wearer']} was not heard: connected to a gateway, switched off, or away" for s in silent
    ]
    if others:
        lines.append(
            f"{others} other device{'s' * (others > 1)} on the air that no driver here reads (--all lists them)"
        )
    if any(s.matches and not s.bound for s in shown):
        lines.append("To read one: tiltline bind ADDRESS WEARER --config gateway.toml")
    return "\n".join(lines)


def clean(name: str | None) -> str:
    """An advertised name as it may be printed: it comes from a stranger, and terminals obey control characters."""
    return "".join(c if c.isprintable() else "?" for c in name or "-")[:40]


def signal_text(rssi_dbm: int | None) -> str:
    """Signal strength with a word for it."""
    if rssi_dbm is None:
        return "-"
    word = "strong" if rssi_dbm >= _STRONG else "fair" if rssi_dbm >= _FAIR else "weak"
    return f"{rssi_dbm} dBm {word}"


def seconds(text: str) -> float:
    """A time to listen, as an argument."""
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0.5 <= value <= 3600:
        raise argparse.ArgumentTypeError(f"{text!r} must be 0.5 to 3600 seconds")
    return value
