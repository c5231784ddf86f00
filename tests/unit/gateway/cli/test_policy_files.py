"""Files that a policy names and that are not there."""

from pathlib import Path

from tests.unit.gateway.cli.command_line import Corral

ISSUER = """
teams: {a: {models: [m]}, default: {models: [m]}}
networks: {allow: []}
issuers:
  one:
    issuer: https://idp.example
    audiences: [corral]
    team: a
"""


def test_what_is_not_there_is_told_with_its_line(corral: Corral, tmp_path: Path) -> None:
    file = tmp_path / "new.yaml"
    file.write_text(f"{ISSUER}    jwks_file: keys.json\n")
    missing = corral.home.path / "keys.json"
    warning = f"warning: {file}:9: issuers.one.jwks_file names {missing}, which is not there"
    assert corral.json("policy", "check", str(file))["warnings"] == [warning]
    missing.write_text("{}")
    assert corral.json("policy", "check", str(file))["warnings"] == []


def test_a_ca_file_and_what_needs_no_file(corral: Corral, tmp_path: Path) -> None:
    file = tmp_path / "new.yaml"
    file.write_text(f"{ISSUER}    discovery: true\n    ca_file: tls/company.pem\n")
    [warning] = corral.json("policy", "check", str(file))["warnings"]
    assert "issuers.one.ca_file names " in warning
    file.write_text(f"{ISSUER}    discovery: true\n")
    assert corral.json("policy", "check", str(file))["warnings"] == []


def test_without_a_home_no_file_is_looked_for(tmp_path: Path, capsys) -> None:
    file = tmp_path / "new.yaml"
    file.write_text(f"{ISSUER}    jwks_file: keys.json\n")
    assert Corral(tmp_path / "nowhere", capsys).json("policy", "check", str(file))["warnings"] == []
