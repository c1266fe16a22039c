"""Synthetic 10 s epochs for the rules' tests, and a recomputation of flags from their JSON alone."""

from __future__ import annotations

import json
import random
from collections.abc import Iterable, Sequence
from dataclasses import asdict, replace
from typing import Any

from processing.coaching import rule_engine
from processing.rules.engine import RuleEngine
from processing.rules.study import Assignment, PromptRule, StaticRule, Study, TiltRule, study_hash
from processing.types import Event, RuleEpoch

K0 = 1_790_000_000 // 10
"""An arbitrary Monday noon (2026-09-21, 13:33 UTC)."""
OPEN_GATE = PromptRule(min_known=0.0, refractory_s=0, budget_per_day=100, quiet_from="00:00", quiet_to="00:00")
NO_STATIC = StaticRule(enabled=False)
"""For tests that are about the tilt rules: their wearers stand for hours."""


def epoch(
    k: int, posture: str = "standing", tilt_deg: float | None = 0.0, mount: str = "m1", neutral: str = "n1"
) -> RuleEpoch:
    tilt = None if tilt_deg is None else round(tilt_deg * 1000)
    return RuleEpoch(k, 1000, posture, 950, tilt, 2000, False, mount, neutral)


def stretch(k: int, minutes: float, posture: str = "standing", tilt_deg: float = 0.0, **more: str) -> list[RuleEpoch]:
    return [epoch(k + i, posture, tilt_deg, **more) for i in range(round(minutes * 6))]


def engine_of(study: Study, sensor: str = "clip-1") -> RuleEngine:
    return rule_engine(sensor, study, study_hash(study))


def run(study: Study, epochs: Sequence[RuleEpoch], *, finish: bool = True) -> list[Event]:
    engine = engine_of(study)
    return engine.update(epochs) + (engine.finish() if finish else [])


def of_type(events: Iterable[Event], *types: str) -> list[Event]:
    return [event for event in events if event.type in types]


def text_of(events: Sequence[Event]) -> str:
    return "\n".join(json.dumps(asdict(event), sort_keys=True) for event in events)


def random_study(rng: random.Random) -> Study:
    limit = {"standing": rng.choice([3.0, 6.5, 9.0])} if rng.random() < 0.3 else {}
    zone = rng.choice(
        ["UTC", "Europe/Berlin", "America/New_York", "Africa/Cairo", "Pacific/Auckland", "America/Havana"]
    )
    prompt = PromptRule(
        mode="tracking" if rng.random() < 0.1 else "training",
        min_known=rng.choice([0.0, 0.3, 0.6]),
        refractory_s=rng.choice([0, 1800, 5400]),
        budget_per_day=rng.choice([1, 2, 4]),
        quiet_from=rng.choice(["22:00", "11:00"]),
    )
    tilt = TiltRule(therapist_limit_deg=limit, baseline_min_minutes=rng.choice([10, 20]))
    static = StaticRule(after_s=rng.choice([295, 600, 1800]), max_unknown_s=rng.choice([60, 300]))
    sides = ("left", "right", "both")
    programme = tuple(Assignment("single_leg_bridge", rng.choice(sides), 1, n + 3) for n in range(3))
    return Study(f"v{rng.randrange(9)}", zone, tilt, static, prompt=prompt, programme=programme)


def random_wearer(rng: random.Random, days: int, least_h: float = 2.0, most_h: float = 5.0) -> list[RuleEpoch]:
    """Days of wear in bouts of a posture, with gaps, settling, poor coverage, new mounts and new neutrals."""
    # Around the days on which the zones above change their clocks, and around the year.
    day0 = rng.choice([20_176, 20_231, 20_386, 20_388, 20_393]) + rng.randrange(-2, 1) - days // 2
    habit = rng.uniform(-1, 4)
    mount, neutral, epochs = 1, "n1", []
    for day in range(days):
        k = (day0 + day) * 8640 + rng.randrange(1500, 5000)
        end = k + int(rng.uniform(least_h, most_h) * 360)
        k = max(k, epochs[-1].k + 1) if epochs else k  # a long day reaches into the next one
        if rng.random() < 0.3:  # put on again, mostly with a new neutral
            mount += 1
            neutral = rng.choice([f"n{mount}", f"n{mount}", neutral, "nominal"])
        while k < end:
            k_next = min(k + int(rng.expovariate(1 / 60)) + 1, end)
            posture = rng.choices(
                ["standing", "walking", "sitting", "lying", "unknown", "not_worn", "gap"], [9, 4, 5, 1, 1, 0.3, 0.7]
            )[0]
            if rng.random() < 0.04:  # within a day: a new neutral, a clip that moved, a neutral that is lost
                mount += rng.random() < 0.5
                neutral = rng.choice([f"n{mount}-{k}", f"n{mount}-{k}", f"n{mount}-{k}", neutral, "nominal"])
            level = 1000 * (habit + (rng.choice([0, 2, 4, 8, 12]) if posture in {"standing", "walking"} else -15))
            if posture != "gap":
                for i in range(k, k_next):
                    tilt = int(level + rng.gauss(0, 900))
                    dice = rng.random()
                    epochs.append(
                        RuleEpoch(
                            i,
                            1000 if dice < 0.94 else rng.randrange(300, 1000),
                            posture,
                            900 if dice > 0.04 else 600,
                            tilt if posture != "lying" else None,
                            int(abs(rng.gauss(3000, 2000))),
                            dice > 0.995,
                            f"m{mount}",
                            neutral,
                        )
                    )
            k = k_next
    return epochs


def disturb(rng: random.Random, epochs: Sequence[RuleEpoch], reach: int = 12) -> list[RuleEpoch]:
    """The same epochs, each up to ``reach`` - 1 epochs out of order, some of them again."""
    again = [replace(e) for e in epochs if rng.random() < 0.05]
    at = [(e.k + rng.random() * reach, i, e) for i, e in enumerate([*epochs, *again])]
    return [e for _, _, e in sorted(at)]


def recompute(text: str) -> dict[str, Any]:
    """
    Step the rule through a flag's JSON: what it gives in every listed epoch, by an independent reading of the rules.

    Returns the epochs (k) in which the rule would flag, the value in the last, and the threshold rebuilt from its parts.
    """
    flag = json.loads(text)
    limits, before, listed = flag["limits"], flag["before"], flag["epochs"]
    if flag["rule"] == "static_posture":
        return recompute_static(flag)
    ks = [first + i for first, n in listed["k"] for i in range(n)]
    postures = [p for p, n in listed["posture"] for _ in range(n)]
    marks = [t for t, n in listed["threshold_mdeg"] for _ in range(n)]
    given = dict(zip(ks, zip(postures, marks, listed["tilt_mdeg"], strict=True), strict=True))
    dose, armed, tilts = before["dose_udeg_min"], before["armed"], list(before["recent_tilt_mdeg"])
    phase, on, active, below = before["phase"], before["on_s"], before["active_s"], before["below_s"]
    absent, fired = 0, []
    for k in range(ks[0], ks[-1] + 1):
        dose = dose * limits["leak"] // 2**40
        armed = armed or dose < limits["dose_rearm_udeg_min"]
        if k not in given:
            absent += 10
            if absent >= limits["max_ineligible_s"]:
                tilts, phase = [], "idle"
            continue
        absent = 0
        _, mark, tilt = given[k]
        tilts = [*tilts, tilt][-3:]
        ordered = sorted(tilts)
        smooth = (ordered[0] + ordered[1]) // 2 if len(ordered) == 2 else ordered[len(ordered) // 2]
        if phase == "active":
            active += 10
            below = below + 10 if smooth < mark - limits["hysteresis_mdeg"] else 0
            if below >= limits["off_s"]:
                phase = "idle"
            elif flag["rule"] == "sustained_tilt" and active == limits["sustained_s"]:
                fired.append(k)
        elif phase == "idle":
            if smooth >= mark:
                phase, on = "candidate", 10
        else:
            on += 10 if smooth >= mark else -20
            if on <= 0 or smooth < mark - limits["hysteresis_mdeg"]:
                phase = "idle"
        if phase == "candidate" and on >= limits["on_s"]:
            phase, active, below = "active", 0, 0
        if smooth > mark:
            dose += (smooth - mark) * 10_000 // 60
        if armed and dose >= limits["dose_on_udeg_min"]:
            armed = False
            if flag["rule"] == "tilt_dose":
                fired.append(k)
    where = flag["thresholds"][postures[-1]]
    personal = limits["floor_mdeg"]
    if where["median_mdeg"] is not None:
        edge = where["median_mdeg"] + where["mad_mdeg"] * limits["mad_ppm"] // 10**6
        personal = max(limits["floor_mdeg"], min(edge, limits["cap_mdeg"]))
    return {
        "fired": fired,
        "last_k": ks[-1],
        "value": active if flag["rule"] == "sustained_tilt" else dose / 1e6,
        "threshold_deg": limits["therapist_mdeg"].get(postures[-1], personal) / 1000,
        "tilt_deg": smooth / 1000,
    }


def recompute_static(flag: dict[str, Any]) -> dict[str, Any]:
    """The same for `static_posture`: the listed epochs are all of one posture, with no hole that ends the stretch."""
    every, hole = flag["limits"]["after_s"], flag["limits"]["max_unknown_s"]
    ks = [first + i for first, n in flag["epochs"]["k"] for i in range(n)]
    assert ks == sorted(set(ks))
    still, last, due, fired = flag["before"]["still_s"], flag["before"]["last_k"], flag["limit"], []
    for k in ks:
        if (k - last - 1) * 10 >= hole:
            still = 0
        still, last = still + 10, k
        if still - 10 < due <= still:
            fired.append(k)
    assert due % every == 0
    assert flag["epochs"]["posture"] == [[flag["posture"], len(ks)]]
    start = flag["window"]["start_utc_ns"] // 10**10
    assert start == ks[0] if flag["before"]["still_s"] == 0 else start < ks[0]
    return {"fired": fired, "last_k": ks[-1], "value": still}


def recompute_hint(hint: dict[str, Any]) -> list[str]:
    """The days of an `asymmetry` hint's window that exceed the limit rebuilt from the days before them."""
    limits, over, usual = hint["limits"], [], []
    for day, strides, difference, mdc, limit in hint["days"]:
        assert strides >= limits["min_strides"]
        before = sorted(usual[-limits["baseline_max_days"] :])
        habit = 0
        if len(before) >= limits["baseline_min_days"]:
            middle = before[(len(before) - 1) // 2]
            spread = sorted(abs(b - middle) for b in before)[(len(before) - 1) // 2]
            habit = middle + spread * limits["mad_ppm"] // 10**6
        usual.append(abs(difference))
        if day >= hint["from_day"]:
            assert limit == max(limits["floor_mdeg"], mdc, habit)
            over += [day] if abs(difference) > limit else []
    return over
