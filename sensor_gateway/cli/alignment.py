"""`tiltline alignment`: a wearer's alignments, the therapist's offsets, and corrections of the past."""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Final
from zoneinfo import ZoneInfo

from processing.alignment.history import aged_uncertainty_deg
from processing.alignment.offset import METHOD_DEG, PelvicOffset
from processing.alignment.static import AlignmentError
from processing.types import NS_PER_S
from sensor_gateway.alignments.history import WearerHistory, as_rows, read_history
from sensor_gateway.alignments.notes import (
    Correction,
    NotesError,
    append,
    corrections_of,
    offset_at,
    offset_note,
    plain,
    read_notes,
)
from sensor_gateway.alignments.words import at_words, offset_words, row_words, zero_words
from sensor_gateway.cli.progress import Progress
from sensor_gateway.cli.times import utc_ns
from sensor_gateway.clock import SystemClock
from sensor_gateway.config import ConfigError, Settings, load_settings
from sensor_gateway.replay.correct_alignment import CorrectionError, derive_beside, with_mount, with_pose
from sensor_gateway.replay.derivation import check_name, derived_path
from sensor_gateway.replay.rederive import ReplayError, SpoolReader
from sensor_gateway.sinks.store import Store, StoreError
from sensor_gateway.spool.block import BlockError
from sensor_gateway.status.status import SPOOL_FILE, STORE_FILE
from sensor_gateway.study_file import study_of

_TEXT: Final = """\
Where zero lies, since when, and how sure that is. Nothing is ever rewritten: offsets and corrections are notes with a version,
and a correction derives the same days anew into a store of its own, beside the original.
"""


@dataclass(frozen=True, slots=True)
class _Place:
    """Where the gateway keeps its data, and its settings where a configuration was named."""

    folder: Path
    zone: ZoneInfo
    settings: Settings | None
    base: Path


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the sub-commands."""
    parser.description = _TEXT
    sub = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    place = argparse.ArgumentParser(add_help=False)
    where = place.add_mutually_exclusive_group(required=True)
    where.add_argument("--config", type=Path, help="the gateway's file: its data folder and time zone are used")
    where.add_argument("--data", type=Path, help="the gateway's data folder itself")
    place.add_argument("--json", action="store_true", help="print for a machine")

    text = "the history: alignments, moved clips, refusals, offsets, corrections"
    listing = sub.add_parser("list", help=text, description=text, parents=[place])
    listing.add_argument("wearer", metavar="WEARER", help="pseudonym of the wearer, e.g. w-001")
    listing.add_argument("--at", type=utc_ns, metavar="ISO8601", help="only what was in force at this time")
    listing.add_argument("--as-of", type=utc_ns, metavar="ISO8601", help="with --at: as it was believed at that time")

    text = "one alignment or offset in full"
    show = sub.add_parser("show", help=text, description=text, parents=[place])
    show.add_argument("id", metavar="ID", help="alignment id, or version of a note")

    text = "enter the angle between ASIS and PSIS in the neutral pose, measured by a therapist"
    offset = sub.add_parser(
        "offset", help=text, description=f"{text}. For display only: no rule uses it.", parents=[place]
    )
    offset.add_argument("wearer", metavar="WEARER", help="pseudonym of the wearer, e.g. w-001")
    offset.add_argument("angle_deg", metavar="DEGREES", type=float, help="+ = ASIS lower than PSIS (anterior tilt)")
    offset.add_argument(
        "--method", required=True, choices=tuple(METHOD_DEG), help="how it was measured; says how sure it is"
    )
    offset.add_argument("--rater", required=True, help="who measured: a pseudonym, e.g. th-03")
    offset.add_argument("--date", help="when; a day counts from its midnight at the site (default: now)")
    offset.add_argument(
        "--uncertainty", type=float, metavar="DEGREES", help="standard deviation (default: the method's)"
    )
    offset.add_argument("--note", default="", help="why, for a person; no names")

    text = "put another pose or mount in the place of a past alignment and derive everything anew beside the original"
    correct = sub.add_parser("correct", help=text, description=text, parents=[place])
    correct.add_argument("id", metavar="ID", help="the alignment, as 'list' shows it")
    by = correct.add_mutually_exclusive_group(required=True)
    by.add_argument(
        "--neutral-at", nargs=2, type=utc_ns, metavar=("FROM", "TO"), help="quiet standing that is to be zero"
    )
    by.add_argument("--mount", metavar="AXES", help="how the clip really sat, e.g. up=+x,anterior=-z")
    correct.add_argument("--name", help="name of the derivation (default: SENSOR-vVERSION)")
    correct.add_argument("--note", default="", help="why, for a person; no names")


def run(args: argparse.Namespace) -> int:
    """Exit status 1 with a sentence where something cannot be read, found or entered."""
    try:
        place = _place(args)
        done: int = {"list": _list, "show": _show, "offset": _offset, "correct": _correct}[args.action](args, place)
    except (ConfigError, StoreError, NotesError, CorrectionError, ReplayError, AlignmentError, BlockError) as e:
        print(f"tiltline alignment: {e}", file=sys.stderr)
        return 1
    except BrokenPipeError:
        raise
    except OSError as e:
        print(f"tiltline alignment: {e.filename}: {e.strerror or e}; check the folder and its space", file=sys.stderr)
        return 1
    return done


def _place(args: argparse.Namespace) -> _Place:
    if args.config is None:
        return _Place(args.data, ZoneInfo("UTC"), None, args.data)
    settings = load_settings(args.config)
    base = args.config.parent
    return _Place(base / settings.site.data_dir, ZoneInfo(settings.site.timezone), settings, base)


def _histories(place: _Place, wearer: str | None = None) -> list[WearerHistory]:
    store = Store.open(place.folder / STORE_FILE, readonly=True)
    try:
        known = store.wearers()
        if wearer is not None and wearer not in known:
            raise StoreError(f"{store.path}: has no wearer {wearer!r}; it knows {', '.join(known) or 'nobody yet'}")
        notes = read_notes(place.folder)
        return [read_history(store, w, notes) for w in known if wearer in (None, w)]
    finally:
        store.close()


def _list(args: argparse.Namespace, place: _Place) -> int:
    (history,) = _histories(place, args.wearer)
    if args.at is not None:
        return _list_at(args, history)
    rows = as_rows(history, SystemClock().utc_ns())
    if args.json:
        print(json.dumps({"wearer": args.wearer, "rows": rows}, ensure_ascii=False))
    else:
        print(
            "\n".join(row_words(r, place.zone) for r in rows) or f"nothing is known of {args.wearer}'s alignments yet"
        )
    return 0


def _list_at(args: argparse.Namespace, history: WearerHistory) -> int:
    rows: list[dict[str, Any]] = []
    for sensor in history.sensors:
        entry = history.of_sensor(sensor).in_force(args.at, args.as_of)
        if entry is not None:
            a = entry.alignment
            rows.append({
                "sensor": sensor, "version": entry.version, "id": a.id, "method": a.method, "mount_id": a.mount_id,
                "has_neutral": a.has_neutral, "since_utc_ns": a.t_utc_ns, "uncertainty_deg": a.uncertainty_deg,
                "uncertainty_then_deg": aged_uncertainty_deg(a, args.at), "why": entry.note,
            })  # fmt: skip
    offset = offset_at(list(history.notes), history.wearer, args.at, args.as_of)
    if args.json:
        said = None if offset is None else plain(offset) | {"sigma_deg": offset.offset.sigma_deg}
        print(json.dumps({"wearer": args.wearer, "in_force": rows, "offset": said}, ensure_ascii=False))
        return 0
    for r in rows:
        print(
            f"{r['sensor']}: {r['id']} ({r['why']}), {zero_words(r)}, ± {r['uncertainty_deg']:.1f} deg then, "
            f"± {r['uncertainty_then_deg']:.1f} deg with its age"
        )
    print("no alignment was in force" if not rows else offset_words(offset))
    return 0


def _show(args: argparse.Namespace, place: _Place) -> int:
    if args.id.isdigit():
        rows = [plain(n) for n in read_notes(place.folder) if n.version == int(args.id)]
    else:
        now = SystemClock().utc_ns()
        rows = [r for h in _histories(place) for r in as_rows(h, now) if r.get("id") == args.id]
    if not rows:
        raise NotesError(f"no alignment or note {args.id!r}; 'tiltline alignment list WEARER' shows them")
    if args.json:
        print(json.dumps(rows[0], ensure_ascii=False))
        return 0
    for key, value in rows[0].items():
        print(f"{key:24} {at_words(value, place.zone) if key.endswith('_utc_ns') and value is not None else value}")
    return 0


def _offset(args: argparse.Namespace, place: _Place) -> int:
    now = SystemClock().utc_ns()
    when = now if args.date is None else _date(args.date, place.zone)
    if when > now:
        raise NotesError(f"--date {args.date} lies in the future; enter the day of the measurement")
    try:
        offset = PelvicOffset(args.angle_deg, args.method, args.rater, when, args.uncertainty)
    except ValueError as e:
        raise NotesError(str(e)) from None
    if place.settings is not None:
        known = {s.wearer for s in place.settings.sensors}
        if args.wearer not in known:
            raise NotesError(
                f"no sensor is bound to wearer {args.wearer!r}; the configuration has {', '.join(sorted(known))}"
            )
    elif not place.folder.is_dir():
        raise NotesError(f"{place.folder}: no such folder; give --data the gateway's data folder")
    note = append(place.folder, lambda version: offset_note(version, now, args.wearer, offset, args.note))
    print(
        json.dumps(plain(note))
        if args.json
        else f"note {note.version}: {offset_words(note)}, from {at_words(when, place.zone)}"
    )
    return 0


def _date(text: str, zone: ZoneInfo) -> int:
    """A day from its midnight at the site, or an instant; without an offset it is the site's time."""
    try:
        when = datetime.fromisoformat(text)
    except ValueError:
        raise NotesError(f"--date {text!r} is no date; write e.g. 2026-03-01 or 2026-03-01T08:00:00Z") from None
    when = when if when.tzinfo else when.replace(tzinfo=zone)
    epoch = datetime(1970, 1, 1, tzinfo=ZoneInfo("UTC"))
    return (when - epoch) // timedelta(microseconds=1) * 1000


def _correct(args: argparse.Namespace, place: _Place) -> int:
    if place.settings is None:
        raise ConfigError("correcting derives everything anew and needs the gateway's file; give --config")
    found = [(h, s, e) for h in _histories(place) for s in h.sensors for e in h.of_sensor(s).entries if e.alignment.id == args.id]  # fmt: skip
    if not found:
        raise NotesError(f"no alignment {args.id!r}; 'tiltline alignment list WEARER' shows them")
    history, sensor_id, entry = found[0]
    sensor = next((s for s in place.settings.sensors if s.id == sensor_id), None)
    if sensor is None:
        raise ConfigError(f"{args.config}: has no sensor {sensor_id!r} any more; add it to derive its journal")
    if args.name is not None and (taken := derived_path(place.folder, check_name(args.name, place.settings))).exists():
        raise CorrectionError(f"{taken}: exists; give --name another name")
    study = study_of(place.settings, place.base)
    spool = SpoolReader(place.folder / SPOOL_FILE)
    try:
        if args.mount is not None:
            alignment, how = with_mount(entry.alignment, args.mount), {"mount": args.mount}
        else:
            if not 0 < args.neutral_at[1] - args.neutral_at[0] <= 60 * NS_PER_S:
                raise CorrectionError(
                    "--neutral-at FROM TO: the pose must begin before it ends and last a minute at most"
                )
            with Progress(f"{sensor_id}: reading the pose") as progress:
                corrections = corrections_of(read_notes(place.folder), sensor_id)
                alignment = with_pose(
                    spool, sensor, study, entry.alignment, tuple(args.neutral_at), corrections, progress
                )
            how = {"neutral_from_utc_ns": args.neutral_at[0], "neutral_to_utc_ns": args.neutral_at[1]}
        now = SystemClock().utc_ns()
        note = append(
            place.folder,
            lambda v: Correction(v, now, history.wearer, sensor_id, entry.alignment.id, alignment, how, args.note),
        )
        with Progress(f"{sensor_id}: deriving") as progress:
            path, replayed = derive_beside(
                place.folder, spool, sensor, study, read_notes(place.folder), place.settings, args.name, progress
            )
    finally:
        spool.close()
    if args.json:
        said = {
            "note": plain(note),
            "store": str(path),
            "records": replayed.records,
            "came_into_force": replayed.corrected,
        }
        print(json.dumps(said))
    else:
        print(f"note {note.version}: {alignment.id} in the place of {entry.alignment.id}; derived into {path}")
        print(f"  look at it: tiltline web --store {path}   or export it: tiltline export --store {path} --out DIR")
    if not replayed.corrected:
        print(
            "tiltline alignment: warning: no correction came into force; the journal may begin later", file=sys.stderr
        )
    return 0
