"""A file that says how clips really sat, for a replay: `tiltline replay --alignment FILE`, and the template to start from.

Each entry says since when it holds and what holds then. What the file does not name stays as the gateway had it. Reading it
is all that happens here; `replay/resolve_alignments.py` makes alignments of it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from zoneinfo import ZoneInfo

from processing.alignment.history import AlignmentHistory
from processing.alignment.static import AlignmentError, parse_mount
from processing.types import NS_PER_S
from sensor_gateway.alignments.words import at_words
from sensor_gateway.clock import utc_ns_of
from sensor_gateway.strict_toml import ConfigError, read_toml, strict_convert

AUTO: Final = "auto"
GUIDED: Final = ("bows", "tilts")
"""Movements of the guided set-up, as `tiltline process --mount` calls them."""
LONGEST_POSE_S: Final = 60
_HEAD: Final = """\
# How the clips sat, as this gateway holds it. Change what was otherwise, delete what may stay as it was, then:
#   tiltline replay --config gateway.toml --alignment THIS_FILE --diff changes.html
#
# Each [[alignment]] holds until the sensor's next one, of this file or of the gateway.
# Since when:  replaces = "ID"    in the place of that alignment of the gateway (tiltline alignment list WEARER shows them)
#              since = "2026-03-01T08:00:00Z"    from that time on; neither of the two: from the sensor's first sample on
# What holds:  neutral = ["2026-03-01T08:02:10Z", "2026-03-01T08:02:20Z"]    quiet standing that is zero; or "auto": found
#              mount = "up=+x,anterior=-z"    how the clip sat; or "auto": found by walking. May stand beside neutral.
#              mount = "bows", movement = ["FROM", "TO"]    by bows, the first second quiet; or "tilts": by pelvic tilts
#              same_as = "ID"    as in that other alignment: Tuesday's zero for Wednesday
"""


@dataclass(frozen=True, slots=True)
class Stated:
    """One entry, checked as far as the file alone allows. See `_HEAD` for the meaning of the keys."""

    sensor: str
    replaces: str = ""
    since: str = ""
    neutral: tuple[str, str] | str = ""
    mount: str = ""
    movement: tuple[str, str] | None = None
    same_as: str = ""
    note: str = ""

    @property
    def since_utc_ns(self) -> int:
        """From when it holds, by the entry alone; 0: from the first sample."""
        return utc_ns_of(self.since) if self.since else 0

    @property
    def pose_utc_ns(self) -> tuple[int, int] | None:
        """The neutral pose as [from, to), where the entry names one."""
        return _span(self.neutral) if isinstance(self.neutral, tuple) else None

    @property
    def movement_utc_ns(self) -> tuple[int, int] | None:
        """The guided movement as [from, to), where the entry names one."""
        return None if self.movement is None else _span(self.movement)

    def how(self) -> dict[str, Any]:
        """What the person wrote, for a manifest."""
        said = {"replaces": self.replaces, "since": self.since, "neutral": self.neutral, "mount": self.mount,
                "movement": self.movement, "same_as": self.same_as, "note": self.note}  # fmt: skip
        return {key: list(value) if isinstance(value, tuple) else value for key, value in said.items() if value}


@dataclass(frozen=True, slots=True)
class _File:
    alignment: tuple[Stated, ...] = ()


def read_stated(path: Path, sensors: Sequence[str]) -> tuple[Stated, ...]:
    """The entries of a file for a gateway with these sensors; raises `ConfigError` naming entry, key and remedy."""
    entries = strict_convert(
        _with_texts(read_toml(path, "`tiltline replay --alignment-template` prints one")), _File, str(path)
    ).alignment
    if not entries:
        raise ConfigError(f"{path}: has no [[alignment]]; 'tiltline replay --alignment-template' writes those in force")
    for number, entry in enumerate(entries):
        where = f"{path}: alignment[{number}]"
        if entry.sensor not in sensors:
            raise ConfigError(f"{where}: key 'sensor': no sensor {entry.sensor!r}; choose of {', '.join(sensors)}")
        _check(entry, f"{where} ({entry.sensor})")
    return entries


def _check(entry: Stated, where: str) -> None:
    if entry.replaces and entry.since:
        raise ConfigError(f"{where}: keys 'replaces' and 'since' both say from when it holds; leave one out")
    if not (entry.neutral or entry.mount or entry.same_as):
        raise ConfigError(f"{where}: says not how the clip sat; add 'neutral', 'mount' or 'same_as'")
    if entry.same_as and (entry.neutral or entry.mount):
        raise ConfigError(f"{where}: key 'same_as' says all of it; leave out 'neutral' and 'mount', or 'same_as'")
    try:
        if entry.mount and entry.mount not in (AUTO, *GUIDED):
            parse_mount(entry.mount)
    except AlignmentError as e:
        raise ConfigError(f"{where}: key 'mount': {e}") from None
    if (entry.mount in GUIDED) != (entry.movement is not None) or (entry.movement and entry.neutral == AUTO):
        raise ConfigError(
            f'{where}: key \'movement\': ["FROM", "TO"] belongs to mount = "bows" or "tilts", without neutral = "auto"'
        )
    named = {"since": (entry.since,), "movement": entry.movement or ()}
    named |= {"neutral": entry.neutral} if isinstance(entry.neutral, tuple) else {}
    for key, text in ((key, text) for key, texts in named.items() for text in texts):
        try:
            utc_ns_of(text or "1970-01-01")
        except ValueError:
            raise ConfigError(f"{where}: key '{key}': {text!r} is no time; write e.g. 2026-03-01T08:00:00Z") from None
    for key, span in (("neutral", entry.pose_utc_ns), ("movement", entry.movement_utc_ns)):
        if span is not None and not 0 < span[1] - span[0] <= LONGEST_POSE_S * NS_PER_S:
            raise ConfigError(f"{where}: key '{key}': it must begin before it ends and last a minute at most")
    if isinstance(entry.neutral, str) and entry.neutral not in ("", AUTO):
        raise ConfigError(
            f'{where}: key \'neutral\': {entry.neutral!r} is not understood; write ["FROM", "TO"], two times, or "auto"'
        )


def template(histories: Mapping[str, AlignmentHistory], zone: ZoneInfo) -> str:
    """A file that changes nothing: each sensor's alignments as the gateway had them, to be edited."""
    parts = [_HEAD]
    for sensor, history in histories.items():
        if not history.entries:
            parts.append(f"# {sensor}: nothing is known yet")
        for entry in sorted(history.entries, key=lambda e: e.alignment.t_utc_ns):
            a = entry.alignment
            zero = "zero at the neutral pose" if a.has_neutral else "no neutral pose"
            parts.append(
                f"# {at_words(a.t_utc_ns, zone)} {zone.key}: {zero}, ± {a.uncertainty_deg:.1f} deg, {entry.note}\n"
                f'[[alignment]]\nsensor = "{sensor}"\nreplaces = "{a.id}"\nsame_as = "{a.id}"'
            )
    return "\n\n".join(parts) + "\n"


def _with_texts(raw: dict[str, Any]) -> dict[str, Any]:
    """TOML's own times, written without quotation marks, as the texts they stand for."""

    def text(value: Any) -> Any:
        if isinstance(value, dict):
            return {k: text(v) for k, v in value.items()}
        if isinstance(value, list):
            return [text(v) for v in value]
        return value.isoformat() if hasattr(value, "isoformat") else value

    out: dict[str, Any] = text(raw)
    return out


def _span(texts: tuple[str, str]) -> tuple[int, int]:
    return utc_ns_of(texts[0]), utc_ns_of(texts[1])
