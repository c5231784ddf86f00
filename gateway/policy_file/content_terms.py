"""What the policy in force keeps of content, kept beside it in the home: `content-terms.json`.

A changed policy.yaml is held against it, at the start as while the gateway runs (policies/approval/content_change.py).
Kept after each policy that was taken. One that cannot be read counts as not known, and then more needs two persons.
"""

from pathlib import Path

import msgspec
import structlog

from gateway.audit.audit_disk import RealDisk, replace_file
from policies.approval.content_change import ContentTerms, content_terms
from policies.policy import Policy

TERMS_NAME = "content-terms.json"
MAX_FILE_BYTES = 4 * 1024 * 1024

log = structlog.get_logger("corral.policy")


class ContentTermsBook:
    """Of the home in the folder `home`."""

    def __init__(self, home: Path) -> None:
        self._path = home / TERMS_NAME

    def terms(self) -> dict[str, ContentTerms] | None:
        """By team; None where it is not known."""
        try:
            with self._path.open("rb") as file:
                return msgspec.json.decode(file.read(MAX_FILE_BYTES), type=dict[str, ContentTerms])
        except (OSError, ValueError):  # msgspec's faults are ValueErrors
            return None

    def keep(self, policy: Policy) -> None:
        """Those of the policy that is in force now. One that cannot be kept is in force all the same, and said so."""
        terms = content_terms(policy)
        if terms == self.terms():
            return
        try:
            replace_file(RealDisk(), self._path, msgspec.json.encode(terms) + b"\n")
        except OSError as fault:
            log.error("content_terms_not_kept", cause=fault.strerror)
