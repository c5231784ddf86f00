"""A home with every limit and list switched on, none of them in the way."""

import secrets
import time
from pathlib import Path

from gateway.admin.new_home import HomePlan, make_home
from gateway.configuration.config import load_config, parse_policy, policy_hash
from gateway.policy_in_force import PolicyInForce
from gateway.setting import Setting
from policies.audit_record import Actor, Stamp

NETWORKS = "\n".join(f"      - 10.{high}.{low}.0/24" for high in range(4) for low in range(250))
ALL_LIMITS = """
    requests_per_minute: 60000000
    burst_requests: 1000000
    concurrent_requests: 1000
    prompt_tokens_per_minute: 1000000000
    output_tokens_per_minute: 1000000000
    tokens_per_day: 1000000000000
    tokens_per_month: 1000000000000
"""
POLICY = f"""
networks:
    allow: [127.0.0.0/8]
    deny:
{NETWORKS}
limits: {ALL_LIMITS}
address_limits: {ALL_LIMITS}
teams:
  default:
    models: [m]
    networks: {{allow: [127.0.0.0/8]}}
    limits: {ALL_LIMITS.replace("    ", "      ")}
    key_limits: {ALL_LIMITS.replace("    ", "      ")}
"""


def make_bench_home(folder: Path) -> tuple[Setting, str]:
    """What a gateway process would be given, without sockets, and the text of a key."""
    plan = HomePlan(
        names=(),
        actor=Actor(kind="operator", id="0", name="bench", method="process"),
        leave_key=False,
        stamp=Stamp(time.time_ns() // 1000, 1, "bench"),
        random_bytes=secrets.token_bytes,
    )
    made = make_home(folder / "home", plan)
    made.home.policy.write_text(POLICY)
    data = made.home.policy.read_bytes()
    in_force = PolicyInForce(policy=parse_policy(data, made.home.policy), hash=policy_hash(data))
    setting = Setting(
        home=made.home,
        config=load_config(made.home.config),
        policy_file=made.home.policy,
        in_force=in_force,
        sockets={},
    )
    return setting, made.first_key.text
