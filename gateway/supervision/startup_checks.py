"""What `corral serve` refuses to start with. Pure: both files and one fact of the key store in, faults out.

Decides on combinations that are valid value by value but unsafe together; single values are checked by
their types, files on disk by `gateway.supervision.startup_files`. Rules:

- A listener's address is an IP address, its port one that exists, and no two listeners are the same.
- Without a certificate there is no TLS, and only `unsafe_no_tls` may say so.
- Beyond loopback a listener needs TLS (or `unsafe_no_tls`), a team and an active key: an open door that
  nobody guards, or that nobody can pass, is a mistake (175,108 open Ollama hosts began as one).
- More than one gateway process needs a shared store, which this version does not have.
"""

from ipaddress import ip_address

from gateway.configuration.settings import Config, ListenSettings
from policies.policy import Policy

HIGHEST_PORT = 65535


def startup_faults(config: Config, policy: Policy, has_key: bool) -> list[str]:
    """All faults, one line each with its remedy; empty when `corral serve` may start.

    `has_key` says whether the key store holds a key that is active now.
    """
    faults = _same_place(config) + _too_many_gateways(config)
    for name, listener in (("public", config.public), ("admin", config.admin)):
        faults += _malformed(name, listener) or _unsafe(name, listener, config, policy, has_key=has_key)
    return faults


def _malformed(name: str, listener: ListenSettings) -> list[str]:
    faults = []
    try:
        ip_address(listener.address)
    except ValueError:
        faults.append(f"{name}.address {listener.address!r} is not an IP address: write one such as 127.0.0.1 or ::1")
    if not 0 <= listener.port <= HIGHEST_PORT:
        faults.append(f"{name}.port {listener.port} does not exist: write one from 1 to {HIGHEST_PORT}")
    return faults


def _unsafe(name: str, listener: ListenSettings, config: Config, policy: Policy, *, has_key: bool) -> list[str]:
    faults = []
    if not (config.tls.certificate and config.tls.key) and not listener.unsafe_no_tls:
        faults.append(
            f"the {name} listener has no TLS: name tls.certificate and tls.key, or say {name}.unsafe_no_tls: true"
        )
    if ip_address(listener.address).is_loopback:
        return faults
    where = f"the {name} listener is open beyond this machine ({listener.address})"
    if not policy.teams:
        faults.append(f"{where} but policy.yaml names no team: add one under teams")
    if not has_key:
        faults.append(f"{where} but there is no active key: make one with 'corral keys create --team TEAM'")
    return faults


def _same_place(config: Config) -> list[str]:
    public, admin = config.public, config.admin
    if public.port == 0 or (public.address, public.port) != (admin.address, admin.port):
        return []
    return [f"public and admin both listen on {public.address}, port {public.port}: set another admin.port"]


def _too_many_gateways(config: Config) -> list[str]:
    if config.gateway.processes == 1:
        return []
    return [f"gateway.processes is {config.gateway.processes}: only 1 is possible without a store that they share"]
