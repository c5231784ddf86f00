"""`corral serve` whose workers come back at once and are never put into quarantine, so that many can be killed."""

import sys

from engine.restarts import RestartRules
from gateway.cli.main import main
from gateway.supervision import oversight

TIRELESS = RestartRules(first_delay_s=0.1, longest_delay_s=0.2, deaths=1_000_000)


if __name__ == "__main__":
    oversight.RULES = TIRELESS
    sys.exit(main(["serve", *sys.argv[1:]]))
