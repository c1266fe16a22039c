"""Arrow tables from records and samples: the dictionary's columns, units in the field metadata, missing as null.

Shared by `process` (which writes what it computed) and `export` (which reads the store), so both files look the same.
"""

from __future__ import annotations

import json
import math
from array import array
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import numpy as np
import pyarrow as pa

from processing.dictionary import SAMPLE, Field
from processing.types import F64, I64, Bool, Event, Json, Samples

_ARROW: Final = {
    "int64": pa.int64(),
    "float64": pa.float64(),
    "string": pa.string(),
    "json": pa.string(),
    "bool": pa.bool_(),
}

_AS_THEY_LIE: Final = (np.dtype(np.int64), np.dtype(np.float64))
"""Numbers that numpy and Arrow hold alike."""


def schema_of(fields: Sequence[Field]) -> Any:
    """Arrow schema of dictionary fields; unit, meaning and the meaning of null travel in the field metadata."""
    return pa.schema(
        [
            pa.field(
                f.name,
                _ARROW[f.type],
                nullable=bool(f.null_means),
                metadata={"unit": f.unit, "meaning": f.meaning, "null_means": f.null_means},
            )
            for f in fields
        ]
    )


def sample_table(samples: Samples) -> Any:
    """Per-sample results as an Arrow table; NaN becomes null."""
    columns: dict[str, Any] = {
        "t_utc_ns": samples.t_utc_ns,
        **{f"q_es_{axis}": samples.q_es[:, i] for i, axis in enumerate("wxyz")},
        "anterior_tilt_deg": samples.anterior_tilt_deg,
        "obliquity_deg": samples.obliquity_deg,
        "valid": samples.valid,
    }
    return column_table(columns, SAMPLE)


def record_table(records: Sequence[object], fields: Sequence[Field]) -> Any:
    """Records of one kind as an Arrow table."""
    return column_table({f.name: [getattr(r, f.name) for r in records] for f in fields}, fields)


def column_table(columns: Mapping[str, Any], fields: Sequence[Field]) -> Any:
    """Columns (lists, arrays of numpy or Arrow, by field name) as an Arrow table in the dictionary's order; None and NaN become null."""
    schema = schema_of(fields)
    arrays = []
    for field, kind in zip(fields, schema.types, strict=True):
        values = columns[field.name]
        if isinstance(values, pa.Array):
            arrays.append(values.cast(kind))
        elif isinstance(values, np.ndarray):
            arrays.append(_numbers(np.ascontiguousarray(values), kind))
        else:
            arrays.append(_listed(list(map(_json_cell, values)) if field.type == "json" else values, kind))
    return pa.Table.from_arrays(arrays, schema=schema)


def _numbers(values: Any, kind: Any) -> Any:
    """A numpy array (n,) as an Arrow array. `pyarrow.array` loads pandas where that is installed: not for whole columns of numbers."""
    if values.dtype == np.bool_:
        return truths(values)
    mask = np.isnan(values) if values.dtype.kind == "f" else None
    if values.dtype in _AS_THEY_LIE and values.dtype == kind.to_pandas_dtype():
        there = None if mask is None or not mask.any() else pa.py_buffer(np.packbits(~mask, bitorder="little"))
        return pa.Array.from_buffers(kind, len(values), [there, pa.py_buffer(values)])
    return pa.array(values, type=kind, mask=mask)


def truths(values: Bool) -> Any:
    """Truth values (n,) as an Arrow array, as `_numbers`."""
    return pa.Array.from_buffers(pa.bool_(), len(values), [None, pa.py_buffer(np.packbits(values, bitorder="little"))])


def _listed(cells: Sequence[Any], kind: Any) -> Any:
    """A list as an Arrow array, None (and NaN) missing; as `_numbers` without `pyarrow.array`."""
    if kind == pa.float64():
        return _numbers(np.array(cells, np.float64), kind)
    there = np.array([cell is not None for cell in cells], np.bool_)
    valid = None if there.all() else pa.py_buffer(np.packbits(there, bitorder="little"))
    if kind == pa.string():
        texts = [b"" if cell is None else cell.encode() for cell in cells]
        ends = np.concatenate([[0], np.cumsum([len(text) for text in texts])]).astype(np.int32)
        return pa.StringArray.from_buffers(len(texts), pa.py_buffer(ends), pa.py_buffer(b"".join(texts)), valid)
    known = [cell or 0 for cell in cells]
    if kind == pa.bool_():
        data: Any = np.packbits(np.array(known, np.bool_), bitorder="little")
    else:
        data = array("q", known)  # takes whole numbers only
    return pa.Array.from_buffers(kind, len(cells), [valid, pa.py_buffer(data)])


def repeated(text: str, count: int) -> Any:
    """A text ``count`` times, as an Arrow array. `pyarrow.repeat` loads pandas where that is installed."""
    cell = text.encode()
    ends = np.arange(count + 1, dtype=np.int32) * len(cell)
    return pa.StringArray.from_buffers(count, pa.py_buffer(ends), pa.py_buffer(cell * count))


def whole(values: Sequence[int]) -> I64:
    """Whole numbers (a list, or an Arrow array of int64 without nulls) for numpy. `Array.to_numpy` loads pandas where that is installed."""
    if isinstance(values, pa.Array):
        return np.frombuffer(values.buffers()[1], np.int64, len(values), 8 * values.offset)
    return np.asarray(values, np.int64)


def numbers(values: Sequence[float | None]) -> F64:
    """Numbers (a list, or an Arrow array of float64) for numpy, NaN where one is missing."""
    if not isinstance(values, pa.Array):
        return np.array(values, np.float64)
    valid, data = values.buffers()
    out = np.frombuffer(data, np.float64, len(values), 8 * values.offset).copy()
    if valid is not None and values.null_count:
        bits = np.unpackbits(np.frombuffer(valid, np.uint8), bitorder="little")[values.offset :][: len(values)]
        out[bits == 0] = np.nan
    return out


def coded(values: Sequence[str]) -> tuple[list[str], Any]:
    """The different texts among ``values`` (a list, or an Arrow array without nulls), and which of them each is (n,)."""
    if isinstance(values, pa.Array):
        found = values.dictionary_encode()
        codes = found.indices
        return found.dictionary.to_pylist(), np.frombuffer(codes.buffers()[1], np.int32, len(codes), 4 * codes.offset)
    names = {name: i for i, name in enumerate(dict.fromkeys(values))}
    return list(names), np.array([names[value] for value in values], np.int32)


def replaced(values: Sequence[str], new: Callable[[str], str]) -> Any:
    """Texts (a list or an Arrow array) under their new names; each old one is asked for once."""
    if not isinstance(values, pa.Array):
        names = {old: new(old) for old in set(values)}
        return [names[old] for old in values]
    found = values.dictionary_encode()
    return pa.concat_arrays([repeated(new(old), 1) for old in found.dictionary.to_pylist()]).take(found.indices)


def event_line(event: Event) -> str:
    """One event as a line of NDJSON, columns in the dictionary's order, the keys of its data sorted."""
    head = {"t_utc_ns": event.t_utc_ns, "event_id": event.event_id, "type": event.type, "rule": event.rule}
    return _dump(head, sort=False)[:-1] + f',"data":{json_text(event.data)}}}\n'


def json_text(data: Mapping[str, Json]) -> str:
    """An event's data as canonical JSON: sorted keys, no spaces, no NaN (null instead)."""
    return _dump(_finite(data), sort=True)


def _dump(value: Any, *, sort: bool) -> str:
    return json.dumps(value, sort_keys=sort, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


def _json_cell(value: Any) -> str | None:
    return value if value is None or isinstance(value, str) else json_text(value)


def _finite(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {k: _finite(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(v) for v in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
