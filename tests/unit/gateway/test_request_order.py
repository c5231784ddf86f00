"""The steps stand in the code in the order of their numbers, and the document has the same numbers."""

import inspect
import re
from pathlib import Path

from gateway import request

STEPS = list(range(13))


def test_the_steps_stand_in_order() -> None:
    found = [int(number) for number in re.findall(r"#.*?\((\d+)\)", inspect.getsource(request.serve))]
    assert found == STEPS


def test_the_document_has_the_same_steps() -> None:
    document = Path(__file__).parents[3] / "docs" / "request-flow.md"
    found = [int(number) for number in re.findall(r"^## \((\d+)\)", document.read_text(), re.MULTILINE)]
    assert found == STEPS
