"""Invariant: nothing a client sent, no key and no local variable reaches a log line, by whatever way."""

import asyncio
import io
import json
import logging
import sys
import threading
import warnings
from collections.abc import Iterator
from typing import Any

import pytest
import structlog

from gateway import logs
from gateway.logs import configure_logs
from policies.errors import NotAuthenticated

CANARY = "CANARY-5f1e"


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture(autouse=True)
def _restored() -> Iterator[None]:
    root, ours = logging.getLogger(), logging.getLogger("corral")
    kept = (root.handlers[:], root.level, ours.level, sys.excepthook, threading.excepthook, logging.raiseExceptions)
    kept_warnings = warnings.showwarning
    yield
    root.handlers[:], root.level, ours.level, sys.excepthook, threading.excepthook, logging.raiseExceptions = kept
    warnings.showwarning = kept_warnings
    structlog.reset_defaults()


@pytest.fixture
def stream() -> io.StringIO:
    stream = io.StringIO()
    configure_logs(stream, "info")
    return stream


def lines(stream: io.StringIO) -> list[dict[str, Any]]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def fail(body: str) -> None:
    key = f"corral_{body}"
    raise ValueError(f"cannot parse {body} {key}")


def fail_with_causes(body: str) -> None:
    try:
        fail(body)
    except ValueError as cause:
        error = OSError(28, f"no space for {body}")
        error.add_note(f"note about {body}")
        raise error from cause


def test_an_event_is_one_line_of_json(stream: io.StringIO) -> None:
    structlog.get_logger("corral.gateway").info(
        "started", port=8443, prompt_tokens=12, key_id="abc", ok=True, none=None
    )
    (line,) = lines(stream)
    assert line.pop("timestamp").endswith("Z")
    assert line == {
        "event": "started",
        "level": "info",
        "logger": "corral.gateway",
        "port": 8443,
        "prompt_tokens": 12,
        "key_id": "abc",
        "ok": True,
        "none": None,
    }


def test_levels_below_the_chosen_one_are_silent(stream: io.StringIO) -> None:
    structlog.get_logger().debug("x")
    logging.getLogger("aiohttp.server").info("x")
    logging.getLogger("corral.engine").debug("x")
    assert stream.getvalue() == ""


@pytest.mark.parametrize(
    "name",
    [
        "prompt",
        "Authorization",
        "x_api_key",
        "x-api-key",
        "apikey",
        "api_key_text",
        "body",
        "request_body",
        "raw-headers",
        "set_cookie",
        "messages",
        "system",
        "client_secret",
        "token",
        "key",
        "text",
    ],
)
def test_fields_named_like_a_secret_are_dropped(stream: io.StringIO, name: str) -> None:
    structlog.get_logger().info("x", **{name: CANARY, "inner": {name: CANARY, "list": [{name: CANARY}]}})
    assert CANARY not in stream.getvalue()


def test_values_become_short_plain_data(stream: io.StringIO) -> None:
    class Thing:
        def __repr__(self) -> str:
            return CANARY

    deep: Any = CANARY
    for _ in range(10):
        deep = [deep]
    structlog.get_logger().info(
        "x",
        raw=CANARY.encode(),
        thing=Thing(),
        deep=deep,
        long="y" * 5000,
        used="with corral_abc_SECRET and CORRAL_ABC_SECRET here",
        screen="a\x1b[2Jb",
        many=list(range(100)),
    )
    (line,) = lines(stream)
    assert CANARY not in stream.getvalue()
    assert "SECRET" not in stream.getvalue()
    assert (line["raw"], line["thing"], line["screen"]) == ("<11 bytes>", "<Thing>", "a?[2Jb")
    assert len(line["long"]) == logs.MAX_TEXT
    assert len(line["many"]) == logs.MAX_ITEMS


@pytest.mark.parametrize("terminal", [False, True])
def test_of_an_exception_only_types_and_places(terminal: bool) -> None:
    stream: io.StringIO = Terminal() if terminal else io.StringIO()
    configure_logs(stream, "info")
    try:
        fail_with_causes(CANARY)
    except OSError as error:
        structlog.get_logger().error("bug", exc_info=error)
        structlog.get_logger().exception("bug")
        structlog.get_logger().error("bug", exc_info=sys.exc_info(), stack_info=True)
    text = stream.getvalue()
    assert CANARY not in text
    assert "builtins.ValueError" in text
    assert "test_logs.py" in text
    assert "fail_with_causes" in text
    if not terminal:
        for line in lines(stream):
            outer, inner = line["exceptions"]
            assert (outer["type"], outer["errno"]) == ("builtins.OSError", 28)
            assert outer["frames"][-1].startswith("tests/unit/gateway/test_logs.py:")
            assert inner["frames"][-1].endswith(":fail")


def test_a_foreign_exception_shows_our_frames_and_where_it_arose(stream: io.StringIO) -> None:
    try:
        json.loads(CANARY)
    except ValueError as error:
        structlog.get_logger().error("bug", exc_info=error)
    frames = lines(stream)[0]["exceptions"][0]["frames"]
    assert len(frames) == 2
    assert frames[0].startswith("tests/unit/gateway/test_logs.py:")
    assert frames[1].startswith("decoder.py:")
    assert CANARY not in stream.getvalue()


def test_groups_cycles_and_our_reasons(stream: io.StringIO) -> None:
    one, two = ValueError(CANARY), NotAuthenticated("expired", presented=True)
    one.__context__, two.__context__ = two, one
    structlog.get_logger().error("bug", exc_info=ExceptionGroup(CANARY, [one, two]))
    causes = lines(stream)[0]["exceptions"]
    assert [cause["type"] for cause in causes] == [
        "builtins.ExceptionGroup",
        "builtins.ValueError",
        "policies.errors.NotAuthenticated",
    ]
    assert causes[2]["reason"] == "expired"
    assert CANARY not in stream.getvalue()


@pytest.mark.parametrize("nothing", [None, False, (None, None, None), True])
def test_no_exception_no_field(stream: io.StringIO, nothing: object) -> None:
    structlog.get_logger().error("x", exc_info=nothing)
    assert "exceptions" not in lines(stream)[0]


def test_foreign_loggers_tell_their_template_alone(stream: io.StringIO) -> None:
    logger = logging.getLogger("aiohttp.server")
    logger.error("Error handling request from %s", CANARY, extra={"thing": CANARY})
    logger.warning("first line\nrepr of %r", CANARY)
    logger.log(35, ValueError(CANARY))
    try:
        fail(CANARY)
    except ValueError:
        logger.exception("Unhandled %s", CANARY)
    told = lines(stream)
    assert [line["event"] for line in told] == [
        "Error handling request from %s",
        "first line",
        "<ValueError>",
        "Unhandled %s",
    ]
    assert {line["logger"] for line in told} == {"aiohttp.server"}
    assert [line["level"] for line in told] == ["error", "warning", "error", "error"]
    assert CANARY not in stream.getvalue()


def test_our_own_stdlib_loggers_are_told_whole(stream: io.StringIO) -> None:
    logging.getLogger("corral.engine").info("connected to %s", "w0", extra={"socket": "s", "prompt": CANARY})
    (line,) = lines(stream)
    assert (line["event"], line["socket"], line["logger"]) == ("connected to w0", "s", "corral.engine")
    assert CANARY not in stream.getvalue()


async def test_a_task_nobody_awaited(stream: io.StringIO) -> None:
    async def run() -> None:
        fail(CANARY)

    loop = asyncio.get_running_loop()
    task = loop.create_task(run())
    await asyncio.wait([task])
    loop.call_exception_handler(
        {"message": "Task exception was never retrieved", "exception": task.exception(), "task": task}
    )
    assert "Task exception was never retrieved" in stream.getvalue()
    assert CANARY not in stream.getvalue()


def test_warnings_go_the_same_way(stream: io.StringIO) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        configure_logs(stream, "info")
        warnings.warn(CANARY, stacklevel=1)
    (line,) = lines(stream)
    assert (line["logger"], line["event"]) == ("py.warnings", "UserWarning")
    assert line["at"].startswith("test_logs.py:")
    assert CANARY not in stream.getvalue()


def test_what_nobody_caught(stream: io.StringIO) -> None:
    thread = threading.Thread(target=fail, args=(CANARY,))
    thread.start()
    thread.join(10)
    error = ValueError(CANARY)
    sys.excepthook(ValueError, error, None)
    sys.excepthook(KeyboardInterrupt, KeyboardInterrupt(), None)
    assert [line["event"] for line in lines(stream)] == ["uncaught", "uncaught"]
    assert CANARY not in stream.getvalue()


def test_a_stream_that_is_gone_stops_nothing(stream: io.StringIO) -> None:
    stream.close()
    structlog.get_logger().error("x")
    logging.getLogger("aiohttp").error("x")


def test_an_unknown_level_is_a_bug() -> None:
    with pytest.raises(KeyError):
        configure_logs(io.StringIO(), "loud")
