"""What the types of the two files cannot say by themselves: ranges, addresses, and values that must fit together."""

import math
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from gateway.configuration.anchor_checks import anchor_misfits
from gateway.configuration.called_hosts import called_by_config, called_place, split_url, uncalled
from gateway.configuration.settings import Config, ListenSettings, StoreSettings, UpstreamSettings
from gateway.configuration.store_url import read_store_url
from gateway.configuration.tls_checks import certificate_misfits, tls_misfits
from gateway.configuration.yaml_tree import Misfit, Path
from policies.addresses.egress import Egress
from policies.addresses.host_names import read_host_names
from policies.addresses.networks import is_loopback_host, read_address
from policies.addresses.trusted_proxies import read_proxy
from policies.addresses.web_origin import read_origins
from policies.auditing.segment_life import MAX_RETENTION_DAYS, MIN_RETENTION_DAYS
from policies.policy import Policy

UPSTREAM_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,62}\Z")
MAX_TIMEOUT_S = 86_400.0
MIN_SEGMENT_BYTES, MAX_SEGMENT_BYTES = 64 * 1024, 1024**3
MAX_FULL_REFUSALS = 1_000_000
"""No flood would be sampled any more; for a time in which every one is wanted."""
MAX_BODY_BYTES = 1024**3
MIN_STALE_KEYS_S, MAX_STALE_KEYS_S = 5.0, 3600.0
"""Keys are refreshed each second; beyond an hour a revocation would be a wish."""
ROUNDING = 1e-9
"""Ten shares of 0.1 are not quite 1 in binary."""
MAX_PROCESSES = 64
"""As many places as the audit log has on one host."""
MIN_STORE_TIMEOUT_MS, MAX_STORE_TIMEOUT_MS = 5, 1000


def config_misfits(config: Config) -> Iterator[Misfit]:
    """Everything that is wrong with a config whose single values have the right types."""
    for name in ("public", "admin", "console"):
        yield from _listener(getattr(config, name), (name,))
    if _same_place(config.public, config.admin):
        yield Misfit(("admin", "port"), "is the public listener's port too: the two cannot share it")
    yield from _console(config)
    yield from tls_misfits(config)
    yield from _upstreams(config.upstreams)
    yield from _within(config.gateway, "processes", 1, MAX_PROCESSES, ("gateway",))
    if config.gateway.processes > 1 and config.store is None:
        yield Misfit(("gateway", "processes"), "must be 1: more gateways need a shared store")
    if config.store is not None:
        yield from _store(config.store, ("store",))
        yield from _store_bundle(config.store, config.egress)
    for name in ("drain_notice_s", "drain_s"):
        yield from _within(config.gateway, name, 0.0, MAX_TIMEOUT_S, ("gateway",))
    yield from _within(config.gateway, "stale_keys_s", MIN_STALE_KEYS_S, MAX_STALE_KEYS_S, ("gateway",))
    yield from _within(config.back_door, "interval_s", 60.0, MAX_TIMEOUT_S, ("back_door",))
    yield from _within(config.audit, "segment_bytes", MIN_SEGMENT_BYTES, MAX_SEGMENT_BYTES, ("audit",))
    yield from _within(config.audit, "retention_days", MIN_RETENTION_DAYS, MAX_RETENTION_DAYS, ("audit",))
    yield from _within(config.audit, "reserve_bytes", MIN_SEGMENT_BYTES, MAX_SEGMENT_BYTES, ("audit",))
    yield from _within(config.audit, "full_refusals_per_minute", 1, MAX_FULL_REFUSALS, ("audit",))
    yield from anchor_misfits(config.audit)
    yield from uncalled(config.egress, called_by_config(config))


def policy_misfits(policy: Policy) -> Iterator[Misfit]:
    """Everything that is wrong with a policy whose single values hold."""
    for index, text in enumerate(policy.trusted_proxies):
        try:
            read_proxy(text, unsafe_trust_all=policy.unsafe_trust_all_proxies)
        except ValueError as fault:
            yield Misfit(("trusted_proxies", index), str(fault))
    yield from _bands(policy)
    yield from _issuers(policy)
    yield from certificate_misfits(policy)


def _bands(policy: Policy) -> Iterator[Misfit]:
    """Guarantees that can all be kept, and no team in a band that there is not."""
    if sum(band.share for band in policy.bands.values()) > 1 + ROUNDING:
        yield Misfit(("bands",), "guarantee more than all: the shares together must be at most 1")
    for name, team in policy.teams.items():
        if team.band not in policy.bands:
            known = ", ".join(policy.bands) or "none"
            yield Misfit(("teams", name, "band"), f"is none of the policy's bands; there are: {known}")


def _issuers(policy: Policy) -> Iterator[Misfit]:
    """Each `iss` once, so that a token has one judge; and no team that the policy does not know."""
    written = Counter(issuer.issuer for issuer in policy.issuers.values())
    for name, issuer in policy.issuers.items():
        path: Path = ("issuers", name)
        if not UPSTREAM_NAME.match(name):
            yield Misfit(path, "must be 1 to 63 of a-z, 0-9, '-' and '_', beginning with a letter or digit")
        if written[issuer.issuer] > 1:
            yield Misfit((*path, "issuer"), "stands at another entry too: a token must have one judge")
        for team in sorted(issuer.teams - policy.teams.keys()):
            yield Misfit(path, f"names team {team!r}, which is not under teams")


def _listener(listen: ListenSettings, path: Path) -> Iterator[Misfit]:
    try:
        read_address(listen.address)
    except ValueError:
        yield Misfit((*path, "address"), "must be an IP address, such as 127.0.0.1 or ::")
    yield from _within(listen, "port", 0, 65535, path)
    for name in ("handshake", "header", "body", "write", "idle"):
        yield from _above_zero(listen, f"{name}_timeout_s", path)
    yield from _within(listen, "max_connections", 1, 1_000_000, path)
    yield from _within(listen, "max_connections_per_address", 1, 1_000_000, path)
    yield from _within(listen, "max_body_bytes", 1, MAX_BODY_BYTES, path)
    if listen.max_bodies_bytes < listen.max_body_bytes:
        yield Misfit((*path, "max_bodies_bytes"), "must be at least max_body_bytes: not even one body would fit")
    yield from _each(read_host_names, listen.hosts, (*path, "hosts"))
    yield from _each(read_origins, listen.cors_origins, (*path, "cors_origins"))


def _each(read: Callable[[Iterable[str]], object], texts: tuple[str, ...], path: Path) -> Iterator[Misfit]:
    for index, text in enumerate(texts):
        try:
            read((text,))
        except ValueError as fault:
            yield Misfit((*path, index), str(fault))


def _console(config: Config) -> Iterator[Misfit]:
    """A port of its own, TLS (its cookie is sent over nothing else), and no other site's pages."""
    for name in ("public", "admin"):
        if config.console.enabled and _same_place(getattr(config, name), config.console):
            yield Misfit(("console", "port"), f"is the {name} listener's port too: the two cannot share it")
    if config.console.unsafe_no_tls:
        yield Misfit(("console", "unsafe_no_tls"), "cannot be true: browsers send its cookie over TLS only")
    if config.console.cors_origins:
        yield Misfit(("console", "cors_origins"), "must be empty: no other site's page may call the console")


def _same_place(one: ListenSettings, other: ListenSettings) -> bool:
    """Whether two listeners want one port; 0 takes any that is free."""
    if one.port != other.port or not one.port:
        return False
    return one.address == other.address or bool({one.address, other.address} & {"0.0.0.0", "::"})  # noqa: S104


def _upstreams(upstreams: tuple[UpstreamSettings, ...]) -> Iterator[Misfit]:
    names = Counter(upstream.name for upstream in upstreams)
    for index, upstream in enumerate(upstreams):
        path: Path = ("upstreams", index)
        if not UPSTREAM_NAME.match(upstream.name):
            yield Misfit((*path, "name"), "must be 1 to 63 of a-z, 0-9, '-' and '_', beginning with a letter or digit")
        elif names[upstream.name] > 1:
            yield Misfit((*path, "name"), "stands at another upstream too: names must differ")
        yield from _url(upstream, path)
        yield from _within(upstream, "slots", 1, 4096, path)
        for name in ("connect_timeout_s", "idle_timeout_s", "refresh_s"):
            yield from _above_zero(upstream, name, path)


def _url(upstream: UpstreamSettings, path: Path) -> Iterator[Misfit]:
    """The upstream's address: http only on this machine, since prompts cross it in clear; no secret inside."""
    url = split_url(upstream.url)
    place = (*path, "url")
    if url is None or url.scheme not in ("http", "https") or not url.hostname:
        yield Misfit(place, "must be an http or https address, such as https://models.example:11434")
        return
    if url.port == 0:
        yield Misfit(place, "names a port that does not exist")
    if url.username is not None or url.password is not None:
        yield Misfit(place, "must not hold a user or password: put the key into api_key_file")
    if url.query or url.fragment:
        yield Misfit(place, "must not have a query or fragment")
    if url.scheme == "http" and not is_loopback_host(url.hostname) and not upstream.unsafe_plain_http:
        yield Misfit(place, "would send prompts in clear: use https, or set unsafe_plain_http")
    if url.scheme == "http" and upstream.ca_file is not None:
        yield Misfit((*path, "ca_file"), "is for https only")


def _store(store: StoreSettings, path: Path) -> Iterator[Misfit]:
    """The shared store: encrypted and with a password over a network; whoever writes there sets the limits."""
    yield from _within(store, "timeout_ms", MIN_STORE_TIMEOUT_MS, MAX_STORE_TIMEOUT_MS, path)
    try:
        url = read_store_url(store.url)
    except ValueError as fault:
        yield Misfit((*path, "url"), str(fault))
        return
    if not url.path and not url.tls and not store.unsafe_plain_redis:
        yield Misfit((*path, "url"), "would cross in clear: use rediss or a Unix socket, or set unsafe_plain_redis")
    if not url.path and store.password_file is None:
        yield Misfit((*path, "password_file"), "is required unless the store is a Unix socket")
    if not url.tls and store.ca_file is not None:
        yield Misfit((*path, "ca_file"), "is for rediss only")


def _store_bundle(store: StoreSettings, egress: Egress) -> Iterator[Misfit]:
    """A bundle under `egress.hosts` is not the store's, and the system's authorities are not to step in unseen."""
    place = called_place(store.url)
    named = egress.entry(*place[1:]) if place is not None else None
    if store.ca_file is None and named is not None and named.ca_file is not None:
        yield Misfit(("store", "ca_file"), "is required here: the ca_file under egress.hosts is not for the store")


def _above_zero(settings: Any, name: str, path: Path) -> Iterator[Misfit]:
    value = getattr(settings, name)
    if not 0 < value <= MAX_TIMEOUT_S or not math.isfinite(value):
        yield Misfit((*path, name), f"must be above 0 and at most {MAX_TIMEOUT_S:g}")


def _within(settings: Any, name: str, low: float, high: float, path: Path) -> Iterator[Misfit]:
    if not low <= getattr(settings, name) <= high:
        yield Misfit((*path, name), f"must be {low} to {high}")
