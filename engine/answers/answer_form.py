"""In which form a model reasons and calls tools, read from its chat template.

Families differ in the markers that they were trained on, and the template is where a file shows them:

 reasoning  `<think>` (Qwen3, DeepSeek-R1), `[THINK]` (Mistral); a template may write the opening one itself
 tools      `hermes`    Qwen, Hermes      <tool_call>{"name": …, "arguments": …}</tool_call>
            `mistral`   Mistral           [TOOL_CALLS][{"name": …, "arguments": …}] or [TOOL_CALLS]name[ARGS]{…}
            `deepseek`  DeepSeek          its own marker tokens, in wide bars
            `llama`     Llama 3.1         {"name": …, "parameters": …} as the whole answer

A template that does not show the tools it is given has no form of tools, whatever markers stand in it, and one with
`<function=` (Qwen3-Coder's XML) has a form that is not read here: such a model does not offer tools.
"""

import re
from typing import Literal

from msgspec import Struct

ToolStyle = Literal["", "hermes", "mistral", "deepseek", "llama"]

_BAR = "\N{FULLWIDTH VERTICAL LINE}"
CALLS_BEGIN, CALLS_END = f"<{_BAR}tool▁calls▁begin{_BAR}>", f"<{_BAR}tool▁calls▁end{_BAR}>"
CALL_BEGIN, CALL_END = f"<{_BAR}tool▁call▁begin{_BAR}>", f"<{_BAR}tool▁call▁end{_BAR}>"
CALL_PARTS = f"<{_BAR}tool▁sep{_BAR}>"
"""DeepSeek's markers."""

_THOUGHTS = (("<think>", "</think>"), ("[THINK]", "[/THINK]"))
_TOOL_MARKERS: tuple[tuple[ToolStyle, str], ...] = (
    ("deepseek", CALLS_BEGIN),
    ("mistral", "[TOOL_CALLS]"),
    ("hermes", "<tool_call>"),
    ("llama", "<|python_tag|>"),
    ("llama", "ipython"),
)
_SHOWS_TOOLS = re.compile(r"\btools\b")

SPELLED = frozenset(
    {
        *(marker for pair in _THOUGHTS for marker in pair),
        *("[TOOL_CALLS]", "[ARGS]", "[CALL_ID]", "<tool_call>", "</tool_call>", "<|python_tag|>"),
        *(CALLS_BEGIN, CALLS_END, CALL_BEGIN, CALL_END, CALL_PARTS),
    }
)
"""Control tokens that a worker writes out in an answer: a form is read by them, and they open no turn."""


class AnswerForm(Struct, frozen=True, kw_only=True):
    """How to read one answer. Empty markers: it has no reasoning; empty `tools`: nothing in it is a call.

    `begins_thinking`: the prompt ended with the opening marker, so that the answer goes on behind it.
    """

    think_open: str = ""
    think_close: str = ""
    begins_thinking: bool = False
    tools: ToolStyle = ""


PLAIN = AnswerForm()
"""Text, and nothing else: a model without any form, or an answer that is held to a grammar."""


def form_of(template: str) -> AnswerForm:
    """The form of a model with this chat template (the source)."""
    opens, closes = next((pair for pair in _THOUGHTS if pair[1] in template), ("", ""))
    return AnswerForm(think_open=opens, think_close=closes, tools=_tools_of(template))


def _tools_of(template: str) -> ToolStyle:
    if not _SHOWS_TOOLS.search(template) or "<function=" in template:
        return ""
    return next((style for style, marker in _TOOL_MARKERS if marker in template), "")
