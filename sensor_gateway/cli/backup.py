"""`tiltline backup`: everything in a data folder, copied while the gateway or bridge runs; with a manifest of hashes."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Final

from sensor_gateway.cli.progress import Progress
from sensor_gateway.config import ConfigError, load_settings
from sensor_gateway.upgrade.backup import BackupError, backup, verify
from sensor_gateway.upgrade.migrations import MigrationError

_TEXT: Final = """\
Copies journal, outbox, store and bridge queue (SQLite's online backup: one consistent moment of each file), the notes beside
them, and the configuration into a new folder with manifest.json. The gateway may run. Secrets in files of their own are not
copied. Keep backups as private as the data: an erasure does not reach them (docs/privacy.md).
"""


def configure(parser: argparse.ArgumentParser) -> None:
    parser.description = _TEXT
    parser.add_argument("folder", metavar="DIR", type=Path, help="new folder for the backup")
    parser.add_argument("--config", type=Path, required=True, help="the gateway's or bridge's file")
    parser.add_argument("--verify", action="store_true", help="check the backup that lies in DIR instead of making one")
    parser.add_argument("--json", action="store_true", help="print the manifest for a machine")


def run(args: argparse.Namespace) -> int:
    """Exit status 1 with a sentence where it cannot be made, or is not sound."""
    try:
        if args.verify:
            manifest = verify(args.folder)
        else:
            settings = load_settings(args.config)
            with Progress("backup") as progress:
                manifest = backup(args.config, settings, args.folder, progress).manifest
    except (ConfigError, BackupError, MigrationError) as e:
        print(f"tiltline backup: {e}", file=sys.stderr)
        return 1
    except OSError as e:
        print(f"tiltline backup: {args.folder}: cannot be written ({e}); free space or name another", file=sys.stderr)
        return 1
    if args.json:
        print(json.dumps(manifest))
    else:
        size = sum(facts["bytes"] for facts in manifest["files"].values())
        print(f"{args.folder}: {len(manifest['files'])} files, {size / 1e6:.1f} MB, sound")
    return 0
