"""Tokens that must never be taken: the playbook of jwt_tool, and the holes that JWT libraries had.

All are made for an issuer with the keys `rsa-1`, `ec-1` and `ed-1`; GOOD is the token that they attack.
"""

import hashlib
import hmac
import json
from typing import Any

from tests.tokens import b64, claims, header, jwk, pem, sign


def forged(head: dict[str, Any], signature: bytes | str = "") -> str:
    spelt = signature if isinstance(signature, str) else b64(signature)
    return f"{b64(json.dumps(head))}.{b64(json.dumps(claims()))}.{spelt}"


def hmac_forged(alg: str, secret: bytes, **members: Any) -> str:

    signing = forged(header(alg=alg, **members)).rpartition(".")[0]
    digest = {"HS256": hashlib.sha256, "HS384": hashlib.sha384, "HS512": hashlib.sha512}[alg]
    return f"{signing}.{b64(hmac.new(secret, signing.encode(), digest).digest())}"


GOOD = sign()
SIGNED, _, SIGNATURE = GOOD.rpartition(".")
HEAD, _, BODY = SIGNED.partition(".")
SECRETS = {
    "pem": pem("rsa-1"), "pem without end": pem("rsa-1").strip(), "jwk": json.dumps(jwk("rsa-1")).encode(),
    "n": jwk("rsa-1")["n"].encode(), "ec pem": pem("ec-1"), "empty": b"", "secret": b"secret", "null": b"\0" * 32,
    "kid": b"rsa-1",
}  # fmt: skip

PLAYBOOK: dict[str, str] = {
    **{f"alg {alg}": forged(header(alg=alg), SIGNATURE)
       for alg in ("none", "None", "NONE", "nOnE", "", "null", "HS256", "RS1", "ES256K", "rs256", "RS256.")},
    **{f"alg {alg} without signature": forged(header(alg=alg)) for alg in ("none", "None", "NONE", "nOnE", "RS256")},
    **{f"alg {alg} with one byte": forged(header(alg=alg), b"\0") for alg in ("none", "None", "NONE", "nOnE")},
    **{f"{alg} with {name}": hmac_forged(alg, secret)
       for alg in ("HS256", "HS384", "HS512") for name, secret in SECRETS.items()},
    **{f"kid {kid!r}": sign(head=header(kid=kid)) for kid in (
        "../../dev/null", "/dev/null", "rsa-2", "ec-1", "ed-1", "' OR '1'='1", "x'; DROP TABLE keys;--", "| sleep 9",
        "\x00", "rsa-1\x00", "RSA-1", "http://evil.example/key", "file:///dev/null", "%00", "rsa-1 ", "\uff10",
    )},
    **{f"HS256, kid {kid!r}": hmac_forged("HS256", b"", kid=kid) for kid in ("/dev/null", "' UNION SELECT ''--")},
    "jku": sign(head=header(jku="https://evil.example/jwks")),
    "jku of the issuer": sign(head=header(jku="https://id.example/keys")),
    "x5u": sign(head=header(x5u="https://evil.example/c.pem")),
    "jwk": sign(head=header("rsa-2", jwk=jwk("rsa-2")), name="rsa-2"),
    "jwk under our kid": sign(head=header(jwk=jwk("rsa-2")), name="rsa-2"),
    "x5c": sign(head=header(x5c=["MIIB"])),
    "crit exp": sign(head=header(crit=["exp"])),
    "crit b64": sign(head=header(crit=["b64"], b64=False)),
    "crit empty": sign(head=header(crit=[])),
    "b64 false": sign(head=header(b64=False)),
    "zip": sign(head=header(zip="DEF")),
    "cty nested": sign(head=header(cty="JWT")),
    "two algs": sign(head=b'{"alg":"none","typ":"at+jwt","kid":"rsa-1","alg":"RS256"}'),
    "another's key under our kid": sign(head=header(), name="rsa-2"),
    "no signature": f"{SIGNED}.",
    "no signature, no dot": SIGNED,
    "zero signature": f"{SIGNED}.{b64(bytes(256))}",
    "short signature": f"{SIGNED}.{SIGNATURE[:-4]}",
    "long signature": f"{SIGNED}.{SIGNATURE}AAAA",
    "padded signature": f"{GOOD}=",
    "padded signature twice": f"{GOOD}==",
    "padded header": f"{HEAD}=.{BODY}.{SIGNATURE}",
    "four parts": f"{GOOD}.{SIGNATURE}",
    "five parts": f"{HEAD}..{BODY}.{SIGNATURE}.x",
    "blank before": f" {GOOD}",
    "newline after": f"{GOOD}\n",
    "parts of two tokens": f"{SIGNED}.{sign(claims(sub='eve')).rpartition('.')[2]}",
    "claims changed": f"{HEAD}.{b64(json.dumps(claims(sub='eve')))}.{SIGNATURE}",
    "claims longer": f"{HEAD}.{b64(json.dumps(claims()) + ' ')}.{SIGNATURE}",
    "JSON serialization": json.dumps({"protected": HEAD, "payload": BODY, "signature": SIGNATURE}),
    "PS256 for RS256": forged(header(alg="PS256"), SIGNATURE),
    "ES256 zero (CVE-2022-21449)": forged(header("ec-1", "ES256"), bytes(64)),
    "ES256 n": forged(header("ec-1", "ES256"), bytes(31) + b"\1" + bytes(32)),
    "ES256 in DER": forged(header("ec-1", "ES256"), bytes.fromhex("3006020101020101")),
    "EdDSA zero": forged(header("ed-1", "EdDSA"), bytes(64)),
    "EdDSA with an RSA key": forged(header("rsa-1", "EdDSA"), bytes(64)),
    "ES256 with an RSA key": forged(header("rsa-1", "ES256"), bytes(64)),
}  # fmt: skip
