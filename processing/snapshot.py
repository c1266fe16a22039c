"""Stage state to bytes and back, bit for bit: JSON with numpy arrays as base64 of their raw values.

Floats survive exactly (Python writes the shortest text that reads back to the same double); NaN is allowed since the
bytes are read by nobody but `load`.
"""

from __future__ import annotations

import base64
import json
from typing import Any

import numpy as np

_ARRAY = "__array__"


def dump(state: Any) -> bytes:
    """Nested dicts, lists, scalars and numpy arrays to bytes."""
    return json.dumps(state, default=_encode, separators=(",", ":")).encode()


def load(blob: bytes) -> Any:
    """The inverse of `dump`; raises ValueError on bytes that are not a snapshot."""
    return json.loads(blob, object_hook=_decode)


def values(record: Any) -> list[Any]:
    """The values of a dataclass with slots in order, shared, not copied: a state has hundreds of them, each half minute."""
    return [getattr(record, name) for name in record.__slots__]


def named_values(record: Any) -> dict[str, Any]:
    """As `values`, by name: what `dataclasses.asdict` gives where nothing within has to be copied, at a tenth of its cost."""
    return {name: getattr(record, name) for name in record.__slots__}


def _encode(value: Any) -> Any:
    if isinstance(value, np.ndarray):
        return {_ARRAY: [value.dtype.str, value.shape, base64.b64encode(value.tobytes()).decode()]}
    if isinstance(value, np.generic):
        return value.item()
    raise TypeError(f"a snapshot cannot hold {type(value).__name__}")


def _decode(obj: dict[str, Any]) -> Any:
    if obj.keys() != {_ARRAY}:
        return obj
    dtype, shape, data = obj[_ARRAY]
    return np.frombuffer(base64.b64decode(data), dtype=dtype).reshape(shape).copy()
