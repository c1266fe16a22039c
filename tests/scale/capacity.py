"""What so many wearers need: `python -m tests.scale.capacity LIVE.json [--check OTHER.json]`.

From the report of a live run (`python -m tests.scale.live ... > LIVE.json`): messages and points a second, processors, disk a day.
With `--check` the model is held against another run with another number of wearers. Every part is taken as proportional to the
wearers; what is fixed in a small run makes the model too careful, so measure with many.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

WEARERS = (10, 100, 500, 1000, 5000)
DAY_S = 86_400
WITHIN = 0.25


def capacity(live: dict[str, Any], wearers: int) -> dict[str, float]:
    """A record is one message and one point."""
    per_s = live["records"] / live["seconds"] / live["wearers"]
    rows = {
        "wearers": wearers,
        "messages_per_s": round(per_s * wearers, 1),
        "points_per_s": round(per_s * wearers, 1),
        "cores": round(live["cpu_ms_per_wearer_second"]["all"] * wearers / 1000, 2),
        "store_gb_per_day": round(per_s * wearers * live["record_bytes_mean"] * DAY_S / 1e9, 2),
    }
    if live["journal_mb_per_wearer_day"] is not None:  # a run of less than two minutes cannot say
        rows["journal_gb_per_day"] = round(live["journal_mb_per_wearer_day"] * wearers / 1000, 2)
    return rows


def check(live: dict[str, Any], other: dict[str, Any]) -> list[str]:
    """In what the model misses the other run by more than a quarter."""
    said, found = capacity(live, other["wearers"]), capacity(other, other["wearers"])
    return [
        f"{name}: said {said[name]:g}, found {found[name]:g}"
        for name in said.keys() & found.keys()
        if abs(said[name] - found[name]) > WITHIN * found[name]
    ]


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.scale.capacity", description=__doc__.split("\n\n")[0])
    parser.add_argument("live", type=Path, help="report of a live run")
    parser.add_argument("--check", type=Path, help="report of another one; status 1 where the model misses it")
    options = parser.parse_args(arguments)
    live = json.loads(options.live.read_text())
    rows = [capacity(live, n) for n in WEARERS]
    names = list(rows[0])
    print("| " + " | ".join(names) + " |\n|" + "---|" * len(names))
    for row in rows:
        print("| " + " | ".join(f"{row[name]:g}" for name in names) + " |")
    wrong = [] if options.check is None else check(live, json.loads(options.check.read_text()))
    for line in wrong:
        print(line, file=sys.stderr)
    return int(bool(wrong))


if __name__ == "__main__":
    sys.exit(main())
