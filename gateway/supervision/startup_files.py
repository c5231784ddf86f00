"""What `corral serve` refuses to find on disk: missing TLS files, secrets that others can read, a slow parser."""

import importlib.util
import os
from collections.abc import Iterator
from pathlib import Path

from gateway.configuration.settings import Config
from gateway.homes.home import Home

C_PARSER = "aiohttp._http_parser"


def file_faults(home: Home, config: Config) -> list[str]:
    """All faults of the files that `config` and `home` name, one line each with its remedy."""
    faults = [_missing("tls.certificate", path) for path in _certificates(home, config) if not path.is_file()]
    for name, path in _secrets(home, config):
        faults += [_missing(name, path)] if not path.is_file() else _readable_by_others(path)
    return faults


def parser_faults() -> list[str]:
    """A fault when aiohttp would parse requests in Python: another parser than the one that is tested here."""
    if importlib.util.find_spec(C_PARSER) is not None:
        return []
    return ["aiohttp has no C parser here: install the aiohttp wheel for this platform instead of a pure build"]


def _certificates(home: Home, config: Config) -> Iterator[Path]:
    if config.tls.certificate and _some_tls(config):
        yield home.path / config.tls.certificate


def _secrets(home: Home, config: Config) -> Iterator[tuple[str, Path]]:
    yield "the pepper", home.pepper
    yield "the key store", home.keys
    if config.tls.key and _some_tls(config):
        yield "tls.key", home.path / config.tls.key
    for upstream in config.upstreams:
        if upstream.api_key_file is not None:
            yield f"upstreams {upstream.name} api_key_file", home.path / upstream.api_key_file


def _some_tls(config: Config) -> bool:
    return not (config.public.unsafe_no_tls and config.admin.unsafe_no_tls)


def _missing(name: str, path: Path) -> str:
    return f"{name} is not there: {path} (restore it, or make a new home with 'corral init')"


def _readable_by_others(path: Path) -> list[str]:
    facts = path.stat()
    if facts.st_uid not in (os.geteuid(), 0):
        return [f"{path} belongs to another user: run 'chown {os.geteuid()} {path}'"]
    if facts.st_mode & 0o077:
        return [f"{path} can be read by others: run 'chmod 600 {path}'"]
    return []
