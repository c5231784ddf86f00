"""What is known of one request of the console so far, and the parts that its steps work with."""

from dataclasses import dataclass, field

from gateway.console.judge import Judge
from gateway.console.page import Language
from gateway.console.sign_in import SignIn
from gateway.console.table import ConsoleTable
from gateway.console.words import chosen_language
from gateway.exchange import Exchange
from gateway.gate import Gate
from gateway.incoming import Incoming, Reply
from policies.console.browser_request import header
from policies.console.session import Session
from policies.console.viewer import Viewer
from policies.credentials.client_certificate import ClientCertificate


@dataclass(frozen=True, slots=True, kw_only=True)
class Desk:
    """The parts that the steps of every request need. `form_bytes` bounds any form, `form_timeout_s` its arrival."""

    gate: Gate
    table: ConsoleTable
    sign_in: SignIn
    judge: Judge
    form_bytes: int
    form_timeout_s: float

    def now_us(self) -> int:
        """Unix microseconds."""
        return self.gate.clock.unix_ns() // 1000

    def now_s(self) -> float:
        """Unix seconds."""
        return self.gate.clock.unix_ns() / 1e9


@dataclass(slots=True, kw_only=True)
class Asked:
    """One request. The steps fill it in their order; a page's frame and a refusal's record are made from it."""

    exchange: Exchange
    incoming: Incoming
    reply: Reply
    path: str = "/"
    query: dict[str, str] = field(default_factory=dict)
    cookies: dict[str, str] = field(default_factory=dict)
    session: Session | None = None
    viewer: Viewer | None = None

    @property
    def client(self) -> str:
        """The client's address as text; empty before it is known."""
        return str(self.exchange.client or "")

    @property
    def certificate(self) -> ClientCertificate | None:
        """The connection's; not judged yet."""
        return self.incoming.tls.client_certificate if self.incoming.tls else None

    @property
    def by_script(self) -> bool:
        """A page's script asks, not a person."""
        return self.header(b"sec-fetch-dest") == "empty"

    @property
    def lang(self) -> Language:
        """The language to answer in."""
        kept = self.session.lang if self.session is not None else ""
        return chosen_language(self.query.get("lang", ""), kept, self.header(b"accept-language"))

    def header(self, name: bytes) -> str:
        """One header's text, "" without it."""
        return header(self.incoming.headers, name)
