import asyncio
import os

from structlog.testing import capture_logs

from gateway.supervision.child_output import LINE_BYTES, LineCutter, Relay


def test_lines_are_cut_over_chunks() -> None:
    cutter = LineCutter()
    assert cutter.feed(b"load") == []
    assert cutter.feed(b"ed\nsec") == ["loaded"]
    assert cutter.last() == "sec"


def test_control_characters_and_foreign_bytes_forge_nothing() -> None:
    assert LineCutter().feed(b'\x1b[2J{"event"\r: "x"}\x00\xff\n\n \n') == ['[2J{"event": "x"}\ufffd']


def test_a_line_without_end_is_bounded() -> None:
    cutter = LineCutter()
    assert cutter.feed(b"x" * (LINE_BYTES + 1)) == ["x" * LINE_BYTES]
    assert cutter.feed(b"y\n") == ["y"]


async def test_what_a_child_writes_is_logged_under_its_name() -> None:
    with capture_logs() as logs:
        relay = Relay("worker-0")
        os.write(relay.write_fd, b"one\ntwo")
        relay.close_write_end()
        async with asyncio.timeout(30):
            while len(logs) < 2:  # noqa: ASYNC110  # rounds of the loop, no time
                await asyncio.sleep(0)
    assert [(entry["process"], entry["line"]) for entry in logs] == [("worker-0", "one"), ("worker-0", "two")]
