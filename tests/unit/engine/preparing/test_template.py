"""A template is a stranger's program: it says its prompt, or fails as TemplateFault, and reaches nothing."""

from datetime import UTC, datetime
from typing import Any

import pytest

from engine.preparing import template as module
from engine.preparing.template import ChatTemplate, TemplateFault
from tests.unit.engine.tiny_gguf import CHATML

TODAY = datetime(2026, 3, 1, tzinfo=UTC)
USER = {"role": "user", "content": "hi"}


def render(source: str, *messages: dict[str, Any], tools: tuple[dict[str, Any], ...] = (), think: Any = None) -> str:
    template = ChatTemplate(source, bos_text="<s>", eos_text="</s>")
    return template.render(messages or (USER,), tools=tools, today=TODAY, think=think)


def test_a_conversation_is_rendered_with_the_generation_prompt() -> None:
    expected = "<|im_start|>user\nhi<|im_end|>\n<|im_start|>assistant\n"
    assert render(CHATML) == expected


@pytest.mark.parametrize(
    ("source", "text"),
    [
        ("{{ bos_token }}{{ eos_token }}", "<s></s>"),
        ("{{ strftime_now('%d %b %Y') }}", "01 Mar 2026"),
        ("{{ {'a': '<é>'} | tojson }}", '{"a": "<é>"}'),
        ("{{ [1] | tojson(indent=2) }}", "[\n  1\n]"),
        ("{% for i in [1, 2] %}{% if i == 2 %}{% break %}{% endif %}{{ i }}{% endfor %}", "1"),
        ("{% if tools is none %}none{% endif %}", "none"),
        ("{{ enable_thinking is defined }}", "False"),
        ("{{ '=' * 3 }}{{ 2 * 3 }}", "===6"),
        ("  {% if true %}\nx\n  {% endif %}\n", "x\n"),
    ],
)
def test_what_templates_expect(source: str, text: str) -> None:
    assert render(source) == text


def test_tools_and_thinking_are_handed_on() -> None:
    source = "{{ tools[0].function.name }} {{ enable_thinking }}"
    assert render(source, tools=({"function": {"name": "f"}},), think=False) == "f False"


def test_the_templates_own_refusal_is_told() -> None:
    with pytest.raises(TemplateFault, match=r"refuses this: Roles must alternate ") as caught:
        render("{{ raise_exception('Roles must alternate\n') }}")
    assert caught.value.reason == "template_refused"


@pytest.mark.parametrize(
    "source",
    [
        "{{ ''.__class__.__mro__[1].__subclasses__() }}",
        "{{ messages.append(1) }}",
        "{{ cycler.__init__.__globals__ }}",
        "{% include '/etc/passwd' %}",
        "{{ 'a' * 1000000000 }}",
        "{{ [0] * 1000000000 }}",
        "{{ 9 ** 99999999 }}",
        "{{ range(100000000) | list }}",
        "{{ 1 / 0 }}",
        "{{ messages[9].content }}",
        "{{ messages | tojson(indent='x', more=1) }}",
        "{{ undefined.more }}",
        "{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}",
    ],
)
def test_what_a_template_may_not_do_fails_alone(source: str) -> None:
    with pytest.raises(TemplateFault) as caught:
        render(source)
    assert caught.value.reason == "template_failed"


def test_a_broken_or_endless_template(monkeypatch: pytest.MonkeyPatch) -> None:
    for source in ("{% for %}", "{{ (" + "(" * 300):
        with pytest.raises(TemplateFault, match="cannot be read"):
            ChatTemplate(source, bos_text="", eos_text="")
    with pytest.raises(TemplateFault, match="too long"):
        ChatTemplate("x" * (module.MAX_SOURCE_LENGTH + 1), bos_text="", eos_text="")
    monkeypatch.setattr(module, "MAX_OUTPUT_LENGTH", 100)
    with pytest.raises(TemplateFault, match="writes too much"):
        render("{% for i in range(1000) %}{{ i }}{% endfor %}")
