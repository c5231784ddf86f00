"""Which ends of TLS files are told, and how often."""

from policies.certificates.tls_expiry import DAY_S, EndWarning, FileEnd, due_warnings

END = FileEnd("certificate", 100 * DAY_S)


def test_each_threshold_once_and_the_end_itself():
    warned: set[EndWarning] = set()
    told: list[tuple[float, int]] = []
    for quarter in range(400, 0, -1):
        left = quarter / 4 - 1
        due = due_warnings([END], END.ends_s - left * DAY_S, warned)
        warned |= set(due)
        told += [(left, each.days) for each in due]
    assert told == [(30, 30), (7, 7), (1, 1), (0, 0)]


def test_a_late_start_tells_the_narrowest_only():
    (due,) = due_warnings([END], END.ends_s - 3 * DAY_S, set())
    assert due == EndWarning(END, 7)


def test_another_end_is_told_anew():
    other = FileEnd("certificate", 101 * DAY_S)
    assert due_warnings([other], 100 * DAY_S, {EndWarning(END, 1)}) == (EndWarning(other, 1),)
