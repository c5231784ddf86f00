"""Writes docs/authorization.md from the route tables and the table of access.

`python -m gateway.authorization_reference` writes the page, `--check` compares it and ends with status 1
when it is stale.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from gateway.dialects.route import Route
from gateway.route_tables import tables_to_read
from policies.access import ACCESS, EVERY_KIND, Kind, Scope

PAGE = Path("docs/authorization.md")
KIND_NAMES: dict[Kind, str] = {
    "api_key": "API key",
    "jwt": "JWT",
    "certificate": "client certificate",
    "ssh_key": "registered public key",
    "session": "session of the console",
}
HEAD = """# Authorization

Default deny. A request is let in when every one of these says so, in this order: the networks for all and of the
listener, the credential and its own networks, the request rate, the scope below, the team's networks, the team's
models. What has no row here does not exist. This page is generated from the route tables and `policies/access.py`:
`python -m gateway.authorization_reference`.

A credential holds scopes: a key those it was made with, a JWT or a certificate those that `policy.yaml` maps it to,
a registered public key `models` and `inference`, a session of the console `inference` for the chat. No credential may
hold `admin` and `auditor`. The console's pages are not in here: [console.md](console.md) says who may see which.
"""
MODELS = """## Models

On every route and in every dialect a model is one that the team's `models` name, and the credential's own list where
it has one. Any other is answered like one that does not exist, to the byte, and stands in no list.
"""


def build_page() -> str:
    """The whole page."""
    return "\n".join([HEAD, _scopes(), *_routes(), MODELS])


def main(argv: Sequence[str] | None = None) -> int:
    """Write the page, or with `--check` compare it."""
    parser = argparse.ArgumentParser(prog="gateway.authorization_reference")
    parser.add_argument("--check", action="store_true")
    page = build_page()
    if not parser.parse_args(argv).check:
        PAGE.write_text(page, encoding="utf-8")
    elif not PAGE.exists() or PAGE.read_text(encoding="utf-8") != page:
        sys.stderr.write(f"{PAGE} is stale: run 'make fix'\n")
        return 1
    return 0


def _scopes() -> str:
    kinds = [kind for kind in KIND_NAMES if kind in EVERY_KIND]
    lines = [
        "## Scopes and credentials\n",
        f"| scope | {' | '.join(KIND_NAMES[kind] for kind in kinds)} | listeners |",
        "|---|" + "---|" * (len(kinds) + 1),
    ]
    for scope, access in ACCESS.items():
        marks = ["yes" if kind in access.kinds else "no" for kind in kinds]
        if scope == "open":
            marks = ["not asked for"] * len(kinds)
        lines.append(f"| `{scope}` | {' | '.join(marks)} | {', '.join(sorted(access.listeners))} |")
    return "\n".join(lines) + "\n"


def _routes() -> list[str]:
    tables = tables_to_read()
    return [
        "\n".join(
            [
                f"## Routes of the {listener} listener\n",
                "| method | path | scope | body, at most |",
                "|---|---|---|---|",
                *map(_row, table.routes),
                "",
            ]
        )
        for listener, table in tables.items()
    ]


def _row(route: Route) -> str:
    scope: Scope = route.scope
    body = f"{route.body_limit_bytes // 1024} KiB" if route.body_limit_bytes else "none"
    return f"| {', '.join(route.method_names)} | `{route.path}` | `{scope}` | {body} |"


if __name__ == "__main__":
    sys.exit(main())
