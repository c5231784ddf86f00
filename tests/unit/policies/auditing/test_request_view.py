"""Invariant: a request's stages stand together in their order, and nothing is said that no record says."""

from policies.auditing.request_view import RequestView, joined

AUTHORIZED = {
    "seq": 4,
    "ts": "2026-11-22T18:00:00Z",
    "event": "request.authorized",
    "stage": "authorized",
    "req_id": "r1",
    "actor": {"team": "chem"},
    "src": {"ip": "192.0.2.7"},
    "decision": {"effect": "allow"},
}
COMPLETED = {
    "seq": 9,
    "ts": "2026-11-22T18:00:01Z",
    "event": "request.completed",
    "stage": "completed",
    "req_id": "r1",
    "actor": {"team": "other"},
    "action": {"model": "qwen3"},
    "decision": {"effect": "allow"},
    "result": {"status": 200},
}


def test_both_stages_of_a_request_are_one_view_oldest_first() -> None:
    (view,) = joined([COMPLETED, AUTHORIZED])
    assert [stage["stage"] for stage in view.stages] == ["authorized", "completed"]
    assert (view.actor, view.src, view.action, view.params) == (
        {"team": "chem"},
        {"ip": "192.0.2.7"},
        {"model": "qwen3"},
        {},
    )
    assert view.stages[1]["result"] == {"status": 200}


def test_requests_stand_apart_and_what_is_none_is_left_out() -> None:
    other = {**AUTHORIZED, "req_id": "r2", "ts": COMPLETED["ts"], "seq": "x"}
    views = joined([other, COMPLETED, {"event": "policy.changed"}, {"req_id": 7}, {"req_id": ""}])
    assert [view.request for view in views] == ["r2", "r1"]
    assert joined([]) == ()
    assert joined([{"req_id": "r", "actor": "nobody"}]) == (RequestView(request="r", stages=({},)),)


def test_records_of_one_moment_stand_as_in_the_chain() -> None:
    late = {**COMPLETED, "ts": AUTHORIZED["ts"]}
    (view,) = joined([late, AUTHORIZED])
    assert [stage["event"] for stage in view.stages] == ["request.authorized", "request.completed"]
