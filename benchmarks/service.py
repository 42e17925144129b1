"""What benchmarks of the service share: a stocked folder, a real server over it, echo servers, client processes, and
looks at a server from outside.

Every server and every client is a process of its own on the loopback, and ends with the block that began it.
"""

import contextlib
import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from benchmarks import load
from engine.columns import Limits
from engine.commands import MoveStock
from engine.disk import FolderDisk
from engine.folder import DataFolder
from engine.journal.segments import Journal
from engine.writer import Engine
from tests.running import Server, server

SECRET = bytes(range(32))  # a benchmark's keys need not be secret
STOCK = 1.5
SYNC_BYTES = 512  # about what one order takes in the journal
CATCH_UP_SECONDS_MAX = 900.0
_TICKS = os.sysconf("SC_CLK_TCK")
LIMITS = Limits(orders_max=1 << 27, lines_max=1 << 28, parts_max=1 << 28, keys_max=1 << 28)  # address space, no memory


@contextmanager
def stocked_folder(orders: int, skus: int = load.SKUS) -> Iterator[Path]:
    """A data folder with the canonical catalogue and half as much again in stock as so many orders want; removed
    afterwards. skus: only the first ones get their stock.

    On the disk of the working directory, since the disk is part of what is measured.
    """
    with empty_folder() as parent:
        path = parent / "data"
        DataFolder.create(path, SECRET, LIMITS).close()
        with Engine.open(path, publish=False) as engine:
            for command in load.catalogue(STOCK * orders * load.LINES_PER_ORDER * load.UNITS_PER_LINE):
                if isinstance(command, MoveStock):
                    command = _of_first(skus, command)
                engine.commit(command, int(time.time() * 1e6))
        yield path


def _of_first(skus: int, stock: MoveStock) -> MoveStock:
    some = stock.sku < skus
    return replace(
        stock, sku=stock.sku[some], node=stock.node[some], kind=stock.kind[some], quantity=stock.quantity[some]
    )


@contextmanager
def empty_folder() -> Iterator[Path]:
    """An empty folder beside the others, removed afterwards."""
    path = Path(tempfile.mkdtemp(prefix="bench-", dir="."))
    try:
        yield path
    finally:
        shutil.rmtree(path)


def metrics_at(address: str) -> list[str]:
    """Lines of metrics, as Prometheus reads them."""
    with urllib.request.urlopen(f"http://{address}/metrics") as answer:
        lines: list[str] = answer.read().decode().splitlines()
    return lines


class Measured:
    """A running `allot serve`, seen from outside: its metrics, its processor time, its memory."""

    def __init__(self, running: Server, metrics: str) -> None:
        self.address, self.process, self.folder = running.address, running.process, running.folder
        self._metrics = metrics

    def metric(self, name: str) -> float:
        """A figure without labels, as Prometheus would read it."""
        for line in metrics_at(self._metrics):
            if line.startswith(f"{name} "):
                return float(line.split()[1])
        raise AssertionError(f"no metric {name}")

    def cpu_seconds(self) -> tuple[float, float]:
        """Processor time so far: of the server, and of the processes beside it that are there now."""
        children = _children(self.process.pid)
        return cpu_seconds(self.process.pid), sum(cpu_seconds(pid) for pid in children)

    def resident_bytes(self) -> tuple[int, int]:
        """Memory: of the server, and of the processes beside it."""
        return _resident(self.process.pid), sum(_resident(pid) for pid in _children(self.process.pid))

    def seconds_to_catch_up(self) -> float:
        """Wait until the views take in everything; how long that took."""
        started = time.perf_counter()
        while self.metric("allot_view_lag_commits") > 0:
            assert time.perf_counter() - started < CATCH_UP_SECONDS_MAX, "the views do not catch up"
            time.sleep(0.1)
        return time.perf_counter() - started


@contextmanager
def serving(folder: Path, *flags: str) -> Iterator[Measured]:
    """The service over a folder."""
    metrics = f"127.0.0.1:{free_port()}"
    quiet = ("--log-level=error", "--postal-codes=none", f"--metrics-listen={metrics}")
    with server(folder, *quiet, *flags) as running:
        service = Measured(running, metrics)
        if "--no-views" not in flags:
            service.seconds_to_catch_up()  # what was prepared is no part of what is measured
        yield service


@contextmanager
def echo(kind: str, answer_bytes: int = 0) -> Iterator[str]:
    """A bare echo server; its address."""
    with echo_process(kind, answer_bytes) as (address, _):
        yield address


@contextmanager
def echo_process(kind: str, answer_bytes: int = 0) -> Iterator[tuple[str, int]]:
    """A bare echo server (benchmarks/echo.py); its address and its process."""
    command = [sys.executable, "-m", "benchmarks.echo", kind, str(answer_bytes)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            yield process.stdout.readline().removeprefix("listening on ").strip(), process.pid
        finally:
            process.kill()


class Client:
    """A process that makes load (benchmarks/clients.py), one job after another."""

    def __init__(self, process: "subprocess.Popen[str]") -> None:
        self._process = process

    def begin(self, do: str, **job: Any) -> None:
        """Begin a job; `result` waits for its end."""
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps({"do": do, **job}) + "\n")
        self._process.stdin.flush()

    def result(self) -> dict[str, Any]:
        """What the job that was begun came to."""
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        assert line, f"the client ended with {self._process.wait()}"
        told: dict[str, Any] = json.loads(line)
        return told

    def run(self, do: str, **job: Any) -> dict[str, Any]:
        """A job from its beginning to its end."""
        self.begin(do, **job)
        return self.result()


@contextmanager
def clients(count: int) -> Iterator[list[Client]]:
    """Client processes."""
    with ExitStack() as stack:
        processes = [
            stack.enter_context(
                subprocess.Popen(
                    [sys.executable, "-m", "benchmarks.clients"], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                    text=True,
                )
            )
            for _ in range(count)
        ]  # fmt: skip
        for process in processes:
            stack.callback(process.kill)
        yield [Client(process) for process in processes]


class Stored(NamedTuple):
    """The journal of a folder."""

    bytes: int
    segments: int  # the last one is being written
    sealed_up_to: int


def stored(folder: Path) -> Stored:
    """What the journal holds; beside a writer too."""
    journal = Journal.open(FolderDisk(folder, read_only=True), read_only=True)
    segments = list(journal.segments())
    found = Stored(sum(segment.size_bytes for segment in segments), len(segments), journal.sealed_up_to)
    journal.close()
    return found


def sync_seconds(folder: Path, times: int) -> list[float]:
    """Seconds of each write and fdatasync of a record to a file whose space is set aside, as the journal's is."""
    path = folder.parent / "disk-alone"
    data = np.random.default_rng(0).bytes(SYNC_BYTES)
    file = os.open(path, os.O_CREAT | os.O_WRONLY)
    try:
        os.posix_fallocate(file, 0, SYNC_BYTES * times)
        os.fsync(file)
        seconds = []
        for at in range(times):
            started = time.perf_counter()
            os.pwrite(file, data, at * SYNC_BYTES)
            os.fdatasync(file)
            seconds.append(time.perf_counter() - started)
        return seconds
    finally:
        os.close(file)
        path.unlink()


def free_port() -> int:
    """A port of the loopback that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def verify_seconds(folder: Path) -> float:
    """How long `allot verify` takes; an error where it finds anything."""
    started = time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-m", "server.cli.main", "verify", f"--data={folder}"], check=False, capture_output=True,
        text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    return time.perf_counter() - started


def _children(pid: int) -> list[int]:
    """The processes that a process has started, and theirs."""
    found = []
    for task in Path(f"/proc/{pid}/task").iterdir():
        with contextlib.suppress(FileNotFoundError):  # a thread that has just ended
            for child in (task / "children").read_text().split():
                found += [int(child), *_children(int(child))]
    return found


def cpu_seconds(pid: int) -> float:
    """Processor time of a process so far."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return sum(int(field) for field in fields[11:15]) / _TICKS  # its own, and of children that have ended


def _resident(pid: int) -> int:
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
