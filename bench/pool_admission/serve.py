"""`corral serve`, with the gateway process of this benchmark in the place of the usual one.

`python -m bench.pool_admission.serve --home HOME`
"""

import sys
from typing import Any
from unittest.mock import patch

from gateway.cli.main import main as corral
from gateway.supervision import child_commands

USUAL = child_commands._python  # noqa: SLF001 (the one place that names a child's module)


def python(module: str, arguments: dict[str, Any]) -> tuple[str, ...]:
    """The command of a child; the gateway's is ours."""
    ours = {"gateway.process": "bench.pool_admission.gateway_process"}
    return USUAL(ours.get(module, module), arguments)


if __name__ == "__main__":
    with patch.object(child_commands, "_python", python):
        sys.exit(corral(["serve", *sys.argv[1:]]))
