"""A home made by `corral init`, and the commands on it."""

import pytest

from tests.unit.gateway.cli.command_line import Corral


@pytest.fixture
def corral(tmp_path, capsys) -> Corral:
    corral = Corral(tmp_path / "home", capsys)
    assert corral.run("init")[0] == 0
    return corral
