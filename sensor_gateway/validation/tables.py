"""Pieces of the report's page: tables and captioned figures as HTML."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import Final

from sensor_gateway.validation.alignment import AlignmentBar
from sensor_gateway.validation.bars import BarResult
from sensor_gateway.validation.rows import TILTLINE
from sensor_gateway.validation.summary import Result
from sensor_gateway.validation.tally import MEASURES, Figure

_VERDICT: Final = {
    True: '<span class="met">✓ reached</span>',
    False: '<span class="missed">✗ missed</span>',
    None: "not measured",
}


def bar_table(bars: Sequence[BarResult]) -> str:
    """The levels and what was reached, the modes of one figure together."""
    heads = ("mode", "level", "reached", "", "95 % interval", "recordings", "people or trials")
    rows, before = [], ("", "")
    for b in bars:
        if (b.bar.set, b.label) != before:
            before = b.bar.set, b.label
            rows.append(f'<tr class="group"><td colspan="{len(heads)}">{escape(f"{b.bar.set}. {b.label}")}</td></tr>')
        kind = MEASURES[b.bar.measure].figure(b.bar.figure)
        level = f"{'≤' if kind.better == 'low' else '≥'} {number(b.limit, kind)}"
        if b.bar.limit is None:
            level = "mobgap's best" if b.limit is None else f"{level}, mobgap's best"
        rows.append(
            f"<tr><td>{b.bar.mode}</td><td>{level}</td><td><b>{number(b.reached, kind)}</b></td>"
            f'<td class="word">{_VERDICT[b.met]}</td><td>{interval(b.interval, kind)}</td>'
            f"<td>{b.recordings}</td><td>{b.subjects}</td></tr>"
        )
    return table(heads, rows, words=(3,))


def alignment_table(bars: Sequence[AlignmentBar]) -> str:
    """The levels of alignment and slips."""
    rows = ['<tr class="group"><td colspan="6">alignment by walking, and slips</td></tr>']
    for b in bars:
        reached = "–" if b.reached is None else f"{b.reached:.2f}{b.unit}"
        doubt = "–" if b.interval is None else f"{b.interval[0]:.2f}{b.unit} to {b.interval[1]:.2f}{b.unit}"
        rows.append(
            f"<tr><td>{escape(b.label)}</td><td>{'≤' if b.better == 'low' else '≥'} {b.limit:.2f}{b.unit}</td>"
            f'<td><b>{reached}</b></td><td class="word">{_VERDICT[b.met]}</td><td>{doubt}</td><td>{b.of}</td></tr>'
        )
    return table(("", "level", "reached", "", "95 % interval", "asked"), rows, words=(3,))


def result_table(results: Sequence[Result]) -> str:
    """All figures of results of one measure."""
    shown = MEASURES[results[0].measure].figures
    rows = []
    for r in results:
        group = "" if r.kind == "all" else f", {r.group}"
        cells = "".join(
            f"<td>{number(r.values[f.name], f)}</td>"
            + (f"<td>{interval(r.intervals[f.name], f)}</td>" if k == 0 else "")
            for k, f in enumerate(shown)
        )
        own = "own" if r.estimator == TILTLINE else "peer"
        who = f"{'Tiltline' if r.estimator == TILTLINE else r.estimator} {r.mode}{group}".replace(" ,", ",")
        rows.append(f'<tr class="{own}"><td>{escape(who)}</td>{cells}<td>{r.recordings}</td><td>{r.subjects}</td></tr>')
    heads = [h for k, f in enumerate(shown) for h in ((f.label, "95 % interval") if k == 0 else (f.label,))]
    return table(("", *heads, "recordings", "people or trials"), rows)


def figure(svg: str, caption: str) -> str:
    """A drawing with its caption."""
    return f"<figure>{svg}<figcaption>{escape(caption)}</figcaption></figure>"


def table(heads: Sequence[str], rows: Sequence[str], words: Sequence[int] = ()) -> str:
    """A table that scrolls by itself where the page is narrow; columns ``words`` are set as text."""
    head = "".join(
        f"<th scope=col{' class=word' if k in words else ''}>{escape(h)}</th>" if h else "<td></td>"
        for k, h in enumerate(heads)
    )
    inner = f"<thead><tr>{head}</tr></thead><tbody>{''.join(rows)}</tbody>"
    return f'<div class="scroll" tabindex="0"><table>{inner}</table></div>'


def number(value: float | None, kind: Figure) -> str:
    """A figure's value as people read it, or a dash."""
    return "–" if value is None else kind.show(value)


def interval(span: tuple[float, float] | None, kind: Figure) -> str:
    """An interval in words, or a dash."""
    return "–" if span is None else f"{kind.show(span[0])} to {kind.show(span[1])}"
