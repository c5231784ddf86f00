"""The small size of `make prove P=pictures`."""

import pytest

from bench.proofs.pictures import SMALL, prove

pytestmark = [pytest.mark.e2e, pytest.mark.slow]


def test_changed_images_end_nothing_and_pictures_are_computed_once() -> None:
    figures = prove(SMALL)
    assert sum(figures["answers"].values()) == SMALL.images
    assert figures["rows_again"] < figures["rows_first"]
