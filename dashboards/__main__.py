"""`python -m dashboards`: write the JSON and provisioning files that Grafana reads; `--check` only compares.

The files are committed, so that a stack starts without running Python, and a test compares them with the code.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Final

from dashboards.alerts import alert_file
from dashboards.operations import operations
from dashboards.researcher import research
from dashboards.therapist import client_day, client_weeks, cohort, review

DEFAULT_DIRECTORY: Final = Path(__file__).parent / "grafana"
OLDER: Final = "json/tiltline-*.json"
"""Dashboards of before, by now without a source; nothing else in a folder is touched, as it may be a Grafana's own."""


def generated() -> dict[str, str]:
    """Relative path → content of every generated file."""
    files = {"provisioning/alerting/tiltline.yaml": alert_file()}
    for dashboard in (cohort(), client_day(), client_weeks(), review(), research(), operations()):
        text = json.dumps(dashboard.to_json(), indent=2, ensure_ascii=False)
        files[f"json/{dashboard.uid}.json"] = f"{text}\n"
    return files


def stale(directory: Path) -> list[str]:
    """Relative paths whose file is absent, differs, or is not generated any more; files of others are left alone."""
    wanted = generated()
    ours = {p for name in (*wanted, OLDER) for p in directory.glob(name) if p.is_file()}
    present = {str(p.relative_to(directory)): p.read_text(encoding="utf-8") for p in ours}
    return sorted(name for name in wanted.keys() | present.keys() if wanted.get(name) != present.get(name))


def main(arguments: list[str] | None = None) -> int:
    """Write or check; returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m dashboards", description=__doc__)
    parser.add_argument(
        "--out", type=Path, default=DEFAULT_DIRECTORY, help="where to write (default: dashboards/grafana)"
    )
    parser.add_argument("--check", action="store_true", help="write nothing; exit 1 if a file is not current")
    options = parser.parse_args(arguments)
    differing = stale(options.out) if options.out.is_dir() else sorted(generated())
    if options.check:
        if differing:
            sys.stderr.write(f"not current: {', '.join(differing)}; run `python -m dashboards`\n")
        return 1 if differing else 0
    files = generated()
    for name in differing:
        path = options.out / name
        if name not in files:
            path.unlink()
            continue
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(files[name], encoding="utf-8")
    sys.stdout.write(f"{len(files)} files in {options.out}, {len(differing)} changed\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
