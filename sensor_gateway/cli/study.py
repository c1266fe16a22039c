"""`tiltline study`: the study as one file that travels: shown, hashed, written out whole, taken in with its differences."""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

from processing.rules.study import study_hash
from sensor_gateway.config import ConfigError, Retention, Settings, load_settings
from sensor_gateway.study_file import as_toml, differences, load_study, retention_in, retention_of, study_of, study_path
from sensor_gateway.whole_files import write_whole


def configure(parser: argparse.ArgumentParser) -> None:
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    one = actions.add_parser("hash", help="the hash of a study file")
    one.add_argument("file", metavar="FILE", type=Path, help="a study file (TOML)")
    out = actions.add_parser("export", help="the gateway's whole study as one file")
    out.add_argument("--out", metavar="FILE", type=Path, help="write there instead of printing")
    take = actions.add_parser(
        "import", help="put a study file in the place of the gateway's; it holds from the next start"
    )
    take.add_argument("file", metavar="FILE", type=Path, help="the study file to take in")
    take.add_argument("--dry-run", action="store_true", help="only check it and show what would change")
    for action in (out, take):
        action.add_argument("--config", type=Path, required=True, help="the gateway's file")
    for action in (one, out, take):
        action.add_argument("--json", action="store_true", help="print for a machine")


def run(args: argparse.Namespace) -> int:
    """Exit status 1 with a sentence where a file cannot be used."""
    try:
        if args.action == "hash":
            study = load_study(args.file)
            found = {"version": study.version, "hash": study_hash(study)}
            print(json.dumps(found) if args.json else f"{found['hash']}  {study.version}")
            return 0
        settings = load_settings(args.config)
        return _export(args, settings) if args.action == "export" else _import(args, settings)
    except ConfigError as e:
        print(f"tiltline study: {e}", file=sys.stderr)
        return 1
    except OSError as e:
        place = e.filename2 or e.filename
        print(f"tiltline study: {place}: cannot be written ({e.strerror}); choose another place", file=sys.stderr)
        return 1


def _export(args: argparse.Namespace, settings: Settings) -> int:
    base = args.config.parent
    study, kept = study_of(settings, base), retention_of(settings, base)
    if args.json:
        print(json.dumps({"hash": study_hash(study), "study": asdict(study), "retention": asdict(kept)}))
    elif args.out is None:
        print(as_toml(study, kept), end="")
    else:
        args.out.write_text(as_toml(study, kept), encoding="utf-8")
        print(f"{args.out}: study {study.version!r}, hash {study_hash(study)}", file=sys.stderr)
    return 0


def _import(args: argparse.Namespace, settings: Settings) -> int:
    base = args.config.parent
    path = study_path(settings, base)
    if path is None:
        raise ConfigError(f"{args.config}: key 'study' is empty; name the file that the study is to be kept in")
    new, kept = load_study(args.file), retention_in(args.file)
    if kept is not None and settings.retention != Retention():
        raise ConfigError(f"{args.file}: table [retention] stands in {args.config} too; keep one of the two")
    there = path.exists()
    old = load_study(path if there else None)
    changes = list(differences(asdict(old), asdict(new)))
    if kept is not None or (there and retention_in(path) is not None):
        before = retention_in(path) if there else None
        changes += differences(asdict(before or Retention()), asdict(kept or Retention()), "retention")
    hashes = study_hash(old), study_hash(new)
    if not args.dry_run and changes:
        _replace(path, as_toml(new, kept), path.with_name(f"{path.stem}.{hashes[0]}{path.suffix}") if there else None)
    if args.json:
        rows = [{"key": key, "from": was, "to": now} for key, was, now in changes]
        print(json.dumps({"from": hashes[0], "to": hashes[1], "changes": rows, "dry_run": args.dry_run}))
        return 0
    for key, was, now in changes:
        print(f"{key:<36} {_short(was)} -> {_short(now)}")
    word = (
        "nothing changes" if not changes else "would change" if args.dry_run else "holds from the gateway's next start"
    )
    print(f"study {hashes[0]} -> {hashes[1]}: {word}")
    return 0


def _replace(path: Path, text: str, copy: Path | None) -> None:
    """Whole or not at all; the study until now stays beside it under its hash, since stored flags name it."""
    if copy is not None:
        copy.write_bytes(path.read_bytes())
    write_whole(path, text.encode(), None if path.exists() else 0o644)


def _short(value: Any) -> str:
    return (
        ", ".join(one["exercise"] for one in value)
        if isinstance(value, tuple | list) and value and isinstance(value[0], dict)
        else str(value)
    )
