from msgspec import structs

from gateway.scheduling.seen_targets import SeenTargets
from policies.admitting.events import TargetLost, TargetReady
from policies.admitting.ticket import TargetFacts

FACTS = TargetFacts(id="t", pools=(("m", "", "chat"),), slots=4)
OTHERS = structs.replace(FACTS, pools=(("n", "", "chat"),), slots=2)


def test_ready_for_one_is_ready_and_each_change_is_told_once() -> None:
    seen = SeenTargets("me")
    seen.note("a", TargetLost(FACTS))
    assert seen.untold() == [TargetLost(FACTS)]
    assert seen.news(["t"]) == [TargetLost(FACTS)]
    seen.note("b", TargetReady(FACTS))
    assert seen.news(["t"]) == [TargetReady(FACTS)]
    seen.note("c", TargetReady(OTHERS))
    both = TargetReady(structs.replace(FACTS, pools=(("m", "", "chat"), ("n", "", "chat")), slots=2))
    assert seen.untold() == []
    assert seen.news(seen.names()) == [both]
    assert seen.news(seen.names()) == []
    seen.forget("b")
    assert seen.news(["t"]) == [TargetReady(OTHERS)]
    seen.forget("c")
    assert seen.news(["t"]) == [TargetLost(FACTS)]


def test_what_nobody_sees_any_more_is_lost_and_what_was_never_told_is_nothing() -> None:
    seen = SeenTargets("me")
    seen.note("a", TargetReady(FACTS))
    seen.forget("a")
    assert (seen.news(["t"]), seen.untold()) == ([], [])
    seen.note("a", TargetReady(FACTS))
    seen.news(["t"])
    seen.forget("a")
    assert seen.news(["t"]) == [TargetLost(FACTS)]


def test_steps_are_told_by_one_of_those_who_see_it_ready() -> None:
    seen = SeenTargets("me")
    for gateway in ("b", "a"):
        seen.note(gateway, TargetReady(FACTS))
    assert (seen.reported_by("a"), seen.reported_by("b"), seen.reported_by("me")) == (("t",), (), ())
    assert seen.is_ready_for("a", "t")
    seen.note("me", TargetReady(FACTS))
    assert (seen.reported_by("a"), seen.reported_by("me")) == ((), ("t",))
    for gateway in ("a", "b", "me"):
        seen.note(gateway, TargetLost(FACTS))
    assert seen.reported_by("me") == ("t",)
    assert not seen.is_ready_for("a", "t")
    assert not seen.is_ready_for("a", "other")
