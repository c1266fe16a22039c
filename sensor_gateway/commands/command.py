"""What the page hands to the gateway: controls a person asked for, journaled before anything acts on them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TypeAlias

from processing.coaching.controls import CoachControl
from processing.pipeline import Answer, CaptureMovement, CaptureNeutral

Command: TypeAlias = Answer | CaptureNeutral | CaptureMovement | CoachControl
OnCommand: TypeAlias = Callable[[str, Command], Awaitable[None]]
"""``await on_command(wearer, command)`` returns once the command is durable, or raises `CommandError`."""


class CommandError(Exception):
    """The gateway cannot take the command now; the text is one sentence the wearer reads."""
