"""An admin act while no gateway runs: the home's lock is held, the record written first, then the change made."""

import os
import secrets
from contextlib import AsyncExitStack, closing
from functools import partial
from typing import Any

from gateway.admin.act import ActContext
from gateway.admin.admin_acts import perform
from gateway.admin.admin_peer import user_name
from gateway.admin.consents import signers_of
from gateway.audit.audit_log import AuditLog, stamp_now
from gateway.audit.audit_place import hold_place, this_host
from gateway.audit.hold_book import HoldBook
from gateway.audit.index.reviewed_spans import changes_of
from gateway.audit.persons import Persons
from gateway.audit.sealed_record import RecordSealer
from gateway.audit.signed_log import sign_log
from gateway.audit.vault import opened_vault
from gateway.configuration.config import load_config, load_policy
from gateway.configuration.settings import AuditSettings
from gateway.homes.home import Home
from gateway.homes.home_lock import hold_home
from gateway.keys.key_store import KeyStore
from gateway.keys.pepper import load_peppers
from policies.audit_record import Actor

Json = dict[str, Any]


class NotTheOwner(Exception):
    """Files that another user's gateway could not read would be left behind; the message names the remedy."""


async def perform_offline(home: Home, act: str, arguments: Json) -> Json:
    """Do the act as this process's user and answer its result.

    Raises what `perform` raises, and HomeInUse, NotTheOwner, UnfitPepper, NoPlace, KeysNotOpened, AuditNotOpened,
    the faults of both files, and OSError.
    """
    _require_owner(home)
    async with AsyncExitStack() as held:
        held.enter_context(hold_home(home, shared=False))
        policy, peppers = load_policy(home.policy), load_peppers(home.pepper)
        consents = signers_of(load_config(home.config), home.path)
        keys = held.enter_context(closing(KeyStore.open(home.keys)))
        vault = held.enter_context(opened_vault(home))
        log = await _open_log(home, vault.persons, held)
        context = ActContext(
            keys=keys,
            policy=policy,
            peppers=lambda: peppers,
            random_bytes=secrets.token_bytes,
            stamp=stamp_now(),
            actor=Actor(kind="operator", id=str(os.getuid()), name=user_name(os.getuid()), method="home_lock"),
            record=log.record,
            holds=HoldBook(home.audit),
            vault=vault,
            changes_of=partial(changes_of, home),
            consents=consents,
        )
        return await perform(act, arguments, context)


async def _open_log(home: Home, persons: Persons, held: AsyncExitStack) -> AuditLog:
    host = this_host()
    place = held.enter_context(closing(hold_place(home.audit, host)))
    log = AuditLog.open(
        place.folder, node=host, segment_bytes=AuditSettings().segment_bytes, sealer=RecordSealer(persons)
    )
    held.push_async_callback(log.close)
    sign_log(log, place.folder)
    return log


def _require_owner(home: Home) -> None:
    owner = home.path.stat().st_uid
    if owner != os.geteuid():
        name = user_name(owner)
        raise NotTheOwner(f"{home.path} belongs to {name} and no gateway runs: run this command as {name}")
