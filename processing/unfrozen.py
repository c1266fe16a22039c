"""Frozen records in numbers: a frozen dataclass puts each value in place by a call, so that a day of seconds takes four times as long.

Python lets an object change over to a class with the same slots, so a record is made as its open twin and then told what it is:
``record.__class__ = kind``. From there on it is frozen as any other.
"""

from __future__ import annotations

from dataclasses import fields, make_dataclass
from typing import Any


def open_twin(kind: type[Any]) -> type[Any]:
    """A class with the fields of the frozen, slotted dataclass ``kind``, all of which are to be given, that is not frozen."""
    return make_dataclass(kind.__name__, [(f.name, f.type) for f in fields(kind)], slots=True)
