"""Words that a text may be, where more than one column or another part names them; a test holds them against the code that says them."""

from typing import Final

LINKS: Final = ("searching", "connecting", "starting", "streaming", "stalled", "lost", "no_adapter", "refused")
FEET: Final = ("left", "right", "unknown")
TRANSFERS: Final = ("stand_to_sit", "sit_to_stand", "sit_to_lie", "lie_to_sit", "stand_to_lie", "lie_to_stand")

SIDES: Final = ("left", "right", "both")
ANSWERS: Final = ("done", "not_now", "snooze", "stop")
VERDICTS: Final = ("useful", "not_useful", "wrong_posture")
MODES: Final = ("training", "tracking", "stopped")
QUESTIONS: Final = ("asked", "answered", "cleared")
PROPOSALS: Final = ("open", "accepted", "declined", "withdrawn")
COMPARED: Final = ("exercise", "control")

CLOCK: Final = ("fit", "reset", "step", "duplicate", "backwards")
SETUP: Final = ("neutral", "bows", "pelvic_tilts", "walk")
MOUNTS: Final = ("new_mount", "realigned", "refused")
