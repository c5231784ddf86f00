"""Whether readers of the log see names: not where two persons must agree to that (policies/approval/two_persons.py)."""

from gateway.homes.home import Home

HIDDEN = "names are not shown where signers are set: see 'corral audit name' and 'corral audit export --open'"


def names_are_shown(home: Home) -> bool:
    """False where signers are set, and where config.yaml cannot be read; a copy without one shows what it can."""
    from gateway.configuration.config import ConfigFaults, load_config

    if not home.config.exists():
        return True
    try:
        return load_config(home.config).policy.signers is None
    except ConfigFaults:
        return False
