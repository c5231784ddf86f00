"""What the types cannot say of the log's witnesses and anchors: addresses, keys, and one place each."""

from collections.abc import Iterator

from gateway.configuration.called_hosts import split_url
from gateway.configuration.settings import AnchorSettings, AuditSettings, WitnessSettings
from gateway.configuration.yaml_tree import Misfit, Path
from policies.addresses.networks import is_loopback_host
from policies.auditing.cosignature import read_cosignature_vkey
from policies.auditing.signed_note import NoteBroken

MIN_COUNT_S, MAX_COUNT_S = 1.0, 3600.0
MIN_AGE_S, MAX_AGE_S = 30.0, 31 * 86_400.0
"""Checkpoints are made every ten seconds: below three of them an age says nothing."""


def anchor_misfits(audit: AuditSettings) -> Iterator[Misfit]:
    """Everything that is wrong with the audit settings about counts, witnesses and anchors."""
    if not MIN_COUNT_S <= audit.count_every_s <= MAX_COUNT_S:
        yield Misfit(("audit", "count_every_s"), f"must be {MIN_COUNT_S} to {MAX_COUNT_S}")
    for index, witness in enumerate(audit.witnesses):
        yield from _witness(witness, ("audit", "witnesses", index))
    for index, anchor in enumerate(audit.anchors):
        yield from _anchor(anchor, ("audit", "anchors", index))
    yield from _age(audit)


def _age(audit: AuditSettings) -> Iterator[Misfit]:
    place: Path = ("audit", "anchor_max_age_s")
    if audit.anchor_max_age_s is None:
        return
    if not MIN_AGE_S <= audit.anchor_max_age_s <= MAX_AGE_S:
        yield Misfit(place, f"must be {MIN_AGE_S} to {MAX_AGE_S}")
    if not (audit.witnesses or audit.anchors):
        yield Misfit(place, "needs an anchor or a witness: without one the newest checkpoint is always overdue")


def _witness(witness: WitnessSettings, path: Path) -> Iterator[Misfit]:
    yield from _address(witness.url, (*path, "url"))
    try:
        read_cosignature_vkey(witness.vkey)
    except NoteBroken as fault:
        yield Misfit((*path, "vkey"), str(fault))


def _anchor(anchor: AnchorSettings, path: Path) -> Iterator[Misfit]:
    named = [name for name in ("file", "syslog", "http") if getattr(anchor, name) is not None]
    if len(named) != 1:
        yield Misfit(path, "needs exactly one of file, syslog and http")
    if anchor.http is not None:
        yield from _address(anchor.http, (*path, "http"))
    if anchor.syslog is not None and _host_and_port(anchor.syslog) is None:
        yield Misfit((*path, "syslog"), "must be host:port of a server that speaks syslog over TLS")
    if anchor.api_key_file is not None and anchor.http is None:
        yield Misfit((*path, "api_key_file"), "is for http only")
    if anchor.ca_file is not None and anchor.file is not None:
        yield Misfit((*path, "ca_file"), "is for syslog and http only")


def _address(text: str, place: Path) -> Iterator[Misfit]:
    """https, or http on this machine; no secret inside."""
    url = split_url(text)
    if url is None or url.scheme not in ("http", "https") or not url.hostname or url.port == 0:
        yield Misfit(place, "must be an http or https address, such as https://witness.example:8446")
    elif url.username is not None or url.password is not None or url.query or url.fragment:
        yield Misfit(place, "must not hold a user, a password, a query or a fragment")
    elif url.scheme == "http" and not is_loopback_host(url.hostname or ""):
        yield Misfit(place, "would go in clear, where anybody on the way can answer: use https")


def _host_and_port(text: str) -> tuple[str, int] | None:
    """The two of a syslog address; None for what is none."""
    url = split_url(f"//{text}")
    if url is None or url.netloc != text or url.username is not None or not url.hostname or not url.port:
        return None
    return url.hostname, url.port
