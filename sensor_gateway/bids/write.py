"""Writes a Motion-BIDS data set from a gateway's journal (physical channels) and store (tilt, events); bounded memory."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import IO, Any, Final

import numpy as np

from processing.dictionary import METRIC
from processing.types import NS_PER_S, POSTURE_CODE, Event, Metric, TimedBatch
from sensor_gateway.bids import sidecars
from sensor_gateway.bids.layout import DAY_NS, Session, day_label, iso, label
from sensor_gateway.export.deidentify import AS_IT_IS, Veil
from sensor_gateway.export.manifest import MANIFEST, write_manifest
from sensor_gateway.export.raw import RawStream
from sensor_gateway.export.selection import ExportError, Selection, told
from sensor_gateway.export.tables import json_text
from sensor_gateway.sinks.makers import derived_as
from sensor_gateway.sinks.store import Store
from sensor_gateway.whole_files import FileSet, half_written

NAME: Final = "Pelvic tilt in daily living"
DESCRIPTION: Final = "dataset_description.json"
TOP: Final = ("participants.tsv", "participants.json", "README", ".bidsignore", DESCRIPTION)
"""Files of the data set itself, beside its manifest."""


@dataclass(slots=True)
class _Files:
    """What was begun where: first sample [ns] per file, for events and scan tables; rows per file, for the manifest."""

    whole: FileSet
    starts: dict[Session, dict[PurePosixPath, int]] = field(default_factory=dict)
    rows: dict[str, int] = field(default_factory=dict)

    def begin(self, session: Session, path: PurePosixPath, t_utc_ns: int) -> IO[str]:
        begun = self.starts.setdefault(session, {})
        if path in begun:
            raise ExportError(
                f"two sensors of {session.wearer} have the same letters and digits, which is all that BIDS keeps; give one another id"
            )
        begun[path] = t_utc_ns
        return self.open(path)

    def open(self, path: PurePosixPath) -> IO[str]:
        return self.whole.path(str(path)).open("w", encoding="utf-8", newline="\n")

    def text(self, path: PurePosixPath, text: str) -> None:
        with self.open(path) as f:
            f.write(text)

    def json(self, path: PurePosixPath, content: Any) -> None:
        self.text(path, json.dumps(content, indent=2, ensure_ascii=False) + "\n")


def write_bids(
    root: Path, wearers: Sequence[str], streams: Iterable[RawStream], store: Store | None, span: tuple[int, int],
    progress: Callable[[float], None] | None = None, veil: Veil = AS_IT_IS,
) -> dict[str, int]:  # fmt: skip
    """Write the data set with its manifest into ``root``, which must be new or empty; gives rows by kind. ``veil`` moves days and
    renames ids.

    It appears when it is whole (`FileSet`); what a killed run left goes first.

    Raises `ExportError` where ``root`` holds something, two wearers share a label, or nothing lies in ``span`` (UTC ns).
    """
    drop_half_written(root)
    if root.exists() and any(root.iterdir()):
        raise ExportError(f"{root}: is not empty; a BIDS data set is written whole, so give --out a new folder")
    names = sorted(veil.name("wearer", w) for w in set(wearers))
    alike = [name for name in names if sum(label(name) == label(other) for other in names) > 1]
    if alike:
        raise ExportError(
            f"{', '.join(alike)}: have the same letters and digits, which is all that BIDS keeps; export them apart, or with --remap-ids"
        )
    with FileSet(root) as whole:
        files = _Files(whole)
        rows = _write(files, wearers, streams, store, span, progress, veil)
        _write_top(files, veil)
        written = tuple(kind for kind, count in rows.items() if count)
        content: dict[str, Any] = {
            "kind": "BIDS data set",
            "selection": {**told(Selection(tuple(wearers), *span, written), wearers, veil), "form": "bids"},
        }
        if not veil.is_none:
            content["deidentified"] = veil.facts()
        if store is not None:
            content |= derived_as(store.makers(), wearers, hidden=not veil.is_none)
        write_manifest(whole, content, files.rows)
    return rows


def drop_half_written(root: Path) -> None:
    """What a killed run left, under the names that a data set's files have until they are whole, and folders that held nothing else.

    One that was killed while its files took their names left its whole manifest under such a name: what that names goes too.
    """
    manifest = half_written(root / MANIFEST)
    # Where there is none, or one that is not whole, no file had its name yet.
    with suppress(FileNotFoundError, NotADirectoryError, ValueError):
        for name in json.loads(manifest.read_text(encoding="utf-8"))["outputs"]:
            if (root / name).resolve().is_relative_to(root.resolve()):
                (root / name).unlink(missing_ok=True)
    for path in (*root.glob("sub-*/**/.*.partial"), *(half_written(root / name) for name in (*TOP, MANIFEST))):
        path.unlink(missing_ok=True)
    for folder in sorted((path for path in root.glob("sub-*/**") if path.is_dir()), reverse=True):
        if not any(folder.iterdir()):
            folder.rmdir()


def _write(
    files: _Files, wearers: Sequence[str], streams: Iterable[RawStream], store: Store | None, span: tuple[int, int],
    progress: Callable[[float], None] | None, veil: Veil,
) -> dict[str, int]:  # fmt: skip
    rows = {"raw": 0, "tilt": 0, "events": 0}
    for stream in streams:
        rows["raw"] += _write_raw(files, *_hidden(stream, span, veil))
    for i, wearer in enumerate(wearers):
        if store is not None:
            name = veil.name("wearer", wearer)
            seconds = _seconds(store, wearer, span)
            rows["tilt"] += _write_tilt(
                files, name, ((veil.name("sensor", s), veil.metric(wearer, m)) for s, m in seconds)
            )
            rows["events"] += _write_events(files, name, (veil.event(wearer, e) for e in store.events(wearer, *span)))
        if progress is not None:
            progress((i + 1) / len(wearers))
    if not files.starts:
        raise ExportError("nothing lies in this span; name another --from, --to or --wearer")
    return rows


def _hidden(stream: RawStream, span: tuple[int, int], veil: Veil) -> tuple[RawStream, tuple[int, int]]:
    """The stream under the names and days of the export, and the span there."""
    shift = veil.shift_ns(stream.wearer)
    batches = (TimedBatch(b.t_utc_ns + shift, b.acc_mps2, b.gyr_rps) for b in stream.batches)
    names = veil.name("wearer", stream.wearer), veil.name("sensor", stream.sensor)
    return RawStream(*names, stream.driver, stream.rate_hz, batches), (span[0] + shift, span[1] + shift)


def _write_raw(files: _Files, stream: RawStream, span: tuple[int, int]) -> int:
    system, rows = f"{label(stream.sensor)}raw", 0
    for day, batches in _by_day(stream.batches, span):
        session, first, last, count = Session(stream.wearer, day), 0, 0, 0
        path = session.motion(system, "motion.tsv")
        out: IO[str] | None = None
        for batch in batches:
            if out is None:
                first = int(batch.t_utc_ns[0])
                out = files.begin(session, path, first)
            latency = (batch.t_utc_ns - first) / NS_PER_S
            table = np.column_stack([latency, batch.acc_mps2, batch.gyr_rps])
            np.savetxt(out, table, fmt=["%.6f", *["%.5f"] * 3, *["%.6f"] * 3], delimiter="\t")
            last, count = int(batch.t_utc_ns[-1]), count + len(batch)
        if out is not None:
            out.close()
            effective = (count - 1) * NS_PER_S / (last - first) if last > first else stream.rate_hz
            made = sidecars.motion_json(sidecars.RAW, stream.rate_hz, effective, stream.driver, "inertial sensor, raw")
            files.json(session.motion(system, "motion.json"), made)
            files.text(session.motion(system, "channels.tsv"), sidecars.channels_tsv(sidecars.RAW, stream.rate_hz))
            files.rows[str(path)] = count
        rows += count
    return rows


def _by_day(batches: Iterable[TimedBatch], span: tuple[int, int]) -> Iterator[tuple[str, Iterator[TimedBatch]]]:
    """The samples of each UTC day in turn; a day's iterator must be used up before the next."""
    pieces = _cut(batches, span)
    head = next(pieces, None)
    while head is not None:
        day = int(head.t_utc_ns[0]) // DAY_NS
        rest: list[TimedBatch] = []

        def of_day(day: int = day, head: TimedBatch = head, rest: list[TimedBatch] = rest) -> Iterator[TimedBatch]:
            yield head
            for piece in pieces:
                if int(piece.t_utc_ns[0]) // DAY_NS != day:
                    rest.append(piece)
                    return
                yield piece

        yield day_label(day * DAY_NS), of_day()
        head = rest[0] if rest else None


def _cut(batches: Iterable[TimedBatch], span: tuple[int, int]) -> Iterator[TimedBatch]:
    """Batches within the span, cut at midnight UTC."""
    for batch in batches:
        low, high = np.searchsorted(batch.t_utc_ns, span)
        t = batch.t_utc_ns[low:high]
        edges = np.flatnonzero(np.diff(t // DAY_NS)) + 1
        for a, b in zip([0, *edges.tolist()], [*edges.tolist(), len(t)], strict=True):
            if b > a:
                rows = slice(low + a, low + b)
                yield TimedBatch(batch.t_utc_ns[rows], batch.acc_mps2[rows], batch.gyr_rps[rows])


def _seconds(store: Store, wearer: str, span: tuple[int, int]) -> Iterator[tuple[str, Metric]]:
    """Seconds in time order, each with its sensor."""
    names = ["sensor", *(f.name for f in METRIC)]
    for page in store.columns("metric", wearer, *span):
        for sensor, *cells in zip(*(page[n] for n in names), strict=True):
            yield str(sensor), Metric(*cells)


@dataclass(slots=True)
class _Tilt:
    """The file of one sensor's day, being written."""

    session: Session
    system: str
    first: int
    out: IO[str]
    last: int = 0
    count: int = 0

    @classmethod
    def begin(cls, files: _Files, session: Session, sensor: str, t_utc_ns: int) -> _Tilt:
        system = f"{label(sensor)}tilt"
        return cls(session, system, t_utc_ns, files.begin(session, session.motion(system, "motion.tsv"), t_utc_ns))

    def write(self, m: Metric) -> None:
        numbers = (m.anterior_tilt_deg, m.obliquity_deg, m.tilt_uncertainty_deg)
        cells = [f"{(m.t_utc_ns - self.first) / NS_PER_S:.6f}", *("n/a" if v is None else f"{v:.4f}" for v in numbers)]
        cells += [str(POSTURE_CODE[m.posture]), *(f"{v:.4f}" for v in (m.posture_confidence, m.coverage, m.quality))]
        self.out.write("\t".join(cells) + "\n")
        self.last, self.count = m.t_utc_ns, self.count + 1

    def close(self, files: _Files) -> None:
        self.out.close()
        effective = (self.count - 1) * NS_PER_S / (self.last - self.first) if self.last > self.first else 1.0
        made = sidecars.motion_json(sidecars.TILT, 1.0, effective, "tiltline", "pelvic tilt, derived")
        files.json(self.session.motion(self.system, "motion.json"), made)
        files.text(self.session.motion(self.system, "channels.tsv"), sidecars.channels_tsv(sidecars.TILT, 1.0))
        files.rows[str(self.session.motion(self.system, "motion.tsv"))] = self.count


def _write_tilt(files: _Files, wearer: str, seconds: Iterable[tuple[str, Metric]]) -> int:
    begun: dict[str, _Tilt] = {}
    rows = 0
    for sensor, m in seconds:
        day, one = day_label(m.t_utc_ns), begun.get(sensor)
        if one is None or one.session.day != day:
            if one is not None:
                one.close(files)
            one = begun[sensor] = _Tilt.begin(files, Session(wearer, day), sensor, m.t_utc_ns)
        one.write(m)
        rows += 1
    for one in begun.values():
        one.close(files)
    return rows


def _write_events(files: _Files, wearer: str, events: Iterable[Event]) -> int:
    """Events of days that have a motion file; onsets count from the first sample of the day's files."""
    by_session: dict[Session, list[Event]] = {}
    for event in events:
        session = Session(wearer, day_label(event.t_utc_ns))
        if session in files.starts:
            by_session.setdefault(session, []).append(event)
    for session, held in by_session.items():
        first = min(files.starts[session].values())
        with files.open(session.events("events.tsv")) as out:
            out.write("onset\tduration\ttrial_type\trule\tevent_id\tdata\n")
            for e in held:
                data = json_text({k: v for k, v in e.data.items() if k != "note"}).replace("\t", " ")
                onset = (e.t_utc_ns - first) / NS_PER_S
                out.write(f"{onset:.6f}\t0\t{e.type}\t{e.rule or 'n/a'}\t{e.event_id}\t{data}\n")
        files.json(session.events("events.json"), sidecars.events_json())
        files.rows[str(session.events("events.tsv"))] = len(held)
    return sum(map(len, by_session.values()))


def _write_top(files: _Files, veil: Veil) -> None:
    for session, starts in files.starts.items():
        lines = ["filename\tacq_time"]
        lines += [f"{p.relative_to(session.folder)}\t{iso(t)}" for p, t in sorted(starts.items())]
        files.text(session.scans(), "\n".join(lines) + "\n")
    wearers = sorted({s.wearer for s in files.starts})
    rows = "".join(f"sub-{label(w)}\t{w}\n" for w in wearers)
    files.text(PurePosixPath("participants.tsv"), "participant_id\tpseudonym\n" + rows)
    about = {"pseudonym": {"Description": "The wearer's pseudonym at the gateway."}}
    files.json(PurePosixPath("participants.json"), about)
    files.text(PurePosixPath("README"), sidecars.readme({} if veil.is_none else veil.facts()))
    files.text(PurePosixPath(".bidsignore"), f"{MANIFEST}\n")  # the format knows no such file
    # What makes it a data set comes last.
    files.json(PurePosixPath(DESCRIPTION), sidecars.dataset_json(NAME))
