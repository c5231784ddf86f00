"""`corral policy check|diff|sign` and `corral status`'s word on the policy."""

from pathlib import Path

import pytest
from msgspec import to_builtins

from gateway.configuration.config import parse_policy, policy_hash
from policies.policy_file.policy_diff import policy_data
from tests.ssh_people import Person, needs_ssh_keygen
from tests.unit.gateway.cli.command_line import Corral
from tests.unit.gateway.cli.gateway_fake import Gateway
from tests.unit.gateway.queue_views import queue_view

FAULTY = "teams: {a: {weight: 0}, b: {}}\nx: 1\n"
NO_KEYS: dict[str, list[str]] = {"keys": []}


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "new.yaml"


class TestCheck:
    def test_the_homes_own_file(self, corral: Corral):
        status, out, _ = corral.run("policy", "check")
        hashed = policy_hash(corral.home.policy.read_bytes())
        assert (status, out) == (0, f"{corral.home.policy}: no fault, 1 team, sha256 {hashed}\n")
        found = corral.json("policy", "check")
        assert found == {
            "file": str(corral.home.policy),
            "faults": [],
            "hash": hashed,
            "teams": ["default"],
            "warnings": [],
            "signatures": "",
        }

    def test_every_fault_has_its_line(self, corral: Corral, file: Path):
        file.write_text(FAULTY)
        status, out, err = corral.run("policy", "check", str(file))
        assert (status, out) == (2, "")
        first, second = err.splitlines()
        assert first == f"corral: {file}:1: teams.a: weight must be above 0 and at most 1000000"
        assert second.startswith(f"corral: {file}:2: x: unknown key")
        status, out, err = corral.run("policy", "check", str(file), "--json")
        assert (status, err) == (2, "")
        assert '"weight must be above 0"' not in out
        assert "weight must be above 0" in out

    def test_what_to_look_at_has_its_line_too(self, corral: Corral, file: Path):
        file.write_text("teams:\n  a:\n    models: []\n  default: {models: [m]}\nnetworks: {allow: []}\n")
        warning = f'warning: {file}:3: teams.a.models names no model, so the team can use none; "*" is every model'
        assert corral.run("policy", "check", str(file))[1].splitlines()[1:] == [warning]
        assert corral.json("policy", "check", str(file))["warnings"] == [warning]
        assert "2 teams" in corral.run("policy", "check", str(file))[1]

    def test_a_team_with_keys_that_is_not_named(self, corral: Corral, file: Path):
        file.write_text("teams: {a: {models: [m]}}\nnetworks: {allow: []}\n")
        [warning] = corral.json("policy", "check", str(file))["warnings"]
        assert warning.startswith("warning: teams.default is not named while 1 of its keys are active")
        [key] = corral.json("keys", "list")
        corral.run("keys", "revoke", key["id"], "--reason", "gone")
        assert corral.json("policy", "check", str(file))["warnings"] == []

    def test_keys_that_cannot_be_listed_keep_nobody_from_checking(self, corral: Corral, file: Path):
        file.write_text("teams: {a: {models: [m]}}\nnetworks: {allow: []}\n")
        corral.home.keys.rename(corral.home.path / "away")
        assert corral.json("policy", "check", str(file))["warnings"] == []

    def test_a_file_needs_no_home(self, tmp_path: Path, capsys, file: Path):
        file.write_text("teams: {}\n")
        assert Corral(tmp_path / "nowhere", capsys).run("policy", "check", str(file))[0] == 0
        status, _, err = Corral(tmp_path / "nowhere", capsys).run("policy", "check")
        assert (status, "no Corral home" in err) == (2, True)

    def test_a_config_with_faults_hides_who_has_to_sign_and_may_be_called(self, corral: Corral):
        corral.home.config.write_text("x: 1\n")
        status, _, err = corral.run("policy", "check")
        assert (status, err.startswith("corral: the home's config.yaml cannot be used: ")) == (2, True)

    def test_an_issuer_that_config_yaml_does_not_let_be_called(self, corral: Corral, file: Path):
        file.write_text(
            "teams: {a: {}}\n"
            "issuers: {corp: {issuer: 'https://id.example', audiences: [a], team: a, discovery: true}}\n"
        )
        assert corral.run("policy", "check", str(file))[0] == 0
        corral.home.config.write_text("egress: {hosts: []}\n")
        status, _, err = corral.run("policy", "check", str(file))
        assert (status, "issuers.corp: calls id.example:443, which is not under egress.hosts" in err) == (2, True)
        status, _, err = corral.run("policy", "diff", str(file))
        assert (status, "which is not under egress.hosts" in err) == (2, True)

    @needs_ssh_keygen
    def test_such_an_issuer_is_told_before_anybody_signs(self, corral: Corral, tmp_path: Path):
        anna = Person(tmp_path, "anna")
        corral.home.config.write_text(
            f"policy: {{signers: {{required: 1, keys: ['{anna.public.strip()}']}}}}\negress: {{hosts: []}}\n"
        )
        corral.home.policy.write_text(
            "teams: {a: {}}\n"
            "issuers: {corp: {issuer: 'https://id.example', audiences: [a], team: a, discovery: true}}\n"
        )
        assert corral.run("policy", "check")[0] == 2

    @needs_ssh_keygen
    def test_signatures_are_told(self, corral: Corral, tmp_path: Path):
        anna = Person(tmp_path, "anna")
        corral.home.config.write_text(f"policy: {{signers: {{required: 1, keys: ['{anna.public.strip()}']}}}}\n")
        [warning] = corral.json("policy", "check")["warnings"]
        assert "has 0 of 1 signatures" in warning
        (corral.home.path / "policy.yaml.sig").write_bytes(anna.sign(corral.home.policy.read_bytes()))
        assert corral.json("policy", "check")["signatures"] == "signed by anna"
        assert corral.run("policy", "check")[1].splitlines()[1:] == ["signed by anna"]


class TestDiff:
    def test_against_the_homes_file_when_no_gateway_runs(self, corral: Corral, file: Path):
        file.write_text("teams: {default: {models: [m]}}\nnetworks: {allow: ['127.0.0.0/8', '::1/128']}\n")
        assert corral.run("policy", "diff", str(file))[1] == 'teams.default.models: ["*"] -> ["m"]\n'
        found = corral.json("policy", "diff", str(file))
        assert found["against"] == str(corral.home.policy)
        assert found["changes"] == [{"path": "teams.default.models", "before": '["*"]', "after": '["m"]'}]
        status, out, _ = corral.run("policy", "diff", str(corral.home.policy))
        assert (status, out) == (0, f"no change against {corral.home.policy}\n")

    def test_a_removed_team_with_keys(self, corral: Corral, file: Path):
        file.write_text("teams: {}\nnetworks: {allow: ['127.0.0.0/8', '::1/128']}\n")
        warning = "team default is removed while 1 of its keys are active: they are refused from now on"
        assert corral.run("policy", "diff", str(file))[1].splitlines()[1:] == [f"warning: {warning}"]
        assert corral.json("policy", "diff", str(file))["warnings"] == [warning]

    def test_against_the_running_gateway(self, corral: Corral, file: Path):
        file.write_text("teams: {}\n")
        running = parse_policy(b"teams: {}\nmax_queued: 7\n", file)
        with Gateway(corral.home, {"policy.show": {"policy": policy_data(running), "hash": "h"}, "keys.list": NO_KEYS}):
            assert corral.run("policy", "diff", str(file))[1] == "max_queued: 7 -> 512\n"

    def test_against_a_gateway_of_another_version(self, corral: Corral, file: Path):
        file.write_text("teams: {}\n")
        with Gateway(corral.home, {"policy.show": {"policy": {"teams": {}, "new": 1}, "hash": "h"}}):
            status, _, err = corral.run("policy", "diff", str(file))
        assert (status, "is of another version" in err) == (1, True)

    def test_a_faulty_file_is_refused(self, corral: Corral, file: Path):
        file.write_text(FAULTY)
        status, _, err = corral.run("policy", "diff", str(file))
        assert (status, len(err.splitlines())) == (2, 2)


class TestSign:
    def test_nobody_has_to(self, corral: Corral):
        out = corral.run("policy", "sign", "--key", "/keys/anna")[1].splitlines()
        assert out[0] == f"ssh-keygen -Y sign -n corral-policy -f /keys/anna {corral.home.policy}"
        assert out[1] == "who signs: nobody has to: config.yaml names no policy.signers"

    @needs_ssh_keygen
    def test_who_has_to(self, corral: Corral, tmp_path: Path):
        anna = Person(tmp_path, "anna")
        corral.home.config.write_text(f"policy: {{signers: {{required: 1, keys: ['{anna.public.strip()}']}}}}\n")
        assert "who signs: 1 of: anna" in corral.run("policy", "sign")[1]
        found = corral.json("policy", "sign")
        assert (found["signers"], found["required"], found["command"][0]) == (["anna"], 1, "ssh-keygen")


@needs_ssh_keygen
def test_serve_refuses_a_policy_without_its_signatures_in_one_line(corral: Corral, tmp_path: Path):
    anna = Person(tmp_path, "anna")
    corral.home.config.write_text(f"policy: {{signers: {{required: 1, keys: ['{anna.public.strip()}']}}}}\n")
    status, out, err = corral.run("serve")
    assert (status, out) == (2, "")
    [line] = err.splitlines()
    assert line.startswith(
        f"corral: {corral.home.policy}: has 0 of 1 signatures that config.yaml demands: have it signed"
    )


def test_status_names_the_policy(corral: Corral):
    policy = {"hash": "0123456789abcdef", "author": "anna", "since": "2026-11-22T00:00:00.000+00:00", "refusal": ""}
    status = {"ready": True, "audit": True, "models": [], "running": 0, "waiting": 0, "targets": [], "policy": policy}
    with Gateway(corral.home, {"status": status, "queue": to_builtins(queue_view())}):
        held = "policy:  0123456789ab by anna, in force since 2026-11-22T00:00:00.000+00:00"
        assert held in corral.run("status")[1].splitlines()
        policy["refusal"] = "policy.yaml:1: no"
        assert f"{held}; THE FILE IS REFUSED: policy.yaml:1: no" in corral.run("status")[1].splitlines()
