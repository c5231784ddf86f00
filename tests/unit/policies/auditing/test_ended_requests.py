"""Invariant: a request ends once."""

from policies.auditing.ended_requests import EndedRequests
from tests.report_lines import ended, line, told


def test_the_first_end_of_a_request_counts() -> None:
    requests = EndedRequests()
    assert requests.is_end(ended("a"))
    assert not requests.is_end(ended("a", event="request.aborted"))
    assert requests.is_end(ended("b", event="request.limited"))


def test_what_is_no_end() -> None:
    requests = EndedRequests()
    assert not requests.is_end(line("request.authorized", stage="authorized", req_id="a"))
    assert not requests.is_end(told("gateway.started"))
    assert not requests.is_end(line("request.rejected", stage="denied"))
    assert requests.is_end(ended("a"))


def test_memory_is_bounded() -> None:
    requests = EndedRequests(most=2)
    assert all(requests.is_end(ended(name)) for name in "abc")
    assert not requests.is_end(ended("c"))
    assert requests.is_end(ended("a"))
