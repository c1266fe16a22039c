"""Bit identity, by one command: `python -m tests.scale.identity --days 50 --reference FOLDER`.

Every recording (random synthetic days, reference recordings) goes all ways that lead to records, and each must give the same,
exactly: `tiltline process`; a live gateway that is killed on the way and goes on; a replay of its journal; the journal in random
groups of entries with a snapshot and a restore between them; a cohort's replay on clusters of one and of two workers; the recording
in random chunks. Looking back: `process --mode retro`, the same in random chunks, and `replay --mode retro` of the journal.
Days are short unless `--hours` says otherwise; exit status 1 where any way differs.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, field
from importlib import import_module
from itertools import islice
from pathlib import Path
from typing import Any, Final, cast

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from processing.batch import Mode, process_recording
from processing.core import CoreSetup
from processing.dictionary import KINDS
from processing.mount_search import find_mounts
from processing.rules.study import Study
from processing.synthetic import Wearer, bmi270, day_script, render, sample_times
from processing.types import F64, NS_PER_S, Record, TimedBatch
from sensor_gateway.config import Sensor, load_settings
from sensor_gateway.process import ProcessOptions, process_file
from sensor_gateway.recording.alignment import Neutral, align_recording
from sensor_gateway.recording.recording import read_recording
from sensor_gateway.replay.cluster import connect, replay_cohort
from sensor_gateway.replay.rederive import SpoolReader, compare, deriver_of, rederive
from sensor_gateway.replay.retro import rederive_retro
from sensor_gateway.sinks.base import Owned
from sensor_gateway.sinks.store import Store
from sensor_gateway.spool.journal import JournalReader
from sensor_gateway.status.status import SPOOL_FILE, STORE_FILE
from tests.integration.servers import REPOSITORY

TOGETHER: Final = 10
"""Recordings that share a gateway."""
_KINDS: Final = ("metric", "epoch", "event")
_START: Final = 1_772_352_000  # 2026-03-01T08:00:00Z
_KILL_AFTER_S: Final = 300.0


@dataclass(frozen=True, slots=True)
class Case:
    """One recording as a sensor of a gateway; ``neutral`` in seconds of the recording where the wearer stood so."""

    number: int
    path: Path
    start_utc_ns: int
    neutral: tuple[float, float] | None

    @property
    def wearer(self) -> str:
        return f"w-{self.number:03d}"

    @property
    def sensor(self) -> str:
        return f"clip-{self.number:03d}"

    def toml(self) -> str:
        neutral = "" if self.neutral is None else f', neutral = "{self.neutral[0]}:{self.neutral[1]}"'
        start = np.datetime64(self.start_utc_ns, "ns")
        options = f'path = "{self.path}", start = "{start}Z"{neutral}'
        return f'[[sensors]]\nid = "{self.sensor}"\nwearer = "{self.wearer}"\ndriver = "replay"\noptions = {{ {options} }}\n'

    def options(self, mode: Mode) -> ProcessOptions:
        neutral = cast("Neutral", self.neutral)
        return ProcessOptions(self.start_utc_ns, neutral, None, mode, Study(), self.wearer, self.sensor)


@dataclass(slots=True)
class Found:
    """What was compared and what differed. ``told``: records by kind and events by type, so that none is equal for want of any."""

    recordings: int = 0
    comparisons: Counter[str] = field(default_factory=Counter)
    records: int = 0
    kills: int = 0
    told: Counter[str] = field(default_factory=Counter)
    differences: list[str] = field(default_factory=list)

    def same(self, way: str, case: Case, equal: bool) -> None:
        self.comparisons[way] += 1
        if not equal:
            self.differences.append(f"{case.path.name} ({case.wearer}): {way}")


def synthetic(folder: Path, number: int, hours: float, seed: int) -> Case:
    """A random day: wearer, clip, rate, start, losses; in every third one the clip turns after two thirds."""
    rng = np.random.default_rng([seed, number])
    rate_hz = float(rng.choice([50.0, 52.0, 62.5, 100.0]))
    # Starts that put midnight, here and in UTC, into some of the days.
    start_ns = (_START + int(rng.integers(86_400))) * NS_PER_S
    script = day_script(start_ns, hours * 3600.0, Wearer(seed=int(rng.integers(1 << 30))))
    model = bmi270(int(rng.integers(1 << 30)))
    count, piece = round(hours * 3600.0 * rate_hz), round(600 * rate_hz)
    turn = _turn(rng.uniform(12.0, 40.0)) if number % 3 == 0 else None
    columns: list[F64] = []
    for first in range(0, count, piece):
        t = sample_times(start_ns, min(piece, count - first), rate_hz, first)
        truth = render(script, t)
        acc, gyr = model.measure(t, first, truth.acc_p_mps2, truth.gyr_p_rps)
        if turn is not None:
            late = np.arange(first, first + len(t)) >= count * 2 // 3
            acc[late], gyr[late] = acc[late] @ turn.T, gyr[late] @ turn.T
        kept = truth.linked & _received(rng, len(t), rate_hz)
        columns.append(np.column_stack([(t - start_ns) / NS_PER_S, acc, gyr])[kept])
    names = ("t_s", "ax", "ay", "az", "gx", "gy", "gz")
    path = folder / f"day-{number:03d}.parquet"
    pq.write_table(pa.table(dict(zip(names, np.concatenate(columns).T, strict=True))), path)
    return Case(number, path, start_ns, (1.0, 9.0))


def _turn(degrees: float) -> F64:
    c, s = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    return np.array([[c, 0.0, s], [0.0, 1.0, 0.0], [-s, 0.0, c]])


def _received(rng: np.random.Generator, n: int, rate_hz: float) -> np.ndarray[Any, np.dtype[np.bool_]]:
    """All but a burst now and then, of a packet up to some seconds; none in the first ten seconds."""
    kept = np.ones(n, dtype=bool)
    for at in rng.integers(round(10 * rate_hz), n, int(rng.poisson(4))) if n > 10 * rate_hz else ():
        kept[at : at + int(rate_hz * rng.choice([0.04, 0.3, 1.5, 12.0]))] = False
    return kept


def references(root: Path, first: int) -> list[Case]:
    """Every reference recording, without a neutral pose."""
    return [Case(first + i, p, _START * NS_PER_S, None) for i, p in enumerate(sorted(root.glob("*/*.parquet")))]


def pieces(batch: TimedBatch, rng: np.random.Generator) -> Iterator[TimedBatch]:
    """The samples in chunks of one to some ten thousand."""
    at = 0
    while at < len(batch):
        end = at + int(10 ** rng.uniform(0.5, 4.3))
        yield TimedBatch(batch.t_utc_ns[at:end], batch.acc_mps2[at:end], batch.gyr_rps[at:end])
        at = end


def of_folder(folder: Path) -> dict[str, list[dict[str, Any]]]:
    """The records that `tiltline process` wrote."""
    tables = {"metric": "metrics.parquet", "epoch": "epochs.parquet"}
    out = {kind: pq.read_table(folder / name).to_pylist() for kind, name in tables.items()}
    return out | {"event": [json.loads(line) for line in (folder / "events.ndjson").read_text().splitlines()]}


def of_records(records: Sequence[Record]) -> dict[str, list[dict[str, Any]]]:
    out: dict[str, list[dict[str, Any]]] = {kind: [] for kind in _KINDS}
    for record in records:
        kind = type(record).__name__.lower()
        if kind in out:
            out[kind].append(json.loads(json.dumps(asdict(record))))
    return out


def of_store(store: Store, wearer: str) -> dict[str, list[dict[str, Any]]]:
    return of_records([*store.metrics(wearer), *store.epochs(wearer), *store.events(wearer)])


def alike(a: dict[str, list[dict[str, Any]]], b: dict[str, list[dict[str, Any]]]) -> bool:
    """Exactly the same records; in a store they stand in the order of time."""

    def ordered(rows: list[dict[str, Any]]) -> list[str]:
        return sorted(json.dumps(row, sort_keys=True) for row in rows)

    return all(ordered(a[kind]) == ordered(b[kind]) for kind in _KINDS)


def run_live(config: Path, rng: np.random.Generator, kills: int) -> int:
    """The gateway over all its recordings, killed up to ``kills`` times on the way; how often it really was."""
    command = [sys.executable, "-m", "sensor_gateway.cli", "run", "--config", str(config), "--until-done"]
    spool, killed = config.parent / "data" / SPOOL_FILE, 0
    for _ in range(kills):
        aim = _journaled(spool) + int(rng.integers(200, 4000))
        with subprocess.Popen(command, cwd=REPOSITORY, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as child:
            end = time.monotonic() + _KILL_AFTER_S
            while child.poll() is None and _journaled(spool) < aim and time.monotonic() < end:
                time.sleep(0.05)
            killed += child.poll() is None
            child.kill()
    subprocess.run(command, cwd=REPOSITORY, check=True, capture_output=True)
    return killed


def _journaled(spool: Path) -> int:
    """Entries of all sensors in a journal that another process writes; 0 before there is one."""
    if not spool.is_file():
        return 0
    db = sqlite3.connect(f"{spool.absolute().as_uri()}?mode=ro", uri=True)
    try:
        rows = db.execute("SELECT max(last_seq) FROM journal GROUP BY sensor").fetchall()
    except sqlite3.OperationalError:
        return 0  # not made yet
    finally:
        db.close()
    return sum(last for (last,) in rows)


def in_groups(spool: SpoolReader, sensor: Sensor, study: Study, rng: np.random.Generator) -> list[Record]:
    """The journal in random groups of entries, and now and then a new deriver that goes on from a snapshot."""
    deriver, out = deriver_of(sensor, study), list[Record]()
    entries = [entry for block in JournalReader(spool).read(sensor.id) for entry in block]
    at = 0
    while at < len(entries):
        end = at + int(10 ** rng.uniform(0.0, 3.0))
        out += [record for output in deriver.feed(entries[at:end]) for record in output.records]
        at = end
        if rng.random() < 0.1:
            state = deriver.snapshot()
            deriver = deriver_of(sensor, study)
            deriver.restore(state)
    return out


def check(cases: Sequence[Case], folder: Path, clients: Sequence[Any], seed: int, found: Found, kills: int = 2) -> None:
    """One gateway over ``cases``, then everything against everything; ``folder`` is new."""
    folder.mkdir()
    rng, study = np.random.default_rng([seed, cases[0].number]), Study()
    config = folder / "gateway.toml"
    config.write_text(
        "".join(['[site]\ndata_dir = "data"\n', *(case.toml() for case in cases), "[web]\nenabled = false\n"])
    )
    found.kills += run_live(config, rng, kills)
    data = folder / "data"
    settings, live, spool = (
        load_settings(config),
        Store.open(data / STORE_FILE, readonly=True),
        SpoolReader(data / SPOOL_FILE),
    )
    together = {
        f"cohort, {len(c.scheduler_info()['workers'])} workers": _cohort(c, config, folder, i)
        for i, c in enumerate(clients)
    }
    for case, sensor in zip(cases, settings.sensors, strict=True):
        found.recordings += 1
        processed: dict[Mode, dict[str, list[dict[str, Any]]]] = {}
        for mode in ("online", "retro"):
            process_file(case.path, folder / f"{case.wearer}-{mode}", case.options(mode))
            processed[mode] = of_folder(folder / f"{case.wearer}-{mode}")
        expected = processed["online"]
        found.records += sum(map(len, expected.values()))
        found.told.update({kind: len(rows) for kind, rows in expected.items()})
        found.told.update(f"{mode} {event['type']}" for mode, rows in processed.items() for event in rows["event"])
        found.same("live = process", case, alike(of_store(live, case.wearer), expected))
        again = Store.open(folder / f"{case.wearer}-again.db")
        rederive(spool, sensor, study, again)
        found.same("replay = live", case, _identical(live, again, case))
        again.close()
        grouped = Store.open(folder / f"{case.wearer}-grouped.db")
        grouped.write(Owned(case.wearer, case.sensor, r) for r in in_groups(spool, sensor, study, rng))
        found.same("replay in groups, restarted = live", case, _identical(live, grouped, case))
        grouped.close()
        for way, store in together.items():
            found.same(f"{way} = live", case, _identical(live, store, case))
        _in_chunks(found, case, processed, rng)
        retro = Store.open(folder / f"{case.wearer}-retro.db")
        rederive_retro(spool, sensor, study, data / STORE_FILE, retro)
        found.same("retro replay = retro process", case, alike(of_store(retro, case.wearer), processed["retro"]))
        retro.close()
    for store in (live, *together.values()):
        store.close()
    spool.close()


def _identical(a: Store, b: Store, case: Case) -> bool:
    return all(compare(a, b, case.wearer, kind).is_none for kind in KINDS)


def _cohort(client: Any, config: Path, folder: Path, number: int) -> Store:
    """All journals of the gateway on a cluster, in partitions of a thousand entries."""
    out, settings = Store.open(folder / f"cohort-{number}.db"), load_settings(config)
    replay_cohort(client, folder / "data" / SPOOL_FILE, settings.sensors, Study(), out, most=1000)
    return out


def _in_chunks(
    found: Found, case: Case, processed: dict[Mode, dict[str, list[dict[str, Any]]]], rng: np.random.Generator
) -> None:
    r = read_recording(case.path, case.start_utc_ns)
    timed = TimedBatch(r.t_utc_ns, r.acc_mps2, r.gyr_rps)
    options = case.options("online")
    alignment = align_recording(r, options.mount, options.neutral_s).alignment
    setup = CoreSetup(case.wearer, case.sensor, r.rate_hz, alignment)
    for mode, expected in processed.items():
        mounts = find_mounts(pieces(timed, rng), r.rate_hz, alignment) if mode == "retro" else []
        result = process_recording(pieces(timed, rng), setup, Study(), mode, mounts=mounts)
        found.same(f"{mode} in chunks = process", case, alike(of_records(result.records), expected))


@contextmanager
def clusters(*sizes: int) -> Iterator[list[Any]]:
    """Clients of local clusters, each of so many workers; Dask has no types."""
    distributed: Any = import_module("distributed")
    with ExitStack() as stack:
        clients = []
        for size in sizes:
            cluster = distributed.LocalCluster(n_workers=size, threads_per_worker=1, dashboard_address=":0")
            stack.enter_context(cluster)
            clients.append(stack.enter_context(connect(cluster.scheduler_address)))
        yield clients


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.scale.identity", description=__doc__)
    parser.add_argument("--days", type=int, default=50)
    parser.add_argument(
        "--hours",
        type=float,
        default=0.75,
        help="the longest day; others have 40 %% of it or more; default: %(default)s",
    )
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--reference", type=Path, help="folder of reference recordings, all of which are taken as well")
    parser.add_argument("--json", type=Path, help="also write what was found to this file")
    options = parser.parse_args(arguments)
    folder = Path(tempfile.mkdtemp(prefix="tiltline-identity-"))
    found, began = Found(), time.process_time()
    lasting = np.random.default_rng(options.seed).uniform(0.4, 1.0, options.days) * options.hours
    made = (synthetic(folder, n, float(h), options.seed) for n, h in enumerate(lasting))
    taken = references(options.reference, options.days) if options.reference else []
    with clusters(1, 2) as clients:
        for n, cases in enumerate(_groups(made, taken)):
            check(cases, folder / f"gateway-{n}", clients, options.seed, found)
            shutil.rmtree(folder / f"gateway-{n}")
            print(f"{found.recordings} recordings, {len(found.differences)} differences", file=sys.stderr)
    shutil.rmtree(folder)
    facts = {name: getattr(found, name) for name in Found.__slots__}
    facts |= {"cpu_s": round(time.process_time() - began, 1), "hours": options.hours, "seed": options.seed}
    text = json.dumps(facts, indent=1)
    if options.json:
        options.json.write_text(text)
    print(text)
    return 1 if found.differences else 0


def _groups(made: Iterator[Case], taken: list[Case]) -> Iterator[list[Case]]:
    """Days as they are made, then what is there, as many as share a gateway."""
    for cases in (made, iter(taken)):
        while group := list(islice(cases, TOGETHER)):
            yield group


if __name__ == "__main__":
    sys.exit(main())
