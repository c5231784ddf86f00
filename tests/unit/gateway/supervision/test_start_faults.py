"""What `corral serve` refuses to start with, all of it together."""

import pytest

from gateway.cli.main import main
from gateway.configuration.config import load_config, load_policy
from gateway.configuration.settings import Config, ListenSettings
from gateway.homes.home import Home
from gateway.supervision.start_faults import start_faults


@pytest.fixture
def home(tmp_path, capsys: pytest.CaptureFixture[str]) -> Home:
    assert main(["init", "--home", str(tmp_path / "home")]) == 0
    capsys.readouterr()
    return Home(tmp_path / "home")


def faults(home: Home, config: Config | None = None) -> list[str]:
    return start_faults(home, config or load_config(home.config), load_policy(home.policy))


def test_a_new_home_has_none(home: Home) -> None:
    assert faults(home) == []


def test_whether_there_is_a_key_is_asked_of_the_store(home: Home, capsys: pytest.CaptureFixture[str]) -> None:
    open_wide = Config(public=ListenSettings(address="0.0.0.0"))
    assert faults(home, open_wide) == []
    assert main(["revoke", "--home", str(home.path), "--team", "default"]) == 0
    capsys.readouterr()
    [fault] = faults(home, open_wide)
    assert "there is no active key" in fault


def test_a_store_that_cannot_be_read(home: Home) -> None:
    home.keys.write_bytes(b"no database" * 1000)
    [fault] = faults(home)
    assert "cannot be used (key_store_" in fault


def test_faults_of_files_come_first_and_hide_no_other(home: Home) -> None:
    home.pepper.unlink()
    found = faults(home, Config(public=ListenSettings(proxy_protocol=True)))
    assert [word in fault for word, fault in zip(("pepper", "proxy_protocol"), found, strict=True)] == [True, True]
