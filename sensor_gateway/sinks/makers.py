"""Who made the records of a store: the versions that computed them, since when, and of a derivation what it is.

A signature lies in the store itself (`store.Store.sign`), so that it travels with the file: `tiltline replay --check` names both
versions where they differ, `--list` and an export's manifest say what a derivation is.
"""

from __future__ import annotations

import platform
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from typing import Any, Final

COMPUTING: Final = ("tiltline", "numpy", "scipy", "vqf")
"""Distributions that decide a digit of a record."""
DERIVED: Final = "derived"
"""Folder in a data folder in which derivations lie, beside the store of the gateway."""


@dataclass(frozen=True, slots=True)
class Maker:
    """From ``since_utc_ns`` on these ``versions`` wrote into the store; ``derivation``: its facts, None for a gateway's own store."""

    since_utc_ns: int
    versions: Mapping[str, str]
    derivation: Mapping[str, Any] | None = None


def installed(*names: str) -> dict[str, str]:
    """Versions of Python and of these distributions, here and now."""
    found = {"python": platform.python_version()}
    for name in names:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = "not installed"
    return found


def differing(a: Mapping[str, str], b: Mapping[str, str]) -> dict[str, tuple[str, str]]:
    """What of `COMPUTING` and Python stands in both with another version; both of them."""
    return {k: (a[k], b[k]) for k in ("python", *COMPUTING) if k in a and k in b and a[k] != b[k]}


def derived_as(makers: Sequence[Maker], wearers: Collection[str], *, hidden: bool) -> dict[str, Any]:
    """What a manifest says of a store that is a derivation, of these ``wearers`` alone; nothing of a gateway's own.

    ``hidden``: neither people nor times.
    """
    facts = makers[-1].derivation if makers else None
    if facts is None:
        return {}
    told = {k: v for k, v in facts.items() if not hidden or k in ("name", "mode", "study")}
    for key in told.keys() & {"alignments", "sensors"}:
        told[key] = [one for one in told[key] if one["wearer"] in wearers]
    return {"derivation": {**told, "versions": dict(makers[-1].versions)}}
