"""`corral keys` from the command line, on a home of its own."""

import re
import sqlite3

import pytest

from policies.credentials.api_key import KEY_PATTERN, read_api_key
from tests.ollama_client import OllamaClient
from tests.unit.gateway.cli.command_line import Corral


def test_create_prints_exactly_id_and_key(corral):
    made = corral.json("keys", "create", "--team", "default")
    assert set(made) == {"id", "key"}
    assert read_api_key(made["key"]).id == made["id"]
    status, out, _ = corral.run("keys", "create", "--team", "default")
    assert status == 0
    assert len(re.findall(KEY_PATTERN, out)) == 1


def test_create_hands_every_option_on(corral):
    options = "--owner anna --purpose tests --expires 12h --network 10.0.0.0/8 --network ::1/128 --scope metrics"
    made = corral.json("keys", "create", "--team", "default", *options.split(), "--reason", "why", "--ticket", "T-1")
    (listed,) = [key for key in corral.json("keys", "list", "--team", "default") if key["id"] == made["id"]]
    assert (listed["owner"], listed["purpose"], listed["scopes"]) == ("anna", "tests", ["metrics"])
    assert listed["networks"] == ["10.0.0.0/8", "::1/128"]
    endless = corral.json("keys", "create", "--team", "default", "--unsafe-no-expiry")
    (listed,) = [key for key in corral.json("keys", "list") if key["id"] == endless["id"]]
    assert listed["expires"] is None


def test_a_refusal_is_one_line_and_status_2(corral):
    status, out, err = corral.run("keys", "create", "--team", "green")
    assert (status, out) == (2, "")
    assert err == "corral: policy.yaml names no team 'green'; its teams are: default\n"


def test_a_life_of_a_key(corral):
    made = corral.json("keys", "create", "--team", "default", "--owner", "anna")
    rotated = corral.json("keys", "rotate", made["id"], "--overlap", "1h")
    assert set(rotated) == {"id", "key", "predecessor", "predecessor_ends"}
    status, out, _ = corral.run("keys", "rotate", rotated["id"])
    assert status == 0
    assert f"{rotated['id']} still holds until" in out
    status, out, _ = corral.run("keys", "revoke", made["id"], "--reason", "done")
    assert status == 0
    assert f"{made['id']} of team default is revoked since" in out
    status, out, _ = corral.run("keys", "list")
    assert status == 0
    (line,) = [line for line in out.splitlines() if line.startswith(made["id"])]
    assert line.split()[-1] == "revoked"
    assert not re.search(KEY_PATTERN, out)
    assert corral.run("keys", "revoke", rotated["id"])[0] == 0


def test_review_tells_and_notes(corral):
    assert corral.run("keys", "review")[1] == "no key needs a look\n"
    made = corral.json("keys", "create", "--team", "default", "--unsafe-no-expiry")
    status, out, _ = corral.run("keys", "review")
    assert status == 0
    assert out.splitlines()[1].split()[-1] == "no_expiry"
    status, out, _ = corral.run("keys", "review", made["id"], "--next", "30d")
    assert status == 0
    assert f"{made['id']} is due for review on" in out


def test_a_public_key_is_registered_listed_and_revoked(corral, tmp_path):
    file = tmp_path / "id_ed25519.pub"
    file.write_text(OllamaClient().line)
    words = ["--team", "default", "--public-key", str(file), "--owner", "anna", "--scope", "models"]
    status, out, _ = corral.run("keys", "register", *words)
    assert status == 0
    (key,) = [key for key in corral.json("keys", "list") if key["kind"] == "ssh_key"]
    assert out == f"{key['id']} of team default: {key['fingerprint']}\n"
    assert (key["owner"], key["scopes"], key["state"]) == ("anna", ["models"], "active")
    assert "not noted" in corral.run("keys", "list")[1]
    assert [line.split()[-1] for line in corral.run("keys", "list")[1].splitlines() if line.startswith("ssh-")] == [
        "active"
    ]
    assert corral.json("keys", "revoke", key["id"])["state"] == "revoked"


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"-----BEGIN OPENSSH PRIVATE KEY-----\nb3BlbnNzaC1r\n", "this is a private key"),
        (b"x" * 9000, "not one line"),
        ("ssh-ed25519 é".encode(), "is not base64"),
        (None, "No such file"),
    ],
)
def test_what_is_no_public_key_is_not_registered(corral, tmp_path, content, said):
    file = tmp_path / "id.pub"
    if content is not None:
        file.write_bytes(content)
    status, _, err = corral.run("keys", "register", "--team", "default", "--public-key", str(file))
    assert status == 2
    assert said in err


def test_an_empty_list_says_so(corral):
    database = sqlite3.connect(corral.home.keys)
    with database:
        database.execute("DELETE FROM keys")
    database.close()
    assert corral.run("keys", "list")[1] == "no keys\n"


def test_without_a_home_every_command_says_how_to_make_one(tmp_path, capsys):
    for words in (["keys", "list"], ["teams", "list"]):
        status, _, err = Corral(tmp_path / "none", capsys).run(*words)
        assert status == 2
        assert "run 'corral init'" in err
    assert list(tmp_path.iterdir()) == []
