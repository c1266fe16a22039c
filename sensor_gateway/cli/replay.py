"""`tiltline replay`: everything derived again from the raw journal, into a new store; or a check of the old one."""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import asdict
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from processing.alignment.static import AlignmentError
from processing.dictionary import KINDS
from processing.rules.study import Study, study_hash
from sensor_gateway.alignments.correct import DERIVED
from sensor_gateway.cli.progress import Progress
from sensor_gateway.config import ConfigError, Settings, load_settings
from sensor_gateway.garbage import for_long_computing
from sensor_gateway.gateway import SPOOL_FILE, STORE_FILE
from sensor_gateway.replay import diff as replay_diff
from sensor_gateway.replay.cluster import connect, replay_cohort
from sensor_gateway.replay.publish import Published, publish
from sensor_gateway.replay.rederive import Difference, ReplayError, SpoolReader, compare, rederive
from sensor_gateway.replay.retro import rederive_retro
from sensor_gateway.secrets import INFLUX_VARIABLE, read_secret
from sensor_gateway.sinks.influx import InfluxDownError, InfluxWriter
from sensor_gateway.sinks.influx_admin import Database, RemoteError
from sensor_gateway.sinks.store import Store, StoreError
from sensor_gateway.spool.block import BlockError
from sensor_gateway.study_file import differences, load_study, study_of

_TEXT = """\
Reads the raw journal of a gateway (which may be running) and computes every record anew into a store of its own. With another
study it shows what that study would have made of the same days. --check compares with what the gateway stored; --diff writes
a report of what changed, where and how much, with the flags gained and lost.

--mode retro takes the journal with hindsight: samples that a sensor sent after a time out of range stand at their own time,
clocks and angles are estimated from what follows as well. The live records stay as they are. Poses and movements of the
set-up hold as the gateway's store tells them; where the clip slipped is searched anew, as `tiltline process --mode retro` does.
--influx writes the result into the database too, beside the live series, in measurements of its own (tilt_retro, epoch_retro,
event_retro, device_retro; tag source=retro), in place of what an earlier night wrote there; --out may be left out then.

--scheduler gives the work to a Dask cluster, a day of a sensor at a time; its workers need Tiltline and the same data folder.

Examples: tiltline replay --config gateway.toml --out again.db --check
          tiltline replay --config gateway.toml --out retro.db --mode retro
          tiltline replay --config gateway.toml --mode retro --influx
          tiltline replay --config gateway.toml --study stricter.toml --out stricter.db --diff stricter.html
"""


def configure(parser: argparse.ArgumentParser) -> None:
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.description = _TEXT
    parser.add_argument("--config", type=Path, required=True, help="the gateway's file: where its journal is")
    parser.add_argument("--out", metavar="DB", type=Path, help="new store to write (must not exist)")
    parser.add_argument("--sensor", action="append", default=[], help="only this sensor; repeatable (default: all)")
    parser.add_argument("--study", type=Path, help="another study than the configuration's")
    parser.add_argument("--mode", choices=("live", "retro"), default="live", help="default: %(default)s")
    parser.add_argument(
        "--influx",
        metavar="FILE",
        type=Path,
        nargs="?",
        const=Path(),
        help="with --mode retro: write into the database of --config, or of another FILE with [influx], such as the bridge's",
    )
    parser.add_argument("--scheduler", metavar="ADDRESS", help="a Dask cluster's scheduler, e.g. tcp://host:8786")
    parser.add_argument("--check", action="store_true", help="compare with the gateway's store; status 1 if it differs")
    parser.add_argument(
        "--diff", metavar="FILE", type=Path, help="report against the gateway's store: .html, .json or .txt"
    )
    parser.add_argument("--json", action="store_true", help="print the counts for a machine")


def run(args: argparse.Namespace) -> int:
    """Exit status 1 with a sentence where something cannot be read, or where --check finds a difference."""
    for_long_computing()
    try:
        return _run(args)
    except (
        ConfigError, ReplayError, StoreError, AlignmentError, BlockError, RemoteError, InfluxDownError,
    ) as e:  # fmt: skip
        print(f"tiltline replay: {e}", file=sys.stderr)
        return 1


def _run(args: argparse.Namespace) -> int:
    base = args.config.parent
    settings = load_settings(args.config)
    study = study_of(settings, base) if args.study is None else load_study(args.study)
    unknown = set(args.sensor) - {s.id for s in settings.sensors}
    if unknown:
        raise ReplayError(f"no sensor {min(unknown)!r} in {args.config}; correct --sensor")
    if args.check and args.mode == "retro":
        raise ReplayError("--check compares live records; leave out --mode retro")
    if args.scheduler and args.mode == "retro":
        raise ReplayError("--scheduler replays as live; leave out --mode retro")
    if args.influx is not None and args.mode != "retro":
        raise ReplayError("--influx writes the retro derivation; add --mode retro")
    if args.out is None and args.influx is None:
        raise ReplayError("nowhere to write to; give --out a name")
    if args.out is not None and args.out.exists():
        raise ReplayError(f"{args.out}: exists; give --out a new name")
    if args.diff is not None and args.diff.suffix not in replay_diff.FORMS:
        raise ReplayError(f"{args.diff}: --diff writes {', '.join(replay_diff.FORMS)}; give the file one of these ends")
    folder = base / settings.site.data_dir
    spool = SpoolReader(folder / SPOOL_FILE)
    if args.out is not None:
        return _replay(args, settings, study, spool, args.out)
    (folder / DERIVED).mkdir(exist_ok=True)  # where an erasure looks, should this process be killed
    with TemporaryDirectory(prefix="retro-", dir=folder / DERIVED) as scratch:
        return _replay(args, settings, study, spool, Path(scratch) / "retro.db")


def _replay(args: argparse.Namespace, settings: Settings, study: Study, spool: SpoolReader, out: Path) -> int:
    base = args.config.parent
    folder = base / settings.site.data_dir
    store = Store.open(out)
    report: dict[str, Any] = {}
    if args.scheduler:
        chosen = [s for s in settings.sensors if not args.sensor or s.id in args.sensor]
        with connect(args.scheduler) as client, Progress("replaying on the cluster") as progress:
            found = replay_cohort(client, (folder / SPOOL_FILE).resolve(), chosen, study, store, progress)
        report |= {name: asdict(result) for name, result in found.items()}
    for sensor in settings.sensors if not args.scheduler else ():
        if not args.sensor or sensor.id in args.sensor:
            with Progress(f"{sensor.id}: replaying") as progress:
                if args.mode == "retro":
                    stored = folder / STORE_FILE
                    report[sensor.id] = asdict(rederive_retro(spool, sensor, study, stored, store, progress))
                else:
                    report[sensor.id] = asdict(rederive(spool, sensor, study, store, progress))
    worn: dict[str, list[str]] = {}
    for s in settings.sensors:
        if s.id in report:
            worn.setdefault(s.wearer, []).append(s.id)
    same = not args.check or _check(worn, store, folder / STORE_FILE, report)
    if args.diff is not None:
        usual = study_of(settings, base)
        report["diff"] = _diff(args.diff, folder / STORE_FILE, store, worn, (usual, study))
    if args.influx is not None:
        report["influx"] = asdict(_publish(args, settings, store))
        same = not report["influx"]["rejected"]
    store.close()
    spool.close()
    if args.json:
        print(json.dumps(report))
    else:
        for name, facts in report.items():
            print(f"{name}: {', '.join(f'{key} {value}' for key, value in facts.items())}")
    return 0 if same else 1


def _publish(args: argparse.Namespace, settings: Settings, store: Store) -> Published:
    """The store's records into the database, wearer by wearer."""
    file = args.config if args.influx == Path() else args.influx
    influx = load_settings(file).influx
    token = read_secret(influx.token_file, INFLUX_VARIABLE, file.parent, "influx.token_file")
    writer, database = InfluxWriter(influx, token), Database(influx, token)
    total = Published()
    try:
        for wearer in store.wearers():
            with Progress(f"{wearer}: writing to the database"):
                done = publish(store, settings.site.id, wearer, database, writer, influx.batch)
            total.written += done.written
            total.rejected += done.rejected
            total.reason = total.reason or done.reason
    finally:
        writer.close()
    return total


def _diff(
    path: Path, stored: Path, derived: Store, worn: dict[str, list[str]], studies: tuple[Study, Study]
) -> dict[str, Any]:
    """Write the report; what stands in it, in numbers."""
    store = Store.open(stored, readonly=True)
    try:
        found = replay_diff.diff(store, derived, worn)
    finally:
        store.close()
    try:
        changes = tuple(differences(asdict(studies[0]), asdict(studies[1])))
        replay_diff.write(path, found, replay_diff.Studies(study_hash(studies[0]), study_hash(studies[1]), changes))
    except OSError as e:
        raise ReplayError(f"{path}: cannot be written ({e.strerror or e}); name another file for --diff") from e
    kinds = [d for of in found.values() for d in of.kinds.values()]
    flags = [f.gained for of in found.values() for f in of.flags]
    counts = {name: sum(getattr(d, name) for d in kinds) for name in ("equal", "changed", "added", "removed")}
    return {"file": str(path), **counts, "flags_gained": flags.count(True), "flags_lost": flags.count(False)}


def _check(worn: dict[str, list[str]], replayed: Store, path: Path, report: dict[str, Any]) -> bool:
    stored = Store.open(path, readonly=True)
    same = True
    for wearer, sensors in worn.items():
        for kind in KINDS:
            found: Difference = compare(stored, replayed, wearer, kind, sensors)
            report[f"{wearer} {kind}"] = asdict(found)
            same &= found.is_none
    stored.close()
    return same
