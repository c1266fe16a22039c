"""A lossy radio: posture and transfers through holes too short to sit down in, and what a long hole may hide."""

from __future__ import annotations

from typing import Literal

import numpy as np
import pytest

from processing.context.holes import HoleStage
from processing.context.params import ContextParams
from processing.context.retro import RetroContext
from processing.context.stage import ContextStage
from processing.features.movement import MovementStage
from processing.types import POSTURES
from tests.processing.bodies import Body

RATE_HZ = 50.0
TRANSFERS = ["stand_to_sit", "sit_to_stand", "stand_to_sit", "sit_to_lie"]


def some_minutes() -> Body:
    """Stand to 10 s, walk to 40, stand to 49.5, sit to 170, stand to 190, walk to 210, stand, sit from 215.5, lie from 276."""
    body = Body(rate_hz=RATE_HZ).rest(10).walk(30).rest(9.5).sit_down().rest(118).stand_up().rest(18).walk(20).rest(3)
    return body.sit_down(tilt_deg=-4.0).rest(57.0).lie_down(drop_m=0.1).rest(60)


def lossy(seed: int, hole_s: float, share: float) -> np.ndarray:
    size = round(hole_s * RATE_HZ)
    lost = np.random.default_rng(seed).uniform(size=20_000 // size) < share
    return ~np.repeat(lost, size)


@pytest.mark.parametrize(
    ("mode", "hole_s", "least_right", "least_found"),
    [("online", 0.16, 0.85, 0.75), ("retro", 0.16, 0.97, 0.95), ("online", 0.5, 0.65, 0.6), ("retro", 0.5, 0.9, 0.75)],
)
def test_five_percent_lost_in_packets(
    mode: Literal["online", "retro"], hole_s: float, least_right: float, least_found: float
) -> None:
    """Of twelve links. When every hole broke a movement off, 0.37 to 0.67 of the seconds were right.

    One sit-down in eight holds half a second's hole, and then nothing can say how far it went down.
    """
    right, asked, found = 0, 0, 0
    for seed in range(12):
        block = some_minutes().block(lossy(seed, hole_s, 0.05))
        if mode == "online":
            stage = ContextStage(rate_hz=RATE_HZ)
            context, transfers = stage.update(block), stage.take_transfers()
        else:
            back = RetroContext(rate_hz=RATE_HZ)
            back.add(block)
            (context,) = back.finish()
            transfers = back.transfers
        got = dict(
            zip((block.second - 1_790_000_000).tolist(), (POSTURES[int(c)] for c in context.posture), strict=True)
        )
        spans = (
            ("standing", 2, 9),
            ("walking", 12, 39),
            ("sitting", 54, 168),
            ("standing", 174, 189),
            ("lying", 284, 330),
        )
        for name, lo, hi in spans:
            right += sum(got.get(s) == name for s in range(lo, hi))
            asked += hi - lo
        kinds = [t.kind for t in transfers]
        found += sum(kinds.count(k) == TRANSFERS.count(k) for k in set(TRANSFERS))
    assert right > least_right * asked
    assert found >= least_found * 12 * len(set(TRANSFERS))


def marked(hole_s: float, before_s: float = 20.3) -> list[bool]:
    """Which seconds count as interrupted after a hole in standing."""
    keep = np.ones(2000, dtype=bool)
    first = round(before_s * RATE_HZ)
    keep[first : first + round(hole_s * RATE_HZ)] = False
    block = Body(rate_hz=RATE_HZ).rest(40).block(keep)
    assert block.gap_before.sum() == 1
    return HoleStage(ContextParams()).update(MovementStage(RATE_HZ).update(block)).gap_before.tolist()


@pytest.mark.parametrize(("hole_s", "counts"), [(0.14, False), (0.5, False), (0.8, False), (1.2, True), (3.0, True)])
def test_only_holes_in_which_one_can_sit_down_count(hole_s: float, counts: bool) -> None:
    assert any(marked(hole_s)) == counts


def test_a_hole_over_the_edge_of_a_block_is_measured_whole() -> None:
    keep = np.ones(2000, dtype=bool)
    keep[1010:1070] = False  # 0.8 s of second 20, 0.4 s of second 21
    body = Body(rate_hz=RATE_HZ).rest(40)
    stage, movement = HoleStage(ContextParams()), MovementStage(RATE_HZ)
    whole = movement.update(body.block(keep))
    assert whole.gap_before.tolist() == [s == 21 for s in range(40)]
    cut = 21
    head, tail = (
        type(whole)(**{n: getattr(whole, n)[_rows(n, span)] for n in whole.__slots__})
        for span in (slice(0, cut), slice(cut, 40))
    )
    stage.update(head)
    again = HoleStage(ContextParams())
    again.restore(stage.snapshot())
    assert stage.update(tail).gap_before[0]
    assert again.update(tail).gap_before[0]


def _rows(name: str, span: slice) -> slice:
    """Rows of a column of `Movement` for a span of seconds: some columns hold ten cells a second."""
    cells = 10 if name in ("turn_dps", "acc_up_mps2", "up") else 1
    return slice(span.start * cells, span.stop * cells)
