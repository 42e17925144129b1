"""Work beside the server, in a process of its own with a low priority: views are kept up to date, and a snapshot is
built whenever a segment of the journal was sealed, in a surge once in a while.

    server (Background)  --- durable sequence, surge or not, a line each --->  follower: views
                         <--- progress, a JSON line each ---------------------     |  a segment was sealed
                                                                               snapshot process, which gives its memory
                                                                               back

It reads the journal, and writes the views and snapshots alone: no lock, nothing that the writer owns. It ends when its
input ends, so it never outlives the server; a kill at any moment leaves what it writes whole.
"""

import argparse
import contextlib
import json
import math
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import structlog

from server.kept_process import KeptProcess
from server.memory import LEAST_SHARE, available_bytes, held_bytes, is_short, offer_first

FOLLOW_SECONDS = 0.1  # between two sequences that are told to the follower
SURGE_STEP_SECONDS = 0.02  # in a surge, of a transaction of the views, after which they rest
REST_SECONDS_MAX = 10.0
RESTS_OF_VIEWS = 19.0  # for so many times as long as it took: a twentieth of a core
SURGE_SNAPSHOT_SECONDS = 60.0  # in a surge, from one snapshot to the next: each replays what came since, and is longer
RESTS_OF_SNAPSHOT = 4.0  # in a surge, for so many times as long as it worked: it wants memory and the disk too
NICE = 10  # a tenth of what others get where all cores are wanted: views may lag, but not for ever
SNAPSHOT_OVER_SERVER = 1.25  # memory that must be there for a snapshot, over the server's: it is the same state again
_LOOK_SECONDS = 1.0  # between two looks at a snapshot process, and of it at what memory is left
_log = structlog.get_logger("background")


class Background(KeptProcess):
    """The follower as the server sees it."""

    def __init__(
        self, data: Path, durable: Callable[[], int], in_surge: Callable[[], bool] = lambda: False, views: bool = True,
        snapshots: bool = True, memory_ahead: Callable[[], int] = lambda: 0,
    ) -> None:  # fmt: skip
        """durable: the last durable sequence; in_surge: whether the views had better rest; memory_ahead: bytes that the
        server has and does not use. All are asked from another thread."""
        wanted = [flag for flag, is_wanted in (("--views", views), ("--snapshots", snapshots)) if is_wanted]
        super().__init__("background", [sys.executable, "-m", "server.background", str(data), *wanted])
        self._has_work, self._durable, self._in_surge = bool(wanted), durable, in_surge
        self._memory_ahead = memory_ahead
        self.view_sequence = 0  # the last commit that the views take in
        self.snapshot_sequence = 0  # of the last snapshot that was built

    def start(self) -> None:
        """Begin, unless there is nothing to do."""
        if self._has_work:
            super().start()

    def progress(self) -> tuple[int, int]:
        """How far both are."""
        return self.view_sequence, self.snapshot_sequence

    def tell(self, child: "subprocess.Popen[str]") -> None:
        """What has changed."""
        told, pipe = "", child.stdin
        assert pipe is not None
        while not self._ends.is_set() and child.poll() is None:
            if (line := f"{self._durable()} {self._in_surge():d} {self._memory_ahead()}\n") != told:
                pipe.write(line)
                pipe.flush()
                told = line
            self._ends.wait(FOLLOW_SECONDS)

    def hear(self, progress: dict[str, Any]) -> None:
        """How far it is, and what went wrong."""
        self.view_sequence = progress.get("view_sequence", self.view_sequence)
        self.snapshot_sequence = progress.get("snapshot_sequence", self.snapshot_sequence)
        if "error" in progress:
            _log.error("views or snapshots have failed", error=progress["error"])


# In the process


class Follower:
    """Follows the journal up to what is durable."""

    def __init__(self, data: Path, views: bool, snapshots: bool) -> None:
        from engine.disk import FolderDisk
        from engine.journal.segments import Journal
        from engine.views import FILE, Views

        self._data = data
        self._journal = Journal.open(FolderDisk(data, read_only=True), read_only=True)
        self._views = Views.open(data / FILE) if views else None
        self._disk = FolderDisk(data)
        self._with_snapshots = snapshots
        self.memory_ahead = 0  # bytes that the server has and does not use
        self._snapshot: subprocess.Popen[bytes] | None = None
        self._snapshot_told: bool | None = None  # whether a surge is on
        self._tried_up_to = 0  # the last sequence that a snapshot was tried for
        self._tried_at = -math.inf  # and when

    def step(self, durable: int, in_surge: bool = False) -> bool:
        """Look after snapshots, and take in one transaction of what there is for the views; whether there is more."""
        self._journal.refresh()
        if self._with_snapshots:
            self._look_after_snapshot(in_surge)
        return self._views is not None and self._catch_up(durable, in_surge)

    @property
    def is_busy(self) -> bool:
        """Whether it waits for a snapshot process."""
        return self._snapshot is not None

    def _close_snapshot(self) -> None:
        if self._snapshot is not None and self._snapshot.stdin is not None:
            with contextlib.suppress(BrokenPipeError):
                self._snapshot.stdin.close()

    def tell_snapshot(self, in_surge: bool) -> None:
        """Let a snapshot process know whether a surge is on, where that has changed."""
        if self._snapshot is not None and self._snapshot.stdin is not None and in_surge != self._snapshot_told:
            self._snapshot_told = in_surge
            with contextlib.suppress(BrokenPipeError):  # it has ended, which the next look will find
                os.write(self._snapshot.stdin.fileno(), b"0 %d 0\n" % in_surge)

    def _catch_up(self, durable: int, in_surge: bool) -> bool:
        from engine.views import ViewsAhead

        assert self._views is not None
        upto, ends = _UpTo(self._journal, durable), time.monotonic() + (SURGE_STEP_SECONDS if in_surge else math.inf)

        def is_over() -> bool:
            return time.monotonic() >= ends

        try:
            sequence = self._views.step(upto, is_over)
        except ViewsAhead as error:  # the journal was restored; they are only views
            tell(error=f"{error}; they are made anew")
            self._views.make_anew()
            sequence = self._views.step(upto, is_over)
        tell(view_sequence=sequence)
        return sequence < upto.next_sequence - 1

    def _look_after_snapshot(self, in_surge: bool) -> None:
        """Start a process for a snapshot where a segment was sealed, and it is time; hear how it went."""
        from engine.snapshot import snapshots

        if self._snapshot is not None and (code := self._snapshot.poll()) is not None:
            self._close_snapshot()
            self._snapshot = None
            if code:
                tell(error=f"the snapshot of sequence {self._tried_up_to} ended with code {code}")
        sealed = self._journal.sealed_up_to
        found = snapshots(self._disk)
        if found:
            tell(snapshot_sequence=found[-1][0])
        is_time = not in_surge or time.monotonic() - self._tried_at >= SURGE_SNAPSHOT_SECONDS
        if is_time and self._snapshot is None and sealed > max(self._tried_up_to, found[-1][0] if found else 0):
            self._tried_up_to, self._tried_at = sealed, time.monotonic()
            if not self._has_memory(sealed):
                return
            command = [sys.executable, "-m", "server.background", str(self._data), "--one-snapshot"]
            self._snapshot = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL)
            self._snapshot_told = None

    def _has_memory(self, sealed: int) -> bool:
        """Whether there is memory for a second state beside the server's, as far as the journal is sealed."""
        segments, share = self._journal.segments(), 1.0
        if segments[0].first_sequence == 1:  # else the state has in it what earlier ones brought
            sealed_bytes = sum(segment.size_bytes for segment in segments if segment.sealed)
            share = sealed_bytes / sum(segment.size_bytes for segment in segments)
        state = held_bytes(str(os.getppid())) - self.memory_ahead
        needed, there = int(SNAPSHOT_OVER_SERVER * share * state), available_bytes()
        if needed > there:
            tell(
                error=f"no snapshot up to sequence {sealed}: it would take about {needed >> 20:,} MiB of memory, "
                f"{there >> 20:,} are left: the next start replays more; `allot snapshot` makes one where nothing runs"
            )
        return needed <= there


class _UpTo:
    """A journal up to a sequence: what is behind may not be durable yet, and must not get into views."""

    def __init__(self, journal: Any, last: int) -> None:
        self._journal = journal
        self.next_sequence = min(journal.next_sequence, last + 1)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._journal, name)


_told: dict[str, Any] = {}


def tell(**progress: Any) -> None:
    """Say how it stands, where that has changed, as one line."""
    new = {name: value for name, value in progress.items() if _told.get(name) != value}
    if new:
        _told.update(new)
        print(json.dumps(new), flush=True)


class _Input:
    """What is told; the process ends with it."""

    def __init__(self) -> None:
        self.durable = self.memory_ahead = 0
        self.has_news = threading.Event()
        self._calm = threading.Event()
        threading.Thread(target=self._read, name="input", daemon=True).start()

    @property
    def in_surge(self) -> bool:
        """Whether a surge is on."""
        return not self._calm.is_set()

    def rest(self, seconds: float) -> None:
        """Wait while a surge is on, for a while."""
        self._calm.wait(seconds)

    def _read(self) -> None:
        for line in sys.stdin:
            durable, in_surge, memory_ahead = map(int, line.split())
            self.durable, self.memory_ahead = durable, memory_ahead
            (self._calm.clear if in_surge else self._calm.set)()
            self.has_news.set()
        os._exit(0)  # whoever started this is gone; views and snapshots are whole at any moment


def _follow(data: Path, views: bool, snapshots: bool) -> None:
    told = _Input()
    follower = Follower(data, views, snapshots)
    is_behind = False
    while True:
        if not is_behind:
            told.has_news.wait(_LOOK_SECONDS if follower.is_busy else None)
        told.has_news.clear()
        began, follower.memory_ahead = time.monotonic(), told.memory_ahead
        is_behind = follower.step(told.durable, told.in_surge)
        follower.tell_snapshot(told.in_surge)
        told.rest(min(REST_SECONDS_MAX, RESTS_OF_VIEWS * (time.monotonic() - began)))


class _Pace:
    """In a surge, rests RESTS_OF_SNAPSHOT times as long as was worked since the last rest. Gives up where the server
    may need the memory."""

    def __init__(self, told: _Input) -> None:
        self._told, self._since = told, time.monotonic()
        self._look_at = -math.inf  # at what memory is left

    def rest(self, *_: int) -> None:
        """Rest now. Raises MemoryError where too little is left."""
        if time.monotonic() >= self._look_at:  # a look costs more than many a record
            self._look_at = time.monotonic() + _LOOK_SECONDS
            if is_short():
                raise MemoryError(f"less than {LEAST_SHARE:.1%} of the machine's memory is left: it is given up")
        self._told.rest(RESTS_OF_SNAPSHOT * (time.monotonic() - self._since))
        self._since = time.monotonic()

    def of_disk(self, disk: Any) -> Any:
        """The same disk, with a rest after each piece that was synced."""
        sync = disk.sync

        def sync_and_rest(name: str) -> None:
            sync(name)
            self.rest()

        disk.sync = sync_and_rest
        return disk


def _build_snapshot(data: Path) -> None:
    """One snapshot of what is sealed, then the end, which gives the memory back."""
    from engine.disk import FolderDisk
    from engine.folder import DataFolder
    from engine.journal.segments import Journal
    from engine.snapshot import build_snapshot
    from engine.state import State

    pace = _Pace(_Input())
    folder = DataFolder.open(data)
    journal = Journal.open(FolderDisk(data, read_only=True), read_only=True)
    build_snapshot(pace.of_disk(folder.disk), journal, State(folder.secret, folder.limits), pace.rest)


def main(arguments: list[str] | None = None) -> int:
    """What this process is for."""
    parser = argparse.ArgumentParser(prog="python -m server.background", description="Started by the server.")
    parser.add_argument("data", type=Path, help="data folder")
    parser.add_argument("--views", action="store_true", help="keep the views up to date")
    parser.add_argument("--snapshots", action="store_true", help="build snapshots of what is sealed")
    parser.add_argument("--one-snapshot", action="store_true", help="build one, then end")
    chosen = parser.parse_args(arguments)
    os.nice(NICE)
    offer_first()
    try:
        if chosen.one_snapshot:
            _build_snapshot(chosen.data)
        else:
            _follow(chosen.data, chosen.views, chosen.snapshots)
    except Exception as error:  # told to the server, which starts this again
        tell(error=f"{type(error).__name__}: {error}")
        print(f"allot: views and snapshots: {type(error).__name__}: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    exit_code = main()
    sys.stdout.flush()
    os._exit(exit_code)  # a thread still waits for input, which a normal end would wait for
