"""The real worker, but for one request that ends it as a fault in native code would: the one with `DEADLY_SEED`."""

import ctypes
import sys
from typing import Any

from engine import worker
from engine.frames import Start

DEADLY_SEED = 666


def main() -> int:
    """Run the worker; returns the exit status."""
    serve = worker._serve

    def serve_deadly(options: Any, loop: Any, context_tokens: int, stop: Any) -> None:
        start_well = loop.start

        def start(owner: object, asked: Start) -> bool:
            if asked.sampling.seed == DEADLY_SEED:
                ctypes.string_at(0)  # reads where nothing is: SIGSEGV
            return bool(start_well(owner, asked))

        loop.start = start
        serve(options, loop, context_tokens, stop)

    worker._serve = serve_deadly
    return worker.main()


if __name__ == "__main__":
    sys.exit(main())
