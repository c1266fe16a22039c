"""Compare `tiltline process` with your own motion capture: python validate_optical.py SAMPLES.parquet OPTICAL.csv agreement.png

OPTICAL.csv has `t_s` (any start, any rate) and `anterior_tilt_deg` of the pelvis from markers, + = forward; empty where markers were
hidden. The cameras may have run for a part of the recording only: the clocks are brought together where the two signals move most
alike. Clocks that drift apart are not: hand in long recordings in pieces of some minutes. Both zeros are a matter of definition, so
the mean difference is told apart from the error around it. Holes in either signal are left out, not bridged. Errors close in time
are alike; the interval therefore comes from whole blocks of ten seconds.
"""

import sys

import matplotlib as mpl

mpl.use("Agg")  # draws into a file, without a screen
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from scipy.signal import fftconvolve

RATE_HZ, LEAST_COMMON_S, BLOCK_S, HOLE_S, LEAST_LIKENESS = 50, 20, 10, 0.1, 0.5


def on_grid(t_s: np.ndarray, values: np.ndarray) -> np.ndarray:
    """A signal at RATE_HZ from its first sample on; NaN where it has a hole."""
    grid = np.arange(0.0, t_s[-1], 1 / RATE_HZ)
    after = np.searchsorted(t_s, grid).clip(1)
    steps = np.diff(t_s)
    hole = steps[after - 1] > max(HOLE_S, 2.5 * np.median(steps))
    return np.where(hole, np.nan, np.interp(grid, t_s, values))


def movement(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The next fifth of a second against the last one (less jitter than step by step), 0 where unknown; and 1 where known."""
    fifth = np.ones(RATE_HZ // 5)
    slope = np.convolve(values, np.concatenate([fifth, -fifth]), "same")
    known = np.isfinite(slope)
    return np.where(known, slope - slope[known].mean(), 0.0), known.astype(float)


def likenesses(ours: np.ndarray, theirs: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Lags of theirs behind the start of ours, in steps, and the correlation of both movements at each."""
    (a, in_a), (b, in_b) = movement(ours), movement(theirs)

    def over_lags(x: np.ndarray, y: np.ndarray) -> np.ndarray:
        return fftconvolve(x, y[::-1])

    common = over_lags(in_a, in_b)
    power = np.maximum(over_lags(a**2, in_b), 0) * np.maximum(over_lags(in_a, b**2), 0)
    enough = common > max(LEAST_COMMON_S * RATE_HZ, 0.5 * min(in_a.sum(), in_b.sum()))
    found = np.where(enough, over_lags(a, b) / np.sqrt(np.where(enough, power, 1.0) + 1e-12), 0.0)
    return np.arange(len(found)) - (len(b) - 1), found


if len(sys.argv) != 4:
    sys.exit(__doc__)
samples = pd.read_parquet(sys.argv[1]).query("valid")
optical = pd.read_csv(sys.argv[2])[["t_s", "anterior_tilt_deg"]].dropna().sort_values("t_s")
if len(samples) < 2 or len(optical) < 2:
    sys.exit(f"{len(samples)} valid samples and {len(optical)} of motion capture: nothing to compare")
ours = on_grid(
    (samples["t_utc_ns"] - samples["t_utc_ns"].iloc[0]).to_numpy() / 1e9, samples["anterior_tilt_deg"].to_numpy()
)
theirs = on_grid((optical["t_s"] - optical["t_s"].iloc[0]).to_numpy(), optical["anterior_tilt_deg"].to_numpy())

lags, alike = likenesses(ours, theirs)
lag, likeness = int(lags[alike.argmax()]), float(alike.max())
if likeness < LEAST_LIKENESS:
    opposite = " They move opposite to each other: is + forward in both?" if alike.min() < -LEAST_LIKENESS else ""
    sys.exit(
        f"the two signals move alike nowhere for {LEAST_COMMON_S} s (likeness {likeness:.2f} at best, {LEAST_LIKENESS} needed): "
        f"is it the same recording?{opposite}"
    )
ours, theirs = ours[max(lag, 0) :], theirs[max(-lag, 0) :]
ours, theirs = ours[: len(theirs)], theirs[: len(ours)]
both = np.isfinite(ours) & np.isfinite(theirs)
difference = (ours - theirs)[both]
error = difference - difference.mean()
rmse = float(np.sqrt(np.mean(error**2)))

blocks = np.array_split(error**2, max(2, len(error) // (BLOCK_S * RATE_HZ)))
draws = np.random.default_rng(0).integers(len(blocks), size=(2000, len(blocks)))
sums, counts = np.array([b.sum() for b in blocks]), np.array([len(b) for b in blocks])
low, high = np.quantile(np.sqrt(sums[draws].sum(1) / counts[draws].sum(1)), [0.025, 0.975])

figure, (above, below) = plt.subplots(2, figsize=(11, 7), layout="constrained")
seconds = np.arange(len(ours)) / RATE_HZ
above.plot(seconds, np.where(both, theirs + difference.mean(), np.nan), label="motion capture, moved to our zero")
above.plot(seconds, np.where(both, ours, np.nan), linewidth=1, label="tiltline")
above.set(xlabel="s", ylabel="anterior tilt [deg]")
above.legend()
below.plot(((ours + theirs) / 2)[both], difference, ".", markersize=1, alpha=0.3)
for offset in (0, -1.96, 1.96):
    below.axhline(difference.mean() + offset * error.std(), color="tab:orange", linestyle="--" if offset else "-")
below.set(xlabel="mean of both [deg]", ylabel="tiltline minus motion capture [deg]")
figure.savefig(sys.argv[3], dpi=120)
first = pd.to_datetime(samples["t_utc_ns"].iloc[0] + round(lag / RATE_HZ * 1e9), unit="ns", utc=True)
print(
    f"{both.sum() / RATE_HZ:.0f} s in common, motion capture moved by {lag / RATE_HZ:+.2f} s (likeness {likeness:.2f}): "
    f"its t_s {optical['t_s'].iloc[0]:g} is {first:%Y-%m-%d %H:%M:%S.%f} UTC\n"
    f"zeros {difference.mean():+.2f} deg apart; around that RMSE {rmse:.2f} deg (95 % {low:.2f} to {high:.2f})\n"
    f"limits of agreement {-1.96 * error.std():+.2f} to {1.96 * error.std():+.2f} deg"
)
