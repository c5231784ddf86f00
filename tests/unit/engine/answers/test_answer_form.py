"""The form of an answer, read from the chat templates of the families."""

import pytest

from engine.answers.answer_form import CALLS_BEGIN, PLAIN, AnswerForm, form_of

THINK = {"think_open": "<think>", "think_close": "</think>"}


@pytest.mark.parametrize(
    ("template", "expected"),
    [
        ("{% for m in messages %}<|im_start|>{{ m.role }}{% endfor %}", PLAIN),
        ("{{ bos_token }}USER: {{ messages[0].content }} ASSISTANT:", PLAIN),
        ("{% if tools %}<tool_call>{% endif %}", AnswerForm(tools="hermes")),
        ("{% if tools %}<tool_call>{% endif %}<think>\n\n</think>", AnswerForm(tools="hermes", **THINK)),
        ("[AVAILABLE_TOOLS]{{ tools }}[TOOL_CALLS]", AnswerForm(tools="mistral")),
        (
            "[SYSTEM_PROMPT][THINK][/THINK][AVAILABLE_TOOLS]{{ tools }}[TOOL_CALLS]",
            AnswerForm(think_open="[THINK]", think_close="[/THINK]", tools="mistral"),
        ),
        ("{% if tools %}Environment: ipython{% endif %}", AnswerForm(tools="llama")),
        ("{% if tools %}<|python_tag|>{% endif %}", AnswerForm(tools="llama")),
        ("{{ content.split('</think>')[-1] }}{{ message['tool_calls'] }}" + CALLS_BEGIN, AnswerForm(**THINK)),
        ("{% for t in tools %}{% endfor %}</think>" + CALLS_BEGIN, AnswerForm(tools="deepseek", **THINK)),
        ("{% if tools %}<tool_call><function=name>{% endif %}", PLAIN),
    ],
)
def test_the_template_shows_the_form(template: str, expected: AnswerForm) -> None:
    assert form_of(template) == expected
