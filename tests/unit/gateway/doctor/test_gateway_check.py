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
