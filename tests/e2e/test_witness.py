"""A gateway and a witness, each its own process and folder: cosigned, rewritten, refused, overdue."""

import json
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from gateway.audit.anchor_witness import COSIGNED_NAME
from gateway.audit.audit_files import read_lines, segments
from tests.e2e.serving import REPOSITORY, Corral, free_port, until
from tests.signed_chains import SignedChain, body

pytestmark = [pytest.mark.e2e, pytest.mark.slow]
MAX_AGE_S = 30.0
"""The least that may be set."""


def corral(*words: object, check: bool = True) -> "subprocess.CompletedProcess[str]":
    argv = [sys.executable, "-m", "gateway.cli.main", *map(str, words)]
    return subprocess.run(argv, capture_output=True, text=True, check=check, timeout=120, cwd=REPOSITORY)


@contextmanager
def witnessing(folder: Path, port: int, log: Path) -> Iterator[None]:
    argv = [sys.executable, "-m", "gateway.cli.main", "audit", "witness", "serve", "--state", str(folder)]
    with log.open("ab") as file:
        process = subprocess.Popen([*argv, "--port", str(port)], stdout=file, stderr=file, cwd=REPOSITORY)
    try:
        assert until(lambda: "listens on" in log.read_text())
        yield
    finally:
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 0, log.read_text()


def chain_of(gateway: Corral) -> Path:
    return next(path.parent for path in (gateway.home / "audit").glob("*/head"))


def events(gateway: Corral) -> list[str]:
    return [each["event"] for each in records(gateway)]


def records(gateway: Corral) -> list[dict[str, Any]]:
    """Those of the chain; none where a segment was compressed since the folder was read, and it is to be read again."""
    try:
        lines = [line.data for segment in segments(chain_of(gateway)) for line in read_lines(segment)]
    except FileNotFoundError:
        return []
    return [json.loads(line) for line in lines]


def standing(folder: Path) -> dict[str, Any]:
    return dict(json.loads(corral("audit", "witness", "check", "--state", folder, "--json", check=False).stdout))


@pytest.fixture(scope="module")
def unanchored(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Corral]:
    """A gateway whose one anchor is in a folder that is not there. Half a minute later, which passes in the other test,
    it is overdue."""
    folder = tmp_path_factory.mktemp("unanchored")
    gateway = Corral(folder).make(None)
    ports = {"public": {"port": gateway.port}, "admin": {"port": gateway.admin_port}}
    audit = {
        "anchors": [{"file": str(volume_of(gateway) / "kept")}],
        "anchor_max_age_s": MAX_AGE_S,
        "anchor_overdue": "refuse",
    }
    (gateway.home / "config.yaml").write_text(json.dumps({**ports, "audit": audit}))
    gateway.start("/health/live")
    yield gateway
    assert gateway.stop() == 0


def volume_of(gateway: Corral) -> Path:
    return gateway.home.parent / "volume"


@pytest.mark.usefixtures("unanchored")
def test_a_gateway_is_witnessed_and_a_rewritten_log_is_not(tmp_path: Path) -> None:
    folder, port = tmp_path / "witness", free_port()
    made = json.loads(corral("audit", "witness", "init", "--state", folder, "--name", "w1", "--json").stdout)
    gateway = Corral(tmp_path).make(None)
    shutil.copy(made["ca_file"], gateway.home / "witness-ca.pem")
    witness = {"url": f"https://localhost:{port}", "vkey": made["vkey"], "ca_file": "witness-ca.pem"}
    audit = {"witnesses": [witness], "anchors": [{"file": str(tmp_path / "kept")}]}
    ports = {"public": {"port": gateway.port}, "admin": {"port": gateway.admin_port}}
    (gateway.home / "config.yaml").write_text(json.dumps({**ports, "audit": audit}))
    corral("audit", "witness", "watch", "--state", folder, gateway.home / "audit" / "audit.vkey", check=False)
    with witnessing(folder, port, tmp_path / "witness.log"):
        gateway.start("/health/live")
        corral("audit", "witness", "watch", "--state", folder, gateway.home / "audit" / "audit.vkey")
        assert until((chain_of(gateway) / COSIGNED_NAME).exists)
        assert until(lambda: gateway.status()["anchors"]["words"] == "anchored off this host by witness:w1")
        assert gateway.stop() == 0
        assert "w1 " in (chain_of(gateway) / COSIGNED_NAME).read_text()
        assert standing(folder)["sound"]
        anchored = ["--anchor", str(tmp_path / "kept"), "--anchor", str(chain_of(gateway) / COSIGNED_NAME)]
        assert "not anchored" not in corral("audit", "verify", gateway.home, *anchored).stdout
        rewrite(gateway)
        assert corral("audit", "verify", gateway.home, check=False).returncode == 0  # whole, to who has no other copy
        gateway.start("/health/live")
        assert until(lambda: "anchor.failed" in events(gateway))
        gateway.stop()
    found = standing(folder)
    assert not found["sound"]
    (evidence,) = map(Path, found["evidence"])
    assert {path.name for path in evidence.iterdir()} == {"cosigned", "refused", "proof"}
    refused = corral("audit", "verify", gateway.home, "--anchor", evidence / "cosigned", check=False)
    assert refused.returncode == 1


def rewrite(gateway: Corral) -> None:
    """As whoever has the whole host can: another log in its place, longer, signed by the same key."""
    folder = chain_of(gateway)
    for path in folder.iterdir():
        if path.name != "lock":
            path.unlink()
    chain = SignedChain(gateway.home, folder.name)
    for second in range(400):
        chain.add(body(second))
    chain.close()


def test_where_nothing_takes_a_checkpoint_requests_are_refused_until_something_does(unanchored: Corral) -> None:
    assert until(lambda: unanchored.status()["anchors"]["refuses"], 120)
    assert "OVERDUE" in unanchored.command("status").stdout
    volume_of(unanchored).mkdir()
    assert until(lambda: not unanchored.status()["anchors"]["refuses"], 120)
    assert until(lambda: "anchor.back" in events(unanchored))
    told = [each for each in records(unanchored) if each["event"].startswith("anchor.")]
    assert [each["event"] for each in told] == ["anchor.failed", "anchor.overdue", "anchor.back"]
    assert told[1]["details"]["age_s"] >= MAX_AGE_S
