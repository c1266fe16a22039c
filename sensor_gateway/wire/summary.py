"""An event in one sentence, for tables and annotations on dashboards. States what was measured, never what it means."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from processing.types import Event, Json

MAX_CHARS: Final = 300
_END_REASONS: Final = {
    "below": "the tilt went back below it",
    "ineligible": "the wearer sat, lay down or was not measured for a while",
    "recording_ended": "the recording ended",
}


def summary(event: Event) -> str:
    """The sentence; the event's own ``text`` where its rule wrote one."""
    text = event.data.get("text")
    if not isinstance(text, str) or not text:
        text = _own_words(event.type, event.data)
    return text if len(text) <= MAX_CHARS else text[: MAX_CHARS - 1] + "…"


def _own_words(type_: str, data: Mapping[str, Json]) -> str:
    match type_:
        case "flag":
            return "A rule found a period that may need activation exercises."
        case "prompt":
            return f"An exercise was offered: {_word(data, 'exercise', 'see data')}."
        case "suppressed":
            return f"A flag led to no prompt: {_word(data, 'reason', 'see data')}."
        case "episode_start":
            return f"Tilt rose above the threshold of {_number(data, 'threshold_deg')}°."
        case "episode_end":
            reason = _word(data, "reason", "see data")
            return f"The episode above the threshold ended: {_END_REASONS.get(reason, reason)}."
        case "alignment" if data.get("outcome") == "refused":
            return f"The neutral pose was not taken: {_word(data, 'reason', 'see data')}."
        case "alignment":
            return f"Alignment {_word(data, 'alignment_id', 'of unknown id')} holds from here."
        case "wear_on":
            return "The sensor is worn from here."
        case "wear_off":
            return "The sensor is not worn from here."
        case "gap":
            return f"Samples are missing: {_number(data, 'missing_samples')}."
        case "clock":
            return f"The sensor's clock was handled anew ({_word(data, 'kind', 'see data')})."
        case _:
            return f"{type_.replace('_', ' ').capitalize()}."


def _word(data: Mapping[str, Json], key: str, otherwise: str) -> str:
    value = data.get(key)
    return value if isinstance(value, str) and value else otherwise


def _number(data: Mapping[str, Json], key: str) -> str:
    value = data.get(key)
    if isinstance(value, bool) or not isinstance(value, int | float):
        return "some"
    return f"{value:,}" if isinstance(value, int) else f"{value:.1f}"
