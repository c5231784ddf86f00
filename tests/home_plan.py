"""The plan of a home for tests that make one themselves."""

import secrets
import time

from gateway.admin.new_home import HomePlan
from policies.audit_record import Actor, Stamp

PLAN = HomePlan(
    names=("localhost",),
    actor=Actor(kind="operator", id="1000", name="anna", method="process"),
    leave_key=False,
    stamp=Stamp(time.time_ns() // 1000, 1, "boot"),
    random_bytes=secrets.token_bytes,
)
