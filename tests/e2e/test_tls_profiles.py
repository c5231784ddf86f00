"""TLS of the real runner: both profiles judged by sslyze, files replaced while it runs, no core dumps."""

import contextlib
import http.client
import re
import shutil
import socket
import ssl
import subprocess
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from setup.places import CACHE
from tests.authority import Authority
from tests.e2e.serving import Corral, until

SSLYZE = CACHE / "sslyze" / "bin" / "sslyze"
PATIENCE_S = 240.0
pytestmark = pytest.mark.e2e


@contextlib.contextmanager
def serving(folder: Path, **config: Any) -> Iterator[Corral]:
    """A Corral without a model: it is never ready, and its TLS is all there."""
    with started(Corral(folder, **config).make(None)) as corral:
        yield corral


@contextlib.contextmanager
def started(corral: Corral) -> Iterator[Corral]:
    """`corral`, serving until the end of the block."""
    corral.start("/health/live")
    try:
        yield corral
    finally:
        status = corral.stop()
    assert status == 0, corral.log()


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Corral]:
    """With what init made."""
    with serving(tmp_path_factory.mktemp("plain")) as corral:
        yield corral


def judge(corral: Corral, profile: str) -> str:
    """What sslyze says of the public listener; its words of the guidelines' verdict."""
    assert SSLYZE.is_file(), "sslyze is not installed: run 'make install-test'"
    command = [SSLYZE, f"--mozilla_config={profile}", f"--certinfo_ca_file={corral.ca}", f"127.0.0.1:{corral.port}"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE_S, check=False)
    verdict = done.stdout[done.stdout.find("COMPLIANCE AGAINST TLS CONFIGURATION") :]
    assert done.returncode == 0, verdict or done.stderr
    return verdict


def shown(corral: Corral, trusted: ssl.SSLContext) -> bytes | None:
    """The certificate that a new connection is shown."""
    with (
        socket.create_connection(("127.0.0.1", corral.port), 60) as raw,
        trusted.wrap_socket(raw, server_hostname="localhost") as line,
    ):
        return line.getpeercert(binary_form=True)


def test_intermediate_is_compliant_with_what_init_made(plain):
    assert "OK - Compliant" in judge(plain, "intermediate")


def test_modern_is_compliant_too_and_refuses_tls_12(tmp_path):
    with serving(tmp_path, tls={"profile": "modern"}) as corral:
        assert "OK - Compliant" in judge(corral, "modern")
        trusted = corral.tls()
        assert shown(corral, trusted)
        trusted.maximum_version = ssl.TLSVersion.TLSv1_2
        with pytest.raises(ssl.SSLError):
            shown(corral, trusted)


def test_a_new_certificate_holds_for_new_connections_and_old_ones_go_on(plain, tmp_path):
    """As an operator replaces them: another authority's, while the gateway runs. And back."""
    files = [plain.home / "tls" / name for name in ("server.pem", "server.key")]
    own = [shutil.copy(file, tmp_path / f"own-{file.name}") for file in files]
    authority = Authority(tmp_path)
    both = plain.tls()
    both.load_verify_locations(authority.bundle)
    before = shown(plain, both)
    with contextlib.closing(plain.connect()) as old:
        old.connect()
        put(authority.server(), files)
        assert until(lambda: shown(plain, both) != before)
        old.request("GET", "/")
        assert old.getresponse().read() == b"Ollama is running"
    assert "tls_reloaded" in plain.log()
    put(own, files)
    assert until(lambda: shown(plain, both) == before)


def put(sources: Iterable[Path], files: Iterable[Path]) -> None:
    for source, file in zip(sources, files, strict=True):
        fresh = file.with_name(f"{file.name}.new")
        shutil.copy(source, fresh)
        fresh.replace(file)


def test_a_revoked_certificate_is_refused_on_its_open_connection(tmp_path):
    authority = Authority(tmp_path)
    good, lists = authority.issue("good"), authority.revoke()
    tls = {"client_ca": str(authority.bundle), "client_crl": str(lists)}
    folder = tmp_path / "site"
    folder.mkdir()
    corral = Corral(folder, tls=tls).make(None)
    settings = yaml.safe_load((corral.home / "config.yaml").read_text())
    settings["public"]["client_certificates"] = "optional"
    (corral.home / "config.yaml").write_text(yaml.safe_dump(settings))
    policy = yaml.safe_load((corral.home / "policy.yaml").read_text())
    policy["certificates"] = {"uri:spiffe://test/app": {"team": "default"}}
    (corral.home / "policy.yaml").write_text(yaml.safe_dump(policy))
    with started(corral):
        trusted = corral.tls()
        trusted.load_cert_chain(*good)
        open_connection = http.client.HTTPSConnection("127.0.0.1", corral.port, context=trusted, timeout=60)

        assert exchange(open_connection) == 200
        own = open_connection.sock
        authority.revoke(good[0])
        assert until(lambda: exchange(open_connection) == 401)
        assert open_connection.sock is own
        fresh = http.client.HTTPSConnection("127.0.0.1", corral.port, context=trusted, timeout=60)
        with pytest.raises((ssl.SSLError, ConnectionError)):  # TLS 1.3 tells a client with its first answer
            exchange(fresh)
        for connection in (open_connection, fresh):
            connection.close()


def exchange(connection: http.client.HTTPSConnection) -> int:
    """The status of one request without another credential than the connection's certificate."""
    connection.request("GET", "/v1/models")
    answer = connection.getresponse()
    answer.read()
    return answer.status


def test_supervisor_and_gateway_leave_no_core(plain):
    assert plain.process is not None
    pids = [plain.process.pid, *plain.children("gateway.process")]
    assert len(pids) == 2
    for pid in pids:
        limits = Path(f"/proc/{pid}/limits").read_text()
        assert re.search(r"^Max core file size +0 +0 ", limits, re.MULTILINE), limits
