"""The columns of every table and record kind, and the types of events. Additive only; dashboards and exports read it."""

from __future__ import annotations

from typing import Final

from processing.dictionary.answers import ANSWER
from processing.dictionary.field import Field, instant
from processing.dictionary.words import FEET, LINKS, TRANSFERS
from processing.types import POSTURES

_TIME = instant("t_utc_ns", "Start of the second, minute or event, UTC nanoseconds since 1970.")
_NO_TILT = "no valid sample: gap, settling filter, lying on the side, or not worn"
_TILT_NOTE = "relative to the wearer's neutral pose (0 = neutral); + = top of the pelvis forward (ASIS down)"

EVENT_TYPES: Final = {
    "flag": "A rule found a period that may need activation exercises.",
    "episode_start": "Tilt stayed above the threshold long enough to start an episode.",
    "episode_end": "The episode ended; says why.",
    "prompt": "The wearer is offered one exercise, with side and dose.",
    "suppressed": "A flag led to no prompt; says why.",
    "alignment": "An alignment holds from here, was found again by walking, or was refused with its reason.",
    "wear_on": "The sensor is worn from here.",
    "wear_off": "The sensor is not worn from here.",
    "gap": "Samples are missing: from, to, how many, and what was done.",
    "clock": "The sensor's clock was fitted anew, reset, or put aside.",
    "mount": "The sensor was put on again or moved; what follows stands on a new mount.",
    "answer": "The wearer answered a prompt: done, not now, later, or stop.",
    "response": "Tilt before a prompt against tilt after its exercise, or around a flag without a prompt, for comparison.",
    "baseline": "The day ended: the wearer's usual tilt per posture and its distance from neutral, with a version.",
    "hint": "Something for the therapist to look at; nothing is asked of the wearer.",
    "link": "The connection to the sensor needs somebody's help, or is well again; says what to do.",
    "calibration": "The accelerometer's own error, learnt from rests in several positions, is taken out from here.",
    "pain": "The wearer logged pain, 0 to 10.",
    "note": "The wearer wrote a note; its text stays on the gateway unless the configuration sends notes.",
    "exercise": "An exercise was done: which, side, sets, repetitions, and the prompt it followed, if any.",
    "mode": "Prompts were switched on, off, or to recording only; says until when.",
    "red_flag": "The health questions were asked, answered or cleared; says whether prompts are stopped.",
    "programme": "A therapist set a new programme: version, editor, entries, and the local day from which it holds.",
    "proposal": "A harder or easier exercise is proposed to the therapist, or a proposal was decided.",
    "verdict": "A therapist judged a flag: useful, not useful, or wrong posture.",
    "strides": "The day's walking: how far the pelvis moved to the left and to the right, and the least difference that can be told.",
}
"""Types in a fixed order: a type's rank keeps two events of one instant apart in InfluxDB (`wire/line.py`)."""

IDENTITY: Final = (
    Field("wearer", "string", "1", "Pseudonym of the wearer."),
    Field("sensor", "string", "1", "The sensor's id in the gateway's configuration."),
)
"""Columns in front of a table's own where a file may hold several wearers or sensors."""

SAMPLE: Final = (
    instant("t_utc_ns", "Time of the sample, UTC nanoseconds since 1970."),
    Field("q_es_w", "float64", "1", "Orientation earth (z up) from sensor, quaternion scalar part.", _NO_TILT, -1, 1),
    Field("q_es_x", "float64", "1", "Quaternion x; heading is arbitrary (no magnetometer).", _NO_TILT, -1, 1),
    Field("q_es_y", "float64", "1", "Quaternion y.", _NO_TILT, -1, 1),
    Field("q_es_z", "float64", "1", "Quaternion z.", _NO_TILT, -1, 1),
    Field(
        "anterior_tilt_deg",
        "float64",
        "deg",
        f"Anterior pelvic tilt, {_TILT_NOTE}.",
        "obliquity beyond 60 deg",
        -180,
        180,
    ),
    Field("obliquity_deg", "float64", "deg", "Pelvic obliquity; + = right side up.", "no orientation yet", -90, 90),
    Field("valid", "bool", "1", "False while the filter settles after a gap, or where tilt has no value."),
)

# No range: how much force and turning a sensor can tell is its own setting.
RAW: Final = (
    instant("t_utc_ns", "Time of the sample by the sensor's own clock, UTC nanoseconds since 1970."),
    *(
        Field(f"acc_{a}_mps2", "float64", "m/s^2", f"Specific force along the sensor's {a} axis.", unbounded=True)
        for a in "xyz"
    ),
    *(
        Field(f"gyr_{a}_rps", "float64", "rad/s", f"Angular rate about the sensor's {a} axis.", unbounded=True)
        for a in "xyz"
    ),
)

METRIC: Final = (
    _TIME,
    Field(
        "anterior_tilt_deg",
        "float64",
        "deg",
        f"Mean anterior pelvic tilt of the second, {_TILT_NOTE}.",
        _NO_TILT,
        -180,
        180,
    ),
    Field(
        "obliquity_deg", "float64", "deg", "Mean pelvic obliquity of the second; + = right side up.", _NO_TILT, -90, 90
    ),
    Field(
        "tilt_uncertainty_deg",
        "float64",
        "deg",
        "Standard uncertainty of the tilt: alignment, filter and disagreement.",
        _NO_TILT,
        0,
        90,
    ),
    Field("posture", "string", "1", "Posture of the second.", words=POSTURES),
    Field("posture_confidence", "float64", "1", "How sure the posture is.", "", 0, 1),
    Field("coverage", "float64", "1", "Share of the second's expected samples that are valid.", "", 0, 1),
    Field(
        "quality", "float64", "1", "0..1: alignment, settling and agreement of the two inclination estimates.", "", 0, 1
    ),
)

EPOCH: Final = (
    _TIME,
    Field(
        "tilt_mean_deg",
        "float64",
        "deg",
        "Mean anterior tilt over the valid samples of all worn seconds but lying.",
        _NO_TILT,
        -180,
        180,
    ),
    Field("tilt_median_deg", "float64", "deg", "Median of the same samples.", _NO_TILT, -180, 180),
    Field("tilt_p5_deg", "float64", "deg", "5th percentile of the same samples.", _NO_TILT, -180, 180),
    Field("tilt_p95_deg", "float64", "deg", "95th percentile of the same samples.", _NO_TILT, -180, 180),
    Field("tilt_sd_deg", "float64", "deg", "Standard deviation of the same samples.", _NO_TILT, 0, 180),
    *(Field(f"{p}_s", "int64", "s", f"Seconds of the minute in posture {p}.", "", 0, 60) for p in POSTURES),
    Field(
        "dose_deg_min",
        "float64",
        "deg*min",
        "Tilt above the rule's threshold integrated over the minute's eligible time.",
        "no threshold yet, or no eligible time",
        0,
        None,
    ),
    Field("coverage", "float64", "1", "Share of the minute's expected samples that are valid.", "", 0, 1),
    Field("wear", "float64", "1", "Share of the minute's received seconds in which the sensor was worn.", "", 0, 1),
    Field(
        "shifts",
        "int64",
        "1",
        "Times the pelvis came to rest in another direction (5 deg and more) within one sitting or standing.",
        "no sitting or standing with a known tilt in the minute",
        0,
        30,
    ),
    Field(
        "transfers",
        "int64",
        "1",
        "Changes between lying, sitting and standing that showed in the minute.",
        "nothing received",
        0,
        60,
    ),
    Field(
        "since_change_s",
        "float64",
        "s",
        "Time at the end of the minute since the posture last changed; interruptions of a few seconds do not count.",
        "not known: the beginning, or a hole in the signal",
        0,
        None,
    ),
)

EVENT: Final = (
    _TIME,
    Field("event_id", "string", "1", "Deterministic id: the same input and configuration give the same id."),
    Field("type", "string", "1", "What happened.", words=tuple(EVENT_TYPES)),
    Field(
        "rule", "string", "1", "The rule behind a flag, episode, prompt or suppression.", "the event comes from no rule"
    ),
    Field(
        "data", "json", "1", "The event's facts, by type: what is needed to recompute it, and for people a sentence."
    ),
)

DEVICE: Final = (
    _TIME,
    Field("battery_percent", "float64", "%", "Charge the sensor reports.", "not reported", 0, 100),
    Field("rssi_dbm", "float64", "dBm", "Signal strength at the gateway.", "not reported", -127, 20),
    Field("rate_hz", "float64", "Hz", "Samples received per second of device time.", "no samples yet", 0, 2000),
    Field(
        "frames_received",
        "int64",
        "1",
        "Payloads received since the gateway first met the sensor.",
        "not counted",
        0,
        None,
    ),
    Field("frames_lost", "int64", "1", "Samples missing by sequence number or device time.", "not counted", 0, None),
    Field("frames_rejected", "int64", "1", "Payloads set aside as malformed.", "not counted", 0, None),
    Field(
        "link",
        "string",
        "1",
        "State of the connection.",
        "not a radio sensor",
        words=LINKS,
    ),
    Field("firmware", "string", "1", "Version of the sensor's firmware, as the sensor tells it.", "not reported"),
)

STEP: Final = (
    instant("t_utc_ns", "When the foot took the weight, UTC nanoseconds since 1970."),
    Field("side", "string", "1", "Foot; a hint from the sideways sway.", words=FEET),
    Field("confidence", "float64", "1", "How sure the step is.", "", 0, 1),
)

TRANSFER: Final = (
    instant("t_utc_ns", "Middle of the change of posture, UTC nanoseconds since 1970."),
    Field("kind", "string", "1", "From which posture to which.", words=TRANSFERS),
    Field("duration_s", "float64", "s", "Duration of the movement.", "", 0, None),
    Field(
        "vertical_displacement_m",
        "float64",
        "m",
        "Rise (+) or descent (-) of the pelvis.",
        "it could not be measured",
        -2,
        2,
    ),
)

BOUT: Final = (
    instant("start_utc_ns", "Start of the first second of the bout, UTC nanoseconds since 1970."),
    instant("end_utc_ns", "End of its last second: the bout lasts up to here."),
    Field(
        "posture",
        "string",
        "1",
        "Posture kept; interruptions of a few seconds included.",
        words=POSTURES,
    ),
)

ABSOLUTE: Final = (
    _TIME,
    Field(
        "anterior_tilt_abs_deg",
        "float64",
        "deg",
        "Tilt of the anatomical pelvis: tilt from neutral plus the therapist's ASIS-PSIS angle; + = ASIS lower. Display only: "
        "no rule uses it.",
        "no tilt, no offset entered for this time, or no neutral pose in force",
        -180,
        180,
    ),
    Field(
        "tilt_abs_uncertainty_deg",
        "float64",
        "deg",
        "Its standard uncertainty: that of the tilt and that of the offset.",
        "no absolute tilt",
        0,
        90,
    ),
    Field(
        "offset_version", "int64", "1", "Note in which the offset was entered (manifest).", "no offset for this time", 1
    ),
)

KINDS: Final = {"metric": METRIC, "epoch": EPOCH, "event": EVENT, "device": DEVICE}
TABLES: Final = {
    "raw": RAW,
    "samples": SAMPLE,
    "metrics": METRIC,
    "epochs": EPOCH,
    "events": EVENT,
    "answers": ANSWER,
    "devices": DEVICE,
    "steps": STEP,
    "transfers": TRANSFER,
    "bouts": BOUT,
    "absolute": ABSOLUTE,
}
MEASUREMENT: Final = {"metric": "tilt", "epoch": "epoch", "event": "event", "device": "device"}
"""Record kind to InfluxDB measurement; what else the database holds is in `influx.py`."""
