"""Where an issuer's keys lie, by its own discovery document (OpenID Connect Discovery 1.0, RFC 8414).

Rules:
- The document names the configured issuer, letter for letter (section 4.3): without it one provider could
  speak for another. AD FS names the issuer of access tokens in a field of its own, so there it may be either.
- `jwks_uri` is https (http on this machine only) and lies on the document's own host, or on a host that
  `jwks_hosts` names, exactly: whoever can change the document must not choose where keys come from.
- The port may differ; the scheme may not fall from https to http.
"""

from policies.tokens.issuer import Issuer
from policies.tokens.issuer_url import IssuerUrl, read_issuer_url
from policies.tokens.strict_json import read_strict_object


def key_set_url(document: bytes, issuer: Issuer, asked: IssuerUrl) -> IssuerUrl:
    """The key set's address, from the `document` that `asked` answered. Raises ValueError, repeating nothing of it."""
    fields = read_strict_object(document)
    if issuer.issuer not in [fields.get(name) for name in issuer.product.issuer_fields]:
        raise ValueError("a discovery document of another issuer")
    text = fields.get("jwks_uri")
    if not isinstance(text, str):
        raise ValueError("a discovery document without jwks_uri")
    url = read_issuer_url(text)
    if url.host not in (asked.host, *(host.lower() for host in issuer.jwks_hosts)):
        raise ValueError("a discovery document whose jwks_uri is on a host that jwks_hosts does not name")
    if asked.scheme == "https" and url.scheme != "https":
        raise ValueError("a discovery document whose jwks_uri is in clear")
    return url
