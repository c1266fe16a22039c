"""What lies in the `data` of events about the sensor: how it sits, whether it is worn, its holes, clock, calibration and link.

Part of the table in `events.py`, with the ids that both share.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from processing.dictionary.entries import TEXT
from processing.dictionary.field import Field, instant
from processing.dictionary.words import CLOCK, LINKS, MOUNTS, SETUP

_S = "string"
_I = "int64"
_F = "float64"
_J = "json"

MOUNT_ID: Final = Field(
    "mount_id", _S, "1", "How the clip sat: a new id each time it was put on or slipped.", "refused"
)
ALIGNMENT_ID: Final = Field("alignment_id", _S, "1", "The alignment in force: where zero lies.", "refused")
_UNCERTAINTY: Final = Field("uncertainty_deg", _F, "deg", "Standard uncertainty of its zero.", "refused", 0, 180)
_MOVED: Final = (
    Field(
        "kind",
        _S,
        "1",
        "What was found.",
        "a pose or movement of the set-up",
        words=MOUNTS,
    ),
    Field(
        "remedy", _S, "1", "What the wearer can do; empty where nothing is needed.", "a pose or movement of the set-up"
    ),
    instant("since_utc_ns", "Up to here the old mount was vouched for.", "a pose or movement of the set-up"),
    instant("found_utc_ns", "End of the second that settled it.", "a pose or movement of the set-up"),
    instant("from_utc_ns", "From here it holds.", "a pose or movement of the set-up"),
    Field("up_deg", _F, "deg", "How far the clip turned against the vertical.", "not measured", 0, 180),
    Field("heading_deg", _F, "deg", "How far it turned about the vertical.", "not measured", -180, 180),
)
_WHY_NOT: Final = Field(
    "reason", _S, "1", "Why; a word of a fixed list, or a sentence.", "not refused, not found by itself"
)

SIGNAL_DATA: Final[Mapping[str, tuple[Field, ...]]] = {
    "alignment": (
        Field("outcome", _S, "1", "What came of it.", "found by itself: see kind", words=("in force", "refused")),
        _WHY_NOT,
        ALIGNMENT_ID,
        MOUNT_ID,
        Field(
            "method",
            _S,
            "1",
            "How it was found; suspended: not known how the clip sits.",
            "refused",
            words=("nominal", "static", "walking", "functional", "suspended"),
        ),
        Field("r_ps", _J, "1", "Rotation pelvis from sensor, 3 x 3, rows.", "refused"),
        _UNCERTAINTY,
        Field(
            "step",
            _S,
            "1",
            "Step of the set-up.",
            "not from the set-up",
            words=SETUP,
        ),
        Field(
            "heading_uncertainty_deg", _F, "deg", "Standard uncertainty of front.", "step neutral, or refused", 0, 180
        ),
        Field("sign_confidence", _F, "1", "How sure front is not back.", "another step than walk", 0, 1),
        Field("walking_s", _I, "s", "Walking used.", "another step than walk", 0),
        Field("range_deg", _F, "deg", "Size of the movements used.", "another step than bows or pelvic_tilts", 0, 180),
        *_MOVED,
        Field("text", _S, "1", "The event as a sentence for a person.", "a pose or movement of the set-up"),
    ),
    "mount": (
        *_MOVED,
        Field("reason", _S, "1", "Why it is another mount.", words=("slip", "taken_off", "gap", "handled")),
        MOUNT_ID,
        ALIGNMENT_ID,
        _UNCERTAINTY,
        TEXT,
    ),
    "wear_on": (),
    "wear_off": (),
    "gap": (
        instant("from_utc_ns", "Last sample before it."),
        instant("to_utc_ns", "First sample after it."),
        Field("missing_samples", _I, "1", "Samples missing.", "", 0),
        Field("action", _S, "1", "What was done."),
    ),
    "clock": (
        Field("kind", _S, "1", "What was noticed.", words=CLOCK),
        Field("epoch", _I, "1", "Number of starts of the sensor's clock.", "another kind", 0),
        Field(
            "rate_ppm",
            _F,
            "ppm",
            "Rate of the sensor's clock against the gateway's.",
            "another kind than fit",
            unbounded=True,
        ),
        Field("reason", _S, "1", "Why it is taken for a new start.", "another kind than reset"),
        Field(
            "off_s",
            _F,
            "s",
            "By how much the arrival missed the clock's line.",
            "another kind than reset",
            unbounded=True,
        ),
        Field("step_s", _F, "s", "Step of the gateway's own clock.", "another kind than step", unbounded=True),
        Field("left_s", _F, "s", "What of it is still being made good.", "another kind than step", unbounded=True),
        Field("samples", _I, "1", "Samples put aside.", "another kind than duplicate or backwards", 0),
    ),
    "calibration": (
        Field("offset_mps2", _J, "m/s^2", "Offset of each axis that is taken out."),
        Field("scale", _J, "1", "Share of each axis's reading that is taken out: offset + scale x reading."),
        Field("offset_sd_mps2", _F, "m/s^2", "Standard error of the offsets.", "", 0),
        Field("resting_directions", _I, "1", "Directions in which the clip rested.", "", 0),
        Field("still_s", _I, "s", "Rest used.", "", 0),
        Field("misfit", _F, "1", "What is left of the error, relative to what is expected.", "", 0),
        TEXT,
    ),
    "link": (
        Field("outcome", _S, "1", "Whether help is needed, or no more.", words=("alarm", "over")),
        Field("link", _S, "1", "State of the connection, as in devices.", "not reported", words=LINKS),
        TEXT,
    ),
}
"""Keys of each type's data."""
