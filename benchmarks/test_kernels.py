"""The kernels one by one, timed by pytest-benchmark: `pytest benchmarks/test_kernels.py`. Not part of the tests."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks import load
from benchmarks.engine_alone import SECRET
from benchmarks.p4_availability import CHANGED_SKUS, Shop
from engine.apply import hash_keys
from engine.commands import PlaceOrders
from engine.folder import DataFolder
from engine.outcomes import Method
from engine.state import State
from engine.writer import Engine
from kernels.capacity import no_capacity
from kernels.cheapest import no_prices
from kernels.digest import full_digest
from kernels.distance import rank
from kernels.keys import find_keys, find_or_insert, new_index
from kernels.nearest import empty_drawn, nearest, parts_max

ORDERS = load.BATCH_ORDERS
ROUNDS = 20


@pytest.fixture(scope="module")
def keys() -> Any:
    state = State(np.frombuffer(SECRET, np.uint64).copy())
    return hash_keys(state, np.zeros(ORDERS, np.int16), Method.PLACE_ORDER, load.order_ids(ORDERS, 0))


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Any:
    path: Path = tmp_path_factory.mktemp("engine")
    DataFolder.create(path, SECRET).close()
    with Engine.open(path, publish=False) as engine:
        for command in load.catalogue(10 * ORDERS * 2):
            engine.commit(command, load.STAMP)
        for command in load.place_orders(2):
            engine.commit(command, load.STAMP)
        yield engine


@pytest.mark.parametrize("level", [0.05, 1.2, 5.0])
def test_nearest(benchmark: Any, level: float) -> None:
    batch, fences, policies, places = load.orders(ORDERS), load.no_fences(), load.policies(), load.places()
    available = load.stock(level * int(batch.quantity.sum()))
    drawn = empty_drawn(ORDERS, batch.sku.size, parts_max(batch.quantity, load.NODES), load.NODES)

    def fresh() -> Any:
        return (
            batch,
            load.NODES,
            load.cells(available),
            fences,
            policies,
            places,
            no_prices(),
            no_capacity(),
            drawn,
        ), {}

    benchmark.pedantic(nearest, setup=fresh, rounds=ROUNDS)


def test_hash_of_text_keys(benchmark: Any) -> None:
    state = State(np.frombuffer(SECRET, np.uint64).copy())
    ids, channel = load.order_ids(ORDERS, 0), np.zeros(ORDERS, np.int16)
    benchmark(hash_keys, state, channel, Method.PLACE_ORDER, ids)


def test_insert_of_keys(benchmark: Any, keys: Any) -> None:
    found, rows = np.empty(ORDERS, np.int64), np.empty(ORDERS, np.int32)
    locations = np.arange(1, ORDERS + 1)
    benchmark.pedantic(
        find_or_insert, setup=lambda: ((new_index(1 << 16), keys, locations, rows, found), {}), rounds=ROUNDS
    )


def test_look_up_of_keys(benchmark: Any, keys: Any) -> None:
    index = new_index(1 << 20)
    found, rows = np.empty(ORDERS, np.int64), np.empty(ORDERS, np.int32)
    find_or_insert(index, keys, np.arange(1, ORDERS + 1), rows, found)
    benchmark(find_keys, index, keys, found, rows)


def test_ats_of_changed_skus(benchmark: Any) -> None:
    shop = Shop(load.CHANNELS, 1)
    skus = np.random.default_rng(1).choice(load.SKUS, CHANGED_SKUS, replace=False).astype(np.int32)
    benchmark(shop.publish, skus)


def test_ranks_of_postal_codes(benchmark: Any) -> None:
    places = load.places()
    benchmark(rank, places.metres, load.NODES, places.rank)


def test_commit_of_a_batch_of_orders(benchmark: Any, engine: Engine) -> None:
    seeds = iter(range(100, 100 + 2 * ROUNDS))

    def fresh() -> tuple[tuple[PlaceOrders, int], dict[str, Any]]:
        return (next(load.place_orders(1, next(seeds))), load.STAMP), {}

    benchmark.pedantic(engine.commit, setup=fresh, rounds=ROUNDS, warmup_rounds=2)


def test_digest_from_scratch(benchmark: Any, engine: Engine) -> None:
    benchmark(full_digest, engine.state.book, engine.state.cells, np.empty(1, np.uint64))
