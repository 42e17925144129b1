"""PostgreSQL as a peer of P1: a cluster of its own on the disk of the working directory, by asyncpg over a Unix socket.

Three ways, all with a commit that is synced: a transaction an order that locks the rows it looks at, many clients at
once (`place`); a batch in one transaction, order by order (`place_each`); a batch by set-based statements
(`place_together`). What they do stands in postgres.sql. Settings are in its favour: much memory, no checkpoint and no
autovacuum during a run, nothing kept for replicas.
"""

import asyncio
import contextlib
import os
import pwd
import re
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Coroutine, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from benchmarks.peers.peer import Given, Lot, Missing, Open, Peer, given, lines, order_of_lines

INSTALL = "apt install postgresql-15"
INSTALL_DRIVER = "pip install -e '.[bench]'"
INSTALLED = Path("/usr/lib/postgresql")  # beside the PATH
VERSION = 15  # taken where there are several
STARTS_WITHIN_SECONDS, ENDS_WITHIN_SECONDS = 30.0, 20.0
CLIENTS = (4, 8, 16, 32)
BATCH_ORDERS = 13_000
SETTINGS = {
    "listen_addresses": "", "fsync": "on", "synchronous_commit": "on", "full_page_writes": "on", "wal_level": "minimal",
    "max_wal_senders": "0", "shared_buffers": "1GB", "work_mem": "128MB", "wal_buffers": "64MB", "max_wal_size": "32GB",
    "checkpoint_timeout": "1h", "autovacuum": "off", "jit": "off", "random_page_cost": "1.1",
    "max_connections": str(max(CLIENTS) + 4),
}  # fmt: skip
TEMPORARY = """
CREATE TEMP TABLE asked (o int, id text, code int, node int) ON COMMIT DELETE ROWS;
CREATE TEMP TABLE line (o int, sku int, units int, node int, late bool) ON COMMIT DELETE ROWS;
CREATE TEMP TABLE cell (sku int, node int, units int, nth int) ON COMMIT DELETE ROWS;
"""
# A cluster must not outlive us, not even a kill -9 of us, and then nobody else removes its socket.
_WATCH = 'read -r _; kill -QUIT "$1"; for _ in $(seq 100); do kill -0 "$1" || break; sleep 0.1; done; rm -r "$2"'


class Binaries(NamedTuple):
    """Where PostgreSQL is, and its version as it says it."""

    folder: Path
    version: str


def binaries() -> Binaries:
    """Version 15, else the newest there is. Raises Missing."""
    folders = [path.parent for path in INSTALLED.glob("*/bin/initdb")]
    if (found := shutil.which("initdb")) is not None:
        folders.append(Path(found).resolve().parent)
    known = []
    for folder in folders:
        with contextlib.suppress(OSError, subprocess.CalledProcessError):
            said = subprocess.run([folder / "postgres", "--version"], capture_output=True, text=True, check=True).stdout
            version = [int(part) for part in re.findall(r"\d+", said)[:2]]
            known.append((version[0] == VERSION, version, folder))
    if not known:
        raise Missing(INSTALL)
    _, version, folder = max(known)
    return Binaries(folder, ".".join(map(str, version)))


class Cluster:
    """A running server whose folder is removed by who gave it; it listens on a Unix socket alone."""

    def __init__(self, folder: Path, socket: Path) -> None:
        """Make it in an empty folder and wait until it answers. Raises Missing with its log where it does not."""
        found = binaries()
        self.version, self.socket = found.version, socket
        self._user = _user()
        for path in (folder, socket):
            if self._user is not None:
                os.chown(path, self._user.pw_uid, self._user.pw_gid)
        self.log = folder / "log"
        data = folder.resolve() / "cluster"
        made = [found.folder / "initdb", "-D", data, "-U", "allot", "-A", "trust", "-E", "UTF8", "--no-locale", "-N"]
        done = self._popen(made, cwd=socket, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL)
        failed = done.communicate()[1].decode()
        if done.returncode:
            raise Missing(f"initdb failed: {failed.strip()[-300:]}")
        settings = [f"-c{name}={value}" for name, value in {**SETTINGS, "unix_socket_directories": socket}.items()]
        with self.log.open("wb") as log:
            self._process = self._popen(
                [found.folder / "postgres", "-D", data, *settings], cwd=socket, stdout=log, stderr=log
            )
        self._watch = subprocess.Popen(
            ["/bin/sh", "-c", _WATCH, "sh", str(self._process.pid), socket], stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True,
        )  # fmt: skip
        try:
            self._wait(found.folder)
        except BaseException:  # Ctrl-C too
            self.stop()
            raise

    def _popen(self, command: list[Any], **options: Any) -> "subprocess.Popen[bytes]":
        if self._user is not None:  # who may not be root
            options |= {"user": self._user.pw_uid, "group": self._user.pw_gid, "extra_groups": []}
        return subprocess.Popen(command, stdin=subprocess.DEVNULL, start_new_session=True, **options)

    def _wait(self, folder: Path) -> None:
        end = time.monotonic() + STARTS_WITHIN_SECONDS
        ask = [folder / "pg_isready", "-q", "-h", self.socket]
        while subprocess.run(ask, check=False).returncode:
            if self._process.poll() is not None or time.monotonic() > end:
                raise Missing(f"it did not start: {self.log.read_text(errors='replace').strip()[-300:]}")
            time.sleep(0.05)

    @property
    def process_id(self) -> int:
        """Of the process that all others of it come from."""
        return self._process.pid

    def stop(self) -> None:
        """As a supervisor stops it, and at last with a kill."""
        for sent in (signal.SIGINT, signal.SIGQUIT, signal.SIGKILL):
            self._process.send_signal(sent)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(ENDS_WITHIN_SECONDS)
                break
        self._watch.kill()
        self._watch.communicate()


def _user() -> pwd.struct_passwd | None:
    """Who runs it: oneself, or where that is root, whom it refuses, somebody else."""
    if os.geteuid() != 0:
        return None
    for name in ("postgres", "nobody"):
        with contextlib.suppress(KeyError):
            return pwd.getpwnam(name)
    raise Missing("it refuses to run as root, and there is no other user: adduser --system postgres")


class Postgres(Peer):
    """Tables, functions and connections; subclasses say how a lot goes out."""

    durable = "each commit"

    def __init__(self, cluster: Cluster, rank: Any) -> None:
        import uvloop

        self.name = f"PostgreSQL {cluster.version}, {self.name}"
        self._cluster, self.process_id = cluster, cluster.process_id
        self._runner = asyncio.Runner(loop_factory=uvloop.new_event_loop)
        self._connections: list[Any] = []
        self._run(self._connect(rank))

    def _run(self, work: Coroutine[Any, Any, Any]) -> Any:
        return self._runner.run(work)

    async def _connect(self, rank: Any) -> None:
        import asyncpg

        for _ in range(max(CLIENTS)):
            self._connections.append(
                await asyncpg.connect(host=str(self._cluster.socket), user="allot", database="postgres")
            )
        first = self._connections[0]
        await first.execute((Path(__file__).parent / "postgres.sql").read_text() + TEMPORARY)
        ranks = ((code, nodes) for code, nodes in enumerate((rank.astype(int) + 1).tolist()))
        await first.copy_records_to_table("ranks", records=ranks)
        await first.execute("ANALYZE ranks")

    def close(self) -> None:
        """Before the cluster stops."""
        for connection in self._connections:
            connection.terminate()
        self._runner.close()

    def fill(self, available: Any) -> None:
        self._run(self._fill(available.tolist()))

    async def _fill(self, available: list[list[int]]) -> None:
        first = self._connections[0]
        await first.execute("TRUNCATE stock, orders")
        await first.copy_records_to_table("stock", records=enumerate(available))
        for step in ("VACUUM ANALYZE stock", "CHECKPOINT"):
            await first.execute(step)

    def stored(self) -> Given:
        return self._run(self._stored())

    async def _stored(self) -> Given:
        ids: list[str] = []
        parts: list[tuple[int, int, int, int]] = []
        pieces = []
        first = self._connections[0]
        async with first.transaction():
            asked = "SELECT order_id, part_skus, part_nodes, part_units FROM orders"
            async for order, skus, nodes, units in first.cursor(asked, prefetch=10_000):
                parts += [(len(ids), sku, node - 1, count) for sku, node, count in zip(skus, nodes, units, strict=True)]
                ids.append(order)
                if len(parts) > 100_000:
                    pieces.append(np.array(parts))
                    parts = []
        return given(ids, [*pieces, np.array(parts, np.int64).reshape(-1, 4)])


class RowLocks(Postgres):
    """A transaction an order; clients take the next order each as soon as they are done with one."""

    name = "row locks"
    lot_orders = 2_000
    choices: tuple[Any, ...] = CLIENTS
    choice: Any = CLIENTS[1]

    def prepare(self, lot: Lot) -> Any:
        return [(order, *rest) for order, rest in zip(lot.ids, lines(lot.batch), strict=True)]

    def decide(self, prepared: Any) -> None:
        self._run(self._decide(iter(prepared)))

    async def _decide(self, orders: Iterator[Any]) -> None:
        async def one_by_one(connection: Any) -> None:
            place = await connection.prepare("SELECT place($1, $2, $3, $4)")
            for order in orders:
                await place.fetchval(*order)

        await asyncio.gather(*map(one_by_one, self._connections[: self.choice]))


class EachOfABatch(Postgres):
    """A transaction a batch, order by order within it."""

    name = "a batch a commit, order by order"
    lot_orders = BATCH_ORDERS
    call = "SELECT place_each($1, $2, $3, $4, $5)"

    def prepare(self, lot: Lot) -> Any:
        batch = lot.batch
        numbers = (batch.postal_code, order_of_lines(batch) + 1, batch.sku, batch.quantity)
        return (lot.ids, *(column.tolist() for column in numbers))

    def decide(self, prepared: Any) -> None:
        self._run(self._decide(prepared))

    async def _decide(self, batch: Any) -> None:
        place = await self._connections[0].prepare(self.call)
        await place.fetchval(*batch)


class SetBased(EachOfABatch):
    """A transaction a batch, by statements over all of it."""

    name = "a batch a commit, set-based"
    call = "SELECT place_together($1, $2, $3, $4, $5)"


def opened(kind: type[Postgres]) -> Open:
    """How that kind is opened: a new cluster, stopped at the end of the block."""

    @contextmanager
    def open_(folder: Path, rank: Any) -> Iterator[Peer]:
        binaries()
        try:
            import asyncpg  # noqa: F401
        except ImportError as error:
            raise Missing(INSTALL_DRIVER) from error
        with ExitStack() as stack:
            socket = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="allot-")))  # whose path is short
            cluster = Cluster(folder, socket)
            stack.callback(cluster.stop)
            peer = kind(cluster, rank)
            stack.callback(peer.close)
            yield peer

    return open_
