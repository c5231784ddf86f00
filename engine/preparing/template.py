"""Renders a model's own chat template, which is a program from a stranger's file.

It runs in Jinja's immutable sandbox without loaders, may loop and grow only so far, and is told nothing
but the conversation. Time and memory are bounded by the process that calls this.
"""

import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, NoReturn

from jinja2 import TemplateError
from jinja2.exceptions import SecurityError
from jinja2.runtime import Context
from jinja2.sandbox import ImmutableSandboxedEnvironment

MAX_SOURCE_LENGTH = 1024 * 1024
MAX_OUTPUT_LENGTH = 32 * 1024 * 1024
_MAX_OPERAND = 1_000_000


class TemplateFault(Exception):
    """The template refused or failed. `reason` is private, `text` one public sentence."""

    def __init__(self, reason: str, text: str) -> None:
        super().__init__(text)
        self.reason = reason
        self.text = text


class _Refused(TemplateError):
    """What `raise_exception` of a template raises: its author's own word that this conversation is not allowed."""


class _Sandbox(ImmutableSandboxedEnvironment):
    """Also bounds the two operators that make large things from small ones."""

    intercepted_binops = frozenset(("*", "**"))

    def call_binop(self, context: Context, operator: str, left: Any, right: Any) -> Any:
        sizes = [len(side) if isinstance(side, str | list | tuple) else side for side in (left, right)]
        if operator == "**" or any(isinstance(size, int) and abs(size) > _MAX_OPERAND for size in sizes):
            raise SecurityError("a number in the template is too large")
        return super().call_binop(context, operator, left, right)


class ChatTemplate:
    """One compiled template. Raises TemplateFault when `source` is not one."""

    def __init__(self, source: str, *, bos_text: str, eos_text: str) -> None:
        if len(source) > MAX_SOURCE_LENGTH:
            raise TemplateFault("template_source_too_long", "the model's chat template is too long")
        sandbox = _Sandbox(trim_blocks=True, lstrip_blocks=True, extensions=["jinja2.ext.loopcontrols"])
        sandbox.globals["raise_exception"] = _raise_exception
        sandbox.filters["tojson"] = _to_json
        try:
            self._template = sandbox.from_string(source)
        except (TemplateError, RecursionError, SyntaxError):
            raise TemplateFault("template_broken", "the model's chat template cannot be read") from None
        self._constants = {"bos_token": bos_text, "eos_token": eos_text}

    def render(
        self,
        messages: Sequence[Mapping[str, Any]],
        *,
        tools: Sequence[Mapping[str, Any]],
        today: datetime,
        think: bool | str | None = None,
    ) -> str:
        """The prompt for `messages`, up to where the answer begins. `today` is all it may know of the time."""
        values = {
            **self._constants,
            "messages": messages,
            "tools": tools or None,
            "add_generation_prompt": True,
            "strftime_now": today.strftime,
        }
        if think is not None:
            values["enable_thinking"] = values["thinking"] = bool(think)  # Qwen's name, and DeepSeek's
        try:
            return self._join(values)
        except _Refused as fault:
            raise TemplateFault("template_refused", f"the model's chat template refuses this: {fault}") from None
        except (TemplateError, ArithmeticError, LookupError, TypeError, ValueError, AttributeError, RuntimeError):
            raise TemplateFault("template_failed", "the model's chat template cannot show these messages") from None

    def _join(self, values: dict[str, Any]) -> str:
        parts, length = [], 0
        for part in self._template.generate(values):
            length += len(part)
            if length > MAX_OUTPUT_LENGTH:
                raise TemplateFault("template_output_too_long", "the model's chat template writes too much")
            parts.append(part)
        return "".join(parts)


def _raise_exception(message: object) -> NoReturn:
    line = "".join(character if character.isprintable() else " " for character in str(message)[:200])
    raise _Refused(line)


def _to_json(value: Any, indent: int | None = None) -> str:
    """JSON as templates expect it: readable, characters as they are, nothing escaped for HTML."""
    return json.dumps(value, ensure_ascii=False, indent=indent)
