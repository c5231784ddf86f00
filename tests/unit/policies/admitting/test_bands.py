"""Bands: rules 1 to 4 of `policies/admitting/bands.py`."""

import pytest

from policies.admitting.bands import Bands
from policies.admitting.ticket import BandTerms

THREE = Bands((BandTerms("high", 0.5), BandTerms("middle", 0.3), BandTerms("low", 0.2)))


def test_an_unknown_band_ranks_last_and_is_guaranteed_nothing() -> None:
    assert [THREE.rank(band) for band in ("high", "middle", "low", "unknown")] == [0, 1, 2, 3]
    assert THREE.share("unknown") == 0.0
    assert THREE.above("unknown") == ("high", "middle", "low")
    assert THREE.below("high") == ("middle", "low")
    assert THREE.below("unknown") == ()
    assert THREE.lends("unknown")


def test_rule_1_the_highest_band_with_work_goes_first() -> None:
    assert THREE.next({"low", "middle"}, {}) == "middle"
    assert THREE.next({"unknown", "low"}, {"low": -1.0}) == "low"


def test_rule_2_who_is_owed_most_goes_before_the_others() -> None:
    assert THREE.next({"high", "middle", "low"}, {"low": 2.0, "middle": 1.0}) == "low"
    assert THREE.next({"high", "middle", "low"}, {"low": 2.0, "middle": 2.0}) == "middle"
    assert THREE.next({"high", "middle"}, {"low": 2.0}) == "high"


def test_rule_2_a_lower_band_gets_its_share_while_it_has_work() -> None:
    owed: dict[str, float] = {}
    charged = dict.fromkeys(("high", "middle", "low"), 0.0)
    for _ in range(1_000):
        band = THREE.next(charged.keys(), owed)
        charged[band] += 1.0
        THREE.charge(band, 1.0, charged.keys(), owed)
    assert charged["middle"] == pytest.approx(300, abs=3)
    assert charged["low"] == pytest.approx(200, abs=3)


def test_rule_3_nothing_is_earned_without_work() -> None:
    owed: dict[str, float] = {}
    THREE.charge("high", 10.0, {"high", "low"}, owed)
    assert owed == pytest.approx({"high": -5.0, "low": 2.0})
    THREE.charge("high", 10.0, {"high"}, owed)
    assert owed == pytest.approx({"high": -10.0})
    THREE.charge("high", -30.0, {"low"}, owed)
    assert owed == pytest.approx({"high": 0.0, "low": -6.0}), "a settlement is no claim of one that has no work"
    THREE.charge("unknown", 1.0, {"low"}, owed)
    assert owed == pytest.approx({"low": -5.8}), "who has neither work nor debts is forgotten"


def test_rule_4_a_band_that_does_not_lend_keeps_its_share_of_the_slots() -> None:
    bands = Bands((BandTerms("kept", 0.3, lends=False), BandTerms("usual", 0.7)))
    assert bands.keeps_any()
    assert not THREE.keeps_any()
    assert bands.kept("usual", 4, {"usual": 1}) == 2
    assert bands.kept("usual", 4, {"usual": 1, "kept": 1}) == 1
    assert bands.kept("usual", 4, {"usual": 1, "kept": 3}) == 0
    assert bands.kept("kept", 4, {}) == 0
    assert bands.kept("usual", 10, {"usual": 1}) == 3, "a whole share is not rounded up"


def test_rule_4_the_only_slot_is_not_kept_from_one_that_has_none() -> None:
    bands = Bands((BandTerms("a", 0.5, lends=False), BandTerms("b", 0.5, lends=False)))
    assert bands.kept("a", 1, {}) == 0
    assert bands.kept("other", 1, {}) == 0
    assert bands.kept("other", 2, {}) == 1
    assert bands.kept("other", 2, {"other": 1}) == 2
    assert bands.kept("a", 2, {"a": 1}) == 1


def test_what_a_band_never_gets_is_what_others_keep() -> None:
    bands = Bands((BandTerms("high", 0.25, lends=False), BandTerms("low", 0.25)))
    assert (bands.kept_at_most("low", 4), bands.kept_at_most("high", 4)) == (1, 0)
