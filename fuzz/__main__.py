"""`python -m fuzz [NAME ...] [--seconds S] [--seed N]`: mutate each target's seeds until the time is up.

A failure prints the target, the seed and the input as hex, and ends with status 1: `one(bytes.fromhex(...))`
repeats it.
"""

import argparse
import random
import sys
import time

from fuzz.mutation import mutate
from fuzz.targets import Target, load_target, target_names


def main(argv: list[str] | None = None) -> int:
    """Fuzz the targets named, all without a name."""
    parser = argparse.ArgumentParser(prog="python -m fuzz")
    parser.add_argument("name", nargs="*", choices=[*target_names(), []], default=[])
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--seed", type=int, default=time.time_ns() % 2**32)
    arguments = parser.parse_args(argv)
    targets = [load_target(name) for name in arguments.name or target_names()]
    return max(_fuzz(target, arguments.seconds, arguments.seed) for target in targets)


def _fuzz(target: Target, seconds: float, seed: int) -> int:
    draw = random.Random(seed)
    until, count = time.monotonic() + seconds, 0
    while time.monotonic() < until:
        data = mutate(draw.choice(target.seeds), draw)
        count += 1
        try:
            target.one(data)
        except Exception as broken:  # whatever a parser raises beyond its own errors is the find
            print(
                f"{target.name}: {type(broken).__name__}: {broken}\n  seed {seed}, input {data.hex()}", file=sys.stderr
            )
            return 1
    print(f"{target.name}: {count} inputs, seed {seed}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
