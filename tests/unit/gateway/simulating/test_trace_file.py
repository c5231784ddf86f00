"""Invariant: a trace is read whole and rightly, or refused with one line that names file, line, field and remedy."""

import csv
import io
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.simulating import trace_file
from gateway.simulating.arrivals import Arrival
from gateway.simulating.trace_file import ANY_LENGTH, TraceFault, join_traces, read_trace

AZURE = """TIMESTAMP,ContextTokens,GeneratedTokens
2023-11-16 18:15:50.9951690,396,109
2023-11-16 18:15:46.6805900,374,44
"""


def read(text: str, team: str | None = "t", *, named: bool = False):
    return read_trace(io.StringIO(text, newline=""), "f.csv", team, named=named)


def test_azures_form_is_one_teams_in_order_of_time() -> None:
    trace = read("\ufeff" + AZURE)
    assert trace.dated
    first, second = trace.arrivals
    assert (first.prompt_tokens, first.output_tokens, first.team, first.output_cap) == (374, 44, "t", ANY_LENGTH)
    assert second.at_s - first.at_s == pytest.approx(4.314579, abs=1e-6)


def test_a_moment_with_an_offset_is_taken_by_it() -> None:
    trace = read("TIMESTAMP,ContextTokens,GeneratedTokens\n1970-01-01T01:00:02+01:00,1,1\n")
    assert trace.arrivals[0].at_s == 2


def test_our_form_takes_its_columns_in_any_order_and_empty_cells_as_unknown() -> None:
    trace = read(
        "team,output_tokens,prompt_tokens,at_s,promise_s,cached_tokens,output_cap,band\n"
        " b , 3,2,1.5,0.5,1,9,batch\n\nb,3,2,1,,,,\n",
        None,
    )
    assert not trace.dated
    assert trace.arrivals == [
        Arrival(at_s=1, team="b", prompt_tokens=2, output_tokens=3, output_cap=ANY_LENGTH),
        Arrival(
            at_s=1.5,
            team="b",
            prompt_tokens=2,
            output_tokens=3,
            promise_s=0.5,
            cached_tokens=1,
            output_cap=9,
            band="batch",
        ),
    ]


def test_the_example_in_the_documentation_is_a_trace() -> None:
    page = (Path(__file__).parents[4] / "docs" / "simulate.md").read_text()
    example = page[page.index("at_s,team,") :].split("\n\n")[0].replace("    ", "")
    assert [each.promise_s for each in read(example, None).arrivals] == [None, 2.5]


def test_dated_traces_keep_their_places_and_the_first_request_is_at_nothing() -> None:
    one, two = read(AZURE, "a"), read(AZURE.replace("18:15:5", "18:15:4"), "b")
    own = read("at_s,prompt_tokens,output_tokens\n2,1,1\n", "c")
    joined = join_traces([one, two, own])
    places = sorted((round(each.at_s, 2), each.team) for each in joined)
    assert places == [(0, "b"), (2, "c"), (5.69, "a"), (5.69, "b"), (10, "a")]
    assert [each.at_s for each in joined] == sorted(each.at_s for each in joined)
    assert joined[0].at_s == 0
    assert join_traces([own])[0].at_s == 0


HEAD = "at_s,prompt_tokens,output_tokens"


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("", "f.csv:1: at_s: the first line must name this column once"),
        (f"{HEAD}\n", "f.csv: it holds no request: give a file with at least one row"),
        (f"{HEAD},at_s\n1,2,3,4\n", "f.csv:1: at_s: the first line must name this column once"),
        (f"{HEAD},band,band\n1,2,3,4,5\n", "f.csv:1: a column is named twice: name each once"),
        (f"{HEAD},user\n1,2,3,4\n", "f.csv:1: 'user': there is no such column: name them from at_s,"),
        (f"{HEAD}\n1,2\n", "f.csv:2: it has 2 cells, the first line 3: give one for each column"),
        (f"{HEAD}\n1,2,3\n\n-1,2,3\n", "f.csv:4: at_s: '-1' is no time: give seconds from the start"),
        (f"{HEAD}\nnan,2,3\n", "f.csv:2: at_s: 'nan' is no time"),
        (f"{HEAD}\n1e99,2,3\n", "f.csv:2: at_s: '1e99' is no time"),
        (f"{HEAD}\n1,,3\n", "f.csv:2: prompt_tokens: '' is no count of tokens"),
        (f"{HEAD}\n1,2.5,3\n", "f.csv:2: prompt_tokens: '2.5' is no count of tokens"),
        (f"{HEAD}\n1,1_0,3\n", "f.csv:2: prompt_tokens: '1_0' is no count of tokens"),
        (f"{HEAD}\n1,٣,3\n", "f.csv:2: prompt_tokens: '\\u0663' is no count of tokens"),
        (f"{HEAD}\n1,2,99999999\n", "f.csv:2: output_tokens: '99999999' is no count of tokens"),
        (f"{HEAD},output_cap\n1,2,3,0\n", "f.csv:2: output_cap: '0' is no cap"),
        (f"{HEAD},promise_s\n1,2,3,0\n", "f.csv:2: promise_s: '0' is no promise"),
        (f"{HEAD},team\n1,2,3,A b\n", "f.csv:2: team: 'A b' is no name of a team"),
        (f"{HEAD},team\n1,2,3,\n", "f.csv:2: team: '' is no name of a team"),
        (f"{HEAD},band\n1,2,3,\x1b[2J\n", "f.csv:2: band: '\\x1b[2J' is no name of a band"),
        (f"{HEAD},cached_tokens\n1,2,3,4\n", "f.csv:2: cached_tokens: more than prompt_tokens"),
        (f'{HEAD}\n1,"2,3\n', "f.csv:2: unexpected end of data: save the file as plain CSV with commas"),
        ("TIMESTAMP,ContextTokens,GeneratedTokens\n16.11.2023,1,1\n", "f.csv:2: at_s: '16.11.2023' is no moment"),
    ],
)
def test_what_is_refused(text: str, fault: str) -> None:
    with pytest.raises(TraceFault) as caught:
        read(text)
    assert str(caught.value).startswith(fault)
    assert "\n" not in str(caught.value)


def test_whose_traffic_it_is_must_be_said_once() -> None:
    with pytest.raises(TraceFault, match=r"names no teams: say whose traffic it is with --team NAME=f\.csv"):
        read(AZURE, None)
    with pytest.raises(TraceFault, match=r"names its teams itself: give it with --trace f\.csv"):
        read(f"{HEAD},team\n1,2,3,a\n", "b", named=True)
    assert read(f"{HEAD},team\n1,2,3,a\n", "b").arrivals[0].team == "a"


def test_a_trace_has_an_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trace_file, "MAX_ROWS", 2)
    assert len(read(f"{HEAD}\n" + "1,2,3\n" * 2).arrivals) == 2
    with pytest.raises(TraceFault, match="longer than 2 requests: give a part of it"):
        read(f"{HEAD}\n" + "1,2,3\n" * 3)


ARRIVALS = st.builds(
    Arrival,
    at_s=st.floats(0, 1e8).map(lambda at_s: round(at_s, 3)),
    team=st.from_regex(r"[a-z0-9][a-z0-9_-]{0,62}", fullmatch=True),
    prompt_tokens=st.integers(10, 10**7),
    output_tokens=st.integers(0, 10**7),
    cached_tokens=st.integers(0, 10),
    output_cap=st.integers(1, 10**7),
    promise_s=st.none() | st.floats(0.001, 1e6).map(lambda promise_s: round(promise_s, 3)),
    band=st.sampled_from(["", "batch", "müde, aber da"]),
)


@given(st.lists(ARRIVALS, min_size=1, max_size=20))
def test_what_is_written_is_read(arrivals: list[Arrival]) -> None:
    columns = (*trace_file.REQUIRED, *trace_file.OPTIONAL)
    text = io.StringIO(newline="")
    writer = csv.writer(text)
    writer.writerow(columns)
    for each in arrivals:
        writer.writerow(["" if (cell := getattr(each, name)) is None else cell for name in columns])
    assert read(text.getvalue(), None).arrivals == sorted(arrivals, key=lambda each: each.at_s)


@given(st.text(max_size=300) | st.text(max_size=100).map(lambda rest: f"{HEAD}\n{rest}"))
def test_no_text_does_more_than_a_fault_of_one_line(text: str) -> None:
    try:
        trace = read(text)
    except TraceFault as caught:
        fault = str(caught)
    else:
        fault = ""
        assert all(each.at_s >= 0 and each.prompt_tokens >= 0 for each in trace.arrivals)
    assert fault.isprintable()
