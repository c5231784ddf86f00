"""A home's files, folder, certificate and keys."""

import time

import pytest

from gateway.cli.main import main
from gateway.doctor.home_checks import home_complaints, key_complaints, read_files
from gateway.homes.home import Home
from tests.ollama_client import OllamaClient

DAY_S = 86_400.0


@pytest.fixture
def home(tmp_path, capsys: pytest.CaptureFixture[str]) -> Home:
    assert main(["init", "--home", str(tmp_path / "home")]) == 0
    capsys.readouterr()
    return Home(tmp_path / "home")


def told(home: Home, *, has_key: bool = True, days: float = 0.0) -> list[str]:
    config, policy, complaints = read_files(home)
    assert config is not None
    assert policy is not None
    assert complaints == []
    found = home_complaints(home, config, policy, has_key=has_key, now_s=time.time() + days * DAY_S)
    return [each.what for each in found]


def test_a_new_home_is_well(home: Home) -> None:
    assert told(home) == []


def test_a_policy_that_waits_for_signatures(home: Home) -> None:
    key = OllamaClient().line.strip()
    home.config.write_text(f"policy: {{signers: {{required: 1, keys: ['{key}']}}}}\n")
    _, policy, [complaint] = read_files(home)
    assert policy is not None
    assert "has 0 of 1 signatures" in complaint.what


def test_a_folder_that_others_may_write(home: Home) -> None:
    home.path.chmod(0o770)
    assert told(home) == [f"{home.path} can be written by others"]


def test_a_secret_that_others_may_read(home: Home) -> None:
    home.pepper.chmod(0o644)
    assert "can be read by others" in told(home)[0]


def test_a_listener_beyond_loopback_without_a_key(home: Home) -> None:
    home.config.write_text(home.config.read_text() + "\npublic: {address: 0.0.0.0}\n")
    assert "there is no active key" in "\n".join(told(home, has_key=False))


def test_a_certificate_that_ends(home: Home) -> None:
    certificate = home.tls / "server.pem"
    assert told(home, days=5000) == [f"{certificate} has expired"]
    certificate.write_text("none")
    assert told(home) == []


def test_an_authority_of_clients_that_ends(home: Home) -> None:
    (home.tls / "clients.pem").write_bytes((home.tls / "server.pem").read_bytes())
    home.config.write_text(home.config.read_text() + "\ntls: {client_ca: tls/clients.pem}\n")
    assert told(home, days=5000) == [
        f"{home.tls / 'server.pem'} has expired",
        f"{home.tls / 'clients.pem'} has expired",
    ]


def test_files_that_cannot_be_used(home: Home) -> None:
    home.config.write_text("nonsense: 1\n")
    home.policy.write_text("teams: 3\n")
    config, policy, complaints = read_files(home)
    assert (config, policy) == (None, None)
    named = {each.what.split(":")[0] for each in complaints}
    assert named == {str(home.config), str(home.policy)}


def test_keys_that_never_end() -> None:
    keys = [{"id": f"k{number}", "state": "active", "expires": None} for number in range(7)]
    assert [each.what for each in key_complaints(keys)] == ["k0, k1, k2, k3, k4 and 2 more never expire"]
    assert [each.what for each in key_complaints(keys[:1])] == ["k0 never expire"]
    other = [{**keys[0], "state": "revoked"}, {**keys[0], "expires": "2027-01-01T00:00:00Z"}]
    assert list(key_complaints(other)) == []
