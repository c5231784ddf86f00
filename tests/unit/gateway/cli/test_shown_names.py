"""Whether readers of the log see names."""

from gateway.audit.index.opened_records import OpenedRecords
from gateway.cli.shown_names import names_are_shown
from gateway.homes.home import Home

RECORD = {"ts": "2026-01-01T00:00:00Z", "actor": {"name": "enc:1:AAAAAAAAAAAAAAAA:BBBB", "pseudonym": "p1"}}


def test_not_where_signers_are_set_nor_where_that_cannot_be_read(tmp_path):
    home = Home(tmp_path)
    assert names_are_shown(home)  # a copy without a configuration
    home.config.write_text("{}\n")
    assert names_are_shown(home)
    home.config.write_text("policy: {signers: {required: 1, keys: [x]}}\n")
    assert not names_are_shown(home)


def test_what_is_not_shown_is_sealed():
    records = OpenedRecords()
    sealed = {**RECORD, "actor": {"name": "(sealed)", "pseudonym": "p1"}}
    assert records.shown(RECORD, names=False) == sealed
    assert records.shown(RECORD, names=True) == sealed  # nothing opens it here
