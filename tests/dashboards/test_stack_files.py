"""Compose file, Dockerfile and example settings: read by the programs that use them; planted faults are refused."""

from __future__ import annotations

import argparse
import json
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from dashboards.__main__ import generated
from dashboards.model import DATA_SOURCE_UID
from processing.rules.study import Study
from sensor_gateway.cli import replay
from sensor_gateway.config import load_settings
from sensor_gateway.stack.database import FIRST_BUCKET, dashboard_provider, data_source
from sensor_gateway.stack.site import SitePlan, init_stack
from sensor_gateway.study_file import load_study

ROOT = Path(__file__).parents[2]
COMPOSE = ROOT / "docker-compose.yml"
DOCKERFILE = ROOT / "Dockerfile"

needs_compose = pytest.mark.skipif(
    shutil.which("docker-compose") is None, reason="docker-compose is not installed (Debian package docker-compose)"
)


def compose(text: str, directory: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    file = directory / "docker-compose.yml"
    file.write_text(text)
    return subprocess.run(
        ["docker-compose", "-f", str(file), "config", *arguments],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def hadolint(text: str, directory: Path) -> subprocess.CompletedProcess[str]:
    binary = Path(sys.executable).parent / "hadolint"
    file = directory / "Dockerfile"
    file.write_text(text)
    return subprocess.run([str(binary), str(file)], capture_output=True, text=True, timeout=60, check=False)


def resolved(text: str, directory: Path) -> dict[str, Any]:
    """The file as compose understands it: anchors merged, defaults filled in."""
    result = compose(text, directory)
    assert result.returncode == 0, result.stderr
    # docker-compose 1 prints YAML only; the Python it is written in has the reader, ours need not.
    program = shutil.which("docker-compose")
    assert program is not None
    interpreter = Path(program).read_text().splitlines()[0].removeprefix("#!")
    convert = "import json, sys, yaml; json.dump(yaml.safe_load(sys.stdin), sys.stdout)"
    shown = subprocess.run(
        [interpreter, "-c", convert], input=result.stdout, capture_output=True, text=True, check=True
    )
    document: dict[str, Any] = json.loads(shown.stdout)
    return document


def problems(document: dict[str, Any]) -> list[str]:
    """What docker-compose 1.29 lets pass: references to nothing, a service left soft."""
    found = []
    for name, service in document["services"].items():
        networks, once = set(service["networks"]), "profiles" in service
        secrets = {s["source"] for s in service.get("secrets", [])}
        volumes = {v.split(":")[0] for v in service.get("volumes", []) if not v.startswith(("/", "."))}
        for kind, used in (("networks", networks), ("secrets", secrets), ("volumes", volumes)):
            found += [f"{name}: unknown {kind} {reference}" for reference in sorted(used - set(document[kind]))]
        soft = {
            "root file system writable": service.get("read_only") is not True,
            "capabilities kept": service.get("cap_drop") != ["ALL"] or "cap_add" in service,
            "may gain privileges": service.get("security_opt") != ["no-new-privileges:true"] or "privileged" in service,
            "runs as root": str(service.get("user", "0")).split(":")[0] in {"0", "root"},
            "image not pinned": not re.search(r":\d+\.\d+\.\d+$", service.get("image", "")),
            "open to the network": any(not str(p).startswith("127.0.0.1:") for p in service.get("ports", [])),
            # What runs once and ends is neither watched nor started again.
            "not watched": not once and service.get("healthcheck", {"test": ["NONE"]})["test"][0] != "CMD",
            "stays down after a crash": not once and service.get("restart") != "unless-stopped",
            "starts by itself, again and again": once and service.get("restart") != "no",
        }
        found += [f"{name}: {text}" for text, is_so in soft.items() if is_so]
        for key, value in (service.get("environment") or {}).items():
            if re.search(r"PASSWORD|TOKEN|SECRET", key) and not str(value).startswith("/run/secrets/"):
                found.append(f"{name}: {key} stands in the file")
    return found


@needs_compose
def test_compose_reads_the_file(tmp_path: Path) -> None:
    result = compose(COMPOSE.read_text(), tmp_path, "-q")
    assert result.returncode == 0, result.stderr
    assert not result.stderr


@needs_compose
def test_the_stack_is_whole_pinned_hardened_and_watched(tmp_path: Path) -> None:
    document = resolved(COMPOSE.read_text(), tmp_path)
    assert set(document["services"]) == {"mosquitto", "influxdb", "grafana", "gateway", "bridge", "retro"}
    assert problems(document) == []
    used = {s["source"] for service in document["services"].values() for s in service.get("secrets", [])}
    assert used == set(document["secrets"])
    assert {Path(s["file"]).parent.name for s in document["secrets"].values()} == {"secrets"}


@needs_compose
def test_the_retro_run_has_what_its_command_names_and_reaches_the_database_alone(tmp_path: Path) -> None:
    document = resolved(COMPOSE.read_text(), tmp_path)
    retro, gateway = document["services"]["retro"], document["services"]["gateway"]
    assert set(retro["networks"]) == {"data"}
    assert document["networks"]["data"]["internal"] is True
    assert "data" not in gateway["networks"]
    assert "ports" not in retro
    mounted = {volume.split(":")[1]: volume.split(":")[0] for volume in retro["volumes"]}
    made = tmp_path / "stack"
    init_stack(made, SitePlan())
    settings, database = load_settings(made / "gateway.toml"), load_settings(made / "bridge.toml")
    needed = {word for word in retro["command"] if word.startswith("/")} | {settings.study, settings.site.data_dir}
    assert needed <= set(mounted)
    assert mounted[settings.site.data_dir] == "gateway-data"
    assert {f"/run/secrets/{s['source']}" for s in retro["secrets"]} == {database.influx.token_file}
    parser = argparse.ArgumentParser()
    replay.configure(parser)
    assert retro["command"][0] == "replay"
    assert parser.parse_args(retro["command"][1:]).mode == "retro"


@needs_compose
@pytest.mark.parametrize(
    ("sound", "fault"),
    [
        ("read_only: true", "readonly: true"),
        ("influxdb: {condition: service_healthy}", "influx: {condition: service_healthy}"),
        ("condition: service_healthy", "condition: healthy"),
        ("- grafana-data:/var/lib/grafana", "- grafana:/var/lib/grafana"),
        ("retries: 10", "retries: many"),
        ("start_period: 30s", "start_perid: 30s"),
        ("interval: 15s", "interval: often"),
        ('"127.0.0.1:3000:3000"', '"127.0.0.1:3000:abc"'),
    ],
)
def test_compose_refuses_a_planted_fault(tmp_path: Path, sound: str, fault: str) -> None:
    text = COMPOSE.read_text()
    assert sound in text
    assert compose(text.replace(sound, fault, 1), tmp_path).returncode != 0


@needs_compose
@pytest.mark.parametrize(
    ("sound", "fault", "message"),
    [
        ("networks: [messages, data]", "networks: [messages, base]", "bridge: unknown networks base"),
        ("secrets: [mqtt_gateway_password,", "secrets: [mqtt_password,", "gateway: unknown secrets mqtt_password"),
        ('test: ["CMD", "influx", "ping"]', 'test: ["CMD-SHELL", "true"]', "influxdb: not watched"),
        ("  read_only: true", "  read_only: false", "root file system writable"),
        ("cap_drop: [ALL]", "cap_drop: [NET_RAW]", "capabilities kept"),
        ('restart: "no"', "restart: always", "retro: starts by itself"),
        ('user: "472:0"', 'user: "0:0"', "grafana: runs as root"),
        ("grafana:13.2.3", "grafana:latest", "grafana: image not pinned"),
        ('"127.0.0.1:3000:3000"', '"3000:3000"', "grafana: open to the network"),
        (
            "PASSWORD__FILE: /run/secrets/grafana_admin_password",
            "PASSWORD: admin",
            "GF_SECURITY_ADMIN_PASSWORD stands in",
        ),
    ],
)
def test_our_own_reading_finds_the_faults_compose_lets_pass(
    tmp_path: Path, sound: str, fault: str, message: str
) -> None:
    text = COMPOSE.read_text()
    assert sound in text
    assert any(message in found for found in problems(resolved(text.replace(sound, fault, 1), tmp_path)))


def test_hadolint_accepts_the_dockerfile(tmp_path: Path) -> None:
    result = hadolint(DOCKERFILE.read_text(), tmp_path)
    assert result.returncode == 0, result.stdout


@pytest.mark.parametrize(
    ("sound", "fault", "rule"),
    [
        ("WORKDIR /src", "WORKDIR src", "DL3000"),
        ("USER 10001:10001", "USER root", "DL3002"),
        ("FROM ${BASE_IMAGE} AS build", "FROM debian AS build", "DL3006"),
        ("WORKDIR /src", "WORKDIR /src\nRUN cd /opt", "DL3003"),
        ('CMD ["--help"]', "CMD --help", "DL3025"),
    ],
)
def test_hadolint_refuses_a_planted_fault(tmp_path: Path, sound: str, fault: str, rule: str) -> None:
    text = DOCKERFILE.read_text()
    assert sound in text
    result = hadolint(text.replace(sound, fault), tmp_path)
    assert result.returncode != 0
    assert rule in result.stdout


def test_the_image_copies_only_what_dockerignore_lets_in() -> None:
    allowed = {line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")}
    copied = {
        source.rstrip("/")
        for line in re.findall(r"^COPY (?!--from)(.+)$", DOCKERFILE.read_text(), re.MULTILINE)
        for source in line.split()[:-1]
    }
    assert copied == allowed
    assert all((ROOT / name).exists() for name in copied)


def test_the_example_settings_load() -> None:
    plain = load_settings(ROOT / "config" / "gateway.example.toml")
    assert not plain.mqtt.enabled
    gateway, bridge = (load_settings(ROOT / "config" / "stack" / f"{n}.example.toml") for n in ("gateway", "bridge"))
    assert gateway.mqtt.tls
    assert bridge.mqtt.tls
    assert gateway.mqtt.username == gateway.site.gateway


def test_the_example_study_shows_the_defaults() -> None:
    assert load_study(ROOT / "config" / "study.example.toml") == Study()


def test_the_settings_fit_the_compose_file_and_the_data_source() -> None:
    text = COMPOSE.read_text()
    for name in ("gateway", "bridge"):
        settings = load_settings(ROOT / "config" / "stack" / f"{name}.example.toml")
        block = text[text.index(f"\n  {name}:") :]
        for path in (settings.mqtt.ca_file, settings.site.data_dir, f"/etc/tiltline/{name}.toml"):
            assert path in block
        secrets = re.search(r"secrets: \[(.+)\]", block)
        assert secrets is not None
        for path in filter(None, (settings.mqtt.password_file, settings.influx.token_file)):
            assert Path(path).name in secrets[1].split(", ")
        assert f"\n  {settings.mqtt.host}:" in text
    influx = load_settings(ROOT / "config" / "stack" / "bridge.example.toml").influx
    source = data_source(1, FIRST_BUCKET, "influx_read_token")
    assert f"url: {influx.url}\n" in source
    assert f"dbName: {influx.bucket}\n" in source
    assert 'httpHeaderValue1: "Token $__file{/run/secrets/influx_read_token}"' in source
    assert f"uid: {DATA_SOURCE_UID}\n" in source, "by which the dashboards ask"
    assert f"DOCKER_INFLUXDB_INIT_BUCKET: {influx.bucket}\n" in text
    assert f"DOCKER_INFLUXDB_INIT_ORG: {influx.org}\n" in text


def test_grafana_reads_the_generated_files() -> None:
    text = COMPOSE.read_text()
    folders = set(re.findall(r"\./dashboards/grafana/([\w/]+):", text))
    assert folders == {str(Path(name).parent) for name in generated()}
    assert "./dashboards/grafana/json:/var/lib/tiltline/dashboards:ro" in text
    assert "path: /var/lib/tiltline/dashboards\n" in dashboard_provider(1, "home")
    assert set(re.findall(r"\./stack/grafana/(\w+):", text)) == {"datasources", "dashboards"}


def test_grafana_image_and_the_types_it_is_checked_against_have_one_version() -> None:
    image = re.search(r"image: grafana/grafana:([\d.]+)", COMPOSE.read_text())
    package = json.loads((Path(__file__).parent / "schema" / "package.json").read_text())
    assert image is not None
    assert image[1] == package["devDependencies"]["@grafana/schema"]
