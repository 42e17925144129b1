"""What a channel with a budget is told: so many SKUs a second, the riskiest first, less a buffer for what waits.

Holds what the engine says and what the channel was told, SKU by SKU. A SKU whose two figures differ is pending; `due`
names those that the budget pays for (ranking.py). No clock and no I/O.
"""

from typing import Any

import numpy as np

from server.workers.ranking import Budget, Velocity, buffer, choose, risk

WAIT_SHARE = 0.05  # of the newest in the measured wait of an update
_ROOM_MIN = 1024


class Rations:
    """Of one channel."""

    def __init__(self, per_second: float, told: dict[str, tuple[int, int]], now: float) -> None:
        """told: units and versions that the channel was told before. now: seconds of any clock that goes forward."""
        self._budget = Budget(per_second, max(1.0, per_second), now)
        self._rows: dict[bytes, int] = {}
        self._skus: list[bytes] = []
        self._units, self._told = np.zeros(_ROOM_MIN, np.int64), np.full(_ROOM_MIN, -1, np.int64)
        self._versions, self._told_versions = np.zeros(_ROOM_MIN, np.int64), np.full(_ROOM_MIN, -1, np.int64)
        self._since = np.zeros(_ROOM_MIN)
        self._velocity = Velocity(_ROOM_MIN, now=now)
        self.wait_seconds = 0.0  # measured: from a figure's change until the channel is told
        for sku, (units, version) in told.items():  # less a buffer, maybe: what there is the engine will say
            row = self._row(sku.encode())
            self._told[row], self._told_versions[row] = units, version

    def _row(self, sku: bytes) -> int:
        row = self._rows.setdefault(sku, len(self._skus))
        if row == len(self._skus):
            self._skus.append(sku)
            if row == self._units.size:
                self._grow(2 * row)
        return row

    def _grow(self, room: int) -> None:
        for name, empty in (("_units", 0), ("_told", -1), ("_versions", 0), ("_told_versions", -1), ("_since", 0)):
            before = getattr(self, name)
            after = np.full(room, empty, before.dtype)
            after[: before.size] = before
            setattr(self, name, after)
        self._velocity.grow(room)

    def take_in(self, lines: bytes, now: float) -> None:
        """Newer figures of the engine, `SKU TAB units TAB version LF` each."""
        fields = [line.split(b"\t") for line in lines.split(b"\n")[:-1]]
        rows = np.array([self._row(sku) for sku, _, _ in fields], np.int32)
        figures = np.array([numbers for _, *numbers in fields], np.int64).reshape(-1, 2)
        is_new = self._versions[rows] < figures[:, 1]
        rows, figures = rows[is_new], figures[is_new]
        is_first = self._versions[rows] == 0  # not known before
        did_not_wait = is_first | (self._told_versions[rows] == self._versions[rows])
        self._since[rows[did_not_wait]] = now
        drops = (self._units[rows] - figures[:, 0]).astype(np.float64)
        drops[is_first] = 0
        self._velocity.update(rows, drops, now, (figures[:, 0] > 0).astype(np.uint8))
        self._units[rows], self._versions[rows] = figures[:, 0], figures[:, 1]

    def _shown(self, rows: Any, now: float) -> tuple[Any, Any]:
        """What the channel should be told of rows, and their velocity."""
        velocity = self._velocity.per_second(rows, now)
        return np.maximum(0, self._units[rows] - buffer(velocity, self.wait_seconds)), velocity

    def due(self, now: float) -> tuple[bytes, int]:
        """What to tell now, as lines, and how many SKUs go on waiting."""
        rows = np.arange(len(self._skus), dtype=np.int32)
        shown, velocity = self._shown(rows, now)
        is_pending = (self._versions[rows] > 0) & (
            (shown != self._told[rows]) | (self._versions[rows] != self._told_versions[rows])
        )
        rows, shown, velocity = rows[is_pending], shown[is_pending], velocity[is_pending]
        granted = self._budget.take(now, rows.size)
        if granted == 0:
            return b"", rows.size
        told = np.maximum(self._told[rows], 0)
        chosen = choose(risk(told, shown, velocity), self._since[rows], granted)
        rows, shown = rows[chosen], shown[chosen]
        figures = zip(rows.tolist(), shown.tolist(), self._versions[rows].tolist(), strict=True)
        lines = [b"%b\t%d\t%d\n" % (self._skus[row], units, version) for row, units, version in figures]
        is_news = self._told_versions[rows] != self._versions[rows]  # else only its buffer has changed, since long ago
        if is_news.any():
            waited = float(np.mean(now - self._since[rows[is_news]]))
            self.wait_seconds += WAIT_SHARE * (waited - self.wait_seconds)
        self._told[rows], self._told_versions[rows] = shown, self._versions[rows]
        return b"".join(lines), int(is_pending.sum()) - granted
