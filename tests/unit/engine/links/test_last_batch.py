from engine.interface import Prepared
from engine.links.last_batch import LastBatch
from policies.call import Call


def prepared(number: int) -> Prepared:
    call = Call(kind="chat", model="m")
    return Prepared(call=call, prompt_tokens=1, prompt_ids=((number,),), max_output_tokens=1)


ONE, TWO = prepared(1), prepared(2)


def test_one_request_and_no_other_was_alone() -> None:
    last = LastBatch()
    last.started(0)
    assert last.died([ONE]) == ((ONE,), True)
    last.started(0)
    last.stepped(1)
    assert last.died([ONE]) == ((ONE,), True)


def test_several_of_ours_were_alone_together_and_one_beside_anothers_was_not() -> None:
    last = LastBatch()
    last.started(0)
    last.started(1)
    last.stepped(2)
    assert last.died([ONE, TWO]) == ((ONE, TWO), True)
    last.started(0)
    last.started(1)
    last.stepped(3)
    assert last.died([ONE, TWO]) == ((ONE, TWO), False)
    last.started(0)
    last.stepped(2)
    last.stepped(1)
    assert last.died([ONE]) == ((ONE,), False), "another gateway's ran for a while"
    last.stepped(1)
    last.started(0)
    last.stepped(1)
    assert last.died([]) == ((), False)


def test_another_gateways_request_that_is_there_already_counts() -> None:
    last = LastBatch()
    last.stepped(3)
    last.started(0)
    assert last.died([ONE]) == ((ONE,), False)


def test_who_leaves_counts_until_the_worker_has_heard_of_it() -> None:
    last = LastBatch()
    last.started(0)
    last.left(ONE)
    assert last.died([]) == ((ONE,), True)
    last.started(0)
    last.left(ONE)
    last.stepped(1)  # this one was under way already
    last.left(TWO)
    assert last.died([]) == ((TWO, ONE), True)
    last.started(0)
    last.left(ONE)
    last.stepped(1)
    last.stepped(1)
    assert last.died([]) == ((), False)
    last.left(ONE)
    last.stepped(0)
    assert last.died([]) == ((), False), "an empty worker holds nothing"
