"""The home's certificates follow each other by themselves, and leave an operator's own alone."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509

from gateway.homes.certificate_series import LATER, put_due_in_place
from gateway.homes.local_ca import issue_server_tls

NOW = datetime(2026, 11, 22, tzinfo=UTC)
DAY = timedelta(days=1)


@pytest.fixture
def certificate(tmp_path) -> Path:
    tls = issue_server_tls((), NOW)
    (tmp_path / LATER).write_bytes(tls.later_pem)
    (tmp_path / "server.pem").write_bytes(tls.certificate_pem)
    return tmp_path / "server.pem"


def start(certificate: Path) -> datetime:
    return x509.load_pem_x509_certificate(certificate.read_bytes()).not_valid_before_utc


def test_a_year_passes_and_one_that_holds_is_always_in_place(certificate):
    replaced = 0
    for day in range(390):
        now = NOW + day * DAY
        replaced += put_due_in_place(certificate, now)
        leaf = x509.load_pem_x509_certificate(certificate.read_bytes())
        assert leaf.not_valid_before_utc <= now
        assert leaf.not_valid_after_utc > now
        if day < 356:
            assert leaf.not_valid_after_utc - now > 30 * DAY
    assert replaced == 6
    assert certificate.stat().st_mode & 0o777 == 0o644
    assert sorted(path.name for path in certificate.parent.iterdir()) == [LATER, "server.pem"]


def test_after_a_long_stop_the_newest_that_has_begun_is_taken(certificate):
    assert put_due_in_place(certificate, NOW + 160 * DAY)
    assert start(certificate) == NOW - timedelta(hours=1) + 153 * DAY
    assert not put_due_in_place(certificate, NOW + 160 * DAY)
    assert not put_due_in_place(certificate, NOW)  # a clock that was put back


def test_an_operators_own_certificate_stays(certificate):
    own = issue_server_tls((), NOW).certificate_pem
    certificate.write_bytes(own)
    assert not put_due_in_place(certificate, NOW + 100 * DAY)
    assert certificate.read_bytes() == own
    certificate.with_name(LATER).unlink()
    assert not put_due_in_place(certificate, NOW + 100 * DAY)


def test_a_file_that_is_no_certificate(certificate):
    certificate.write_text("hello")
    with pytest.raises(ValueError, match="PEM"):
        put_due_in_place(certificate, NOW + 100 * DAY)
