"""What set-up says when it cannot go on: one line with the remedy, and an exit status."""

MISSING = 2  # something the machine lacks, or bad input
FAILED = 1


class SetupFault(Exception):
    """Set-up cannot go on. The message is one line: what is wrong, and what to do."""

    def __init__(self, message: str, *, status: int = FAILED) -> None:
        super().__init__(message)
        self.status = status
