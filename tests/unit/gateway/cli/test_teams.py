"""`corral teams list` from the command line."""

import json

import pytest

from gateway.cli.main import main
from gateway.homes.home import Home


@pytest.fixture
def home(tmp_path, capsys) -> Home:
    assert main(["init", "--home", str(tmp_path / "home")]) == 0
    capsys.readouterr()
    return Home(tmp_path / "home")


def test_teams_are_listed(home, capsys):
    assert main(["teams", "list", "--home", str(home.path)]) == 0
    assert capsys.readouterr().out.splitlines()[1].split() == ["default", "*", "1", "1"]
    assert main(["teams", "list", "--home", str(home.path), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)[0]["name"] == "default"


def test_a_team_without_models_and_no_team_at_all(home, capsys):
    home.policy.write_text("teams: {quiet: {}}\n")
    assert main(["teams", "list", "--home", str(home.path)]) == 0
    assert capsys.readouterr().out.splitlines()[1].split()[:2] == ["quiet", "none"]
    home.policy.write_text("teams: {}\n")
    assert main(["teams", "list", "--home", str(home.path)]) == 0
    assert capsys.readouterr().out == "policy.yaml names no team\n"
