"""`corral serve`: checks everything that can be checked, then supervises until Ctrl-C."""

import argparse
import asyncio
import ipaddress
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gateway.cli.output import BAD_INPUT, CommandFault, emit

if TYPE_CHECKING:
    import socket

    from gateway.configuration.settings import Config
    from gateway.homes.home import Home
    from gateway.supervision.site import Site
    from gateway.supervision.start_up import Listeners
    from policies.policy import Policy


def add_commands(commands: Any, common: argparse.ArgumentParser) -> None:
    """Declare `serve`."""
    serve = commands.add_parser("serve", parents=[common], help="run the gateway and its models until Ctrl-C")
    serve.add_argument("--config", type=Path, help="the machine's settings (default: config.yaml in the home)")
    serve.add_argument("--policy", type=Path, help="who may call (default: policy.yaml in the home)")
    serve.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Serve. Status 2 for a fault in either file, 1 for what else prevents it, 0 after a drained stop."""
    from gateway.configuration.config import ConfigFaults
    from gateway.homes.home import open_home
    from gateway.logs import configure_logs
    from gateway.supervision.start_faults import start_faults

    configure_logs(sys.stderr, "info")
    home = open_home(arguments.home)
    try:
        site, policy = _load(home, arguments.config, arguments.policy)
    except ConfigFaults as fault:
        return _refuse(str(fault).splitlines())
    if faults := start_faults(home, site.config, policy):
        return _refuse(faults)
    return _serve(site, arguments)


def _load(home: "Home", config: Path | None, policy: Path | None) -> "tuple[Site, Policy]":
    """Both files; the faults of both together."""
    from gateway.configuration.config import ConfigFaults, load_config, load_policy
    from gateway.policy_file.policy_reading import open_policy_file
    from gateway.supervision.site import Site

    config_file, policy_file = (config or home.config).resolve(), (policy or home.policy).resolve()
    try:
        settings = load_config(config_file)
    except ConfigFaults as faults:
        try:
            load_policy(policy_file)
        except ConfigFaults as more:
            raise ConfigFaults(f"{faults}\n{more}") from None
        raise
    people = open_policy_file(policy_file, settings, home.path).load().policy
    return Site(home=home, config_file=config_file, policy_file=policy_file, config=settings), people


def _serve(site: "Site", arguments: argparse.Namespace) -> int:
    from engine.plan import PlanFault
    from engine.private_memory import keep_memory_private
    from engine.store.store_fault import StoreFault
    from gateway.homes.run_folder import RunFolderFault, only_supervisor, open_run_folder
    from gateway.policy_file.kept_policy import KeptPolicy
    from gateway.supervision.listening import ListenFault
    from gateway.supervision.start_up import bind_listeners, plan_site, supervise
    from gateway.supervision.wall_trial import wall_faults

    keep_memory_private()
    try:
        with only_supervisor(open_run_folder(site.home.run)):
            KeptPolicy(site.home.run).forget()
            listeners = bind_listeners(site.config)
            plan = plan_site(site)
            if plan.processes and (faults := wall_faults(site.config.engine.sandbox)):
                return _refuse(faults)
            return asyncio.run(supervise(site, plan, listeners, lambda: _announce(site, listeners, arguments)))
    except PlanFault as fault:
        return _refuse(str(fault).splitlines())
    except (ListenFault, RunFolderFault, StoreFault, OSError) as fault:
        raise CommandFault(str(fault)) from None


def _announce(site: "Site", listeners: "Listeners", arguments: argparse.Namespace) -> None:
    """Once the gateway accepts: where, and how to stop it."""
    url = public_url(site.config, listeners.public.getsockname()[1])
    ca_file = str(site.home.ca_certificate)
    console = {} if listeners.console is None else {"console": console_url(site.config, listeners.console)}
    pages = "".join(f"\n  Console  {each}" for each in console.values())
    lines = f"  CA file  {ca_file}\n  Ctrl-C stops it; running answers are finished first."
    text = f"Corral serves on {url}{pages}\n{lines}"
    emit(arguments, {"url": url, "ca_file": ca_file, **console}, text)
    sys.stdout.flush()


def public_url(config: "Config", port: int) -> str:
    """The public listener's URL as a client on this machine writes it."""
    return f"{'http' if config.public.unsafe_no_tls else 'https'}://{_host(config.public.address)}:{port}"


def console_url(config: "Config", listening: "socket.socket") -> str:
    """The console's address as a browser on this machine writes it."""
    return f"https://{_host(config.console.address)}:{listening.getsockname()[1]}/"


def _host(text: str) -> str:
    """An address that this machine reaches the listener by."""
    address = ipaddress.ip_address(text)
    if address.is_unspecified:
        address = ipaddress.ip_address("127.0.0.1" if address.version == 4 else "::1")
    return f"[{address}]" if address.version == 6 else str(address)


def _refuse(faults: list[str]) -> int:
    """All faults, one line each; status 2."""
    for fault in faults:
        print(f"corral: {fault}", file=sys.stderr)
    return BAD_INPUT
