"""A complaint is one line."""

from gateway.doctor.complaint import Complaint


def test_a_complaint_as_one_line() -> None:
    assert Complaint(check="tls", what="a", why="b", remedy="c").line == "tls: a: b; c"
