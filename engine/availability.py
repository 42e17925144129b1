"""What each channel may sell, kept up to date commit by commit: the figures last published, and the sequence they are
from.

The sequence of the commit is the version, so versions only go up, through restarts too.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np

from engine.columns import reserve
from engine.outcomes import Namespace
from engine.state import State
from kernels.availability import Changes, Groups, Published, groups_of, publish, publish_few
from kernels.options import FEW

PIECE_SKUS_MAX = 16_384  # SKUs taken at a time where all are recomputed, so that the room for changes stays small


@dataclass(frozen=True)
class AtsChanges:
    """New figures, a row each."""

    sequence: int  # their version
    channel: Any  # int16 [change]
    sku: Any  # int32 [change]
    units: Any  # int32 [change] what the channel may sell now


class Availability:
    """ATS of every channel and SKU, as last published."""

    def __init__(self, state: State) -> None:
        self._state = state
        self._groups: Groups | None = None
        self.published = self._columns(0)
        self.refresh(everything=True)

    def _columns(self, channels: int) -> Published:
        shape = (self._state.limits.skus_max, channels)
        return Published(reserve(shape, np.int32), reserve(shape, np.int64))

    def _make_room(self, channels: int) -> None:
        """Columns for more channels. What was published stands; a figure that is new is 0, with this commit's version.

        After a start every figure is new, and one that is 0 must not look older than what was told before.
        """
        before, skus = self.published, len(self._state.names[Namespace.SKU])
        width = before.ats.shape[1]
        self.published = self._columns(channels)
        self.published.ats[:skus, :width] = before.ats[:skus]
        self.published.version[:skus] = self._state.sequence
        self.published.version[:skus, :width] = before.version[:skus]

    def refresh(self, everything: bool = False) -> AtsChanges:
        """Recompute the SKUs that changed since the last call, or all of them after a change of policies."""
        state = self._state
        skus = state.take_changes()
        channels = len(state.names[Namespace.CHANNEL])
        if channels == 0:  # nobody to publish for; the first channel is a change of policies and brings every SKU
            return AtsChanges(state.sequence, np.empty(0, np.int16), np.empty(0, np.int32), np.empty(0, np.int32))
        if everything or self._groups is None:
            if channels != self.published.ats.shape[1]:
                self._make_room(channels)
            self._groups = groups_of(np.ascontiguousarray(state.policies.nodes[:channels]))
            skus = np.arange(len(state.names[Namespace.SKU]), dtype=np.int32)
        pieces = [self._publish(skus[at : at + PIECE_SKUS_MAX]) for at in range(0, skus.size, PIECE_SKUS_MAX)]
        if not pieces:
            empty = np.empty(0, np.int32)
            return AtsChanges(state.sequence, np.empty(0, np.int16), empty, empty)
        if len(pieces) == 1:
            return AtsChanges(state.sequence, pieces[0].channel, pieces[0].sku, pieces[0].ats)
        channel, sku, units = (
            np.concatenate([getattr(piece, name) for piece in pieces]) for name in ("channel", "sku", "ats")
        )
        return AtsChanges(state.sequence, channel, sku, units)

    def _publish(self, skus: Any) -> Changes:
        state, groups = self._state, self._groups
        assert groups is not None
        room = skus.size * groups.of.size
        changes = Changes(np.empty(room, np.int32), np.empty(room, np.int16), np.empty(room, np.int32))
        count = (publish_few if skus.size <= FEW else publish)(
            skus, state.node_count, state.sequence, state.cells, state.fences, state.policies, groups, self.published,
            changes,
        )  # fmt: skip
        return Changes(changes.sku[:count], changes.channel[:count], changes.ats[:count])

    def figure(self, channel: int, sku: int) -> tuple[int, int]:
        """Units that a channel may sell of a SKU, and the version."""
        return int(self.published.ats[sku, channel]), int(self.published.version[sku, channel])
