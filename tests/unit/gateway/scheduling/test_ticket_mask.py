"""What other gateways and Redis see of a ticket, and what they do not."""

import msgspec

from gateway.scheduling.ticket_mask import BLOCK_BYTES, MOST_BLOCKS, Mask, masked, received, sent
from policies.admission import Queue
from policies.admitting.events import Arrived, Left, Resumed, TargetLost, TargetReady
from policies.admitting.ticket import Bounds, TargetFacts
from tests.unit.gateway.scheduling.gateways import MODEL, ticket

BLOCKS = tuple(bytes([number % 256, number // 256]) * 16 for number in range(300))
FACTS = TargetFacts(id="pool:m", pools=((MODEL, "", "chat"),), slots=2)


def mask(pepper: bytes = b"p" * 32, me: str = "one", site: str = "here") -> Mask:
    return Mask(pepper, me, site, lambda target: f"{target}@{site}")


def test_hashes_are_short_keyed_and_bounded_and_equal_stays_equal() -> None:
    seen = mask().ticket(ticket(1, blocks=BLOCKS, identity=b"i" * 32, owner="a liar"))
    assert len(seen.blocks) == MOST_BLOCKS
    assert {len(each) for each in seen.blocks} == {BLOCK_BYTES}
    assert len(set(seen.blocks)) == MOST_BLOCKS
    assert seen.owner == "one"
    written = msgspec.msgpack.encode(seen)
    assert b"i" * 32 not in written
    assert not any(block in written for block in BLOCKS)
    other = mask(me="two").ticket(ticket(2, blocks=BLOCKS, identity=b"i" * 32))
    assert (other.blocks, other.identity) == (seen.blocks, seen.identity)
    assert mask(pepper=b"q" * 32).ticket(ticket(1, blocks=BLOCKS)).blocks[0] != seen.blocks[0]


def test_no_identity_stays_none() -> None:
    assert mask().ticket(ticket(1)).identity == b""


def test_a_pool_is_what_one_site_reaches() -> None:
    here, there = mask(), mask(site="there")
    assert here.ticket(ticket(1)).pool in here.facts(FACTS).pools
    assert here.ticket(ticket(1)).pool not in there.facts(FACTS).pools
    assert here.facts(FACTS).id == "pool:m@here"
    assert here.own_target("pool:m@here") == "pool:m"
    assert here.own_target("pool:m@there") == "pool:m@there"


def test_targets_are_masked_and_other_events_are_not() -> None:
    assert masked(TargetLost(FACTS), mask()) == TargetLost(mask().facts(FACTS))
    assert masked(Left(1), mask()) == Left(1)


def test_moments_are_told_from_now() -> None:
    event = Arrived(ticket(1, arrived_s=90.0, expires_s=150.0), Bounds(1, 1))
    on_the_way = sent(event, 100.0)
    assert isinstance(on_the_way, Arrived)
    assert (on_the_way.ticket.arrived_s, on_the_way.ticket.expires_s) == (-10.0, 50.0)
    back = received(on_the_way, 7.0)
    assert isinstance(back, Arrived)
    assert (back.ticket.arrived_s, back.ticket.expires_s) == (-3.0, 57.0)
    never = sent(Resumed(ticket(1, arrived_s=5.0)), 5.0)
    assert isinstance(never, Resumed)
    assert never.ticket.expires_s is None
    assert sent(Left(1), 5.0) == Left(1)


def test_a_view_has_our_own_names_for_our_site() -> None:
    queue, here, there = Queue(), mask(), mask(site="there")
    for each in (here, there):
        queue.handle(TargetReady(each.facts(FACTS)), 1.0)
        queue.handle(Arrived(each.ticket(ticket(len(each._site))), Bounds(9, 9)), 1.0)
    view = here.plain(queue.view(1.0))
    assert [each.id for each in view.targets] == ["pool:m", "pool:m@there"]
    assert MODEL in {each.model for each in view.pools}
