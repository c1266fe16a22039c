"""Frames and angles: sensor S, pelvis P (ISB: X anterior, Y superior, Z right), earth E (z up, heading arbitrary).

Pelvic angles follow the rotation-obliquity-tilt sequence (Baker 2001, J Biomech 34:1), so that tilt and obliquity follow from
the direction of "up" alone and need no heading: with u = up in pelvis axes,
``anterior tilt = atan2(-u_x, u_y)`` (+ = top of the pelvis forward, ASIS down) and ``obliquity = atan2(u_z, hypot(u_x, u_y))``
(+ = right side up). Deviation: the paper has no sign convention for a sensor; ours is stated here and tested on poses.

Arithmetic is written out by component: a matrix product over rows may give other last bits for another number of rows.
"""

from __future__ import annotations

from typing import Final, TypeAlias

import numpy as np

from processing.types import F64

Rows: TypeAlias = tuple[tuple[float, float, float], tuple[float, float, float], tuple[float, float, float]]
"""A 3 x 3 matrix by rows, hashable, for frozen dataclasses."""

DEG: Final = 180.0 / np.pi
MAX_OBLIQUITY_DEG: Final = 60.0
"""Beyond this the tilt's error grows by more than two (1 / cos); tilt has no value there."""


def columns(v: F64) -> F64:
    """The columns of vectors (n, k) as rows (k, n), each in one piece: what is computed column by column is thrice as fast on them.

    `rotate` and `up_in_sensor` give their vectors so; then nothing is copied, nor of a slice of them.
    """
    rows = v.T
    return rows if rows.strides[-1] == rows.itemsize else np.ascontiguousarray(rows)


def by_rows(v: F64) -> F64:
    """Vectors (n, k) one after the other in memory, as compiled filters want them; copied only where they are not.

    Column by column: a copy of the whole at once takes more than twice as long.
    """
    if v.flags.c_contiguous:
        return v
    out = np.empty(v.shape)
    for i in range(v.shape[1]):
        out[:, i] = v[:, i]
    return out


def up_in_sensor(q_es: F64) -> F64:
    """Direction of up in sensor axes, (n, 3) unit vectors, from unit quaternions earth ← sensor (n, 4)."""
    w, x, y, z = columns(q_es)
    up, part = np.empty((3, len(q_es))), np.empty(len(q_es))
    up_x, up_y, up_z = up
    np.multiply(x, z, out=up_x)
    up_x -= np.multiply(w, y, out=part)
    up_x *= 2.0
    np.multiply(y, z, out=up_y)
    up_y += np.multiply(w, x, out=part)
    up_y *= 2.0
    np.multiply(w, w, out=up_z)
    up_z -= np.multiply(x, x, out=part)
    up_z -= np.multiply(y, y, out=part)
    up_z += np.multiply(z, z, out=part)
    return up.T


def rotate(rows: Rows, v: F64, out: F64 | None = None) -> F64:
    """Rotate vectors (n, 3) by a 3 x 3 matrix given by rows. ``out`` (n, 3), not ``v`` itself, is where they go if it is given."""
    x, y, z = columns(v)
    turned = np.empty((3, len(v))) if out is None else out.T
    part = np.empty(len(v))
    for row, (a, b, c) in zip(turned, rows, strict=True):
        np.multiply(a, x, out=row)
        np.add(row, np.multiply(b, y, out=part), out=row)
        np.add(row, np.multiply(c, z, out=part), out=row)
    return turned.T


def transposed(m: Rows) -> Rows:
    """The inverse of a rotation given by rows."""
    a, b, c = m
    return (a[0], b[0], c[0]), (a[1], b[1], c[1]), (a[2], b[2], c[2])


def component(a: F64, b: F64, out: F64 | None = None) -> F64:
    """Row-wise scalar product of (n, 3) and (n, 3): the component of ``a`` along unit vectors ``b``; in ``out`` (n,) if given."""
    product: F64 = np.multiply(a[:, 0], b[:, 0], out=out)
    part = a[:, 1] * b[:, 1]
    product += part
    product += np.multiply(a[:, 2], b[:, 2], out=part)
    return product


def tilt_and_obliquity_deg(up_p: F64, out: F64 | None = None) -> tuple[F64, F64]:
    """Anterior tilt and obliquity [deg], each (n,), from up in pelvis axes (n, 3); in ``out`` (2, n) if given.

    Tilt is NaN where obliquity exceeds `MAX_OBLIQUITY_DEG` (lying on the side).
    """
    x, y, z = up_p[:, 0], up_p[:, 1], up_p[:, 2]
    tilt, obliquity = np.empty((2, len(up_p))) if out is None else out
    np.arctan2(np.negative(x, out=tilt), y, out=tilt)
    tilt *= DEG
    np.multiply(x, x, out=obliquity)
    obliquity += y * y
    np.arctan2(z, np.sqrt(obliquity, out=obliquity), out=obliquity)
    obliquity *= DEG
    tilt[np.abs(obliquity) > MAX_OBLIQUITY_DEG] = np.nan
    return tilt, obliquity


def cross(a: F64, b: F64, factor: float = 1.0) -> F64:
    """``factor`` a × b (3, n), both by component x, y, z, x, y (5, n): so each product is one operation on all three."""
    out: F64 = a[1:4] * b[2:5]
    out -= a[2:5] * b[1:4]
    out *= factor
    return out


def conjugate(q: F64) -> F64:
    """Inverse of unit quaternions (n, 4)."""
    inverse: F64 = q * np.array([1.0, -1.0, -1.0, -1.0])
    return inverse


def multiply(p: F64, q: F64) -> F64:
    """Row-wise product of quaternions (n, 4); one row goes with many."""
    pw, px, py, pz = p[:, 0], p[:, 1], p[:, 2], p[:, 3]
    qw, qx, qy, qz = q[:, 0], q[:, 1], q[:, 2], q[:, 3]
    out = np.empty((max(len(p), len(q)), 4))
    out[:, 0] = pw * qw - px * qx - py * qy - pz * qz
    out[:, 1] = pw * qx + px * qw + py * qz - pz * qy
    out[:, 2] = pw * qy - px * qz + py * qw + pz * qx
    out[:, 3] = pw * qz + px * qy - py * qx + pz * qw
    return out


def turned_by(turn_rad: F64) -> F64:
    """Unit quaternions (n, 4) of rotation vectors (n, 3) [rad]."""
    half = 0.5 * np.sqrt(np.sum(turn_rad * turn_rad, axis=1))
    out = np.empty((len(turn_rad), 4))
    out[:, 0] = np.cos(half)
    out[:, 1:] = 0.5 * np.sinc(half / np.pi)[:, None] * turn_rad
    return out


def rotate_by(q: F64, v: F64) -> F64:
    """Turn vectors (n, 3) by unit quaternions (n, 4)."""
    w, x, y, z = q[:, 0], q[:, 1], q[:, 2], q[:, 3]
    tx = 2.0 * (y * v[:, 2] - z * v[:, 1])
    ty = 2.0 * (z * v[:, 0] - x * v[:, 2])
    tz = 2.0 * (x * v[:, 1] - y * v[:, 0])
    out = np.empty((len(v), 3))
    out[:, 0] = v[:, 0] + w * tx + y * tz - z * ty
    out[:, 1] = v[:, 1] + w * ty + z * tx - x * tz
    out[:, 2] = v[:, 2] + w * tz + x * ty - y * tx
    return out


def matrices(q: F64) -> F64:
    """Unit quaternions (n, 4) as rotation matrices by element (3, 3, n): row, column, sample."""
    w, x, y, z = columns(q)
    a, b, c = 2.0 * x, 2.0 * y, 2.0 * z
    xx, yy, zz, xy, xz, yz = x * a, y * b, z * c, x * b, x * c, y * c
    wx, wy, wz = w * a, w * b, w * c
    return np.array(
        [
            [1.0 - yy - zz, xy - wz, xz + wy],
            [xy + wz, 1.0 - zz - xx, yz - wx],
            [xz - wy, yz + wx, 1.0 - xx - yy],
        ]
    )


def between_z(up: F64) -> F64:
    """Shortest turn (n, 4) that carries directions (n, 3), of any length and not straight down, onto +z."""
    length = np.sqrt(up[:, 0] * up[:, 0] + up[:, 1] * up[:, 1] + up[:, 2] * up[:, 2])
    x, y, z = up[:, 0] / length, up[:, 1] / length, up[:, 2] / length
    w = np.sqrt(np.maximum(0.5 * (1.0 + z), 1e-12))
    out = np.zeros((len(up), 4))
    out[:, 0] = w
    out[:, 1] = 0.5 * y / w
    out[:, 2] = -0.5 * x / w
    return out
