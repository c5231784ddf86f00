"""The catalogue: every model that some engine serves; the first engine that lists a name owns it."""

import pytest

from engine.errors import ModelNotReady
from gateway.catalogue import Catalogue
from tests.fakes import FakeEngine, card


def engines() -> tuple[FakeEngine, FakeEngine]:
    first, second = FakeEngine(target="first"), FakeEngine(target="second")
    first.cards = (card("m:latest"),)
    second.cards = (card("m:latest"), card("Theirs:1b"))
    return first, second


def test_one_card_a_model_in_the_order_of_the_engines() -> None:
    assert [each.name for each in Catalogue(engines()).cards()] == ["m:latest", "Theirs:1b"]


@pytest.mark.parametrize("spelling", ["m", "m:latest", "M:Latest"])
def test_a_model_is_found_by_the_callers_spelling(spelling: str) -> None:
    found = Catalogue(engines()).find(spelling)
    assert found is not None
    assert found.name == "m:latest"


@pytest.mark.parametrize("spelling", ["", "unknown", "../m", "m:other"])
def test_what_nobody_lists_is_not_found(spelling: str) -> None:
    catalogue = Catalogue(engines())
    assert catalogue.find(spelling) is None
    with pytest.raises(ModelNotReady):
        catalogue.engine_of(spelling)


def test_it_is_whole_once_every_engine_has_told_what_it_serves() -> None:
    first, second = engines()
    catalogue = Catalogue((first, second))
    assert catalogue.is_whole
    second.has_listed = False
    assert not catalogue.is_whole


def test_the_first_engine_that_lists_a_model_describes_and_prepares_it() -> None:
    first, second = engines()
    catalogue = Catalogue((first, second))
    assert catalogue.engine_of("m") is first
    assert catalogue.engine_of("theirs:1b") is second


def test_an_owner_is_asked_by_the_very_name() -> None:
    first, second = engines()
    catalogue = Catalogue((first, second))
    assert catalogue.owner_of("m:latest") is first
    assert catalogue.owner_of("THEIRS:1B") is second
    assert catalogue.owner_of("m") is None
    first.cards = ()
    assert catalogue.owner_of("m:latest") is second, "what the first lists no more is the next one's"
