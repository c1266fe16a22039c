"""`tiltline capture`: one sensor's raw notifications as a redacted file, which is a golden packet test."""

from __future__ import annotations

import argparse
import asyncio
import dataclasses
import json
import sys
from pathlib import Path
from typing import Any, Final

from sensor_gateway.cli.progress import Progress
from sensor_gateway.cli.scan import DEFAULT_CONFIG, clean, seconds
from sensor_gateway.clock import SystemClock
from sensor_gateway.config import ConfigError, Sensor, Settings, load_settings
from sensor_gateway.drivers.base import Driver, Received, StartsWithTime, TransportContext
from sensor_gateway.drivers.registry import transport_factory
from sensor_gateway.radio.adapter import Radio
from sensor_gateway.radio.link import Found, LinkError
from sensor_gateway.replay.rederive import ReplayError, SpoolReader
from sensor_gateway.sensors.capture import (
    FORMAT,
    SUFFIX,
    Capture,
    CaptureError,
    Head,
    differences,
    kept_options,
    make_capture,
    read_capture,
    write_capture,
)
from sensor_gateway.sensors.discovery import ADDRESS, is_placeholder, known_drivers
from sensor_gateway.sensors.tail import journal_tail
from sensor_gateway.status.status import SPOOL_FILE

_TEXT: Final = """\
Records what a sensor sends, byte for byte, into a file without address, date or serial number. A file in tests/golden/ is a
test from then on: the driver must always read it as it did when it was recorded. SENSOR is the id or address of a bound
sensor; one that is not bound is recorded only with --mine and --driver.
"""


def configure(parser: argparse.ArgumentParser) -> None:
    parser.description = _TEXT
    parser.add_argument("sensor", metavar="SENSOR", nargs="+", help="sensor id or address; with --check the files")
    parser.add_argument("--config", type=Path, default=DEFAULT_CONFIG, help="gateway file (default: gateway.toml)")
    parser.add_argument("--seconds", metavar="S", type=seconds, default=20.0, help="how long (default: 20)")
    parser.add_argument("--find", metavar="S", type=seconds, default=15.0, help="how long to look for it (default: 15)")
    parser.add_argument("--out", metavar="FILE", type=Path, help=f"file to write (default: DRIVER{SUFFIX})")
    parser.add_argument("--journal", action="store_true", help="take the newest seconds of the gateway's journal")
    parser.add_argument("--check", action="store_true", help="decode files again; status 1 where one differs")
    parser.add_argument(
        "--mine", action="store_true", help="SENSOR is an address that is not bound; it is mine to read"
    )
    parser.add_argument("--driver", help="with --mine: the driver")
    parser.add_argument(
        "--rate", metavar="HZ", type=float, help="with --mine: samples a second (default: the driver's own)"
    )
    parser.add_argument("--adapter", default="", help="Bluetooth adapter, e.g. hci1")
    parser.add_argument("--model", default="", help="make and firmware, for the file's head")
    parser.add_argument("--note", default="", help="what was done meanwhile, for the file's head")
    parser.add_argument(
        "--redact", metavar="TEXT", action="append", default=[], help="further text to zero; repeatable"
    )
    parser.add_argument("--json", action="store_true", help="print the result for a machine")


def run(args: argparse.Namespace) -> int:
    """Exit status 1 with a sentence where nothing was recorded, or where --check finds a difference."""
    return asyncio.run(capture_command(args, Radio(args.adapter)))


async def capture_command(args: argparse.Namespace, radio: Radio) -> int:
    """Record with ``radio``; see `run`."""
    try:
        if args.check:
            return _check(args)
        if len(args.sensor) != 1:
            raise CaptureError("name one sensor")
        capture = await _record(args, radio)
        path = args.out or Path(capture.head.driver + SUFFIX)
        write_capture(capture, path)
    except (ConfigError, CaptureError, LinkError, ReplayError) as e:
        print(f"tiltline capture: {e}", file=sys.stderr)
        return 1
    body = {"out": str(path), "redacted": capture.head.redacted, **capture.expect}
    if args.json:
        print(json.dumps(body, ensure_ascii=False))
    else:
        refused = sum(capture.expect["refused"].values())
        print(
            f"{path}: {body['payloads']} notifications, {body['samples']} samples, {refused} refused, "
            f"{body['redacted']} places redacted"
        )
        for reason, n in capture.expect["refused"].items():
            print(f"  refused {n}: {reason}")
    return 0


async def _record(args: argparse.Namespace, radio: Radio) -> Capture:
    sensor, settings = _whose(args)
    driver = transport_factory(sensor)(sensor, TransportContext(SystemClock())).driver
    head = Head(FORMAT, sensor.driver, sensor.rate_hz, "sensor", kept_options(sensor), args.model, args.note)
    if args.journal:
        if settings is None:
            raise CaptureError("--journal needs a bound sensor")
        spool = SpoolReader(args.config.parent / settings.site.data_dir / SPOOL_FILE)
        try:
            entries = journal_tail(spool, sensor.id, round(args.seconds * 1e9))
        finally:
            spool.close()
        received = [e.received for e in entries if e.source.driver == driver.id]
        return make_capture(sensor, received, dataclasses.replace(head, provenance="journal"), args.redact)
    with Progress(f"recording {args.sensor[0]}") as bar:
        received, name = await record(radio, sensor, driver, (args.find, args.seconds), bar)
    return make_capture(sensor, received, head, [name, *args.redact])


def _whose(args: argparse.Namespace) -> tuple[Sensor, Settings | None]:
    """The bound sensor that is meant, or the stated one; a stranger's is never read."""
    wanted = args.sensor[0]
    settings = load_settings(args.config) if args.config.is_file() or not args.mine else None
    for sensor in settings.sensors if settings else ():
        if wanted == sensor.id or wanted.upper() == sensor.address.upper():
            return sensor, settings
    if not (args.mine and args.driver and ADDRESS.fullmatch(wanted.upper())):
        raise CaptureError(
            f"{clean(wanted)} is not bound in {args.config}; bind it first, or say --mine --driver NAME with its address"
        )
    rates_hz = {k.name: k.driver.capabilities.rate_hz for k in known_drivers() if k.driver is not None}
    rate_hz = args.rate or rates_hz.get(args.driver, 100.0)
    return Sensor("capture", "capture", args.driver, wanted.upper(), rate_hz), None


async def record(
    radio: Radio, sensor: Sensor, driver: Driver, times_s: tuple[float, float], bar: Progress
) -> tuple[list[Received], str]:
    """Find, connect, start, listen, stop (``times_s``: at most for finding, for listening); notifications, advertised name."""
    if is_placeholder(sensor.address):
        raise CaptureError(f"{sensor.id} has no address; write it into the gateway file, or use --journal")
    clock, received = SystemClock(), list[Received]()
    found: Found | None = await radio.find(lambda a: a.address.upper() == sensor.address.upper(), times_s[0])
    if found is None:
        raise CaptureError(
            "the sensor was not found; is it charged and near? A running gateway holds it: use --journal, or stop it"
        )
    async with radio.connect(found, driver.capabilities.needs_bond) as link:

        def take(uuid: str, payload: bytes) -> None:
            received.append(Received(uuid, payload, clock.mono_ns(), clock.utc_ns()))

        await link.subscribe(driver.notify_uuids(), take)
        await link.write(driver.start_at(clock.utc_ns()) if isinstance(driver, StartsWithTime) else driver.start())
        began_ns = clock.mono_ns()
        while (share := (clock.mono_ns() - began_ns) / 1e9 / times_s[1]) < 1.0 and not link.disconnected.is_set():
            bar(share)
            await asyncio.sleep(0.1)
        try:
            if not link.disconnected.is_set():
                await link.write(driver.stop())
        except LinkError as e:  # what came is no less worth
            print(f"tiltline capture: the sensor was not stopped: {e}", file=sys.stderr)
    return received, found.advert.name or ""


def _check(args: argparse.Namespace) -> int:
    results: list[dict[str, Any]] = []
    for name in args.sensor:
        try:
            capture = read_capture(Path(name))
            results.append({"file": name, "payloads": len(capture.received), "differences": differences(capture)})
        except CaptureError as e:
            results.append({"file": name, "payloads": 0, "differences": [str(e)]})
    if args.json:
        print(json.dumps(results, ensure_ascii=False))
    else:
        for r in results:
            print(f"{r['file']}: {'differs' if r['differences'] else 'as recorded'} ({r['payloads']} notifications)")
            for text in r["differences"]:
                print(f"  {text}")
    return int(any(r["differences"] for r in results))
