"""What `corral serve` refuses to start with. Pure: both files and one fact of the key store in, faults out.

Decides on what is open to whom. Values, and whether they fit together, are checked when the files are read
(`gateway.configuration.config_checks`), files on disk by `gateway.supervision.startup_files`. Rules:

- Without a certificate there is no TLS, and only `unsafe_no_tls` may say so.
- Beyond loopback a listener needs TLS (or `unsafe_no_tls`), a team and an active key: an open door that
  nobody guards, or that nobody can pass, is a mistake (175,108 open Ollama hosts began as one).
- Beyond loopback the console also needs a list of who may reach it (`listeners.console`), and people who are proven by
  an identity provider or a certificate: an API key alone is the way in for emergencies.
- A listener that demands a PROXY header needs a policy that says whose header it takes.
"""

from ipaddress import ip_address

from gateway.configuration.settings import Config, ListenSettings
from policies.policy import Policy


def startup_faults(config: Config, policy: Policy, has_key: bool) -> list[str]:
    """All faults, one line each with its remedy; empty when `corral serve` may start.

    `has_key` says whether the key store holds a key that is active now.
    """
    faults = []
    listeners = [("public", config.public), ("admin", config.admin)]
    if config.console.enabled:
        listeners.append(("console", config.console))
        faults += _console_open(config, policy)
    for name, listener in listeners:
        faults += _unsafe(name, listener, config, policy, has_key=has_key)
        faults += _unreachable(name, listener, policy)
    return faults


def _unsafe(name: str, listener: ListenSettings, config: Config, policy: Policy, *, has_key: bool) -> list[str]:
    faults = []
    if not (config.tls.certificate and config.tls.key) and not listener.unsafe_no_tls:
        or_aloud = "" if name == "console" else f", or say {name}.unsafe_no_tls: true"
        faults.append(f"the {name} listener has no TLS: name tls.certificate and tls.key{or_aloud}")
    if ip_address(listener.address).is_loopback:
        return faults
    where = f"the {name} listener is open beyond this machine ({listener.address})"
    if not policy.teams:
        faults.append(f"{where} but policy.yaml names no team: add one under teams")
    if not has_key:
        faults.append(f"{where} but there is no active key: make one with 'corral keys create --team TEAM'")
    return faults


def _console_open(config: Config, policy: Policy) -> list[str]:
    if ip_address(config.console.address).is_loopback:
        return []
    where = f"the console is open beyond this machine ({config.console.address})"
    faults = []
    if policy.listeners.console.allow is None:
        faults.append(f"{where} but policy.yaml does not say to whom: name networks under listeners.console.allow")
    if config.console.oidc is None and config.console.client_certificates != "required":
        faults.append(
            f"{where} but people could sign in by an API key only: configure console.oidc, or say "
            "console.client_certificates: required"
        )
    return faults


def _unreachable(name: str, listener: ListenSettings, policy: Policy) -> list[str]:
    """A listener that takes PROXY headers from nobody lets nobody in."""
    if not listener.proxy_protocol or (policy.forwarded_header == "proxy-v2" and policy.trusted_proxies):
        return []
    remedy = "name your proxies under trusted_proxies and say forwarded_header: proxy-v2"
    return [f"the {name} listener has proxy_protocol: true, but policy.yaml trusts nobody's PROXY header: {remedy}"]
