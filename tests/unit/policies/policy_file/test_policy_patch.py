"""One setting changed in the text of policy.yaml: the value alone, and nothing beside it."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.configuration.yaml_tree import read_tree
from policies.policy_file.policy_patch import edited, fragment, read_path, read_value, unified

TEXT = """\
# who may call
teams:
  lab:
    models: ["*"]   # all of them
    limits:
      # a day's worth
      tokens_per_day: 100  # asked for in T-1
  ops: {models: ["m"]}
networks:
  allow: [127.0.0.0/8]
"""


def edit(text: str, path: str, value: str) -> str | None:
    return edited(text, read_tree(text).lines, read_path(path), value)


def test_a_value_is_replaced_and_its_comment_stays():
    after = edit(TEXT, "teams.lab.limits.tokens_per_day", "200")
    assert after == TEXT.replace("tokens_per_day: 100  # asked", "tokens_per_day: 200  # asked")


def test_a_missing_setting_goes_below_what_is_around_it():
    after = edit(TEXT, "teams.lab.limits.requests_per_minute", "60")
    assert after == TEXT.replace("    limits:\n", "    limits:\n      requests_per_minute: 60\n")
    nested = edit(TEXT, "teams.lab.key_limits.mode", "report")
    assert nested == TEXT.replace("  lab:\n", "  lab:\n    key_limits:\n      mode: report\n")


def test_what_nothing_is_around_goes_to_the_end():
    assert edit(TEXT, "limits.tokens_per_month", "5") == f"{TEXT}limits:\n  tokens_per_month: 5\n"
    assert edit("max_queued: 1", "limits.mode", "report") == "max_queued: 1\nlimits:\n  mode: report\n"
    assert edit("", "max_queued", "3") == "max_queued: 3\n"


def test_an_empty_mapping_at_the_end_is_indented_by_two():
    assert edit("teams:\n  lab:\n", "teams.lab.weight", "2") == "teams:\n  lab:\n    weight: 2\n"
    assert edit("teams:\n  lab:\nmax_queued: 2\n", "teams.lab.weight", "2") is not None


def test_the_files_own_indent_is_kept():
    assert edit("teams:\n    lab:\n        weight: 1\n", "teams.lab.band", "batch") == (
        "teams:\n    lab:\n        band: batch\n        weight: 1\n"
    )


@pytest.mark.parametrize(
    ("text", "path"),
    [
        (TEXT, "teams.ops.weight"),
        (TEXT, "teams.ops.models"),
        (TEXT, "networks.allow"),
        (TEXT, "teams.lab"),
        ("teams: &all\n  lab:\n    weight: 1\n", "teams.more.weight"),
        ("a: >\n  long\n  text\n", "a"),
        (f"max_queued: 1{' ' * 2000}\n", "max_queued"),
        (f"teams:{' ' * 2000}\n  lab:\n    weight: 1\n", "teams.more.weight"),
    ],
)
def test_another_form_is_not_touched(text: str, path: str):
    assert edit(text, path, "1") is None


@pytest.mark.parametrize("text", ["", "teams..lab", "teams.lab limits", "a" * 65, "teams.lab.\n", "teams.l\u0430b"])
def test_what_is_no_path(text: str):
    with pytest.raises(ValueError, match="its path in policy"):
        read_path(text)


@pytest.mark.parametrize("text", ["", "  ", "1\n2", "\x1b[31m", "x" * 257])
def test_what_is_no_value(text: str):
    with pytest.raises(ValueError, match="one line"):
        read_value(text)


def test_paths_and_values_lose_blanks_around_them():
    assert read_path(" teams.lab ") == ("teams", "lab")
    assert read_value(" 5 ") == "5"
    assert fragment(("teams", "lab", "weight"), "2") == "teams:\n  lab:\n    weight: 2\n"


def test_the_patch_is_one_that_patch_reads():
    after = edit(TEXT, "teams.lab.limits.tokens_per_day", "200")
    assert after is not None
    lines = unified(TEXT, after, "policy.yaml").splitlines()
    assert lines[:2] == ["--- a/policy.yaml", "+++ b/policy.yaml"]
    assert [line for line in lines[3:] if line[0] in "+-"] == [
        "-      tokens_per_day: 100  # asked for in T-1",
        "+      tokens_per_day: 200  # asked for in T-1",
    ]
    assert "\\ No newline at end of file" in unified("a: 1", "a: 2\n", "policy.yaml")


names = st.from_regex(r"[a-z][a-z0-9_-]{0,8}", fullmatch=True)


@given(
    teams=st.dictionaries(
        names, st.dictionaries(st.sampled_from(["weight", "band", "x"]), st.integers(1, 9)), min_size=1
    ),
    step=st.sampled_from([1, 2, 4]),
    field=st.sampled_from(["weight", "band", "new"]),
    value=st.integers(10, 99),
    data=st.data(),
)
@settings(max_examples=80, deadline=None)
def test_only_the_setting_differs(teams, step, field, value, data):
    rows = ["teams:"]
    for team, settings_ in teams.items():
        rows.append(f"{' ' * step}{team}:")
        rows += [f"{' ' * 2 * step}{name}: {each} # why" for name, each in settings_.items()]
    text = "\n".join(rows) + "\n"
    team = data.draw(st.sampled_from(sorted(teams)))
    after = edit(text, f"teams.{team}.{field}", str(value))
    assert after is not None
    expected = {name: dict(each) or None for name, each in teams.items()}
    expected[team] = {**teams[team], field: value}
    assert read_tree(after).data == {"teams": expected}
