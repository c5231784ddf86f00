"""SIGHUP: what is refused, and what has to wait for a restart."""

from dataclasses import replace

import pytest
from structlog.testing import capture_logs

from engine.settings import EngineSettings
from gateway.cli.main import main
from gateway.configuration.config import load_config
from gateway.configuration.settings import Config, ConsoleSettings, GatewaySettings, ListenSettings, TlsSettings
from gateway.homes.home import Home
from gateway.homes.run_folder import open_run_folder
from gateway.supervision.replacement import may_replace, settings_that_wait
from gateway.supervision.site import Site


@pytest.fixture
def site(tmp_path, capsys: pytest.CaptureFixture[str]) -> Site:
    assert main(["init", "--home", str(tmp_path / "home")]) == 0
    capsys.readouterr()
    home = Home(tmp_path / "home")
    open_run_folder(home.run)
    return Site(home=home, config_file=home.config, policy_file=home.policy, config=load_config(home.config))


def asked(site: Site) -> tuple[bool, list[dict]]:
    with capture_logs() as logs:
        may = may_replace(site)
    return may, logs


def test_nothing_is_said_where_nothing_changed(site: Site) -> None:
    assert asked(site) == (True, [])


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("public: {port: many}\n", "public.port"),
        ("tls: {certificate: tls/none.pem}\n", "tls.certificate is not there"),
        ("public: {proxy_protocol: true}\n", "proxy_protocol"),
    ],
)
def test_what_a_start_would_refuse_is_refused_with_its_lines(site: Site, text: str, word: str) -> None:
    site.config_file.write_text(text)
    may, [entry] = asked(site)
    assert (may, entry["event"]) == (False, "gateway_not_replaced")
    assert word in "\n".join(entry["faults"])


def test_a_faulty_policy_is_judged_as_the_new_gateway_would(site: Site) -> None:
    assert asked(site)[0]
    site.policy_file.write_text("teams: 3\n")
    may, [entry] = asked(site)
    assert (may, entry["event"]) == (True, "policy_kept")
    (site.home.run / "policy.kept").unlink()
    may, [entry] = asked(site)
    assert (may, "teams" in "\n".join(entry["faults"])) == (False, True)


def test_what_the_supervisor_keeps_is_named_in_one_line(site: Site) -> None:
    settings = "public: {port: 9443}\nengine: {slots: 4}\nadmin: {max_connections: 9}\nconsole: {enabled: true}\n"
    site.config_file.write_text(settings)
    may, [entry] = asked(site)
    assert (may, entry["event"]) == (True, "settings_need_restart")
    assert entry["settings"] == ["public.port: 8443 -> 9443", "engine.slots: null -> 4"]


def test_all_that_waits_and_nothing_else() -> None:
    began = Config()
    found = replace(
        began,
        public=ListenSettings(address="::1", idle_timeout_s=1.0),
        engine=EngineSettings(models=("m",)),
        gateway=GatewaySettings(processes=2, drain_s=9.0, stale_keys_s=9.0),
        tls=TlsSettings(host_openssl_config=True, profile="modern"),
        console=ConsoleSettings(enabled=True, port=9, client_certificates="optional"),
    )
    assert settings_that_wait(began, began) == []
    assert [text.split(":")[0] for text in settings_that_wait(began, found)] == [
        "public.address",
        "tls.host_openssl_config",
        "engine.models",
        "gateway.processes",
        "gateway.drain_s",
        "console.port",
        "console.enabled",
    ]
