"""TOML to frozen dataclasses, strictly: an unknown key, a wrong type or an unreadable file is a sentence with its remedy."""

from __future__ import annotations

import dataclasses
import difflib
import tomllib
import types
import typing
from pathlib import Path
from typing import Any, TypeVar

import msgspec

T = TypeVar("T")


class ConfigError(ValueError):
    """A setting that cannot be used; the text names the file, the key and the remedy."""


def strict_convert(raw: object, kind: type[T], where: str) -> T:
    """Plain data to a dataclass; raises `ConfigError` naming the first unknown key or wrong type."""
    _refuse_unknown_keys(raw, kind, where, "")
    try:
        return msgspec.convert(raw, kind)
    except msgspec.ValidationError as e:
        what, _, path = str(e).partition(" - at `$")
        key = f"key '{path.strip('.`')}': " if path else ""
        raise ConfigError(f"{where}: {key}{what[:1].lower()}{what[1:]}; see the example files in config/") from None


def _refuse_unknown_keys(raw: object, kind: Any, where: str, path: str) -> None:
    origin, args = typing.get_origin(kind), typing.get_args(kind)
    if origin in (types.UnionType, typing.Union):
        for arg in args:
            if dataclasses.is_dataclass(arg):
                _refuse_unknown_keys(raw, arg, where, path)
    elif origin in (tuple, list) and isinstance(raw, list):
        for i, item in enumerate(raw):
            _refuse_unknown_keys(item, args[0], where, f"{path}[{i}]")
    elif dataclasses.is_dataclass(kind) and isinstance(raw, dict):
        hints = typing.get_type_hints(kind)
        for key, value in raw.items():
            name = f"{path}.{key}".lstrip(".")
            if key not in hints:
                close = difflib.get_close_matches(key, hints, 1)
                hint = f"did you mean '{close[0]}'?" if close else f"known keys: {', '.join(sorted(hints))}"
                raise ConfigError(f"{where}: unknown key '{name}'; {hint}")
            _refuse_unknown_keys(value, hints[key], where, name)


def read_toml(path: Path, remedy: str = "check the path") -> dict[str, Any]:
    """The file's content; raises `ConfigError` where it is absent (with this ``remedy``), cannot be read or is not TOML."""
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ConfigError(f"{path}: no such file; {remedy}") from None
    except IsADirectoryError:
        raise ConfigError(f"{path}: is a folder; name the file in it") from None
    except OSError as e:
        raise ConfigError(f"{path}: cannot be read ({e.strerror}); run this as the user whose file it is") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as e:
        raise ConfigError(f"{path}: not valid TOML: {e}") from None
