"""Files in, contexts out: swapped whole, or kept with the fault told once."""

import os
import ssl
from datetime import UTC, datetime
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from bench.proofs.tls_reloads import reload_under_connections
from gateway.homes.certificate_series import LATER
from gateway.homes.local_ca import issue_server_tls
from gateway.http.tls_context import TlsFault
from gateway.http.tls_reload import TlsFiles, TlsReload
from policies.credentials.client_certificate import read_client_certificate
from policies.errors import NotAuthenticated
from tests.authority import Authority, der

DAY_S = 86_400.0


class Watched:
    """The files of a server that asks clients for certificates, and what was noted of them."""

    def __init__(self, folder: Path, **values: object) -> None:
        self.authority = Authority(folder)
        self.pair = self.authority.server()
        self.now_s = self.authority.now.timestamp()
        self.good = self.authority.issue("good")
        self.lists = self.authority.revoke()
        self.files = TlsFiles(
            certificate=self.pair[0],
            key=self.pair[1],
            client_ca=self.authority.bundle,
            client_crl=self.lists,
            **values,  # type: ignore[arg-type]
        )
        self.notes: list[tuple[str, dict[str, object]]] = []

    def open(self) -> TlsReload:
        return TlsReload(
            self.files,
            {"public": "required", "admin": "off"},
            lambda event, details: self.notes.append((event, dict(details))),
            self.now_s,
        )

    def events(self) -> list[str]:
        return [event for event, _ in self.notes]


@pytest.fixture
def watched(tmp_path):
    return Watched(tmp_path)


def test_each_listener_has_a_context_and_nothing_changes_by_itself(watched):
    tls = watched.open()
    first = tls.context("public")
    assert first is not None
    assert first.verify_mode == ssl.CERT_REQUIRED
    admin = tls.context("admin")
    assert admin is not None
    assert admin.verify_mode == ssl.CERT_NONE
    assert {end.file for end in tls.ends} == {"certificate", "client_ca", "client_crl"}
    tls.look(watched.now_s)
    assert tls.context("public") is first
    assert "tls.reloaded" not in watched.events()


def test_a_listener_without_tls_has_none_and_nobody_asked_needs_no_authorities(watched):
    files = TlsFiles(certificate=watched.pair[0], key=watched.pair[1])
    tls = TlsReload(files, {"admin": "off"}, lambda *_: None, watched.now_s)
    assert tls.context("public") is None
    assert tls.trust is None
    assert [end.file for end in tls.ends] == ["certificate"]
    with pytest.raises(TlsFault, match=r"tls\.client_ca names no authorities"):
        TlsReload(files, {"admin": "optional"}, lambda *_: None, watched.now_s)


@pytest.mark.parametrize(
    ("name", "text", "told"),
    [
        ("client_ca", "hello", "no usable PEM certificate"),
        ("client_crl", "hello", "no PEM revocation list"),
        ("certificate", "hello", "not usable PEM"),
    ],
)
def test_a_start_with_unfit_files_is_refused(watched, name, text, told):
    watched.files.named()[name].write_text(text)
    with pytest.raises(TlsFault, match=told):
        watched.open()


def test_a_new_pair_holds_for_the_next_connection_once_both_files_are_there(watched):
    tls = watched.open()
    before = tls.context("public")
    other = watched.authority.server("other")
    other[0].replace(watched.pair[0])
    with capture_logs() as logs:
        for _ in range(3):
            tls.look(watched.now_s)
    assert tls.context("public") is before
    assert [(event, "does not belong to certificate" in str(details)) for event, details in watched.notes] == [
        ("tls.reload_failed", True),
        ("tls.expiring", False),
        ("tls.expiring", False),
        ("tls.expiring", False),
    ]
    assert [entry["event"] for entry in logs].count("tls_reload_failed") == 1
    other[1].replace(watched.pair[1])
    tls.look(watched.now_s)
    assert tls.context("public") is not before
    event, details = watched.notes[-1]
    assert event == "tls.reloaded"
    assert details["files"] == "certificate, key"


def test_files_that_went_away_or_vanish_while_they_are_read_leave_the_old_ones(watched, monkeypatch):
    tls = watched.open()
    before, trust = tls.context("public"), tls.trust
    watched.lists.unlink()
    tls.look(watched.now_s)
    assert "client_crl" in str(watched.notes[0][1]["cause"])
    watched.authority.revoke()
    monkeypatch.setattr("gateway.http.tls_reload.demand_readable", lambda *_: watched.lists.unlink(missing_ok=True))
    tls.look(watched.now_s)
    assert "changed while it was read" in str([details for event, details in watched.notes if "failed" in event][-1])
    assert (tls.context("public"), tls.trust) == (before, trust)


def test_an_older_revocation_list_brings_nobody_back(watched):
    """It is signed as the newer one is; whoever hands over the file must not be able to choose."""
    older = watched.lists.read_bytes()
    watched.authority.revoke(watched.good[0], days=(-0.5, 5))
    tls = watched.open()
    certificate = read_client_certificate(der(watched.good[0]))
    watched.lists.write_bytes(older)
    tls.look(watched.now_s)
    assert "older than the one in force" in str(watched.notes[0][1]["cause"])
    assert tls.trust is not None
    with pytest.raises(NotAuthenticated, match="certificate_revoked"):
        tls.trust.require(certificate, watched.now_s)


@pytest.mark.parametrize("name", ["certificate", "client_crl"])
def test_what_openssl_passes_over_is_a_fault_and_no_end_of_the_watch(watched, name):
    tls = watched.open()
    before = tls.context("public")
    path = watched.files.named()[name]
    kind, old, new = {
        "certificate": ("CERTIFICATE", b"\xa0\x03\x02\x01\x02", b"\xa0\x03\x02\x01\x07"),
        "client_crl": ("X509 CRL", b"\x02\x01\x01\x30", b"\x02\x01\x07\x30"),
    }[name]
    content = ssl.PEM_cert_to_DER_cert(path.read_text().replace("X509 CRL", "CERTIFICATE"))
    assert content.count(old) == 1
    path.write_text(ssl.DER_cert_to_PEM_cert(content.replace(old, new)).replace("CERTIFICATE", kind))
    (path.parent / LATER).write_bytes(b"")
    tls.look(watched.now_s)
    assert watched.events()[0] == "tls.reload_failed"
    assert tls.context("public") is before


@pytest.mark.parametrize("name", ["certificate", "key", "client_ca", "client_crl"])
def test_a_pipe_in_a_files_place_keeps_nobody_waiting(watched, name):
    tls = watched.open()
    (watched.pair[0].parent / LATER).write_bytes(watched.pair[0].read_bytes())
    path = watched.files.named()[name]
    path.unlink()
    os.mkfifo(path)
    tls.look(watched.now_s)
    assert f"{path} cannot be read (not a file)" in str(watched.notes[0][1]["cause"])


def test_a_new_revocation_list_reaches_certificates_of_open_connections(watched):
    tls = watched.open()
    certificate = read_client_certificate(der(watched.good[0]))
    assert tls.trust is not None
    tls.trust.require(certificate, watched.now_s)
    watched.authority.revoke(watched.good[0])
    tls.look(watched.now_s)
    with pytest.raises(NotAuthenticated) as refused:
        tls.trust.require(certificate, watched.now_s)
    assert refused.value.reason == "certificate_revoked"


def test_ends_are_told_once_a_threshold_and_again_for_another_file(watched):
    tls = watched.open()
    for days in (0.0, 0.0, 3.5, 6.0):
        tls.look(watched.now_s + days * DAY_S)
    told = [(details["file"], details["days"]) for event, details in watched.notes if event == "tls.expiring"]
    assert sorted(told) == [
        ("certificate", 7),
        ("certificate", 30),
        ("client_ca", 30),
        ("client_crl", 0),
        ("client_crl", 7),
    ]
    watched.authority.revoke(days=(-1, 20))
    tls.look(watched.now_s + 6.0 * DAY_S)
    assert watched.notes[-1][1]["file"] == "client_crl"
    assert watched.notes[-1][1]["days"] == 30


async def test_fifty_reloads_under_connections_lose_no_request(tmp_path):
    """The small size of `make prove P=tls_reloads`."""
    counts = await reload_under_connections(tmp_path, reloads=50, connections=4)
    assert counts == {"answered": 50 * 5, "reloaded": 50, "handshakes_failed": 0}


def test_the_homes_next_certificate_is_put_in_place_and_taken(tmp_path):
    now_s = datetime.now(UTC).timestamp()
    own = issue_server_tls((), datetime.fromtimestamp(now_s, UTC))
    files = TlsFiles(certificate=tmp_path / "server.pem", key=tmp_path / "server.key")
    files.certificate.write_bytes(own.certificate_pem)
    files.key.write_bytes(own.key_pem)
    (tmp_path / LATER).write_bytes(own.later_pem)
    notes: list[str] = []
    tls = TlsReload(files, {"public": "off"}, lambda event, _: notes.append(event), now_s)
    for days in (0.0, 50.0, 50.9):
        tls.look(now_s + days * DAY_S)
    assert notes == []
    tls.look(now_s + 51.0 * DAY_S)
    assert notes == ["tls.reloaded"]
    files.certificate.write_text("hello")
    with capture_logs() as logs:
        tls.look(now_s + 51.2 * DAY_S)
    assert [entry["event"] for entry in logs] == ["certificate_not_renewed", "tls_reload_failed"]
