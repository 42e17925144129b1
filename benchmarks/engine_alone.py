"""The durable engine alone: batches of 13,000 orders through Engine.submit, each answered after its fdatasync. No
network.

Keys, validation of repeats, allocation, stages, digest, journal and ATS are on; texts of SKUs are indices already. The
peer is the disk: the same bytes appended and synced, a batch at a time, with nothing decided.
"""

import os
import queue
import shutil
import statistics
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import numpy as np

from benchmarks import load
from benchmarks.row import Row
from engine.commands import PlaceOrders
from engine.folder import DataFolder
from engine.writer import Engine, Pending
from kernels.columns import Head
from kernels.keys import SEGMENT_SLOTS, Size

BATCHES, BATCHES_QUICK = 400, 60
STOCK = 1.2  # units over the units ordered
WARM_UP_BATCHES = 5
SECRET = bytes(range(32))  # a benchmark's keys need not be secret


class Drive(NamedTuple):
    """What driving batches through an engine took."""

    orders: int
    lines: int
    seconds: float  # from the first submit until the last batch was durable
    decide_seconds: float  # processor time of the deciding thread
    latencies_ms: list[float]  # of each batch, from its submit to its answer


@contextmanager
def data_folder() -> Iterator[Path]:
    """An empty data folder on the disk of the working directory, removed afterwards."""
    path = Path(tempfile.mkdtemp(prefix="bench-", dir="."))
    try:
        DataFolder.create(path, SECRET).close()
        yield path
    finally:
        shutil.rmtree(path)


def stocked_engine(path: Path, orders: int, publish: bool = True) -> Engine:
    """An engine with the catalogue, and stock for so many orders."""
    engine = Engine.open(path, publish=publish)
    for command in load.catalogue(STOCK * orders * load.LINES_PER_ORDER * load.UNITS_PER_LINE):
        engine.commit(command, load.STAMP)
    return engine


def drive(engine: Engine, commands: list[PlaceOrders]) -> Drive:
    """Submit the batches one after the other; another thread waits for the answers, as a server would."""
    answered: queue.SimpleQueue[tuple[float, Pending] | None] = queue.SimpleQueue()
    latencies: list[float] = []

    def wait() -> None:
        while (entry := answered.get()) is not None:
            entry[1].wait()
            latencies.append((time.perf_counter() - entry[0]) * 1e3)

    waiter = threading.Thread(target=wait)
    waiter.start()
    started, cpu = time.perf_counter(), time.thread_time()
    try:
        for command in commands:
            submitted = time.perf_counter()
            answered.put((submitted, engine.submit([command], load.STAMP)))
        cpu = time.thread_time() - cpu
    finally:
        answered.put(None)
        waiter.join()
    seconds = time.perf_counter() - started
    orders = sum(len(command.order_id) for command in commands)
    return Drive(orders, sum(command.sku.size for command in commands), seconds, cpu, latencies)


def rows(quick: bool = False) -> list[Row]:
    """Orders a second with ATS and without, latency of a batch, and bytes."""
    batches = BATCHES_QUICK if quick else BATCHES
    with data_folder() as path, stocked_engine(path, (batches + WARM_UP_BATCHES) * load.BATCH_ORDERS) as engine:
        commands = list(load.place_orders(batches + WARM_UP_BATCHES))
        drive(engine, commands[:WARM_UP_BATCHES])
        before, resident = _journal_bytes(engine), _resident_bytes()
        run = drive(engine, commands[WARM_UP_BATCHES:])
        journal, resident = _journal_bytes(engine) - before, _resident_bytes() - resident
        disk = _append_and_sync(path / "disk-alone", journal // batches, batches)
        out = [*_speed(run, disk, "durable engine, ATS on"), *_bytes(engine, run, journal, resident)]
    with data_folder() as path, stocked_engine(path, batches * load.BATCH_ORDERS, publish=False) as engine:
        run = drive(engine, list(load.place_orders(batches)))
        disk = _append_and_sync(path / "disk-alone", journal // batches, batches)
        return [*out, *_speed(run, disk, "durable engine, ATS off")]


def _speed(run: Drive, disk: list[float], what: str) -> list[Row]:
    batch = run.orders / len(disk)
    rate, limit = run.orders / run.seconds, run.orders / sum(disk)
    p99, disk_p99 = (float(np.percentile(values, 99)) for values in (run.latencies_ms, [1e3 * s for s in disk]))
    middle = statistics.median(run.latencies_ms)
    return [
        Row("engine", f"{what}, batches of {batch:,.0f}", rate, "orders/s", {"disk alone": limit}),
        Row("engine", f"{what}: deciding thread, processor time", 1e9 * run.decide_seconds / run.orders, "ns/order"),
        Row(
            "engine", f"{what}: p99 from submit to answer (low: median, high: worst)", p99, "ms",
            {"disk alone": disk_p99}, middle, max(run.latencies_ms),
        ),
    ]  # fmt: skip


def _bytes(engine: Engine, run: Drive, journal: int, resident: int) -> list[Row]:
    state = engine.state
    book, cells, orders = state.book, state.cells, state.head(Head.OPEN_ORDERS)
    tables = ((book.orders, Head.ORDERS), (book.lines, Head.LINES), (book.parts, Head.PARTS))
    in_book = sum(column.itemsize * state.head(head) for columns, head in tables for column in columns)
    cell = (
        sum(column[0].nbytes for column in (cells.figures, cells.available, cells.stocked)) / cells.available.shape[1]
    )
    segments = int(state.keys.sizes[Size.SEGMENTS])
    key_index = segments * state.keys.slots[:SEGMENT_SLOTS].nbytes / orders
    return [
        Row("engine", f"journal, {run.lines / run.orders:.2f} lines an order", journal / run.orders, "bytes/order"),
        Row("engine", "memory of a (SKU, node) cell", cell, "bytes"),
        Row("engine", "memory of an open order: book (peer: its key)", in_book / orders, "bytes", {"key": key_index}),
        Row("engine", "memory of an open order: growth of the process", resident / run.orders, "bytes"),
    ]


def _journal_bytes(engine: Engine) -> int:
    return sum(segment.size_bytes for segment in engine.journal.segments())


def _resident_bytes() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def _append_and_sync(path: Path, size: int, times: int) -> list[float]:
    """Seconds of each append and sync of so many bytes to a file whose space is set aside, as the journal's is."""
    data = np.random.default_rng(0).bytes(size)
    file = os.open(path, os.O_CREAT | os.O_WRONLY)
    try:
        os.posix_fallocate(file, 0, size * times)
        os.fsync(file)
        seconds = []
        for at in range(times):
            started = time.perf_counter()
            os.pwrite(file, data, at * size)
            os.fdatasync(file)
            seconds.append(time.perf_counter() - started)
        return seconds
    finally:
        os.close(file)
        path.unlink()
