"""The home's lock: gateways share it, a command that changes state has it alone."""

import pytest

from gateway.homes.home import Home
from gateway.homes.home_lock import HomeInUse, hold_home


@pytest.fixture
def home(tmp_path):
    return Home(tmp_path)


def test_gateways_share_it(home):
    with hold_home(home, shared=True), hold_home(home, shared=True):
        assert home.lock.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("holder", [True, False])
def test_a_command_has_it_alone(home, holder):
    with (
        hold_home(home, shared=holder),
        pytest.raises(HomeInUse, match=r"another Corral process holds .*: try again"),
        hold_home(home, shared=False),
    ):
        pass
    with hold_home(home, shared=False):
        pass


def test_a_gateway_waits_for_no_command(home):
    with (
        hold_home(home, shared=False),
        pytest.raises(HomeInUse),
        hold_home(home, shared=True),
    ):
        pass
