"""The time in force, as it is kept; and that nothing is pruned where it cannot be read."""

import pytest

from gateway.audit.retention_book import RETENTION_NAME, RetentionBook, RetentionBroken


def test_it_is_kept(tmp_path):
    book = RetentionBook(tmp_path)
    assert book.days() is None
    book.save(400)
    assert (book.days(), book.days_to_prune_by()) == (400, 400)


@pytest.mark.parametrize(("written", "days"), [(b'{"days":10}', 180), (b'{"days":99999}', 36_500)])
def test_what_is_out_of_bounds_is_taken_into_them(tmp_path, written, days):
    (tmp_path / RETENTION_NAME).write_bytes(written)
    assert RetentionBook(tmp_path).days() == days


@pytest.mark.parametrize("written", [b"", b"{}", b'{"days":"x"}', b'{"days":1,"more":2}', b"\xff"])
def test_what_is_broken_prunes_nothing(tmp_path, written):
    (tmp_path / RETENTION_NAME).write_bytes(written)
    book = RetentionBook(tmp_path)
    with pytest.raises(RetentionBroken, match="is not what Corral wrote"):
        book.days()
    assert book.days_to_prune_by() == 36_500


def test_where_nothing_is_known_nothing_is_pruned(tmp_path):
    assert RetentionBook(tmp_path).days_to_prune_by() == 36_500
    (tmp_path / RETENTION_NAME).mkdir()
    with pytest.raises(RetentionBroken, match="cannot be read"):
        RetentionBook(tmp_path).days()
