"""Several gateways, one queue: who decides, what goes lost, who dies, and that nothing runs twice or waits for ever."""

import asyncio
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.scheduling.following_desk import FollowingDesk
from gateway.scheduling.queue_letters import Decided, Go, Seal, Told
from policies.admitting.effects import Dispatch, Waits
from policies.admitting.events import BandsChanged, Step, Stepped, TargetReady
from policies.admitting.ticket import BandTerms
from tests.redis_server import redis_server
from tests.shared_pools import killed_midway, shares, until
from tests.unit.gateway.scheduling.gateways import PEPPER, Gateway, Gateways


async def test_one_decides_and_the_other_follows() -> None:
    at = Gateways(slots=2)
    one, two = await at.join("one"), await at.join("two")
    assert (one.queue.state().role, two.queue.state().role) == ("deciding", "following")
    ids = []
    for gateway in (two, one, two, one):
        ids.append(gateway.ask())
        await at.settle()
    assert set(at.pool.busy) == set(ids[:2])
    assert (one.waiting(), two.waiting()) == (1, 1)
    two.end(ids[0])
    one.end(ids[1])
    await at.settle()
    assert set(at.pool.busy) == set(ids[2:])
    assert (at.pool.taken, at.pool.stale) == (0, 0)
    fences = {each.fence for gateway in at.all for each in gateway.effects if isinstance(each, Dispatch)}
    assert fences == {one.queue.state().epoch}


async def test_the_followers_caller_hears_its_wait_and_it_is_renewed_when_asked_for() -> None:
    at = Gateways(slots=1)
    _, two = await at.join("one"), await at.join("two")
    for _ in range(3):
        id_ = two.ask()
    await at.settle()
    waits = [each for each in two.effects if isinstance(each, Waits)]
    assert waits[-1].forecast.position == 2
    assert two.queue.forecast(id_).position == 2
    two.end()
    await at.settle()
    two.queue.forecast(id_)
    await at.settle()
    assert two.queue.forecast(id_).position == 1


async def test_the_deciders_death_costs_its_own_requests_only() -> None:
    at = Gateways(slots=2)
    one, two = await at.join("one"), await at.join("two")
    for gateway in (one, two, one, two, one, two):
        gateway.ask()
    await at.settle()
    first_epoch = one.queue.state().epoch
    at.kill(one)
    await at.pass_time(1.0)
    assert two.queue.state().role == "deciding"
    assert two.queue.state().epoch > first_epoch
    while two.open:
        two.end()
        await at.settle()
    assert sum(at.pool.ended.values()) == 3
    assert max(at.pool.started.values()) == 1


async def test_a_dead_followers_slots_are_free_within_a_tick() -> None:
    at = Gateways(slots=2)
    one, two = await at.join("one"), await at.join("two")
    two.ask(), two.ask(), two.ask()
    await at.settle()
    one.ask(), one.ask()
    await at.settle()
    assert one.waiting() == 2
    at.kill(two)
    await at.pass_time(0.25)
    assert len(one.running) == 2
    assert one.queue.view().waiting == 0


async def test_a_decider_that_stood_still_is_refused_by_the_workers() -> None:
    at = Gateways(slots=1)
    one, two = await at.join("one"), await at.join("two")
    one.ask()
    await at.settle()
    one.stopped = True
    at.office.posts.pop("one")
    waits = two.ask()
    await at.pass_time(1.0)
    assert two.queue.state().role == "deciding"
    two.ask()
    one.end()  # its stream ends while it stands still; it goes on before it hears of anything
    one.stopped = False
    one.post.listen_now(one.queue.hear)
    late = one.ask()
    assert isinstance(one.effects[-1], Dispatch) or one.queue.state().role != "deciding"
    await at.settle()
    await at.pass_time(1.0)
    assert waits in at.pool.started
    assert one.queue.state().role == "following"
    for _ in range(3):
        one.end()
        two.end()
        await at.settle()
        await at.pass_time(1.0)
    assert not one.open
    assert not two.open
    assert at.pool.ended[late] == 1
    assert max(at.pool.started.values()) == 1


async def test_lost_letters_are_noticed_and_everything_is_announced_again() -> None:
    for lost in range(1, 6):
        for direction in ("one", "two"):
            at = Gateways(slots=2)
            _, two = await at.join("one"), await at.join("two")
            for _ in range(4):
                two.ask()
            count = 0

            def lose(channel: str, wanted: str = direction, number: int = lost) -> bool:
                nonlocal count
                count += channel.endswith(wanted)
                return channel.endswith(wanted) and count == number

            at.office.lose = lose
            await at.settle()
            for _ in range(8):
                two.end()
                await at.pass_time(0.5)
            assert not two.open, (lost, direction)
            assert at.pool.ended.total() == 4
            assert max(at.pool.started.values()) == 1


async def test_without_redis_each_takes_its_part_and_says_so_and_comes_back() -> None:
    at = Gateways(slots=4)
    one, two = await at.join("one"), await at.join("two")
    await at.pass_time(0.5)
    for gateway in (one, two):
        for _ in range(5):
            gateway.ask()
    await at.settle()
    at.office.away = {"one", "two"}
    await at.pass_time(3.0)
    for gateway in (one, two):
        assert gateway.queue.state().role == "alone"
        assert gateway.queue.view().reason == "unreachable"
        assert gateway.told == [("scheduler.degraded", {"reason": "unreachable", "gateways": 2})]
    for _ in range(2):
        one.end()
        two.end()
    await at.settle()
    await at.pass_time(1.0)
    assert (len(one.running), len(two.running)) == (2, 2)
    at.office.away = set()
    await at.pass_time(3.0)
    assert {each.queue.state().role for each in at.all} == {"deciding", "following"}
    assert [gateway.told[-1][0] for gateway in at.all] == ["scheduler.restored"] * 2
    for _ in range(8):
        one.end()
        two.end()
        await at.settle()
        await at.pass_time(1.0)
    assert not one.open
    assert not two.open
    assert at.pool.ended.total() == 10
    assert max(at.pool.started.values()) == 1


async def test_a_gateway_that_hears_no_decider_decides_alone_after_a_while() -> None:
    at = Gateways(slots=2)
    one, two = await at.join("one"), await at.join("two")
    at.office.lose = lambda channel: channel.endswith(("two", "everybody"))
    two.ask()
    await at.pass_time(3.0)
    assert two.queue.state().role == "following"
    assert two.queue.state().talks > 1
    await at.pass_time(2.0)
    assert (one.queue.state().role, two.queue.state().role) == ("deciding", "alone")
    assert two.running
    at.office.lose = lambda _channel: False
    await at.pass_time(1.5)
    assert two.queue.state().role == "following"
    assert one.queue.view().running == 1


async def test_an_idle_pool_is_used_without_asking_and_never_beyond_its_slots() -> None:
    at = Gateways(slots=4)
    one, two = await at.join("one"), await at.join("two")
    await at.pass_time(0.5)
    two.ask()
    assert two.running, "at once"
    two.ask()
    two.ask()
    assert len(two.running) == 2, "a part of the free slots, not all"
    await at.settle()
    assert len(two.running) == 3
    one.ask(), one.ask()
    two.ask()
    await at.settle()
    assert (one.waiting(), two.waiting()) == (1, 1)
    assert at.pool.most_busy == 4
    assert at.pool.taken == 0
    two.end()
    two.end()
    await at.settle()
    assert (one.waiting(), two.waiting()) == (0, 0)
    assert one.queue.view().running == 4


async def test_nothing_is_lent_where_a_band_keeps_slots_to_itself() -> None:
    at = Gateways(slots=4)
    one, two = await at.join("one"), await at.join("two")
    one.queue.tell(BandsChanged((BandTerms("top", 0.5, lends=False), BandTerms("", 0.5))))
    await at.pass_time(0.5)
    two.ask()
    assert not two.running
    await at.settle()
    assert two.running


async def test_a_target_that_we_cannot_reach_keeps_nobody_else_from_it() -> None:
    at = Gateways(slots=1)
    one, two = await at.join("one"), await at.join("two")
    two.lose_target()
    await at.settle()
    lost = two.ask()
    await at.settle()
    mine = one.ask()
    await at.settle()
    assert list(at.pool.busy) == [mine]
    assert lost in two.open
    one.end()
    two.queue.tell(TargetReady(at.pool.facts))
    await at.pass_time(1.5)
    assert list(at.pool.busy) == [lost]


async def test_gateways_of_two_sites_do_not_run_on_each_others_workers() -> None:
    at = Gateways(slots=1)
    one = await at.join("one")
    other = Gateways(slots=1)
    two = await Gateway(at.office, other.pool, "two", 2, site="there").begin()
    at.all.append(two)
    await at.settle()
    one.ask(), one.ask(), two.ask()
    await at.settle()
    assert (len(one.running), len(two.running)) == (1, 1)
    assert len(other.pool.busy) == 1


async def test_foreign_letters_are_counted_and_forgotten() -> None:
    at = Gateways()
    one = await at.join("one")
    one.queue.hear("{corral}:queue:mail:one", b"x" * 100)
    assert one.queue.state().foreign == 1


async def test_leaving_hands_over_at_once() -> None:
    at = Gateways(slots=1)
    one, two = await at.join("one"), await at.join("two")
    two.ask(), two.ask()
    await at.settle()
    one.stopped = True
    await one.queue.close()
    assert one.post.closed
    await at.settle()
    assert two.queue.state().role == "deciding"
    two.end()
    await at.settle()
    assert len(two.running) == 1
    two.stopped = True
    await two.queue.close()


async def test_letters_of_another_role_epoch_or_talk_are_strays() -> None:
    at = Gateways()
    one, two = await at.join("one"), await at.join("two")
    seal, epoch = Seal(PEPPER), one.queue.state().epoch
    told = Told(sender="one", epoch=epoch, talk=99, seq=0)
    decided = Decided(sender="two", epoch=epoch, talk=99, seq=0)
    another = Decided(sender="one", epoch=epoch, talk=99, seq=0)
    old = Decided(sender="one", epoch=epoch - 1, talk=1, seq=0)
    for gateway, letter in ((two, told), (one, decided), (two, another), (two, old)):
        channel = "{corral}:queue:mail:" + gateway.name
        before = gateway.queue.state().strays
        gateway.queue.hear(channel, seal.write(channel, letter))
        assert gateway.queue.state().strays == before + 1
    assert one.queue.state().gateways == 1, "it has not beaten since the other came"


async def test_a_follower_tells_the_steps_of_a_target_only_when_asked_to() -> None:
    at = Gateways()
    one, two = await at.join("one"), await at.join("two")
    step = Step(step_s=0.5, decode_rows=1, prefill_rows=0, busy_slots=1)

    def measured() -> int:
        view = one.queue._desk.queue.targets()  # type: ignore[union-attr]
        return len(view[0].decode_s)

    two.queue.tell(Stepped("pool:m", step))
    await at.settle()
    assert measured() == 0
    one.lose_target()
    await at.settle()
    await at.pass_time(0.5)
    two.queue.tell(Stepped("pool:m", step))
    await at.pass_time(0.25)
    assert measured() == 1
    one.queue.tell(TargetReady(at.pool.facts))
    one.queue.tell(Stepped("pool:m", step))


async def test_the_view_is_the_deciders_and_ours_alone_while_nobody_decides() -> None:
    at = Gateways(slots=1)
    at.office.away = {"one"}
    one = await at.join("one")
    assert one.queue.state().role == "waiting"
    one.ask()
    assert (one.queue.view().waiting, [each.id for each in one.queue.targets()]) == (1, ["pool:m"])
    assert one.queue.forecast(1).position == 0
    at.office.away = set()
    await at.pass_time(0.5)
    two = await at.join("two")
    two.ask(team="u")
    await at.pass_time(2.0)
    view = two.queue.view()
    assert (view.decided_by, view.waiting, view.running) == ("one", 1, 1)
    assert [each.id for each in view.targets] == ["pool:m"]
    assert two.queue.waiting() == two.queue.waiting("u") == 1
    assert two.queue.waiting("t") == 0


async def test_the_tasks_start_and_end() -> None:
    at = Gateways()
    gateway = Gateway(at.office, at.pool, "one", 1)
    at.all.append(gateway)
    await gateway.queue.start()
    assert gateway.queue.state().role == "deciding"
    await asyncio.sleep(0)
    await gateway.queue.close()
    assert gateway.post.closed
    assert at.office.holder == ""


async def test_one_whom_nobody_reaches_decides_nothing_and_one_that_never_decided_has_nothing_to_give_back() -> None:
    at = Gateways()
    one = Gateway(at.office, at.pool, "one", 1)
    at.all.append(one)
    await one.queue.beat()
    assert one.queue.state().role == "waiting"
    assert one.queue.forecast(1).position == 0
    await one.queue.send()
    assert not one.queue.keeping
    await one.queue.close()


async def test_a_decider_whose_process_stood_still_decides_nothing_more_before_it_asked() -> None:
    at = Gateways()
    one = await at.join("one")
    at.clock.move(1.8)
    one.ask()
    assert one.queue.state().role == "waiting"
    assert not one.running
    await at.settle()
    assert one.queue.state().role == "deciding"
    assert one.running


async def test_a_decider_that_lost_the_lease_hears_it_when_it_writes() -> None:
    at = Gateways()
    one, two = await at.join("one"), await at.join("two")
    at.office.holder = ""
    await two.queue.beat()
    two.queue._outbox._hailed_s = two.queue._now_s()  # its hail is on the way
    one.queue.tick()
    await one.queue.send()
    assert one.queue.state().role == "waiting"
    await at.settle()
    assert (one.queue.state().role, two.queue.state().role) == ("following", "deciding")


async def test_a_caller_that_left_before_its_target_was_found_out_of_reach_is_gone() -> None:
    at = Gateways(slots=1)
    one, two = await at.join("one"), await at.join("two")
    two.lose_target()
    await at.settle()
    left = two.ask()
    await two.queue.send()
    at.office.deliver()
    await one.queue.send()  # its word to run is on the way
    assert one.queue.view().running == 1
    two.leave(left)
    at.office.deliver()
    await at.settle()
    assert two.queue.waiting() == 0
    assert one.queue.view().running == 0


async def test_a_refusal_reaches_the_caller_of_the_gateway_that_asked() -> None:
    at = Gateways()
    await at.join("one")
    two = await at.join("two")
    two.ask(model="nobody has it")
    await at.settle()
    assert two.refused == {"no_capacity": 1}
    assert two.queue.waiting() == 0


async def test_a_word_to_run_for_what_runs_already_is_nothing() -> None:
    at = Gateways(slots=2)
    one, two = await at.join("one"), await at.join("two")
    runs = two.ask()
    await at.settle()
    two.lose_target()
    desk = two.queue._desk
    assert isinstance(desk, FollowingDesk)
    again = Decided(
        sender="one", epoch=desk.epoch, talk=desk.talk, seq=desk._read, decisions=(Go(runs, "pool:m@here"),)
    )
    channel = "{corral}:queue:mail:two"
    two.queue.hear(channel, Seal(PEPPER).write(channel, again))
    assert list(two.running) == [runs]
    assert two.queue.waiting() == 0
    assert one.queue.view().running == 1


async def test_a_bug_costs_what_a_desk_knew_and_not_the_queue() -> None:
    bugs: list[str] = []
    asyncio.get_running_loop().set_exception_handler(lambda _loop, context: bugs.append(context["message"]))
    at = Gateways(slots=1)
    one, two = await at.join("one"), await at.join("two")
    one.ask(), two.ask(), two.ask()
    await at.settle()
    for gateway in (one, two):
        desk = gateway.queue._desk
        assert desk is not None
        desk.hear = _fail  # type: ignore[method-assign]
        await at.pass_time(0.25)
        assert gateway.queue._desk is not desk
    desk = one.queue._desk
    assert desk is not None
    desk.take = _fail  # type: ignore[method-assign]
    keeping = asyncio.create_task(one.queue._keep(one.queue._tick_in_time))
    await until(lambda: one.queue._desk is not desk)
    keeping.cancel()
    await asyncio.gather(keeping, return_exceptions=True)
    assert set(bugs) == {"the shared queue failed"}
    assert len(bugs) == 3
    await at.pass_time(1.0)
    for _ in range(3):
        one.end()
        two.end()
        await at.pass_time(0.5)
    assert not one.open
    assert not two.open
    assert set(at.pool.ended.values()) == {1}


def _fail(*_: object) -> None:
    raise ZeroDivisionError


@settings(max_examples=40, deadline=None)
@given(st.randoms(use_true_random=False))
def test_whatever_goes_lost_stands_still_or_dies_nothing_runs_twice_or_waits_for_ever(chance: Random) -> None:
    asyncio.run(_happen(chance))


async def _happen(chance: Random) -> None:
    bugs: list[object] = []
    asyncio.get_running_loop().set_exception_handler(lambda _loop, context: bugs.append(context))
    at = Gateways(slots=chance.choice([1, 2, 4]))
    for name in "abc"[: chance.choice([2, 3])]:
        await at.join(name)
    for _ in range(chance.randrange(5, 60)):
        await _one_thing(at, chance)
    at.office.away, at.office.lose, at.office.held = set(), lambda _channel: False, False
    for gateway in at.all:
        gateway.stopped = gateway.dead
    await at.pass_time(4.0)
    living = at.going()
    assert sorted(each.queue.state().role for each in living) == ["deciding"] + ["following"] * (len(living) - 1)
    for _ in range(100):
        for gateway in living:
            while any(id_ in at.pool.busy for id_ in gateway.running):
                gateway.end()
        await at.pass_time(0.5)
        if not any(gateway.open for gateway in living):
            break
    assert not any(gateway.open for gateway in living), "nobody waits for ever"
    assert at.pool.most_busy <= at.pool.facts.slots
    assert set(at.pool.ended.values()) <= {0, 1}, "nothing runs twice"
    await at.pass_time(1.0)
    assert {(each.queue.view().waiting, each.queue.view().running) for each in living} == {(0, 0)}
    assert {each.queue.waiting() for each in living} == {0}
    assert not bugs


ACTS = (*["ask"] * 6, *["end"] * 4, *["time"] * 2, *["settle"] * 2)
RARE = ("leave", "lose", "away", "back", "stop", "go on", "kill", "flush", "hold")


async def _one_thing(at: Gateways, chance: Random) -> None:
    gateway, act = chance.choice(at.all), chance.choice(ACTS + RARE)
    if act == "time":
        await at.pass_time(chance.choice([0.25, 0.5, 1.0, 3.0]))
    elif act == "settle":
        await at.settle()
    elif act == "lose":
        often, dice = chance.choice([0.1, 0.5]), Random(chance.randrange(1000))
        at.office.lose = lambda _channel: dice.random() < often
    elif act == "away":
        at.office.away = {each.name for each in at.all if chance.random() < 0.5}
    elif act == "back":
        at.office.away, at.office.lose, at.office.held = set(), lambda _channel: False, False
    elif act == "hold":
        at.office.held = True
    elif act == "flush":
        at.office.holder = ""
    else:
        _one_gateway(at, gateway, act, chance)


def _one_gateway(at: Gateways, gateway: Gateway, act: str, chance: Random) -> None:
    if act == "go on":
        gateway.stopped = gateway.dead
    elif gateway.stopped:
        return
    elif act == "ask":
        gateway.ask(chance.choice("xyz"))
    elif act == "end":
        gateway.end()
    elif act == "leave" and gateway.open:
        gateway.leave(chance.choice(list(gateway.open)))
    elif act == "stop" and len(at.going()) > 1:
        gateway.stopped = True
    elif act == "kill" and sum(not each.dead for each in at.all) > 1:
        at.kill(gateway)


# ---- over a real redis-server; `make prove P=shared_queue` does it in full size


@pytest.mark.slow
def test_every_request_of_two_gateways_runs_once_and_the_teams_get_their_shares() -> None:
    with redis_server() as server:
        found = asyncio.run(shares(server, requests=400, service_s=0.01))
    assert found["runs"] == found["finished"] == 400
    assert found["twice"] == found["over_slots"] == 0


@pytest.mark.slow
def test_one_killed_midway_costs_its_own_requests_only() -> None:
    with redis_server() as server:
        for killed in ("deciding", "following"):
            found = asyncio.run(killed_midway(server, killed=killed, requests=60, service_s=0.05))
            assert found["finished"] == found["asked_of_the_living"] == 60
            assert found["twice"] == found["over_slots"] == 0
