"""`corral grants` from the command line, on a home where no gateway runs."""


def test_a_life_of_a_grant(corral):
    assert corral.run("grants", "list")[1] == "no grants\n"
    made = corral.json(
        "grants",
        "add",
        "--team",
        "default",
        "--limit",
        "requests_per_minute=1200",
        "--until",
        "2h",
        "--reason",
        "launch",
    )
    assert (made["team"], made["limit"], made["value"]) == ("default", "requests_per_minute", 1200)
    assert corral.json("grants", "list") == [made]
    head, row = corral.run("grants", "list")[1].splitlines()
    assert head.split() == ["ID", "TEAM", "LIMIT", "VALUE", "UNTIL", "BY", "STATE"]
    assert row.split()[:4] == [made["id"], "default", "requests_per_minute", "1200"]
    assert corral.run("grants", "end", made["id"])[1] == f"{made['id']} of team default has ended\n"
    assert corral.json("grants", "list") == []
    assert [grant["state"] for grant in corral.json("grants", "list", "--all")] == ["ended"]


def test_it_says_what_was_granted(corral):
    status, out, _ = corral.run("grants", "add", "--team", "default", "--limit", "burst_requests=99", "--until", "2h")
    assert status == 0
    assert "team default, burst_requests=99 until 20" in out


def test_a_refusal_is_one_line_and_status_2(corral):
    status, out, err = corral.run("grants", "add", "--team", "default", "--limit", "weight=5", "--until", "2h")
    assert (status, out) == (2, "")
    assert err.startswith("corral: no limit is called 'weight'; there are: ")
    assert corral.run("grants", "end", "nope")[0] == 2
    status, _, err = corral.run(
        "grants", "add", "--team", "default", "--limit", "requests_per_minute=5", "--until", "2h"
    )
    assert (status, len(err.splitlines())) == (2, 1)
    assert "teams.default.key_limits.requests_per_minute is 600" in err
