"""The files that a policy names and that are not in the home: no fault of it, but who logs in by them is refused."""

from collections.abc import Iterator
from pathlib import Path

from policies.policy import Policy
from policies.policy_file.policy_review import Remark


def file_remarks(policy: Policy, home: Path) -> Iterator[Remark]:
    """A remark on each file of an issuer that is not there."""
    for name, issuer in policy.issuers.items():
        for field, given in (("jwks_file", issuer.jwks_file), ("ca_file", issuer.ca_file)):
            if given is not None and not (home / given).is_file():
                yield Remark(("issuers", name, field), f"names {home / given}, which is not there")
