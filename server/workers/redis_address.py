"""Where Redis is, as one URL, and the names of keys there. Light: settings read it, and import no client."""

from typing import NamedTuple
from urllib.parse import quote, urlsplit

PREFIX = "allot"
_SENTINEL_PORT, _PORT = 26379, 6379


class Keys(NamedTuple):
    """Of one channel, all in one slot of a cluster. publish.lua says what they hold."""

    figures: str
    changes: str
    state: str

    @classmethod
    def of(cls, channel: str, prefix: str = PREFIX) -> "Keys":
        """Braces in a channel's name do not end the part that chooses the slot."""
        name = f"{prefix}:{{{quote(channel, safe=' ')}}}"
        return cls(f"{name}:figures", f"{name}:changes", f"{name}:state")


class Address(NamedTuple):
    """Where Redis is. `redis://host:6379/0`, `rediss://` with TLS, `redis+sentinel://host:26379,host/master`,
    `redis+cluster://host:6379,host:6379`; a user name may stand before the host, never a password.
    """

    kind: str  # "", "sentinel" or "cluster"
    hosts: tuple[tuple[str, int], ...]
    user: str | None = None
    database: int = 0
    master: str = ""
    tls: bool = False

    @classmethod
    def parse(cls, url: str) -> "Address":
        """Raises ValueError with the mend."""
        parts = urlsplit(url)
        scheme, _, kind = parts.scheme.partition("+")
        if scheme not in ("redis", "rediss") or kind not in ("", "sentinel", "cluster"):
            raise ValueError(
                "write redis://host:6379/0, rediss:// for TLS, redis+sentinel://host:26379/master or "
                "redis+cluster://host:6379"
            )
        user, _, hosts = parts.netloc.rpartition("@")
        if ":" in user:
            raise ValueError("it holds a password: put that into a file, and name it by redis_password_file")
        path = parts.path.strip("/")
        default = _SENTINEL_PORT if kind == "sentinel" else _PORT
        found = tuple(_host(text, default) for text in hosts.split(","))
        if kind == "sentinel":
            if not path or "/" in path:
                raise ValueError("name the master as Sentinel knows it: redis+sentinel://host:26379/mymaster")
            return cls(kind, found, user or None, 0, path, scheme == "rediss")
        if path and not path.isdigit():
            raise ValueError(f"the database is a number, not {path!r}: redis://host:6379/0")
        if kind == "cluster" and path not in ("", "0"):
            raise ValueError("a cluster has one database, 0: leave the number out")
        if not kind and len(found) > 1:
            raise ValueError("several hosts are a cluster or Sentinels: write redis+cluster:// or redis+sentinel://")
        return cls(kind, found, user or None, int(path or 0), "", scheme == "rediss")


def _host(text: str, default: int) -> tuple[str, int]:
    host, colon, port = text.rpartition(":")
    if not colon or text.endswith("]"):
        host, port = text, str(default)
    if not host or not (port.isascii() and port.isdigit() and 0 < int(port) < 65536):
        raise ValueError(f"{text!r} is no host:port")
    return host.strip("[]"), int(port)
