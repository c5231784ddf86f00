"""A real Corral with its console and an identity provider: commands, processes, TLS and log as an operator has them.

Two scripted models run in its own pool: `helper` answers a sentence, `prankster` answers markup that would run if a
page took it for its own. Callers come from several addresses of 127.0.0.0/8. To a browser console and provider are two
sites: one is called localhost, the other 127.0.0.1.
"""

import http.client
import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml
from msgspec import Struct

from gateway.admin.first_records import write_first_records
from gateway.cli.admin_client import call_act
from gateway.homes.home import Home, open_home
from tests.authority import Authority
from tests.browser.yesterday import refused_yesterday
from tests.e2e.serving import REPOSITORY, Corral, free_port, until
from tests.families import VICUNA
from tests.scripted_model import write_scripted

HELPER, PRANKSTER = "helper:1b", "prankster:1b"
SCRIPTS = {
    HELPER: (" The ward ", "opens ", "at seven."),
    PRANKSTER: ("<script>alert(1)</script>", "<img src=x onerror=alert(2)>", "<b>bold</b>"),
}
TEAMS: dict[str, dict[str, Any]] = {
    "clinic": {"models": ["*"], "weight": 3, "key_limits": {"requests_per_minute": 6000, "burst_requests": 6000}},
    "default": {"models": ["*"]},
    "nightly": {"models": [HELPER], "limits": {"requests_per_minute": 1, "burst_requests": 2}},
    "research": {"models": [HELPER], "networks": {"allow": ["127.0.0.0/28"]}},
}
ROLES = [
    {"role": "admin", "groups": ["/corral-admins"]},
    {"role": "auditor", "groups": ["/corral-auditors"], "certificates": ["email:cora@example.org"]},
    {"role": "team-lead", "groups": ["/corral-leads"], "teams": ["research"]},
]
"""By the groups of the provider's people: ada, audrey and leo. nora has none of them; cora has a certificate."""
ENDS_WITHIN_S = 60.0
ENGINE = {"slots": 2, "context_tokens": 512, "embeddings": False}


class Answer(Struct, frozen=True):
    """What a caller of the API got."""

    status: int
    body: bytes
    request_id: str


class ConsoleHouse:
    """`url` is the console's, `provider` what the identity provider says of itself.

    `admin_key` has the scope that signs in when all else fails.
    """

    def __init__(self, folder: Path, console_port: int, provider: dict[str, str]) -> None:
        self.url = f"https://localhost:{console_port}"
        self.provider = provider
        oidc = {
            "issuer": provider["issuer"],
            "client_id": provider["client_id"],
            "client_secret_file": provider["secret_file"],
            "ca_file": provider["ca_file"],
        }
        self.authority = Authority(folder)
        settings = {"enabled": True, "port": console_port, "oidc": oidc, "client_certificates": "optional"}
        tls = {"client_ca": str(self.authority.bundle)}
        self.corral = Corral(folder, engine=ENGINE, back_door={"enabled": False}, console=settings, tls=tls)
        self._folder = folder
        self.admin_key = ""

    @property
    def home(self) -> Home:
        return open_home(self.corral.home)

    @property
    def certificates(self) -> tuple[Path, Path]:
        """The console's and the provider's, whose keys a browser may trust."""
        return self.corral.home / "tls" / "server.pem", Path(self.provider["certificate"])

    def make(self, policy: dict[str, Any]) -> "ConsoleHouse":
        self.corral.make(None)
        for name, script in SCRIPTS.items():
            file = write_scripted(self._folder / f"{name.partition(':')[0]}.gguf", VICUNA, script)
            self.corral.command("models", "import", str(file), name)
        self.write_policy(policy)
        return self

    def write_policy(self, policy: dict[str, Any]) -> None:
        (self.corral.home / "policy.yaml").write_text(yaml.safe_dump(policy, sort_keys=False))

    def change_policy(self, policy: dict[str, Any]) -> None:
        """Write it under the running gateway, and wait until it holds."""
        before = self.act("policy")
        self.write_policy(policy)
        assert until(lambda: self.act("policy") != before), "the policy was not taken"

    def act(self, name: str, **arguments: Any) -> dict[str, Any]:
        """An admin act by the command's own way: over the socket, as this user."""
        return call_act(self.home, name, arguments)

    def new_key(self, team: str, **terms: Any) -> dict[str, Any]:
        return self.act("keys.create", team=team, **terms)

    def chat(self, key: str, model: str = HELPER, *, address: str = "127.0.0.1", agent: str = "tests") -> Answer:
        """One short chat by a caller at `address`."""
        body = {"model": model, "messages": [{"role": "user", "content": "When?"}], "stream": False}
        headers = {"Authorization": f"Bearer {key}", "User-Agent": agent}
        connection = http.client.HTTPSConnection(
            "127.0.0.1", self.corral.port, context=self.corral.tls(), timeout=60, source_address=(address, 0)
        )
        try:
            connection.request("POST", "/api/chat", json.dumps(body), headers)
            response = connection.getresponse()
            return Answer(response.status, response.read(), response.headers.get("X-Request-Id", ""))
        finally:
            connection.close()


@contextmanager
def open_house(folder: Path, policy: dict[str, Any]) -> Iterator[ConsoleHouse]:
    """A house that serves, stopped at the end with status 0."""
    folder.mkdir(parents=True, exist_ok=True)
    port = free_port()
    with identity_provider(folder / "provider", f"https://localhost:{port}/oidc/callback") as provider:
        house = ConsoleHouse(folder, port, provider).make(policy)
        write_first_records(house.home, refused_yesterday())
        house.corral.start()
        try:
            house.admin_key = house.new_key("default", scopes=["admin"], owner="Olga Berg", purpose="emergency")["key"]
            yield house
        finally:
            status = house.corral.stop()
        assert status == 0, house.corral.log()


@contextmanager
def identity_provider(folder: Path, redirect_uri: str) -> Iterator[dict[str, str]]:
    """The provider of tests/oidc_provider.py in a process of its own: what it prints, and its `certificate`."""
    argv = [sys.executable, "-m", "tests.oidc_provider", "--folder", str(folder), "--redirect-uri", redirect_uri]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, text=True, cwd=REPOSITORY) as process:
        assert process.stdout is not None
        try:
            told = dict(json.loads(process.stdout.readline()))
            yield told | {"certificate": str(folder / "oidc-server.pem")}
        finally:
            process.terminate()
            process.wait(ENDS_WITHIN_S)
