"""What the log keeps of prompts and answers, by the team's content policy.

Rules:
 (1) `none` keeps no trace. `hmac`, the default, keeps two digests that find a text which somebody brings, and tell
     nothing to anybody else. `redacted` and `full` keep the text itself, enciphered under a key of its own for each
     request, `redacted` without what `policies.auditing.redaction` masks and without pictures.
 (2) `req_digest` is of what the caller said last: the newest message of a user (of any role where there is none), a
     completion's prompt, an embedding's inputs. `context_digest` is of all that came with it, where there was more,
     so that two prompts that differ anywhere never look the same.
 (3) `resp_digest` is of the answer's text, without reasoning and tool calls, as far as it was written.
 (4) Digests are of words: blanks and line ends count as one blank, letters are composed (NFC), so that a text copied
     from a window or a mail has the digest of the one that was sent. Letter case counts.
 (5) A word longer than `MAX_WORD` characters is digested in pieces of that length, so that memory is bounded.
"""

import hashlib
import hmac
import unicodedata
from typing import Any

import msgspec
from msgspec import Struct

from policies.auditing.redaction import redacted
from policies.call import Call, Event, Reasoning, Text, ToolCall, ToolCalled

PROMPT_FIELDS = ("kind", "prompt", "system", "suffix", "context", "raw", "images", "inputs", "tools", "format")
MAX_WORD = 4096
MAX_ANSWER_CHARS = 4 * 1024 * 1024
"""What is collected of one answer; hundreds of times the longest one that a team's cap allows by default."""


class WordDigest:
    """HMAC-SHA-256 over the words of a text that comes in pieces, cut anywhere (rules 4 and 5)."""

    def __init__(self, key: bytes) -> None:
        self._mac = hmac.new(key, digestmod=hashlib.sha256)
        self._word = ""
        self._words = 0

    def add(self, piece: str) -> None:
        """The next piece of the text."""
        text = self._word + piece
        words = text.split()
        open_ended = bool(text) and not text[-1].isspace()
        self._word = words.pop() if open_ended and words else ""
        for word in words:
            self._take(word)
        while len(self._word) > MAX_WORD:
            self._take(self._word[:MAX_WORD])
            self._word = self._word[MAX_WORD:]

    def hex(self) -> str:
        """The digest of all that was added; empty for a text without a word."""
        if self._word:
            self._take(self._word)
            self._word = ""
        return self._mac.hexdigest() if self._words else ""

    def _take(self, word: str) -> None:
        for start in range(0, len(word), MAX_WORD):
            self._mac.update(b" " if self._words else b"")
            composed = unicodedata.normalize("NFC", word[start : start + MAX_WORD])
            self._mac.update(composed.encode("utf-8", "surrogatepass"))
            self._words += 1


def text_digest(key: bytes, text: str) -> str:
    """The digest of a whole text."""
    digest = WordDigest(key)
    digest.add(text)
    return digest.hex()


def newest_text(call: Call) -> str:
    """What the caller said last (rule 2)."""
    if call.kind == "embedding":
        return "\n".join(call.inputs)
    if call.kind == "completion":
        return f"{call.prompt}\n{call.suffix}" if call.suffix else call.prompt
    spoken = [message.content for message in call.messages if message.role == "user"]
    return spoken[-1] if spoken else call.messages[-1].content if call.messages else ""


def context_digest(key: bytes, call: Call) -> str:
    """The digest of the whole prompt where there is more of it than `newest_text`, else empty."""
    parts = _parts(call, keep_pictures=False)
    alone = call.kind != "chat" or len(call.messages) <= 1
    bare = alone and not (call.images or call.tools or call.system or call.context)
    if bare and not (call.messages and (call.messages[0].images or call.messages[0].tool_calls)):
        return ""
    return hmac.new(key, msgspec.json.encode(parts), hashlib.sha256).hexdigest()


class Collected(Struct):
    """An answer as far as it was written; beyond `MAX_ANSWER_CHARS` nothing more is taken and `cut` says so."""

    text: list[str] = []
    reasoning: list[str] = []
    tool_calls: list[ToolCall] = []
    chars: int = 0
    cut: bool = False

    def take(self, event: Event) -> None:
        """One event of the engine."""
        match event:
            case Text():
                self._add(self.text, event.text)
            case Reasoning():
                self._add(self.reasoning, event.text)
            case ToolCalled():
                self.chars += len(msgspec.json.encode(event.call))
                if self._has_room():
                    self.tool_calls.append(event.call)

    def _add(self, pieces: list[str], text: str) -> None:
        self.chars += len(text)
        if self._has_room():
            pieces.append(text)

    def _has_room(self) -> bool:
        self.cut = self.cut or self.chars > MAX_ANSWER_CHARS
        return not self.cut


def document(call: Call, answer: Collected, *, redact: bool) -> bytes:
    """Prompt and answer as JSON, masked if `redact`; pictures in base64 under `full`, else their digests."""
    kept: Any = {
        "v": 1,
        "prompt": _parts(call, keep_pictures=not redact),
        "answer": {
            "text": "".join(answer.text),
            "reasoning": "".join(answer.reasoning),
            "tool_calls": msgspec.to_builtins(answer.tool_calls),
            "cut": answer.cut,
        },
    }
    return msgspec.json.encode(_masked(kept) if redact else kept)


def _parts(call: Call, *, keep_pictures: bool) -> Any:
    """What the caller said, as plain data without what was not said."""
    messages = [_present(each, keep_pictures=keep_pictures) for each in call.messages]
    said = _present(call, keep_pictures=keep_pictures)
    return {name: said[name] for name in PROMPT_FIELDS if name in said} | ({"messages": messages} if messages else {})


def _present(part: Struct, *, keep_pictures: bool) -> dict[str, Any]:
    found = {name: getattr(part, name) for name in part.__struct_fields__}
    plain: dict[str, Any] = msgspec.to_builtins({name: value for name, value in found.items() if name != "images"})
    said = {name: value for name, value in plain.items() if value not in (None, "", [], (), {}, False)}
    pictures = found.get("images") or ()
    return said | ({"images": [_picture(each, keep=keep_pictures) for each in pictures]} if pictures else {})


def _picture(data: bytes, *, keep: bool) -> dict[str, Any]:
    told = {"sha256": hashlib.sha256(data).hexdigest(), "bytes": len(data)}
    return told | ({"base64": msgspec.to_builtins(data)} if keep else {})


def _masked(part: Any) -> Any:
    if isinstance(part, str):
        return redacted(part)
    if isinstance(part, dict):
        return {redacted(name): _masked(value) for name, value in part.items()}
    return [_masked(each) for each in part] if isinstance(part, list | tuple) else part
