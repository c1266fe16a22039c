"""From belief, steps and wear to one posture name a second, with its confidence."""

from __future__ import annotations

import numpy as np

from processing.context.params import Belief, ContextParams
from processing.context.walking import RUNNING, STAIRS, STEPPING, WALKING
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
    named: list[tuple[int, float]] = []
    before: tuple[Belief, int, float] | None = None
    for belief, steps, on in zip(beliefs, gait, worn, strict=True):
        if before is not None and belief is before[0] and steps == before[1] and on == before[2]:
            named.append(named[-1])  # most of a day: a rest goes on
            continue
        before = belief, steps, on
        if on == 0.0:
            named.append((_NOT_WORN, _NOT_WORN_CONFIDENCE))
        elif steps >= STEPPING:
            named.append(_OF_STEPS[steps])
        else:
            best = max(belief)
            if best >= params.min_confidence:
                named.append((_OF_STATE[belief.index(best)], min(best * on, _SUREST)))
            else:
                named.append((_UNKNOWN, 1.0 - best))
    codes, confidence = zip(*named, strict=True) if named else ((), ())
    return ContextBlock(np.array(codes, dtype=np.int8), np.array(confidence, dtype=np.float64))


def evident_postures(gait: list[int], worn: list[float]) -> ContextBlock:
    """As `name_postures` where steps and wear decide, whatever is believed; elsewhere `unknown` for certain."""
    code, confidence = (column[gait] for column in _BY_STEPS)
    off = np.array(worn) == 0.0
    code[off], confidence[off] = _NOT_WORN, _NOT_WORN_CONFIDENCE
    return ContextBlock(code, confidence)
