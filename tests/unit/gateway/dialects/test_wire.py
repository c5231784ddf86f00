import json

from hypothesis import given
from hypothesis import strategies as st

from gateway.dialects.wire import json_answer, json_bytes, json_line, rfc3339, sse_event


@given(st.text())
def test_a_line_is_one_line_for_every_reader(text: str) -> None:
    line = json_line({"text": text})
    assert line.endswith(b"\n")
    assert line.decode().splitlines() == [line.decode()[:-1]]  # httpx cuts where str.splitlines does
    assert json.loads(line) == {"text": text}


@given(st.text())
def test_an_event_is_one_data_line(text: str) -> None:
    data, *rest = sse_event([text]).decode().splitlines()
    assert rest == [""]
    assert data.startswith("data: ")
    assert json.loads(data[6:]) == [text]


def test_text_stays_utf8() -> None:
    assert json_bytes("für 日本 \U0001f639") == '"für 日本 \U0001f639"'.encode()


def test_times() -> None:
    assert rfc3339(1_787_307_072_123_456_789) == "2026-08-21T10:11:12.123456789Z"
    assert rfc3339(0) == "1970-01-01T00:00:00.000000000Z"


def test_answers() -> None:
    answer = json_answer({"a": 1}, 418, (("X", "y"),))
    assert (answer.status, answer.body, answer.headers) == (418, b'{"a":1}', (("X", "y"),))
