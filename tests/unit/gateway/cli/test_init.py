"""`corral init`: the key goes to a terminal or to a file, and every fault leaves nothing behind."""

import re

import pytest

from gateway.audit.audit_log import AuditNotOpened
from policies.credentials.api_key import KEY_PATTERN, read_api_key
from policies.errors import AuditUnavailable
from tests.unit.gateway.cli.command_line import Corral


def test_init_without_a_terminal_leaves_the_key_in_a_file(tmp_path, capsys):
    corral = Corral(tmp_path / "home", capsys)
    made = corral.json("init", "--name", "gate.example.com")
    assert set(made) == {"home", "ca_file", "team", "key_id", "key_file"}
    assert made["ca_file"] == str(corral.home.ca_certificate)
    assert read_api_key(corral.home.first_key.read_text()).id == made["key_id"]


def test_init_on_a_terminal_shows_the_key_and_keeps_none(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    corral = Corral(tmp_path / "home", capsys)
    status, out, _ = corral.run("init")
    assert status == 0
    assert len(re.findall(KEY_PATTERN, out)) == 1
    assert not corral.home.first_key.exists()


def test_init_twice_changes_nothing(corral):
    status, out, err = corral.run("init")
    assert (status, out) == (2, "")
    assert "is already a Corral home: nothing was changed" in err


def test_init_with_a_name_that_is_none(tmp_path, capsys):
    corral = Corral(tmp_path / "home", capsys)
    status, _, err = corral.run("init", "--name", "a_b")
    assert status == 2
    assert "'a_b' is neither an IP address nor a host name" in err
    assert not corral.home.path.exists()


def test_init_where_nothing_can_be_written(tmp_path, capsys):
    (tmp_path / "file").write_text("")
    status, _, err = Corral(tmp_path / "file" / "home", capsys).run("init")
    assert status == 1
    assert "no home was made" in err


def test_init_on_a_host_with_an_odd_name(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("socket.gethostname", lambda: "odd_name!")
    assert Corral(tmp_path / "home", capsys).run("init")[0] == 0


@pytest.mark.parametrize("fault", [AuditNotOpened("no room"), AuditUnavailable("no room")])
def test_init_without_a_log_makes_no_home(tmp_path, capsys, monkeypatch, fault):
    def fail(*_: object) -> None:
        raise fault

    monkeypatch.setattr("gateway.admin.new_home.write_first_records", fail)
    status, _, err = Corral(tmp_path / "home", capsys).run("init")
    assert status == 1
    assert "no home was made" in err
    assert "no room" in err
    assert list(tmp_path.iterdir()) == []
