"""Clients that know what a server acknowledged: they ask it for everything at once until it is killed, then look at a
new one on the same folder. What was answered must be answered equally again; what was not must be whole or absent.

`Clients.load` asks, `Clients.settle` looks. Each request carries its key, and is kept with its answer.
"""

import random
import threading
import time
from collections import defaultdict
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from queue import SimpleQueue
from typing import Any

import grpc
import pyarrow as pa

from allot.v1 import orders_pb2, reservations_pb2, stock_pb2, types_pb2
from allot_client import Client, calls
from allot_client.errors import error_of
from engine.folder import DataFolder
from engine.state import State
from engine.verify import verify

CHANNELS, SKUS, NODES = ("web", "app"), 12, (("A", 19.0, 72.8), ("B", 28.6, 77.2), ("C", 13.0, 80.2))
CODES = ("400001", "110001", "560001", "600001", "700001")
BATCH_ORDERS, BATCHES_UNDER_WAY = 40, 3
AT_ONCE = 16  # repeats under way
SAMPLE = 15  # of what was answered in earlier rounds, asked again in each
CALL_SECONDS_MAX = 20
REMEMBERED = ("RESERVATION_EXPIRED", "RESERVATION_ENDED", "NOT_ENOUGH_UNITS")  # errors that are answers


@dataclass
class Asked:
    """One request, and what became of it."""

    call: Any
    request: Any
    answer: Any = None  # comparable; None: nobody answered
    again: bool | None = None  # of the answer; None where it is an error


def outcome_of(answer: Any) -> tuple[Any, bool]:
    """An answer without `again`, and `again`."""
    clean = type(answer)()
    clean.CopyFrom(answer)
    holder = clean.decision if "decision" in clean.DESCRIPTOR.fields_by_name else clean
    again, holder.again = holder.again, False
    return clean, again


def batch_of(orders: list[types_pb2.OrderDraft]) -> orders_pb2.AllocateBatchesRequest:
    lines = [[{"sku": line.sku, "quantity": line.quantity} for line in order.lines] for order in orders]
    kind = pa.list_(pa.struct([("sku", pa.string()), ("quantity", pa.int32())]))
    batch = pa.record_batch({
        "order_id": [order.order_id for order in orders], "channel": [order.channel for order in orders],
        "postal_code": [order.postal_code for order in orders], "lines": pa.array(lines, kind),
    })  # fmt: skip
    return orders_pb2.AllocateBatchesRequest(batch=stream_of(batch))


def stream_of(*batches: Any) -> bytes:
    """Record batches as an Arrow IPC stream."""
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, batches[0].schema) as stream:
        for batch in batches:
            stream.write_batch(batch)
    return sink.getvalue().to_pybytes()


class Clients:
    """All who ask one data folder, over all its servers."""

    def __init__(self, seed: int) -> None:
        self.chance = random.Random(seed)
        self.settled: list[Asked] = []  # answered, by this server or one before
        self.asked: list[Asked] = []  # of this round
        self.drafts: dict[tuple[str, str, bool], Any] = {}  # by channel, id, whether it is a reservation
        self.counts: dict[str, int] = defaultdict(int)
        self._drawn = 0
        self._lock = threading.Lock()

    def furnish(self, address: str) -> None:
        """What must be there before anything else."""
        with Client(address) as client:
            client.put_nodes(NODES)
            for channel in CHANNELS:
                client.put_channel(channel)
            client.put_skus([f"sku-{sku}" for sku in range(SKUS)])

    # Asking

    def load(self, address: str, seconds: float, kill: Any) -> None:
        """Everybody asks for so long; then the server is killed."""
        self.asked = []
        ends = threading.Event()
        seeds = [self.chance.random() for _ in range(5)]
        with grpc.insecure_channel(address) as channel:
            workers = [
                threading.Thread(target=work, args=(channel, random.Random(seed), ends))
                for work, seed in zip(
                    (self._orders, self._orders, self._carts, self._stock, self._batches), seeds, strict=True
                )
            ]
            for worker in workers:
                worker.start()
            time.sleep(seconds)
            kill()
            ends.set()
            for worker in workers:
                worker.join(CALL_SECONDS_MAX * 2)
                assert not worker.is_alive(), "a call outlived its server"

    def _orders(self, channel: Any, chance: random.Random, ends: threading.Event) -> None:
        known: list[types_pb2.OrderDraft] = []
        while not ends.is_set():
            if known and chance.random() < 0.25:
                order = chance.choice(known)
                request: Any = orders_pb2.CancelOrderRequest(
                    request_id=self._id("cancel"), channel=order.channel, order_id=order.order_id,
                    line=chance.randint(0, 1), quantity=chance.randint(0, 1),
                )  # fmt: skip
                call = calls.CANCEL_ORDER
            else:
                call, request = calls.PLACE_ORDER, orders_pb2.PlaceOrderRequest(order=self._draft("order", chance))
            if not self._ask(channel, call, request):
                return
            if call is calls.PLACE_ORDER:
                known.append(request.order)

    def _carts(self, channel: Any, chance: random.Random, ends: threading.Event) -> None:
        while not ends.is_set():
            hold = chance.choice((20_000, 600_000_000))
            cart = self._draft("cart", chance, is_reservation=True)
            reserve = reservations_pb2.ReserveRequest(order=cart, expires_at_us=time.time_ns() // 1000 + hold)
            if not self._ask(channel, calls.RESERVE, reserve):
                return
            for _ in range(chance.choice((0, 1, 1, 2))):
                if not self._ask(channel, *self._ending(cart, chance)):
                    return

    def _ending(self, cart: Any, chance: random.Random) -> tuple[Any, Any]:
        if chance.random() < 0.4:
            return calls.RELEASE, reservations_pb2.ReleaseRequest(
                request_id=self._id("release"), channel=cart.channel, reservation_id=cart.order_id
            )
        order = types_pb2.OrderDraft()
        order.CopyFrom(cart)
        order.order_id = self._id("confirmed")
        self.drafts[cart.channel, order.order_id, False] = order
        code = chance.choice(("", "", *CODES))
        return calls.CONFIRM, reservations_pb2.ConfirmRequest(
            request_id=self._id("confirm"), channel=cart.channel, reservation_id=cart.order_id,
            order_id=order.order_id, postal_code=code,
        )  # fmt: skip

    def _stock(self, channel: Any, chance: random.Random, ends: threading.Event) -> None:
        while not ends.is_set():
            rows = [
                stock_pb2.StockRow(
                    sku=f"sku-{chance.randrange(SKUS)}", node_id=chance.choice(NODES)[0], quantity=chance.randint(1, 40)
                )
                for _ in range(chance.randint(1, 4))
            ]
            receipt = stock_pb2.ReceiveStockRequest(request_id=self._id("receipt"), rows=rows)
            if not self._ask(channel, calls.RECEIVE_STOCK, receipt):
                return
            if chance.random() < 0.1:
                leave = orders_pb2.ReallocateOrdersRequest(
                    request_id=self._id("leave"), node_ids=[chance.choice(NODES)[0]], short=chance.random() < 0.2
                )
                if not self._ask(channel, calls.REALLOCATE_ORDERS, leave):
                    return

    def _batches(self, channel: Any, chance: random.Random, ends: threading.Event) -> None:
        under_way: SimpleQueue[Any] = SimpleQueue()
        room = threading.Semaphore(BATCHES_UNDER_WAY)

        def requests() -> Iterator[Any]:
            while room.acquire(timeout=CALL_SECONDS_MAX) and not ends.is_set():
                request = batch_of([self._draft("batched", chance) for _ in range(BATCH_ORDERS)])
                under_way.put(self._keep(Asked(calls.ALLOCATE_BATCHES, request)))
                yield request

        try:
            for answer in method(channel, calls.ALLOCATE_BATCHES)(requests()):
                asked = under_way.get()
                asked.answer, _ = table_of(answer)
                room.release()
        except grpc.RpcError as error:
            if not is_broken(error):
                raise
        finally:
            room.release()

    def _ask(self, channel: Any, call: Any, request: Any) -> bool:
        """Ask once; whether anybody answered."""
        asked = self._keep(Asked(call, request))
        answer_once(channel, asked)
        return asked.answer is not None

    def _keep(self, asked: Asked) -> Asked:
        with self._lock:
            self.asked.append(asked)
        return asked

    def _id(self, kind: str) -> str:
        with self._lock:
            self._drawn += 1
            return f"{kind}-{self._drawn}"

    def _draft(self, kind: str, chance: random.Random, is_reservation: bool = False) -> types_pb2.OrderDraft:
        lines = [
            types_pb2.LineDraft(sku=f"sku-{chance.randrange(SKUS)}", quantity=chance.randint(1, 5))
            for _ in range(chance.randint(1, 3))
        ]
        draft = types_pb2.OrderDraft(
            channel=chance.choice(CHANNELS), order_id=self._id(kind), postal_code=chance.choice(CODES), lines=lines
        )
        self.drafts[draft.channel, draft.order_id, is_reservation] = draft
        return draft

    # Looking

    def settle(self, address: str) -> None:
        """Compare everything answered in the round, and some of what was before; ask again what was not answered."""
        old = self.chance.sample(self.settled, min(SAMPLE, len(self.settled)))
        answered = [asked for asked in self.asked if asked.answer is not None]
        unanswered = [asked for asked in self.asked if asked.answer is None]
        with grpc.insecure_channel(address) as channel, ThreadPoolExecutor(AT_ONCE) as crowd:
            list(crowd.map(partial(self._repeat, channel), old + answered))
            for asked in unanswered:
                self._retry(channel, asked)
            list(crowd.map(partial(self._look_at, channel), self.chance.sample(answered, min(SAMPLE, len(answered)))))
        self.settled += self.asked
        self.counts["answered"] += len(answered)
        self.counts["unanswered"] += len(unanswered)

    def settle_all(self, address: str) -> None:
        """Everything that was ever answered, again."""
        with grpc.insecure_channel(address) as channel, ThreadPoolExecutor(AT_ONCE) as crowd:
            list(crowd.map(partial(self._repeat, channel), self.settled))

    def _repeat(self, channel: Any, asked: Asked) -> None:
        found = Asked(asked.call, asked.request)
        answer_once(channel, found)
        assert found.answer is not None, f"no answer to the repeat of {asked.request}"
        assert found.answer == asked.answer, f"the first answer was {asked.answer}, now it is {found.answer}"
        assert found.again in (None, True), f"what was acknowledged was forgotten: {asked.request}"

    def _retry(self, channel: Any, asked: Asked) -> None:
        """An unanswered request: whole or absent, and settled from here on."""
        answer_once(channel, asked)
        assert asked.answer is not None, f"no answer to {asked.request}"
        self.counts["was there" if asked.again else "was absent"] += 1
        self._look_at(channel, asked)
        self._repeat(channel, asked)

    def _look_at(self, channel: Any, asked: Asked) -> None:
        """An order that was decided is there with all its lines and units."""
        for key in self._keys(asked):
            request = orders_pb2.GetOrderRequest(channel=key[0], order_id=key[1], is_reservation=key[2])
            order = method(channel, calls.GET_ORDER)(request, timeout=CALL_SECONDS_MAX).order
            draft = self.drafts[key]
            assert [(line.sku, line.quantity) for line in order.lines] == [(i.sku, i.quantity) for i in draft.lines]
            units: dict[int, int] = defaultdict(int)
            for part in order.parts:
                units[part.line] += part.quantity
            assert dict(units) == {place: line.quantity for place, line in enumerate(draft.lines, 1)}, order

    def _keys(self, asked: Asked) -> list[tuple[str, str, bool]]:
        if isinstance(asked.answer, tuple):  # an error
            return []
        if asked.call is calls.PLACE_ORDER:
            return [(asked.request.order.channel, asked.request.order.order_id, False)]
        if asked.call is calls.CONFIRM:
            return [(asked.request.channel, asked.request.order_id, False)]
        if asked.call is calls.ALLOCATE_BATCHES:
            batch = pa.ipc.open_stream(asked.request.batch).read_next_batch()
            return [
                (c, o, False) for c, o in zip(*(batch[n].to_pylist() for n in ("channel", "order_id")), strict=True)
            ]
        return []

    # What must hold in the end

    def numbers(self) -> list[int]:
        """The numbers of all orders and reservations that were decided."""
        found: list[int] = []
        for asked in self.settled:
            if isinstance(asked.answer, pa.Table):
                found += asked.answer["number"].to_pylist()
            elif not isinstance(asked.answer, tuple) and "decision" in asked.answer.DESCRIPTOR.fields_by_name:
                found.append(asked.answer.decision.number)
        return found

    def received(self) -> dict[tuple[str, str], int]:
        """Units that arrived, by SKU and node; nothing ever leaves."""
        units: dict[tuple[str, str], int] = defaultdict(int)
        for asked in self.settled:
            if asked.call is calls.RECEIVE_STOCK:
                for row in asked.request.rows:
                    units[row.sku, row.node_id] += row.quantity
        return dict(units)


def method(channel: Any, call: Any) -> Any:
    """The callable of a call on a channel."""
    shape = channel.stream_stream if call is calls.ALLOCATE_BATCHES else channel.unary_unary
    return shape(call.path, call.request.SerializeToString, call.answer.FromString)


def answer_once(channel: Any, asked: Asked) -> None:
    """Ask, and keep the answer, or the error of a server that is there; nothing where none is."""
    made = method(channel, asked.call)
    try:
        if asked.call is calls.ALLOCATE_BATCHES:
            (answer,) = made(iter([asked.request]), timeout=CALL_SECONDS_MAX)
            asked.answer, again = table_of(answer)
            assert len(set(again)) == 1, f"a part of a batch was there before: {again}"
            asked.again = again[0]
        else:
            answer = made(asked.request, timeout=CALL_SECONDS_MAX)
            asked.answer, asked.again = outcome_of(answer)
    except grpc.RpcError as error:
        failure = error_of(error)
        if failure.reason in REMEMBERED:
            asked.answer = (failure.code, failure.reason, failure.field)
        elif not is_broken(error):
            raise


def is_broken(error: Any) -> bool:
    """Whether no server answered."""
    return bool(error.code() is grpc.StatusCode.UNAVAILABLE)


def table_of(answer: Any) -> tuple[Any, list[bool]]:
    """The results of a batch without `again`, all of them taken; and `again`."""
    assert answer.WhichOneof("result") == "batch", answer
    table = pa.ipc.open_stream(answer.batch).read_all()
    assert set(table["outcome"].to_pylist()) <= {1, 2, 3}, table
    return table.drop_columns(["again"]), table["again"].to_pylist()


def verified(folder: Path) -> Any:
    """What a replay of a folder finds; it must be clean."""
    opened = DataFolder.open(folder)
    try:
        found = verify(opened.disk, lambda: State(opened.secret, opened.limits))
    finally:
        opened.close()
    assert found.is_clean, found.faults
    assert found.oversold_units == 0
    return found
