"""From belief, steps and wear to one posture name a second, with its confidence."""

from __future__ import annotations

import numpy as np

from processing.context.params import Belief, ContextParams
from processing.context.walking import RUNNING, STAIRS, STEPPING, WALKING
from processing.types import POSTURE_CODE, ContextBlock

_OF_STATE = (POSTURE_CODE["lying"], POSTURE_CODE["sitting"], POSTURE_CODE["standing"])
_OF_STEPS = {
    STEPPING: POSTURE_CODE["walking"],
    WALKING: POSTURE_CODE["walking"],
    RUNNING: POSTURE_CODE["running"],
    STAIRS: POSTURE_CODE["stairs"],
}
_UNKNOWN, _NOT_WORN = POSTURE_CODE["unknown"], POSTURE_CODE["not_worn"]
_STEPS_CONFIDENCE = 0.95
_NOT_WORN_CONFIDENCE = 0.9


def name_postures(beliefs: list[Belief], gait: list[int], worn: list[bool], params: ContextParams) -> ContextBlock:
    """One code and confidence a second; `unknown` where no state is likely enough, with what it lacks to certainty."""
    codes = np.empty(len(beliefs), dtype=np.int8)
    confidence = np.empty(len(beliefs))
    for i, belief in enumerate(beliefs):
        if not worn[i]:
            codes[i], confidence[i] = _NOT_WORN, _NOT_WORN_CONFIDENCE
        elif gait[i] >= STEPPING:
            codes[i], confidence[i] = _OF_STEPS[gait[i]], _STEPS_CONFIDENCE
        else:
            best = max(belief)
            known = best >= params.min_confidence
            codes[i] = _OF_STATE[belief.index(best)] if known else _UNKNOWN
            confidence[i] = best if known else 1.0 - best
    return ContextBlock(codes, confidence)
