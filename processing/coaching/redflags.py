"""The health questions: asked at the start and when much pain is logged. A yes stops all prompts until a therapist says so.

They sort nobody and name no illness: a yes means that a professional should look first. The topics follow the common
framework for spine care (Finucane 2020, JOSPT 50:350 [M], see `docs/evidence.md`); the wording is ours.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Question:
    """One question; a yes is what matters. ``more`` helps to understand it."""

    id: str
    text: str
    more: str


QUESTIONS: Final = (
    Question(
        "numb_seat",
        "Is the skin of your seat or between your legs numb, and is that new?",
        "Think of what you feel when you sit or wash.",
    ),
    Question(
        "bladder_bowel",
        "Is it newly hard to hold or to pass water or stool?",
        "A change in the last days or weeks counts.",
    ),
    Question(
        "leg_strength",
        "Has a leg or a foot lost strength of late?",
        "For example it gives way, or the foot drags when you walk.",
    ),
    Question(
        "fall",
        "Did your pain start after a fall, a crash or a hard knock?",
        "With thin bones a small knock counts too.",
    ),
    Question(
        "night",
        "Does your pain stay the same at night and when you rest?",
        "Pain that eases when you turn over is a no.",
    ),
    Question(
        "unwell",
        "Do you have a fever, feel ill, or have you lost weight without trying?",
        "Only if you cannot say why.",
    ),
    Question(
        "history",
        "Are you in care for a tumour, thin bones or an infection, or do you take cortisone for long?",
        "If you are not sure, say yes and ask.",
    ),
)
STOPPED: Final = (
    "Thank you for telling us. Prompts are off now. Please see a doctor or your therapist and talk about this first; "
    "if it came on quickly, go today. Your therapist can switch the prompts on again."
)
CLEAR: Final = "Thank you. Nothing here speaks against gentle exercise. If something changes, ask your therapist."
ASK_FROM_PAIN: Final = 7
"""From this pain score on the questions are asked again, and prompts wait for the answer."""
