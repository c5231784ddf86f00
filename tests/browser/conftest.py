"""One house and one browser for all tests of the console's pages, ended with the last of them.

Playwright's loop runs in this thread while its browser lives, and an asynchronous test would find it there.
"""

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser

from tests.browser.chromium import chromium
from tests.browser.console_house import ConsoleHouse, open_house
from tests.browser.lived_in import Happened, live, policy_with


@pytest.fixture(scope="package")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ConsoleHouse]:
    with open_house(tmp_path_factory.mktemp("console"), policy_with()) as opened:
        yield opened


@pytest.fixture(scope="package")
def happened(house: ConsoleHouse) -> Happened:
    return live(house, policy_with())


@pytest.fixture(scope="package")
def browser(house: ConsoleHouse) -> Iterator[Browser]:
    with chromium(*house.certificates) as started:
        yield started
