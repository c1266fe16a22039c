"""What the system's message bus and BlueZ mean by their errors: a sentence with what to do, for those a person can mend."""

from __future__ import annotations

from typing import Final

NO_SERVICE: Final = "the Bluetooth service does not run; start it (systemctl enable --now bluetooth)"
NO_RIGHTS: Final = "this user may not use Bluetooth; add it to the group 'bluetooth', then log in again"
BUS_FULL: Final = "the system's message bus takes no more connections of this user; restart the programs that hold them"
BLOCKED: Final = "Bluetooth is blocked on this machine; switch it on at the machine, or: rfkill unblock bluetooth"

_BUS: Final = "org.freedesktop.DBus.Error."
_SENTENCES: Final = (
    (_BUS + "ServiceUnknown", "", NO_SERVICE),
    (_BUS + "NameHasNoOwner", "", NO_SERVICE),
    # The bus hangs up on one connection too many, and the next message is told to come from a stranger.
    (_BUS + "AccessDenied", "without being registered", BUS_FULL),
    (_BUS + "LimitsExceeded", "", BUS_FULL),
    (_BUS + "AccessDenied", "", NO_RIGHTS),
    ("org.bluez.Error.Blocked", "", BLOCKED),
    ("org.bluez.Error.NotReady", "", "the Bluetooth adapter is off; switch it on (bluetoothctl power on)"),
)
"""An error's name, a part of its text, what it means; the first that fits."""


def in_words(name: str, text: str) -> str:
    """The sentence for a bus error; empty where there is none."""
    return next((says for error, part, says in _SENTENCES if error == name and part in text), "")
