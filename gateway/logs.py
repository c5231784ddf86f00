"""Structured logs on stderr: one JSON line an event, or plain columns on a terminal.

A log line holds what we put there by name, and never what a client sent:
 (1) No local variables, no source lines: of an exception only its type, its causes' types and the places
     in the code. Its message is left out too, since a foreign library's message may quote the client's
     bytes; of our own refusals the private reason is kept, which is a stable code.
 (2) A field whose name says prompt, body, header, key or the like is dropped, whoever put it there.
 (3) Values are short plain data; of bytes only the length, of other objects only the type.
 (4) Foreign libraries (aiohttp, asyncio, warnings) log through the same path: the message's template
     without its arguments, and the place in the code, from level WARNING on.
A log line that cannot be written is dropped: the audit log is what must not be lost, and it is elsewhere.
"""

import contextlib
import logging
import re
import sys
import threading
import warnings
from collections.abc import Callable, MutableMapping
from pathlib import Path
from types import TracebackType
from typing import Any, TextIO

import structlog
from structlog.typing import EventDict, Processor

from engine.errors import EngineError
from policies.credentials.api_key import mask_api_keys
from policies.errors import Refused

MAX_TEXT = 1024
MAX_ITEMS = 32
MAX_FRAMES = 24
MAX_CAUSES = 8
MAX_DEPTH = 4
SECRET_WORDS = frozenset(
    {
        "authorization", "body", "content", "cookie", "cookies", "credential", "credentials", "header", "headers",
        "images", "jwt", "messages", "password", "pepper", "prompt", "query", "secret", "system",
    }
)  # fmt: skip
"""Words of a field's name that make its value a client's or a secret; numbers are let through (`prompt_tokens`)."""
SECRET_NAMES = frozenset({"data", "key", "text", "token", "tokens"})
"""Names too common as parts of harmless ones (`key_id`, `output_tokens`) to be banned as words."""
SECRET_PARTS = ("api_key", "apikey", "api-key")
RECORD_FIELDS = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "event", "level", "timestamp"}
"""What every stdlib record has, or our lines have already; anything else was given as `extra`."""
OUR_LOGGERS = "corral"
OUR_CODE = Path(__file__).resolve().parents[1]
LEVELS = {"debug": logging.DEBUG, "info": logging.INFO, "warning": logging.WARNING, "error": logging.ERROR}


def configure_logs(stream: TextIO, level: str) -> None:
    """Send every log of this process to `stream`, from `level` (debug, info, warning, error) on.

    Takes over stdlib logging, warnings, and exceptions that nobody caught, also in threads.
    """
    number = LEVELS[level]
    render: Processor = structlog.processors.JSONRenderer(ensure_ascii=True)
    if stream.isatty():
        render = structlog.dev.ConsoleRenderer(exception_formatter=structlog.dev.plain_traceback)
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            _add_name,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            describe_exception,
            keep_plain,
            render,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(number),
        logger_factory=lambda *names: _Lines(stream, *names[:1]),
        cache_logger_on_first_use=False,
    )
    _take_over_stdlib(number)
    sys.excepthook = _log_uncaught
    threading.excepthook = lambda hook: _log_uncaught(hook.exc_type, hook.exc_value, hook.exc_traceback)


def describe_exception(_: Any, __: str, event: EventDict) -> EventDict:
    """Replace `exc_info` by types and places; nothing of the exception's own text."""
    found = event.pop("exc_info", None)
    event.pop("stack_info", None)
    error = _exception_in(found)
    if error is not None:
        event["exceptions"] = _causes(error)
    return event


def keep_plain(_: Any, __: str, event: EventDict) -> MutableMapping[str, Any]:
    """Drop what may not be logged by its name, and cut every value to short plain data."""
    described = event.pop("exceptions", None)
    kept = {name: _plain(value, 0) for name, value in event.items() if _may_log(name, value)}
    if described is not None:
        kept["exceptions"] = described
    return kept


def _may_log(name: str, value: Any) -> bool:
    if isinstance(value, int | float):
        return True
    lower = name.lower()
    return not (
        lower in SECRET_NAMES
        or SECRET_WORDS.intersection(re.split(r"[^a-z0-9]+", lower))
        or any(part in lower for part in SECRET_PARTS)
    )


def _plain(value: Any, depth: int) -> Any:
    """A value as short plain data."""
    if value is None or isinstance(value, bool | int | float):
        return value
    if isinstance(value, str):
        masked = mask_api_keys(value[: 4 * MAX_TEXT])
        shown = "".join(sign if sign.isprintable() else "?" for sign in masked)
        return shown if len(shown) <= MAX_TEXT else shown[: MAX_TEXT - 3] + "..."
    if isinstance(value, bytes | bytearray | memoryview):
        return f"<{len(value)} bytes>"
    if depth < MAX_DEPTH and isinstance(value, dict):
        items = [(str(name)[:MAX_TEXT], inner) for name, inner in list(value.items())[:MAX_ITEMS]]
        return {name: _plain(inner, depth + 1) for name, inner in items if _may_log(name, inner)}
    if depth < MAX_DEPTH and isinstance(value, list | tuple | set | frozenset):
        return [_plain(inner, depth + 1) for inner in list(value)[:MAX_ITEMS]]
    return f"<{type(value).__name__}>"


def _exception_in(found: Any) -> BaseException | None:
    """The exception that `exc_info` means: one, True for the one being handled, or a triple."""
    if isinstance(found, BaseException):
        return found
    if isinstance(found, tuple):
        return found[1] if len(found) == 3 and isinstance(found[1], BaseException) else None
    return sys.exc_info()[1] if found else None


def _causes(error: BaseException | None) -> list[dict[str, Any]]:
    """The exception, what caused it and the members of groups, outermost first."""
    described: list[dict[str, Any]] = []
    waiting, seen = [error], set[int]()
    while waiting and len(described) < MAX_CAUSES:
        one = waiting.pop(0)
        if one is None or id(one) in seen:
            continue
        seen.add(id(one))
        described.append(_describe(one))
        if isinstance(one, BaseExceptionGroup):
            waiting += one.exceptions
        waiting.append(one.__cause__ or (None if one.__suppress_context__ else one.__context__))
    return described


def _describe(error: BaseException) -> dict[str, Any]:
    kind = type(error)
    described: dict[str, Any] = {"type": f"{kind.__module__}.{kind.__qualname__}", "frames": _frames(error)}
    if isinstance(error, Refused | EngineError):
        described["reason"] = str(error.reason)[:MAX_TEXT]
    if isinstance(error, OSError) and error.errno is not None:
        described["errno"] = error.errno
    return described


def _frames(error: BaseException) -> list[str]:
    """`file:line:function` of our own code, innermost last, and the innermost place of all whoever owns it."""
    ours: list[str] = []
    last = ""
    step = error.__traceback__
    while step is not None:
        code = step.tb_frame.f_code
        path = Path(code.co_filename)
        is_ours = path.is_relative_to(OUR_CODE) and "site-packages" not in path.parts
        name = str(path.relative_to(OUR_CODE)) if is_ours else path.name
        last = f"{name}:{step.tb_lineno}:{code.co_name}"
        if is_ours:
            ours.append(last)
        step = step.tb_next
    if last and (not ours or ours[-1] != last):
        ours.append(last)
    return ours[-MAX_FRAMES:]


class _Lines:
    """Where rendered lines go. A stream that is gone or full must not stop a request."""

    def __init__(self, stream: TextIO, name: str = "") -> None:
        self._stream = stream
        self.name = name

    def msg(self, text: str) -> None:
        with contextlib.suppress(OSError, ValueError):
            self._stream.write(text + "\n")
            self._stream.flush()

    debug = info = warning = error = critical = exception = log = msg


def _add_name(lines: Any, _: str, event: EventDict) -> EventDict:
    """The name that `get_logger` was given."""
    if lines.name:
        event.setdefault("logger", lines.name)
    return event


class _Relay(logging.Handler):
    """Foreign records, as one of our events: the template's first line, never its arguments.

    Our own code's records (the engine's, which knows no structlog) are told as they were written.
    """

    def emit(self, record: logging.LogRecord) -> None:
        text = record.msg if isinstance(record.msg, str) else f"<{type(record.msg).__name__}>"
        extra: dict[str, Any] = {}
        if record.name.startswith(f"{OUR_LOGGERS}."):
            text = record.getMessage()
            extra = {name: value for name, value in vars(record).items() if name not in RECORD_FIELDS}
        log = structlog.get_logger(record.name)
        tell: Callable[..., None] = getattr(log, record.levelname.lower(), log.error)
        extra |= {"at": f"{record.module}:{record.lineno}", "exc_info": record.exc_info}
        tell(text.partition("\n")[0], **extra)


def _take_over_stdlib(level: int) -> None:
    warnings.showwarning = lambda message, category, filename, lineno, file=None, line=None: (  # noqa: ARG005 (its shape)
        _tell_warning(category, filename, lineno)
    )
    logging.raiseExceptions = False
    root = logging.getLogger()
    root.handlers[:] = [_Relay()]
    root.setLevel(max(level, logging.WARNING))
    logging.getLogger(OUR_LOGGERS).setLevel(level)


def _tell_warning(category: type[Warning], filename: str, lineno: int) -> None:
    """A warning's class and place; its text may quote what it warns of."""
    structlog.get_logger("py.warnings").warning(category.__name__, at=f"{Path(filename).name}:{lineno}")


def _log_uncaught(kind: type[BaseException], error: BaseException | None, traceback: TracebackType | None) -> None:
    """The last word of a process or thread: which exception ended it, and where."""
    if error is None or issubclass(kind, KeyboardInterrupt | SystemExit):
        return
    structlog.get_logger().error("uncaught", exc_info=error.with_traceback(traceback))
