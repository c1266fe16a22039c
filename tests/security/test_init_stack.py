"""`tiltline init-stack`: made once, completed, rotated; nothing secret printed, logged or shown by any other command."""

from __future__ import annotations

import contextlib
import io
import json
import ssl
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec

from sensor_gateway.cli import main
from sensor_gateway.config import load_settings
from sensor_gateway.stack.site import FIRST_START_ONLY, SitePlan, init_stack


def tiltline(*words: str) -> tuple[int, str, str]:
    """Exit status, output and errors of a command, in this process."""
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        status = main(words)
    return status, out.getvalue(), err.getvalue()


def contents(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def secrets_of(folder: Path) -> dict[str, str]:
    return {p.name: p.read_text() for p in (folder / "secrets").iterdir()}


def test_once_made_it_stays_and_what_is_missing_comes_back(tmp_path: Path) -> None:
    folder = tmp_path / "stack"
    first = init_stack(folder, SitePlan())
    assert not first.kept
    before = contents(folder)
    assert init_stack(folder, SitePlan()).made == []
    assert contents(folder) == before
    (folder / "secrets" / "page_wearer_token").unlink()
    assert init_stack(folder, SitePlan()).made == ["secrets/page_wearer_token"]
    held = secrets_of(folder)
    assert len(set(held.values())) == len(held)
    assert all(len(secret) == 64 for secret in held.values())
    assert folder.stat().st_mode & 0o777 == 0o700
    for name in ("certs/ca.key", "certs/server.key", "secrets/mqtt_therapist_password"):
        assert (folder / name).stat().st_mode & 0o033 == 0, name
    for name in ("gateway", "bridge", "therapist"):
        load_settings(folder / f"{name}.toml")


def test_rotation_renews_doors_and_keeps_settings_further_gateways_and_the_authority(tmp_path: Path) -> None:
    folder = tmp_path / "stack"
    init_stack(folder, SitePlan())
    passwd = folder / "mosquitto" / "passwd"
    passwd.chmod(0o600)
    passwd.write_text(passwd.read_text() + "gw-2:$7$1000$c2FsdA==$aGFzaA==\n")
    before, secrets = contents(folder), secrets_of(folder)
    init_stack(folder, SitePlan(), rotate=True)
    after = contents(folder)
    same = {name for name in before if before[name] == after[name]}
    assert same == {
        *(
            "certs/ca.crt",
            "certs/ca.key",
            "mosquitto/acl",
            "grafana/datasources/home.yaml",
            "grafana/dashboards/home.yaml",
        ),
        *("gateway.toml", "bridge.toml", "therapist.toml", "study.toml"),
        *(f"secrets/{name}" for name in FIRST_START_ONLY),
    }
    assert passwd.read_text().splitlines()[-1].startswith("gw-2:")
    assert not {s for n, s in secrets.items() if n not in FIRST_START_ONLY} & set(secrets_of(folder).values())
    (folder / "certs" / "ca.key").unlink()
    status, _, errors = tiltline("init-stack", str(folder), "--rotate")
    assert status == 1
    assert "put the authority's key back" in errors
    (folder / "certs" / "server.crt").unlink()
    status, _, errors = tiltline("init-stack", str(folder))
    assert (status, "put the authority's key back" in errors) == (1, True), (
        "it cannot make what is missing, and says so"
    )


def test_the_certificate_is_for_the_named_hosts_and_signed_by_the_authority(tmp_path: Path) -> None:
    folder = tmp_path / "stack"
    done = tiltline("init-stack", str(folder), "--name", "broker.lan", "--name", "192.0.2.5", "--json")
    assert done[0] == 0, done
    server = x509.load_pem_x509_certificate((folder / "certs" / "server.crt").read_bytes())
    authority = x509.load_pem_x509_certificate((folder / "certs" / "ca.crt").read_bytes())
    server.verify_directly_issued_by(authority)
    names = server.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert {"mosquitto", "localhost", "broker.lan"} == set(names.get_values_for_type(x509.DNSName))
    assert {"127.0.0.1", "192.0.2.5"} == {str(a) for a in names.get_values_for_type(x509.IPAddress)}
    assert isinstance(server.public_key(), ec.EllipticCurvePublicKey)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "certs" / "server.crt", folder / "certs" / "server.key")


def test_no_secret_is_printed_by_any_command(tmp_path: Path) -> None:
    folder = tmp_path / "stack"
    said = [tiltline("init-stack", str(folder)), tiltline("init-stack", str(folder), "--json")]
    held = secrets_of(folder)
    settings = (folder / "gateway.toml").read_text().replace("/run/secrets", str(folder / "secrets"))
    for name in ("ca.crt", "page.crt", "page.key"):
        settings = settings.replace(f"/etc/tiltline/{name}", str(folder / "certs" / name))
    settings = settings.replace("/etc/tiltline", str(folder)).replace("/var/lib/tiltline", str(tmp_path / "data"))
    (tmp_path / "gateway.toml").write_text(settings.replace('host = "mosquitto"', 'host = "127.0.0.1"'))
    shows = (["doctor"], ["doctor", "--json"], ["status"], ["status", "--json"], ["sensors"], ["web"])
    said += [tiltline(*words, "--config", str(tmp_path / "gateway.toml")) for words in shows]
    ask = ["command", "--config", str(folder / "therapist.toml"), "--issuer", "therapist", "--gateway", "gw-1"]
    ask += ["--wearer", "w-001", "--key-file", str(folder / "secrets" / "command_key_therapist"), "stop"]
    said.append(tiltline(*ask))
    for _, out, errors in said:
        assert out + errors
        assert not [name for name, secret in held.items() if secret in out + errors]
    assert json.loads(said[1][1])["made"] == []


def test_a_folder_without_the_compose_file_beside_it_is_told_where_that_is(tmp_path: Path) -> None:
    """Whoever installed with pip has the commands, not the stack."""
    _, out, _ = tiltline("init-stack", str(tmp_path / "stack"))
    assert "docker-compose.yml comes with the repository" in out
    (tmp_path / "docker-compose.yml").touch()
    _, out, _ = tiltline("init-stack", str(tmp_path / "stack"))
    assert "docker-compose.yml" not in out


def test_a_file_in_the_folders_place_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "stack").touch()
    assert main(["init-stack", str(tmp_path / "stack")]) == 1
    assert f"{tmp_path}/stack: cannot be used (File exists); name a folder" in capsys.readouterr().err


def test_names_that_are_no_pseudonyms_are_refused(tmp_path: Path) -> None:
    for option in ("--site", "--gateway", "--wearer"):
        status, _, errors = tiltline("init-stack", str(tmp_path / "stack"), option, "Jane Doe")
        assert status == 1
        assert option in errors
    assert not (tmp_path / "stack").exists()
