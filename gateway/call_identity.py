"""How the same request of the same caller is known again, without keeping any of it."""

import hashlib

import msgspec
from msgspec import structs

from policies.call import Call

DIGEST_BYTES = 16


def call_identity(caller: str, call: Call) -> bytes:
    """A digest of who asks (`Principal.limit_name`) and of the call, without its deadline.

    Whoever comes back at the moment booked for it has less time left, and is the same.
    """
    digest = hashlib.blake2b(caller.encode(), digest_size=DIGEST_BYTES)
    digest.update(b"\0")
    digest.update(msgspec.msgpack.encode(structs.replace(call, deadline_s=None)))
    return digest.digest()
