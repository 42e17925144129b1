"""The memory that the server may take: beyond it new orders and carts are refused, before the system ends the process.

What was taken has its first answer again, and is served, picked, cancelled, read, retired as ever: that needs little,
and there is room for it above the limit. A process beside the server offers itself to the system first (`offer_first`).
"""

import contextlib
import os
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import structlog

from server.errors import Rejection, busy
from server.offload import step_back

MEMORY_FULL = "MEMORY_FULL"
SHARE_OF_MACHINE = 0.8
LEAST_SHARE = 1 / 16  # of the machine: where less is left, nothing is taken that can wait
SHARE_LEFT_AHEAD = 1 / 8  # of the machine: no memory is taken ahead beyond it
RETRY_MS = 5000
LOOK_SECONDS = 0.02  # between two looks: a surge takes some 10 MB in that time
_CONTROL_GROUPS, _OWN_GROUPS = Path("/sys/fs/cgroup"), Path("/proc/self/cgroup")
_OF_VERSION_1 = ("memory.usage_in_bytes", "total_inactive_file")
_log = structlog.get_logger("memory")
_PAGE = os.sysconf("SC_PAGE_SIZE")


def held_bytes(process: str = "self") -> int:
    """Memory that a process has and the system cannot take back: without pages of files, such as segments of the
    journal that somebody has read. 0 where the system does not say.
    """
    try:
        _, resident, of_files = Path(f"/proc/{process}/statm").read_text().split()[:3]
        return (int(resident) - int(of_files)) * _PAGE
    except (OSError, ValueError):
        return 0


class MemoryLimit:
    """Whether there is memory for more orders."""

    def __init__(
        self, bytes_max: int, held: Callable[[], int] = held_bytes, clock: Callable[[], float] = time.monotonic,
        ahead: Callable[[], int] = lambda: 0,
    ) -> None:  # fmt: skip
        """bytes_max: 0 for four fifths of the machine. held: what the process has, in bytes; ahead: what of it is for
        orders to come, and counts when they are there."""
        self.bytes_max = bytes_max or int(SHARE_OF_MACHINE * machine_bytes())
        self._held, self._clock, self._ahead = held, clock, ahead
        self._look_at = -1.0
        self._taken, self._is_short = 0, False

    def refusal(self) -> Rejection | None:
        """Why no more orders are taken, where they might not fit."""
        if (now := self._clock()) >= self._look_at:
            self._look_at, ahead = now + LOOK_SECONDS, self._ahead()
            self._taken, self._is_short = self._held() - ahead, ahead > 0 and is_short()
        if self._taken > self.bytes_max:
            return busy(
                f"the server has {self._taken >> 20:,} MiB of memory, and takes new orders up to "
                f"{self.bytes_max >> 20:,}: retire closed orders and start it again, or raise memory_bytes_max",
                MEMORY_FULL, RETRY_MS,
            )  # fmt: skip
        if self._is_short:  # what was taken ahead is for some columns more than orders need, and for others less
            return busy(
                f"less than {LEAST_SHARE:.1%} of the machine's memory is left: set memory_ahead_bytes lower",
                MEMORY_FULL, RETRY_MS,
            )  # fmt: skip
        return None


class MemoryAhead:
    """A thread that takes memory for orders to come while the machine and the limit have it, and ends."""

    def __init__(self, room: Any, size: int, limit: MemoryLimit) -> None:
        """room: engine.columns.RoomAhead. size: bytes."""
        self._room, self._size, self._limit = room, size, limit
        self._ends = False
        self._thread = threading.Thread(target=self._take, name="allot-ahead", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self) -> None:
        """End; blocks until a round that is under way is over."""
        self._ends = True
        if self._thread.ident is not None:
            self._thread.join()

    def _take(self) -> None:
        step_back()
        if not self._room.take(self._size, self._goes_on) and not self._ends:
            _log.warning(
                "no more memory is taken ahead: the machine, memory_bytes_max or the system does not allow it",
                taken=self._room.bytes_ahead, memory_ahead_bytes=self._size,
            )  # fmt: skip

    def _goes_on(self) -> bool:
        return not (self._ends or is_short(SHARE_LEFT_AHEAD) or held_bytes() >= self._limit.bytes_max)


def machine_bytes(groups: Path = _CONTROL_GROUPS, own: Path = _OWN_GROUPS) -> int:
    """Memory that this process can have at most: of the machine, or of a control group that it is in where that has
    less.
    """
    most = os.sysconf("SC_PHYS_PAGES") * _PAGE
    for path in _limits(groups, own):
        with contextlib.suppress(OSError, ValueError):  # not there, or "max"
            most = min(most, int(path.read_text()))
    return most


def _limits(groups: Path, own: Path) -> list[Path]:
    """Where limits of its groups may stand, of either version of control groups: of its own group, as a supervisor sets
    it, and of all above, up to the one that a container sees as the first.
    """
    found = [groups / "memory.max", groups / "memory" / "memory.limit_in_bytes"]
    with contextlib.suppress(OSError):
        for line in own.read_text().splitlines():
            number, kinds, path = line.split(":", 2)
            if number == "0":
                root, name = groups, "memory.max"
            elif "memory" in kinds.split(","):
                root, name = groups / "memory", "memory.limit_in_bytes"
            else:
                continue
            group = Path(path.lstrip("/"))
            found += [root / part / name for part in (group, *group.parents)]
    return found


def available_bytes(
    groups: Path = _CONTROL_GROUPS, own: Path = _OWN_GROUPS, machine: Path = Path("/proc/meminfo")
) -> int:
    """Memory that one more process could have now, of the machine and of every control group that this one is in: what
    is free, and pages of files. All there is where the system does not say.
    """
    least = machine_bytes(groups, own)
    with contextlib.suppress(OSError, IndexError):
        (line,) = [line for line in machine.read_text().splitlines() if line.startswith("MemAvailable:")] or [""]
        least = min(least, int(line.split()[1]) << 10)
    for path in _limits(groups, own):
        used, kind = ("memory.current", "inactive_file") if path.name == "memory.max" else _OF_VERSION_1
        with contextlib.suppress(OSError, ValueError):
            stat = dict(line.split() for line in (path.parent / "memory.stat").read_text().splitlines())
            taken = int((path.parent / used).read_text()) - int(stat.get(kind, 0))
            least = min(least, max(0, int(path.read_text()) - taken))
    return least


def is_short(share: float = LEAST_SHARE) -> bool:
    """Whether less than a share of the machine's memory is left, so that the server itself may need it."""
    return available_bytes() < share * machine_bytes()


def offer_first() -> None:
    """Let the system end this process before any other, where memory runs out; it is started again."""
    with contextlib.suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text("1000")
