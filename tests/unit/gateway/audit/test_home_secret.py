"""A home's secret is made once, private, and gives a key of its own to each purpose."""

import stat
from pathlib import Path

import pytest

from gateway.audit.home_secret import UnfitSecret, load_secret, make_secret, purpose_key


def test_made_once_and_private(tmp_path: Path) -> None:
    path = tmp_path / "a.key"
    make_secret(path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    secret = load_secret(path)
    assert len(secret) == 32
    with pytest.raises(FileExistsError):
        make_secret(path)
    assert load_secret(path) == secret
    make_secret(tmp_path / "b.key")
    assert load_secret(tmp_path / "b.key") != secret


def test_a_key_for_each_purpose(tmp_path: Path) -> None:
    keys = {purpose_key(secret, purpose) for secret in (b"a" * 32, b"b" * 32) for purpose in ("x", "y")}
    assert {len(key) for key in keys} == {32}
    assert len(keys) == 4
    assert purpose_key(b"a" * 32, "x") in keys


@pytest.mark.parametrize(
    ("content", "mode", "told"),
    [
        (None, 0o600, "cannot be read"),
        (b"1:" + b"0" * 64 + b"\n", 0o644, "chmod 600"),
        (b"", 0o600, "is not what Corral wrote"),
        (b"2:" + b"0" * 64 + b"\n", 0o600, "is not what Corral wrote"),
        (b"1:" + b"0" * 63 + b"\n", 0o600, "is not what Corral wrote"),
    ],
)
def test_an_unfit_file_is_told_with_its_remedy(tmp_path: Path, content: bytes | None, mode: int, told: str) -> None:
    path = tmp_path / "a.key"
    if content is not None:
        path.write_bytes(content)
        path.chmod(mode)
    with pytest.raises(UnfitSecret, match=told) as fault:
        load_secret(path)
    assert "0000" not in str(fault.value)
