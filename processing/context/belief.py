"""What a movement between two rests says about lying, sitting and being upright: likelihoods from physics.

Tilt alone cannot tell sitting from standing, so posture is a belief over three states that only movements change. Each movement
(an `Edge`) is weighed by how far the pelvis rose, how long it took, and which way up pointed before and after. The
figures in `ContextParams` come from body and furniture dimensions and from the literature; none is fitted to recordings.
Where up points in each posture stands in `references.py`;
`bouts.py` makes edges, `stage.py` filters forward, `retro.py` smooths both ways with the same matrices.
"""

from __future__ import annotations

import math
from typing import Final, NamedTuple, TypeAlias

from processing.context.params import Belief, ContextParams
from processing.context.references import (
    PRIOR_S,
    SITTING,
    UPRIGHT,
    References,
    Vector,
    gauss2,
    posture_density,
)
from processing.features.displacement import angle_deg
from processing.features.movement import CELL_S

Matrix: TypeAlias = tuple[Belief, Belief, Belief]

_LITTLE: Final = 0.05
_LONG_S: Final = 5.0
_TINY: Final = 1e-30
_ROOT_2: Final = math.sqrt(2.0)
_ROOT_12: Final = math.sqrt(12.0)
_ROOT_2PI: Final = math.sqrt(2.0 * math.pi)
_KEPT_SD_M: Final = 0.03
"""By how much a posture kept may raise or lower the pelvis."""
_SPLIT: Final = ((0.0, 0.7, 0.3), (0.25, 0.0, 0.75), (0.1, 0.9, 0.0))
"""Where a change goes: between lying and standing one mostly sits; most sitting ends in standing up. People sit down some sixty
times a day (Dall & Kerr 2010) and lie down a few times, mostly by way of sitting."""


class Edge(NamedTuple):
    """A movement from one node (rest or walk) to the next.

    ``path_deg`` is the angle turned through on the way. ``rise_m`` is None where it could not be measured (a gap, or a movement too long). ``up_before`` and ``up_after`` are
    directions of up at its ends; ``walk_after`` says that it ends in walking; ``moving_ends`` counts ends without rest;
    ``steps_within`` that it goes from rest to rest with a few steps on the way (`brief_walks.py`); ``lost_s`` is missing in short holes.
    """

    duration_s: float
    path_deg: float
    rise_m: float | None
    up_before: Vector | None
    up_after: Vector
    walk_after: bool = False
    moving_ends: int = 0
    steps_within: bool = False
    lost_s: float = 0.0


def against_standing(belief: Belief, back: float, from_s: float, to_s: float, p: ContextParams) -> Belief:
    """Belief after resting from ``from_s`` to ``to_s`` seconds after the last step, tilted back with probability ``back``.

    A share T / (T + t) of stands and sits lasts t without a step, with the T of either; ``back`` weighs the evidence.
    """
    stand = (1.0 + from_s / p.stand_still_s) / (1.0 + to_s / p.stand_still_s)
    sit = (1.0 + from_s / p.sit_still_s) / (1.0 + to_s / p.sit_still_s)
    return normalised((belief[0], belief[1], belief[2] * (stand / sit) ** back))


def walked(belief: Belief, seconds: float, p: ContextParams) -> Belief:
    """Belief after ``seconds`` more of walking: what only looks like steps does not last."""
    left = math.exp(-seconds / p.false_steps_s)
    return normalised((belief[0] * left, belief[1] * left, belief[2]))


def _change_prior(edge: Edge, p: ContextParams) -> float:
    if edge.rise_m is None:
        # Nothing measured: after a long movement or a gap anything may have happened.
        return p.change if edge.duration_s > _LONG_S else p.change_small
    if edge.duration_s < p.min_transfer_s:
        return p.change_small
    large = (edge.path_deg - p.small_path_deg) / (p.large_path_deg - p.small_path_deg)
    return p.change_small + (p.change - p.change_small) * min(1.0, max(0.0, large))


def _priors(edge: Edge, p: ContextParams) -> Matrix:
    """Prior of going from each state to each, before anything measured but size and duration."""
    change = _change_prior(edge, p)
    lying, sitting, (up_lying, up_sitting, up) = plain = _plain(change)
    if edge.rise_m is not None:
        late = (edge.duration_s - p.lie_down_s) / (p.lie_down_sd_s * _ROOT_2)
        up_lying *= max(_LITTLE, 0.5 * (1.0 + math.erf(late)))
        plain = lying, sitting, (up_lying, up_sitting, up)
    if not edge.steps_within:
        return plain
    # Who takes a step stands on the way: first up (or up already), then on (or down again). Or they were no steps.
    no, sure = p.walking_not_upright, _plain(p.change)
    rows = [[no * plain[a][b] + (1.0 - no) * sure[a][UPRIGHT] * sure[UPRIGHT][b] for b in range(3)] for a in range(3)]
    return _matrix(rows)


def _matrix(rows: list[list[float]]) -> Matrix:
    (a, b, c), (d, e, f), (g, h, i) = rows
    return (a, b, c), (d, e, f), (g, h, i)


def _plain(change: float) -> Matrix:
    """Prior of each change where a share ``change`` changes."""
    kept = 1.0 - change
    (_, a, b), (c, _, d), (e, f, _) = _SPLIT
    return (kept, change * a, change * b), (change * c, kept, change * d), (change * e, change * f, kept)


def _of_rise(rise_m: float, sd0: float, moving: bool, stray: float, p: ContextParams) -> Matrix:
    """Density [1/m] of a rise for each change: by how far it lowers the pelvis, or raises it. ``moving``: seen from walking, or into it."""
    # A wrong displacement can be anything up to a metre or so.
    true, anything = 1.0 - stray, stray * 0.4

    def densities(drop: float, drop_sd: float) -> tuple[float, float]:
        """Of rising so far, and of sinking."""
        seen, seen_sd = drop, drop_sd
        if moving:
            seen, seen_sd = p.walk_end_seen * drop, math.hypot(drop_sd, (1.0 - p.walk_end_seen) * drop)
        sd = math.sqrt(sd0 * sd0 + seen_sd * seen_sd)
        size = sd * _ROOT_2PI
        up = math.exp(-0.5 * ((rise_m - seen) / sd) ** 2) / size
        down = math.exp(-0.5 * ((rise_m + seen) / sd) ** 2) / size
        return true * up + anything, true * down + anything

    sd = math.sqrt(sd0 * sd0 + _KEPT_SD_M * _KEPT_SD_M)
    kept = true * (math.exp(-0.5 * (rise_m / sd) ** 2) / (sd * _ROOT_2PI)) + anything
    stood_up, sat_down = densities(p.seat_drop_m, p.seat_drop_sd_m)
    got_up, lay_down = densities(p.bed_drop_m, p.bed_drop_sd_m)
    sat_up, lay_back = densities(p.lie_down_drop_m, p.lie_down_drop_sd_m)
    return (kept, sat_up, got_up), (lay_back, kept, stood_up), (lay_down, sat_down, kept)


def _sd_of_rise(edge: Edge, moving_sd: float, p: ContextParams) -> float:
    """Standard deviation [m] of a measured rise, without what bodies and furniture differ by."""
    blend_sd = p.rise_sd_m_per_deg * edge.path_deg
    drift_sd = p.rise_sd_m_per_s2 * edge.duration_s**2
    start_sd = p.walk_start_sd_m * edge.walk_after
    # In a hole the cell before it stands in for what came, half the hole and a cell too late. The velocity so missed, at any moment
    # of the movement, less what the zero velocity at its end takes back:
    unseen_mps = 0.5 * p.jerk_mps3 * edge.lost_s * (edge.lost_s + CELL_S)
    lost_sd = unseen_mps * edge.duration_s / _ROOT_12
    return math.sqrt(p.rise_sd_m**2 + blend_sd**2 + drift_sd**2 + moving_sd**2 + start_sd**2 + lost_sd**2)


def edge_matrix(edge: Edge, refs: References, p: ContextParams) -> Matrix:
    """Weights ``m[from][to]`` of an edge: prior of the change times likelihood of what was measured."""
    (ll, ls, lu), (sl, ss, su), (ul, us, uu) = _priors(edge, p)
    if edge.rise_m is not None:
        moving_sd = p.moving_end_sd_m * (edge.moving_ends - edge.walk_after)
        stray = min(p.stray_max, p.stray_per_deg * edge.path_deg)
        of = _of_rise(edge.rise_m, _sd_of_rise(edge, moving_sd, p), moving_sd > 0.0, stray, p)
        (kept, sat_up, got_up), (lay_back, _, stood_up), (lay_down, sat_down, _) = of
        ll, ls, lu = ll * kept, ls * sat_up, lu * got_up
        sl, ss, su = sl * lay_back, ss * kept, su * stood_up
        ul, us, uu = ul * lay_down, us * sat_down, uu * kept
    if edge.walk_after:
        no = p.walking_not_upright
        return (ll * no, ls * no, lu), (sl * no, ss * no, su), (ul * no, us * no, uu)
    same = lying, sitting, upright = posture_density(edge.up_after, refs, p)
    if edge.up_before is not None and not edge.steps_within:
        resumed = gauss2(angle_deg(edge.up_before, edge.up_after), p.same_sd_deg)
        a, b, c = p.repose
        same = (
            (1.0 - a) * resumed + a * lying,
            (1.0 - b) * resumed + b * sitting,
            (1.0 - c) * resumed + c * upright,
        )
    return (
        (ll * same[0], ls * sitting, lu * upright),
        (sl * lying, ss * same[1], su * upright),
        (ul * lying, us * sitting, uu * same[2]),
    )


def apply(belief: Belief, matrix: Matrix) -> Belief:
    """Belief after an edge, normalised."""
    (a, b, c), (d, e, f), (g, h, i) = matrix
    x, y, z = belief
    return normalised((x * a + y * d + z * g, x * b + y * e + z * h, x * c + y * f + z * i))


def likeliest_change(belief: Belief, matrix: Matrix, later: Belief = (1.0, 1.0, 1.0)) -> tuple[int, int] | None:
    """The change (from, to) that more likely than not happened across an edge, or None.

    ``belief`` is the one before the edge, ``later`` the likelihood of all that follows. Judged by the edge itself: a belief that
    tips over because of some fidget is no change.
    """
    pair = likeliest_pair(belief, matrix, later)
    return None if pair is None or pair[0] == pair[1] else pair


def likeliest_pair(belief: Belief, matrix: Matrix, later: Belief = (1.0, 1.0, 1.0)) -> tuple[int, int] | None:
    """As `likeliest_change`, but a state kept counts as well; None where no pair holds more than half of the probability."""
    (a, b, c), (d, e, f), (g, h, i) = matrix
    x, y, z = belief
    u, v, w = later
    weights = [x * a * u, x * b * v, x * c * w, y * d * u, y * e * v, y * f * w, z * g * u, z * h * v, z * i * w]
    total = _TINY
    for weight in weights:
        total += weight
    best = max(weights)
    return divmod(weights.index(best), 3) if best > 0.5 * total else None


def apply_back(matrix: Matrix, later: Belief) -> Belief:
    """Likelihood of what comes later for each state before an edge, scaled to sum to one."""
    out = [row[0] * later[0] + row[1] * later[1] + row[2] * later[2] for row in matrix]
    total = out[0] + out[1] + out[2] + _TINY
    return out[0] / total, out[1] / total, out[2] / total


def normalised(weights: Belief) -> Belief:
    """Weights to probabilities, none of them exactly nothing, so that later evidence can still turn a belief."""
    x, y, z = weights
    total = x + y + z + _TINY
    x, y, z = max(x / total, 1e-4), max(y / total, 1e-4), max(z / total, 1e-4)
    total = x + y + z
    return x / total, y / total, z / total


def start_belief(prior: Belief, up: Vector, refs: References, p: ContextParams) -> Belief:
    """Belief at a start, from the prior and the direction of up.

    The direction counts half (square root) as long as this wearer has not been seen standing, and a pose alone, without any
    movement seen, never makes sitting likelier than standing: a stander may tuck the pelvis as far as a sitter.
    """
    power = 1.0 - 0.5 * PRIOR_S / (PRIOR_S + refs.standing_s)
    lying, sitting, upright = (x**power for x in posture_density(up, refs, p))
    upright = max(upright, sitting * prior[SITTING] / prior[UPRIGHT])
    return normalised((prior[0] * lying, prior[1] * sitting, prior[2] * upright))
