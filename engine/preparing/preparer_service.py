"""The preparer's one thread: takes questions from any number of gateways and answers them in turn."""

import secrets
import selectors
import socket
from array import array
from collections.abc import Callable
from datetime import datetime
from typing import Any

from engine.answers.answer_form import PLAIN
from engine.errors import ContextTooLong, PrepareFailed
from engine.frames import (
    PROTOCOL_VERSION,
    Describe,
    Description,
    Failed,
    Frame,
    FrameError,
    FrameReader,
    Hello,
    Prepare,
    PreparerHello,
    PreparerRequest,
    Ready,
    encode,
)
from engine.preparing.grammar import GrammarFault, grammar_for
from engine.preparing.prompt import PromptMaker, block_hashes
from engine.preparing.special_text import new_mark
from engine.preparing.time_limit import TimeLimitReached, time_limit

MAX_CONNECTIONS = 64
SEND_TIMEOUT_S = 5.0  # a gateway that does not read is cut off: it would hold up all others
_RECEIVE_BYTES = 256 * 1024


class Preparer:
    """Answers one question at a time, within `timeout_s` seconds."""

    def __init__(
        self,
        maker: PromptMaker,
        *,
        timeout_s: float,
        translate: Callable[[str], str],
        compiles: Callable[[str], bool],
        info: dict[str, Any],
        template: str,
    ) -> None:
        self._maker = maker
        self._timeout_s = timeout_s
        self._translate = translate
        self._compiles = compiles
        self._info = info
        self._template = template

    def answer(self, asked: Prepare | Describe) -> Frame:
        """The answer to `asked`; a Failed rather than an error for all that a caller can cause."""
        if isinstance(asked, Describe):
            return Description(id=asked.id, info=self._info, template=self._template)
        try:
            with time_limit(self._timeout_s):
                return self._ready(asked)
        except TimeLimitReached:
            return Failed(id=asked.id, kind="timeout", reason="prepare_timeout")
        except (PrepareFailed, GrammarFault) as fault:
            text = fault.text if isinstance(fault, PrepareFailed) else str(fault)
            reason = fault.reason if isinstance(fault, PrepareFailed) else "format_refused"
            return Failed(id=asked.id, kind="input", reason=reason, text=text)
        except ContextTooLong as fault:
            return Failed(
                id=asked.id,
                kind="context",
                reason=fault.reason,
                prompt_tokens=fault.prompt_tokens,
                limit_tokens=fault.limit_tokens,
            )
        except (MemoryError, RecursionError):
            text = "the input needs more memory than a request may take"
            return Failed(id=asked.id, kind="input", reason="prepare_memory", text=text)

    def _ready(self, asked: Prepare) -> Ready:
        grammar = self._grammar(asked)
        today = datetime.now().astimezone()
        pictures = self._maker.pictures(asked, _draw_mark)
        sequences = self._maker.sequences(asked, mark=_draw_mark(), today=today, pictures=pictures)
        prompt_tokens = sum(map(len, sequences))
        is_embedding = asked.kind == "embedding"
        return Ready(
            id=asked.id,
            token_ids=tuple(array("i", ids).tobytes() for ids in sequences),
            prompt_tokens=prompt_tokens,
            block_hashes=() if is_embedding else block_hashes(sequences[0], asked.cache_scope),
            grammar=grammar,
            form=PLAIN if grammar else self._maker.answer_form(asked, sequences[0]),
            max_output_tokens=0 if is_embedding else self._maker.output_tokens(asked, prompt_tokens),
            images=() if is_embedding else pictures.kept(sequences[0]),
        )

    def _grammar(self, asked: Prepare) -> str:
        grammar = grammar_for(json_format=asked.json_format, schema=asked.schema, translate=self._translate)
        if grammar and not self._compiles(grammar):
            raise GrammarFault("format: this JSON schema does not make a usable grammar")
        return grammar


def _draw_mark() -> str:
    return new_mark(secrets.randbits(64))


class _Connection:
    """One gateway: its stream, what it sent so far, and whether it has greeted."""

    def __init__(self, stream: socket.socket) -> None:
        stream.settimeout(SEND_TIMEOUT_S)
        self.stream = stream
        self.reader = FrameReader(PreparerRequest)
        self.is_greeted = False


class PreparerService:
    """Serves on `listener` until a byte arrives on `stop`."""

    def __init__(
        self,
        listener: socket.socket,
        answer: Callable[[Prepare | Describe], Frame],
        hello: PreparerHello,
        stop: socket.socket,
    ) -> None:
        self._listener = listener
        self._answer = answer
        self._hello = hello
        self._stop = stop
        self._selector = selectors.DefaultSelector()

    def run(self) -> None:
        """Serve; returns after the stop."""
        self._listener.setblocking(False)
        self._selector.register(self._listener, selectors.EVENT_READ)
        self._selector.register(self._stop, selectors.EVENT_READ)
        while True:
            for key, _events in self._selector.select():
                if key.fileobj is self._stop:
                    return self._close()
                if key.fileobj is self._listener:
                    self._accept()
                else:
                    self._read(key.data)

    def _accept(self) -> None:
        try:
            stream, _address = self._listener.accept()
        except OSError:  # the other side left before it was accepted
            return
        if len(self._selector.get_map()) >= MAX_CONNECTIONS + 2:
            stream.close()
            return
        self._selector.register(stream, selectors.EVENT_READ, _Connection(stream))

    def _read(self, connection: _Connection) -> None:
        """Take what came and answer each question; any fault of the connection ends it."""
        try:
            data = connection.stream.recv(_RECEIVE_BYTES)
            for frame in connection.reader.feed(data):
                self._handle(connection, frame)
            if data:
                return
        except (OSError, FrameError):
            pass
        self._selector.unregister(connection.stream)
        connection.stream.close()

    def _handle(self, connection: _Connection, frame: Hello | Prepare | Describe) -> None:
        if not connection.is_greeted:
            if not isinstance(frame, Hello) or frame.version != PROTOCOL_VERSION:
                raise FrameError("the first frame is not a Hello of this version")
            connection.is_greeted = True
            connection.stream.sendall(encode(self._hello))
        elif isinstance(frame, Hello):
            raise FrameError("a second Hello")
        else:
            connection.stream.sendall(encode(self._answer(frame)))

    def _close(self) -> None:
        for key in list(self._selector.get_map().values()):
            if isinstance(key.data, _Connection):
                key.data.stream.close()
        self._selector.close()
