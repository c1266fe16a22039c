"""Two sites on one stack: what `tiltline init-stack` makes for InfluxDB, on a real InfluxDB with its log-in switched on."""

from __future__ import annotations

import base64
import re
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from sensor_gateway.cli import main
from sensor_gateway.config import load_settings
from tests.integration.servers import Influxd

pytestmark = [pytest.mark.servers]
ADMIN = "admin:only-for-this-test"
POINT = "tilt,wearer=w-{} coverage=1 1767225600000000000"


class Database:
    """InfluxDB that asks who is there; a token is ``user:password``, as InfluxDB 1.8 takes it."""

    def __init__(self, server: Influxd) -> None:
        self._url = f"http://127.0.0.1:{server.port}"

    def _ask(self, token: str, path: str, body: bytes | None) -> tuple[int, str]:
        headers = {"Authorization": "Basic " + base64.b64encode(token.encode()).decode()} if token else {}
        try:
            with urllib.request.urlopen(urllib.request.Request(self._url + path, body, headers), timeout=20) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as e:
            return e.code, e.read().decode()

    def administer(self, statement: str) -> None:
        status, said = self._ask(ADMIN, "/query", urllib.parse.urlencode({"q": statement}).encode())
        assert status == 200, said
        assert "error" not in said, said

    def write(self, token: str, bucket: str, wearer: str) -> int:
        return self._ask(token, f"/write?db={bucket}", POINT.format(wearer).encode())[0]

    def read(self, token: str, bucket: str, question: str = 'SELECT * FROM "tilt"') -> tuple[int, str]:
        return self._ask(token, f"/query?{urllib.parse.urlencode({'db': bucket, 'q': question})}", None)


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("site") / "stack"
    assert main(["init-stack", str(folder), "--influx-users"]) == 0
    add = [
        "init-stack",
        str(folder),
        "--influx-users",
        "--add",
        "--site",
        "clinic-b",
        "--gateway",
        "gw-b1",
        "--wearer",
        "w-101",
    ]
    assert main(add) == 0
    return folder


@pytest.fixture(scope="module")
def database(stack: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Database]:
    server = Influxd(tmp_path_factory.mktemp("influx"))
    config = server.folder / "influxd.toml"
    config.write_text(config.read_text().replace("[http]\n", "[http]\n  auth-enabled = true\n"))
    server.start()
    try:
        made = Database(server)
        made.administer(f"CREATE USER admin WITH PASSWORD '{ADMIN.partition(':')[2]}' WITH ALL PRIVILEGES")
        for file in (stack / "influxdb-1.iql", stack / "sites" / "clinic-b" / "influxdb-1.iql"):
            for statement in file.read_text().splitlines() * 2:  # again is harmless
                made.administer(statement)
        yield made
    finally:
        server.kill9()


def token(stack: Path, site: str, kind: str) -> str:
    place = stack if site == "home" else stack / "sites" / site
    return (place / "secrets" / f"influx_{kind}_token").read_text()


def bucket(stack: Path, site: str) -> str:
    place = stack if site == "home" else stack / "sites" / site
    return load_settings(place / "bridge.toml").influx.bucket


def test_a_sites_tokens_reach_its_own_bucket_and_no_other(stack: Path, database: Database) -> None:
    sites = {"home": "001", "clinic-b": "101"}
    for site, wearer in sites.items():
        assert database.write(token(stack, site, "write"), bucket(stack, site), wearer) == 204
    for site, other in (("home", "clinic-b"), ("clinic-b", "home")):
        read, write = token(stack, site, "read"), token(stack, site, "write")
        status, said = database.read(read, bucket(stack, site))
        assert status == 200
        assert f"w-{sites[site]}" in said
        for status, said in (
            database.read(read, bucket(stack, other)),
            database.read(write, bucket(stack, other)),
            database.read(read, bucket(stack, site), f'SELECT * FROM "{bucket(stack, other)}".."tilt"'),
            database.read(read, "", "SHOW DATABASES"),
        ):
            assert f"w-{sites[other]}" not in said
            assert f'"{bucket(stack, other)}"]' not in said
            assert status in {200, 401, 403}
        assert database.read(read, bucket(stack, other))[0] in {401, 403}
        assert database.write(write, bucket(stack, other), "999") in {401, 403}
        assert database.write(read, bucket(stack, site), "999") in {401, 403}, "Grafana only reads"
        assert database.read(write, bucket(stack, site))[0] in {401, 403}, "the bridge only writes"
        assert database.read("", bucket(stack, site))[0] == 401


def test_each_site_has_its_organisation_with_its_own_data_source(stack: Path) -> None:
    seen = {}
    for site in ("home", "clinic-b"):
        source = (stack / "grafana" / "datasources" / f"{site}.yaml").read_text()
        provider = (stack / "grafana" / "dashboards" / f"{site}.yaml").read_text()
        facts = [re.search(rf"{key}: (\S+)", source) for key in ("orgId", "dbName")]
        secret = re.search(r"/run/secrets/(\w[\w-]*)", source)
        assert None not in facts
        assert secret is not None
        number, name = (fact[1] for fact in facts if fact is not None)
        assert f"orgId: {number}\n" in provider
        assert name == bucket(stack, site)
        seen[site] = number, name, secret[1]
    assert [one[0] for one in seen.values()] == ["1", "2"]
    assert all(len(set(column)) == 2 for column in zip(*seen.values(), strict=True))
    assert (
        f"{seen['clinic-b'][2]}: {{file: ./stack/sites/clinic-b/"
        in (stack / "sites" / "clinic-b" / "compose.yml").read_text()
    )


def test_what_is_there_is_not_added_twice_and_where_nothing_is_there_is_nothing_to_add(
    stack: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = {p: p.read_bytes() for p in stack.rglob("*") if p.is_file()}
    assert main(["init-stack", str(stack), "--add", "--gateway", "gw-b1"]) == 1
    assert "another name" in capsys.readouterr().err
    assert main(["init-stack", str(stack), "--add", "--gateway", "bridge"]) == 1
    assert {p: p.read_bytes() for p in stack.rglob("*") if p.is_file()} == before
    assert main(["init-stack", str(tmp_path / "new"), "--add"]) == 1
    assert "no stack yet" in capsys.readouterr().err
    held = [p.read_text() for p in stack.rglob("*") if p.parent.name == "secrets"]
    assert main(["init-stack", str(stack), "--add", "--site", "clinic-b", "--gateway", "gw-b2"]) == 0
    said = capsys.readouterr()
    assert not [secret for secret in held if secret in said.out + said.err]
    for name in ("gw-b1", "gw-b2"):
        assert load_settings(stack / "gateways" / name / "gateway.toml").site.id == "clinic-b"
