"""`tiltline recordings`: a sensor as a logger. What is on its memory, start, stop, fetch into the journal, erase."""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Final

from sensor_gateway.cli.progress import Progress
from sensor_gateway.cli.scan import DEFAULT_CONFIG, clean, seconds
from sensor_gateway.clock import Clock, SystemClock
from sensor_gateway.config import ConfigError, Sensor, load_settings
from sensor_gateway.drivers import dot_recording as dot
from sensor_gateway.privacy.consent import ConsentError, objection
from sensor_gateway.radio.adapter import Radio
from sensor_gateway.radio.link import LinkError
from sensor_gateway.radio.pool import Radios
from sensor_gateway.radio.recorder import Patience, RecorderError
from sensor_gateway.sensors.onboard import Desk, Tools, Wish
from sensor_gateway.spool.database import SpoolError, SpoolTakenError

_LONGEST_MIN: Final = dot.LONGEST_S // 60
_TEXT: Final = """\
For a Movella DOT that is worn without a gateway near: it records on its own memory in the morning and is read in the evening.
Without a word of what to do, lists what is on the sensor. Several may be given; the order is stop, fetch, erase, start.

Fetched samples go into the gateway's journal as late data of the wearer to whom the sensor is bound, each once, however often
it is fetched and wherever it broke off; `tiltline replay --mode retro` puts them at their time. The gateway of this
configuration must be stopped meanwhile: it would hold the sensor, and the journal belongs to one process.
"""


def configure(parser: argparse.ArgumentParser) -> None:
    parser.description = _TEXT
    parser.add_argument("sensor", metavar="SENSOR", help="sensor id or address, as it is bound")
    parser.add_argument("--config", type=Path, default=DEFAULT_CONFIG, help="gateway file (default: gateway.toml)")
    parser.add_argument("--stop", action="store_true", help="end the running recording")
    parser.add_argument(
        "--fetch", metavar="N", nargs="?", const="all", help="take recording N, or all, into the journal"
    )
    parser.add_argument("--erase", action="store_true", help="clear the sensor's memory, once all of it was fetched")
    parser.add_argument("--start", action="store_true", help="begin a recording, dated by this machine's clock")
    parser.add_argument(
        "--minutes", metavar="M", type=_minutes, help="with --start: end by itself (default: until --stop)"
    )
    parser.add_argument("--force", action="store_true", help="erase what was not fetched; start with a low battery")
    parser.add_argument(
        "--assign",
        action="store_true",
        help="fetch also what this gateway did not begin: it is the wearer's all the same",
    )
    parser.add_argument("--find", metavar="S", type=seconds, default=15.0, help="how long to look for it (default: 15)")
    parser.add_argument("--adapter", default="", help="Bluetooth adapter, e.g. hci1")
    parser.add_argument("--json", action="store_true", help="print the result for a machine")


def run(args: argparse.Namespace) -> int:
    """Exit status 1 with a sentence where something could not be done; what was done before stays done."""
    return asyncio.run(recordings_command(args))


async def recordings_command(
    args: argparse.Namespace, radio: Radio | None = None, clock: Clock | None = None, patience: Patience | None = None
) -> int:
    """See `run`; with another ``radio``, ``clock`` or ``patience`` than the machine's."""
    report: dict[str, Any] = {}
    failed = ""
    with _Bars() as bars:
        try:
            settings = load_settings(args.config)
            sensor = _bound(settings.sensors, args)
            wish = _wish(args)
            folder, required = args.config.parent / settings.site.data_dir, settings.privacy.require_consent
            why = objection(folder, sensor.wearer, "recording", required) if wish.fetch or wish.start else None
            if why is not None:
                raise ConsentError(why)
            if radio is None:
                adapter = args.adapter or str(sensor.options.get("adapter", ""))
                radio = Radios(settings.radio).place(sensor.id, adapter)[0]
            tools = Tools(clock or SystemClock(), radio, patience or Patience(), bars)
            desk = Desk(settings, args.config.parent, sensor, wish, tools)
            report = desk.report
            await desk.work()
        except SpoolTakenError as e:
            failed = (
                f"{e}. A running gateway holds the sensor and the journal: stop it (docker compose stop gateway, or systemctl "
                "stop for a service), do this, and start it again"
            )
        except (ConfigError, ConsentError, SpoolError, LinkError, RecorderError, OSError) as e:
            failed = str(e)
    if args.json:
        print(json.dumps(report | ({"error": failed} if failed else {}), ensure_ascii=False))
    elif "battery_percent" in report:
        print(_table(report))
    if failed:
        print(f"tiltline recordings: {failed}", file=sys.stderr)
    return int(bool(failed))


class _Bars(ExitStack):
    """A line of progress for each kind of work."""

    def __init__(self) -> None:
        super().__init__()
        self._bars: dict[str, Progress] = {}

    def __call__(self, what: str, share: float) -> None:
        if what not in self._bars:
            self._bars[what] = self.enter_context(Progress(what))
        self._bars[what](min(share, 0.99))


def _wish(args: argparse.Namespace) -> Wish:
    if args.minutes is not None and not args.start:
        raise ConfigError("--minutes says how long to record; add --start")
    length_s = dot.NO_TIMER if args.minutes is None else args.minutes * 60
    return Wish(args.stop, args.fetch or "", args.erase, args.start, length_s, args.force, args.assign, args.find)


def _bound(sensors: Sequence[Sensor], args: argparse.Namespace) -> Sensor:
    for sensor in sensors:
        if args.sensor == sensor.id or args.sensor.upper() == sensor.address.upper():
            return sensor
    known = ", ".join(s.id for s in sensors) or "none"
    raise ConfigError(
        f"{clean(args.sensor)} is not bound in {args.config} (bound: {known}), so nobody would own what is on it; see "
        "tiltline bind"
    )


def _table(report: dict[str, Any]) -> str:
    """What was found and done, for a person."""
    lines = [f"{report['sensor']} of {report['wearer']}: battery {report.get('battery_percent', '-')} %"]
    if "memory" in report and report["memory"]["size_bytes"]:
        used, size = (report["memory"][key] / 2**20 for key in ("used_bytes", "size_bytes"))
        lines[0] += f", memory {used:.1f} of {size:.0f} MB used (it stops recording at {dot.FULL_AT:.0%})"
    if report.get("recordings"):
        rows = [("number", "start", "length", "size", "fetched")]
        for r in report["recordings"]:
            length = f"{r['length_s']:.1f} s" if r["fetched"] else f"about {r['about_s'] / 60:.0f} min"
            came = "whole" if r["fetched"] else f"{r['packets_held']} samples" if r["packets_held"] else "not yet"
            came += f", {r['damaged']} damaged" * bool(r["damaged"]) + ", not begun here" * (not r["begun_here"])
            rows.append((str(r["number"]), r["start_utc"], length, f"{r['size_bytes'] / 2**20:.1f} MB", came))
        widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
        lines += ["  ".join(cell.ljust(w) for cell, w in zip(row, widths, strict=True)).rstrip() for row in rows]
    elif "recordings" in report and report["memory"]["known"]:
        lines.append("No recording is on it.")
    elif "recordings" in report:
        lines.append("It is new, or its memory has no directory that can be read: --erase --force makes it anew.")
    if "stopped" in report:
        lines.append("Stopped." if report["stopped"] else "It was not recording.")
    if report.get("erased"):
        lines.append("Its memory was erased.")
    for key, word in (("recording", "Recording since"), ("started", "Recording since")):
        if key in report:
            timer = report[key]["timer_s"]
            left = "until --stop" if timer is None else f"{report[key]['left_s'] / 60:.0f} of {timer / 60:.0f} min left"
            lines.append(f"{word} {report[key]['start_utc']}, {left}.")
    return "\n".join(lines)


def _minutes(text: str) -> int:
    if not (text.isascii() and text.isdigit() and 1 <= int(text) <= _LONGEST_MIN):
        raise argparse.ArgumentTypeError(f"{text!r} must be 1 to {_LONGEST_MIN} whole minutes")
    return int(text)
