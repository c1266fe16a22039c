"""The report of `tiltline replay --diff`: what was derived and how, then what that changed; as a page, as JSON or as plain lines."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from html import escape
from pathlib import Path
from typing import Any, Final

from processing.types import NS_PER_S
from sensor_gateway.alignments.changes import AlignmentChange
from sensor_gateway.replay.check import words
from sensor_gateway.replay.derivation import Listed
from sensor_gateway.replay.diff import KindDiff, WearerDiff
from sensor_gateway.report.page import style
from sensor_gateway.sinks.makers import Maker

FORMS: Final = (".html", ".json", ".txt")
_SHOWN: Final = 40
"""Longer lists of flags stay folded until somebody opens them."""


@dataclass(frozen=True, slots=True)
class Head:
    """What is compared: the signed derivation, who stored the records, the gateway's study, and other alignments in force."""

    maker: Maker
    stored: Sequence[Maker]
    study_hash: str
    alignments: Sequence[AlignmentChange] = ()

    @property
    def derivation(self) -> Mapping[str, Any]:
        return self.maker.derivation or {}

    def facts(self) -> list[tuple[str, str, str]]:
        """Rows of what, stored, derived."""
        d = self.derivation
        given = [
            f"{key} {', '.join(value) if isinstance(value, list) else value}"
            for key, value in d["options"].items()
            if value and key != "mode"
        ]
        before = ", ".join(dict.fromkeys(words(m.versions) for m in self.stored)) or "a version not noted"
        return [
            ("version", before, words(self.maker.versions)),
            ("study", self.study_hash, d["study"]["hash"]),
            ("mode", "live", d["mode"]),
            ("options", "", ", ".join(given) or "none"),
        ]

    @property
    def title(self) -> str:
        return f"What the replay {self.derivation['name']!r} changed"

    @property
    def lead(self) -> str:
        d = self.derivation
        return f"Site {d['site']}, gateway {d['gateway']}, derived at {at(self.maker.since_utc_ns)}."


def totals(found: Mapping[str, WearerDiff]) -> dict[str, int]:
    """The report in a line of numbers."""
    kinds = [d for of in found.values() for d in of.kinds.values()]
    flags = [f.gained for of in found.values() for f in of.flags]
    counts = {name: sum(getattr(d, name) for d in kinds) for name in ("equal", "changed", "added", "removed")}
    return {**counts, "flags_gained": flags.count(True), "flags_lost": flags.count(False)}


def write(path: Path, found: Mapping[str, WearerDiff], head: Head) -> None:
    """Write the report in the form that the file's name asks for (`FORMS`). Raises ``OSError``."""
    form = {".json": _json, ".txt": _text, ".html": page}[path.suffix]
    path.write_text(form(found, head), encoding="utf-8", newline="\n")


def _json(found: Mapping[str, WearerDiff], head: Head) -> str:
    d = head.derivation
    plain = {
        "derivation": {"made_utc_ns": head.maker.since_utc_ns, "versions": head.maker.versions, **d},
        "stored_by": [{"since_utc_ns": m.since_utc_ns, "versions": m.versions} for m in head.stored],
        "study_hash": {"stored": head.study_hash, "derived": d["study"]["hash"]},
        "study_changes": d["study_changes"],
        "alignment_changes": [asdict(a) for a in head.alignments],
        "wearers": {wearer: asdict(of) for wearer, of in found.items()},
    }
    return json.dumps(plain, indent=2, ensure_ascii=False) + "\n"


def _text(found: Mapping[str, WearerDiff], head: Head) -> str:
    return "\n".join(lines(found, head)) + "\n"


def lines(found: Mapping[str, WearerDiff], head: Head) -> list[str]:
    """The report for a person, a line each."""
    out = [head.title, head.lead]
    out += [f"  {what}: {was + ' -> ' if was else ''}{now}" for what, was, now in head.facts()]
    out += [f"  {c['key']}: {c['from']} -> {c['to']}" for c in head.derivation["study_changes"]]
    out += [f"  {a.wearer} {a.sensor}: {_alignment_words(a)}" for a in head.alignments]
    for wearer, of in found.items():
        out.append(f"{wearer}")
        for kind, d in of.kinds.items():
            where = f", from {at(d.first_utc_ns)} to {at(d.last_utc_ns)}" if d.first_utc_ns is not None else ""
            out.append(f"  {kind}: {d.equal} equal, {d.changed} changed, {d.added} added, {d.removed} removed{where}")
            for column, c in sorted(d.columns.items()):
                size = "" if c.largest is None else f", the largest by {c.largest:+.6g} at {at(c.at_utc_ns)}"
                out.append(f"    {column}: {c.rows} rows{size}")
            out += [f"    {t}: {added} added, {removed} removed" for t, (added, removed) in sorted(d.types.items())]
        gained = sum(f.gained for f in of.flags)
        out.append(f"  flags: {gained} gained, {len(of.flags) - gained} lost")
        out += [f"    {'+' if f.gained else '-'} {at(f.t_utc_ns)} {f.sensor} {f.rule}: {f.text}" for f in of.flags]
    return out


def page(found: Mapping[str, WearerDiff], head: Head) -> str:
    """The report as one page that needs nothing else."""
    n = totals(found)
    tiles = "".join(
        f"<li><b>{n[key]:,}</b><span>{text}</span></li>"
        for key, text in (
            ("equal", "records equal"), ("changed", "changed"), ("added", "added"), ("removed", "removed"),
            ("flags_gained", "flags gained"), ("flags_lost", "flags lost"),
        )
    )  # fmt: skip
    body = [
        f'<ul class="tiles">{tiles}</ul>',
        _section("What was derived", _table(("", "stored", "derived"), head.facts())),
    ]
    changes = [(c["key"], _short(c["from"]), _short(c["to"])) for c in head.derivation["study_changes"]]
    if changes:
        body.append(_section("Study", _table(("key", "stored", "derived"), changes, folds=True)))
    if head.alignments:
        body.append(_section("How the clips sat", _alignment_table(head.alignments)))
    body += [_wearer(wearer, of) for wearer, of in found.items()]
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width,initial-scale=1">'
        f"<title>{escape(head.title)}</title><style>{style()}</style></head><body><header><h1>{escape(head.title)}</h1>"
        f'<p class="lead">{escape(head.lead)}</p></header><main>{"".join(body)}</main>'
        "<footer><p>Times are UTC. Flags are matched by rule and time. These are measurements, not a diagnosis.</p></footer>"
        "</body></html>\n"
    )


def _wearer(wearer: str, of: WearerDiff) -> str:
    kinds = [
        (k, d.equal, d.changed, d.added, d.removed, at(d.first_utc_ns), at(d.last_utc_ns)) for k, d in of.kinds.items()
    ]
    heads = ("records", "equal", "changed", "added", "removed", "first difference", "last")
    parts = [_section(f"{wearer}: records", _table(heads, kinds))]
    columns = [row for kind, d in of.kinds.items() for row in _columns(kind, d)]
    if columns:
        parts.append(_section(f"{wearer}: values", _table(("value", "rows changed", "largest change", "at"), columns)))
    types = [(t, added, removed) for d in of.kinds.values() for t, (added, removed) in sorted(d.types.items())]
    if types:
        parts.append(_section(f"{wearer}: events", _table(("type", "added", "removed"), types)))
    if of.flags:
        items = "".join(
            f'<li><span class="when">{at(f.t_utc_ns)}</span><b>{"gained" if f.gained else "lost"}</b> '
            f"{escape(f'{f.rule} ({f.sensor}): {f.text}')}</li>"
            for f in of.flags
        )
        opened, number = " open" if len(of.flags) <= _SHOWN else "", len(of.flags)
        count = f"{number} flag{'s' * (number != 1)} gained or lost"
        folded = f"<details{opened}><summary>{count}</summary><ul>{items}</ul></details>"
        parts.append(_section(f"{wearer}: flags", folded))
    return "".join(parts)


def _columns(kind: str, d: KindDiff) -> list[tuple[object, ...]]:
    return [
        (f"{kind} {name}", c.rows, "" if c.largest is None else f"{c.largest:+.6g}", at(c.at_utc_ns))
        for name, c in sorted(d.columns.items())
    ]


def _alignment_words(a: AlignmentChange) -> str:
    tilt = "" if a.tilt_deg is None else f" (tilt {a.tilt_deg:+.1f})"
    until = "" if a.to_utc_ns is None else f" until {at(a.to_utc_ns)}"
    return (
        f"from {at(a.from_utc_ns)}{until} {a.derived} instead of {a.stored}: zero moved by {a.zero_deg:.1f} deg{tilt}, "
        f"front turned by {a.front_deg:.1f} deg"
    )


def _alignment_table(changes: Sequence[AlignmentChange]) -> str:
    rows = [
        (
            f"{a.wearer} {a.sensor}", at(a.from_utc_ns), at(a.to_utc_ns) or "on", f"{a.zero_deg:.1f}°",
            "" if a.tilt_deg is None else f"{a.tilt_deg:+.1f}°", f"{a.front_deg:.1f}°", f"{a.stored} → {a.derived}",
        )
        for a in changes
    ]  # fmt: skip
    return _table(("sensor", "from", "until", "zero moved", "tilt", "front turned", "alignment"), rows, folds=True)


def _section(title: str, inner: str) -> str:
    return f'<section class="long"><h2>{escape(title)}</h2>{inner}</section>'


def _table(heads: Sequence[str], rows: Iterable[Sequence[object]], folds: bool = False) -> str:
    """A table that a phone scrolls sideways by itself; reachable and named for whoever uses keys. ``folds``: long cells take more
    lines before that.
    """
    top = "".join(f'<th scope="col">{escape(h)}</th>' if h else "<td></td>" for h in heads)
    body = "".join(f"<tr>{''.join(f'<td>{escape(str(cell))}</td>' for cell in row)}</tr>" for row in rows)
    name = escape(", ".join(h for h in heads if h))
    return (
        f'<div class="wide{" folds" if folds else ""}" tabindex="0" role="region" aria-label="{name}"><table><thead><tr>{top}</tr></thead>'
        f"<tbody>{body}</tbody></table></div>"
    )


def _short(value: object) -> str:
    text = json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= 120 else f"{text[:119]}…"


def _counted(n: int, what: str) -> str:
    return f"{n} {what}" if n == 1 else f"{n} {what}s"


def listed_line(d: Listed) -> str:
    """A derivation for `tiltline replay --list`."""
    if d.maker is None or d.maker.derivation is None:
        return f"{d.name}: not finished, or made by an earlier release"
    f = d.maker.derivation
    keys, alignments = len(f["study_changes"]), len(f["alignments"])
    changed = [f"study {f['study']['hash'][:8]}" + (f" ({_counted(keys, 'key')})" if keys else "")]
    changed += [_counted(alignments, "alignment")] if alignments else []
    return f"{d.name}: {at(d.maker.since_utc_ns)}, {words(d.maker.versions)}, mode {f['mode']}, {', '.join(changed)}"


def at(t_utc_ns: int | None) -> str:
    """A time for a person; nothing for none."""
    return "" if t_utc_ns is None else datetime.fromtimestamp(t_utc_ns // NS_PER_S, UTC).strftime("%Y-%m-%d %H:%M:%SZ")
