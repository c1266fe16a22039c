"""The report as one page that needs nothing else: summary against the bars, then set by set, for a clinician and a reviewer."""

from __future__ import annotations

import json
from collections.abc import Iterator
from html import escape
from importlib.resources import files
from pathlib import Path
from typing import Final

from sensor_gateway.export.manifest import versions
from sensor_gateway.validation import figures, panels
from sensor_gateway.validation.alignment import SLIP_DEG
from sensor_gateway.validation.datasets import NO_PERSON
from sensor_gateway.validation.doubt import MIN_SUBJECTS
from sensor_gateway.validation.rows import TILTLINE, WHOLE
from sensor_gateway.validation.run import Validation, as_json
from sensor_gateway.validation.strips import halves
from sensor_gateway.validation.summary import Result
from sensor_gateway.validation.tables import alignment_table, bar_table, figure, result_table, table
from sensor_gateway.validation.tally import MEASURES
from sensor_gateway.whole_files import FileSet

JSON_NAME: Final = "validation.json"
HTML_NAME: Final = "validation.html"

_ABOUT: Final = {
    "broad": "A sensor moved by hand before cameras (BROAD, Laidig 2021). How well is the direction of gravity known? The moving "
    "samples count. Each trial stands for itself; there are no people to draw from.",
    "neura_pelvis": "A sensor on the sacrum, markers on the pelvis (Sy 2020): stand, walk, stand. What zero is depends on who "
    "placed the markers, so one constant is removed from the error; the agreement has both zeros at the standing pose instead.",
    "hapt": "A phone at the waist, video labels (UCI HAPT, Reyes-Ortiz 2015; non-commercial: nothing is trained on it). Seconds "
    "that carry one label throughout count; walking, in truth and answer, holds level ground, stairs and running. Mount and neutral pose are found in the recording itself.",
    "ipol_l5_gait": "Ten metres and back with a turn, sensor at L5, packets lost on the air (IPOL 2023); foot contacts checked by "
    "hand. Steps must lie within 0.12 s of a contact once the one delay of the recording is gone; nobody tells Tiltline where the walk is.",
    "mobgap_lowback": "Short walks and simulated daily activities with instrumented insoles (Mobilise-D example data). Steps count "
    "within the walks of the insoles.",
}


def write_report(v: Validation, folder: Path, command: str) -> None:
    """Write `HTML_NAME` and `JSON_NAME` into ``folder``: both, or neither."""
    content = as_json(v) | {"command": command}
    with FileSet(folder) as out:
        out.write_text(JSON_NAME, json.dumps(content, ensure_ascii=False, allow_nan=False, indent=1) + "\n")
        out.write_text(HTML_NAME, page(v, command))


def page(v: Validation, command: str) -> str:
    """The whole page as text."""
    style = files("sensor_gateway.validation").joinpath("report.css").read_text(encoding="utf-8")
    body = "\n".join(
        [*_head(v, command), *(part for name in v.recordings for part in _set(v, name)), *_alignment(v), *_foot(v)]
    )
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width,initial-scale=1"><title>Tiltline: validation</title>'
        f"<style>{style}</style></head><body><main>\n{body}\n</main></body></html>\n"
    )


def _head(v: Validation, command: str) -> Iterator[str]:
    levels = [b.met for b in (*v.bars, *(v.alignment.bars if v.alignment is not None else ()))]
    met, asked = sum(m is True for m in levels), sum(m is not None for m in levels)
    people = "recording" if sum(v.recordings.values()) == 1 else "recordings"
    yield "<h1>How far Tiltline can be trusted</h1>"
    yield (
        f'<p class="lead">{sum(v.recordings.values())} {people} whose truth is known went through <code>tiltline process</code>, '
        f"and what came out was compared with it. {met} of {asked} levels set beforehand are reached.</p>"
    )
    yield (
        '<p class="note">These figures describe a measuring method on the people recorded, most of them healthy and young. They are '
        "no statement about any one wearer, and no diagnosis follows from them; a specialist judges what a posture means.</p>"
    )
    yield "<h2>Levels</h2>"
    yield bar_table(v.bars)
    if v.alignment is not None:
        yield alignment_table(v.alignment.bars)
    yield (
        '<p class="muted">95 % intervals come from drawing whole people anew (trials, where nobody wore the sensor; for a share of '
        f"exactly 0 or 1, Wilson's). Below {MIN_SUBJECTS} people none is given: it would look surer than it is. An interval "
        "that holds the level says that other people might as well have fallen on its other side.</p>"
    )
    yield (
        '<p class="key"><span><i class="s-online"></i>online: knows the past only</span><span><i class="s-settled"></i>settled: '
        'waits up to 10 s</span><span><i class="s-retro"></i>retro: knows the whole recording</span><span><i class="s-peer"></i>'
        "other methods, same run</span></p>"
    )
    yield f'<p class="muted">Made with <code>{escape(command)}</code>.</p>'


def _set(v: Validation, name: str) -> Iterator[str]:
    results = [r for r in v.results if r.set == name]
    yield f"<h2>{escape(name)}</h2>"
    yield f"<p>{_ABOUT.get(name, 'A set of your own; what is scored follows from its columns.')}</p>"
    if not results:
        yield "<p>No recording of this set could be scored; the reasons stand at the end.</p>"
    for measure in dict.fromkeys(r.measure for r in results):
        mine = [r for r in results if r.measure == measure]
        yield f"<h3>{escape(MEASURES[measure].title)}</h3>"
        yield from _figures(v, name, measure, mine)
        yield result_table([r for r in mine if r.kind in ("all", "unseen", "part")])
        apart = "By trial" if name in NO_PERSON else "By person"
        for kind, label in (("activity", "By activity"), ("subject", apart)):
            some = [r for r in mine if r.kind == kind and r.estimator == TILTLINE]
            if some:
                yield f"<details><summary>{label}</summary>{result_table(some)}</details>"


def _figures(v: Validation, name: str, measure: str, results: list[Result]) -> Iterator[str]:
    own_rows = [
        r for r in v.rows if r.set == name and r.measure == measure and r.part == WHOLE and r.estimator == TILTLINE
    ]
    levels = {
        b.bar.mode: b.limit
        for b in v.bars
        if b.bar.set == name and b.bar.measure == measure and b.limit is not None
        and b.bar.figure == MEASURES[measure].figures[0].name
    }  # fmt: skip
    by = "activity" if any(r.kind == "activity" for r in results) else "subject"
    grouped = [r for r in results if r.kind in ("all", "unseen", by) or (r.kind == "part" and r.estimator == TILTLINE)]
    if measure == "posture":
        yield figure(panels.confusion(results), "Share of each true posture, by answer; below it the seconds.")
    if measure in ("inclination", "tilt", "steps", "posture") and any(
        r.recordings > 1 or measure == "tilt" for r in results
    ):
        caption = (
            "Dot: figure of the group; line: 95 % interval; pale dots: single recordings; upright tick: the level."
        )
        yield figure(figures.errors(grouped, levels), caption)
    if measure == "steps":
        yield figure(figures.step_timing(own_rows), "How sharp matched steps are in time.")
    found = {mode: a for (s, mode), a in v.agreements.items() if s == name}
    if measure == "tilt" and found:
        a = next(iter(found.values()))
        yield figure(
            panels.bland_altman(own_rows, found),
            "Agreement after Bland and Altman: Tiltline less markers, both zero at the neutral pose; dots every 0.1 s, bias, "
            f"95 % limits, and bands for how sure they are, from drawing {a.over} ({a.people} {'person' if a.people == 1 else 'people'}).",
        )


def _alignment(v: Validation) -> Iterator[str]:
    found = v.alignment
    if found is None:
        return
    yield "<h2>How the clip sat, found by walking</h2>"
    yield (
        "<p>Nobody tells Tiltline how the clip sat or where the walks are. Two halves of one person's walking should give the "
        "same front; samples turned in software should give the turned front; and a clip turned by "
        f"{SLIP_DEG:g}° between two walks, about a level axis drawn at random, should be told. The front is compared with the "
        "side a person said it was on, or with the belly when lying on the back.</p>"
    )
    if found.halves:
        yield figure(halves(found.halves), "Heading of the first half of a person's walking against the second; the upright line is the level for the 95th percentile.")  # fmt: skip
    rows = [f"<tr><td>{escape(name)}</td><td>{got} of {of}</td></tr>" for name, (got, of) in found.turned.items()]
    if rows:
        yield table(("clip turned in software", "up and front found"), rows)
    if found.front_off_deg:
        off = sorted(found.front_off_deg)
        yield f"<p>Where the mount is stated, the front found lies {off[len(off) // 2]:.1f}° (at most {off[-1]:.0f}°) from it: people wear clips askew.</p>"  # fmt: skip
    if found.slips[1]:
        yield f"<p>Slips found: {found.slips[0]} of {found.slips[1]}; told in the same recordings without a slip: {found.false_alarms}.</p>"  # fmt: skip


def _foot(v: Validation) -> Iterator[str]:
    yield "<h2>Time and versions</h2>"
    tasks = list(dict.fromkeys(t.task for t in v.timings))
    spent = {(t.set, t.task): t for t in v.timings}
    rows = []
    for name in v.recordings:
        cells = "".join(f"<td>{spent[name, task].cpu_s:.2f} s</td>" for task in tasks)
        rows.append(f"<tr><td>{escape(name)}</td><td>{spent[name, tasks[0]].recorded_s:.0f} s</td>{cells}</tr>")
    yield "<p>CPU time of each task, reading and writing of files included.</p>"
    yield table(("set", "recorded", *tasks), rows)
    yield f'<p class="muted">{v.wall_s:.0f} s on the wall, {v.jobs} process{"es" * (v.jobs > 1)}. '
    yield escape(", ".join(f"{k} {n}" for k, n in (versions() | v.peers).items())) + ".</p>"
    if v.warnings:
        yield "<h2>What has to be said</h2><ul>" + "".join(f"<li>{escape(w)}</li>" for w in v.warnings) + "</ul>"
