"""`corral serve` with workers of `tests.e2e.deadly_worker`: all else is the real one."""

import sys

from gateway.cli.main import main
from gateway.supervision import child_commands


def serve(words: list[str]) -> int:
    """Serve; returns the exit status."""
    python = child_commands._python

    def with_deadly_workers(module: str, arguments: dict[str, object]) -> tuple[str, ...]:
        return python("tests.e2e.deadly_worker" if module == "engine.worker" else module, arguments)

    child_commands._python = with_deadly_workers
    return main(["serve", *words])


if __name__ == "__main__":
    sys.exit(serve(sys.argv[1:]))
