"""The benchmarks of the service do what they say: distinct orders on the wire, and clients that count what was
answered."""

from contextlib import nullcontext

import pyarrow as pa
import pytest

from allot.v1 import orders_pb2
from benchmarks import anatomy, load, wire
from benchmarks.echo import KINDS
from benchmarks.engine_alone import data_folder, drive, stocked_engine
from benchmarks.service import clients, echo, serving, stocked_folder, stored, sync_seconds
from engine import decide
from engine.names import Names
from engine.writer import Engine
from kernels.columns import Head


def ids_of(message: bytes) -> list[str]:
    with pa.ipc.open_stream(orders_pb2.AllocateBatchesRequest.FromString(message).batch) as stream:
        batch = stream.read_next_batch()
    batch.validate(full=True)
    return batch["order_id"].to_pylist()


def test_no_order_id_of_the_lane_comes_twice():
    batches = [wire.lane_batch(50, seed) for seed in (0, 1, 5_000)]
    ids = [text for number in (0, 1, 99, 123_456) for batch in batches for text in ids_of(batch.of_pass(number))]
    assert len(set(ids)) == len(ids) == 600
    assert {len(text) for text in ids} == {19}


def test_a_pass_changes_nothing_but_the_ids():
    batch = wire.lane_batch(50, 0)
    first, second = batch.of_pass(7), batch.of_pass(7_000)
    assert len(first) == len(second) == batch.bytes
    assert ids_of(first) == ids_of(batch.of_pass(7)) != ids_of(second)


def test_single_orders_name_popular_skus_first():
    orders = wire.single_orders(2_000, "p")
    assert len({order.order_id for order in orders}) == 2_000
    skus = [line.sku for order in orders for line in order.lines]
    assert skus.count("SKU-000000-XL") > 20 * max(1, skus.count("SKU-010000-XL"))


@pytest.mark.parametrize("kind", KINDS)
def test_an_echo_answers_calls_and_streams(kind: str):
    with echo(kind, 20_000) as address, clients(1) as (client,):
        told = client.run("closed", to="echo", address=address, concurrency=4, seconds=0.1)
        assert told["count"] > 4
        told = client.run("lane", to="echo", address=address, batch=500, streams=2, window=2, seconds=0.1)
        assert told["orders"] >= 1_000
        assert told["answer_bytes"] == 20_000


def test_clients_count_what_the_service_answered(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with stocked_folder(30_000_000, skus=1_000) as folder, serving(folder) as service, clients(1) as (client,):
        before, every = service.metric("allot_durable_sequence"), {"address": service.address, "seconds": 0.2}
        singles = client.run("closed", to="order", concurrency=8, **every)
        assert singles["count"] > 8
        arriving = client.run("together", jobs=[
            {"do": "open_loop", "to": "order", "rate": 100, **every}, {"do": "carts", "rate": 50, **every},
        ])  # fmt: skip
        assert all(part["count"] == part["offered"] and not part["failed"] for part in arriving.values())
        lane = client.run("lane", to="lane", batch=500, streams=1, window=2, **every)
        assert lane["orders"] >= 500
        assert lane["allocated"] < 0.1  # most SKUs have no stock here
        slow = {"to": "lane", "batch": 500, "window": 1, "seed": 5, **every}
        told = client.run("together", jobs=[
            {"do": "watch", "watchers": 2, "slow": 1, "settle": 0, **every}, {"do": "stalled", **slow},
        ])  # fmt: skip
        assert told["watch"]["messages"] >= 2
        assert told["stalled"]["sent"] >= 1
        assert service.metric("allot_durable_sequence") > before
        assert stored(folder).bytes > 0
        assert len(sync_seconds(folder, 3)) == 3


def test_the_canonical_load_goes_through_an_engine() -> None:
    with data_folder() as path, stocked_engine(path, load.BATCH_ORDERS) as engine:
        run = drive(engine, list(load.place_orders(1)))
        assert run.orders == engine.state.head(Head.OPEN_ORDERS) == load.BATCH_ORDERS


def test_the_path_of_an_order_is_the_servers_and_every_step_of_it_is_timed(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    before = {name: getattr(owner, name) for owner, name in ((decide, "place"), (Names, "find"), (Engine, "submit"))}
    walked = anatomy.walk(2, size=500)
    assert walked.orders == 1_000
    assert set(walked.nanoseconds) == set(anatomy.STEPS)
    assert all(value > 0 for value in walked.nanoseconds.values()), walked.nanoseconds
    assert 20 < walked.sizes["journal"] < 400
    for name, function in before.items():
        owner = {"place": decide, "find": Names, "submit": Engine}[name]
        assert getattr(owner, name) is function, "a step is still timed"


def test_the_path_kernel_by_kernel_decides_as_the_server_does(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    digests = []
    for timed in (False, True):
        with data_folder() as path, Engine.open(path) as engine:
            for command in load.catalogue(2_000.0, load.World(skus=200, nodes=8)):
                engine.commit(command, load.STAMP)
            orders = list(load.place_orders(2, 1, 400, load.World(skus=200, nodes=8)))
            with anatomy._timed_steps(anatomy.Clock()) if timed else nullcontext():
                for command in (*orders, orders[0]):  # the last ones are answered again
                    engine.commit(command, load.STAMP)
            digests.append(engine.state.digest())
    assert digests[0] == digests[1]


@pytest.mark.parametrize(
    "world", [load.World(skus=50, nodes=3), load.World(nodes=130, lines=7)], ids=["small", "many nodes"]
)
def test_worlds_of_another_size_have_what_they_say(world: load.World):
    orders = load.orders(200, 1, world)
    assert orders.sku.max() < world.skus
    assert not world.lines or set((orders.first_line[1:] - orders.first_line[:-1]).tolist()) == {world.lines}
    stock = load.stock(5.0 * world.skus * world.nodes, world)
    bits = load.stocked(stock)
    assert bits.shape == (world.skus, -(-world.nodes // 64))
    for node in range(0, world.nodes, 29):
        assert ((bits[:, node // 64] >> (node % 64)) & 1 == (stock[:, node] > 0)).all()
    counted = [command for command in load.catalogue(5.0 * world.skus * world.nodes, world) if hasattr(command, "sku")]
    assert sum(int(command.quantity.sum()) for command in counted) == int(stock.sum())
