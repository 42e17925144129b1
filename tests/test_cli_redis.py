"""Commands that read from Redis, before real Redis servers: one that a test fills, one that a relay does."""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from queue import Empty, Queue
from threading import Thread
from typing import Any

import pytest

from allot_client import Client
from server.workers.reading_redis import RedisWatch
from server.workers.redis_link import News
from server.workers.redis_store import Address, RedisStore
from tests.command_line import Outcome, run, spawn
from tests.fake_service import FakeService, serving
from tests.running import server as running_server
from tests.stores import SENTINEL_NAME, Cluster, Sentinel, Store, until

ENGINE = "0123456789abcdef"


def address_of(store: Store) -> str:
    return f"redis://127.0.0.1:{store.port}/0"


class Publisher:
    """What the relay would write, as a test says."""

    def __init__(self, store: Store, channel: str = "own") -> None:
        self.store, self.channel, self.writes, self.engine = store, channel, 0, ENGINE

    def publish(self, version: int, *figures: tuple[str, int], as_of: float | None = None, kept: int = 0) -> None:
        lines = b"".join(f"{sku}\t{units}\t{version}\n".encode() for sku, units in figures)
        as_of_us = int((time.time() if as_of is None else as_of) * 1e6)

        async def write(to: RedisStore) -> None:
            news = News(self.engine, version, as_of_us, 1, lines)
            ended = await to.publish(self.channel, news, self.writes)
            if ended.kind == "AT":
                ended = await to.publish(self.channel, news, int(ended.value))
            assert ended.kind == "OK"
            self.writes = int(ended.value)

        with_store(self.store, write)
        if kept:
            self.store.ask("XTRIM", f"allot:{{{self.channel}}}:changes", "MAXLEN", kept)

    def begin(self, engine: str) -> None:
        async def write(to: RedisStore) -> None:
            await to.begin(self.channel, engine)
            self.writes = int((await to.state(self.channel))["writes"])

        self.engine = engine
        with_store(self.store, write)


def with_store(store: Store, act: Callable[[RedisStore], Any]) -> Any:
    async def main() -> Any:
        to = RedisStore(Address.parse(address_of(store)))
        try:
            return await act(to)
        finally:
            await to.close()

    return asyncio.run(main())


def lines_of(found: Outcome) -> list[str]:
    assert (found.code, found.err) == (0, "")
    return found.out.splitlines()


class Watching:
    """`allot watch` in a process of its own, read line by line."""

    def __init__(self, *arguments: object) -> None:
        self.process = spawn("watch", *arguments)
        self.lines: Queue[str] = Queue()
        self.reader = Thread(target=self._read, daemon=True)
        self.reader.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.lines.put(line.rstrip("\n"))

    def next(self, seconds: float = 60) -> str:
        try:
            return self.lines.get(timeout=seconds)
        except Empty:
            raise AssertionError(f"no line; exit code {self.process.poll()}") from None

    def end(self) -> None:
        self.process.kill()
        self.process.wait()
        self.reader.join()
        for pipe in (self.process.stdout, self.process.stderr):
            assert pipe is not None
            pipe.close()


@contextmanager
def watching(*arguments: object) -> Iterator[Watching]:
    started = Watching(*arguments)
    try:
        yield started
    finally:
        started.end()


# What is printed


def test_watch_once_prints_what_is_newer(store: Store):
    shop = Publisher(store)
    shop.publish(3, ("A", 1), ("B=\u00e9 x", 2))
    shop.publish(5, ("A", 7))
    ask = ("watch", "own", "--redis", address_of(store), "--once")
    assert sorted(lines_of(run(*ask))) == ["3\t2\tB=\u00e9 x", "5\t7\tA"]
    assert lines_of(run(*ask, "--from", 3)) == ["5\t7\tA"]
    assert lines_of(run(*ask, "--from", 5)) == []
    figures, whole = map(json.loads, lines_of(run(*ask, "--from", 3, "--json")))
    assert figures["figures"] == [{"sku": "A", "units": 7, "version": 5}]
    assert (whole["version"], whole["complete"], whole["engine_id"]) == (5, True, ENGINE)


def test_watch_goes_on_over_all_that_happens_to_redis(store: Store):
    shop = Publisher(store)
    shop.publish(3, ("A", 1))
    with watching("own", "--redis", address_of(store)) as shown:
        assert shown.next() == "3\t1\tA"
        shop.publish(4, ("A", 2))
        assert shown.next() == "4\t2\tA"
        store.restart()
        shop.publish(6, ("B", 4))
        assert shown.next() == "6\t4\tB"
        store.restart(empty=True)
        shop.writes = 0
        shop.publish(7, ("A", 2), ("B", 4), ("C", 1))
        assert sorted(shown.next() for _ in range(3)) == ["7\t1\tC", "7\t2\tA", "7\t4\tB"]
        shop.begin("fedcba9876543210")
        shop.publish(2, ("A", 9))
        assert shown.next() == "2\t9\tA"
        assert shown.process.poll() is None


# How it reads


def test_a_stream_that_was_cut_is_made_up_for_by_the_hash(store: Store):
    shop = Publisher(store)
    shop.publish(1, ("A", 1))

    def between() -> None:
        shop.publish(2, ("B", 1))
        shop.publish(3, ("A", 3))
        shop.publish(4, ("C", 1), kept=1)

    assert told(store, between, upto=4) == {"A": (3, 3), "B": (1, 2), "C": (1, 4)}


def test_a_stream_that_was_taken_away_is_made_up_for_by_the_hash(store: Store):
    shop = Publisher(store)
    shop.publish(1, ("A", 1))

    def between() -> None:
        shop.publish(2, ("B", 1))
        store.ask("DEL", "allot:{own}:changes")

    assert told(store, between, upto=2) == {"A": (1, 1), "B": (1, 2)}


def test_figures_that_went_back_are_told_as_they_are(store: Store):
    shop = Publisher(store)
    shop.publish(9, ("A", 5))

    def between() -> None:
        shop.begin(ENGINE)
        shop.publish(4, ("A", 2))

    assert told(store, between, upto=4) == {"A": (2, 4)}


def test_nothing_is_missed_or_told_late_between_the_hash_and_the_stream(store: Store, monkeypatch: pytest.MonkeyPatch):
    """Changes come before, between and after the pieces of the hash."""
    shop = Publisher(store)
    shop.publish(1, *((f"S{row}", 1) for row in range(3000)))
    scan, last = RedisStore.scan_figures, RedisStore.last_change
    version = 1

    async def change() -> None:
        nonlocal version
        version += 1
        await asyncio.to_thread(shop.publish, version, ("S1", version), (f"S{version}", version))

    async def scanned(self: RedisStore, channel: str) -> AsyncIterator[Any]:
        await change()
        async for piece in scan(self, channel):
            yield piece
            await change()

    async def last_of(self: RedisStore, channel: str) -> str | None:
        await change()
        found = await last(self, channel)
        await change()
        return found

    monkeypatch.setattr(RedisStore, "scan_figures", scanned)
    monkeypatch.setattr(RedisStore, "last_change", last_of)
    seen: list[tuple[str, int]] = []
    found = told(store, lambda: None, upto=lambda: version, seen=seen)
    assert version > 6
    assert found == all_figures(store)
    assert [number for sku, number in seen if sku == "S1"] == sorted({number for sku, number in seen if sku == "S1"})


def all_figures(store: Store) -> dict[str, tuple[int, int]]:
    return dict(with_store(store, lambda to: to.all_figures("own")))


def told(
    store: Store,
    between: Callable[[], None],
    upto: "int | Callable[[], int]",
    seen: list[tuple[str, int]] | None = None,
) -> dict[str, tuple[int, int]]:
    """What a reader has been told last of each SKU, when it is complete up to a version. between: done once the reader
    has the first of it. seen: gets each SKU and version as it comes."""

    async def act(to: RedisStore) -> dict[str, tuple[int, int]]:
        found: dict[str, tuple[int, int]] = {}
        is_first = True
        async with asyncio.timeout(60):
            async for answer in RedisWatch(to, "own").answers():
                for figure in answer.figures:
                    found[figure.sku] = figure.units, figure.version
                    if seen is not None:
                        seen.append((figure.sku, figure.version))
                if answer.complete and is_first:
                    await asyncio.to_thread(between)
                    is_first = False
                if answer.complete and answer.version == (upto if isinstance(upto, int) else upto()):
                    break
        return found

    return dict(with_store(store, act))


def test_old_figures_are_told_to_be_old(store: Store):
    Publisher(store).publish(3, ("A", 1), as_of=time.time() - 90)
    notes: list[str] = []

    async def act(to: RedisStore) -> None:
        async for _ in RedisWatch(to, "own", note=notes.append).answers(once=True):
            pass

    with_store(store, act)
    assert notes == ["the figures are 90 s old: does the relay run, and the server?"]
    found = run("watch", "own", "--once", "--redis", address_of(store))
    assert (found.out, found.err) == ("3\t1\tA\n", "")  # no terminal


def test_figures_that_are_not_complete_are_not_taken_for_all(store: Store, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("server.cli.watch.PATIENCE_SECONDS", 0.3)
    Publisher(store).publish(0, ("A", 1))
    found = run("watch", "own", "--once", "--redis", address_of(store))
    assert (found.code, found.out) == (1, "")
    assert "not complete yet" in found.err


# With a server and its relay


@contextmanager
def relaying(address: str, store: Store) -> Iterator[None]:
    relay = spawn("relay", "--server", address, "--redis", address_of(store))
    try:
        yield
    finally:
        relay.terminate()
        said = relay.communicate(timeout=60)
        assert relay.returncode == 0, said


def channels_of(server: str, *options: object) -> dict[str, dict[str, Any]]:
    found = run("channels", "--json", "--server", server, *options)
    assert (found.code, found.err) == (0, "")
    return {row["channel"]: row for row in found.json["channels"]}


def test_channels_and_watch_with_a_server_and_its_relay(store: Store, tmp_path: Path):
    with running_server(tmp_path / "data") as started, Client(started.address) as shop:
        shop.put_nodes([("BLR", 12.97, 77.59)])
        shop.put_channel("own", on_short="refuse")
        shop.put_channel("new", policy={"cap": 3})
        shop.receive_stock([("S", "BLR", 10), ("T", "BLR", 5)])
        ask = (started.address, "--redis", address_of(store))
        assert channels_of(*ask)["own"]["redis"] is None
        with relaying(started.address, store):
            until(lambda: (there := channels_of(*ask)["own"]["redis"]) and not there["commits_behind"], "it relays")
            with watching("own", "--redis", address_of(store)) as shown:
                assert sorted(shown.next().split("\t")[1:] for _ in range(2)) == [["10", "S"], ["5", "T"]]
                shop.place_order(channel="own", order_id="A", postal_code="560001", lines=[("S", 4), ("T", 1)])
                assert sorted(shown.next().split("\t")[1:] for _ in range(2)) == [["4", "T"], ["6", "S"]]
            shop.cancel_order("own", "A", line=1, quantity=1)
            shop.place_order(channel="own", order_id="B", postal_code="560001", lines=[("S", 40)])
            until(lambda: channels_of(started.address)["own"]["refused_orders"], "the views take it in")
            until(lambda: not channels_of(*ask)["own"]["redis"]["commits_behind"], "it relays")
            found = channels_of(*ask)
            own, there = found["own"], found["own"]["redis"]
            assert {name: own[name] for name in own if name.startswith(("orders", "units"))} == {
                "orders": 1, "units_ordered": 5, "units_cancelled": 1, "units_shipped": 0, "units_sold": 4,
                "units_available": 11,
            }  # fmt: skip
            assert (own["refused_orders"], own["sell_through"]) == (1, round(4 / 15, 4))
            assert (found["new"]["units_sold"], found["new"]["units_available"]) == (0, 6)
            assert there["lag_seconds"] < 30
            assert there["figures_written"] >= 5
            assert there["writes_refused"] == 0
            assert "commits behind" in " ".join(run("channels", "--server", *ask).out.split())


def test_channels_are_two_tables_where_one_is_too_wide(store: Store, monkeypatch: pytest.MonkeyPatch):
    shop = Publisher(store)
    shop.publish(3, ("A", 1))
    with serving(FakeService()) as server:
        ask = ("channels", "--server", server, "--redis", address_of(store))
        assert "in Redis" not in run(*ask).out
        monkeypatch.setattr("server.cli.answers.WIDTH", 80)
        sold, there = run(*ask).out.split("in Redis\n")
    assert "3,600" in sold
    assert max(map(len, (sold + there).splitlines())) <= 80
    own, new = there.splitlines()[-3:-1]
    assert own.split()[2:] == ["s", "7", "1", "0", "0"]
    assert new.split() == ["new", "not", "there"]


def test_redis_counts_what_was_told_together_and_what_was_refused(store: Store):
    shop = Publisher(store)
    shop.publish(3, ("A", 1))
    shop.publish(7, ("A", 2))
    shop.publish(9)
    shop.publish(10, ("A", 3))
    shop.writes -= 1
    shop.publish(11, ("A", 4))
    state = with_store(store, lambda to: to.state("own"))
    assert (state["published"], state["coalesced"], state["refused"]) == ("4", "3", "1")


def test_channels_says_that_redis_is_not_there(tmp_path: Path):
    with serving(FakeService()) as server:
        found = run("channels", "--server", server, "--redis", "redis://127.0.0.1:1")
        assert (found.code, found.out, found.err.count("\n")) == (1, "", 1)
        assert "redis://127.0.0.1:1: is it running" in found.err
        assert run("channels", "--server", server, "--redis", "nonsense").code == 2


# What goes wrong


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("http://127.0.0.1", "--redis: write redis://host:6379/0"),
        (
            "redis://me:secret@127.0.0.1",
            "--redis: it holds a password: put that into a file, and name it by --password-",
        ),
        ("redis://127.0.0.1:6379/first", "--redis: the database is a number"),
    ],
)
def test_a_bad_url_is_one_line_with_the_mend(url: str, said: str):
    found = run("watch", "own", "--redis", url)
    assert (found.code, found.out, found.err.count("\n")) == (2, "", 1)
    assert said in found.err
    assert "secret" not in found.err


def test_a_password_file_that_is_not_there_is_named():
    found = run("watch", "own", "--redis", "redis://127.0.0.1", "--password-file", "no.txt")
    assert (found.code, found.err) == (2, "allot: no.txt: No such file or directory\n")


def test_redis_that_is_not_there_is_named(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("server.cli.watch.PATIENCE_SECONDS", 0.3)
    found = run("watch", "own", "--redis", "redis://127.0.0.1:1")
    assert (found.code, found.out, found.err.count("\n")) == (1, "", 1)
    assert found.err.startswith("allot: redis://127.0.0.1:1: is it running, and is the address right?")


def test_a_channel_that_is_not_there_and_a_wrong_password_end_it_at_once(store: Store, tmp_path: Path):
    found = run("watch", "own", "--redis", address_of(store), "--prefix", "other")
    assert (found.code, found.err.count("\n")) == (1, 1)
    assert "no figures of channel 'own': is that its name, does the relay run" in found.err
    store.ask("CONFIG", "SET", "requirepass", "right")
    store.password = "right"
    for text, code in (("wrong", 1), ("right\n", 1)):
        (tmp_path / "password").write_text(text)
        found = run("watch", "own", "--redis", address_of(store), "--password-file", tmp_path / "password")
        assert (found.code, "--password-file" in found.err) == (code, text == "wrong")


# A cluster, and a master that a Sentinel names


def watched_at(url: str) -> list[str]:
    """A figure is written and changed there, and watched from its beginning on."""

    async def act() -> list[str]:
        store = RedisStore(Address.parse(url))
        lines: list[str] = []
        try:
            await store.publish("own", News(ENGINE, 3, 1, 1, b"A\t1\t3\n"), 0)
            async for answer in RedisWatch(store, "own").answers():
                lines += [f"{figure.version}\t{figure.units}\t{figure.sku}" for figure in answer.figures]
                if answer.complete and answer.version == 3:
                    await store.publish("own", News(ENGINE, 4, 1, 1, b"A\t2\t4\n"), 1)
                elif answer.complete:
                    break
        finally:
            await store.close()
        return lines

    found = asyncio.run(act())
    assert lines_of(run("watch", "own", "--once", "--redis", url)) == found[-1:]
    return found


def test_watch_reads_from_a_cluster(cluster: Cluster):
    assert watched_at(f"redis+cluster://127.0.0.1:{cluster.nodes[0].port}") == ["3\t1\tA", "4\t2\tA"]


def test_watch_reads_from_the_master_that_a_sentinel_names(sentinel: Sentinel):
    assert watched_at(f"redis+sentinel://127.0.0.1:{sentinel.port}/{SENTINEL_NAME}") == ["3\t1\tA", "4\t2\tA"]
