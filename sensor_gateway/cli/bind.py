"""`tiltline bind`: this sensor is that wearer's; the gateway file says so from now on."""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from sensor_gateway.cli.scan import DEFAULT_CONFIG, clean, seconds
from sensor_gateway.config import ConfigError
from sensor_gateway.radio.adapter import Radio
from sensor_gateway.radio.link import LinkError
from sensor_gateway.sensors.binding import Change, Wish, bind, option, unbind
from sensor_gateway.sensors.discovery import ADDRESS, CERTAIN, Known, Seen, known_drivers, listen

_TEXT: Final = """\
Writes a [[sensors]] block into the gateway file (comments and order stay) and shows the change. SENSOR is the address that
`tiltline scan` shows, or an advertised name, if one sensor alone has it. WEARER is a pseudonym. The driver is found by
listening to the sensor; with an address and --driver nothing is listened to. A sensor or wearer already bound is refused.
"""


def configure(parser: argparse.ArgumentParser) -> None:
    parser.description = _TEXT
    parser.add_argument("sensor", metavar="SENSOR", help="address or advertised name; with --unbind id or address")
    parser.add_argument("wearer", metavar="WEARER", nargs="?", help="the wearer's pseudonym, e.g. w-001")
    parser.add_argument("--config", type=Path, default=DEFAULT_CONFIG, help="gateway file (default: gateway.toml)")
    parser.add_argument("--unbind", action="store_true", help="take the sensor's block out")
    parser.add_argument("--driver", help="driver to use (default: the one that knows the advertisement)")
    parser.add_argument("--id", help="the sensor's id on wire and in stores (default: the next clip-N)")
    parser.add_argument("--rate", metavar="HZ", type=float, help="samples a second (default: the driver's own)")
    parser.add_argument("--mount", metavar="AXES", help="e.g. up=+x,anterior=-z; see docs/devices.md")
    parser.add_argument(
        "--option",
        metavar="KEY=VALUE",
        type=_option,
        action="append",
        default=[],
        help="an option of the driver, e.g. chip=bmi160 or record=true; repeatable; see docs/devices.md",
    )
    parser.add_argument("--also", action="store_true", help="the wearer wears this sensor beside another")
    parser.add_argument("--adapter", default="", help="Bluetooth adapter to listen with, e.g. hci1")
    parser.add_argument("--seconds", metavar="S", type=seconds, default=10.0, help="how long to listen (default: 10)")
    parser.add_argument("--dry-run", action="store_true", help="show the change, write nothing")
    parser.add_argument("--json", action="store_true", help="print the change for a machine")


def run(args: argparse.Namespace) -> int:
    """Exit status 1 with a sentence where nothing was changed."""
    return asyncio.run(bind_command(args, Radio(args.adapter)))


async def bind_command(args: argparse.Namespace, radio: Radio) -> int:
    """Make the change, listening with ``radio`` where needed; see `run`."""
    try:
        change = unbind(args.config, args.sensor) if args.unbind else await _bind(args, radio)
        if not args.dry_run:
            change.write()
    except (ConfigError, LinkError) as e:
        print(f"tiltline bind: {e}", file=sys.stderr)
        return 1
    except OSError as e:
        print(f"tiltline bind: {args.config}: cannot be written ({e.strerror or e}); check its owner", file=sys.stderr)
        return 1
    _tell(change, args)
    return 0


async def _bind(args: argparse.Namespace, radio: Radio) -> Change:
    if not args.wearer:
        raise ConfigError("name the wearer as well: tiltline bind SENSOR WEARER")
    drivers = known_drivers()
    address, driver = args.sensor.upper(), args.driver
    if driver is None or not ADDRESS.fullmatch(address):
        print(f"listening for {args.sensor} ...", file=sys.stderr)
        seen = _the_one(args, await listen(radio, args.seconds, drivers, {}))
        address, driver = seen.address, driver or _driver_of(seen)
    rate_hz = args.rate
    if rate_hz is None:
        known: Known | None = next((k for k in drivers if k.name == driver), None)
        rate_hz = known.driver.capabilities.rate_hz if known and known.driver else None
    return bind(
        args.config, Wish(address, args.wearer, driver, args.id, rate_hz, args.mount, args.also, dict(args.option))
    )


def _option(text: str) -> tuple[str, str | float | bool]:
    try:
        return option(text)
    except ValueError as e:
        raise argparse.ArgumentTypeError(str(e)) from None


def _the_one(args: argparse.Namespace, heard: Sequence[Seen]) -> Seen:
    wanted = args.sensor
    found = [s for s in heard if s.address == wanted.upper()] or [
        s for s in heard if (s.name or "").casefold() == wanted.casefold()
    ]
    if not found:
        readable = ", ".join(f"{s.address} {clean(s.name)}" for s in heard if s.matches) or "none that Tiltline reads"
        raise ConfigError(
            f"{wanted} was not heard in {args.seconds:g} s; is it charged, near, and not connected elsewhere? "
            f"Heard: {readable}. With its address and --driver no listening is needed"
        )
    if len(found) > 1:
        raise ConfigError(
            f"{len(found)} devices are called {clean(wanted)}: {', '.join(s.address for s in found)}; give the address"
        )
    return found[0]


def _driver_of(seen: Seen) -> str:
    if not seen.matches:
        raise ConfigError(f"no driver here knows {seen.address} ({clean(seen.name)}); name one with --driver")
    best = seen.matches[0]
    rivals = [m for m in seen.matches if m.confidence == best.confidence]
    if best.confidence < CERTAIN or len(rivals) > 1:
        likely = ", ".join(f"{m.driver} ({m.confidence:.0%})" for m in seen.matches)
        raise ConfigError(f"{seen.address} ({clean(seen.name)}) may be {likely}; say which with --driver")
    return best.driver


def _tell(change: Change, args: argparse.Namespace) -> None:
    if args.json:
        body = {"sensor": change.sensor, "config": str(change.path), "written": not args.dry_run, "diff": change.diff}
        print(json.dumps(body, ensure_ascii=False))
        return
    print(change.diff, end="")
    if args.dry_run:
        print("Nothing written (--dry-run).")
    else:
        print(
            f"{change.sensor}: {'unbound' if args.unbind else 'bound'}. A running gateway must be restarted to see it."
        )
