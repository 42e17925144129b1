"""The relay between a real server and real Redis servers of both kinds: whatever happens to either, the figures in
Redis become the engine's again, and no version ever goes back."""

import asyncio
import contextlib
import os
import random
import shutil
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from allot_client import Client
from server.workers.failure import WorkerError
from server.workers.redis_address import Address
from server.workers.redis_link import At, News
from server.workers.redis_store import RedisStore
from tests.relays import (
    CHANNELS,
    SKUS,
    Load,
    Relay,
    of_engine,
    of_redis,
    on_store,
    prepare,
    relay,
    settled,
    started,
    state,
    wait_until,
)
from tests.running import Server
from tests.stores import HOST, KINDS, SENTINEL_NAME, Cluster, Kind, Sentinel, Store

PAUSE_SECONDS = 6.0  # longer than a call may take


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    running = started(tmp_path_factory.mktemp("relay") / "data")
    yield running
    assert running.stop() == 0, "".join(running.log)


@pytest.fixture
def client(server: Server) -> Iterator[Client]:
    with Client(server.address) as made:
        yield made


def test_every_figure_is_in_redis_and_then_every_change(server: Server, client: Client, store: Store) -> None:
    with relay(server, store.url):
        settled(client, store.url)
        with Load(server.address) as load:
            wait_until(lambda: load.orders > 200, "orders")
        settled(client, store.url)
        said = state(store.url, "own")
        assert int(said["figures"]) == SKUS
        assert time.time() - int(said["as_of_us"]) / 1e6 < 5
        before = int(said["as_of_us"])
        wait_until(
            lambda: int(state(store.url, "own")["as_of_us"]) > before, "a figure that does not change is confirmed"
        )


def test_a_sku_that_never_was_for_sale_need_not_be_there(store: Store, tmp_path: Path) -> None:
    """Named after the relay's first pass; as soon as there is one to sell it is."""
    running = started(tmp_path / "data")
    try:
        with Client(running.address) as client, relay(running, store.url):
            settled(client, store.url)
            client.put_skus(["new"])
            settled(client, store.url)
            client.receive_stock([("new", "BLR", 50)])
            wait_until(lambda: "new" in of_redis(store.url, "own"), "it is for sale")
            settled(client, store.url)
    finally:
        running.kill()


def test_the_stream_has_every_figure_in_the_order_of_versions(server: Server, client: Client, store: Store) -> None:
    with relay(server, store.url):
        settled(client, store.url)
        with Load(server.address) as load:
            wait_until(lambda: load.orders > 200, "orders")
        settled(client, store.url)
    for channel in CHANNELS:
        entries = on_store(store.url, lambda store, channel=channel: store.changes(channel, "0", 10))
        seen: dict[str, tuple[int, int]] = {}
        for _, fields in entries:
            for line in fields["figures"].splitlines():
                sku, units, version = line.split("\t")
                assert seen.get(sku, (0, 0))[1] < int(version) <= int(fields["version"])
                seen[sku] = (int(units), int(version))
        assert seen == of_engine(client, channel)


def test_a_consumer_group_hears_all_of_it_once_it_says_so(server: Server, client: Client, store: Store) -> None:
    with relay(server, store.url):
        settled(client, store.url)
        shop, stream = store.client(), "allot:{own}:changes"
        shop.xgroup_create(stream, "feed", id="0")
        taken = shop.execute_command("XREADGROUP", "GROUP", "feed", "a", "COUNT", 100, "STREAMS", stream, ">")
        assert taken
        assert shop.xpending(stream, "feed")["pending"] >= 1


@pytest.mark.parametrize("how", ["kill", "emptied", "flushed", "figures taken", "figure put", "paused", "restarted"])
def test_figures_are_the_engines_again(server: Server, client: Client, store: Store, how: str) -> None:
    with relay(server, store.url) as running:
        settled(client, store.url)
        with Load(server.address):
            time.sleep(0.2)
            if how == "kill":
                store.kill()
                time.sleep(0.5)
                store.restart()  # with what was on the disk: nothing
            elif how == "emptied":
                store.restart(empty=True)
            elif how == "flushed":
                store.ask("FLUSHALL")
            elif how == "figures taken":
                store.ask("DEL", "allot:{own}:figures")
            elif how == "figure put":
                store.ask("HSET", "allot:{own}:figures", "SKU-NOT-OURS", "9:9")
                store.ask("HDEL", "allot:{own}:figures", "SKU-NOT-OURS")
                store.ask("HDEL", "allot:{own}:figures", "SKU-1")
            elif how == "paused":
                store.pause()
                time.sleep(PAUSE_SECONDS)
                store.resume()
            else:
                store.restart()
            time.sleep(0.3)
        settled(client, store.url)
        if how == "paused":
            assert "REDIS_SLOW" in running.reasons


def test_a_relay_that_is_killed_goes_on_where_it_was(server: Server, client: Client, store: Store) -> None:
    def published() -> int:
        return int(state(store.url, "own").get("published", 0))

    with relay(server, store.url):
        settled(client, store.url)
    for _ in range(3):
        before = published()
        running = Relay(server, store.url)
        with Load(server.address):
            wait_until(lambda before=before: published() > before, "it goes on")
            running.kill()
    before = published()
    with relay(server, store.url):
        settled(client, store.url)
        assert published() - before < SKUS + SKUS // 2  # not all of it once more


def test_versions_never_go_back_whatever_happens(server: Server, client: Client, store: Store) -> None:
    """A reader who looks all the time, while Redis is paused and the relay killed."""
    chance, looks = random.Random(5), 0
    highest: dict[str, int] = {}
    with Load(server.address):
        for _ in range(3):
            running = Relay(server, store.url)
            until = time.monotonic() + 2 + chance.random()
            while time.monotonic() < until:
                for sku, (_, version) in of_redis(store.url, "own").items():
                    assert version >= highest.get(sku, 0)
                    highest[sku] = version
                looks += 1
                if chance.random() < 0.1:
                    store.pause()
                    time.sleep(0.2)
                    store.resume()
            running.kill()
    assert looks > 20
    assert len(highest) == SKUS


def test_the_engine_goes_on_without_redis(server: Server, client: Client, tmp_path: Path) -> None:
    with relay(server, f"redis://{HOST}:1") as running:
        wait_until(lambda: "REDIS_UNREACHABLE" in running.reasons, "the relay says so")
        with Load(server.address) as load:
            wait_until(lambda: load.orders > 50, "orders")
        assert sum("REDIS_UNREACHABLE" in line for line in running.log) <= len(CHANNELS)  # told once a channel


@pytest.mark.parametrize("kind", KINDS)
def test_a_wrong_password_is_said_and_a_right_one_taken(
    server: Server, client: Client, tmp_path: Path, kind: Kind
) -> None:
    right, wrong = tmp_path / "right", tmp_path / "wrong"
    right.write_text("open sesame\n")
    wrong.write_text("open wheat\n")
    with Store(kind, tmp_path / "store", password="open sesame") as store:
        url = f"redis://{HOST}:{store.port}"
        for flags in (("--password-file", str(wrong)), ()):
            with relay(server, url, *flags) as running:
                wait_until(lambda running=running: "REDIS_PASSWORD" in running.reasons, "the relay says so")
            assert not any("wheat" in line for line in running.log)
        with relay(server, url, "--password-file", str(right)):
            wait_until(lambda: store.ask("HLEN", "allot:{own}:figures") == SKUS, "figures")


@pytest.mark.parametrize("kind", KINDS)
def test_a_full_memory_is_said_and_made_good(server: Server, client: Client, tmp_path: Path, kind: Kind) -> None:
    with Store(kind, tmp_path / "store") as store, relay(server, store.url) as running:
        settled(client, store.url)
        store.ask("CONFIG", "SET", "maxmemory", 1)
        with Load(server.address):
            wait_until(lambda: "REDIS_OUT_OF_MEMORY" in running.reasons, "the relay says so")
        store.ask("CONFIG", "SET", "maxmemory", 0)
        settled(client, store.url)


@pytest.mark.parametrize("kind", KINDS)
def test_a_replica_is_not_written_to(server: Server, client: Client, tmp_path: Path, kind: Kind) -> None:
    with (
        Store(kind, tmp_path / "master") as master,
        Store(kind, tmp_path / "replica", replica_of=master) as replica,
        relay(server, replica.url) as running,
    ):
        wait_until(lambda: "REDIS_READ_ONLY" in running.reasons, "the relay says so")
        replica.ask("REPLICAOF", "NO", "ONE")
        settled(client, replica.url)


def test_a_failover_by_sentinel(server: Server, client: Client, sentinel: Sentinel) -> None:
    url = f"redis+sentinel://{HOST}:{sentinel.port}/{SENTINEL_NAME}"
    with relay(server, url):
        settled(client, url)
        with Load(server.address):
            sentinel.fail_over()
        settled(client, url)


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # redis-py closes not all that it opens
@pytest.mark.parametrize("how", ["kill", "emptied", "paused"])
def test_a_cluster_of_three_masters(server: Server, client: Client, cluster: Cluster, how: str) -> None:
    url = "redis+cluster://" + ",".join(one.removeprefix("redis://") for one in cluster.urls)
    with relay(server, url):
        settled(client, url)
        index = next(i for i, node in enumerate(cluster.nodes) if node is cluster.node_of("allot:{own}:figures"))
        with Load(server.address):
            time.sleep(0.2)
            if how == "paused":
                cluster.pause(index)
                time.sleep(2)
                cluster.resume(index)
            else:
                cluster.kill(index)
                time.sleep(1)
                cluster.restart(index, empty=how == "emptied")
            cluster.wait()
        settled(client, url)


def test_a_policy_that_changes_is_published_at_once(server: Server, client: Client, store: Store) -> None:
    with relay(server, store.url):
        settled(client, store.url)
        client.put_channel("flipkart", policy={"cap": 3})
        began = time.monotonic()
        wait_until(lambda: {units for units, _ in of_redis(store.url, "flipkart").values()} == {3}, "the cap")
        assert time.monotonic() - began < 2
        client.put_channel("new one")
        wait_until(lambda: of_redis(store.url, "new one") == of_engine(client, "new one"), "a channel that is new")


def test_another_engine_is_refused_unless_it_takes_over(
    server: Server, client: Client, store: Store, tmp_path: Path
) -> None:
    with relay(server, store.url):
        settled(client, store.url)
    mine = of_redis(store.url, "own")
    other = started(tmp_path / "other")
    try:
        with relay(other, store.url) as running:
            wait_until(lambda: "OTHER_ENGINE" in running.reasons, "the relay says so")
        assert of_redis(store.url, "own") == mine
        with Client(other.address) as theirs, relay(other, store.url, "--take-over"):
            settled(theirs, store.url)
    finally:
        other.kill()


def test_a_folder_that_was_put_back_begins_anew(store: Store, tmp_path: Path) -> None:
    """Redis is ahead of it then."""
    running = Server(tmp_path / "data")
    with Client(running.address) as client:
        prepare(client)
    running.stop()
    shutil.copytree(tmp_path / "data", tmp_path / "kept")
    running = Server(tmp_path / "data")
    with Client(running.address) as client, relay(running, store.url), Load(running.address) as load:
        wait_until(lambda: load.orders > 50, "orders")
    running.stop()
    running = Server(tmp_path / "kept")
    try:
        with Client(running.address) as client, relay(running, store.url) as relaying:
            settled(client, store.url)
            assert any("ahead of the engine" in line for line in relaying.log)
    finally:
        running.kill()


def test_two_relays_by_mistake_do_no_harm(server: Server, client: Client, store: Store) -> None:
    with relay(server, store.url), relay(server, store.url), Load(server.address) as load:
        wait_until(lambda: load.orders > 300, "orders")
    with relay(server, store.url):
        settled(client, store.url)


def test_a_channel_with_a_budget_is_told_slowly_and_at_last_all(server: Server, client: Client, store: Store) -> None:
    with relay(server, store.url, "--budget=own=100"):
        began = time.monotonic()
        wait_until(lambda: len(of_redis(store.url, "own")) == SKUS, "all of it")
        assert time.monotonic() - began > (SKUS - 100) / 100 - 0.5
        with Load(server.address) as load:
            wait_until(lambda: load.orders > 50, "orders")
        last = of_engine(client, "own")
        wait_until(lambda: versions(of_redis(store.url, "own")) == versions(last), "all of the rest")
        said = of_redis(store.url, "own")
        assert all(said[sku][0] <= units for sku, (units, _) in last.items())
        wait_until(lambda: int(state(store.url, "own")["version"]) >= max(versions(last).values()), "it is complete")
    with relay(server, store.url):  # without a budget: what buffers held back comes with the next change
        assert versions(of_redis(store.url, "own")) == versions(last)


def versions(figures: dict[str, tuple[int, int]]) -> dict[str, int]:
    return {sku: version for sku, (_, version) in figures.items()}


def test_the_server_runs_a_relay_by_itself(store: Store, tmp_path: Path) -> None:
    running = Server(tmp_path / "data", f"--redis={store.url}", "--redis-prefix=shop")
    try:
        with Client(running.address) as client:
            prepare(client)
            settled(client, store.url, "shop")
            relaying = processes_of("relay", store.url)
            assert len(relaying) == 1
            os.kill(relaying[0], signal.SIGKILL)
            with Load(running.address) as load:
                wait_until(lambda: load.orders > 20, "orders")
            settled(client, store.url, "shop")
        assert running.stop() == 0, "".join(running.log)
        assert processes_of("relay", store.url) == []
    finally:
        running.kill()


def processes_of(*words: str) -> list[int]:
    """Those whose command line holds all words."""
    found = []
    for entry in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):
            command = entry.read_bytes().decode(errors="replace")
            if all(word in command for word in words) and "serve" not in command.split("\0"):
                found.append(int(entry.parent.name))
    return found


def news(version: int, units: int) -> News:
    return News("engine", version, 1, 1, b"A\t%d\t%d\n" % (units, version))


def test_two_who_write_by_turns_never_write_over_each_other(store: Store) -> None:
    """Each watches since it wrote last: the transaction of who was overtaken does nothing."""

    async def test(mine: RedisStore) -> None:
        other = RedisStore(Address.parse(store.url))
        assert await mine.publish("own", news(5, 50), 0) == At("OK", "1")
        assert await other.publish("own", news(7, 70), 1) == At("OK", "2")
        assert await mine.publish("own", news(6, 60), 1) == At("AT", "2")
        assert (await mine.all_figures("own"))["A"] == (70, 7)
        assert await mine.publish("own", news(8, 80), 2) == At("OK", "3")
        assert (await mine.state("own"))["refused"] == "1"
        assert await other.publish("own", news(9, 90), 2) == At("AT", "3")
        assert (await mine.all_figures("own"))["A"] == (80, 8)
        await other.close()

    on_store(store.url, test)


def test_what_a_paused_redis_gets_late_changes_nothing(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("server.workers.redis_link.SECONDS_MAX", 0.3)

    async def test(mine: RedisStore) -> None:
        assert await mine.publish("own", news(5, 50), 0) == At("OK", "1")
        store.pause()
        with pytest.raises(WorkerError) as slow:
            await mine.publish("own", news(6, 60), 1)
        assert slow.value.reason == "REDIS_SLOW"
        store.resume()
        other = RedisStore(Address.parse(store.url))
        writes = int((await other.state("own"))["writes"])  # 2 where the late one came first
        ended = await other.publish("own", news(7, 70), writes)
        while ended.kind == "AT":
            ended = await other.publish("own", news(7, 70), int(ended.value))
        await asyncio.sleep(0.2)
        assert await other.all_figures("own") == {"A": (70, 7)}
        assert (await other.state("own"))["version"] == "7"
        await other.close()

    on_store(store.url, test)


def test_functions_that_were_taken_away_are_brought_again(store: Store) -> None:
    async def test(mine: RedisStore) -> None:
        assert await mine.publish("own", news(5, 50), 0) == At("OK", "1")
        store.ask("SCRIPT", "FLUSH")
        with contextlib.suppress(Exception):
            store.ask("FUNCTION", "FLUSH")  # where there are functions
        with pytest.raises(WorkerError):  # once: the transaction has no end
            await mine.publish("own", news(6, 60), 1)
        writes = int((await mine.state("own"))["writes"])
        assert (await mine.publish("own", news(6, 60), writes)).kind == "OK"
        assert await mine.all_figures("own") == {"A": (60, 6)}

    on_store(store.url, test)


def test_hundreds_of_channels_have_a_link_each(store: Store) -> None:
    async def test(mine: RedisStore) -> None:
        channels = [f"c{number}" for number in range(150)]
        ended = await asyncio.gather(*[mine.publish(channel, news(5, 50), 0) for channel in channels])
        assert set(ended) == {At("OK", "1")}
        assert (await mine.state("c149"))["version"] == "5"

    on_store(store.url, test)


def test_figures_that_were_taken_away_cost_one_refusal(store: Store) -> None:
    async def test(mine: RedisStore) -> None:
        assert await mine.publish("own", news(5, 50), 0) == At("OK", "1")
        store.ask("DEL", "allot:{own}:figures")
        assert await mine.publish("own", news(6, 60), 1) == At("AT", "2")
        assert (await mine.state("own"))["version"] == "0"
        assert await mine.publish("own", news(6, 60), 2) == At("OK", "3")

    on_store(store.url, test)


def test_a_stream_of_large_entries_is_kept_shorter(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("server.workers.redis_link.CHANGES_KEPT_MIN", 5)
    monkeypatch.setattr("server.workers.redis_link.CHANGES_BYTES_KEPT", 500_000)

    async def test(mine: RedisStore) -> None:
        lines = b"".join(b"SKU-%05d\t1\t1\n" % i for i in range(2000))
        for version in range(1, 60):
            await mine.publish("own", News("engine", version, 1, 1, lines), version - 1)
        assert 5 <= len(await mine.changes("own", "0")) < 30

    on_store(store.url, test)


def test_a_call_that_arrives_late_changes_nothing(store: Store) -> None:
    def publish(writes: int, version: int, units: int) -> At:
        return on_store(store.url, lambda one: one.publish("own", news(version, units), writes))  # type: ignore[no-any-return]

    assert publish(0, 5, 50) == At("OK", "1")
    assert publish(1, 9, 90) == At("OK", "2")
    assert publish(0, 5, 50) == At("AT", "2")
    assert publish(1, 9, 91) == At("AT", "2")
    assert of_redis(store.url, "own") == {"A": (90, 9)}
    on_store(store.url, lambda one: one.begin("own", "other"))
    assert publish(3, 1, 1) == At("ENGINE", "other")
    assert of_redis(store.url, "own") == {}
