"""The console's steps stand in the code in the order of their numbers, and the document has the same numbers."""

import inspect
import re
from pathlib import Path

from gateway.console import flow

STEPS = list(range(10))


def test_the_steps_stand_in_order() -> None:
    assert [int(number) for number in re.findall(r"#.*?\((\d+)\)", inspect.getsource(flow.serve))] == STEPS


def test_the_head_and_the_document_have_the_same_steps() -> None:
    assert [int(number) for number in re.findall(r"\((\d)\) ", flow.__doc__ or "")] == STEPS
    document = (Path(__file__).parents[4] / "docs" / "console.md").read_text()
    section = document.partition("## What a request goes through\n")[2].partition("\n## ")[0]
    rows = re.findall(r"^\| ([0-9, ]+) \|", section, re.MULTILINE)
    assert [int(number) for row in rows for number in row.split(",")] == STEPS
