"""What `corral serve` refuses to find on disk.

TLS files that are missing or closed to it, secrets that others can read, folders it cannot write, no space, and a
slow parser.
"""

import os
import shutil
import stat
from collections.abc import Iterator
from pathlib import Path

from gateway.configuration.settings import Config
from gateway.homes.home import Home
from gateway.http.http_handler import assert_c_parser
from gateway.http.self_test import UnfitParser

LEAST_FREE_BYTES = 1024 * 1024  # a few thousand records; with less, the first requests would already be refused


def file_faults(home: Home, config: Config) -> list[str]:
    """All faults of the files that `config` and `home` name, one line each with its remedy."""
    faults = []
    for name, path in (*_tls_files(home, config), *_authorities(home, config)):
        faults += _unreadable(name, path)
    for name, path in _secrets(home, config):
        faults += _unreadable(name, path) or _readable_by_others(path)
    return faults + _unwritable(home) + _no_space(home)


def parser_faults() -> list[str]:
    """The fault of a parser that may not face a network; the gateway would refuse it too, but only as it starts."""
    try:
        assert_c_parser()
    except UnfitParser as fault:
        return [str(fault)]
    return []


def _tls_files(home: Home, config: Config) -> Iterator[tuple[str, Path]]:
    """The public ones; the key is among the secrets."""
    if not _some_tls(config):
        return
    for name in ("certificate", "client_ca", "client_crl"):
        if text := getattr(config.tls, name):
            yield f"tls.{name}", home.path / text


def _authorities(home: Home, config: Config) -> Iterator[tuple[str, Path]]:
    """Whom the gateway trusts to be an upstream, a witness, a collector, an identity provider or a host of `egress`."""
    for upstream in config.upstreams:
        if upstream.ca_file is not None:
            yield f"upstreams {upstream.name} ca_file", home.path / upstream.ca_file
    audit = config.audit
    for ca_file in (*(each.ca_file for each in audit.witnesses), *(each.ca_file for each in audit.anchors)):
        if ca_file is not None:
            yield "the ca_file of a witness or anchor", home.path / ca_file
    oidc = config.console.oidc
    if config.console.enabled and oidc is not None and oidc.ca_file is not None:
        yield "console.oidc.ca_file", home.path / oidc.ca_file
    for host in config.egress.hosts:
        if host.ca_file is not None:
            yield f"the ca_file of {host.host} under egress.hosts", home.path / host.ca_file


def _secrets(home: Home, config: Config) -> Iterator[tuple[str, Path]]:
    yield "the pepper", home.pepper
    yield "the key store", home.keys
    if config.tls.key and _some_tls(config):
        yield "tls.key", home.path / config.tls.key
    for upstream in config.upstreams:
        if upstream.api_key_file is not None:
            yield f"upstreams {upstream.name} api_key_file", home.path / upstream.api_key_file
    for anchor in config.audit.anchors:
        if anchor.api_key_file is not None:
            yield "the api_key_file of an anchor", home.path / anchor.api_key_file
    if config.console.enabled and config.console.oidc is not None:
        yield "console.oidc.client_secret_file", home.path / config.console.oidc.client_secret_file
    for host in config.egress.hosts:
        if host.proxy_login_file is not None:
            yield f"the proxy_login_file of {host.host} under egress.hosts", home.path / host.proxy_login_file


def _some_tls(config: Config) -> bool:
    return not (config.public.unsafe_no_tls and config.admin.unsafe_no_tls)


def _unreadable(name: str, path: Path) -> list[str]:
    try:
        there = stat.S_ISREG(path.stat().st_mode)
    except PermissionError:
        return [f"{name} is in a folder that is closed to this user: {path}"]
    except OSError:
        there = False
    if not there:
        return [f"{name} is not there: {path} (restore it, or make a new home with 'corral init')"]
    if not os.access(path, os.R_OK):
        return [f"{name} cannot be read by this user: {path} (give it read access)"]
    return []


def _unwritable(home: Home) -> list[str]:
    folders = [home.path, *(each for each in (home.audit, home.run) if each.is_dir())]
    return [
        f"{folder} cannot be written by this user: run 'chmod u+rwx {folder}' as its owner"
        for folder in folders
        if not os.access(folder, os.R_OK | os.W_OK | os.X_OK)
    ]


def _no_space(home: Home) -> list[str]:
    if shutil.disk_usage(home.path).free >= LEAST_FREE_BYTES:
        return []
    return [f"the disk of {home.path} is full: free space there, or nothing could be logged and so nothing served"]


def _readable_by_others(path: Path) -> list[str]:
    facts = path.stat()
    if facts.st_uid not in (os.geteuid(), 0):
        return [f"{path} belongs to another user: run 'chown {os.geteuid()} {path}'"]
    if facts.st_mode & 0o077:
        return [f"{path} can be read by others: run 'chmod 600 {path}'"]
    return []
