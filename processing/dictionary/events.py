"""What lies in an event's `data`, by type: the dictionary of the keys that `tiltline export` writes as JSON text.

A test takes events of every type from the rules, the coach and the core and compares.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from processing.dictionary.entries import DOSE, ENTRY_DATA, EXERCISE, FLAG_ID, STUDY, TEXT
from processing.dictionary.field import Field
from processing.dictionary.signal import ALIGNMENT_ID, MOUNT_ID, SIGNAL_DATA
from processing.dictionary.words import ANSWERS, COMPARED
from processing.types import POSTURES

_S = "string"
_I = "int64"
_F = "float64"
_J = "json"

_ORIGIN: Final = (Field("sensor", _S, "1", "The sensor whose signal was judged."), *STUDY)
_RULE: Final = (
    *_ORIGIN,
    Field("rule", _S, "1", "The rule, as in the column of this name.", "no rule is known behind it"),
    Field("rule_version", _I, "1", "Version of the rule's arithmetic.", "no rule is known behind it", 1),
)
_WINDOW: Final = Field("window", _J, "ns", "The time judged: from `start_utc_ns` up to `end_utc_ns`.")
_THRESHOLDS: Final = (
    Field(
        "thresholds",
        _J,
        "1",
        "By posture, the limit in force: `on_mdeg` (0.001 deg), its `source` (neutral: the fixed limit; personal: the wearer's habit; "
        "personal_capped; therapist), and the habit behind it: `median_mdeg`, `mad_mdeg` (median absolute deviation), `days`.",
        "not a rule about tilt",
    ),
    Field("baseline_version", _S, "1", "Version of the wearer's usual tilt that was used.", "too few days yet"),
)
_TILT: Final = (
    Field("tilt_deg", _F, "deg", "Smoothed tilt from neutral that decided.", "not a rule about tilt", -180, 180),
    Field("threshold_deg", _F, "deg", "Limit it was compared with.", "not a rule about tilt", -180, 180),
)

EVENT_DATA: Final[Mapping[str, tuple[Field, ...]]] = {
    "flag": (
        *_RULE,
        Field("value", _F, "see unit", "What reached the limit.", "", 0),
        Field("limit", _F, "see unit", "The limit it reached, from the study file.", "", 0),
        Field("unit", _S, "1", "Unit of value and limit.", words=("s", "deg*min")),
        Field("dose_udeg_min", _I, "udeg*min", "The dose, exact.", "another rule than tilt_dose", 0),
        Field("posture", _S, "1", "Posture at the end of the window.", words=POSTURES),
        *_TILT,
        _WINDOW,
        Field(
            "quality",
            _J,
            "1",
            "Ten-second epochs used (`eligible_epochs`, `counted_epochs`) and the least and mean coverage and confidence among them.",
        ),
        Field(
            "limits",
            _J,
            "1",
            "The rule's settings as its integer arithmetic holds them: `_mdeg` 0.001 deg, `_permille` 0.001.",
        ),
        Field(
            "before", _J, "1", "State of the rule before the first epoch listed; a flag can be recomputed from here."
        ),
        Field(
            "epochs",
            _J,
            "1",
            "The ten-second epochs used, as columns: number since 1970 `k` as [first, count]; `posture` and `threshold_mdeg` as "
            "[value, count]; `tilt_mdeg` one by one.",
        ),
        *_THRESHOLDS,
        MOUNT_ID,
        ALIGNMENT_ID,
        TEXT,
    ),
    "episode_start": (*_RULE, _WINDOW, *_TILT, *_THRESHOLDS),
    "episode_end": (
        *_RULE,
        Field("episode_event_id", _S, "1", "The episode_start it ends."),
        Field(
            "reason",
            _S,
            "1",
            "Why it ended.",
            words=("below", "ineligible", "mount_changed", "not_aligned", "realigned", "recording_ended"),
        ),
        Field("active_s", _I, "s", "Eligible time of the episode.", "", 0),
        _WINDOW,
    ),
    "prompt": (
        *_RULE,
        FLAG_ID,
        Field("ordinal", _I, "1", "Number of the prompt since the sensor began.", "", 0),
        Field("lead", _S, "1", "What stands first.", words=("variation", "activation")),
        Field("why", _S, "1", "The reason as the wearer reads it."),
        Field("order", _J, "1", "Parts of the prompt, first to last."),
        Field("answers", _J, "1", "Answers the wearer may give."),
        Field("variation", _S, "1", "The change of position offered."),
        *EXERCISE,
        *DOSE,
        Field("hold_s", _I, "s", "Time to hold each repetition.", "", 0),
        Field("steps", _J, "1", "How the exercise goes, step by step."),
        Field("before_you_start", _J, "1", "When not to do it."),
        TEXT,
    ),
    "suppressed": (
        *_RULE,
        FLAG_ID,
        Field("reason", _S, "1", "The first of the reasons."),
        Field(
            "reasons",
            _J,
            "1",
            "All that held the prompt back, e.g. quiet, budget, refractory, coverage, withheld (by lot).",
        ),
        TEXT,
    ),
    "answer": (
        *_RULE,
        FLAG_ID,
        Field("prompt_event_id", _S, "1", "The prompt answered.", "no prompt: stop for today"),
        Field("answer", _S, "1", "What the wearer said.", words=ANSWERS),
        *EXERCISE,
        TEXT,
    ),
    "response": (
        *_RULE,
        FLAG_ID,
        Field("about_event_id", _S, "1", "The prompt or suppressed event it is about."),
        Field("answer_event_id", _S, "1", "The answer that said done.", "group control"),
        Field(
            "group",
            _S,
            "1",
            "exercise: after one was done; control: after a flag without a prompt.",
            words=COMPARED,
        ),
        Field(
            "outcome",
            _S,
            "1",
            "What the comparison found.",
            words=("changed", "no_measurable_change", "insufficient_data"),
        ),
        Field(
            "reason",
            _S,
            "1",
            "Why there is too little.",
            "compared",
            words=("too_few_epochs", "another_prompt_or_exercise"),
        ),
        Field("window_before", _J, "ns", "From `start_utc_ns` up to `end_utc_ns`."),
        Field("window_after", _J, "ns", "From `start_utc_ns` up to `end_utc_ns`."),
        MOUNT_ID,
        ALIGNMENT_ID,
        Field("posture", _S, "1", "The posture compared: the one with most epochs on both sides.", words=POSTURES),
        Field(
            "delta_deg",
            _F,
            "deg",
            "Median tilt after minus before; negative: less forward.",
            "too little to compare",
            -360,
            360,
        ),
        Field(
            "se_deg", _F, "deg", "Its standard error, from medians of one-minute blocks.", "too little to compare", 0
        ),
        Field(
            "limit_deg", _F, "deg", "The change that counts: 2 deg or two standard errors.", "too little to compare", 0
        ),
        Field(
            "before",
            _J,
            "1",
            "`eligible_s`, `median_deg`, `block_mad_deg` (spread of the one-minute medians), `block_median_mdeg`, `tilt_mdeg` (each epoch).",
        ),
        Field("after", _J, "1", "The same of the time after."),
        Field("so_far", _J, "1", "By group, number `n` and `median_delta_deg` of this sensor's comparisons up to now."),
        TEXT,
    ),
    "baseline": (
        *_ORIGIN,
        Field("day", _S, "1", "The local day that ended."),
        Field("baseline_version", _S, "1", "Version that holds from now on.", "too few days yet"),
        ALIGNMENT_ID,
        Field(
            "postures",
            _J,
            "1",
            "By posture: usual tilt `median_deg`, its spread `mad_deg` (median absolute deviation), over `days` days; the limit from now on "
            "`threshold_deg` and its `source`; `since_first_deg`, change since the first baseline; of the day itself `day_median_deg` "
            "and `day_eligible_s`.",
        ),
        TEXT,
    ),
    "strides": (
        *_RULE,
        Field("day", _S, "1", "The local day that ended."),
        Field("strides", _I, "1", "Strides measured that day.", "", 0),
        Field("left_range_deg", _F, "deg", "Median sideways movement of the pelvis in left strides.", "", 0),
        Field("right_range_deg", _F, "deg", "The same in right strides.", "", 0),
        Field("difference_deg", _F, "deg", "Left minus right.", "", -360, 360),
        Field("mdc_deg", _F, "deg", "The least difference that can be told from error.", "not known", 0),
        Field("limit_deg", _F, "deg", "From which difference on the day counts.", "", 0),
        TEXT,
    ),
    "hint": (
        *_RULE,
        Field("audience", _S, "1", "Whom it is for.", words=("therapist",)),
        Field("value", _I, "days", "Days over their limit.", "", 0),
        Field("limit", _I, "days", "As many days give a hint.", "", 0),
        Field("unit", _S, "1", "Unit of value and limit.", words=("days",)),
        _WINDOW,
        Field("limits", _J, "1", "The rule's settings."),
        Field("quality", _J, "1", "`days` judged and the `least_strides` among them."),
        Field("from_day", _S, "1", "First local day looked at."),
        Field("to_day", _S, "1", "Last local day looked at."),
        Field("days", _J, "1", "Each day known: day, strides, difference, least that can be told, limit (0.001 deg)."),
        TEXT,
    ),
    **SIGNAL_DATA,
    **ENTRY_DATA,
}
"""Keys of each type's data. A key that may be null may also be left out where it says nothing."""
