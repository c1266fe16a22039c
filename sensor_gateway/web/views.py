"""What the page shows, as plain JSON, computed from records: pure functions, no store, no clock, no HTTP.

Times leave here as milliseconds since 1970 because a browser's numbers do not hold nanoseconds. A value that is absent
stays None, and a value that is too old is withheld here rather than marked: the page cannot show what it never got.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np

from processing.types import NS_PER_S, POSTURES, DeviceReport, Epoch, Event, Metric
from sensor_gateway.live import LiveFrame
from sensor_gateway.report.minutes import in_short, main_posture, upright_medians
from sensor_gateway.web.shape import View, age_s, ms

LIVE_FRESH_S: Final = 5.0
RECORD_FRESH_S: Final = 60.0
MINUTE_MS: Final = 60_000


def frame_view(frame: LiveFrame, now_ns: int) -> View | None:
    """A live frame for the stream, or None when it is too old to be shown as live."""
    age = age_s(now_ns, frame.t_utc_ns)
    if age > LIVE_FRESH_S:
        return None
    tilt = frame.anterior_tilt_deg if frame.valid else None
    return {
        "t_ms": ms(frame.t_utc_ns),
        "age_ms": round(age * 1000),
        "tilt_deg": None if tilt is None else round(tilt, 2),
        "valid": frame.valid,
        "posture": frame.posture,
    }


def now_view(
    now_ns: int, frame: LiveFrame | None, metric: Metric | None, devices: Sequence[DeviceReport], live: bool
) -> View:
    """The state of the moment. ``status`` is ``live`` (a frame of the last 5 s), ``record`` (no live frames are served
    here, but a second of the last 60 s is stored), ``stale`` or ``never``; only the first two carry values.

    ``live`` says whether this page runs in the gateway: then old records do not stand in for a stream that stopped.
    """
    newest = max([t for t in (frame and frame.t_utc_ns, metric and metric.t_utc_ns + NS_PER_S) if t], default=None)
    shown = frame_view(frame, now_ns) if frame else None
    fresh = metric if metric and age_s(now_ns, metric.t_utc_ns + NS_PER_S) <= RECORD_FRESH_S else None
    status = "live" if shown else "record" if fresh and not live else "stale" if newest else "never"
    view: View = {"status": status, "now_ms": ms(now_ns), "newest_ms": None if newest is None else ms(newest)}
    if status == "record" and fresh:
        shown = {
            "t_ms": ms(fresh.t_utc_ns + NS_PER_S),
            "age_ms": round(age_s(now_ns, fresh.t_utc_ns + NS_PER_S) * 1000),
            "tilt_deg": fresh.anterior_tilt_deg,
            "valid": fresh.anterior_tilt_deg is not None,
            "posture": fresh.posture,
        }
    view["frame"] = shown
    judged = fresh if shown else None
    view["uncertainty_deg"] = judged and judged.tilt_uncertainty_deg
    view["quality"] = judged and judged.quality
    view["posture_confidence"] = judged and judged.posture_confidence
    battery = next((d for d in reversed(devices) if d.battery_percent is not None), None)
    view["battery_percent"] = battery and battery.battery_percent
    view["battery_ms"] = battery and ms(battery.t_utc_ns)
    view["link"] = devices[-1].link if devices else None
    return view


def posture_bands(epochs: Sequence[Epoch]) -> list[View]:
    """Runs of minutes with the same main posture, as half-open intervals; missing minutes leave a hole."""
    bands: list[View] = []
    for e in epochs:
        posture, t = main_posture(e), ms(e.t_utc_ns)
        if posture is None:
            continue
        if bands and bands[-1]["posture"] == posture and bands[-1]["to_ms"] == t:
            bands[-1]["to_ms"] = t + MINUTE_MS
        else:
            bands.append({"posture": posture, "from_ms": t, "to_ms": t + MINUTE_MS})
    return bands


def day_view(epochs: Sequence[Epoch]) -> View:
    """One day: minutes as columns, posture bands, seconds per posture, and the middle of its tilts.

    Minutes in which nothing was received are left away: they are told as empty so that nobody takes them for zero.
    """
    epochs = [e for e in epochs if main_posture(e) is not None]
    sums = {p: sum(getattr(e, f"{p}_s") for e in epochs) for p in POSTURES}
    medians = upright_medians(map(in_short, epochs))
    return {
        "minutes": {
            "t_ms": [ms(e.t_utc_ns) for e in epochs],
            "median_deg": [_short(e.tilt_median_deg) for e in epochs],
            "p5_deg": [_short(e.tilt_p5_deg) for e in epochs],
            "p95_deg": [_short(e.tilt_p95_deg) for e in epochs],
        },
        "bands": posture_bands(epochs),
        "posture_s": {p: s for p, s in sums.items() if s},
        "median_deg": _short(float(np.median(medians))) if medians else None,
    }


def event_view(event: Event) -> View:
    """An event as stored, with all its data."""
    return {
        "event_id": event.event_id,
        "t_ms": ms(event.t_utc_ns),
        "type": event.type,
        "rule": event.rule,
        "data": dict(event.data),
    }


def alignment_view(event: Event) -> View:
    """A neutral that was taken, or refused with its reason; ``asked`` where somebody took a pose for it."""
    data = event.data
    asked = data.get("kind") is None and data.get("method") in (None, "static")
    return {"t_ms": ms(event.t_utc_ns), "outcome": data.get("outcome"), "reason": data.get("reason"), "asked": asked}


def entry_view(event: Event) -> View | None:
    """What the wearer entered herself, as the day lists and draws it; None for any other event."""
    data = event.data
    view: View = {"event_id": event.event_id, "t_ms": ms(event.t_utc_ns), "kind": event.type}
    if event.type == "pain":
        return view | {"score": data.get("score"), "note": data.get("note")}
    if event.type == "note":
        return view | {"note": data.get("note")}
    if event.type == "exercise":
        keys = ("exercise", "exercise_name", "side", "sets", "reps", "prompt_event_id")
        return view | {key: data.get(key) for key in keys}
    return None


def _short(value: float | None) -> float | None:
    return None if value is None else round(value, 2)
