"""A worker without its walls, so that what they cost can be measured. Nothing that is served ever runs this.

It takes the arguments of `engine.worker` and is that worker, but for the two calls that raise its walls.
"""

import sys

from engine import worker


def main() -> int:
    """Run the worker, open."""
    worker.raise_wall = lambda _options, _process: None
    worker.raise_second_wall = lambda _options, _process, **_more: None
    return worker.main()


if __name__ == "__main__":
    sys.exit(main())
