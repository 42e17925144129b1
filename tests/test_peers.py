"""The peers of the lane decide by the same rule, never sell a unit twice, and leave nothing behind."""

import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks import load
from benchmarks.peers import contest, greedy, postgres, redis_script
from benchmarks.peers.peer import Lot, Missing, Peer, lot, merged
from benchmarks.service import empty_folder
from kernels.columns import Batch, no_terms
from tests.stores import running_processes, until

SKUS, NODES, CODES = 40, 6, 9


def small_lot(orders: int, seed: int, skus: int = SKUS) -> Lot:
    rng = np.random.default_rng(seed)
    first = np.concatenate([[0], np.cumsum(rng.integers(1, 5, orders))]).astype(np.int64)
    zeros = np.zeros(orders, np.int16)
    made = Batch(
        zeros, rng.integers(0, CODES, orders).astype(np.int32), first,
        rng.integers(0, skus, first[-1]).astype(np.int32), rng.integers(1, 6, first[-1]).astype(np.int32),
        *no_terms(orders),
    )  # fmt: skip
    return merged([f"{seed}-{number}" for number in range(orders)], made)


def small_rank(seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return np.argsort(rng.random((CODES, NODES)), axis=1).astype(np.uint8)


def small_stock(mean: float, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).poisson(mean, (SKUS, NODES)).astype(np.int32)


def by_twin(lots: list[Lot], available: np.ndarray, rank: np.ndarray) -> greedy.Given:
    twin = greedy.PlainPython(rank)
    twin.fill(available)
    for one in lots:
        twin.decide(one)
    return twin.stored()


def decide(peer: Peer, lots: list[Lot]) -> None:
    for one in lots:
        peer.decide(peer.prepare(one))


@pytest.fixture(scope="module", params=contest.PEERS)
def peer(request: pytest.FixtureRequest) -> Iterator[Peer]:
    try:
        with empty_folder() as folder, contest.PEERS[request.param](folder, small_rank()) as running:
            yield running
    except Missing as missing:
        pytest.skip(f"{request.param}: {missing}")


def ways(peer: Peer) -> list[tuple[Any, bool]]:
    """To drive it, and whether orders are decided in their turn."""
    if isinstance(peer, postgres.RowLocks):
        return [(1, True), (8, False), (32, False)]
    if isinstance(peer, redis_script.Scripted):
        return [(way, way.connections == 1) for way in peer.choices]
    return [("", True)]


def test_in_memory_both_decide_as_the_kernel():
    lots = [lot(1_500, seed) for seed in range(2)]
    available = load.stock(0.9 * sum(int(one.batch.quantity.sum()) for one in lots))
    expected = contest.by_kernel(lots, available)
    for open_ in (greedy.plain_python, greedy.whole_batches):
        with open_(Path(), load.places().rank) as peer:
            peer.fill(available)
            decide(peer, lots)
            assert contest.share_alike(peer.stored(), expected) == 1
            assert contest.counted(peer.stored(), available, 3_000)[2:] == (0, 0)


@given(st.integers(0, 10_000), st.sampled_from([0.3, 1.0, 3.0, 20.0]), st.integers(1, 40))
@settings(deadline=None)
def test_a_whole_batch_by_arrays_comes_to_the_same_as_one_after_another(seed: int, mean: float, orders: int):
    lots, available, rank = [small_lot(orders, seed), small_lot(3, seed + 1)], small_stock(mean, seed), small_rank(seed)
    peer = greedy.WholeBatches(rank)
    peer.fill(available)
    decide(peer, lots)
    assert contest.share_alike(peer.stored(), by_twin(lots, available, rank)) == 1


def test_lines_are_merged_within_their_order_alone():
    orders = Batch(
        np.zeros(2, np.int16), np.zeros(2, np.int32), np.array([0, 3, 4]), np.array([7, 2, 7, 7], np.int32),
        np.array([1, 2, 3, 4], np.int32), *no_terms(2),
    )  # fmt: skip
    batch = merged(["a", "b"], orders).batch
    assert (batch.first_line.tolist(), batch.sku.tolist(), batch.quantity.tolist()) == ([0, 2, 3], [2, 7, 7], [2, 4, 4])


@pytest.mark.parametrize("mean", [0.7, 2.0, 30.0])
def test_every_peer_sells_no_unit_twice_and_keeps_every_order(peer: Peer, mean: float):
    lots, available = [small_lot(60, seed) for seed in range(3)], small_stock(mean)
    for way, in_turn in ways(peer):
        peer.choice = way
        peer.fill(available)
        decide(peer, lots)
        left = peer.stored()
        assert contest.counted(left, available, 180)[2:] == (0, 0)
        if in_turn:
            assert contest.share_alike(left, by_twin(lots, available, small_rank())) == 1


def test_clients_that_race_for_a_few_rows_sell_none_twice(peer: Peer):
    available = small_stock(25.0)
    peer.choice = ways(peer)[-1][0]
    peer.fill(available)
    decide(peer, [small_lot(400, 1, skus=3)])
    left = peer.stored()
    assert contest.counted(left, available, 400)[2:] == (0, 0)
    assert left.units.sum() == available[:3].sum()  # they went on until nothing was left


def test_an_order_that_comes_again_takes_nothing(peer: Peer):
    if not peer.process_id:
        pytest.skip("it knows no orders")
    lots, available = [small_lot(50, 1)], small_stock(3.0)
    peer.fill(available)
    decide(peer, lots)
    before = peer.stored()
    decide(peer, [*lots, small_lot(5, 2)])
    left = peer.stored()
    assert contest.share_alike(left, before) == 1
    assert contest.counted(left, available, 55)[2:] == (0, 0)


def test_units_that_are_sold_twice_are_counted():
    one, available = small_lot(20, 1), small_stock(0.5)
    twin = greedy.PlainPython(small_rank())
    for stock in (available, available + 1):  # it believes in more than there is
        twin.fill(stock)
        twin.decide(one)
        count = contest.counted(twin.stored(), available, 21)
        assert (count.oversold > 0) == (stock is not available)
        assert count.lost == 1


@pytest.mark.parametrize("kind", ["Redis", "Valkey"])
def test_who_is_not_installed_is_named_with_what_installs_it(kind: str, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(redis_script, "in_wheel", lambda *_: None)
    monkeypatch.setattr(redis_script, "valkey_in_wheel", lambda: None)
    monkeypatch.setenv("PATH", "")
    monkeypatch.setattr(contest, "PEERS", {kind: redis_script.opened(kind, "pipelined", True)})
    (row,) = contest.beside(lambda: 1e6, 1_000, quick=True)
    assert "missing" in row.what
    assert redis_script.INSTALL[kind] in row.what


def test_postgresql_that_is_not_installed_is_named_with_what_installs_it(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("PATH", "")
    monkeypatch.setattr(postgres, "INSTALLED", Path("/nowhere"))
    with pytest.raises(Missing, match="apt install postgresql-15"):
        postgres.binaries()


STARTED = """
import sys
from pathlib import Path
from benchmarks.peers import contest
from benchmarks.service import empty_folder
from tests.test_peers import small_rank
with empty_folder() as folder, contest.PEERS[sys.argv[1]](folder, small_rank()) as peer:
    print(peer.process_id, folder.resolve(), flush=True)
    sys.stdin.read()
"""


@pytest.mark.parametrize("name", ["PostgreSQL, row locks", "Valkey, pipelined, synced"])
@pytest.mark.parametrize("end", [0, signal.SIGINT, signal.SIGKILL])
def test_nothing_is_left_of_a_peer(name: str, end: int):
    with subprocess.Popen(
        [sys.executable, "-c", STARTED, name], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        text=True,
    ) as process:  # fmt: skip
        assert process.stdout is not None
        told = process.stdout.readline().split()
        if not told:
            error = process.communicate()[1]
            assert "Missing" in error, error
            pytest.skip(error[-300:])
        if end:
            process.send_signal(end)
        process.communicate()
    until(lambda: not running_processes([int(told[0])]), "the server has ended")
    folder = Path(told[1])
    if end == signal.SIGKILL:
        shutil.rmtree(folder)  # nobody was left to do it
    assert not folder.exists()
