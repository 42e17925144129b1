"""The batcher over a real engine: who is decided with whom, who is refused, and what nobody may notice of it."""

import asyncio
import threading
import time
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pyarrow as pa
import pytest

from engine.commands import MoveStock, PlaceOrders, PutChannels, PutNames, PutNodes, PutPostalCodes
from engine.journal import JournalFull
from engine.lifecycle import Action
from engine.outcomes import MovementKind, Namespace, Reply
from kernels.columns import Figure, OnShort, Outcome
from kernels.options import FEW
from server import batcher
from server.batcher import Lane
from server.errors import Rejection
from server.gather import ACT, CART, CONFIRMATION, ORDER, RELEASE, ActRow, ConfirmRow, OrderRow, ReleaseRow
from tests import edge as edges
from tests.driving import START

SKUS = 4


async def prepare(edge: edges.Edge, units: int = 100) -> None:
    """Two nodes, one channel, one postal code, and units of each SKU at the first node."""
    ask = edge.batcher.ask
    names = pa.array([f"S{i}" for i in range(SKUS)])
    await ask(PutNames("skus", Namespace.SKU, names))
    two, one = np.array([1, 2], np.int32), np.array([1], np.int32)
    await ask(PutNodes("nodes", pa.array(["A", "B"]), two, two, np.ones(2, np.uint8)))
    await ask(PutPostalCodes("codes", pa.array(["560001"]), one, one, np.zeros(1, np.uint8)))
    group = np.full((1, 4), np.iinfo(np.uint64).max, np.uint64)
    keep, split = np.array([OnShort.KEEP], np.uint8), np.ones(1, np.uint8)
    no_cap = np.array([np.iinfo(np.int32).max], np.int32)
    policy = (one * 0, keep, split, one * 1_000_000, one * 0, no_cap, one * 0, one * 0, split * 0)
    await ask(PutChannels("channel", pa.array(["own"]), group, *policy))
    sku = np.arange(SKUS, dtype=np.int32)
    kind = np.full(SKUS, MovementKind.RECEIVED, np.uint8)
    await ask(MoveStock("stock", sku, np.zeros(SKUS, np.int16), kind, np.full(SKUS, units, np.int32)))


def order(number: int, sku: int = 0, units: int = 1, **options: Any) -> OrderRow:
    return OrderRow(f"o{number}", 0, 0, [sku], [units], options)


def batch(first: int, count: int) -> PlaceOrders:
    zeros = np.zeros(count, np.int32)
    ids = pa.array([f"b{first + i}" for i in range(count)])
    return PlaceOrders(ids, zeros.astype(np.int16), zeros, np.arange(count + 1), zeros, zeros + 1)


def on_edge(tmp_path: Path, test: Any, *listeners: Any) -> None:
    async def whole() -> None:
        async with edges.running(tmp_path / "folder", *listeners) as edge:
            await prepare(edge)
            await test(edge)

    edges.run(whole)


def test_a_large_batch_is_decided_while_the_one_before_is_synced_and_a_small_one_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def test(edge: edges.Edge) -> None:
        lane, seen, submit = Lane(), [], edge.engine.submit

        def seeing(commands: Any, stamp: int, pipelined: bool = True) -> Any:
            seen.append(pipelined)
            return submit(commands, stamp, pipelined)

        monkeypatch.setattr(edge.engine, "submit", seeing)
        for first, count in ((0, FEW), (1000, FEW + 1)):
            await edge.batcher.allocate(lane, batch(first, count), count)
        assert seen == [False, True]

    on_edge(tmp_path, test)


def test_what_is_asked_at_once_is_decided_in_one_commit(tmp_path: Path):
    async def test(edge: edges.Edge) -> None:
        before = edge.engine.durable_sequence
        results = await asyncio.gather(*(edge.batcher.place(ORDER, order(i)) for i in range(20)))
        assert [result.reply for result in results] == [Outcome.ALLOCATED] * 20
        assert len({result.number for result in results}) == 20
        assert edge.engine.durable_sequence - before <= 2  # the first may have been taken alone

    on_edge(tmp_path, test)


def test_more_at_once_than_a_turn_takes_are_all_answered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(batcher, "TURN_REQUESTS_MAX", 10)

    async def test(edge: edges.Edge) -> None:
        before = edge.engine.durable_sequence
        placed = (edge.batcher.place(ORDER, order(i)) for i in range(25))
        results = await asyncio.wait_for(asyncio.gather(*placed), 30)
        assert len({result.number for result in results}) == 25
        assert edge.engine.durable_sequence - before >= 3

    on_edge(tmp_path, test)


def test_rows_of_every_kind_get_their_own_answers(tmp_path: Path):
    async def test(edge: edges.Edge) -> None:
        place = edge.batcher.place
        cart = OrderRow("cart", 0, 0, [1, 2], [3, 4], {}, START + 10**9)
        held, bought = await asyncio.gather(place(CART, cart), place(ORDER, order(1, 3, 120, customer="c-1")))
        assert held.parts == [(1, 0, 9, 3, held.parts[0][4]), (2, 0, 9, 4, held.parts[1][4])]
        assert (bought.reply, [part[3] for part in bought.parts]) == (Outcome.PARTLY, [100, 20])
        confirmed = await place(CONFIRMATION, ConfirmRow("c1", 0, "cart", "o2", -1))
        assert (confirmed.reply, confirmed.parts[0][:4]) == (Outcome.ALLOCATED, (1, 0, 2, 3))
        released = await place(RELEASE, ReleaseRow("r1", 0, "cart"))
        assert released.reply == Reply.RESERVATION_ENDED
        cancelled = await place(ACT, ActRow("a1", 0, "o2", 2, -1, Action.CANCEL, 1, 0))
        assert (cancelled.reply, cancelled.quantity) == (Reply.DONE, 1)

    on_edge(tmp_path, test)


def test_a_repeat_gets_the_first_answer_and_other_content_a_conflict(tmp_path: Path):
    async def test(edge: edges.Edge) -> None:
        place = edge.batcher.place
        first, again = await place(ORDER, order(1)), await place(ORDER, order(1))
        assert again == first._replace(again=True)
        assert (await place(ORDER, order(1, units=2))).reply == Reply.KEY_CONFLICT
        twice = await asyncio.gather(*(place(ORDER, order(9)) for _ in range(5)))
        assert [result.again for result in twice] == [False] + [True] * 4

    on_edge(tmp_path, test)


def test_streams_take_turns_so_that_none_waits_for_all_of_another(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(batcher, "TURN_ORDERS_MAX", 100)

    async def test(edge: edges.Edge) -> None:
        long, short, done = Lane(), Lane(), []
        waiting = [edge.batcher.allocate(long, batch(1000 * i, 60), 60) for i in range(40)]
        for i, answered in enumerate(waiting):
            answered.add_done_callback(lambda _, i=i: done.append(f"long {i}"))
        waiting.append(edge.batcher.allocate(short, batch(90_000, 10), 10))
        waiting[-1].add_done_callback(lambda _: done.append("short"))
        await asyncio.gather(*waiting)
        assert done.index("short") < 30
        assert [name for name in done if name != "short"] == [f"long {i}" for i in range(40)]

    on_edge(tmp_path, test)


def test_single_requests_pass_between_batches(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(batcher, "TURN_ORDERS_MAX", 100)

    async def test(edge: edges.Edge) -> None:
        lane = Lane()
        waiting = [edge.batcher.allocate(lane, batch(1000 * i, 60), 60) for i in range(40)]
        await edge.batcher.place(ORDER, order(1))
        assert not all(answered.done() for answered in waiting)
        await asyncio.gather(*waiting)

    on_edge(tmp_path, test)


def test_what_is_late_is_not_done(tmp_path: Path):
    async def test(edge: edges.Edge) -> None:
        with pytest.raises(Rejection) as late:
            await edge.batcher.place(ORDER, order(1), time.monotonic() - 1)
        assert late.value.code is grpc.StatusCode.DEADLINE_EXCEEDED
        result = await edge.batcher.place(ORDER, order(1), time.monotonic() + 60)
        assert not result.again

    on_edge(tmp_path, test)


def test_what_nobody_waits_for_any_more_is_not_done(tmp_path: Path):
    async def test(edge: edges.Edge) -> None:
        gone = edge.batcher.place(ORDER, order(1))
        gone.cancel()
        assert not (await edge.batcher.place(ORDER, order(1))).again

    on_edge(tmp_path, test)


def test_a_full_queue_refuses_and_says_when_to_come_back(tmp_path: Path):
    async def test(edge: edges.Edge) -> None:
        edge.batcher._requests_max = 3
        waiting = [edge.batcher.place(ORDER, order(i)) for i in range(3)]
        with pytest.raises(Rejection) as full:
            edge.batcher.place(ORDER, order(4))
        assert (full.value.reason, full.value.retry_after_ms > 0) == ("QUEUE_FULL", True)
        assert all(result.reply == Outcome.ALLOCATED for result in await asyncio.gather(*waiting))

    on_edge(tmp_path, test)


def test_what_does_not_fit_is_refused_alone(tmp_path: Path):
    async def test(edge: edges.Edge) -> None:
        much = PutNames("many", Namespace.SKU, pa.array([f"T{i}" for i in range(edges.LIMITS.skus_max)]))
        results = await asyncio.gather(
            edge.batcher.place(ORDER, order(1)), edge.batcher.ask(much), edge.batcher.place(ORDER, order(2)),
            return_exceptions=True,
        )  # fmt: skip
        assert isinstance(results[1], Rejection)
        assert results[1].reason == "LIMIT_REACHED"
        assert [results[0].reply, results[2].reply] == [Outcome.ALLOCATED] * 2

    on_edge(tmp_path, test)


def test_a_full_disk_refuses_writes_serves_reads_and_goes_on_later(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    async def test(edge: edges.Edge) -> None:
        def full(size: int) -> None:
            raise JournalFull("no space")

        edge.engine._promised = 0
        with monkeypatch.context() as patch:
            patch.setattr(edge.engine.journal, "reserve", full)
            with pytest.raises(Rejection) as refused:
                await edge.batcher.place(ORDER, order(1))
            assert (refused.value.reason, refused.value.retry_after_ms > 0) == ("DISK_FULL", True)
            assert await edge.batcher.read(lambda engine: engine.state.sequence) == edge.engine.durable_sequence
        assert not (await edge.batcher.place(ORDER, order(1))).again

    on_edge(tmp_path, test)


def test_a_look_sees_what_was_decided_before_it(tmp_path: Path):
    async def test(edge: edges.Edge) -> None:
        def on_hand(engine: Any) -> tuple[int, int]:
            row = engine.state.cells.row_of[0]
            return int(engine.state.cells.figures[row, 0, Figure.ALLOCATED]), engine.state.sequence

        placed = [edge.batcher.place(ORDER, order(i)) for i in range(7)]
        allocated, sequence = await edge.batcher.read(on_hand)
        assert allocated == 7
        assert edge.engine.durable_sequence >= sequence
        await asyncio.gather(*placed)
        with pytest.raises(ZeroDivisionError):
            await edge.batcher.read(lambda engine: 1 // 0)

    on_edge(tmp_path, test)


def test_reservations_end_in_time_while_nothing_is_asked(tmp_path: Path):
    async def test(edge: edges.Edge) -> None:
        edge.batcher._clock = time.time
        cart = OrderRow("cart", 0, 0, [0], [5], {}, int(time.time() * 1e6) + 150_000)
        await edge.batcher.place(CART, cart)
        await asyncio.sleep(1)
        row = edge.engine.state.cells.row_of[0]
        assert edge.engine.state.cells.figures[row, 0, Figure.RESERVED] == 0
        confirmed = await edge.batcher.place(CONFIRMATION, ConfirmRow("c", 0, "cart", "o", -1))
        assert confirmed.reply == Reply.RESERVATION_EXPIRED

    on_edge(tmp_path, test)


def test_listeners_hear_every_commit_in_sequence(tmp_path: Path):
    heard: list[int] = []

    def hear(turn: Any) -> None:
        heard.append(turn.sequence)
        if turn.orders == 1:
            raise RuntimeError("a listener's own fault")

    async def test(edge: edges.Edge) -> None:
        lane = Lane()
        for i in range(30):
            await asyncio.gather(
                edge.batcher.place(ORDER, order(i)),
                edge.batcher.allocate(lane, batch(1000 * i, 10), 10),
            )
        assert heard == sorted(heard)
        assert set(range(heard[0], edge.engine.durable_sequence + 1)) == set(heard)

    on_edge(tmp_path, test, lambda edge: hear)


def test_a_failed_engine_refuses_everything_and_says_so(tmp_path: Path):
    async def whole() -> None:
        failures: list[BaseException] = []
        async with edges.running(tmp_path / "folder") as edge:
            await prepare(edge)
            edge.batcher._on_failure = failures.append

            def broken(name: str) -> None:
                raise OSError(5, "Input/output error")

            edge.engine.journal._disk.sync = broken
            with pytest.raises(Rejection) as failed:
                await edge.batcher.place(ORDER, order(1))
            assert failed.value.reason == "ENGINE_FAILED"
            await asyncio.sleep(0.1)
            assert len(failures) == 1
            with pytest.raises(Rejection) as failed:
                await edge.batcher.place(ORDER, order(2))
            assert failed.value.reason == "ENGINE_FAILED"

    edges.run(whole)


def test_nobody_hears_of_a_commit_before_it_is_durable(tmp_path: Path):
    heard: list[int] = []

    async def test(edge: edges.Edge) -> None:
        synced, append = threading.Event(), edge.engine.journal.append

        def slow(*record: Any) -> None:
            assert synced.wait(30)
            append(*record)

        lane = Lane()
        edge.batcher.allocate(lane, batch(0, 5), 5)
        edge.engine.journal.append = slow
        before = edge.engine.durable_sequence
        waiting = [
            edge.batcher.allocate(lane, batch(1000, 5), 5),
            edge.batcher.place(ORDER, order(1)), edge.batcher.read(lambda engine: engine.state.sequence),
        ]  # fmt: skip
        await asyncio.sleep(0.3)
        assert not any(future.done() for future in waiting)
        assert not heard or max(heard) <= before + 1
        synced.set()
        answered, placed, seen = await asyncio.gather(*waiting)
        assert (answered.reply.size, placed.reply, seen <= max(heard)) == (5, Outcome.ALLOCATED, True)

    on_edge(tmp_path, test, lambda edge: lambda turn: heard.append(turn.sequence))


def test_work_is_counted_by_what_it_costs(tmp_path: Path):
    async def test(edge: edges.Edge) -> None:
        before = edge.batcher.work
        await edge.batcher.place(ORDER, order(1))
        assert edge.batcher.work - before == batcher.SINGLE_WORK
        await edge.batcher.allocate(Lane(), batch(1000, 60), 60)
        assert edge.batcher.work - before == batcher.SINGLE_WORK + 60

    on_edge(tmp_path, test)
