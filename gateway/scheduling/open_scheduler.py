"""From config.yaml to the scheduler: a queue of this process alone, or with `store:` one for all gateways."""

import hashlib
import secrets
from collections.abc import Callable
from urllib.parse import urlsplit

from gateway.audit.audit_log import stamp_now
from gateway.clock import Clock
from gateway.configuration.settings import Config, UpstreamSettings
from gateway.homes.home import Home
from gateway.keys.pepper import load_peppers
from gateway.limits.redis_connection import connections_to
from gateway.limits.redis_link import RedisLink
from gateway.limits.shared_store import gateway_name
from gateway.scheduling.own_queue import OwnQueue
from gateway.scheduling.queue_letters import Seal
from gateway.scheduling.redis_post import RedisPost
from gateway.scheduling.scheduler import CarryOut, Scheduler
from gateway.scheduling.shared_queue import SharedQueue, Tell
from gateway.scheduling.shared_terms import Terms
from gateway.scheduling.ticket_mask import Mask
from policies.addresses.networks import is_loopback_host

SHORTEST_TIMEOUT_S = 0.25
"""No request waits for a letter longer than for its turn; one that is given up costs an announcement."""
UPSTREAM = "upstream:"


def open_scheduler(
    config: Config, home: Home, place: str, clock: Clock, tell_of: Tell
) -> Callable[[CarryOut], Scheduler]:
    """What makes the scheduler once it is known who carries out. Raises SharedStoreFault, UnfitPepper, OSError."""
    if config.store is None:
        return lambda carry_out: OwnQueue(clock, carry_out)
    make_connection = connections_to(config.store, home.path)
    link = RedisLink(make_connection, timeout_s=max(SHORTEST_TIMEOUT_S, config.store.timeout_ms / 1000))
    # Each life of a process has its own name: letters to the one before it are not for this one.
    me = f"{gateway_name(home.run, place)}.{secrets.token_hex(4)}"
    peppers = load_peppers(home.pepper)
    pepper = peppers[min(peppers)]  # a new version is added in one home after the other, the oldest is in all of them
    mask = Mask(pepper, me, site_of(home), target_names(site_of(home), config.upstreams))
    terms = Terms(mask=mask, seal=Seal(pepper), gateways=config.gateway.processes)
    post = RedisPost(link, make_connection, me)
    return lambda carry_out: SharedQueue(clock, carry_out, post, terms, tell_of)


def site_of(home: Home) -> str:
    """The same for all gateways that reach the same workers: those of one run folder under one running kernel."""
    folder = home.run.stat()
    text = f"{stamp_now().boot_id} {folder.st_dev} {folder.st_ino}"
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def target_names(site: str, upstreams: tuple[UpstreamSettings, ...]) -> Callable[[str], str]:
    """The queue's name of a target: with the site where only its gateways reach it, else with the server's address."""
    places = {
        UPSTREAM + each.name: hashlib.sha256(each.url.encode()).hexdigest()[:12]
        for each in upstreams
        if not is_loopback_host(urlsplit(each.url).hostname or "")
    }
    return lambda target: f"{target}@{places.get(target, site)}"
