"""`tiltline replay`: everything derived again from the raw journal, into a named store beside the original; or a check of the old one."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

from processing.alignment.static import AlignmentError
from processing.rules.study import Study, study_hash
from sensor_gateway.alignments.changes import alignment_changes
from sensor_gateway.alignments.history import read_history
from sensor_gateway.alignments.stated import Stated, read_stated, template
from sensor_gateway.cli.progress import Progress
from sensor_gateway.config import ConfigError, Sensor, Settings, load_settings
from sensor_gateway.garbage import for_long_computing
from sensor_gateway.replay import derivation, report
from sensor_gateway.replay.check import check
from sensor_gateway.replay.cluster import connect, replay_cohort
from sensor_gateway.replay.correct_alignment import CorrectionError
from sensor_gateway.replay.derivation import derived_path
from sensor_gateway.replay.diff import diff
from sensor_gateway.replay.rederive import ReplayError, SpoolReader, rederive
from sensor_gateway.replay.retro import rederive_retro
from sensor_gateway.secrets import INFLUX_VARIABLE, read_secret
from sensor_gateway.sinks.influx_admin import RemoteError
from sensor_gateway.sinks.makers import DERIVED, Maker
from sensor_gateway.sinks.store import Store, StoreError
from sensor_gateway.spool.block import BlockError
from sensor_gateway.status.status import SPOOL_FILE, STORE_FILE
from sensor_gateway.study_file import differences, load_study, study_of

if TYPE_CHECKING:
    from sensor_gateway.replay.resolve_alignments import Used

_TEXT = """\
Reads the raw journal of a gateway (which may be running) and computes every record anew into a store of its own: derived/NAME.db in
the data folder, beside the original, or --out. With another study or other alignments it shows what these would have made of the
same days. --check compares with what the gateway stored; --diff writes a report of what changed, where and how much, with the flags
gained and lost. --list shows what has been derived.

--alignment FILE says how clips really sat: the pose was taken wrong, the front lay elsewhere, Tuesday's zero for Wednesday, or "auto".
--alignment-template writes such a file with what the gateway had, to be edited. What it does not name stays as it was.

--mode retro takes the journal with hindsight: samples that a sensor sent after a time out of range stand at their own time,
clocks and angles are estimated from what follows as well. The live records stay as they are. Poses and movements of the
set-up hold as the gateway's store tells them; where the clip slipped is searched anew, as `tiltline process --mode retro` does.
--influx writes the result into the database too, beside the live series, in measurements of its own (tilt_retro, epoch_retro,
event_retro, device_retro; tag source=retro, or the name), in place of what an earlier run of that name wrote. No store is kept then
without --name or --out.

--scheduler gives the work to a Dask cluster, a day of a sensor at a time; its workers need Tiltline and the same data folder.
"""


def configure(parser: argparse.ArgumentParser) -> None:
    parser.description = _TEXT
    parser.add_argument("--config", type=Path, required=True, help="the gateway's file: where its journal is")
    parser.add_argument("--name", help="what to call the derivation (default: by what changed, as the study file)")
    parser.add_argument(
        "--out", metavar="DB", type=Path, help="store to write (default: derived/NAME.db in the data folder)"
    )
    parser.add_argument("--sensor", action="append", default=[], help="only this sensor; repeatable (default: all)")
    parser.add_argument("--study", type=Path, help="another study than the configuration's")
    parser.add_argument("--alignment", metavar="FILE", type=Path, help="how clips really sat, since when")
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
    parser.add_argument(
        "--check",
        action="store_true",
        help="compare with the gateway's store; status 1 if it differs; keeps nothing unless --name or --out asks for it",
    )
    parser.add_argument(
        "--diff", metavar="FILE", type=Path, help="report against the gateway's store: .html, .json or .txt"
    )
    parser.add_argument("--list", action="store_true", help="derive nothing: show the derivations there are")
    parser.add_argument(
        "--alignment-template", action="store_true", help="derive nothing: print a file for --alignment, to be edited"
    )
    parser.add_argument("--json", action="store_true", help="print the counts for a machine")


@dataclass(frozen=True, slots=True)
class _Job:
    """What is asked for, checked. ``entries`` are those of the alignment file."""

    args: argparse.Namespace
    settings: Settings
    sensors: tuple[Sensor, ...]
    study: Study
    usual: Study
    entries: tuple[Stated, ...]
    name: str

    @property
    def folder(self) -> Path:
        """The gateway's data folder."""
        return Path(self.args.config.parent / self.settings.site.data_dir)


def run(args: argparse.Namespace) -> int:
    """Exit status 1 with a sentence where something cannot be read, or where --check finds a difference."""
    for_long_computing()
    try:
        return _run(args)
    except (ConfigError, ReplayError, StoreError, AlignmentError, CorrectionError, BlockError, RemoteError) as e:
        print(f"tiltline replay: {e}", file=sys.stderr)
        return 1


def _run(args: argparse.Namespace) -> int:
    settings = load_settings(args.config)
    folder = args.config.parent / settings.site.data_dir
    if args.list:
        return _list(derivation.listed(folder), as_json=args.json)
    unknown = set(args.sensor) - {s.id for s in settings.sensors}
    if unknown:
        raise ReplayError(f"no sensor {min(unknown)!r} in {args.config}; correct --sensor")
    sensors = tuple(s for s in settings.sensors if not args.sensor or s.id in args.sensor)
    if args.alignment_template:
        with closing(Store.open(folder / STORE_FILE, readonly=True)) as store:
            histories = {s.id: read_history(store, s.wearer, ()).of_sensor(s.id) for s in sensors}
        print(template(histories, ZoneInfo(settings.site.timezone)), end="")
        return 0
    _check_options(args)
    usual = study_of(settings, args.config.parent)
    study = usual if args.study is None else load_study(args.study)
    entries = () if args.alignment is None else read_stated(args.alignment, [s.id for s in sensors])
    name = args.name or derivation.name_of(args.study, args.alignment, args.mode)
    job = _Job(args, settings, sensors, study, usual, entries, derivation.check_name(name, settings))
    with closing(SpoolReader(folder / SPOOL_FILE)) as spool, _place(job) as path, derivation.new_store(path) as store:
        return _replay(job, spool, store)


def _check_options(args: argparse.Namespace) -> None:
    if args.check and args.mode == "retro":
        raise ReplayError("--check compares live records; leave out --mode retro")
    if args.scheduler and args.mode == "retro":
        raise ReplayError("--scheduler replays as live; leave out --mode retro")
    if args.influx is not None and args.mode != "retro":
        raise ReplayError("--influx writes the retro derivation; add --mode retro")
    if args.out is not None and args.out.exists():
        raise ReplayError(f"{args.out}: exists; give --out a new name")
    if args.diff is not None and args.diff.suffix not in report.FORMS:
        raise ReplayError(f"{args.diff}: --diff writes {', '.join(report.FORMS)}; give the file one of these ends")


@contextmanager
def _place(job: _Job) -> Iterator[Path]:
    """Where the store lies; one that nobody asked to keep goes again."""
    args, folder = job.args, job.folder
    if args.out is not None:
        yield args.out
    elif args.name is not None or not (args.check or args.influx is not None):
        yield derived_path(folder, job.name)
    else:
        (folder / DERIVED).mkdir(exist_ok=True)  # where an erasure looks, should this process be killed
        with TemporaryDirectory(prefix="replay-", dir=folder / DERIVED) as scratch:
            yield Path(scratch) / f"{job.name}.db"


def _replay(job: _Job, spool: SpoolReader, store: Store) -> int:
    args = job.args
    used = {s.id: _used(job, spool, s) for s in job.sensors}
    said: dict[str, Any] = {s: asdict(r) for s, r in _derive(job, spool, store, used).items()}
    maker = derivation.sign(store, _facts(job, used, said))
    for sensor_id, of in used.items():
        came = said[sensor_id].get("corrected", len(of))
        if came < len(of):
            late = f"{sensor_id}: {came} of {len(of)} alignments came into force; the journal ends before the others, or begins after them"
            print(f"tiltline replay: warning: {late}", file=sys.stderr)
    worn: dict[str, list[str]] = {}
    for s in job.sensors:
        worn.setdefault(s.wearer, []).append(s.id)
    good = True
    if args.check:
        with closing(Store.open(job.folder / STORE_FILE, readonly=True)) as stored:
            checked = check(stored, store, worn)
        said |= {name: asdict(found) for name, found in checked.found.items()}
        good = checked.same
        if not good:
            print(f"tiltline replay: {checked.sentence()}", file=sys.stderr)
    if args.diff is not None:
        said["diff"] = _diff(job, store, maker, worn)
    if args.influx is not None:
        said["influx"] = _publish(job, store)
        good &= not said["influx"]["rejected"]
    kept = args.out is not None or store.path == derived_path(job.folder, job.name)
    if args.json:
        print(json.dumps(said | {"derivation": {"name": job.name, "store": str(store.path) if kept else None}}))
        return 0 if good else 1
    for name, told in said.items():
        print(f"{name}: {', '.join(f'{key} {value}' for key, value in told.items() if value != '')}")
    if kept:
        print(f"{job.name}: {store.path}")
        print(
            f"  look at it: tiltline web --store {store.path}   or export it: tiltline export --store {store.path} --out DIR"
        )
    return 0 if good else 1


def _used(job: _Job, spool: SpoolReader, sensor: Sensor) -> list[Used]:
    """What the alignment file puts in force on a sensor."""
    if not any(e.sensor == sensor.id for e in job.entries):
        return []
    from sensor_gateway.replay.resolve_alignments import resolve

    with closing(Store.open(job.folder / STORE_FILE, readonly=True)) as store:
        live = read_history(store, sensor.wearer, ()).of_sensor(sensor.id)
    with Progress(f"{sensor.id}: reading its alignments") as progress:
        return resolve(job.entries, spool, sensor, job.study, live, progress)


def _derive(job: _Job, spool: SpoolReader, store: Store, used: Mapping[str, list[Used]]) -> dict[str, Any]:
    """What each sensor's journal came to."""
    args, stored = job.args, job.folder / STORE_FILE
    corrections = {sensor: {u.since_utc_ns: u.alignment for u in of} for sensor, of in used.items()}
    if args.scheduler:
        with connect(args.scheduler) as client, Progress("replaying on the cluster") as progress:
            path = (job.folder / SPOOL_FILE).resolve()
            return {**replay_cohort(client, path, job.sensors, job.study, store, progress, corrections=corrections)}
    done: dict[str, Any] = {}
    for sensor in job.sensors:
        mine = corrections[sensor.id]
        with Progress(f"{sensor.id}: replaying") as progress:
            done[sensor.id] = (
                rederive_retro(spool, sensor, job.study, stored, store, progress, mine)
                if args.mode == "retro"
                else rederive(spool, sensor, job.study, store, progress, mine)
            )
    return done


def _facts(job: _Job, used: Mapping[str, list[Used]], said: Mapping[str, Any]) -> dict[str, Any]:
    args = job.args
    options = {
        "study": args.study and args.study.name, "alignment": args.alignment and args.alignment.name,
        "sensor": args.sensor, "mode": args.mode, "scheduler": bool(args.scheduler),
    }  # fmt: skip
    told = [
        derivation.alignment_fact(s, u.since_utc_ns, u.alignment, u.entry.how())
        for s in job.sensors
        for u in used[s.id]
    ]
    changes = tuple(differences(asdict(job.usual), asdict(job.study)))
    counted = [{"wearer": s.wearer, "sensor": s.id, **said[s.id]} for s in job.sensors]
    return derivation.facts(job.name, job.settings, job.study, args.mode, options, changes, told, counted)


def _publish(job: _Job, store: Store) -> dict[str, Any]:
    """The store's records into the database; how many it took."""
    from sensor_gateway.replay.publish import publish_all
    from sensor_gateway.sinks.influx import InfluxDownError

    args = job.args
    file = args.config if args.influx == Path() else args.influx
    influx = load_settings(file).influx
    token = read_secret(influx.token_file, INFLUX_VARIABLE, file.parent, "influx.token_file")
    try:
        with Progress("writing to the database") as progress:
            return asdict(publish_all(store, job.settings.site.id, influx, token, job.name, progress))
    except InfluxDownError as e:
        raise ReplayError(str(e)) from e


def _diff(job: _Job, derived: Store, maker: Maker, worn: dict[str, list[str]]) -> dict[str, Any]:
    """Write the report; what stands in it, in numbers."""
    path = job.args.diff
    with closing(Store.open(job.folder / STORE_FILE, readonly=True)) as stored:
        found = diff(stored, derived, worn)
        head = report.Head(maker, stored.makers(), study_hash(job.usual), alignment_changes(stored, derived, worn))
    try:
        report.write(path, found, head)
    except OSError as e:
        raise ReplayError(f"{path}: cannot be written ({e.strerror or e}); name another file for --diff") from e
    return {"file": str(path), **report.totals(found)}


def _list(found: list[derivation.Listed], *, as_json: bool) -> int:
    if as_json:
        print(json.dumps([{"name": d.name, "store": str(d.path), "made": d.maker and asdict(d.maker)} for d in found]))
    else:
        print("\n".join(map(report.listed_line, found)) or "nothing has been derived beside the original yet")
    return 0
