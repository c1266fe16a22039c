"""Posture against video labels of 15 people, and walking against foot contacts of 13 others.

HAPT is non-commercial: nothing is trained on it. Structure was built on users 1-13; users 15-29 are held apart, but their scores
were seen and prompted a few choices (docs/validation.md). Seconds are scored where all their samples carry one of the labels lying, sitting, standing or walking
(1-3: level, upstairs, downstairs); every other answer, "unknown" included, is an error. Mount and neutral are
found in the recording itself. A transfer is found when one of its kind lies within 2 s of the middle of the labelled interval; one found amid
unlabelled samples is ignored. Run with ``-s`` to see the tables.
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import numpy as np
import pytest

from processing.types import POSTURES
from sensor_gateway.validation.run import validate
from sensor_gateway.validation.summary import Result
from sensor_gateway.validation.tally import SCORED_POSTURES, class_f1

pytestmark = [pytest.mark.reference, pytest.mark.slow]


def table(result: Result) -> str:
    """Truth by answer, and F1."""
    confusion = np.array(list(result.tally.values())).reshape(len(SCORED_POSTURES), len(POSTURES))
    rows = [f"{name:10}" + "".join(f"{n:10.0f}" for n in confusion[k]) for k, name in enumerate(SCORED_POSTURES)]
    head = f"\n{result.mode}, {result.group}\n{'':10}" + "".join(f"{name:>10}" for name in POSTURES)
    return "\n".join([head, *rows, f"F1 {class_f1(confusion).round(3)}, macro {result.values['macro_f1']:.3f}"])


# All people: the levels set for this path; the people held apart: just below what they reach (of 32 events 32 online, 30
# looking back), so that a loss shows.
LEVELS = {
    ("online", "all"): (0.96, 0.92, 0.96),
    ("online", "unseen"): (0.96, 0.92, 0.96),
    ("settled", "all"): (0.96, 0.92, 0.96),
    ("settled", "unseen"): (0.96, 0.92, 0.96),
    ("retro", "all"): (0.97, 0.92, 0.96),
    ("retro", "unseen"): (0.97, 0.92, 0.96),
}


@pytest.mark.parametrize("mode", ["online", "settled", "retro"])
def test_posture_of_people_with_video_labels(reference: Path, mode: Literal["online", "settled", "retro"]) -> None:
    results = validate(reference, ["hapt"], [mode], with_peers=False).results
    for kind in ("all", "unseen"):
        posture, transfers = (r for r in results if r.kind == kind)
        print(kind, table(posture), "\ntransfers", transfers.values, transfers.tally)
        macro, recall, precision = LEVELS[mode, kind]
        assert posture.values["macro_f1"] >= macro
        assert transfers.values["recall"] >= recall
        assert transfers.values["precision"] >= precision


@pytest.mark.parametrize(
    ("folder", "mode", "recall", "false"),
    [
        ("ipol_l5_gait", "online", 0.88, 0.03),
        ("ipol_l5_gait", "retro", 0.94, 0.04),
        ("mobgap_lowback", "online", 0.60, 0.08),
        ("mobgap_lowback", "retro", 0.80, 0.10),
    ],
)
def test_walking_is_where_the_feet_touch(
    reference: Path, folder: str, mode: Literal["online", "retro"], recall: float, false: float
) -> None:
    """Seconds with three contacts about them are walking; seconds 2 s away from any contact are not."""
    results = validate(reference, [folder], [mode], with_peers=False).results
    (walking,) = [r for r in results if r.measure == "walking" and r.kind == "all"]
    print(f"\n{folder} {mode}: {walking.values} {walking.tally}")
    assert walking.values["found"] >= recall
    assert walking.values["false"] <= false
