"""Compare `tiltline process` with your own motion capture: python validate_optical.py SAMPLES.parquet OPTICAL.csv agreement.png

OPTICAL.csv has `t_s` (any start) and `anterior_tilt_deg` of the pelvis, from markers. The clocks are brought together by the lag at
which the two signals move most alike (at most 10 s). Both zeros are a matter of definition, so the mean difference is told apart
from the error around it. Errors close in time are alike; the interval therefore comes from whole blocks of ten seconds.
"""

import sys

import matplotlib as mpl

mpl.use("Agg")  # draws into a file, without a screen
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

RATE_HZ, MOST_LAG_S, BLOCK_S = 50, 10, 10

samples = pd.read_parquet(sys.argv[1]).query("valid")
optical = pd.read_csv(sys.argv[2]).dropna()
ours_t = (samples["t_utc_ns"] - samples["t_utc_ns"].iloc[0]).to_numpy() / 1e9
theirs_t = (optical["t_s"] - optical["t_s"].iloc[0]).to_numpy()

# On one grid, with room at both ends for the lag.
grid = np.arange(-MOST_LAG_S, max(ours_t[-1], theirs_t[-1]) + MOST_LAG_S, 1 / RATE_HZ)
ours, theirs = (
    np.interp(grid, t, values, left=np.nan, right=np.nan)
    for t, values in ((ours_t, samples["anterior_tilt_deg"]), (theirs_t, optical["anterior_tilt_deg"]))
)


def likeness(lag: int) -> float:
    """Correlation of the two rates of change, our signal later by so many steps."""
    a, b = np.diff(ours), np.roll(np.diff(theirs), lag)
    both = np.isfinite(a) & np.isfinite(b)
    return float(np.corrcoef(a[both], b[both])[0, 1]) if both.sum() > 5 * RATE_HZ else -1.0


likenesses = {lag: likeness(lag) for lag in range(-MOST_LAG_S * RATE_HZ, MOST_LAG_S * RATE_HZ + 1)}
lag = max(likenesses, key=lambda lag: likenesses[lag])
theirs = np.roll(theirs, lag)
both = np.isfinite(ours) & np.isfinite(theirs)
if both.sum() < 2 * BLOCK_S * RATE_HZ:
    sys.exit(f"only {both.sum() / RATE_HZ:.0f} s in common; at least {2 * BLOCK_S} s are needed")
difference = (ours - theirs)[both]
error = difference - difference.mean()
rmse = float(np.sqrt(np.mean(error**2)))

blocks = np.array_split(error**2, max(2, len(error) // (BLOCK_S * RATE_HZ)))
draws = np.random.default_rng(0).integers(len(blocks), size=(2000, len(blocks)))
sums, counts = np.array([b.sum() for b in blocks]), np.array([len(b) for b in blocks])
low, high = np.quantile(np.sqrt(sums[draws].sum(1) / counts[draws].sum(1)), [0.025, 0.975])

figure, (above, below) = plt.subplots(2, figsize=(11, 7), layout="constrained")
seconds = grid[both]
above.plot(seconds, theirs[both] + difference.mean(), label="motion capture, moved to our zero")
above.plot(seconds, ours[both], linewidth=1, label="tiltline")
above.set(xlabel="s", ylabel="anterior tilt [deg]")
above.legend()
below.plot((ours[both] + theirs[both]) / 2, difference, ".", markersize=1, alpha=0.3)
for offset in (0, -1.96, 1.96):
    below.axhline(difference.mean() + offset * error.std(), color="tab:orange", linestyle="--" if offset else "-")
below.set(xlabel="mean of both [deg]", ylabel="tiltline minus motion capture [deg]")
figure.savefig(sys.argv[3], dpi=120)
print(
    f"{both.sum() / RATE_HZ:.0f} s in common, motion capture moved by {lag / RATE_HZ:+.2f} s (likeness {likenesses[lag]:.2f})\n"
    f"zeros {difference.mean():+.2f} deg apart; around that RMSE {rmse:.2f} deg (95 % {low:.2f} to {high:.2f})\n"
    f"limits of agreement {-1.96 * error.std():+.2f} to {1.96 * error.std():+.2f} deg"
)
