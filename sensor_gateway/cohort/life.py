"""One synthetic wearer's weeks, lived in a closed loop with the real rules, coach and notices.

Behaviour (postures, tilt, holes, slips, who answers what) is drawn in `cohort/days.py`; everything that is decided from it is
decided by the same code as for a real clip: `Coach` with its flag engine, `DoseMeter`, `Notices`. A prompt is answered some
minutes later by this person's habits, an exercise of a responder lowers the tilt that the rules then see, a therapist judges
flags and decides on proposals twice a week. Not exercised here: sensor frames, clock, orientation and context, which the
one-day demo runs from raw samples.
"""

from __future__ import annotations

import heapq
from datetime import datetime
from statistics import median
from typing import Any, Final

import numpy as np

from processing.coaching import Coach
from processing.coaching.controls import (
    AnswerRedFlags,
    ClearRedFlags,
    CoachControl,
    DecideProposal,
    LogExercise,
    LogPain,
    SetMode,
    SetProgramme,
    Verdict,
    VerdictWord,
)
from processing.coaching.redflags import QUESTIONS
from processing.pipeline import Answer
from processing.rules.asymmetry import StrideDay
from processing.rules.base import EPOCH_NS, EPOCH_S, LocalClock
from processing.rules.dose import DoseMeter
from processing.rules.study import Assignment, Study, study_hash
from processing.types import F64, NS_PER_S, POSTURES, Bool, Epoch, Event, Record, RuleEpoch
from sensor_gateway.cohort.clip import Clip
from sensor_gateway.cohort.days import LIE, MINUTE, NOT_WORN, SIT, WALK, Day, draw_day
from sensor_gateway.cohort.minutes import minutes, nothing, seconds
from sensor_gateway.cohort.people import Person

MINUTE_NS: Final = 60 * NS_PER_S
RATER: Final = "pt-demo"
REVIEW_WEEKDAYS: Final = (1, 4)
FADES_S: Final = 3600.0
OBLIQUITY_MDEG: Final = 400
SEATED: Final = (SIT, LIE, NOT_WORN)


class Life:
    """``records`` collects everything; ``coach`` can be asked on after the last day, as the page does."""

    def __init__(self, person: Person, study: Study, seed: int) -> None:
        self.person, self.study = person, study
        self.sensor = f"synthetic-{person.id.removeprefix('w-')}"
        hash_ = study_hash(study)
        self.coach, self.dose = Coach(person.id, self.sensor, study, hash_), DoseMeter(study)
        self.records: list[Record] = []
        self._clock = LocalClock(study.timezone)
        self._rng = np.random.default_rng([seed, sum(map(ord, person.id)) * 1000 + int(person.id.removeprefix("w-"))])
        self._due: list[tuple[int, int, CoachControl | Answer]] = []
        self._order = 0
        self._unjudged: list[Event] = []
        self.clip = Clip(self.sensor, hash_, person.battery_h)
        self._told_ns: int | None = None
        self._lift = np.empty(0)  # what exercises took off the tilt of the day's epochs

    def live(self, midnight: datetime, day: int, until_k: int, *, seconds_from_ns: int, last: bool) -> None:
        """Live one local day, up to epoch ``until_k``; seconds are kept from ``seconds_from_ns`` on."""
        first_k = self._clock.day_start(midnight.date())
        end_k = min(self._clock.day_end(first_k), until_k)
        drawn = draw_day(self.person, self._rng, first_k, max(MINUTE, end_k - first_k), day, last=last)
        self._plan(midnight, first_k, day, drawn)
        doses = self._through(drawn)
        while self._due and self._due[0][0] < end_k * EPOCH_NS:
            self._apply(*self._due[0][::2])
        self._strides(midnight, drawn, day)
        told = list(minutes(drawn, doses, self._rng))
        if told and self._told_ns is not None:
            self.records += nothing(self._told_ns, told[0].t_utc_ns)
        self.records += told
        self._told_ns = told[-1].t_utc_ns if told else self._told_ns
        self.records += self.clip.reports(drawn)
        if end_k * EPOCH_NS > seconds_from_ns:
            self.records += seconds(drawn, self._rng, seconds_from_ns)
        self.records += self.clip.notices.until(None)

    # ---- what will happen today ----

    def _later(self, t_utc_ns: int, control: CoachControl | Answer) -> None:
        self._order += 1
        heapq.heappush(self._due, (t_utc_ns, self._order, control))

    def _plan(self, midnight: datetime, first_k: int, day: int, drawn: Day) -> None:
        person, rng, start = self.person, self._rng, first_k * EPOCH_NS

        def at(hour: float) -> int:
            return start + round(hour * 3600) * NS_PER_S

        if day == 0:
            self._later(at(person.from_h), AnswerRedFlags({q.id: False for q in QUESTIONS}))
        if not self.clip.alignment_id and drawn.received.any():
            self.clip.set_neutral(drawn, day)  # at the start, and where a slip was not mended by walking the day before
        if rng.random() < person.pain_logged and drawn.received.any():
            score = round(float(person.pain + person.pain_per_week * max(0, day - 14) / 7 + rng.normal(0, 0.8)))
            if person.pain_per_week < 0:
                score = round(float(person.pain + person.pain_per_week * day / 7 + rng.normal(0, 0.7)))
            self._later(at(rng.uniform(person.from_h + 1, 20)), LogPain(min(10, max(0, score))))
        if rng.random() < person.exercises_unasked:
            item = self.study.programme[int(rng.integers(len(self.study.programme)))]
            done = LogExercise(item.exercise, item.side, item.sets, item.reps)
            self._later(at(rng.uniform(person.from_h + 0.5, 19.5)), done)
        if rng.random() < 0.02:
            self._later(at(rng.uniform(9, 17)), SetMode("tracking", 120))
        if day == 9:
            added = Assignment("single_leg_bridge", "both", 1, 6, 3)
            self._later(at(17), SetProgramme((*self.study.programme[:2], added), RATER))
        if midnight.weekday() in REVIEW_WEEKDAYS:
            self._review(at(17.5))

    def _review(self, t_utc_ns: int) -> None:
        person, rng = self.person, self._rng
        kept = []
        for i, flag in enumerate(self._unjudged):
            if rng.random() > 0.75:
                kept.append(flag)  # not got round to it; the queue keeps it
                continue
            usefulness = person.useful * (0.7 if flag.rule == "static_posture" else 1.0)
            luck = rng.random()
            word: VerdictWord = "wrong_posture" if luck < person.wrong_posture else "not_useful"
            if luck > 1 - usefulness:
                word = "useful"
            self._later(t_utc_ns + i * 20 * NS_PER_S, Verdict(flag.event_id, word, RATER, rule=flag.rule or ""))
        self._unjudged = kept

    # ---- through the day ----

    def _through(self, day: Day) -> dict[int, float | None]:
        """Feed the rules minute by minute, answer what they ask; dose per minute."""
        self._lift = np.zeros(len(day.posture))
        tilt = np.nan_to_num(np.median(day.tilt_deg, axis=1))
        doses: dict[int, float | None] = {}
        feet = _on_feet(day)
        # Plain lists: a day has thousands of epochs, and to take one number out of an array costs more than to use it.
        known, told, tilt_mdeg = day.received.tolist(), _as_told(day), _milli(tilt)
        for start in range(0, len(known), MINUTE):
            now_ns = (day.first_k + start) * EPOCH_NS
            if self._due and self._due[0][0] <= now_ns:
                while self._due and self._due[0][0] <= now_ns:
                    t_ns, _, control = self._due[0]
                    self._apply(t_ns, control, start)
                tilt_mdeg = _milli(tilt - self._lift * feet)
            rows = [i for i in range(start, min(start + MINUTE, len(known))) if known[i]]
            if not rows:
                continue
            epochs = [self._epoch(day, i, *told[i], tilt_mdeg[i]) for i in rows]
            for epoch in epochs:
                self.dose.update(epoch)
            minute = epochs[0].k // MINUTE
            doses[minute] = self.dose.take(minute)
            self._hear(self.coach.engine.update(epochs), (epochs[-1].k + 1) * EPOCH_NS)
        day.tilt_deg -= (self._lift * _on_feet(day))[:, None]
        return doses

    def _epoch(
        self, day: Day, i: int, code: int, coverage: int, confidence: int, shaken: int, tilt_mdeg: int
    ) -> RuleEpoch:
        k, clip = day.first_k + i, self.clip
        clip.notice(day, i, k, code)
        tilt, obliquity = (None, None) if code == NOT_WORN else (tilt_mdeg, OBLIQUITY_MDEG)
        return RuleEpoch(
            k,
            coverage,
            POSTURES[code],
            confidence,
            tilt,
            obliquity,
            False,
            clip.mount_id,
            clip.alignment_id,
            shaken,
        )

    # ---- answers ----

    def _hear(self, events: list[Event], now_ns: int) -> None:
        """Keep events; plan what the people behind them do."""
        person, rng = self.person, self._rng
        self.records += events
        for event in events:
            if event.type == "flag":
                self._unjudged.append(event)
            elif event.type == "prompt":
                luck, word = rng.random(), ""
                for name, share in (
                    ("done", person.done),
                    ("not_now", person.not_now),
                    ("snooze", person.snooze),
                    ("stop", person.stop),
                ):
                    if not word and luck < share:
                        word = name
                    luck -= share
                if word:
                    self._later(now_ns + round(rng.uniform(20, 540)) * NS_PER_S, Answer(event.event_id, word))
            elif event.type == "proposal" and event.data.get("outcome") == "open":
                decide = DecideProposal(event.event_id, bool(rng.random() < 0.7), RATER)
                self._later(now_ns + round(rng.uniform(20, 60)) * 60 * MINUTE_NS, decide)
            elif event.type == "red_flag" and event.data.get("outcome") == "asked":
                answers = {q.id: False for q in QUESTIONS}
                if rng.random() < 0.25:
                    answers["night"] = True
                    self._later(now_ns + 20 * 60 * MINUTE_NS, ClearRedFlags(RATER))
                self._later(now_ns + 8 * MINUTE_NS, AnswerRedFlags(answers))

    def apply(self, control: CoachControl | Answer, t_utc_ns: int) -> list[Event]:
        """Take a control as the pipeline does; its events."""
        if isinstance(control, Answer):
            done = LogExercise(control.exercise, control.side, control.sets, control.reps, control.event_id)
            return self.coach.answer(t_utc_ns, control.event_id, control.answer, done)
        return self.coach.control(control, t_utc_ns)

    def _apply(self, t_ns: int, control: CoachControl | Answer, at: int = 0) -> None:
        heapq.heappop(self._due)
        self._hear(self.apply(control, t_ns), t_ns)
        exercised = isinstance(control, LogExercise) or (isinstance(control, Answer) and control.answer == "done")
        if exercised and self.person.responds_deg:
            after = np.arange(len(self._lift) - at) * EPOCH_S
            effect = self.person.responds_deg * np.exp(-after / FADES_S) * self._rng.uniform(0.5, 1.4)
            self._lift[at:] = np.maximum(self._lift[at:], effect)

    # ---- day's end ----

    def _strides(self, midnight: datetime, day: Day, number: int) -> None:
        walked = int((day.posture == WALK).sum())
        if walked < 10 * MINUTE:
            return
        rng, apart = self._rng, self.person.side_difference_deg
        if number < 18:
            apart *= 0.35
        left = 7.0 + float(rng.normal(0, 0.3))
        right = left - apart - float(rng.normal(0, 0.4))
        mdeg = (round(left * 1000), round(right * 1000), round(rng.uniform(0.9, 1.4) * 1000))
        strides = StrideDay(midnight.date().isoformat(), walked * 9, *mdeg)
        self.records += self.coach.engine.update_strides([strides])


def _as_told(day: Day) -> list[tuple[int, int, int, int]]:
    """Per epoch: posture code, coverage, confidence and shaking [permille]."""
    columns = (day.posture.tolist(), _milli(day.coverage), _milli(day.confidence), _milli(day.shaken))
    return list(zip(*columns, strict=True))


def _milli(values: F64 | Bool) -> list[int]:
    found: list[int] = np.rint(1000 * values).astype(int).tolist()
    return found


def _on_feet(day: Day) -> Bool:
    """Epochs in which an exercise's effect shows: seated and lying, the pelvis follows the seat."""
    return (day.posture >= 0) & ~np.isin(day.posture, SEATED)


def summary(records: list[Record]) -> dict[str, Any]:
    """Counts by kind and event type, and the median tilt, for the seed's own account."""
    events = [r for r in records if isinstance(r, Event)]
    tilts = [r.tilt_median_deg for r in records if isinstance(r, Epoch) and r.tilt_median_deg is not None]
    by_type: dict[str, int] = {}
    for event in events:
        by_type[event.type] = by_type.get(event.type, 0) + 1
    return {
        "minutes": sum(isinstance(r, Epoch) for r in records),
        "median_tilt_deg": round(median(tilts), 2) if tilts else None,
        "events": dict(sorted(by_type.items())),
    }
