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
_SUREST = 0.98  # one second in fifty is wrong for reasons the model does not hold


def name_postures(beliefs: list[Belief], gait: list[int], worn: list[float], params: ContextParams) -> ContextBlock:
    """One code and confidence a second; `unknown` where no state is likely enough, with what it lacks to certainty.

    ``worn`` is the probability that the clip is on somebody, 0 where it surely is not: a posture is no surer than that.
    """
    codes = np.empty(len(beliefs), dtype=np.int8)
    confidence = np.empty(len(beliefs))
    for i, belief in enumerate(beliefs):
        if worn[i] == 0.0:
            codes[i], confidence[i] = _NOT_WORN, _NOT_WORN_CONFIDENCE
        elif gait[i] >= STEPPING:
            codes[i], confidence[i] = _OF_STEPS[gait[i]]
        else:
            best = max(belief)
            known = best >= params.min_confidence
            codes[i] = _OF_STATE[belief.index(best)] if known else _UNKNOWN
            confidence[i] = min(best * worn[i], _SUREST) if known else 1.0 - best
    return ContextBlock(codes, confidence)
