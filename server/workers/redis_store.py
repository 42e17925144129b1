"""Redis as the relay sees it: one server, the master that Sentinels name, or a cluster; Redis from 6.2 on, and Valkey.

Of each channel there are three keys in one slot, `PREFIX:{CHANNEL}:figures`, `:changes` and `:state`; publish.lua says
what they hold. All writes go through it, and through redis_link.py.
"""

import asyncio
import hashlib
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from redis import exceptions as failures
from redis.asyncio import Redis, RedisCluster, Sentinel
from redis.asyncio.cluster import ClusterNode
from redis.asyncio.retry import Retry
from redis.asyncio.sentinel import MasterNotFoundError
from redis.backoff import NoBackoff

from server.workers.failure import WorkerError
from server.workers.redis_address import PREFIX, Address, Keys
from server.workers.redis_link import SECONDS_MAX, At, Link, News

CONNECT_SECONDS_MAX = 2.0
CALL_SECONDS_MAX = 8.0  # all of it, where a Sentinel or a cluster's plan is asked too
CONNECTIONS_MAX = 1 << 16  # every channel keeps one: what the server allows (maxclients) is the limit
_SCAN_FIGURES = 1000  # read at once
_BODY = (Path(__file__).parent / "publish.lua").read_text()
LIBRARY = f"allot_{hashlib.blake2b(_BODY.encode(), digest_size=4).hexdigest()}"  # another text is another library
_FUNCTIONS = ("look", "commit", "begin")
_REGISTERED = "".join(f"\nredis.register_function('{LIBRARY}_{name}', {name})" for name in _FUNCTIONS)


class RedisStore:
    """One Redis. Every method raises WorkerError where it does not answer as it should."""

    def __init__(self, address: Address, password: str | None = None, prefix: str = PREFIX) -> None:
        self._prefix = prefix
        self._client, self._sentinels = _client(address, password)
        self._links: dict[str, Link] = {}
        self._refused: dict[str, int] = {}  # writes of a channel since the last one that was not
        self._loading = asyncio.Lock()
        self._scripts: dict[str, str] | None = None  # by name, where there are no functions; None: not known yet

    def keys(self, channel: str) -> Keys:
        """Figures, changes and state of a channel, all in one slot of a cluster."""
        return Keys.of(channel, self._prefix)

    async def state(self, channel: str) -> dict[str, str]:
        """engine, version, as_of_us, durable_at_us, figures, writes, and the counts published, coalesced and refused;
        empty where nothing is there."""
        try:
            found = await self._client.hgetall(self.keys(channel)[2])
        except Exception as error:
            raise told(error) from error
        return {name.decode(): value.decode() for name, value in found.items()}

    async def figures(self, channel: str, skus: Sequence[str]) -> list[tuple[int, int] | None]:
        """Units and version of some SKUs; None of those without."""
        try:
            found = await self._client.hmget(self.keys(channel)[0], list(skus))
        except Exception as error:
            raise told(error) from error
        return [None if value is None else _figure(value) for value in found]

    async def all_figures(self, channel: str) -> dict[str, tuple[int, int]]:
        """Units and version of every SKU of a channel."""
        try:
            found = await self._client.hgetall(self.keys(channel)[0])
        except Exception as error:
            raise told(error) from error
        return {sku.decode(): _figure(value) for sku, value in found.items()}

    async def scan_figures(self, channel: str) -> AsyncIterator[list[tuple[str, int, int]]]:
        """SKU, units and version of every SKU, some at a time: Redis serves others between. One that changes meanwhile
        is told as it was or as it is.
        """
        cursor: Any = None
        while cursor != 0:
            try:
                cursor, found = await self._client.hscan(self.keys(channel)[0], cursor or 0, count=_SCAN_FIGURES)
            except Exception as error:
                raise told(error) from error
            yield [(sku.decode(), *_figure(value)) for sku, value in found.items()]

    async def last_change(self, channel: str) -> str | None:
        """The id of the last entry of a channel's stream; None where it has none."""
        try:
            found = await self._client.xrevrange(self.keys(channel)[1], count=1)
        except Exception as error:
            raise told(error) from error
        return found[0][0].decode() if found else None

    async def has_change(self, channel: str, key: str) -> bool:
        """Whether an entry is in the stream."""
        try:
            return bool(await self._client.xrange(self.keys(channel)[1], key, key))
        except Exception as error:
            raise told(error) from error

    async def changes(
        self, channel: str, after: str = "$", wait_ms: int = 1000, count: int | None = None
    ) -> list[tuple[str, dict[str, str]]]:
        """Entries of a channel's stream after an id ("$": those to come), waiting for the first: id and fields."""
        try:
            found = await self._client.xread({self.keys(channel)[1]: after}, count=count, block=wait_ms)
        except Exception as error:
            raise told(error) from error
        entries = [entry for _, some in (found.items() if isinstance(found, dict) else found or ()) for entry in some]
        entries = [pair for entry in entries for pair in (entry if isinstance(entry, list) else [entry])]
        return [(key.decode(), {k.decode(): v.decode() for k, v in fields.items()}) for key, fields in entries]

    async def publish(self, channel: str, news: News, writes: int) -> At:
        """Write what changed after the channel's version. Nothing is written where there were not just so many writes
        before.
        """
        try:
            if channel not in self._links:
                async with asyncio.timeout(CALL_SECONDS_MAX):
                    self._links[channel] = await self._linked(channel)
            ended = await self._links[channel].write(news, writes, self._refused.get(channel, 0))
        except Exception as error:
            await self._unlink(channel)
            raise told(error) from error
        except BaseException:
            await self._unlink(channel)
            raise
        self._refused[channel] = self._refused.get(channel, 0) + 1 if ended.kind == "AT" else 0
        return ended

    async def begin(self, channel: str, engine: str) -> None:
        """Forget what a channel has: it begins anew, with this engine's figures."""
        try:
            async with asyncio.timeout(CALL_SECONDS_MAX):
                await self._loaded(lambda: self._client.execute_command(*self._function(channel, "begin", engine)))
        except Exception as error:
            raise told(error) from error

    async def close(self) -> None:
        """Let go of the connections."""
        for channel in list(self._links):
            await self._unlink(channel)
        await self._client.aclose()
        for sentinel in self._sentinels:
            await sentinel.aclose()

    async def _linked(self, channel: str) -> Link:
        """A connection to the master that has the channel, which has seen where it is."""
        if isinstance(self._client, RedisCluster):
            await self._client.initialize()
            node: Any = self._client.get_node_from_key(self.keys(channel)[0])
            connection = node.acquire_connection()

            async def release(connection: Any) -> None:
                node.release(connection)
        else:
            pool = self._client.connection_pool
            connection, release = await pool.get_connection(), pool.release
        link = Link(connection, release, self.keys(channel), partial(self._function, channel))
        try:
            await self._loaded(link.look)
        except BaseException:
            await link.close()
            raise
        return link

    async def _unlink(self, channel: str) -> None:
        if (link := self._links.pop(channel, None)) is not None:
            await link.close()

    def _function(self, channel: str, name: str, *arguments: Any) -> tuple[Any, ...]:
        """The command that calls a function of publish.lua."""
        keys = self.keys(channel)
        if self._scripts is None:
            return "FCALL", f"{LIBRARY}_{name}", len(keys), *keys, *arguments
        return "EVALSHA", self._scripts[name], len(keys), *keys, *arguments

    async def _loaded(self, call: Callable[[], Awaitable[Any]]) -> None:
        """Call something that needs the functions; where Redis does not have them, give them first."""
        if await _is_there(call):
            return
        async with self._loading:
            if not await _is_there(call):  # else another has loaded them meanwhile
                await self._load()
                await call()

    async def _load(self) -> None:
        """Put the library, or the scripts, onto every master."""
        everywhere = {"target_nodes": RedisCluster.PRIMARIES} if isinstance(self._client, RedisCluster) else {}
        try:
            text = f"#!lua name={LIBRARY}\n{_BODY}{_REGISTERED}\n"
            await self._client.execute_command("FUNCTION LOAD", "REPLACE", text, **everywhere)
            self._scripts = None
        except failures.ResponseError as error:
            if not _has_no_functions(error):
                raise
            scripts = {}
            for name in _FUNCTIONS:
                script = f"{_BODY}\nreturn {name}(KEYS, ARGV)\n"
                found = await self._client.execute_command("SCRIPT LOAD", script, **everywhere)
                found = next(iter(found.values())) if isinstance(found, dict) else found
                scripts[name] = found.decode() if isinstance(found, bytes) else found
            self._scripts = scripts


def _client(address: Address, password: str | None) -> tuple[Any, list[Any]]:
    """The client, and those of the Sentinels that it asks."""
    options: dict[str, Any] = {
        "username": address.user, "password": password, "socket_timeout": SECONDS_MAX,
        "socket_connect_timeout": CONNECT_SECONDS_MAX, "max_connections": CONNECTIONS_MAX,
    }  # fmt: skip
    if address.tls:
        options["ssl"] = True
    once = Retry(NoBackoff(), 0)  # the relay knows when to try again
    if address.kind == "cluster":
        nodes = [ClusterNode(host, port) for host, port in address.hosts]
        return RedisCluster(startup_nodes=nodes, retry=Retry(NoBackoff(), 2), **options), []
    if address.kind == "sentinel":
        watched = {name: value for name, value in options.items() if name not in ("username", "password")}
        sentinels: Any = Sentinel(  # type: ignore[no-untyped-call]
            address.hosts, sentinel_kwargs=watched, retry=once, **options
        )
        return sentinels.master_for(address.master), sentinels.sentinels
    host, port = address.hosts[0]
    return Redis(host=host, port=port, db=address.database, retry=once, **options), []


def _figure(value: bytes) -> tuple[int, int]:
    units, _, version = value.partition(b":")
    return int(units), int(version)


def _is_missing(error: failures.RedisError) -> bool:
    text = str(error).lower()
    return isinstance(error, failures.NoScriptError) or "function not found" in text or _has_no_functions(error)


async def _is_there(call: Callable[[], Awaitable[Any]]) -> bool:
    """Make a call; whether Redis had the functions for it."""
    try:
        await call()
    except failures.RedisError as error:
        if not _is_missing(error):
            raise
        return False
    return True


def _has_no_functions(error: failures.RedisError) -> bool:
    text = str(error).lower()
    return "unknown command" in text or "command doesn't exist" in text


_REASONS: tuple[tuple[type[BaseException] | tuple[type[BaseException], ...], str, str], ...] = (
    (
        (failures.AuthenticationError, failures.AuthenticationWrongNumberOfArgsError), "REDIS_PASSWORD",
        "the password or the user is wrong: put the right one into the file that redis_password_file names",
    ),
    (
        failures.NoPermissionError, "REDIS_PERMISSION",
        "the user may not do this: let it run functions, scripts and transactions",
    ),
    (failures.ReadOnlyError, "REDIS_READ_ONLY", "it is a replica: name the master, or its Sentinels"),
    (failures.OutOfMemoryError, "REDIS_OUT_OF_MEMORY", "raise maxmemory, or lower what else it keeps"),
    (failures.BusyLoadingError, "REDIS_LOADING", "it reads its data still"),
    (
        (failures.ClusterDownError, failures.ClusterError, failures.RedisClusterException, failures.TryAgainError),
        "REDIS_CLUSTER_DOWN", "some of its masters are not there",
    ),
    (MasterNotFoundError, "REDIS_NO_MASTER", "Sentinel names no master now"),
    (failures.AskError, "REDIS_SLOT_MOVED", "another master has the channel now"),  # MovedError too
    ((failures.TimeoutError, TimeoutError), "REDIS_SLOW", f"no answer within {SECONDS_MAX:g} seconds"),
    ((failures.ConnectionError, OSError), "REDIS_UNREACHABLE", "is it running, and is the address right?"),
)  # fmt: skip


def told(error: Exception) -> Exception:
    """A failure of Redis with its reason; ours as it is."""
    if isinstance(error, WorkerError) or not isinstance(
        error, (failures.RedisError, failures.RedisClusterException, OSError, TimeoutError)
    ):
        return error
    said = " ".join(str(error).split())
    if "OOM command not allowed" in said:  # 6.2 says it about a script in a line of its own
        error = failures.OutOfMemoryError(said)
    elif "READONLY" in said or "previous master is now a slave" in said:
        error = failures.ReadOnlyError(said)
    elif said.upper().startswith(("NOAUTH", "WRONGPASS")):
        error = failures.AuthenticationError(said)
    for kinds, reason, mend in _REASONS:
        if isinstance(error, kinds):
            return WorkerError(reason, f"{mend} ({said or type(error).__name__})")
    return WorkerError("REDIS_ERROR", said or type(error).__name__)
