"""`tiltline status`: are gateway and bridge alive, do their books balance, what waits and what troubles them.

Reads files only, so it works on a running process, on a stopped one and on a copy of its folder.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

from sensor_gateway.clock import SystemClock
from sensor_gateway.config import ConfigError, load_settings
from sensor_gateway.sinks.makers import DERIVED
from sensor_gateway.status.report import FRESH_S, read
from sensor_gateway.status.status import BRIDGE_FILE, NS, SPOOL_FILE, Books, StatusError, bridge_books, gateway_books

_COLUMNS = ("received", "written", "rejected", "dropped", "queued")


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--config", type=Path, required=True, help="the gateway's or the bridge's file")
    parser.add_argument("--json", action="store_true", help="print for a machine")


def run(args: argparse.Namespace) -> int:
    """Exit status 0 where all is well, 1 where there is trouble, the books do not balance or a process is gone, 2 where nothing
    can be read.
    """
    try:
        settings = load_settings(args.config)
        folder = args.config.parent / settings.site.data_dir
        found = {}
        if (folder / SPOOL_FILE).is_file():
            found["gateway"] = _state("gateway", folder, gateway_books(folder, count_all=True))
            found["gateway"]["derivations"] = sorted(path.stem for path in (folder / DERIVED).glob("*.db"))
        if (folder / BRIDGE_FILE).is_file():
            found["bridge"] = _state("bridge", folder, bridge_books(folder))
        if not found:
            raise StatusError(f"{folder}: neither a gateway's spool nor a bridge's queue lies there; start one of them")
    except (ConfigError, StatusError) as e:
        print(f"tiltline status: {e}", file=sys.stderr)
        return 2
    if args.json:
        print(json.dumps(found))
    else:
        for role, state in found.items():
            _print(role, state)
    return int(any(state["troubles"] or state["unbalanced"] or _left(state) for state in found.values()))


def _left(state: dict[str, Any]) -> bool:
    """Whether a process has run here and does not any more."""
    return not state["running"] and state["reported_s_ago"] is not None


def _state(role: str, folder: Path, books: Books) -> dict[str, Any]:
    """What the files say now, and what the process last said of itself."""
    now_ns = SystemClock().utc_ns()
    report = read(folder, role)
    age_s = None if report is None else (now_ns - report["t_utc_ns"]) / NS
    running = report is not None and age_s is not None and abs(age_s) < FRESH_S and _alive(report["pid"])
    live = report if running and report is not None else {}
    return {
        "running": running,
        "pid": live.get("pid"),
        "reported_s_ago": None if age_s is None else round(age_s, 1),
        "troubles": list(live.get("troubles", [])),
        "unbalanced": [hop.name for hop in books.hops if hop.missing],
        "hops": [asdict(hop) | {"missing": hop.missing} for hop in books.hops],
        "sensors": [
            asdict(seen)
            | {
                "data_age_s": round((now_ns - seen.last_rx_utc_ns) / NS, 1),
                "link": live.get("links", {}).get(seen.sensor),
            }
            for seen in books.sensors
        ],
        "gateways": live.get("gateways", {}),
        "refusals": live.get("refusals", {}),
        "vitals": live.get("vitals", {}),
        "extra": books.extra,
    }


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        # In another container this number means nothing here; a fresh report then has to do.
        return not Path("/proc/self/status").exists()
    except PermissionError:
        return True
    return True


def _print(role: str, state: dict[str, Any]) -> None:
    seen = "" if state["reported_s_ago"] is None else f", last report {state['reported_s_ago']:g} s ago"
    gone = "not running; start it ('tiltline run', 'tiltline bridge')" if _left(state) else "not running"
    print(f"{role}: {'running, process ' + str(state['pid']) if state['running'] else gone}{seen}")
    print(f"  {'':<10}" + "".join(f"{name:>12}" for name in _COLUMNS) + f"{'lag':>10}")
    for hop in state["hops"]:
        cells = "".join(f"{hop[name]:>12}" for name in _COLUMNS)
        note = "" if not hop["missing"] else f"   {hop['missing']} not accounted for"
        print(f"  {hop['name']:<10}{cells}{hop['lag_s']:>8.0f} s{note}")
    for seen_ in state["sensors"]:
        battery = "" if seen_["battery_percent"] is None else f", battery {seen_['battery_percent']:.0f} %"
        link = "" if seen_["link"] is None else f", {seen_['link']}"
        print(f"  sensor {seen_['sensor']}: newest payload {seen_['data_age_s']:.0f} s ago{link}{battery}")
    for name, said in state["gateways"].items():
        offset = f", clock {said['clock_offset_s']:+.1f} s" if "clock_offset_s" in said else ""
        print(
            f"  gateway {name}: {'online' if said.get('online') else 'offline'}, {said.get('queued', 0):.0f} waiting{offset}"
        )
    if signs := state["vitals"]:
        free = f"{signs['disk_free_bytes'] / 1e9:.1f} GB free"
        memory = "" if signs["memory_bytes"] is None else f", {signs['memory_bytes'] / 1e6:.0f} MB of memory"
        fds = (
            ""
            if signs["open_fds"] is None
            else f", {signs['open_fds']} descriptors, {signs['dbus_connections']} to D-Bus"
        )
        print(f"  {free}{memory}{fds}, clock set by {signs['clock_step_s']:+.1f} s since the start")
    for door, kinds in state["refusals"].items():
        counts = ", ".join(f"{kind} {n}" for kind, n in kinds.items())
        print(f"  refused since the start, {door}: {counts or 'nothing'}")
    for name, n in state["extra"].items():
        if n:
            print(f"  {name.replace('_', ' ')}: {n}")
    if derived := state.get("derivations"):
        print(f"  derived beside the store: {', '.join(derived)} ('tiltline replay --list' says how)")
    for trouble in state["troubles"]:
        print(f"  ! {trouble}")
