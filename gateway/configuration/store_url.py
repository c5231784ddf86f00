"""What `store.url` says: a Unix socket, or a host reached over TLS or, when an operator insists, in clear."""

from dataclasses import dataclass
from urllib.parse import SplitResult, parse_qsl, unquote, urlsplit

DEFAULT_PORT = 6379
MAX_DB = 15
"""Redis' own default is 16 databases."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StoreUrl:
    """Where the Redis is: the path of its socket, or host and port; `db` is the database's number."""

    path: str = ""
    host: str = ""
    port: int = DEFAULT_PORT
    db: int = 0
    tls: bool = False


def read_store_url(text: str) -> StoreUrl:
    """Read `redis+unix:///path[?db=N]`, `rediss://host[:port][/db]` or `redis://...`. Raises ValueError."""
    if not text.isascii() or not text.isprintable() or " " in text:
        raise ValueError("must be printable ASCII without spaces")
    url = urlsplit(text)
    if url.username is not None or url.password is not None:
        raise ValueError("must not hold a user or password: put the password into password_file")
    if url.fragment:
        raise ValueError("must not have a fragment")
    if url.scheme == "redis+unix":
        return _unix(url)
    if url.scheme in ("redis", "rediss"):
        return _network(url)
    raise ValueError("must begin with redis+unix:// or rediss://")


def _unix(url: SplitResult) -> StoreUrl:
    path = unquote(url.path)
    if url.netloc or not path.startswith("/") or path.endswith("/"):
        raise ValueError("must name the socket's whole path, such as redis+unix:///run/redis/corral.sock")
    query = parse_qsl(url.query, strict_parsing=True, keep_blank_values=True) if url.query else [("db", "0")]
    if [name for name, _ in query] != ["db"]:
        raise ValueError("may be followed by ?db=NUMBER and nothing else")
    return StoreUrl(path=path, db=_db(query[0][1]))


def _network(url: SplitResult) -> StoreUrl:
    if not url.hostname:
        raise ValueError("must name a host, such as rediss://redis.example:6379/0")
    if url.query:
        raise ValueError("must not have a query")
    port = url.port  # raises ValueError beyond 65535
    if port == 0:
        raise ValueError("names a port that does not exist")
    return StoreUrl(
        host=url.hostname,
        port=DEFAULT_PORT if port is None else port,
        db=_db(url.path.removeprefix("/") or "0"),
        tls=url.scheme == "rediss",
    )


def _db(text: str) -> int:
    if not text.isdecimal() or not text.isascii() or int(text) > MAX_DB:
        raise ValueError(f"must name a database from 0 to {MAX_DB}")
    return int(text)
