"""What stands and what is wrong with the rule of two persons, and with the retention that waits for it."""

from collections.abc import Iterator
from pathlib import Path

from gateway.audit.retention_book import RetentionBook, RetentionBroken
from gateway.configuration.settings import Config
from gateway.doctor.complaint import Complaint
from policies.approval.retention_change import settle_retention
from policies.approval.two_persons import NEEDED


def two_persons_line(config: Config) -> str:
    """How it is; no complaint, since one person alone is a way to use Corral."""
    signers = config.policy.signers
    if signers is None:
        return "two persons: no signers are set: one person alone may do what two should (docs/two-persons.md)"
    return f"two persons: two of {', '.join(each.name for each in signers.read())}"


def two_persons_complaints(audit: Path, config: Config) -> Iterator[Complaint]:
    """One signer alone, and a time of retention that is not in force."""
    signers = config.policy.signers
    if signers is not None and len(signers.keys) < NEEDED:
        yield Complaint(
            check="two persons",
            what="policy.signers names one person",
            why="what two persons must agree to cannot be done by anybody, reopening after a lockdown included",
            remedy="name a second signer in config.yaml, and start again",
        )
    try:
        known = RetentionBook(audit).days()
    except RetentionBroken as fault:
        why, remedy = "nothing of the log is pruned meanwhile", "see docs/two-persons.md"
        yield Complaint(check="audit", what=str(fault), why=why, remedy=remedy)
        return
    wanted = config.audit.retention_days
    verdict = settle_retention(known, wanted, has_signers=signers is not None)
    if verdict.keeps == "waits":
        yield Complaint(
            check="audit",
            what=f"the log is kept for {verdict.days} days, and config.yaml says {wanted}",
            why="a shorter time needs two persons",
            remedy=f"run 'corral audit retention {wanted}', or set audit.retention_days back",
        )
