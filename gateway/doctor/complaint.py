"""One thing that is not as it should be."""

from msgspec import Struct


class Complaint(Struct, frozen=True, kw_only=True):
    """What was found by which `check`, why it matters, and what to do about it."""

    check: str
    what: str
    why: str
    remedy: str

    @property
    def line(self) -> str:
        """All of it as one line."""
        return f"{self.check}: {self.what}: {self.why}; {self.remedy}"
