"""A flag's own record, worked through once more by a second reading of the rules; behind `tiltline explain`.

On purpose nothing here is shared with `processing/rules`: whoever doubts a flag must not be answered by the code that
raised it. Input is the event as it was stored; what it states is set against what its inputs give.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from processing.types import Event

EPOCH_S: Final = 10
EPOCH_NS: Final = EPOCH_S * 10**9
KNOWN_VERSIONS: Final = {"tilt_dose": 1, "sustained_tilt": 1, "static_posture": 1, "asymmetry": 1}


class RecomputeError(ValueError):
    """The record cannot be worked through: another version wrote it, or a part is missing."""


@dataclass(frozen=True, slots=True)
class Check:
    """One statement of the record against what its inputs give."""

    what: str
    stated: object
    recomputed: object

    @property
    def agrees(self) -> bool:
        return self.stated == self.recomputed


@dataclass(frozen=True, slots=True)
class TiltEpoch:
    """One listed epoch of a tilt flag."""

    k: int
    posture: str
    threshold_mdeg: int
    tilt_mdeg: int


def recompute(event: Event) -> tuple[Check, ...]:
    """Every statement of a flag or hint that its own data can prove; raises `RecomputeError` where they cannot."""
    data: Mapping[str, Any] = event.data
    rule = str(event.rule)
    version = data.get("rule_version")
    if KNOWN_VERSIONS.get(rule) != version:
        raise RecomputeError(f"rule {rule!r} in version {version!r} is not known here; use the Tiltline that wrote it")
    try:
        if rule == "static_posture":
            checks = list(_static(data))
        elif rule == "asymmetry":
            checks = list(_asymmetry(data))
        else:
            checks = list(_tilt(rule, data))
        checks += _identity(event, data)
    except (KeyError, IndexError, TypeError, ValueError, AttributeError) as e:
        raise RecomputeError(f"the record lacks what it needs to be recomputed ({type(e).__name__}: {e})") from e
    return tuple(checks)


def _identity(event: Event, data: Mapping[str, Any]) -> Iterator[Check]:
    named = f"{data['sensor']}|{event.type}:{event.rule}|{event.t_utc_ns}|{data['study_hash']}"
    yield Check("event id", event.event_id, hashlib.sha256(named.encode()).hexdigest()[:16])
    ended = data["window"]["end_utc_ns"]
    yield Check("instant [ns]", event.t_utc_ns, ended if event.type == "hint" else ended - EPOCH_NS)


def stretches(runs: Sequence[Sequence[int]]) -> list[int]:
    """[first, count] stretches to all their numbers."""
    return [first + i for first, count in runs for i in range(count)]


def tilt_epochs(data: Mapping[str, Any]) -> list[TiltEpoch]:
    """The epochs that a tilt flag lists; raises ValueError where its columns differ in length."""
    listed = data["epochs"]
    postures = [value for value, count in listed["posture"] for _ in range(count)]
    thresholds = [value for value, count in listed["threshold_mdeg"] for _ in range(count)]
    rows = zip(stretches(listed["k"]), postures, thresholds, listed["tilt_mdeg"], strict=True)
    return [TiltEpoch(*row) for row in rows]


def _tilt(rule: str, data: Mapping[str, Any]) -> Iterator[Check]:
    epochs, limits = tilt_epochs(data), data["limits"]
    walk = _Walk(limits, data["before"])
    fired: dict[str, list[int]] = {"tilt_dose": [], "sustained_tilt": []}
    given = {e.k: e for e in epochs}
    for k in range(epochs[0].k, epochs[-1].k + 1):
        for name in walk.step(given.get(k)):
            fired[name].append(k)
    last = epochs[-1]
    yield Check("epoch that raises the flag", last.k, fired[rule][-1] if fired[rule] else None)
    yield Check("value", data["value"], walk.dose / 1e6 if rule == "tilt_dose" else walk.active_s)
    yield Check("value reaches the limit", True, data["value"] >= data["limit"])
    yield Check("smoothed tilt [deg]", data["tilt_deg"], walk.smooth / 1000)
    yield Check("posture", data["posture"], last.posture)
    yield Check("threshold [deg]", data["threshold_deg"], threshold_mdeg(data, last.posture) / 1000)
    yield Check("threshold of the last epoch [mdeg]", last.threshold_mdeg, round(data["threshold_deg"] * 1000))
    yield Check("eligible epochs", data["quality"]["eligible_epochs"], len(epochs))
    yield Check("end of the window [ns]", data["window"]["end_utc_ns"], (last.k + 1) * EPOCH_NS)


def threshold_mdeg(data: Mapping[str, Any], posture: str) -> int:
    """The threshold from its parts: the therapist's limit, else the habit's edge between floor and cap."""
    limits, found = data["limits"], data["thresholds"][posture]
    if posture in limits["therapist_mdeg"]:
        return int(limits["therapist_mdeg"][posture])
    if found["median_mdeg"] is None:
        return int(limits["floor_mdeg"])
    edge = found["median_mdeg"] + found["mad_mdeg"] * limits["mad_ppm"] // 1_000_000
    return int(max(limits["floor_mdeg"], min(edge, limits["cap_mdeg"])))


class _Walk:
    """Episode and dose, one epoch of the clock at a time; None for one that was missing or did not count."""

    def __init__(self, limits: Mapping[str, Any], before: Mapping[str, Any]) -> None:
        self.limits = limits
        self.dose = int(before["dose_udeg_min"])
        self.armed = bool(before["armed"])
        self.tilts = list(before["recent_tilt_mdeg"])
        self.phase = before["phase"]
        self.on_s, self.active_s, self.below_s = before["on_s"], before["active_s"], before["below_s"]
        self.absent_s = 0
        self.smooth = 0

    def step(self, epoch: TiltEpoch | None) -> list[str]:
        limits = self.limits
        self.dose = self.dose * limits["leak"] // 2**40
        self.armed = self.armed or self.dose < limits["dose_rearm_udeg_min"]
        if epoch is None:
            self.absent_s += EPOCH_S
            if self.absent_s >= limits["max_ineligible_s"]:
                self.tilts, self.phase = [], "idle"
            return []
        self.absent_s = 0
        self.tilts = [*self.tilts, epoch.tilt_mdeg][-3:]
        ordered = sorted(self.tilts)
        self.smooth = ordered[1] if len(ordered) == 3 else sum(ordered) // len(ordered)
        fired = ["sustained_tilt"] if self._episode(epoch.threshold_mdeg) else []
        self.dose += max(0, self.smooth - epoch.threshold_mdeg) * 1000 * EPOCH_S // 60
        if self.armed and self.dose >= limits["dose_on_udeg_min"]:
            self.armed = False
            fired.append("tilt_dose")
        return fired

    def _episode(self, threshold: int) -> bool:
        limits, above = self.limits, self.smooth >= threshold
        held = self.smooth >= threshold - limits["hysteresis_mdeg"]
        if self.phase == "active":
            self.active_s += EPOCH_S
            self.below_s = 0 if held else self.below_s + EPOCH_S
            if self.below_s >= limits["off_s"]:
                self.phase = "idle"
                return False
            return bool(self.active_s - EPOCH_S < limits["sustained_s"] <= self.active_s)
        if self.phase == "idle":
            if not above:
                return False
            self.phase, self.on_s = "candidate", 0
        self.on_s += EPOCH_S if above else -2 * EPOCH_S
        if self.on_s <= 0 or not held:
            self.phase = "idle"
        elif self.on_s >= limits["on_s"]:
            self.phase, self.active_s, self.below_s = "active", 0, 0
        return False


def _static(data: Mapping[str, Any]) -> Iterator[Check]:
    ks, limits, before = stretches(data["epochs"]["k"]), data["limits"], data["before"]
    still_s, last_k, crossed = before["still_s"], before["last_k"], []
    unbroken = True
    for k in ks:
        unbroken &= k > last_k and (k - last_k - 1) * EPOCH_S < limits["max_unknown_s"]
        if still_s < data["limit"] <= still_s + EPOCH_S:
            crossed.append(k)
        still_s, last_k = still_s + EPOCH_S, k
    yield Check("one unbroken stretch", True, unbroken)
    yield Check("epoch that raises the flag", ks[-1], crossed[-1] if crossed else None)
    yield Check("value", data["value"], still_s)
    yield Check("the limit is a multiple of the rule's time", 0, data["limit"] % limits["after_s"])
    yield Check("posture", [[data["posture"], len(ks)]], data["epochs"]["posture"])
    yield Check("posture is one of the rule's", True, data["posture"] in limits["postures"])
    yield Check("end of the window [ns]", data["window"]["end_utc_ns"], (ks[-1] + 1) * EPOCH_NS)


def _asymmetry(data: Mapping[str, Any]) -> Iterator[Check]:
    limits = data["limits"]
    usual: list[int] = []
    over = 0
    for day, _, difference, mdc, limit in data["days"]:
        before = sorted(usual[-limits["baseline_max_days"] :])
        usual.append(abs(difference))
        if day < data["from_day"]:
            continue
        habit = 0
        if len(before) >= limits["baseline_min_days"]:
            half = (len(before) - 1) // 2
            habit = before[half] + sorted(abs(b - before[half]) for b in before)[half] * limits["mad_ppm"] // 1_000_000
        yield Check(f"limit of {day} [mdeg]", limit, max(limits["floor_mdeg"], mdc, habit))
        over += abs(difference) > limit
    yield Check("days over their limit", data["value"], over)
    yield Check("as many days as the rule asks for", True, over >= limits["days_over"])
    yield Check(
        "days with enough strides", True, all(strides >= limits["min_strides"] for _, strides, *_ in data["days"])
    )
