"""Looking back, who sits down straight out of a walk is known to sit; online that is a known weakness (`docs/validation.md`)."""

from __future__ import annotations

from tests.validation.chair import told


def test_looking_back_sitting_down_out_of_a_walk_is_told() -> None:
    for seed in (1, 2, 7):  # told too late online
        found, there, share = told(seed, "retro")
        assert found == there
        assert share > 0.98
