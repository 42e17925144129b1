"""The availability service: what channels may sell, asked for or watched."""

import asyncio
import time
from collections.abc import AsyncIterator
from typing import Any, NamedTuple

import grpc
import numpy as np

from allot.v1 import availability_pb2 as pb
from allot.v1 import availability_pb2_grpc
from engine.intake.orders import CHANNEL_CHARACTERS_MAX, SKU_CHARACTERS_MAX
from engine.names import Names
from engine.outcomes import Namespace
from server.errors import Rejection
from server.feed import Feed, Since
from server.offload import offload
from server.validation.catalogue import ADD_A_CHANNEL
from server.validation.values import find, known, rows, text

SKUS_MAX = 10_000  # of one request
FIGURES_MAX = 4096  # of one message of a watch
PASSES_SHARE = 0.15  # of one core, for all watchers together
PAUSE_SECONDS_MIN = 0.001
_PIECES_KEPT_MAX = 64  # messages that watchers of the same channel share


class _Piece(NamedTuple):
    """A message of a watch, the same for everyone who is at the same version."""

    message: pb.WatchAvailabilityResponse
    sequence: int
    next_sku: int  # -1: the last of its pass


class AvailabilityService(availability_pb2_grpc.AvailabilityServiceServicer):
    """Reads the feed."""

    def __init__(self, feed: Feed, names: dict[Namespace, Names]) -> None:
        self._feed = feed
        self._names = names
        self._pieces: dict[tuple[int, int, int], asyncio.Task[_Piece]] = {}  # of this ring, see `_piece`
        self._rings = 0
        self._not_before = 0.0  # of the loop's clock: passes until then would take too much of the interpreter
        self._spent = 0.0  # seconds of the interpreter on pieces, since passes were last put off

    async def GetAvailability(  # noqa: N802
        self, request: pb.GetAvailabilityRequest, context: Any
    ) -> pb.GetAvailabilityResponse:
        """What a channel may sell of some SKUs: nothing of one that is not known."""
        channel = self._channel(request.channel)
        rows("skus", len(request.skus), SKUS_MAX)
        sku = await offload(len(request.skus), find, self._names[Namespace.SKU], request.skus)
        for row in np.flatnonzero(sku < 0).tolist():
            text(f"skus[{row}]", request.skus[row], SKU_CHARACTERS_MAX)
        units, versions, sequence = self._feed.figures(channel, sku)
        figures = await offload(sku.size, _messages, request.skus, units, versions)
        return pb.GetAvailabilityResponse(figures=figures, version=sequence)

    async def WatchAvailability(  # noqa: N802
        self, request: pb.WatchAvailabilityRequest, context: Any
    ) -> AsyncIterator[pb.WatchAvailabilityResponse]:
        """What changed since a version, then every change, pass after pass."""
        channel, after = self._channel(request.channel), request.after_version
        if after > self._feed.sequence:
            raise Rejection(
                grpc.StatusCode.OUT_OF_RANGE, "VERSION_AHEAD",
                f"after_version: {after} is beyond the last commit, {self._feed.sequence}: give 0 to begin anew",
                "after_version",
            )  # fmt: skip
        is_first = True
        while True:
            at, upto = 0, self._feed.sequence
            while at >= 0:
                piece = await self._piece(channel, after, at, exact=is_first)
                upto = min(upto, piece.sequence) if at else piece.sequence
                yield piece.message
                at = piece.next_sku
            if not piece.message.complete:
                yield pb.WatchAvailabilityResponse(version=upto, complete=True)
            if request.once:
                return
            after, is_first = upto, False
            await self._feed.changed(channel, after)
            await self._in_measure()

    async def _in_measure(self) -> None:
        """Put off a pass while passes have taken more than their share: in a surge figures come seldom, and newer."""
        now = asyncio.get_running_loop().time()
        self._not_before = max(now, self._not_before) + self._spent * (1 / PASSES_SHARE - 1)
        self._spent = 0.0
        if self._not_before - now > PAUSE_SECONDS_MIN:
            await asyncio.sleep(self._not_before - now)

    async def _piece(self, channel: int, after: int, at: int, exact: bool) -> _Piece:
        """The next message of a pass. Those who were woken together share it, though something newer may be there.

        exact: of the last durable commit, since the caller may have just heard of it.
        """
        if self._rings != self._feed.wakeups.rings or len(self._pieces) > _PIECES_KEPT_MAX:
            self._rings, self._pieces = self._feed.wakeups.rings, {}
        task = self._pieces.get((channel, after, at))
        if task is not None and exact and not (task.done() and self._is_latest(channel, task)):
            task = None
        if task is None:
            since = self._feed.changed_since(channel, after, at, FIGURES_MAX)
            task = self._pieces[channel, after, at] = asyncio.create_task(self._told(since, at))
        return await asyncio.shield(task)

    def _is_latest(self, channel: int, task: "asyncio.Task[_Piece]") -> bool:
        return task.exception() is None and self._feed.newest(channel) <= task.result().sequence

    async def _told(self, since: Since, at: int) -> _Piece:
        """The message of a piece; complete where it is all of its pass."""

        def message() -> pb.WatchAvailabilityResponse:
            began = time.thread_time()
            skus = self._names[Namespace.SKU].texts(since.sku).to_pylist()
            figures = _messages(skus, since.units, since.versions)
            is_whole = at == 0 and since.next_sku < 0
            self._spent += time.thread_time() - began
            return pb.WatchAvailabilityResponse(figures=figures, version=since.sequence, complete=is_whole)

        return _Piece(await offload(since.sku.size, message), since.sequence, since.next_sku)

    def _channel(self, name: str) -> int:
        return int(
            known(
                self._names[Namespace.CHANNEL], lambda _: "channel", [name], CHANNEL_CHARACTERS_MAX, "channel",
                ADD_A_CHANNEL,
            )[0]
        )  # fmt: skip


def _messages(skus: Any, units: Any, versions: Any) -> list[pb.Availability]:
    return [
        pb.Availability(sku=sku, units=count, version=version)
        for sku, count, version in zip(skus, units.tolist(), versions.tolist(), strict=True)
    ]
