"""P7: from exec of `allot serve` on an empty folder to the first order that is answered and durable.

In it: the interpreter and its imports, the new data folder, compiled kernels out of their cache, and four calls of a
client that is there already and tries until it is served: a node, a channel, stock, and the order, whose postal code
the server places by its own table of India. Caches are warm; without them it is told beside.
"""

import os
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks.row import Row
from benchmarks.service import clients, empty_folder, free_port
from kernels.options import cache_folder

ROUNDS, ROUNDS_QUICK = 5, 2
STARTS_WITHIN_SECONDS = 180


def rows(quick: bool = False) -> list[Row]:
    """Warm; and, but for quick runs, the first compile ever and the first table of India ever."""
    first = _start({})  # warms the caches, where they are not
    runs = [_start({}) for _ in range(ROUNDS_QUICK if quick else ROUNDS)]
    seconds = [told["order"] for told in runs]
    steps = {name: statistics.median(told[name] for told in runs) for name in first if name != "order"}
    warm = Row(
        "P7", "exec to the first durable order, caches warm (steps: since exec)", statistics.median(seconds), "s",
        steps, min(seconds), max(seconds), runs=len(runs),
    )  # fmt: skip
    out = [warm.judged("1.5 s at most", warm.value <= 1.5)]
    if quick:
        return out
    for what, kept in (
        ("exec to the first durable order, nothing compiled ever", _is_table),
        ("exec to the first durable order, the table of India not read ever", _is_kernels),
    ):
        with empty_folder() as cache:
            _copy(cache, kept)
            told = _start({"ALLOT_KERNEL_CACHE": str(cache.resolve())})
        out.append(Row("P7", what, told.pop("order"), "s", told))
    return out


def _is_table(path: Path) -> bool:
    return path.name.startswith("postal-codes")


def _is_kernels(path: Path) -> bool:
    return path == cache_folder()


def _copy(to: Path, kept: Callable[[Path], bool]) -> None:
    """The part of the user's cache that is warm."""
    for path in filter(kept, cache_folder().parent.iterdir()):
        if path.is_dir():
            shutil.copytree(path, to / path.name)
        else:
            shutil.copy(path, to)


def _start(environment: dict[str, str]) -> dict[str, float]:
    """Seconds since exec at which each step was answered; `order` is the last one."""
    address = f"127.0.0.1:{free_port()}"
    with empty_folder() as parent, clients(1) as (client,):
        client.run("ready")
        command = [str(Path(sys.executable).parent / "allot"), "serve", f"--data={parent / 'data'}"]
        started = time.perf_counter()  # the same clock in every process of this machine
        client.begin("first_order", address=address, started=started, seconds=STARTS_WITHIN_SECONDS)
        server: Any = subprocess.Popen(
            [*command, f"--listen={address}", "--log-level=error"], env=os.environ | environment
        )
        try:
            told: dict[str, float] = client.result()
        finally:
            server.terminate()
            server.wait()
    return told
