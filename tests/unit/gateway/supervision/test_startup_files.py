import os
from pathlib import Path

import aiohttp.helpers
import pytest

from gateway.configuration.oidc_settings import OidcSettings
from gateway.configuration.settings import (
    AnchorSettings,
    AuditSettings,
    Config,
    ConsoleSettings,
    ListenSettings,
    TlsSettings,
    UpstreamSettings,
    WitnessSettings,
)
from gateway.homes.home import Home
from gateway.supervision import startup_files
from gateway.supervision.startup_files import file_faults, parser_faults
from policies.addresses.egress import Egress, EgressHost


@pytest.fixture
def home(tmp_path: Path) -> Home:
    home = Home(tmp_path)
    home.tls.mkdir()
    for path in (home.pepper, home.keys, home.tls / "server.pem", home.tls / "server.key", tmp_path / "lab.key"):
        path.write_text("x")
        path.chmod(0o600)
    return home


def test_a_sound_home_has_no_faults(home: Home) -> None:
    upstream = UpstreamSettings(name="lab", kind="ollama", url="http://127.0.0.1:1", api_key_file="lab.key")
    keyless = UpstreamSettings(name="own", kind="ollama", url="http://127.0.0.1:2")
    assert file_faults(home, Config(upstreams=(upstream, keyless))) == []


@pytest.mark.parametrize("name", ["pepper", "keys.db", "tls/server.key"])
@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660])
def test_a_secret_that_others_can_read_is_refused(home: Home, name: str, mode: int) -> None:
    path = home.path / name
    path.chmod(mode)
    assert file_faults(home, Config()) == [f"{path} can be read by others: run 'chmod 600 {path}'"]


def test_a_secret_of_another_user_is_refused(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    us = os.geteuid()
    if us == 0:
        os.chown(home.pepper, 4711, 4711)
    else:
        monkeypatch.setattr(startup_files.os, "geteuid", lambda: us + 1)
    assert any(f"{home.pepper} belongs to another user" in fault for fault in file_faults(home, Config()))


def test_missing_files_are_named(home: Home) -> None:
    (home.tls / "server.pem").unlink()
    home.pepper.unlink()
    found = "\n".join(file_faults(home, Config()))
    assert f"tls.certificate is not there: {home.tls / 'server.pem'}" in found
    assert f"the pepper is not there: {home.pepper}" in found


def test_the_files_of_witnesses_and_anchors_are_looked_for(home: Home) -> None:
    witness = WitnessSettings(url="https://w", vkey="v", ca_file="w-ca.pem")
    collector = AnchorSettings(http="https://c", ca_file="c-ca.pem", api_key_file="c-key")
    config = Config(audit=AuditSettings(witnesses=(witness,), anchors=(collector, AnchorSettings(file="/kept"))))
    found = file_faults(home, config)
    assert [fault.rpartition(": ")[2].split(" ")[0] for fault in found] == [
        str(home.path / name) for name in ("w-ca.pem", "c-ca.pem", "c-key")
    ]
    for name in ("w-ca.pem", "c-ca.pem", "c-key"):
        (home.path / name).write_text("x")
    (home.path / "c-key").chmod(0o644)
    assert file_faults(home, config) == [
        f"{home.path / 'c-key'} can be read by others: run 'chmod 600 {home.path / 'c-key'}'"
    ]


def test_the_files_of_the_consoles_identity_provider_are_looked_for(home: Home) -> None:
    oidc = OidcSettings(issuer="https://i", client_id="c", client_secret_file="oidc-secret", ca_file="oidc-ca.pem")
    config = Config(console=ConsoleSettings(enabled=True, oidc=oidc))
    found = "\n".join(file_faults(home, config))
    assert f"console.oidc.ca_file is not there: {home.path / 'oidc-ca.pem'}" in found
    assert f"console.oidc.client_secret_file is not there: {home.path / 'oidc-secret'}" in found
    for name in ("oidc-ca.pem", "oidc-secret"):
        (home.path / name).write_text("x")
    (home.path / "oidc-secret").chmod(0o640)
    assert len(file_faults(home, config)) == 1
    assert file_faults(home, Config(console=ConsoleSettings(enabled=True))) == []
    assert file_faults(home, Config(console=ConsoleSettings(oidc=oidc))) == []


def refuse_access(monkeypatch: pytest.MonkeyPatch, closed: Path) -> None:
    """As for an ordinary user; root may open everything."""
    monkeypatch.setattr(startup_files.os, "access", lambda path, _mode: path != closed)


@pytest.mark.parametrize("name", ["pepper", "keys.db", "tls/server.key", "tls/server.pem"])
def test_a_file_that_this_user_cannot_read_is_named(home: Home, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    refuse_access(monkeypatch, home.path / name)
    (fault,) = file_faults(home, Config())
    assert f"cannot be read by this user: {home.path / name}" in fault


def test_a_key_in_a_closed_folder_is_named(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    closed, really = home.tls / "server.key", Path.stat

    def stat(path: Path, **options: bool) -> os.stat_result:
        if path == closed:
            raise PermissionError
        return really(path, **options)

    monkeypatch.setattr(Path, "stat", stat)
    assert file_faults(home, Config()) == [f"tls.key is in a folder that is closed to this user: {closed}"]


@pytest.mark.parametrize("name", ["", "audit", "run"])
def test_a_folder_that_cannot_be_written_is_named(home: Home, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    (home.path / name).mkdir(exist_ok=True)
    refuse_access(monkeypatch, home.path / name)
    (fault,) = file_faults(home, Config())
    assert fault.startswith(f"{home.path / name} cannot be written")


def test_a_full_disk_is_named(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(startup_files, "LEAST_FREE_BYTES", 1 << 62)
    (fault,) = file_faults(home, Config())
    assert fault.startswith(f"the disk of {home.path} is full: free space")


def test_without_tls_its_files_are_not_asked_for(home: Home) -> None:
    (home.tls / "server.pem").unlink()
    (home.tls / "server.key").unlink()
    bare = ListenSettings(unsafe_no_tls=True)
    assert file_faults(home, Config(public=bare, admin=bare)) == []


def test_the_files_that_judge_clients_are_asked_for_where_they_are_named(home: Home) -> None:
    config = Config(tls=TlsSettings(client_ca="tls/clients.pem", client_crl="tls/clients.crl"))
    assert [fault.split(" is not there")[0] for fault in file_faults(home, config)] == [
        "tls.client_ca",
        "tls.client_crl",
    ]


def test_the_c_parser_is_demanded(monkeypatch: pytest.MonkeyPatch) -> None:
    assert parser_faults() == []
    monkeypatch.setattr(aiohttp.helpers, "NO_EXTENSIONS", True)
    assert "switches the C parser off" in parser_faults()[0]


def test_the_files_on_the_way_out_are_looked_for(home: Home) -> None:
    models = UpstreamSettings(name="gpu", kind="ollama", url="https://m.example", ca_file="m-ca.pem")
    proxied = EgressHost(host="m.example", ca_file="e-ca.pem", proxy="http://p:1", proxy_login_file="login")
    config = Config(upstreams=(models,), egress=Egress(hosts=(proxied, EgressHost(host="other.example"))))
    assert [fault.partition(" is not there")[0] for fault in file_faults(home, config)] == [
        "upstreams gpu ca_file",
        "the ca_file of m.example under egress.hosts",
        "the proxy_login_file of m.example under egress.hosts",
    ]
    for name in ("m-ca.pem", "e-ca.pem", "login"):
        (home.path / name).write_text("x")
    (home.path / "login").chmod(0o604)
    [fault] = file_faults(home, config)
    assert "login can be read by others" in fault
