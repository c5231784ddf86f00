"""`corral policy explain` for a made-up caller, a key and a token."""

import time
from pathlib import Path

import pytest

from gateway.cli.main import main
from gateway.configuration.config import policy_hash
from tests.tokens import ISS, claims, jwks, sign
from tests.unit.gateway.cli.command_line import Corral
from tests.unit.gateway.cli.gateway_fake import Gateway


@pytest.fixture
def key_id(corral: Corral) -> str:
    return str(corral.json("keys", "list")[0]["id"])


def last(corral: Corral, *words: str) -> tuple[int, str, str]:
    """Step, outcome and reason of the last step that was run."""
    found = corral.json("policy", "explain", *words)
    return found["steps"][-1]["number"], found["steps"][-1]["outcome"], found["reason"]


def test_who_is_let_through(corral: Corral):
    status, out, _ = corral.run("policy", "explain", "--team", "default", "--model", "m")
    assert status == 0
    assert out.splitlines()[0] == "(0)  edge            ok       POST /api/chat on the public listener"
    assert out.splitlines()[-1] == "no gateway runs here: the model is assumed to be there"
    found = corral.json("policy", "explain", "--team", "default")
    assert (found["allowed"], found["status"], found["setting"], found["line"]) == (True, 200, None, None)


def test_who_is_not_and_the_line_that_says_so(corral: Corral):
    out = corral.run("policy", "explain", "--team", "default", "--address", "192.0.2.1")[1].splitlines()
    assert out[-2:] == [
        "(2)  networks        refused  global_network (not in allow): look at networks",
        f"decided by networks ({corral.home.policy}:3)",
    ]
    found = corral.json("policy", "explain", "--team", "gone", "--route", "GET /api/tags")
    assert (found["allowed"], found["status"], found["reason"]) == (False, 403, "team_not_in_policy")
    assert (found["setting"], found["file"]) == ("teams.gone", str(corral.home.policy))


def test_scopes_kinds_listeners_and_another_file(corral: Corral, tmp_path: Path):
    metrics = ("--team", "default", "--route", "GET /metrics", "--listener", "admin", "--scope", "metrics")
    assert last(corral, *metrics) == (8, "ok", "")
    assert last(corral, *metrics, "--kind", "ssh_key") == (8, "refused", "scope_metrics_not_for_ssh_key")
    other = tmp_path / "other.yaml"
    other.write_text("teams: {}\n")
    assert last(corral, "--team", "default", "--policy", str(other)) == (5, "refused", "team_not_in_policy")


def test_another_file_needs_no_home(tmp_path: Path, capsys):
    file = tmp_path / "p.yaml"
    file.write_text("teams: {a: {}}\n")
    assert main(["policy", "explain", "--team", "a", "--policy", str(file), "--home", str(tmp_path / "no")]) == 0


def test_a_running_gateways_models(corral: Corral):
    policy = {"hash": policy_hash(corral.home.policy.read_bytes())}
    with Gateway(corral.home, {"status": {"models": ["M:latest"], "policy": policy}}):
        assert last(corral, "--team", "default", "--model", "m") == (12, "ok", "")
        assert last(corral, "--team", "default", "--model", "n") == (8, "refused", "model_not_in_catalogue")
        assert last(corral, "--team", "default", "--model", "m m") == (8, "refused", "model_not_in_catalogue")


def test_an_adapter_of_a_running_gateway_is_told_with_its_base(corral: Corral):
    policy = {"hash": policy_hash(corral.home.policy.read_bytes())}
    status = {"models": ["m:latest", "sql:1"], "adapters": {"sql:1": "m:latest"}, "policy": policy}
    with Gateway(corral.home, {"status": status}):
        found = corral.json("policy", "explain", "--team", "default", "--model", "sql:1")
        assert "model sql:1, an adapter of m:latest" in [step["text"] for step in found["steps"]]


def test_a_running_gateway_under_another_policy(corral: Corral):
    with Gateway(corral.home, {"status": {"models": [], "policy": {"hash": "other"}}}):
        [note] = corral.json("policy", "explain", "--team", "default")["notes"]
        assert note.startswith("the running gateway is under another policy than this file")
        named = ("--policy", str(corral.home.policy))
        assert corral.json("policy", "explain", "--team", "default", *named)["notes"] == []


def test_the_holder_of_a_key(corral: Corral, key_id: str):
    assert last(corral, "--key-id", key_id) == (8, "ok", "")
    corral.run("keys", "revoke", key_id, "--reason", "left")
    assert last(corral, "--key-id", key_id) == (5, "refused", "revoked")


def test_the_bearer_of_a_token(corral: Corral, tmp_path: Path):
    (corral.home.path / "keys.json").write_bytes(jwks("rsa-1"))
    corral.home.policy.write_text(
        "teams: {one: {}}\n"
        f"issuers: {{corp: {{issuer: '{ISS}', audiences: [corral], jwks_file: keys.json, team: one}}}}\n"
    )
    token = tmp_path / "token"
    token.write_text(f"Bearer {sign(claims(time.time()))}\n")
    assert last(corral, "--jwt", str(token)) == (8, "ok", "")
    token.write_text(sign(claims(1e9)))
    assert last(corral, "--jwt", str(token)) == (5, "refused", "jwt_expired")
    corral.home.policy.write_text(corral.home.policy.read_text().replace("keys.json", "gone.json"))
    found = corral.json("policy", "explain", "--jwt", str(token))
    assert (found["allowed"], found["status"], found["reason"]) == (False, None, "cannot_tell")
    assert found["steps"][-1]["text"].startswith("check 6 (jwt_key)")


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ((), "one of the arguments --team --key-id --jwt --request is required"),
        (("--team", "a", "--jwt", "f"), "not allowed with argument"),
        (("--team", "a", "--address", "home"), "--address must be an IP address"),
        (("--team", "a", "--route", "/api/chat"), "--route must be a method and a path"),
        (("--team", "a", "--route", "G3T /"), "--route must be a method and a path"),
        (("--key-id", "nobody"), "no key has this id"),
        (("--jwt", "/nowhere"), "/nowhere cannot be read"),
        (("--team", "a", "--policy", "/nowhere"), "/nowhere: is not there"),
    ],
)
def test_what_cannot_be_asked_is_one_line(corral: Corral, words: tuple[str, ...], says: str):
    status, out, err = corral.run("policy", "explain", *words)
    assert (status, out, len(err.splitlines())) == (2, "", 1)
    assert says in err


def test_a_file_that_holds_no_token(corral: Corral, tmp_path: Path):
    (tmp_path / "binary").write_bytes(b"\xff")
    status, _, err = corral.run("policy", "explain", "--jwt", str(tmp_path / "binary"))
    assert (status, "holds no token" in err) == (2, True)
