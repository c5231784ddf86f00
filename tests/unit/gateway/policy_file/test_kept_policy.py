"""What a gateway that crashed comes back under."""

from pathlib import Path

import pytest

from gateway.configuration.config import ConfigFaults, policy_hash
from gateway.configuration.settings import SignerSettings
from gateway.policy_file import kept_policy
from gateway.policy_file.kept_policy import KEPT_FILE, KeptPolicy
from gateway.policy_file.policy_reading import PolicyFile
from tests.ssh_people import Person, needs_ssh_keygen

GOOD = b"teams: {default: {models: ['*']}}\n"
FAULTY = b"teams: {default: {weight: 0}}\n"


@pytest.fixture
def file(tmp_path: Path) -> PolicyFile:
    path = tmp_path / "policy.yaml"
    path.write_bytes(GOOD)
    return PolicyFile(path, None)


@pytest.fixture
def kept(tmp_path: Path) -> KeptPolicy:
    (tmp_path / "run").mkdir()
    return KeptPolicy(tmp_path / "run")


def test_the_file_counts_while_it_has_no_fault(file: PolicyFile, kept: KeptPolicy, tmp_path: Path):
    assert kept.load(file).hash == policy_hash(GOOD)
    file.path.write_bytes(b"teams: {}\n")
    assert kept.load(file).hash == policy_hash(b"teams: {}\n")
    assert [path.name for path in (tmp_path / "run").iterdir()] == [KEPT_FILE]
    assert (tmp_path / "run" / KEPT_FILE).stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("fault", [FAULTY, None])
def test_a_fault_in_the_file_brings_the_kept_one_back(file: PolicyFile, kept: KeptPolicy, fault: bytes | None):
    kept.load(file)
    file.path.unlink()
    if fault is not None:
        file.path.write_bytes(fault)
    assert kept.load(file).hash == policy_hash(GOOD)


def test_nothing_kept_is_the_fault_of_the_file(file: PolicyFile, kept: KeptPolicy):
    kept.load(file)
    file.path.write_bytes(FAULTY)
    kept.forget()
    with pytest.raises(ConfigFaults, match="weight must be above 0"):
        kept.load(file)


def test_what_is_kept_is_judged_again(file: PolicyFile, kept: KeptPolicy, tmp_path: Path):
    kept.load(file)
    file.path.write_bytes(FAULTY)
    whole = (tmp_path / "run" / KEPT_FILE).read_bytes()
    for damaged in (whole[:-1], whole.replace(b"models", b"mxdels"), b""):
        (tmp_path / "run" / KEPT_FILE).write_bytes(damaged)
        with pytest.raises(ConfigFaults, match="weight must be above 0"):
            kept.load(file)
    other = whole.replace(b"'*'", b"'m'")
    (tmp_path / "run" / KEPT_FILE).write_bytes(other)
    assert kept.load(file).hash == policy_hash(GOOD.replace(b"'*'", b"'m'"))  # the hash is never taken on trust


@needs_ssh_keygen
def test_its_signatures_are_verified_again(file: PolicyFile, kept: KeptPolicy, tmp_path: Path):
    anna, ben = Person(tmp_path, "anna"), Person(tmp_path, "ben")
    signed = PolicyFile(file.path, SignerSettings(required=1, keys=(anna.public,)))
    file.path.with_name("policy.yaml.sig").write_bytes(anna.sign(GOOD))
    kept.load(signed)
    file.path.write_bytes(b"teams: {}\n")
    assert (kept.load(signed).hash, kept.load(signed).author) == (policy_hash(GOOD), "anna")
    with pytest.raises(ConfigFaults, match="has 0 of 1 signatures"):
        kept.load(PolicyFile(file.path, SignerSettings(required=1, keys=(ben.public,))))


def test_what_cannot_be_kept_leaves_nothing_older(
    file: PolicyFile, kept: KeptPolicy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    kept.load(file)

    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(kept_policy, "write_private", full)
    file.path.write_bytes(b"teams: {}\n")
    assert kept.load(file).hash == policy_hash(b"teams: {}\n")
    assert list((tmp_path / "run").iterdir()) == []
