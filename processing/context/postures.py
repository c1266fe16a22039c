"""From belief, steps and wear to one posture name a second, with its confidence."""

from __future__ import annotations

import numpy as np

from processing.context.params import Belief, ContextParams
from processing.context.walking import RUNNING, STAIRS, STEPPING, WALKING
from processing.runs import lengths
from processing.types import POSTURE_CODE, ContextBlock

_OF_STATE = (POSTURE_CODE["lying"], POSTURE_CODE["sitting"], POSTURE_CODE["standing"])
_OF_STEPS = {
    # Of mobgap's daily tasks, by foot contacts: seven in ten single or shuffling steps were steps, of walking eight and (in
    # the gait laboratory) all but one in a hundred.
    STEPPING: (POSTURE_CODE["walking"], 0.7),
    WALKING: (POSTURE_CODE["walking"], 0.95),
    RUNNING: (POSTURE_CODE["running"], 0.95),
    STAIRS: (POSTURE_CODE["stairs"], 0.9),
}
_UNKNOWN, _NOT_WORN = POSTURE_CODE["unknown"], POSTURE_CODE["not_worn"]
_NOT_WORN_CONFIDENCE = 0.9
_BY_STEPS = tuple(
    np.array([_OF_STEPS.get(steps, (_UNKNOWN, 1.0))[k] for steps in range(max(_OF_STEPS) + 1)], dtype=dtype)
    for k, dtype in enumerate((np.int8, np.float64))
)
"""Codes and confidences by what the steps amount to; `unknown` where they decide nothing."""
_SUREST = 0.98  # one second in fifty is wrong for reasons the model does not hold


def name_postures(beliefs: list[Belief], gait: list[int], worn: list[float], params: ContextParams) -> ContextBlock:
    """One code and confidence a second; `unknown` where no state is likely enough, with what it lacks to certainty.

    ``worn`` is the probability that the clip is on somebody, 0 where it surely is not: a posture is no surer than that.
    """
    first: list[int] = []
    codes: list[int] = []
    sure: list[float] = []
    last: Belief | None = None
    last_steps, last_on = -1, -1.0
    for k, (belief, steps, on) in enumerate(zip(beliefs, gait, worn, strict=True)):
        if belief is last and steps == last_steps and on == last_on:
            continue  # most of a day: a rest goes on
        last, last_steps, last_on = belief, steps, on
        if on == 0.0:
            code, confidence = _NOT_WORN, _NOT_WORN_CONFIDENCE
        elif steps >= STEPPING:
            code, confidence = _OF_STEPS[steps]
        else:
            best = max(belief)
            if best >= params.min_confidence:
                code, confidence = _OF_STATE[belief.index(best)], min(best * on, _SUREST)
            else:
                code, confidence = _UNKNOWN, 1.0 - best
        first.append(k)
        codes.append(code)
        sure.append(confidence)
    named = ContextBlock(np.array(codes, dtype=np.int8), np.array(sure, dtype=np.float64))
    if len(first) == len(gait):
        return named
    lasted = lengths(np.array(first, dtype=np.int64), len(gait))
    return ContextBlock(named.posture.repeat(lasted), named.confidence.repeat(lasted))


def evident_postures(gait: list[int], worn: list[float]) -> ContextBlock:
    """As `name_postures` where steps and wear decide, whatever is believed; elsewhere `unknown` for certain."""
    steps = np.array(gait, dtype=np.int64)
    code, confidence = (column[steps] for column in _BY_STEPS)
    if 0.0 in worn:
        off = np.array(worn) == 0.0
        code[off], confidence[off] = _NOT_WORN, _NOT_WORN_CONFIDENCE
    return ContextBlock(code, confidence)
