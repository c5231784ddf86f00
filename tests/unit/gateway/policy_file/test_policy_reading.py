"""policy.yaml and its signatures, read from a real disk."""

import os
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from gateway.configuration.config import ConfigFaults, policy_hash
from gateway.configuration.settings import Config, SignerSettings
from gateway.policy_file import policy_reading
from gateway.policy_file.content_terms import TERMS_NAME, ContentTermsBook
from gateway.policy_file.policy_reading import (
    MAX_SIGNATURES,
    PolicyFile,
    Unsigned,
    Written,
    find_writers,
    open_policy_file,
)
from gateway.policy_in_force import UNKNOWN_AUTHOR
from policies.addresses.egress import Egress, EgressHost
from policies.policy import Policy, Team
from tests.ssh_people import Person, needs_ssh_keygen

TEXT = b"teams: {default: {models: ['*']}}\n"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "home" / "policy.yaml"
    path.parent.mkdir()
    path.write_bytes(TEXT)
    return path


@pytest.fixture(scope="module")
def people(tmp_path_factory: pytest.TempPathFactory) -> list[Person]:
    folder = tmp_path_factory.mktemp("keys")
    return [Person(folder, name) for name in ("anna", "ben", "carla")]


def signers(people: list[Person], required: int) -> SignerSettings:
    return SignerSettings(required=required, keys=tuple(each.public for each in people))


# ---- without signers


def test_an_unsigned_policy_has_no_author(path: Path):
    found = PolicyFile(path, None).load()
    assert (found.author, found.hash) == (UNKNOWN_AUTHOR, policy_hash(TEXT))
    assert found.policy.teams["default"].models == ("*",)


def test_signatures_say_nothing_when_nobody_has_to_sign(path: Path):
    before = PolicyFile(path, None).states()
    path.with_name("policy.yaml.sig").write_bytes(b"junk")
    assert PolicyFile(path, None).states() == before
    assert PolicyFile(path, None).load().author == UNKNOWN_AUTHOR


def test_a_fault_has_its_file_and_line(path: Path):
    path.write_bytes(b"teams:\n  default: {weight: 0}\n")
    with pytest.raises(ConfigFaults, match=r"policy\.yaml:2: teams\.default: weight must be above 0"):
        PolicyFile(path, None).load()


def test_what_is_not_there_or_no_file_is_said(path: Path):
    path.unlink()
    with pytest.raises(ConfigFaults, match="is not there"):
        PolicyFile(path, None).load()
    os.mkfifo(path)  # opening it would wait for ever
    with pytest.raises(ConfigFaults, match="is not a file"):
        PolicyFile(path, None).load()
    elsewhere = path.parent / "nowhere" / "policy.yaml"
    with pytest.raises(ConfigFaults, match="is not there"):
        PolicyFile(elsewhere, SignerSettings(required=1, keys=(f"ssh-ed25519 {KEY} anna",))).load()


KEY = "AAAAC3NzaC1lZDI1NTE5AAAAIFimmLndxwwSPHr6TaQ+Zq6tKMYn0T0Uhn3Kr4jPHd5m"


def test_a_file_that_changes_while_it_is_read_is_read_again(path: Path, monkeypatch: pytest.MonkeyPatch):
    really, reads = policy_reading.read_file, []

    def read_file(read: Path) -> bytes:
        data = really(read)
        reads.append(data)
        if len(reads) == 1:
            path.write_bytes(b"teams: {}\n")
        return data

    monkeypatch.setattr(policy_reading, "read_file", read_file)
    assert PolicyFile(path, None).read() == Written(b"teams: {}\n", policy_hash(b"teams: {}\n"), ())
    assert len(reads) == 2


def test_a_file_that_never_rests_is_refused(path: Path, monkeypatch: pytest.MonkeyPatch):
    states = iter(range(10_000))
    monkeypatch.setattr(PolicyFile, "states", lambda _: ((0o100600, next(states)),))
    with pytest.raises(ConfigFaults, match="changes without an end"):
        PolicyFile(path, None).read()


# ---- with signers


@needs_ssh_keygen
class TestSigners:
    def test_enough_signatures_name_the_authors(self, path: Path, people: list[Person]):
        path.with_name("policy.yaml.sig").write_bytes(people[0].sign(TEXT))
        path.with_name("policy.yaml.any.sig").write_bytes(people[2].sign(TEXT))
        assert PolicyFile(path, signers(people, 2)).load().author == "anna, carla"

    def test_too_few_are_refused_with_what_to_do(self, path: Path, people: list[Person]):
        path.with_name("policy.yaml.anna.sig").write_bytes(people[0].sign(TEXT))
        path.with_name("policy.yaml.ben.sig").write_bytes(people[1].sign(b"older"))
        with pytest.raises(Unsigned) as fault:
            PolicyFile(path, signers(people, 2)).load()
        assert str(fault.value) == (
            f"{path}: has 1 of 2 signatures that config.yaml demands (anna); one is by ben: not over this content: "
            "have it signed with 'ssh-keygen -Y sign -n corral-policy -f KEY policy.yaml'"
        )

    def test_the_same_key_twice_counts_once(self, path: Path, people: list[Person]):
        for name in ("policy.yaml.sig", "policy.yaml.anna.sig"):
            path.with_name(name).write_bytes(people[0].sign(TEXT))
        with pytest.raises(Unsigned, match="has 1 of 2 signatures"):
            PolicyFile(path, signers(people, 2)).load()

    def test_nothing_is_parsed_before_it_is_signed(self, path: Path, people: list[Person]):
        path.write_bytes(b"{{{{ no yaml")
        with pytest.raises(Unsigned, match="has 0 of 1 signatures"):
            PolicyFile(path, signers(people, 1)).load()

    def test_a_signed_fault_is_still_a_fault(self, path: Path, people: list[Person]):
        path.write_bytes(b"teams: 7\n")
        path.with_name("policy.yaml.sig").write_bytes(people[0].sign(b"teams: 7\n"))
        with pytest.raises(ConfigFaults, match=r"policy\.yaml:1: teams"):
            PolicyFile(path, signers(people, 1)).load()

    def test_files_that_are_no_signature_are_passed_over(self, path: Path, people: list[Person]):
        path.with_name("policy.yaml.a.sig").mkdir()
        path.with_name("policy.yaml.b.sig").write_bytes(b"x" * 20_000)
        path.with_name("policy.yaml.c.sig").symlink_to("nowhere")
        path.with_name("policy.yaml.d.sig").write_bytes(people[0].sign(TEXT))
        path.with_name("other.yaml.sig").write_bytes(people[1].sign(TEXT))
        assert PolicyFile(path, signers(people, 1)).load().author == "anna"

    def test_no_more_signatures_are_read_than_the_bound(self, path: Path, people: list[Person]):
        for number in range(MAX_SIGNATURES + 5):
            path.with_name(f"policy.yaml.{number:03}.sig").write_bytes(b"")
        assert len(PolicyFile(path, signers(people, 1)).read().signatures) == MAX_SIGNATURES

    def test_a_signature_that_arrives_is_a_change(self, path: Path, people: list[Person]):
        file = PolicyFile(path, signers(people, 1))
        before = file.states()
        path.with_name("policy.yaml.sig").write_bytes(b"")
        between = file.states()
        path.with_name("policy.yaml.sig").write_bytes(b"x")
        assert len({before, between, file.states()}) == 3


# ---- who is still writing


def test_a_file_that_somebody_writes_is_held_open(path: Path):
    assert find_writers(path) == "none"
    with path.open("ab"):
        assert find_writers(path) == "some"
    with path.open("rb"):
        assert find_writers(path) == "none"


def test_what_cannot_be_asked_is_unknown(path: Path, monkeypatch: pytest.MonkeyPatch):
    assert find_writers(path.with_name("nowhere")) == "none"
    assert find_writers(path / "nowhere") == "unknown"

    def refuse(_descriptor: int, command: int, _argument: int) -> None:
        if command == policy_reading.fcntl.F_SETLEASE:
            raise PermissionError

    monkeypatch.setattr(policy_reading.fcntl, "fcntl", refuse)
    assert find_writers(path) == "unknown"


FULL = b"teams:\n  lab:\n    audit: {content: full, content_retention_days: 9}\n"
SHORTER = b"teams:\n  lab:\n    audit: {content: full, content_retention_days: 8}\n"


@needs_ssh_keygen
class TestContentOfTwo:
    """Keeping whole texts, or for a shorter time, takes two, though one signature is required."""

    def put(self, path: Path, text: bytes, *people: Person) -> None:
        path.write_bytes(text)
        for old in path.parent.glob("policy.yaml.*.sig"):
            old.unlink()
        for person in people:
            path.with_name(f"policy.yaml.{person.key.name}.sig").write_bytes(person.sign(text))

    def test_full_and_shorter_take_two_and_nothing_else_does(self, path: Path, people: list[Person], tmp_path: Path):
        book = ContentTermsBook(tmp_path)
        file = PolicyFile(path, signers(people, 1), book)
        self.put(path, TEXT, people[0])
        book.keep(file.load().policy)
        for text in (FULL, SHORTER):
            self.put(path, text, people[0])
            with pytest.raises(Unsigned, match="needs the signatures of 2 persons, only anna has signed"):
                file.load()
            self.put(path, text, people[0], people[1])
            book.keep(file.load().policy)
            self.put(path, text, people[0])
            assert file.load().author == "anna"
        self.put(path, FULL, people[0])  # longer
        assert file.load().author == "anna"
        self.put(path, TEXT, people[2])
        assert file.load().author == "carla"

    def test_where_nothing_is_known_text_takes_two(self, path: Path, people: list[Person], tmp_path: Path):
        file = PolicyFile(path, signers(people, 1), ContentTermsBook(tmp_path))
        (tmp_path / TERMS_NAME).write_text("broken")
        self.put(path, FULL, people[0])
        with pytest.raises(Unsigned, match="what was in force before is not known"):
            file.load()
        self.put(path, TEXT, people[0])
        assert file.load().author == "anna"

    def test_without_signers_or_a_home_nothing_is_asked(self, path: Path, people: list[Person], tmp_path: Path):
        self.put(path, FULL, people[0])
        assert PolicyFile(path, None, ContentTermsBook(tmp_path)).load().policy.teams["lab"].audit.content == "full"
        assert PolicyFile(path, signers(people, 1)).load().author == "anna"


def test_terms_that_cannot_be_kept_are_said(tmp_path: Path):
    (tmp_path / f"{TERMS_NAME}.new").mkdir()
    with capture_logs() as logs:
        ContentTermsBook(tmp_path).keep(Policy(teams={"a": Team()}))
    assert [entry["event"] for entry in logs] == ["content_terms_not_kept"]
    assert ContentTermsBook(tmp_path).terms() is None


ISSUER = (
    "teams: {one: {}}\nissuers: {corp: {issuer: 'https://id.example', audiences: [a], team: one, discovery: true}}\n"
)


def test_a_policy_names_no_host_that_config_yaml_does_not(tmp_path: Path) -> None:
    """Rule 5, as a gateway judges it: whoever may write the policy cannot make Corral call what the machine may not."""
    path = tmp_path / "policy.yaml"
    path.write_text(ISSUER)
    named, others = Egress(hosts=(EgressHost(host="id.example"),)), Egress(hosts=(EgressHost(host="models.example"),))
    assert open_policy_file(path, Config(egress=named), tmp_path).load().policy.issuers
    assert open_policy_file(path, Config(), tmp_path).load().policy.issuers
    with pytest.raises(ConfigFaults, match=r"policy\.yaml:2: issuers\.corp: calls id\.example:443, which is not under"):
        open_policy_file(path, Config(egress=others), tmp_path).load()
