from pathlib import Path

import pytest

from gateway.homes.home import NoHome, open_home


def test_only_what_init_made_is_a_home(tmp_path: Path) -> None:
    with pytest.raises(NoHome, match=r"no Corral home at .*: run 'corral init' there"):
        open_home(tmp_path)
    (tmp_path / "config.yaml").touch()
    assert open_home(tmp_path).path == tmp_path


def test_a_home_of_another_user(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def is_file(_: Path) -> bool:
        raise PermissionError

    monkeypatch.setattr(Path, "is_file", is_file)
    with pytest.raises(NoHome, match="is closed to this user: run the command as the home's owner"):
        open_home(tmp_path)
