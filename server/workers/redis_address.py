"""Where Redis is, as one URL, the names of keys there, and budgets of channels. Light: settings read it, and import no
client.
"""

import re
from typing import NamedTuple
from urllib.parse import quote, unquote

PREFIX = "allot"
_SENTINEL_PORT, _PORT = 26379, 6379
_HOST = re.compile(r"(?:\[(?P<ipv6>[0-9A-Fa-f:.]+(?:%[\w.-]+)?)\]|(?P<name>[\w.-]+))(?::(?P<port>[0-9]{1,5}))?")
_DATABASE = re.compile("[0-9]{1,9}")


def check_prefix(prefix: str) -> None:
    """Raises ValueError with the mend."""
    if set("{}") & set(prefix):
        raise ValueError(f"{prefix!r}: leave out the braces, which say where a cluster keeps a key")


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
        scheme, _, rest = url.partition("://")
        scheme, _, kind = scheme.lower().partition("+")
        if scheme not in ("redis", "rediss") or kind not in ("", "sentinel", "cluster"):
            raise ValueError(
                "write redis://host:6379/0, rediss:// for TLS, redis+sentinel://host:26379/master or "
                "redis+cluster://host:6379"
            )
        user, _, where = rest.rpartition("@")
        if ":" in user:
            raise ValueError("it holds a password: put that into a file, and name it by redis_password_file")
        if "?" in rest or "#" in rest:
            raise ValueError("it ends with the host, the database or the master: leave out what follows ? or #")
        hosts, _, path = where.partition("/")
        default = _SENTINEL_PORT if kind == "sentinel" else _PORT
        found = tuple(_host(text, default) for text in hosts.split(","))
        path, user, tls = path.rstrip("/"), unquote(user), scheme == "rediss"
        if kind == "sentinel":
            if not path or "/" in path:
                raise ValueError("name the master as Sentinel knows it: redis+sentinel://host:26379/mymaster")
            return cls(kind, found, user or None, 0, unquote(path), tls)
        if path and not _DATABASE.fullmatch(path):
            raise ValueError(f"the database is a number, not {path!r}: redis://host:6379/0")
        if kind == "cluster" and int(path or 0):
            raise ValueError("a cluster has one database, 0: leave the number out")
        if not kind and len(found) > 1:
            raise ValueError("several hosts are a cluster or Sentinels: write redis+cluster:// or redis+sentinel://")
        return cls(kind, found, user or None, int(path or 0), "", tls)


def _host(text: str, default: int) -> tuple[str, int]:
    """`host`, `host:6379` or `[::1]:6379`."""
    found = _HOST.fullmatch(text)
    if not found:
        raise ValueError(f"{text!r} is no host:port; an IPv6 address stands in brackets, as [::1]:6379")
    port = int(found["port"] or default)
    if not 0 < port < 65536:
        raise ValueError(f"{text!r}: a port is 1 to 65535")
    return found["ipv6"] or found["name"], port


def budgets(text: str) -> dict[str, float]:
    """`amazon=10,flipkart=0.5`: SKUs a second by channel. Raises ValueError with the mend."""
    found: dict[str, float] = {}
    for part in filter(None, (part.strip() for part in text.split(","))):
        channel, equals, rate = part.rpartition("=")
        try:
            found[channel] = float(rate)
        except ValueError:
            equals = ""
        if not equals or not channel or not 0 < found[channel] < 1e9:
            raise ValueError(f"{part!r}: write CHANNEL=SKUS, the SKUs that it takes a second, as amazon=10")
    return found
