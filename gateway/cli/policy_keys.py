"""The keys that a home has for the teams of a policy: whoever removes a team locks its keys out."""

from collections import Counter

from gateway.cli.admin_client import call_act
from gateway.cli.output import CommandFault
from gateway.homes.home import Home


def active_keys(home: Home) -> dict[str, int]:
    """How many active keys each team has; none where they cannot be listed, for a file can be checked all the same."""
    try:
        keys = call_act(home, "keys.list", {})["keys"]
    except CommandFault:
        return {}
    return Counter(key["team"] for key in keys if key["state"] == "active")
