"""The model families that are served, each in the shortest template that has its markers, and what it says in tests."""

from engine.answers.answer_form import CALL_BEGIN, CALL_END, CALL_PARTS, CALLS_BEGIN, CALLS_END
from tests.scripted_model import Family

_TOOLS = "{% if tools %}{% for tool in tools %}{{ tool | tojson }}\n{% endfor %}{% endif %}"
_TURNS = "{% for message in messages %}"
_CHATML = _TURNS + "<|im_start|>{{ message.role }}\n{{ message.content }}<|im_end|>\n{% endfor %}"
_NO_THOUGHT = "{% if enable_thinking is defined and not enable_thinking %}<think>\n\n</think>\n\n{% endif %}"
_HEADER = "<|start_header_id|>{{ message.role }}<|end_header_id|>\n\n{{ message.content }}<|eot_id|>"
_R1_USER, _R1_ANSWER = "<\uff5cUser\uff5c>", "<\uff5cAssistant\uff5c>"
_R1_TURNS = _TURNS + _R1_USER + "{{ message.content.split('</think>')[-1] }}{% endfor %}" + _R1_ANSWER

LLAMA = Family(
    name="llama3.1",
    architecture="llama",
    template="{% if tools %}Environment: ipython\n{% endif %}"
    + _TOOLS
    + _TURNS
    + _HEADER
    + "{% endfor %}<|start_header_id|>assistant<|end_header_id|>\n\n",
    prompt_ends="\n",
    controls=("<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>", "<|python_tag|>"),
)
MISTRAL = Family(
    name="mistral",
    architecture="llama",
    template="{% if tools %}[AVAILABLE_TOOLS]{{ tools | tojson }}[/AVAILABLE_TOOLS]{% endif %}"
    + _TURNS
    + "[INST]{{ message.content }}[/INST]{% endfor %}{# [TOOL_CALLS] #}",
    prompt_ends="[/INST]",
    controls=("[INST]", "[/INST]", "[TOOL_CALLS]", "[AVAILABLE_TOOLS]", "[/AVAILABLE_TOOLS]"),
)
VICUNA = Family(
    name="vicuna",
    architecture="llama",
    template=_TURNS + "{{ message.role | upper }}: {{ message.content }} {% endfor %}ASSISTANT:",
    prompt_ends=":",
)
QWEN3 = Family(
    name="qwen3",
    architecture="qwen3",
    template=_TOOLS + "{# <tool_call> #}" + _CHATML + "<|im_start|>assistant\n" + _NO_THOUGHT,
    prompt_ends="\n",
    controls=("<|im_start|>", "<|im_end|>"),
    markers=("<think>", "</think>", "<tool_call>", "</tool_call>"),
)
QWEN3_MOE = Family(
    name="qwen3moe",
    architecture="qwen3moe",
    template=QWEN3.template,
    prompt_ends="\n",
    controls=QWEN3.controls,
    markers=QWEN3.markers,
)
DEEPSEEK_R1 = Family(
    name="deepseek-r1",
    architecture="qwen2",
    template=_TOOLS + _R1_TURNS + "<think>\n{# " + CALLS_BEGIN + " #}",
    prompt_ends="\n",
    controls=(_R1_USER, _R1_ANSWER),
    markers=("<think>", "</think>", CALLS_BEGIN, CALLS_END, CALL_BEGIN, CALL_END, CALL_PARTS),
)

SCRIPTS: dict[str, tuple[Family, tuple[str, ...]]] = {
    "llama": (LLAMA, ('{"name": "weather", ', '"parameters": {"city": "Paris"}}')),
    "mistral": (MISTRAL, ("[TOOL_CALLS]", '[{"name": "weather", ', '"arguments": {"city": "Paris"}}]')),
    "vicuna": (VICUNA, (" It is ", "sunny ", "in Paris.")),
    "qwen3": (
        QWEN3,
        (
            "<think>", "\nThe user asks ", "for the weather.\n", "</think>", "\n\n", "<tool_call>",
            '\n{"name": "weather", ', '"arguments": {"city": "Paris"}}\n', "</tool_call>",
        ),
    ),
    "qwen3moe": (QWEN3_MOE, ("<think>", "\nExperts ", "think.\n", "</think>", "\n\nSunny ", "it is.")),
    "deepseek": (
        DEEPSEEK_R1,
        (
            "I should ", "ask.\n", "</think>", "\n\n", CALLS_BEGIN, CALL_BEGIN, "function", CALL_PARTS, "weather\n",
            '```json\n{"city": "Paris"}', "\n```", CALL_END, CALLS_END,
        ),
    ),
}  # fmt: skip
"""By model name: the family and what it answers, piece by piece."""
