"""Where the time of a PlaceOrder goes, stage by stage: `python -m benchmarks.place_order`.

The server runs in this process, with a clock around the functions of each stage; a client, a process of its own, asks
one order at a time, then 64. A stage's time is without that of the stages within it. A clock costs a function about a
microsecond. Views and snapshots are off: they are processes of their own.
"""

import argparse
import functools
import os
import signal
import statistics
import threading
import time
from collections import defaultdict
from pathlib import Path
from typing import Any, NamedTuple

from benchmarks.results import write_section
from benchmarks.service import Client, clients, stocked_folder
from benchmarks.wire import POPULAR_SKUS
from server.config import Settings

ALONE, CROWD = 1, 64
SECONDS, WARM_UP_SECONDS = 5.0, 1.0
STOCKED_ORDERS = 3_000_000_000
BEGIN, END = "<!-- place_order: begin -->", "<!-- place_order: end -->"
HANDLER = "the service's handler, in all"
WAITS = "waits: for a turn, for others, for the loop"
GRPC = "gRPC, event loop and the way, both ends"


class Stage(NamedTuple):
    """What one order takes of a stage, microseconds."""

    name: str
    wall: float
    cpu: float


class Asked(NamedTuple):
    """One closed loop."""

    per_second: float
    together: float  # orders of a commit, in the mean
    stages: list[Stage]


def _functions() -> list[tuple[Any, str, str]]:
    """Functions that make a stage: who holds the function, its name, the stage."""
    from engine import commit, disk, writer
    from engine.journal import segments
    from server import batcher, wiring
    from server import feed as feeds
    from server.services import orders

    return [
        (orders, "order_row", "validation"),
        (batcher.Batcher, "place", "queue, gather"),
        (batcher.Batcher, "_turn_here", "queue, gather"),
        (batcher.Batcher, "_turn", "queue, gather"),
        (batcher.Group, "command", "queue, gather"),
        (writer.Engine, "_run", "decide"),
        (commit.Commit, "check", "decide"),
        (writer.Engine, "_publish", "what channels may sell"),
        (feeds.Feed, "apply", "what channels may sell"),
        (writer.Engine, "_append", "journal: encode, checksum, write"),
        (segments.Journal, "append", "journal: encode, checksum, write"),
        (disk.FolderDisk, "write", "journal: encode, checksum, write"),
        (disk.FolderDisk, "sync", "fdatasync"),
        (wiring, "count_turn", "metrics"),
        (batcher.Batcher, "_finish", "answer"),
        (batcher.Group, "results", "answer"),
        (orders.OrderDesk, "decision", "answer"),
    ]


class Clocks:
    """Times of stages since `take` was last called."""

    def __init__(self) -> None:
        self._within = threading.local()
        self._wall: dict[str, float] = defaultdict(float)
        self._cpu: dict[str, float] = defaultdict(float)
        self._calls: dict[str, int] = defaultdict(int)

    def put(self, holder: Any, name: str, stage: str) -> None:
        """A clock around a function."""
        inner = getattr(holder, name)

        @functools.wraps(inner)
        def timed(*given: Any, **named: Any) -> Any:
            around = self._within.__dict__.setdefault("stages", [])
            around.append([0.0, 0.0])
            wall, cpu = time.perf_counter(), time.thread_time()
            try:
                return inner(*given, **named)
            finally:
                cpu, wall = time.thread_time() - cpu, time.perf_counter() - wall
                of_others = around.pop()
                if around:
                    around[-1][0] += wall
                    around[-1][1] += cpu
                self._calls[name] += 1
                self._wall[stage] += wall - of_others[0]
                self._cpu[stage] += cpu - of_others[1]

        setattr(holder, name, timed)

    def put_around_handler(self) -> None:
        """The handler waits within; its time is from its beginning to its end."""
        from server.services.orders import OrderService

        inner = OrderService.PlaceOrder

        async def timed(service: Any, request: Any, context: Any) -> Any:
            began = time.perf_counter()
            answer = await inner(service, request, context)
            self._wall[HANDLER] += time.perf_counter() - began
            return answer

        OrderService.PlaceOrder = timed  # type: ignore[method-assign]

    def take(self) -> tuple[dict[str, float], dict[str, float], int]:
        """Seconds on the wall and of the processor, by stage, and commits; and begin anew."""
        taken = dict(self._wall), dict(self._cpu), self._calls["sync"]
        for counted in (self._wall, self._cpu, self._calls):
            counted.clear()
        return taken


def measure(seconds: float = SECONDS, warm_up: float = WARM_UP_SECONDS) -> dict[int, Asked]:
    """For each number of callers, what an order takes. Patches this process for good."""
    from server.wiring import serve

    clocks, found = Clocks(), dict[int, Asked]()
    for holder, name, stage in _functions():
        clocks.put(holder, name, stage)
    clocks.put_around_handler()
    failure: list[BaseException] = []

    def drive(address: str) -> None:
        try:
            with clients(1) as (client,):
                for callers in (ALONE, CROWD):
                    client.run("closed", to="order", address=address, concurrency=callers, seconds=warm_up)
                    found[callers] = _asked(client, clocks, address, callers, seconds)
        except BaseException as error:
            failure.append(error)
        finally:
            os.kill(os.getpid(), signal.SIGTERM)

    def announce(said: str) -> None:
        if said.startswith("serving on "):
            threading.Thread(target=drive, args=(said.removeprefix("serving on "),), daemon=True).start()

    with stocked_folder(STOCKED_ORDERS, POPULAR_SKUS) as folder:
        serve(_settings(folder), announce)
    if failure:
        raise failure[0]
    return found


def _settings(folder: Path) -> Settings:
    return Settings(
        data=folder, listen="127.0.0.1:0", views=False, snapshots=False, log_level="error", postal_codes="none"
    )


def _asked(client: Client, clocks: Clocks, address: str, callers: int, seconds: float) -> Asked:
    """One closed loop: what its orders took, each."""
    clocks.take()
    began = time.process_time()
    told = client.run("closed", to="order", address=address, concurrency=callers, seconds=seconds, each=True)
    process = time.process_time() - began
    wall, cpu, commits = clocks.take()
    handler, count = wall.pop(HANDLER), told["count"]
    stages = [Stage(name, 1e6 * wall[name] / count, 1e6 * cpu[name] / count) for name in wall]
    call = 1e3 * statistics.mean(told["each_ms"])
    in_stages = sum(stage.wall for stage in stages)
    own, rest = 1e6 * handler / count, 1e6 * (process - sum(cpu.values())) / count
    stages += [
        Stage(WAITS, own - in_stages, 0.0),
        Stage(GRPC, call - own, rest),
        Stage("in all", call, 1e6 * process / count),
    ]
    return Asked(told["per_second"], count / max(1, commits), stages)


def table(found: dict[int, Asked]) -> list[str]:
    """Lines of Markdown."""
    alone, crowd = found[ALONE], found[CROWD]
    by_name = {stage.name: stage for stage in crowd.stages}
    lines = [
        f"| stage of a PlaceOrder, us | one at a time ({alone.per_second:,.0f}/s): time | processor "
        f"| {CROWD} at a time ({crowd.per_second:,.0f}/s): processor |",
        "|---|---:|---:|---:|",
    ]
    for stage in alone.stages:
        lines.append(f"| {stage.name} | {stage.wall:.0f} | {stage.cpu:.0f} | {by_name[stage.name].cpu:.0f} |")
    return lines


_TEXT = """## Where the time of a PlaceOrder goes

Made by `python -m benchmarks.place_order --out benchmarks`, server and client on {cores} cores. A crowd waits for each
other, so of it only the processor is shown.

{table}

*Table. A stage is without the stages within it. With 64 at a time some {together:.0f} orders share a commit.*
"""


def main() -> None:
    """Print the table, and write the section where that is asked for."""
    parser = argparse.ArgumentParser("python -m benchmarks.place_order", description=__doc__)
    parser.add_argument("--seconds", type=float, default=SECONDS, help="of each of the two runs")
    parser.add_argument("--out", type=Path, metavar="FOLDER", help="where RESULTS.md is")
    chosen = parser.parse_args()
    found = measure(chosen.seconds)
    lines = table(found)
    print("\n".join(lines))
    if chosen.out:
        text = _TEXT.format(cores=os.cpu_count(), table="\n".join(lines), together=found[CROWD].together)
        write_section(chosen.out / "RESULTS.md", BEGIN, END, text.splitlines())


if __name__ == "__main__":
    main()
