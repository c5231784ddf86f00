"""A new run replaces its own section and nothing else."""

from pathlib import Path

from bench.pool_admission.document import percent, write

BEGIN, END = "<!-- one -->", "<!-- /one -->"


def test_the_section_is_put_at_the_end_and_then_replaced(tmp_path: Path) -> None:
    document = tmp_path / "admission.md"
    document.write_text("# Admission\n\nText.\n")
    write(document, "first", "one")
    assert document.read_text() == f"# Admission\n\nText.\n\n{BEGIN}\nfirst\n{END}\n"
    document.write_text(document.read_text() + "\nMore.\n")
    write(document, "second", "one")
    assert document.read_text() == f"# Admission\n\nText.\n\n{BEGIN}\nsecond\n{END}\n\nMore.\n"
    write(document, "second", "one")
    assert document.read_text() == f"# Admission\n\nText.\n\n{BEGIN}\nsecond\n{END}\n\nMore.\n"


def test_a_document_that_is_not_there_is_made(tmp_path: Path) -> None:
    write(tmp_path / "admission.md", "only", "one")
    assert (tmp_path / "admission.md").read_text() == f"{BEGIN}\nonly\n{END}\n"


def test_a_share_is_told_with_its_interval() -> None:
    assert percent({"value": 0.961, "low": 0.934, "high": 0.978, "n": 216}) == "96.1 % (93 to 98, n=216)"
    assert percent({"value": None, "low": 0.0, "high": 1.0, "n": 0}) == "none"
