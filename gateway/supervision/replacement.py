"""Whether the gateway may be replaced by one that reads its files anew, as SIGHUP asks.

Rules:

- What `corral serve` would refuse to start with is refused here too, with the same lines: the old gateway stays.
- The policy is the one that the new gateway would take: where policy.yaml has a fault, the one in force.
- Listening sockets, engine processes and the number of gateways belong to the supervisor, which keeps them: a change
  of their settings is named in one line of the log, and waits for a restart.
"""

import structlog

from gateway.configuration.config import ConfigFaults, load_config
from gateway.configuration.settings import Config
from gateway.policy_file.kept_policy import KeptPolicy
from gateway.policy_file.policy_reading import open_policy_file
from gateway.supervision.site import Site
from gateway.supervision.start_faults import start_faults
from policies.policy_file.policy_diff import walk

log = structlog.get_logger("corral.supervisor")

OF_THE_SUPERVISOR = (
    "public.address",
    "public.port",
    "admin.address",
    "admin.port",
    "console.enabled",
    "console.address",
    "console.port",
    "engine",
    "gateway.processes",
    "gateway.drain_notice_s",
    "gateway.drain_s",
    "tls.host_openssl_config",
)
"""Settings, or sections of them, that hold until `corral serve` is started again."""


def may_replace(site: Site) -> bool:
    """Look at the files of `site` as they are now, log what is to be said, and decide. Blocks on the disk."""
    try:
        config = load_config(site.config_file)
        file = open_policy_file(site.policy_file, config, site.home.path)
        in_force = KeptPolicy(site.home.run).load(file)
    except ConfigFaults as refusal:
        return _refuse(list(refusal.faults))
    if faults := start_faults(site.home, config, in_force.policy):
        return _refuse(faults)
    if waiting := settings_that_wait(site.config, config):
        log.warning("settings_need_restart", settings=waiting, remedy="stop 'corral serve' and start it again")
    return True


def settings_that_wait(started: Config, found: Config) -> list[str]:
    """Each of the supervisor's settings that differs from the one it started with: `path: before -> after`."""
    return [
        each.text
        for each in walk(started, found, "")
        if any(each.path == name or each.path.startswith(f"{name}.") for name in OF_THE_SUPERVISOR)
    ]


def _refuse(faults: list[str]) -> bool:
    log.error("gateway_not_replaced", cause="config.yaml or a file it names has faults", faults=faults)
    return False
