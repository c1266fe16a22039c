"""What the machines publish of themselves: the part of the dictionary that is about no wearer."""

from __future__ import annotations

from typing import Final

from processing.dictionary.field import Field

_MB = "of 10^6 bytes"
STATES: Final = {
    "gateway": (
        Field("online", "int64", "1", "1 while the gateway is connected to the broker.", "", 0, 1),
        Field(
            "received", "int64", "1", "Records computed for the broker since the gateway's spool began.", "offline", 0
        ),
        Field("delivered", "int64", "1", "Records the bridge has confirmed as durable.", "offline", 0),
        Field("dropped", "int64", "1", "Records given up at a bound of size or age; events never are.", "offline", 0),
        Field(
            "set_aside", "int64", "1", "Records that broke the dictionary, kept aside with the reason.", "offline", 0
        ),
        Field("queued", "int64", "1", "Records that wait at the gateway.", "offline", 0),
        Field("lag_s", "float64", "s", "How far its oldest waiting record lies behind the newest.", "offline", 0),
        Field(
            "clock_offset_s",
            "float64",
            "s",
            "The gateway's clock ahead of the bridge's, transport included.",
            "offline",
            unbounded=True,
        ),
        Field(
            "clock_step_s",
            "float64",
            "s",
            "How far the gateway's clock was set since it started.",
            "offline",
            unbounded=True,
        ),
        Field("disk_free_mb", "float64", "MB", f"Free space where the gateway's data lie, {_MB}.", "offline", 0),
        Field("memory_mb", "float64", "MB", f"Resident memory, {_MB}.", "offline", 0),
        Field("open_fds", "int64", "1", "Open file descriptors of the gateway.", "offline", 0),
        Field("dbus_connections", "int64", "1", "Its connections to the system's D-Bus.", "offline", 0),
        Field("refused", "int64", "1", "Page requests, sign-ins and commands refused since it started.", "offline", 0),
    ),
    "bridge": (
        Field("received", "int64", "1", "Messages taken from the broker, repeats left out.", "", 0),
        Field("written", "int64", "1", "Records the database has.", "", 0),
        Field("rejected", "int64", "1", "Messages and records set aside as dead letters.", "", 0),
        Field("dropped", "int64", "1", "Dead letters given up at their bound.", "", 0),
        Field("queued", "int64", "1", "Records that wait for the database.", "", 0),
        Field("lag_s", "float64", "s", "How far the oldest waiting record lies behind the newest.", "", 0),
        Field("duplicates", "int64", "1", "Repeats recognised and left out.", "", 0),
        Field("dead_letters", "int64", "1", "Dead letters held.", "", 0),
        Field("disk_free_mb", "float64", "MB", f"Free space where the bridge's queue lies, {_MB}.", "", 0),
        Field("memory_mb", "float64", "MB", f"Resident memory, {_MB}.", "not known", 0),
        Field("open_fds", "int64", "1", "Open file descriptors of the bridge.", "not known", 0),
    ),
}
"""Measurements of the machines, written by the bridge every half minute."""
STATE_TAGS: Final = {"gateway": ("site", "gateway"), "bridge": ("site", "bridge")}
"""What tells one machine's points from another's: a point without it would overwrite its neighbour's."""
