"""`corral audit hold` from the command line, on a home where no gateway runs."""


def test_a_hold_from_beginning_to_end(corral):
    made = corral.json("audit", "hold", "set", "--from", "2026-01-01T00:00:00Z", "--reason", "case 7")
    status, out, _ = corral.run("audit", "hold", "list")
    assert status == 0
    assert made["id"] in out
    assert "case 7" in out
    status, out, _ = corral.run("audit", "hold", "lift", made["id"], "--reason", "closed")
    span = "the log from 2026-01-01T00:00:00Z to its end"
    assert (status, out) == (0, f"{made['id']} is lifted: {span} is pruned again when its time has come\n")
    assert corral.run("audit", "hold", "list")[1] == "no holds\n"


def test_the_whole_log(corral):
    status, out, _ = corral.run("audit", "hold", "set", "--reason", "all")
    assert status == 0
    assert out.endswith(": the whole log is held until it is lifted\n")


def test_without_a_reason(corral):
    status, _, err = corral.run("audit", "hold", "set")
    assert (status, err) == (2, "corral: a legal hold needs a reason that the log can tell: give --reason\n")
