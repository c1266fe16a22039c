"""A file written whole keeps what its readers rely on."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from sensor_gateway.whole_files import half_written, write_whole

GATEWAY = 10_077


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can write another's file")
def test_what_root_writes_again_stays_its_owners(tmp_path: Path) -> None:
    path = tmp_path / "gateway.toml"
    write_whole(path, b"old")
    assert (path.stat().st_uid, path.stat().st_mode & 0o777) == (0, 0o600)
    os.chown(path, GATEWAY, GATEWAY)
    path.chmod(0o640)
    write_whole(path, b"new")
    assert path.read_bytes() == b"new"
    assert (path.stat().st_uid, path.stat().st_gid, path.stat().st_mode & 0o777) == (GATEWAY, GATEWAY, 0o640)
    write_whole(path, b"given", owner=GATEWAY + 1)
    assert path.stat().st_uid == GATEWAY + 1
    assert not half_written(path).exists()


def test_permissions_stay_and_what_is_half_written_is_nobodys(tmp_path: Path) -> None:
    path = tmp_path / "a"
    half_written(path).write_bytes(b"left by a kill")
    write_whole(path, b"one", 0o640)
    write_whole(path, b"two")
    assert path.read_bytes() == b"two"
    assert path.stat().st_mode & 0o777 == 0o640
    with pytest.raises(TypeError):
        write_whole(path, "no bytes")  # type: ignore[arg-type]
    assert path.read_bytes() == b"two"
    assert not half_written(path).exists()
