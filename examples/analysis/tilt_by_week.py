"""Mixed model of a day's mean tilt by week, a random intercept for each wearer: python tilt_by_week.py EXPORT_FOLDER

Days with less than two hours of upright minutes are left out. What the slope means depends on the design of the study: without
a control group it is a description of this cohort, no effect of anything.
"""

import sys
from pathlib import Path

import pandas as pd
import statsmodels.formula.api as smf

if len(sys.argv) != 2:
    sys.exit(__doc__)
epochs = pd.read_parquet(Path(sys.argv[1]) / "epochs.parquet")
upright = epochs[(epochs["standing_s"] + epochs["walking_s"] >= 50) & epochs["tilt_mean_deg"].notna()].copy()
upright["day"] = pd.to_datetime(upright["t_utc_ns"], unit="ns", utc=True).dt.normalize()
days = upright.groupby(["wearer", "day"])["tilt_mean_deg"].agg(["mean", "size"]).reset_index()
days = days[days["size"] >= 120].rename(columns={"mean": "tilt_deg"})
if days["wearer"].nunique() < 2 or days.groupby("wearer").size().max() < 2:
    sys.exit(
        f"{len(days)} days with two hours upright, of {days['wearer'].nunique()} wearers: the model needs two wearers and weeks; "
        "try it with `tiltline demo --cohort 12 --days 30 --seed-only`"
    )
days["week"] = (days["day"] - days.groupby("wearer")["day"].transform("min")).dt.days / 7
fit = smf.mixedlm("tilt_deg ~ week", days, groups=days["wearer"]).fit(reml=True)
low, high = fit.conf_int().loc["week"]
print(fit.summary())
print(
    f"{len(days)} days of {days['wearer'].nunique()} wearers: {fit.params['week']:+.3f} deg a week ({low:+.3f} to {high:+.3f})"
)
