"""A gateway that holds deaths against no caller: whose worker is killed from outside at every turn would be refused."""

import sys

from gateway.process import main
from policies import suspects

if __name__ == "__main__":
    suspects.DEATHS = 1_000_000
    sys.exit(main())
