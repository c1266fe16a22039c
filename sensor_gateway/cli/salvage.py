"""`tiltline salvage`: a damaged journal without a backup: what can be read of it goes into a new one, what is lost is named."""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from processing.types import NS_PER_S
from sensor_gateway.cli.progress import Progress
from sensor_gateway.config import ConfigError, load_settings
from sensor_gateway.upgrade.salvage import Salvaged, SalvageError, salvage
from sensor_gateway.upgrade.stretches import Lost

_TEXT: Final = """\
For a spool.db that SQLite cannot read (or only in part) where no backup is as new: reads it page by page and puts every block of the
journal and every undelivered record that is whole into a new file, which takes its place. Says which stretches are lost. The
damaged file is not written; it lies in a folder of its own (damaged-TIME in the data folder) until you delete it.
The gateway is stopped meanwhile. It needs as much free space as the file takes.
"""


def configure(parser: argparse.ArgumentParser) -> None:
    parser.description = _TEXT
    parser.add_argument("--config", type=Path, required=True, help="the gateway's file")
    parser.add_argument("--dry-run", action="store_true", help="only say what could be read and what is lost")
    parser.add_argument("--json", action="store_true", help="print for a machine")


def run(args: argparse.Namespace) -> int:
    """Exit status 1 with a sentence where nothing could be done; then nothing was changed."""
    try:
        settings = load_settings(args.config)
        folder = args.config.parent / settings.site.data_dir
        wearers = {sensor.id: sensor.wearer for sensor in settings.sensors}
        with Progress("salvage") as progress:
            done = salvage(folder, wearers, dry_run=args.dry_run, progress=progress)
    except (ConfigError, SalvageError) as e:
        print(f"tiltline salvage: {e}", file=sys.stderr)
        return 1
    if args.json:
        print(json.dumps(asdict(done) | {"aside": None if done.aside is None else str(done.aside)}))
    else:
        print("\n".join(_told(done, args.dry_run)))
    return 0


def _told(done: Salvaged, dry_run: bool) -> list[str]:
    if done.sound:
        return ["the journal is whole; nothing was changed"]
    lines = [f"{sensor}: {n} journal entries are there" for sensor, n in done.entries.items()]
    lines += [f"{done.records} records that may not have been delivered are kept and go out again"]
    lines += [_sentence(lost) for lost in done.lost]
    lines += [
        f"{sensor}: the file does not say whose its journal is, and neither does the store: it is kept, and nothing is computed from it"
        for sensor in done.unknown
    ]
    if dry_run:
        return [*lines, "nothing was changed (--dry-run)"]
    return [*lines, f"the damaged file: {done.aside} (keep it until all is well, then delete it)"]


def _sentence(lost: Lost) -> str:
    whose = f"{lost.sensor} ({lost.wearer or 'whose is not known'})"
    since = "its beginning" if lost.from_utc_ns is None else _time(lost.from_utc_ns)
    until = "its end" if lost.to_utc_ns is None else _time(lost.to_utc_ns)
    what = "not there (lost, or dropped long ago)" if lost.perhaps else "LOST"
    return f"{whose}: {lost.entries} entries {what}, from {since} to {until}"


def _time(t_utc_ns: int) -> str:
    return datetime.fromtimestamp(t_utc_ns / NS_PER_S, UTC).isoformat(timespec="seconds")
