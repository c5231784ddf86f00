"""The container is shut as far as it can be, and its files are ones that Corral takes.

No container engine runs here: the files are read, and the start script is run as it is.
"""

import os
import re
import subprocess
from ipaddress import ip_address, ip_network
from pathlib import Path
from typing import Any

import pytest
import yaml

from gateway.configuration.config import load_config, load_policy
from setup.places import ROOT

CONTAINER = ROOT / "container"


@pytest.fixture(scope="module")
def compose() -> dict[str, Any]:
    loaded: dict[str, Any] = yaml.safe_load((ROOT / "compose.yaml").read_text())
    return loaded


def test_the_service_is_hardened(compose: dict[str, Any]) -> None:
    service = compose["services"]["corral"]
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert "cap_add" not in service
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert "privileged" not in service
    assert service["pids_limit"] > 0
    assert service["mem_limit"]
    (tmpfs,) = service["tmpfs"]
    assert {"noexec", "nosuid", "nodev"} <= set(tmpfs.partition(":")[2].split(","))


def test_one_port_and_only_to_loopback(compose: dict[str, Any]) -> None:
    (port,) = compose["services"]["corral"]["ports"]
    assert port == "127.0.0.1:8443:8443"


def test_state_is_in_a_volume_and_no_secret_in_the_file(compose: dict[str, Any]) -> None:
    service = compose["services"]["corral"]
    assert service["volumes"] == ["home:/var/lib/corral", "./.corral-cache:/models:ro"]
    assert "environment" not in service
    assert "env_file" not in service
    assert "corral_" not in (ROOT / "compose.yaml").read_text()


def test_it_has_time_to_drain(compose: dict[str, Any]) -> None:
    grace_s = int(compose["services"]["corral"]["stop_grace_period"].removesuffix("s"))
    config = load_config(CONTAINER / "config.yaml")
    assert grace_s > config.gateway.drain_notice_s + config.gateway.drain_s


def test_its_settings_are_taken(compose: dict[str, Any]) -> None:
    config = load_config(CONTAINER / "config.yaml")
    assert ip_address(config.public.address).is_unspecified
    assert ip_address(config.admin.address).is_loopback
    assert (config.public.unsafe_no_tls, config.admin.unsafe_no_tls) == (False, False)
    assert compose["services"]["corral"]["ports"][0].endswith(f":{config.public.port}")


def test_its_policy_lets_in_the_host_and_nobody_else(compose: dict[str, Any]) -> None:
    policy = load_policy(CONTAINER / "policy.yaml")
    assert "default" in policy.teams
    (network,) = compose["networks"]["front"]["ipam"]["config"]
    allowed = [
        ip_network(each) for each in yaml.safe_load((CONTAINER / "policy.yaml").read_text())["networks"]["allow"]
    ]
    assert allowed == [ip_network("127.0.0.0/8"), ip_network(f"{network['gateway']}/32")]
    assert ip_address(network["gateway"]) in ip_network(network["subnet"])


def test_the_image_is_built_from_the_lock_and_runs_as_nobody_special() -> None:
    text = (ROOT / "Dockerfile").read_text()
    installs = re.findall(r"pip (?:install|wheel) (?:[^&\n]|\\\n)*", text)
    assert len(installs) == 4
    assert all("--require-hashes" in each or "--no-index" in each for each in installs)
    final = text[text.rindex("FROM ") :]
    assert "USER 10001" in final
    assert "HEALTHCHECK" in final
    assert "g++" not in final
    assert "-DGGML_NATIVE=OFF" in text


def test_what_the_image_copies_is_there_and_not_ignored() -> None:
    copied = re.findall(r"^COPY (?!--from)(.+) \S+$", (ROOT / "Dockerfile").read_text(), re.MULTILINE)
    kept = {line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")}
    for source in " ".join(copied).split():
        assert (ROOT / source).exists()
        assert source.split("/")[0] in kept


@pytest.fixture
def fake_corral(tmp_path: Path) -> Path:
    """A `corral` that writes down what it is asked, and makes a home of two files."""
    command = tmp_path / "bin" / "corral"
    command.parent.mkdir()
    command.write_text(
        '#!/bin/sh\necho "$*" >>"$CORRAL_HOME.asked"\n'
        'if [ "$1" = init ]; then mkdir "$CORRAL_HOME" && touch "$CORRAL_HOME/config.yaml"; fi\n'
    )
    command.chmod(0o755)
    return command.parent


def test_the_start_script(tmp_path: Path, fake_corral: Path) -> None:
    home = tmp_path / "home"
    environment = {"PATH": f"{fake_corral}:{os.defpath}", "CORRAL_HOME": str(home)}
    for _ in range(2):
        subprocess.run([CONTAINER / "start", "--name", "ai.example.org"], env=environment, check=True)
    asked = Path(f"{home}.asked").read_text().splitlines()
    assert asked == ["init --name ai.example.org", "serve", "serve"]
    assert (home / "config.yaml").read_text() == (CONTAINER / "config.yaml").read_text()
    assert (home / "policy.yaml").read_text() == (CONTAINER / "policy.yaml").read_text()


def test_the_start_script_keeps_what_the_operator_wrote(tmp_path: Path, fake_corral: Path) -> None:
    home = tmp_path / "home"
    home.mkdir()
    (home / "config.yaml").write_text("mine")
    environment = {"PATH": f"{fake_corral}:{os.defpath}", "CORRAL_HOME": str(home)}
    subprocess.run([CONTAINER / "start"], env=environment, check=True)
    assert (home / "config.yaml").read_text() == "mine"
