"""`corral serve` whose workers and gateway come back at once and are never given up, so that many can be killed.

Its gateway is that of `bench.kills.gateway`: the callers have one key, and would be held to have killed them all.
"""

import functools
import sys

from engine.restarts import RestartRules, after_exit
from gateway.cli.main import main
from gateway.supervision import child_commands, gateway_keeper, oversight

TIRELESS = RestartRules(first_delay_s=0.1, longest_delay_s=0.2, deaths=1_000_000)


_python = child_commands._python  # noqa: SLF001 (the one place that names a child's module)


def _patient(module: str, arguments: dict[str, object]) -> tuple[str, ...]:
    return _python("bench.kills.gateway" if module == "gateway.process" else module, arguments)


if __name__ == "__main__":
    child_commands._python = _patient  # noqa: SLF001
    oversight.RULES = TIRELESS
    gateway_keeper.after_exit = functools.partial(after_exit, rules=TIRELESS)
    sys.exit(main(["serve", *sys.argv[1:]]))
