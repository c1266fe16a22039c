"""`tiltline restore`: a backup put back as the data folder of a configuration; the gateway is stopped meanwhile."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Final

from sensor_gateway.config import ConfigError, load_settings
from sensor_gateway.upgrade.backup import BackupError, restore
from sensor_gateway.upgrade.migrations import MigrationError

_TEXT: Final = """\
Checks a backup (hashes, integrity, schema) and puts it in the place of the data folder; a backup of an earlier release is
brought to this one. What lay there is kept beside under another name. The configuration is not touched: the one saved with
the backup lies in DIR/config.
"""


def configure(parser: argparse.ArgumentParser) -> None:
    parser.description = _TEXT
    parser.add_argument("folder", metavar="DIR", type=Path, help="the backup")
    parser.add_argument("--config", type=Path, required=True, help="the file whose 'site.data_dir' is to be filled")
    parser.add_argument("--json", action="store_true", help="print for a machine")


def run(args: argparse.Namespace) -> int:
    """Exit status 1 with a sentence where it cannot be put back; then nothing was changed."""
    try:
        settings = load_settings(args.config)
        target = args.config.parent / settings.site.data_dir
        manifest = restore(args.folder, target, args.config)
    except (ConfigError, BackupError, MigrationError) as e:
        print(f"tiltline restore: {e}", file=sys.stderr)
        return 1
    except OSError as e:
        print(f"tiltline restore: cannot be put back ({e}); check space and permissions", file=sys.stderr)
        return 1
    if args.json:
        print(json.dumps({"data_dir": str(target), "before": manifest["before"], "backup": manifest["began"]}))
    else:
        print(f"{target}: as it was at {manifest['began']}")
        if manifest["before"]:
            print(f"what lay there: {manifest['before']} (delete it when it is no longer needed)")
    return 0
