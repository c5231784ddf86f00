"""Where may a sign-in send the browser and the client's secret? By the provider's own discovery document.

The checks on the document (OpenID Connect Discovery 1.0 section 4.3, RFC 8414, RFC 9700), in this order:
 (1) it names the configured issuer, letter for letter
 (2) the code flow is on offer, where it lists what is
 (3) so is PKCE with S256, where it lists that: a provider that knows only `plain` or none is not signed in with
 (4) authorization and token endpoint are https (http on this machine only, and never from an https document),
     on the document's own host or one that `hosts` names, exactly: who can change the document must not choose
     who is sent the client's secret
 (5) a way to show that secret that we know: in the header (RFC 6749 section 2.3.1) or else in the form
 (6) an end of session that breaks (4) is left out: signing out then ends at the console
The key set's address is checked for itself where keys are fetched (`policies.tokens.discovery`).
"""

from collections.abc import Sequence
from typing import Any

from msgspec import Struct

from policies.tokens.issuer_url import IssuerUrl, read_issuer_url
from policies.tokens.strict_json import read_strict_object


class Endpoints(Struct, frozen=True, kw_only=True):
    """What a sign-in needs of the provider.

    `secret_in_form`: the client's secret goes into the form, not the header. `names_issuer`: each way back must name
    the issuer (RFC 9207). `end_session` is "" where there is none.
    """

    issuer: str
    authorization: str
    token: IssuerUrl
    secret_in_form: bool
    names_issuer: bool
    end_session: str = ""


def read_endpoints(document: bytes, issuer: str, asked: IssuerUrl, hosts: Sequence[str]) -> Endpoints:
    """The endpoints in `document`, which `asked` answered. Raises ValueError with a sentence that repeats nothing."""
    fields = read_strict_object(document)
    if fields.get("issuer") != issuer:  # (1)
        raise ValueError("a discovery document of another issuer")
    if "code" not in _listed(fields, "response_types_supported", ["code"]):  # (2)
        raise ValueError("a provider without the code flow")
    if "S256" not in _listed(fields, "code_challenge_methods_supported", ["S256"]):  # (3)
        raise ValueError("a provider without PKCE by S256")
    authorization = _endpoint(fields, "authorization_endpoint", asked, hosts)  # (4)
    token = _endpoint(fields, "token_endpoint", asked, hosts)
    ways = _listed(fields, "token_endpoint_auth_methods_supported", ["client_secret_basic"])
    if not {"client_secret_basic", "client_secret_post"} & set(ways):  # (5)
        raise ValueError("a provider that takes the client's secret neither in the header nor in the form")
    return Endpoints(
        issuer=issuer,
        authorization=_spelt(authorization),
        token=token,
        secret_in_form="client_secret_basic" not in ways,
        names_issuer=fields.get("authorization_response_iss_parameter_supported") is True,
        end_session=_end_session(fields, asked, hosts),
    )


def _listed(fields: dict[str, Any], name: str, without: list[str]) -> list[Any]:
    """The list called `name`, `without` where the document has none."""
    found = fields.get(name, without)
    if not isinstance(found, list):
        raise ValueError(f"a discovery document whose {name} is no list")
    return found


def _endpoint(fields: dict[str, Any], name: str, asked: IssuerUrl, hosts: Sequence[str]) -> IssuerUrl:
    text = fields.get(name)
    if not isinstance(text, str):
        raise ValueError(f"a discovery document without {name}")
    url = read_issuer_url(text)
    if url.host not in (asked.host, *(host.lower() for host in hosts)):
        raise ValueError(f"a discovery document whose {name} is on a host that hosts does not name")
    if asked.scheme == "https" and url.scheme != "https":
        raise ValueError(f"a discovery document whose {name} is in clear")
    return url


def _end_session(fields: dict[str, Any], asked: IssuerUrl, hosts: Sequence[str]) -> str:  # (6)
    try:
        return _spelt(_endpoint(fields, "end_session_endpoint", asked, hosts))
    except ValueError:
        return ""


def _spelt(url: IssuerUrl) -> str:
    return f"{url.origin}{url.path}"
