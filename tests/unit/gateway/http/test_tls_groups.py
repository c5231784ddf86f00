"""The list of key exchange groups takes effect where OPENSSL_CONF names the shipped file, and is missed where not."""

import ssl
import subprocess
import sys
from pathlib import Path

import pytest

from gateway.http.tls_groups import openssl_config, takes_only_ours
from tests.authority import Authority

ROOT = Path(__file__).resolve().parents[4]
TRY = """
import ssl, sys
from gateway.http.tls_groups import takes_only_ours
from tests.unit.gateway.http.test_tls_groups import taken
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain(*sys.argv[1:3])
print(takes_only_ours(context), *taken(context))
"""


def taken(server: ssl.SSLContext) -> list[str]:
    """Which groups `server` goes on with when a client offers one alone."""
    found = []
    for group in ("X25519", "prime256v1", "secp384r1", "secp521r1", "X448"):
        client = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        client.check_hostname, client.verify_mode = False, ssl.CERT_NONE
        client.set_ecdh_curve(group)
        to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
        sides = client.wrap_bio(to_client, to_server), server.wrap_bio(to_server, to_client, server_side=True)
        try:
            for side in sides:
                try:
                    side.do_handshake()
                except ssl.SSLWantReadError:
                    continue
        except ssl.SSLError:
            continue
        found.append(group)
    return found


def run(config: Path | str, pair: tuple[Path, Path]) -> str:
    command = [sys.executable, "-c", TRY, *map(str, pair)]
    environment = {"OPENSSL_CONF": str(config), "PYTHONPATH": str(ROOT)}
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=True, timeout=60).stdout


def test_the_shipped_file_restricts_the_groups(tmp_path):
    pair = Authority(tmp_path).server()
    assert run(openssl_config(), pair) == "True X25519 prime256v1 secp384r1\n"


def test_a_file_that_is_not_there_or_names_an_unknown_group_is_missed(tmp_path):
    pair = Authority(tmp_path).server()
    unknown = tmp_path / "unknown.cnf"
    unknown.write_text(openssl_config((3, 0, 0)).read_text().replace("X25519:", "NO-SUCH-GROUP:X25519:"))
    for config in (tmp_path / "gone.cnf", unknown):
        assert run(config, pair).startswith("False ")


def test_a_later_setting_counts_too(tmp_path):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*Authority(tmp_path).server())
    assert not takes_only_ours(context)
    context.set_ecdh_curve("prime256v1")
    assert takes_only_ours(context)


@pytest.mark.parametrize(("version", "name"), [((3, 0, 19), "classic"), ((3, 5, 0), "hybrid"), ((4, 0, 1), "hybrid")])
def test_the_hybrid_group_is_named_only_where_it_is_known(version, name):
    config = openssl_config(version)
    assert config.name == f"openssl-{name}.cnf"
    assert ("X25519MLKEM768:X25519:P-256:P-384" in config.read_text()) == (name == "hybrid")
    assert "X25519:P-256:P-384" in config.read_text()
