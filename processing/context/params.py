"""Constants of context, few and explained: from bodies, furniture and the literature, none fitted to recordings."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

Belief: TypeAlias = tuple[float, float, float]
"""Probabilities of lying, sitting, upright."""


@dataclass(frozen=True, slots=True)
class ContextParams:
    """Constants of context. Units in the names; where a figure comes from stands beside it."""

    # The clip goes on, and recordings start, mostly while standing.
    start: Belief = (0.1, 0.25, 0.65)
    # When it goes on again amid the day, one sits down at once as often as one stays up.
    start_again: Belief = (0.1, 0.45, 0.45)
    # Chairs put the seat 0.40-0.50 m up, hips of adults stand at 0.85-0.95 m and sit at 0.50-0.60 m.
    seat_drop_m: float = 0.36
    seat_drop_sd_m: float = 0.12
    # From a bed's or floor's height: wider; from sitting on a bed to lying on it: little.
    bed_drop_m: float = 0.45
    bed_drop_sd_m: float = 0.20
    lie_down_drop_m: float = 0.10
    lie_down_drop_sd_m: float = 0.12
    # Lying down from standing is sitting down (1.5-3 s), leaning back and lifting the legs; in less one can but fall.
    lie_down_s: float = 4.0
    lie_down_sd_s: float = 1.0
    # Error of the displacement: a constant part, and what an offset leaves where the pelvis turns off the line between its
    # two rests (0.3 m/s² x sin 30° for a second or so: 0.05 m in a sit-down's 80° there and back); more while still moving.
    rise_sd_m: float = 0.03
    rise_sd_m_per_deg: float = 0.0006
    rise_sd_m_per_s2: float = 0.0025  # 0.03 m/s² of drift within a movement: a T² / 12
    # Of sitting down and standing up, 2 m/s² up and down within 1.5-2 s; counts where packets are lost.
    jerk_mps3: float = 6.0
    moving_end_sd_m: float = 0.12
    walk_end_seen: float = 0.75  # walking is judged by whole seconds: of a sink amid the last one a part is lost
    walk_start_sd_m: float = 0.3  # rising goes over into the first steps, and only so much of it is seen
    # Share of movements whose displacement is wrong altogether; grows like the error itself.
    stray_per_deg: float = 0.0004
    stray_max: float = 0.2
    # Standing up or sitting down takes at least a second, and a lean of 20-30° there and back; fidgets are smaller and many.
    min_transfer_s: float = 1.0
    small_path_deg: float = 20.0
    large_path_deg: float = 60.0
    change: float = 0.4  # share of large movements that change posture; the rest are bends, reaches, turns in bed
    change_small: float = 0.002
    # Direction of up against the upright reference. Standing repeats within 10.4° in 95 % (sd 4.2° an axis), the reference
    # is as good again. Sitting turns the pelvis by 18° in the median, by less than 10° in 15 %. Lying is a right angle.
    upright_sd_deg: float = 5.5
    odd_stance: float = 0.1  # share of stands out of the usual: on one leg, leaning, the belt shifted
    odd_stance_sd_deg: float = 15.0
    mount_sd_deg: float = 15.0  # a clip put on by eye, until walking or standing has shown its upright
    sitting_sd_deg: float = 18.0
    own_sitting_sd_deg: float = 8.0
    odd_seat: float = 0.1  # share of sits far back: in a recliner, or the clip turned by the fold of the waist
    odd_seat_sd_deg: float = 35.0
    lying_sd_deg: float = 15.0
    same_sd_deg: float = 8.0  # a rest resumed after a fidget
    # Share of fidgets after which the pelvis rests in another direction of the same posture: turning over in bed, slumping on
    # a chair; standing hardly varies.
    repose: Belief = (0.5, 0.2, 0.1)
    # Walking says upright; a few shaken seconds might not be walking.
    walking_not_upright: float = 0.02
    false_steps_s: float = 10.0  # how long spells last that only look like steps
    # Resting without a step, tilted back from one's own upright: half of all stands have had a step within four minutes, half of
    # all sits last thirty. By that the odds against standing grow, sevenfold at most: long standers exist.
    stand_still_s: float = 240.0
    sit_still_s: float = 1800.0
    tilted_back_deg: float = 16.0
    tilted_back_sd_deg: float = 3.0
    # Posture stays unknown below this probability.
    min_confidence: float = 0.55
