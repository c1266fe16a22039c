"""Why a flag was raised and what became of it, as the few facts a wearer can read; pure, from stored events alone.

A flag's ``data`` (`processing/rules/explain.py`) holds everything to recompute it, which is too much for a phone. Keys
that an older or newer rule does not write come out as None, and the page leaves their line away.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np

from processing.rules.base import EPOCH_NS
from processing.types import NS_PER_S, Event
from sensor_gateway.web.shape import View, age_s, ms

DECIDED_AFTER_S: Final = 300.0
"""Beyond the prompt's expiry, the time a decision may take on its way here (watermark and delivery)."""
EPOCH_S: Final = EPOCH_NS // NS_PER_S


def flag_views(events: Sequence[Event], answers: Mapping[str, str], now_ns: int, expire_s: int) -> list[View]:
    """Each flag among the events with its reasons, the prompt or suppression that followed, and the answer."""
    after: dict[str, Event] = {}
    for wanted in ("suppressed", "prompt"):  # what was offered stands, even when its repeat was kept back later
        after |= {str(e.data.get("flag_event_id")): e for e in events if e.type == wanted}
    return [_flag_view(e, after.get(e.event_id), answers, now_ns, expire_s) for e in events if e.type == "flag"]


def answers_of(events: Sequence[Event]) -> dict[str, str]:
    """The last answer to each prompt among the events."""
    return {str(e.data.get("prompt_event_id")): str(e.data.get("answer")) for e in events if e.type == "answer"}


def prompt_view(event: Event) -> View:
    """A prompt as the wearer sees it."""
    data = event.data
    keys = (
        "lead",
        "variation",
        "why",
        "exercise",
        "exercise_name",
        "side",
        "sets",
        "reps",
        "hold_s",
        "steps",
        "before_you_start",
    )
    return {
        "event_id": event.event_id,
        "t_ms": ms(event.t_utc_ns),
        "rule": event.rule,
        "flag_event_id": data.get("flag_event_id"),
        **{key: data.get(key) for key in keys},
    }


def open_prompt(events: Sequence[Event], answers: Mapping[str, str], now_ns: int, expire_s: int) -> Event | None:
    """The newest prompt, unless it is answered or too old to be of use."""
    newest = next((e for e in reversed(events) if e.type == "prompt"), None)
    if newest is None or newest.event_id in answers or age_s(now_ns, newest.t_utc_ns) > expire_s:
        return None
    return newest


def held_back(events: Sequence[Event], now_ns: int) -> bool:
    """Whether prompts are held back now, so that one made before is not offered either; ``events`` newest first.

    By the health questions (a yes, or not answered yet after much pain), or by the wearer's own choice to pause.
    """
    health: Mapping[str, Any] = next((e.data for e in events if e.type == "red_flag"), {})
    mode: Mapping[str, Any] = next((e.data for e in events if e.type == "mode"), {})
    until = mode.get("until")
    paused = mode.get("mode", "training") != "training" and (until is None or now_ns < until)
    return bool(health.get("stop")) or health.get("outcome") == "asked" or paused


def _flag_view(flag: Event, then: Event | None, answers: Mapping[str, str], now_ns: int, expire_s: int) -> View:
    data: Mapping[str, Any] = flag.data
    window, posture = data.get("window") or {}, data.get("posture")
    threshold = (data.get("thresholds") or {}).get(posture) or {}
    tilts, above_s = _tilts(data.get("epochs") or {})
    if then is not None:
        outcome = then.type
    else:
        undecided = age_s(now_ns, flag.t_utc_ns) < expire_s + DECIDED_AFTER_S
        outcome = "waiting" if undecided else "noted"
    return {
        "event_id": flag.event_id,
        "t_ms": ms(flag.t_utc_ns),
        "rule": flag.rule,
        "posture": posture,
        "threshold_deg": data.get("threshold_deg"),
        "threshold_source": threshold.get("source"),
        "from_ms": _ms(window.get("start_utc_ns")),
        "to_ms": _ms(window.get("end_utc_ns")),
        "above_s": above_s,
        "value": data.get("value"),
        "limit": data.get("limit"),
        "unit": data.get("unit"),
        "tilt_low_deg": None if not tilts else round(float(np.percentile(tilts, 5)), 1),
        "tilt_mid_deg": None if not tilts else round(float(np.median(tilts)), 1),
        "tilt_high_deg": None if not tilts else round(float(np.percentile(tilts, 95)), 1),
        "outcome": outcome,
        "reason": then.data.get("reason") if then else None,
        "reason_text": then.data.get("text") if then and then.type == "suppressed" else None,
        "prompt": prompt_view(then) if then and then.type == "prompt" else None,
        "answer": answers.get(then.event_id) if then else None,
    }


def _tilts(epochs: Mapping[str, Any]) -> tuple[list[float], int | None]:
    """Tilts [deg] of a flag's ten-second epochs, and for how long they were above the threshold of their time."""
    tilts, runs = epochs.get("tilt_mdeg"), epochs.get("threshold_mdeg")
    if not tilts or not runs:
        return [], None
    limits = [value for value, count in runs for _ in range(count)]
    above = sum(tilt > limit for tilt, limit in zip(tilts, limits, strict=False))
    return [tilt / 1000 for tilt in tilts], above * EPOCH_S


def _ms(t_utc_ns: int | None) -> int | None:
    return None if t_utc_ns is None else ms(t_utc_ns)
