"""What a running gateway says of itself, as complaints."""

from gateway.doctor.gateway_check import gateway_complaints

LACK = {"name": "store_away", "what": "the shared store does not answer", "remedy": "bring it back"}
STORE = {"reason": "unreachable", "gateways": 2, "present": 1, "failures": 1, "owed": 0}


def test_nothing_is_complained_of_where_nothing_is_wrong() -> None:
    assert list(gateway_complaints(None)) == []
    assert list(gateway_complaints({"lacks": [], "store": None})) == []
    assert list(gateway_complaints({"lacks": [], "store": STORE | {"reason": ""}})) == []


def test_each_lack_is_told_with_its_remedy() -> None:
    [told] = gateway_complaints({"lacks": [LACK], "store": STORE})
    assert told.line.startswith("gateway: the shared store does not answer: the gateway is not ready")
    assert told.line.endswith("; bring it back")


def test_a_store_that_is_away_is_told_though_the_gateway_is_ready() -> None:
    [told] = gateway_complaints({"lacks": [], "store": STORE})
    assert "(unreachable)" in told.what


def process(state: str, **deaths: int) -> dict[str, object]:
    return {"process": "worker-0", "state": state, "deaths": deaths, "cause": "killed by SIGSEGV"}


def test_a_process_that_died_and_does_not_serve_is_told_with_its_model_and_cause() -> None:
    at = {"process": "worker-0", "model": "a:1", "load_s": 0.0}
    for state in ("quarantined", "backing_off", "stopped"):
        [told] = gateway_complaints({"processes": [process(state, signal=2, status=3)], "residences": [at]})
        assert told.line.startswith("engine: worker-0 (a:1) does not serve; it died 5 x, last: killed by SIGSEGV: ")
    [told] = gateway_complaints({"processes": [process("stuck", signal=1)]})
    assert told.what.startswith("worker-0 does not serve")


def test_an_adapter_that_was_left_out_is_told() -> None:
    [told] = gateway_complaints({"left_out": ["sql:1"]})
    assert told.line.startswith("engine: the adapter sql:1 is left out")
    assert "'corral models rm sql:1'" in told.remedy


def test_one_that_serves_again_or_made_room_is_no_complaint() -> None:
    loaded = {"process": "worker-0", "model": "a:1", "load_s": 2.0}
    for state in ("serving", "stopped", "loading"):
        assert list(gateway_complaints({"processes": [process(state, signal=1)], "residences": [loaded]})) == []
    assert list(gateway_complaints({"processes": [process("stopped")], "residences": []})) == []
