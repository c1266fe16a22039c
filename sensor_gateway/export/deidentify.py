"""De-identified exports: days moved and ids renamed on the way from store or journal to the files; the store stays as it is.

Everything follows from one random secret that is forgotten when the export ends, unless a key file was asked for. Ids that
are hashes of a time (events, mounts, alignments, baseline versions) could be guessed back day by day, so they are renamed
in any case. What a person typed (notes) is left out: nobody can know what stands in it.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import os
import re
import secrets
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, timedelta
from pathlib import Path
from typing import Any, Final, Literal

from processing.types import Event, Metric
from sensor_gateway.export.tables import json_text, replaced, whole

Shift = int | Literal["random"] | None

_DAY_NS: Final = 86_400_000_000_000
_LEAST_DAYS, _MOST_DAYS = 366, 3650
"""A random shift goes one to ten years back: no day of a study of up to a year stays one of its days."""
_TIME_NS: Final = 10**18  # no count or angle in an event comes near; every instant after 2001 lies above
_UNITS: Final = (("_ms", 10**12, 86_400_000), ("_s", 10**9, 86_400), ("k", 10**8, 8_640))
"""Ends of keys whose large values are instants as well: milliseconds, seconds, epochs of ten seconds; units in a day."""
_DATE: Final = re.compile(r"(?<!\d)(\d{4}-\d\d-\d\d)(?!\d)")
_VERSION: Final = re.compile(r"(\d{4}-\d\d-\d\d)\.([0-9a-f]{8})")
_HASH: Final = re.compile(r"(?<![0-9a-zA-Z])[0-9a-f]{16}(?![0-9a-zA-Z])")
_WORN: Final = {"mount_id": "mount", "alignment_id": "alignment", "of": "alignment"}
_PEOPLE: Final = {"wearer": "p", "sensor": "clip", "rater": "person", "editor": "person"}
_FREE_TEXT: Final = "note"
_KEPT: Final = ("study_hash", "study_version", "rule")


class KeyFileError(ValueError):
    """A key file that cannot be used; the text names it and the remedy."""


@dataclass(frozen=True, slots=True)
class Veil:
    """How one export is de-identified; `none` changes nothing. ``known`` are ids to be found inside texts as well."""

    shift: Shift = None
    remap_ids: bool = False
    secret: str = ""
    known: Mapping[str, str] | None = None

    @property
    def is_none(self) -> bool:
        return self.shift is None and not self.remap_ids

    def shift_ns(self, wearer: str) -> int:
        """What is added to every time of this wearer [ns]."""
        return self._days(wearer) * _DAY_NS

    def name(self, kind: str, old: str) -> str:
        """The name that stands for a ``wearer``, ``sensor``, ``rater`` or ``editor``."""
        return (
            f"{_PEOPLE[kind]}-{self._digest(kind if kind in {'wearer', 'sensor'} else 'person', old)[:8]}"
            if self.remap_ids
            else old
        )

    def mark(self) -> str:
        """The same for exports under one key and with the same options, and nothing that undoes them."""
        return self._digest("mark", f"{self.shift} {self.remap_ids}")[:16]

    def word(self, text: str) -> str:
        """A text that only has to differ where ``text`` does, such that it tells nothing of it."""
        return text if self.is_none else self._digest("word", text)[:16]

    def columns(self, wearer: str, page: Mapping[str, Sequence[Any]]) -> dict[str, Any]:
        """A page of the store (`Store.columns`, or Arrow arrays) or a table made of one, veiled."""
        if self.is_none:
            return dict(page)
        found: dict[str, Any] = dict(page)
        found["t_utc_ns"] = whole(page["t_utc_ns"]) + self.shift_ns(wearer)
        found["sensor"] = replaced(page["sensor"], lambda old: self.name("sensor", old))
        if "event_id" in page:
            found["event_id"] = [self._digest("event", str(i))[:16] for i in page["event_id"]]
            found["data"] = [json_text(self.data(wearer, json.loads(str(text)))) for text in page["data"]]
        return found

    def metric(self, wearer: str, metric: Metric) -> Metric:
        """A second with its time moved."""
        return metric if self.shift is None else replace(metric, t_utc_ns=metric.t_utc_ns + self.shift_ns(wearer))

    def event(self, wearer: str, event: Event) -> Event:
        """An event with its times moved and its ids renamed."""
        if self.is_none:
            return event
        id_ = self._digest("event", event.event_id)[:16]
        return Event(event.t_utc_ns + self.shift_ns(wearer), id_, event.type, event.rule, self.data(wearer, event.data))

    def data(self, wearer: str, data: Mapping[str, Any]) -> dict[str, Any]:
        """An event's data (or a note) with its times moved and its ids renamed, at any depth."""
        return {key: self._value(wearer, key, value) for key, value in data.items()}

    def facts(self) -> dict[str, Any]:
        """What the manifest says: what was done, and nothing that undoes it."""
        days = "one shift for each wearer" if self.shift == "random" else "the same shift for all wearers"
        return {
            "dates": "as measured"
            if self.shift is None
            else f"moved by whole days, {days}; intervals and time of day (UTC) kept",
            "ids": "of wearers, sensors and people renamed"
            if self.remap_ids
            else "of wearers and sensors as in the store",
            "hashed_ids": "of events, mounts, alignments and baseline versions renamed; references among them kept",
            "notes": "left out",
            "recorded_here": "neither shifts nor the mapping of ids",
        }

    def _days(self, wearer: str) -> int:
        if self.shift == "random":
            return -(_LEAST_DAYS + int(self._digest("shift", wearer)[:12], 16) % (_MOST_DAYS - _LEAST_DAYS + 1))
        return self.shift or 0

    def _digest(self, kind: str, old: str) -> str:
        return hmac.new(bytes.fromhex(self.secret), f"{kind}|{old}".encode(), hashlib.sha256).hexdigest()

    def _value(self, wearer: str, key: str, value: Any) -> Any:
        if isinstance(value, Mapping):
            return {k: self._value(wearer, k, v) for k, v in value.items()}
        if isinstance(value, list):
            return [self._value(wearer, key, v) for v in value]
        if isinstance(value, bool) or value is None:
            return value
        if isinstance(value, int):
            return value + self._days(wearer) * _units_a_day(key, value)
        if isinstance(value, str):
            return self._text(wearer, key, value)
        return value

    def _text(self, wearer: str, key: str, text: str) -> str | None:
        if key == _FREE_TEXT:
            return None
        if key in _KEPT:
            return text
        if key in _PEOPLE:
            return self.name(key, text)
        if key in _WORN:
            return f"{_WORN[key]}-{self._digest(_WORN[key], text)[:8]}"
        text = _VERSION.sub(lambda m: f"{m[1]}.{self._digest('version', m[0])[:8]}", text)
        text = _HASH.sub(lambda m: self._digest("event", m[0])[:16], text)
        text = _DATE.sub(lambda m: self._date(wearer, m[1]), text)
        if self.remap_ids and self.known:
            for old in sorted(self.known, key=len, reverse=True):
                text = re.sub(rf"(?<![\w-]){re.escape(old)}(?![\w-])", self.name(self.known[old], old), text)
        return text

    def _date(self, wearer: str, text: str) -> str:
        try:
            return str(date.fromisoformat(text) + timedelta(days=self._days(wearer)))
        except ValueError:  # digits that only look like a day
            return text


AS_IT_IS: Final = Veil()
"""Nothing is moved or renamed."""


def veil(shift: Shift, remap_ids: bool, known: Mapping[str, str], key: Path | None = None) -> Veil:
    """A veil for one export. ``known``: ids of wearers and sensors with their kind ("wearer", "sensor").

    With ``key`` the secret of that file is used, or a new one written there (0600): exports under one key fit together, and
    whoever has it can undo them. Raises `KeyFileError`, ``OSError``.
    """
    new = Veil(shift, remap_ids, secrets.token_hex(32), known)
    if key is None or new.is_none:
        return new
    if not key.exists():
        wearers = [i for i, kind in known.items() if kind == "wearer"]
        _write_key(key, new, wearers)
        return new
    return Veil(shift, remap_ids, _read_key(key, new), known)


def _read_key(path: Path, asked: Veil) -> str:
    if path.stat().st_mode & 0o077:
        raise KeyFileError(f"{path}: others may read this key; run chmod 600 on it")
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        shift, remap, secret = content["shift_days"], content["remap_ids"], content["secret"]
        bytes.fromhex(secret)
    except (ValueError, KeyError, TypeError) as e:
        raise KeyFileError(f"{path}: is no key of an export ({e}); name another file") from None
    if (shift, remap) != (asked.shift, asked.remap_ids):
        raise KeyFileError(f"{path}: was made with --shift-days {shift}, --remap-ids {remap}; use the same options")
    return str(secret)


def _write_key(path: Path, used: Veil, wearers: Iterable[str]) -> None:
    content = {
        "v": 1,
        "shift_days": used.shift,
        "remap_ids": used.remap_ids,
        "secret": used.secret,
        "wearers": {w: {"id": used.name("wearer", w), "days": used.shift_ns(w) // _DAY_NS} for w in wearers},
    }
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
        json.dump(content, file, indent=2)
        file.write("\n")
        file.flush()
        os.fsync(file.fileno())


def _units_a_day(key: str, value: int) -> int:
    if value >= _TIME_NS:
        return _DAY_NS
    for end, least, units in _UNITS:
        if value >= least and (key == end or key.endswith(end if end[0] == "_" else f"_{end}")):
            return units
    return 0
