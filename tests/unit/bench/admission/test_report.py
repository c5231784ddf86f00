"""The text of a document between its marks."""

from pathlib import Path

from bench.admission.report import put_between

MARKS = ("<!-- a -->", "<!-- /a -->")


def test_what_stands_between_the_marks_is_replaced(tmp_path: Path) -> None:
    document = tmp_path / "d.md"
    document.write_text("# D\n<!-- a -->\nold\n<!-- /a -->\nend\n")
    put_between(document, MARKS, "new")
    put_between(document, MARKS, "newer")
    assert document.read_text() == "# D\n<!-- a -->\nnewer\n<!-- /a -->\nend\n"


def test_a_document_without_marks_stays_as_it_is(tmp_path: Path) -> None:
    document = tmp_path / "d.md"
    document.write_text("# D\n<!-- a -->\n")
    put_between(document, MARKS, "new")
    assert document.read_text() == "# D\n<!-- a -->\n"
