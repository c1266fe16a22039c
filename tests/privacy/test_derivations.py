"""Derivations are the wearer's data as the gateway's own store is: an erasure takes her out of them, retention holds for them."""

from __future__ import annotations

import csv
import io
import json
import zipfile
from contextlib import closing
from pathlib import Path

import pytest

from processing.types import Metric
from sensor_gateway import cli
from sensor_gateway.config import Retention
from sensor_gateway.privacy.erase import prove
from sensor_gateway.privacy.place import places
from sensor_gateway.privacy.retention import DAY_NS, retain
from sensor_gateway.replay import derivation
from sensor_gateway.sinks.base import Owned
from sensor_gateway.sinks.store import Store
from tests.privacy.world import HER, OTHER, START_NS, S, make_world


def derive(data: Path, name: str) -> Path:
    """A derivation of two people's seconds that says which alignment was put in force on whom."""
    path = derivation.derived_path(data, name)
    facts = {
        "name": name,
        "alignments": [{"wearer": w, "sensor": s, "how": {"note": "taken late"}} for w, s in ((HER, "clip-2"), (OTHER, "clip-1"))],
        "sensors": [{"wearer": HER, "sensor": "clip-2"}, {"wearer": OTHER, "sensor": "clip-1"}],
    }  # fmt: skip
    with derivation.new_store(path) as store:
        for wearer, sensor in ((HER, "clip-2"), (OTHER, "clip-1")):
            rows = [Metric(START_NS + i * S, 3.25, 0.1, 1.5, "standing", 0.9, 1.0, 0.8) for i in range(10)]
            store.write(Owned(wearer, sensor, r) for r in rows)
        derivation.sign(store, facts)
    return path


def test_an_erasure_takes_her_out_of_every_derivation_and_of_what_it_says(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = make_world(tmp_path)
    paths = [derive(tmp_path / "data", name) for name in ("stricter", "other-zero")]
    assert {Path(one.split(":")[0]).name for one in prove(places([config]), HER)[0]} >= {p.name for p in paths}
    assert cli.main(["erase", HER, "--config", str(config), "--json", "--yes"]) == 0
    assert json.loads(capsys.readouterr().out)["counts"]["derived_records"] == 20
    assert prove(places([config]), HER)[0] == []
    for path in paths:
        with closing(Store.open(path, readonly=True)) as store:
            assert store.wearers() == [OTHER]
            facts = store.makers()[-1].derivation
            assert facts is not None
            assert [a["wearer"] for a in facts["alignments"]] == [s["wearer"] for s in facts["sensors"]] == [OTHER]


def test_retention_holds_for_derivations(tmp_path: Path) -> None:
    data = tmp_path / "data"
    derive(data, "stricter")
    now, limits = START_NS + 10 * DAY_NS + 5 * S, Retention(metrics_days=10)
    assert retain(data, limits, now, dry_run=True).gone == {"derived": 10}
    assert retain(data, limits, now).gone == {"derived": 10}
    assert retain(data, limits, now).gone == {"derived": 0}


def test_a_name_that_an_erasure_could_not_take_out_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = tmp_path / "gateway.toml"
    config.write_text('[site]\ndata_dir = "data"\n[[sensors]]\nid = "clip-1"\nwearer = "w-001"\ndriver = "synthetic"\n')
    for name, said in (("w-001-strict", "names w-001"), ("a/b", "1 to 64 letters")):
        assert cli.main(["replay", "--config", str(config), "--name", name]) == 1
        assert said in capsys.readouterr().err


def test_what_is_handed_over_holds_hers_of_every_derivation_and_nothing_of_others(tmp_path: Path) -> None:
    config = make_world(tmp_path)
    derive(tmp_path / "data", "stricter")
    out = tmp_path / "hers.zip"
    assert cli.main(["portability", HER, "--config", str(config), "--out", str(out)]) == 0
    with zipfile.ZipFile(out) as archive:
        rows = list(csv.DictReader(io.StringIO(archive.read("derived/stricter/metrics.csv").decode())))
        told = json.loads(archive.read("derived/stricter/manifest.json"))["derivation"]
        assert OTHER.encode() not in b"".join(archive.read(name) for name in archive.namelist())
    assert [row["wearer"] for row in rows] == [HER] * 10
    assert (told["name"], [a["sensor"] for a in told["alignments"]]) == ("stricter", ["clip-2"])
