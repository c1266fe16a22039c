"""The study file: one TOML with rules, thresholds, quiet hours, trial, programme and retention; read, checked, written whole.

`processing.rules.study` holds what it means. Retention may stand in it, so that a study travels as one file, but decides no flag: it
is no part of the hash that stands on every flag.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import tomlkit

from processing.coaching.programme import check_programme
from processing.rules.study import Study, study_hash
from sensor_gateway.config import Retention, Settings, check_retention
from sensor_gateway.strict_toml import ConfigError, read_toml, strict_convert

RETENTION: Final = "retention"


def load_study(path: Path | None) -> Study:
    """Read and check a study file; the defaults where there is none."""
    return Study() if path is None else _split(path)[0]


def study_path(settings: Settings, base: Path) -> Path | None:
    """Where the study of a gateway file in folder ``base`` stands; None: it names none."""
    return base / settings.study if settings.study else None


def study_of(settings: Settings, base: Path) -> Study:
    """The study of a gateway file in folder ``base``. Where it names none, the defaults in the site's own time zone: a wearer's
    quiet hours must not be those of UTC because nobody wrote a study.
    """
    path = study_path(settings, base)
    return Study(timezone=settings.site.timezone) if path is None else load_study(path)


def retention_in(path: Path) -> Retention | None:
    """The study file's own [retention]; None: it has none."""
    return _split(path)[1]


def retention_of(settings: Settings, base: Path) -> Retention:
    """How long each kind is kept: as the study file says, or the gateway file; raises `ConfigError` where both do."""
    path = study_path(settings, base)
    told = None if path is None else _split(path)[1]
    if told is None:
        return settings.retention
    if settings.retention != Retention():
        raise ConfigError(f"{path}: table [retention] stands in the gateway file too; keep one of the two")
    return told


def differences(was: Mapping[str, Any], now: Mapping[str, Any], at: str = "") -> Iterator[tuple[str, Any, Any]]:
    """Each key of two studies as plain data that differs, dotted, with both values."""
    for key in dict.fromkeys([*was, *now]):
        a, b, name = was.get(key), now.get(key), f"{at}.{key}".lstrip(".")
        if isinstance(a, Mapping) and isinstance(b, Mapping):
            yield from differences(a, b, name)
        elif a != b:
            yield name, a, b


def as_toml(study: Study, retention: Retention | None = None) -> str:
    """The whole study as a file: every key, in the order of its definition. Reading it back gives the same hash."""
    document = tomlkit.document()
    document.add(
        tomlkit.comment(
            f"Study {study.version!r}, hash {study_hash(study)}. Meaning of the keys: config/study.example.toml."
        )
    )
    plain: dict[str, Any] = dataclasses.asdict(study)
    plain |= {} if retention is None else {RETENTION: dataclasses.asdict(retention)}
    # TOML wants single values before tables.
    for key, value in sorted(plain.items(), key=lambda item: isinstance(item[1], Mapping | tuple)):
        document.add(key, [dict(one) for one in value] if isinstance(value, tuple) else value)
    return tomlkit.dumps(document)


def _split(path: Path) -> tuple[Study, Retention | None]:
    raw = read_toml(path, "start from config/study.example.toml")
    told = raw.pop(RETENTION, None)
    study = strict_convert(raw, Study, str(path))
    try:
        check_programme(study)
    except ValueError as e:
        raise ConfigError(f"{path}: {e}") from None
    if told is None:
        return study, None
    retention = strict_convert({RETENTION: told}, _Kept, str(path)).retention
    check_retention(retention, path)
    return study, retention


@dataclasses.dataclass(frozen=True, slots=True)
class _Kept:
    """The table under its name, so that a refusal names the key as it stands in the file."""

    retention: Retention
