"""A connection to Redis that watches one channel's keys: what is written through it is written whole, and only where
nobody else has written since it looked.

    WATCH figures, state; look   ->   MULTI, HSET figures, XADD changes, commit, EXEC; WATCH, look   ->   MULTI, ...

HSET takes most of Redis' time, and a tenth more of it within a script. Where Redis loses its functions just before a
commit, the figures stand and the commit does not: then the page is written once more.
"""

import asyncio
import math
from collections.abc import Awaitable, Callable
from typing import Any, NamedTuple

import numpy as np

from kernels.publications import ARGUMENTS_ROOM, write_arguments
from server.workers.failure import WorkerError
from server.workers.redis_address import Keys

SECONDS_MAX = 5.0  # a call may take: a server that is slower counts as one that is not there
CHANGES_KEPT_MAX = 10_000  # entries of a channel's stream, about; fewer where they are large,
CHANGES_BYTES_KEPT, CHANGES_KEPT_MIN = 32 << 20, 100


class At(NamedTuple):
    """How a write ended."""

    kind: str  # OK; AT: there were other writes; ENGINE: the channel belongs to another engine
    value: str  # how many writes there were, or the other engine


class News(NamedTuple):
    """What is written of a channel."""

    engine: str
    version: int
    as_of_us: int  # 0 for a page of a pass, whose last one brings the new version
    durable_at_us: int
    lines: bytes  # SKU TAB units TAB version LF of each figure


class Link:
    """Of one channel. Raises what redis-py raises; then it is to be dropped."""

    def __init__(
        self, connection: Any, release: Callable[[Any], Awaitable[None]], keys: Keys,
        function: Callable[..., tuple[Any, ...]],
    ) -> None:  # fmt: skip
        """release: takes the connection back. function: a call of one of publish.lua, by its name and arguments."""
        self._connection, self._release, self._keys, self._function = connection, release, keys, function
        self._engine, self._writes = "", ""

    async def look(self) -> None:
        """Watch, and see where the channel is."""
        while True:
            *_, seen = await self._ask([self._connection.pack_command("UNWATCH"), *self._watch()])
            self._see(seen)
            if seen[2] == b"0":  # else the look itself has written, to what it watches
                return

    async def write(self, news: News, writes: int, refused: int) -> At:
        """Write, where there were just so many writes before. refused: writes that were, since the last one."""
        if str(writes) != self._writes:
            await self.look()
        if self._engine not in ("", news.engine):
            return At("ENGINE", self._engine)
        if str(writes) != self._writes:
            return At("AT", self._writes)
        pack, lines = self._connection.pack_command, news.lines
        count, arguments = _arguments(lines)
        commands = [pack("MULTI")]
        if count:
            head = b"*%d\r\n$4\r\nHSET\r\n$%d\r\n%b\r\n" % (2 + 2 * count, len(self._keys[0]), self._keys[0].encode())
            kept = max(CHANGES_KEPT_MIN, min(CHANGES_KEPT_MAX, CHANGES_BYTES_KEPT // len(lines)))
            fields = "version", news.version, "as_of_us", news.as_of_us, "figures", lines
            commands += [[head, arguments], pack("XADD", self._keys[1], "MAXLEN", "~", kept, "*", *fields)]
        commit = news.engine, news.version, news.as_of_us, news.durable_at_us, count, refused
        commands += [pack(*self._function("commit", *commit)), pack("EXEC"), *self._watch()]
        *_, done, _, seen = await self._ask(commands)
        self._see(seen)
        if seen[2] != b"0":
            await self.look()
        if done is None:  # somebody wrote meanwhile
            return At("AT", self._writes)
        for reply in done:
            if isinstance(reply, Exception):
                raise reply
        return At("OK", done[-1].decode())

    async def close(self) -> None:
        """Give the connection back, watching nothing."""
        try:
            await self._connection.disconnect()
        finally:
            await self._release(self._connection)

    def _watch(self) -> tuple[Any, Any]:
        pack = self._connection.pack_command
        return pack("WATCH", self._keys[0], self._keys[2]), pack(*self._function("look"))

    def _see(self, seen: Any) -> None:
        self._engine, self._writes = seen[0].decode(), seen[1].decode()

    async def _ask(self, commands: Any) -> list[Any]:
        packed = [part for command in commands for part in command]
        async with asyncio.timeout(SECONDS_MAX):
            await self._connection.send_packed_command(packed, check_health=False)
            return [await self._connection.read_response(timeout=math.inf) for _ in commands]


def _arguments(lines: bytes) -> tuple[int, bytes]:
    """How many figures there are, and SKU, `units:version` of each as arguments of HSET."""
    out = np.empty(ARGUMENTS_ROOM * len(lines), np.uint8)
    count, size = write_arguments(np.frombuffer(lines, np.uint8), out)
    if count < 0:
        raise WorkerError("BROKEN_LINES", "the server sent lines that cannot be read: is it a newer one?")
    return count, out[:size].tobytes()
