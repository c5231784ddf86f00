"""A new home: complete, private, working, and never made over something that is there."""

import json
import secrets
import time
from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from gateway.admin.new_home import HomeNotMade, HomePlan, make_home
from gateway.homes.home import Home, open_home
from gateway.keys.key_store import KeyStore
from gateway.keys.pepper import load_peppers
from policies.addresses.networks import Networks, read_address
from policies.audit_record import Actor, Stamp
from policies.credentials.credential import ApiKeyCredential
from policies.credentials.principal import verify_api_key
from policies.errors import PolicyUnavailable
from tests.audit_records import opened_record

NOW_S = time.time()
PLAN = HomePlan(
    names=("gate.example.com",),
    actor=Actor(kind="operator", id="1000", name="anna", method="process"),
    leave_key=True,
    stamp=Stamp(int(NOW_S * 1e6), 1, "boot"),
    random_bytes=secrets.token_bytes,
)


def test_the_home_is_complete_and_private(tmp_path):
    made = make_home(tmp_path / "a" / "home", PLAN)
    home = open_home(tmp_path / "a" / "home")
    assert made.home == home
    modes = {
        str(path.relative_to(home.path)): path.stat().st_mode & 0o777
        for path in home.path.rglob("*")
        if home.audit not in path.parents
    }
    assert modes == {
        "config.yaml": 0o600,
        "policy.yaml": 0o600,
        "pepper": 0o400,
        "keys.db": 0o600,
        "persons.db": 0o600,
        "persons.key": 0o600,
        "content.db": 0o600,
        "content.key": 0o600,
        "audit-key.pem": 0o600,
        "first-key": 0o600,
        "tls": 0o700,
        "tls/ca.pem": 0o644,
        "tls/server.pem": 0o644,
        "tls/later.pem": 0o644,
        "tls/server.key": 0o600,
        "models": 0o700,
        "audit": 0o700,
        "run": 0o700,
    }
    assert home.path.stat().st_mode & 0o777 == 0o700
    assert [path.name for path in home.path.parent.iterdir()] == ["home"]


def test_the_first_key_opens_the_gate_for_the_default_team(tmp_path):
    made = make_home(tmp_path / "home", PLAN)
    assert made.home.first_key.read_text() == made.first_key.text
    store = KeyStore.open(made.home.keys)
    peppers = load_peppers(made.home.pepper)
    principal = verify_api_key(ApiKeyCredential(made.first_key.text), store.get, peppers, NOW_S)
    assert [record.created_by for record in store.records()] == ["anna"]
    store.close()
    assert (principal.team, principal.owner, principal.scopes) == ("default", "anna", {"inference", "models"})


def test_with_a_terminal_the_key_is_nowhere_on_disk(tmp_path):
    made = make_home(tmp_path / "home", replace(PLAN, leave_key=False))
    assert not made.home.first_key.exists()
    secret = made.first_key.text.split("_")[2].encode()
    assert not any(secret in path.read_bytes() for path in made.home.path.rglob("*") if path.is_file())


def test_the_two_files_hold_only_names_that_are_settings(tmp_path):
    made = make_home(tmp_path / "home", PLAN)
    policy = yaml.safe_load(made.home.policy.read_text())
    assert yaml.safe_load(made.home.config.read_text()) == {"console": {"enabled": True}}
    assert policy["teams"] == {"default": {"models": ["*"]}}
    networks = Networks(allow=tuple(policy["networks"]["allow"]))
    assert networks.allows(read_address("127.0.0.1"))
    assert networks.allows(read_address("::1"))
    assert not networks.allows(read_address("192.168.0.1"))


def test_the_log_begins_with_who_made_the_home_and_its_key(tmp_path):
    made = make_home(tmp_path / "home", PLAN)
    lines = [
        opened_record(made.home.path, line)
        for path in sorted(made.home.audit.rglob("*.jsonl"))
        for line in path.read_text().splitlines()
    ]
    told = [line for line in lines if line.get("stage") == "admin"]
    assert [line["event"] for line in told] == ["home.made", "key.created"]
    assert all(line["actor"]["name"] == "anna" for line in told)
    assert told[1]["change"]["object"] == f"key:{made.first_key.id}"
    assert made.first_key.text not in json.dumps(lines)


async def test_a_home_can_be_made_while_a_loop_runs(tmp_path):
    assert make_home(tmp_path / "home", PLAN).home.config.is_file()


def snapshot(path: Path) -> dict[str, bytes]:
    return {str(file): file.read_bytes() for file in path.rglob("*") if file.is_file()}


def test_an_existing_home_is_not_touched(tmp_path):
    make_home(tmp_path / "home", PLAN)
    before = snapshot(tmp_path)
    with pytest.raises(HomeNotMade, match="is already a Corral home: nothing was changed"):
        make_home(tmp_path / "home", PLAN)
    assert snapshot(tmp_path) == before


@pytest.mark.parametrize("kind", ["file", "link", "folder"])
def test_other_things_in_the_way_are_not_touched(tmp_path, kind):
    target = tmp_path / "home"
    if kind == "file":
        target.write_text("precious")
    elif kind == "link":
        target.symlink_to(tmp_path / "nowhere")
    else:
        target.mkdir()
        (target / "precious").write_text("precious")
    before = snapshot(tmp_path)
    with pytest.raises(HomeNotMade, match=r"is (not empty|a file or a dangling link): nothing was changed"):
        make_home(target, PLAN)
    assert snapshot(tmp_path) == before


def test_an_empty_folder_is_taken(tmp_path):
    (tmp_path / "home").mkdir(mode=0o755)
    make_home(tmp_path / "home", PLAN)
    assert (tmp_path / "home").stat().st_mode & 0o777 == 0o700


@pytest.mark.parametrize(
    ("step", "fault"),
    [
        ("issue_server_tls", KeyboardInterrupt()),
        ("load_peppers", OSError(28, "No space left on device")),
        ("write_first_records", PolicyUnavailable("x")),
        ("leave_first_key", KeyboardInterrupt()),
    ],
)
def test_an_interruption_leaves_nothing(tmp_path, monkeypatch, step, fault):
    def interrupt(*_: object) -> None:
        raise fault

    monkeypatch.setattr(f"gateway.admin.new_home.{step}", interrupt)
    with pytest.raises(type(fault)):
        make_home(tmp_path / "home", PLAN)
    assert list(tmp_path.iterdir()) == []


def test_a_home_that_appears_meanwhile_wins(tmp_path, monkeypatch):
    def appear(*_: object) -> None:
        (tmp_path / "home").mkdir()
        (tmp_path / "home" / "config.yaml").write_text("theirs")

    monkeypatch.setattr("gateway.admin.new_home.leave_first_key", appear)
    with pytest.raises(HomeNotMade, match="cannot be made"):
        make_home(tmp_path / "home", PLAN)
    assert snapshot(tmp_path) == {str(tmp_path / "home" / "config.yaml"): b"theirs"}
    assert [path.name for path in tmp_path.iterdir()] == ["home"]


def test_a_name_that_no_certificate_carries_makes_no_home(tmp_path):
    with pytest.raises(ValueError, match="'a_b' is neither"):
        make_home(tmp_path / "home", replace(PLAN, names=("a_b",)))
    assert not Home(tmp_path / "home").path.exists()
