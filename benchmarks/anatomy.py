"""Where each nanosecond of an order of the lane goes: the path of a batch, step by step.

The steps are those of the server, called one after the other over real messages and a real data folder: bytes to
columns, checks, look-ups, keys, allocation, stages, reasons, ATS, journal, feed, answer. Each function on the way is
timed without those below it that are steps of their own; the journal has its thread, as it always has. The wire is a
bare echo of as many bytes. Beside it stands what memory alone would take: the bytes that the step reads and writes at
the speed of a stream, and cache lines that nobody can guess ahead at the speed of a gather that asks for them ahead.
Last, what the memory of an order's rows costs where the system has to find it: a server that took it ahead
(`allot serve --memory-ahead-bytes`) has paid before the surge.

`python -m benchmarks --only path` prints the table.
"""

import statistics
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import numpy as np

from benchmarks import load
from benchmarks.row import Row
from benchmarks.service import LIMITS, SECRET, clients, cpu_seconds, echo_process, empty_folder
from benchmarks.wire import lane_batch
from engine import commit as commit_module
from engine import decide
from engine.availability import Availability
from engine.columns import Growing, RoomAhead, reserve
from engine.folder import DataFolder
from engine.journal.segments import Journal
from engine.names import Names
from engine.writer import Engine
from kernels.columns import NONE, Batch, Drawn
from kernels.keys import CLAIMED, find_or_insert, hash_texts, set_values_from
from kernels.nearest import nearest
from kernels.options import I32, I64, I64x2, kernel
from kernels.placing import Placed, number_orders
from kernels.prefetch import prefetch
from kernels.stages import Entries, enter_orders
from server import batches as wire_batches
from server.batches import OrderBatches, answer_batch
from server.feed import Feed

BATCHES, BATCHES_QUICK, WARM_UP = 120, 20, 6
UNITS_PER_CELL = 86.0  # as in P1: never scarce
LINE_BYTES = 64
ECHO_SECONDS, ECHO_SECONDS_QUICK = 5.0, 1.0
_STREAM_BYTES = 256 << 20
_TAKEN_BYTES = 1 << 30  # to see what a page costs
_AHEAD = 16

DECODE, CHECKS, LOOK_UP = "decode and validate", "checks", "look-up of texts"
HASH, KEYS, ALLOCATION, STAGES = "hash of order ids", "key index", "allocation, reasons", "stages, book, digest"
TABLES, ATS, ENCODE, APPEND = "columns and terms", "ATS of what changed", "journal: encode", "journal: checksum, write"
FEED, ANSWER = "feed of availability", "answer"
WIRE, ROWS = "wire: a bare echo of the same bytes", "memory of its rows, from the system"
DECIDES = (HASH, KEYS, ALLOCATION, STAGES, TABLES, ATS)
STEPS = (DECODE, CHECKS, LOOK_UP, HASH, KEYS, ALLOCATION, STAGES, TABLES, ATS, ENCODE, APPEND, FEED, ANSWER)


class Needs(NamedTuple):
    """What a step cannot do without, for an order."""

    bytes: float  # read and written in order
    lines: float  # cache lines that lie anywhere


class Clock:
    """Processor time of each step, without the steps below it in the same thread; and what it waited."""

    def __init__(self) -> None:
        self.seconds: defaultdict[str, float] = defaultdict(float)
        self.waits: defaultdict[str, float] = defaultdict(float)
        self._of_thread = threading.local()

    def step(self, name: str, work: Callable[..., Any]) -> Callable[..., Any]:
        """The same function, timed."""

        def timed(*arguments: Any, **named: Any) -> Any:
            inner = vars(self._of_thread).setdefault("inner", [0.0])
            inner.append(0.0)
            began, cpu = time.perf_counter(), time.thread_time()
            try:
                return work(*arguments, **named)
            finally:
                took = time.thread_time() - cpu
                self.seconds[name] += took - inner.pop()
                self.waits[name] += time.perf_counter() - began - took
                inner[-1] += took

        return timed


def _place(clock: Clock) -> Callable[..., int]:
    """kernels/placing.place, kernel by kernel."""
    draw, enter = clock.step(ALLOCATION, nearest), clock.step(STAGES, enter_orders)
    number, answer = clock.step(STAGES, number_orders), clock.step(KEYS, set_values_from)

    def place(
        batch: Batch, keys: Any, location: int, stamp: int, nodes: int, book: Any, index: Any, cells: Any, fences: Any,
        policies: Any, places: Any, prices: Any, capacity: Any, drawn: Drawn, placed: Placed,
    ) -> int:  # fmt: skip
        count = draw(batch, nodes, cells, fences, policies, places, prices, capacity, drawn)
        number(batch, book.heads, policies, drawn, placed)
        entries = Entries(
            placed.number, placed.is_reservation, batch.channel, batch.postal_code, placed.line_count, drawn.outcome,
            placed.expires_at, batch.sku, batch.quantity, drawn.part_count, drawn.node, placed.stage, drawn.quantity,
            drawn.fenced,
        )  # fmt: skip
        enter(entries, location, stamp, True, book, cells, fences, placed.row)
        answer(index, keys, location, placed.row)
        return int(count)

    return place


@contextmanager
def _timed_steps(clock: Clock) -> Iterator[None]:
    """The functions of the path, timed; put back afterwards."""

    hashed, insert = clock.step(HASH, hash_texts), clock.step(KEYS, find_or_insert)

    def claim(secret: Any, channel: Any, method: int, offsets: Any, data: Any, index: Any, *out: Any) -> None:
        keys, found = out
        hashed(secret, channel, method, offsets, data, keys)
        insert(index, keys, np.full(found.size, CLAIMED), np.full(found.size, NONE, np.int32), found)

    replaced = [
        (wire_batches, "read_batch", DECODE, None), (OrderBatches, "take", CHECKS, None),
        (Names, "find", LOOK_UP, None), (commit_module, "claim_keys", None, claim),
        (decide, "place", None, _place(clock)),
        (Engine, "submit", TABLES, None), (Availability, "refresh", ATS, None),
        (Engine, "_append", ENCODE, None), (Journal, "append", APPEND, None), (Feed, "apply", FEED, None),
    ]  # fmt: skip
    kept = [(owner, name, getattr(owner, name)) for owner, name, _, _ in replaced]
    for owner, name, step, instead in replaced:
        setattr(owner, name, instead or clock.step(step or "", getattr(owner, name)))
    try:
        yield
    finally:
        for owner, name, was in kept:
            setattr(owner, name, was)


class Path(NamedTuple):
    """What batches took."""

    orders: int
    nanoseconds: dict[str, float]  # an order, by step
    sync_nanoseconds: float  # of waiting for the disk, an order
    sizes: dict[str, float]  # bytes an order


def walk(
    batches: int, size: int = load.BATCH_ORDERS, world: load.World = load.CANONICAL, units: float = UNITS_PER_CELL
) -> Path:
    """Batches of orders along the whole path but the wire. The first few are not counted. units: of each cell."""
    with empty_folder() as parent:
        path = parent / "data"
        DataFolder.create(path, SECRET, LIMITS).close()
        with Engine.open(path) as engine:
            for command in load.catalogue(units * world.skus * world.nodes, world):
                engine.commit(command, load.STAMP)
            return _walk(engine, batches, size, world)


def _walk(engine: Engine, batches: int, size: int, world: load.World) -> Path:
    orders, feed, clock = OrderBatches(engine.state.names, 1 << 16, 1 << 20), Feed(engine), Clock()
    nodes = [f"FC{node:02d}" for node in range(world.nodes)]
    before = rows = 0
    sizes: defaultdict[str, float] = defaultdict(float)
    answer = clock.step(ANSWER, answer_batch)
    with _timed_steps(clock):
        for number in range(batches + WARM_UP):
            if number == WARM_UP:
                before, rows = _journal_bytes(engine), _row_bytes(engine)
                for sums in (clock.seconds, clock.waits, sizes):
                    sums.clear()
            message = lane_batch(size, number, world).of_pass(0)
            taken = orders.take(_payload(message))
            assert taken.command is not None
            pending = engine.submit([taken.command], load.STAMP)
            feed.apply(pending.ats_changes(), pending.sequence)
            told = answer(taken, pending.wait()[0], nodes)
            sizes["message"] += len(message)
            sizes["answer"] += len(told)
    count = batches * size
    sizes["journal"] = _journal_bytes(engine) - before
    sizes["rows"] = _row_bytes(engine) - rows
    each = {step: 1e9 * clock.seconds[step] / count for step in STEPS}
    return Path(count, each, 1e9 * clock.waits[APPEND] / count, {name: value / count for name, value in sizes.items()})


def _payload(message: bytes) -> bytes:
    from allot.v1 import orders_pb2

    return orders_pb2.AllocateBatchesRequest.FromString(message).batch


def _journal_bytes(engine: Engine) -> int:
    return sum(segment.size_bytes for segment in engine.journal.segments())


def _row_bytes(engine: Engine) -> int:
    return sum(it.used() * it.column.strides[0] for it in engine.state.growing())


def wire(sizes: dict[str, float], seconds: float) -> float:
    """Processor time of a bare echo with as many bytes in and out, nanoseconds an order: of the server alone."""
    answer_bytes = int(sizes["answer"] * load.BATCH_ORDERS)
    with echo_process("uvloop", answer_bytes) as (address, process), clients(1) as (client,):
        began = cpu_seconds(process)
        job = {"to": "echo", "address": address, "batch": load.BATCH_ORDERS, "streams": 1, "window": 3}
        told = client.run("lane", seconds=seconds, **job)
        return 1e9 * (cpu_seconds(process) - began) / (told["orders"] + told["warm_up_orders"])


# What memory alone would take


def new_memory() -> float:
    """Nanoseconds of a byte that the system has to find first."""
    began = time.perf_counter()
    column = reserve(_TAKEN_BYTES, np.uint8)
    with RoomAhead([Growing(column, lambda: 0, 1)]) as room:
        room.take(_TAKEN_BYTES, lambda: True)
    return 1e9 * (time.perf_counter() - began) / _TAKEN_BYTES


@kernel
def _stream(words: I64) -> int:
    total = 0
    for at in range(words.size):
        total += words[at]
    return total


@kernel
def _gather(rows: I64x2, order: I32) -> int:
    """A word of each row, asked for ahead."""
    total = 0
    for at in range(order.size):
        if at + _AHEAD < order.size:
            prefetch(rows, order[at + _AHEAD] * 8)
        total += rows[order[at], 0]
    return total


def memory() -> tuple[float, float]:
    """Nanoseconds of a byte in a stream, and of a cache line anywhere in 256 MB, asked for ahead."""
    words = reserve((_STREAM_BYTES // 8,), np.int64, huge_pages=True)
    words[:] = 1
    rows = words.reshape(-1, LINE_BYTES // 8)
    order = np.random.default_rng(0).permutation(rows.shape[0]).astype(np.int32)

    def best(work: Callable[[], object]) -> float:
        took = []
        for _ in range(5):
            began = time.thread_time()
            work()
            took.append(time.thread_time() - began)
        return statistics.median(took)

    _stream(words[:8])
    _gather(rows[:8], order[:0])
    return 1e9 * best(lambda: _stream(words)) / words.nbytes, 1e9 * best(lambda: _gather(rows, order)) / order.size


# The table


def needs(sizes: dict[str, float], lines: float) -> dict[str, Needs]:
    """What each step cannot do without. sizes: bytes an order, as walked; lines: of an order."""
    message, told, journal = sizes["message"], sizes["answer"], sizes["journal"]
    ids, key, book = 19.0, 16.0, 35 + 43 * lines  # an order's row, and those of its lines with a part each
    return {
        DECODE: Needs(message, 0), CHECKS: Needs(message, 0), LOOK_UP: Needs(message - ids, 3 + 3 * lines),
        HASH: Needs(ids + key, 0), KEYS: Needs(2 * key, 2), ALLOCATION: Needs(24 * lines, 3 + 5 * lines),
        STAGES: Needs(book, lines), TABLES: Needs(book, 0), ATS: Needs(12 * lines, 5 * lines),
        ENCODE: Needs(2 * journal, 0), APPEND: Needs(3 * journal, 0), FEED: Needs(12 * lines, 2 * lines),
        ANSWER: Needs(3 * told, 0),
    }  # fmt: skip


def rows(quick: bool = False) -> list[Row]:
    """A row for each step; beside it what memory alone would take."""
    byte, line = memory()
    path = walk(BATCHES_QUICK if quick else BATCHES)
    of_memory = {
        step: it.bytes * byte + it.lines * line for step, it in needs(path.sizes, load.LINES_PER_ORDER).items()
    }
    each = path.nanoseconds
    out = [Row("path", step, each[step], "ns/order", {"memory alone": of_memory[step]}) for step in STEPS]
    least = sum(of_memory.values())
    out.append(Row("path", "all of it but the wire", sum(each.values()), "ns/order", {"memory alone": least}))
    decides = sum(each[step] for step in DECIDES)
    out.append(Row("path", "of it the deciding thread", decides, "ns/order"))
    bytes_of_wire = path.sizes["message"] + path.sizes["answer"]
    on_the_wire = wire(path.sizes, ECHO_SECONDS_QUICK if quick else ECHO_SECONDS)
    out.append(Row("path", WIRE, on_the_wire, "ns/order", {"memory alone": 2 * bytes_of_wire * byte}))
    of_rows, size = new_memory() * path.sizes["rows"], path.sizes["rows"]
    out.append(Row("path", f"{ROWS} ({size:.0f} bytes)", of_rows, "ns/order", {"memory alone": size * byte}))
    journal = path.sizes["journal"]
    out.append(Row("path", f"waiting for the disk ({journal:.1f} bytes an order)", path.sync_nanoseconds, "ns/order"))
    return out
