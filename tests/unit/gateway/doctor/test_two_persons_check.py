"""What `corral doctor` says of the rule of two persons."""

import pytest

from gateway.audit.retention_book import RETENTION_NAME, RetentionBook
from gateway.configuration.settings import AuditSettings, Config, PolicySettings, SignerSettings
from gateway.doctor.two_persons_check import two_persons_complaints, two_persons_line
from tests.ssh_people import Person, needs_ssh_keygen


def config(*people: Person, days: int = 400) -> Config:
    keys = tuple(each.public.strip() for each in people)
    signers = SignerSettings(required=1, keys=keys) if keys else None
    return Config(audit=AuditSettings(retention_days=days), policy=PolicySettings(signers=signers))


def test_without_signers_it_is_said_and_no_complaint(tmp_path):
    assert "no signers are set: one person alone" in two_persons_line(config())
    assert list(two_persons_complaints(tmp_path, config(days=180))) == []


@needs_ssh_keygen
class TestSigners:
    @pytest.fixture
    def people(self, tmp_path):
        return [Person(tmp_path, name) for name in ("anna", "ben")]

    def test_two_are_named(self, tmp_path, people):
        RetentionBook(tmp_path).save(400)
        assert two_persons_line(config(*people)) == "two persons: two of anna, ben"
        assert list(two_persons_complaints(tmp_path, config(*people))) == []

    def test_one_alone_can_do_nothing(self, tmp_path, people):
        RetentionBook(tmp_path).save(400)
        (found,) = two_persons_complaints(tmp_path, config(people[0]))
        assert "cannot be done by anybody" in found.why

    def test_a_time_that_waits_and_one_that_cannot_be_read(self, tmp_path, people):
        RetentionBook(tmp_path).save(400)
        (found,) = two_persons_complaints(tmp_path, config(*people, days=200))
        assert found.what == "the log is kept for 400 days, and config.yaml says 200"
        (tmp_path / RETENTION_NAME).write_text("broken")
        (found,) = two_persons_complaints(tmp_path, config(*people, days=200))
        assert "is not what Corral wrote" in found.what
