"""P6: replay beside live running, and the time to serve again with 10M orders, 9M of them in the snapshot.

Live and replay handle the same lines in one run. The start is a new process whose files are out of the page cache; it
serves when its first order is durable.
"""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

from benchmarks import load
from benchmarks.engine_alone import Drive, data_folder, drive, stocked_engine
from benchmarks.row import Row
from engine.folder import DataFolder
from engine.journal.segments import Journal
from engine.snapshot import build_snapshot, replay, snapshots
from engine.state import State
from engine.writer import Engine

REPLAYED_BATCHES = 150
ORDERS, ORDERS_QUICK = 10_000_000, 1_000_000
IN_TAIL = 0.1  # of the orders
PIECE_BATCHES = 100  # batches that are made at a time, outside of the clock


def rows(quick: bool = False) -> list[Row]:
    """Replay, then the start."""
    return [_replay(REPLAYED_BATCHES // 5 if quick else REPLAYED_BATCHES), *started(ORDERS_QUICK if quick else ORDERS)]


def _replay(batches: int) -> Row:
    with data_folder() as path:
        with stocked_engine(path, batches * load.BATCH_ORDERS) as engine:
            run = drive(engine, list(load.place_orders(batches)))
            before = engine.state.sequence - batches
            expected = engine.state.digest()
        folder = DataFolder.open(path)
        journal = Journal.open(folder.disk)
        state = State(folder.secret, folder.limits)
        replay(journal, state, up_to=before)
        started = time.perf_counter()
        replay(journal, state)
        seconds = time.perf_counter() - started
        assert state.digest() == expected, "replay came to another state"
        journal.close()
        folder.close()
    live = {"live, durable, ATS on": run.lines / run.seconds}
    row = Row("P6", f"replay of {run.orders:,} orders", run.lines / seconds, "lines/s", live)
    return row.judged("3 times the live lines", run.seconds / seconds >= 3)


def started(orders: int) -> list[Row]:
    """A start with so many orders: in all, of it the opening, and the building of the snapshot before."""
    tail = int(orders * IN_TAIL)
    with data_folder() as path:
        with stocked_engine(path, orders) as engine:
            _fill(engine, 0, orders - tail)
            engine.journal.seal()
        snapshot_seconds = _snapshot(path)
        with Engine.open(path) as engine:
            _fill(engine, 5_000, tail)
        _drop_from_page_cache(path)
        started = time.perf_counter()
        child = subprocess.run(
            [sys.executable, "-m", "benchmarks.p6_replay", str(path)], check=True, capture_output=True, text=True
        )
        seconds = time.perf_counter() - started
        told = json.loads(child.stdout)
        folder = DataFolder.open(path)
        size = folder.disk.size(snapshots(folder.disk)[-1][1])
        folder.close()
    what = f"{orders:,} orders, {tail:,} of them in the tail"
    first = Row("P6", f"exec to the first durable order: {what}", seconds, "s", {"of it imports": told["imports"]})
    return [
        first.judged("5 s at most, with 10,000,000", seconds <= 5) if orders >= ORDERS else first,
        Row("P6", "of it: snapshot, tail, ATS of everything", told["open"], "s"),
        Row("P6", f"building that snapshot beside the writer ({size / 1e9:.2f} GB)", snapshot_seconds, "s"),
    ]


def _fill(engine: Engine, first_seed: int, orders: int) -> Drive | None:
    """Drive so many orders through; batches are made piece by piece."""
    run = None
    batches = -(-orders // load.BATCH_ORDERS)
    for at in range(0, batches, PIECE_BATCHES):
        run = drive(engine, list(load.place_orders(min(PIECE_BATCHES, batches - at), first_seed + at)))
    return run


def _snapshot(path: Path) -> float:
    """Seconds that it takes to build the snapshot, digest compared, as `allot snapshot` does."""
    folder = DataFolder.open(path)
    journal = Journal.open(folder.disk)
    started = time.perf_counter()
    assert build_snapshot(folder.disk, journal, State(folder.secret, folder.limits)), "nothing was sealed"
    seconds = time.perf_counter() - started
    journal.close()
    folder.close()
    return seconds


def _drop_from_page_cache(path: Path) -> None:
    for name in [name for name in path.rglob("*") if name.is_file()]:
        file = os.open(name, os.O_RDWR)
        os.fsync(file)
        os.posix_fadvise(file, 0, 0, os.POSIX_FADV_DONTNEED)
        os.close(file)


def serve_once(path: Path, imports_done: float) -> None:
    """Open the data folder and place one order; tell the seconds."""
    started = time.perf_counter()
    with Engine.open(path) as engine:
        opened = time.perf_counter()
        engine.commit(next(load.place_orders(1, 9_999, 1)), load.STAMP)
        json.dump(
            {"imports": imports_done, "open": opened - started, "order": time.perf_counter() - opened}, sys.stdout
        )


if __name__ == "__main__":
    serve_once(Path(sys.argv[1]), time.process_time())
