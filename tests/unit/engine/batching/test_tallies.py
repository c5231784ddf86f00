"""A worker's tallies by gateway."""

from engine.batching.tallies import MAX_NAMES, OTHERS, Tallies
from engine.frames import Ended, Tally


def test_each_name_has_its_own_and_faults_have_no_tokens() -> None:
    tallies = Tallies()
    for name in ("a:1", "a:1", "b:1", "a:1"):
        tallies.took(name)
    tallies.ended("a:1", Ended(id=1, reason="stop", prompt_tokens=5, output_tokens=3))
    tallies.ended("a:1", Ended(id=2, fault="broke", prompt_tokens=5, output_tokens=3))
    assert tallies.told(["a:1", ""]) == (
        Tally(gateway="a:1", taken=3, ended=1, failed=1, prompt_tokens=5, output_tokens=3, connected=True),
        Tally(gateway="b:1", taken=1, ended=0, failed=0, prompt_tokens=0, output_tokens=0, connected=False),
    )


def test_a_flood_of_names_shares_one_tally_and_drops_none() -> None:
    tallies = Tallies()
    for number in range(2 * MAX_NAMES):
        tallies.took(f"x:{number}")
    told = tallies.told(())
    assert len(told) == MAX_NAMES + 1
    assert sum(each.taken for each in told) == 2 * MAX_NAMES
    assert told[-1].gateway == OTHERS
    tallies.took("x:0")
    assert next(each.taken for each in tallies.told(()) if each.gateway == "x:0") == 2
