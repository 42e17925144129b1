"""The availability service: what channels may sell, asked for or watched."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import Any, NamedTuple

import grpc
import numpy as np
import pyarrow as pa

from allot.v1 import availability_pb2 as pb
from allot.v1 import availability_pb2_grpc
from engine.intake.orders import CHANNEL_CHARACTERS_MAX, SKU_CHARACTERS_MAX
from engine.names import Names, text_buffers
from engine.outcomes import Namespace
from engine.views import Answer
from kernels.messages import FIGURE_BYTES_MAX, write_figures, write_lines
from server.errors import Rejection, invalid
from server.feed import Feed, Since
from server.offload import offload
from server.paging import position_of, token_of
from server.validation.catalogue import ADD_A_CHANNEL
from server.validation.values import find, known, number, rows, text

SKUS_MAX = 10_000  # of one request
FIGURES_MAX = 4096  # of one message of a watch
PULLED_MAX = 16_384  # figures of one answer to a pull, all channels together
CURSORS_MAX = 1024
WAIT_MS_MAX = 60_000
BYTES_PER_SECOND_MAX = 64 << 20  # to all watchers together: a third of a core
SURGE_BYTES_PER_SECOND_MAX = 8 << 20  # while a surge wants the cores
MESSAGE_BYTES = 4096  # that a message costs as much as, beside its own
PAUSE_SECONDS_MIN, PAUSE_SECONDS_MAX = 0.001, 2.0
BEAT_MS_MIN, BEAT_MS_MAX = 100, 60_000
_PIECES_KEPT_MAX = 64  # messages that watchers of the same channel share


class _Piece(NamedTuple):
    """A message of a watch, the same for everyone who is at the same version."""

    message: bytes
    sequence: int
    is_complete: bool
    next_sku: int  # -1: the last of its pass


class _Cursor(NamedTuple):
    """Where a channel's page begins."""

    channel: int
    after: int  # version
    first_sku: int


async def _nothing_sold() -> Answer:
    return Answer(0, [])


class AvailabilityService(availability_pb2_grpc.AvailabilityServiceServicer):
    """Reads the feed."""

    def __init__(
        self, feed: Feed, names: dict[Namespace, Names], in_surge: Callable[[], bool] = lambda: False,
        sales: Callable[[], Awaitable[Answer]] = _nothing_sold,
    ) -> None:  # fmt: skip
        """in_surge: whether figures had better come less often. Asked from the event loop. sales: reads what
        channels have sold.
        """
        self._sales = sales
        self._feed, self._in_surge = feed, in_surge
        self._names = names
        self._channels: dict[str, int] = {}
        self._engine = pb.WatchAvailabilityResponse(engine_id=feed.engine_id).SerializeToString()
        self._pieces: dict[tuple[int, int, int], _Piece] = {}  # of this ring, see `_piece`
        self._rings = 0
        self._not_before = 0.0  # of the loop's clock: messages until then would be too much

    async def GetAvailability(  # noqa: N802
        self, request: pb.GetAvailabilityRequest, context: Any
    ) -> bytes:
        """What a channel may sell of some SKUs: nothing of one that is not known."""
        channel = self._channel(request.channel)
        rows("skus", len(request.skus), SKUS_MAX)
        sku = await offload(len(request.skus), find, self._names[Namespace.SKU], request.skus)
        for row in np.flatnonzero(sku < 0).tolist():
            text(f"skus[{row}]", request.skus[row], SKU_CHARACTERS_MAX)
        units, versions, sequence = self._feed.figures(channel, sku)
        figures = await offload(sku.size, lambda: _message(pa.array(request.skus, pa.string()), units, versions))
        return figures + pb.GetAvailabilityResponse(version=sequence).SerializeToString()

    async def ListChannelFigures(  # noqa: N802
        self, request: pb.ListChannelFiguresRequest, context: Any
    ) -> pb.ListChannelFiguresResponse:
        """What every channel has sold and may sell."""
        sales = await self._sales()
        totals = await asyncio.to_thread(self._feed.totals)
        names = self._names[Namespace.CHANNEL].texts(np.arange(len(totals), dtype=np.int32)).to_pylist()
        sold = {row["channel"]: row for row in sales.rows}
        channels = [
            pb.ChannelFigures(**sold.get(name, {"channel": name}), units_available=units, version=version)
            for name, (units, version, _) in zip(names, totals, strict=True)
        ]
        version = min((sequence for _, _, sequence in totals), default=self._feed.sequence)
        return pb.ListChannelFiguresResponse(channels=channels, view_sequence=sales.view_sequence, version=version)

    async def WatchAvailability(  # noqa: N802
        self, request: pb.WatchAvailabilityRequest, context: Any
    ) -> AsyncIterator[bytes]:
        """What changed since a version, then every change, pass after pass."""
        channel, after = self._channel(request.channel), request.after_version
        self._check_version("after_version", after)
        beat = _beat_seconds(request)
        is_first = True
        while True:
            at, upto, as_of = 0, self._feed.sequence, _now_us()
            while at >= 0:
                piece = self._piece(channel, after, at, exact=is_first)
                upto = min(upto, piece.sequence) if at else piece.sequence
                yield piece.message
                self._charge(len(piece.message))
                at = piece.next_sku
                if at >= 0:
                    await self._in_measure()
            if not piece.is_complete:
                yield self._end(upto, as_of)
            if request.once:
                return
            after, is_first = upto, False
            await self._in_measure()
            while not await self._feed.changed(channel, after, beat):
                as_of = _now_us()
                if (quiet := self._feed.quiet_until(channel, after)) is None:
                    break
                after = quiet
                yield self._end(after, as_of)

    async def PullAvailability(  # noqa: N802
        self, request: pb.PullAvailabilityRequest, context: Any
    ) -> pb.PullAvailabilityResponse:
        """What changed for several channels since their versions, a page of it."""
        rows("cursors", len(request.cursors), CURSORS_MAX)
        wait_ms = number("wait_ms", request.wait_ms, 0, WAIT_MS_MAX)
        cursors = self._cursors(request.cursors)
        if wait_ms and all(cursor.after and not cursor.first_sku for cursor in cursors):
            channels, versions = [cursor.channel for cursor in cursors], [cursor.after for cursor in cursors]
            await self._feed.any_changed(channels, versions, wait_ms / 1000)
        await self._in_measure()
        answer, left = pb.PullAvailabilityResponse(as_of_us=_now_us(), engine_id=self._feed.engine_id), PULLED_MAX
        for cursor, asked in zip(cursors, request.cursors, strict=True):
            if left == 0:
                break
            since = self._feed.changed_since(cursor.channel, cursor.after, cursor.first_sku, left)
            left -= since.sku.size
            page = answer.channels.add(channel=asked.channel, version=since.sequence)
            if since.sku.size:
                page.lines = self._lines(since)
            if since.next_sku >= 0:
                page.next_page_token = token_of(_pass(asked), since.next_sku)
        answer.durable_at_us = self._feed.durable_at_us
        self._charge(answer.ByteSize())
        return answer

    def _lines(self, since: Since) -> bytes:
        """Figures as lines of text."""
        offsets, data = self._names[Namespace.SKU].buffers()
        text_bytes = offsets[since.sku + 1].sum(dtype=np.int64) - offsets[since.sku].sum(dtype=np.int64)
        out = np.empty(int(text_bytes) + FIGURE_BYTES_MAX * since.sku.size, np.uint8)
        return out[: write_lines(since.sku, offsets, data, since.units, since.versions, out)].tobytes()

    def _cursors(self, asked: Sequence[pb.AvailabilityCursor]) -> list[_Cursor]:
        cursors = []
        for row, cursor in enumerate(asked):
            channel = self._channel(cursor.channel, f"cursors[{row}].channel")
            self._check_version(f"cursors[{row}].after_version", cursor.after_version)
            first_sku = position_of(_pass(cursor), cursor.page_token, f"cursors[{row}].page_token") or 0
            cursors.append(_Cursor(channel, cursor.after_version, first_sku))
        return cursors

    def _check_version(self, field: str, version: int) -> None:
        if version > self._feed.sequence:
            raise Rejection(
                grpc.StatusCode.OUT_OF_RANGE, "VERSION_AHEAD",
                f"{field}: {version} is beyond the last commit, {self._feed.sequence}: give 0 to begin anew", field,
            )  # fmt: skip

    def _charge(self, sent: int) -> None:
        """Put off the messages to come after so many bytes: in a surge figures come less often, and newer."""
        now = asyncio.get_running_loop().time()
        most = SURGE_BYTES_PER_SECOND_MAX if self._in_surge() else BYTES_PER_SECOND_MAX
        owed = max(now, self._not_before) + (sent + MESSAGE_BYTES) / most
        self._not_before = min(owed, now + PAUSE_SECONDS_MAX)  # a debt of those who went away must not grow

    async def _in_measure(self) -> None:
        """Wait until it is time for another message."""
        pause = self._not_before - asyncio.get_running_loop().time()
        if pause > PAUSE_SECONDS_MIN:
            await asyncio.sleep(pause)

    def _piece(self, channel: int, after: int, at: int, exact: bool) -> _Piece:
        """The next message of a pass. Those who were woken together share it, though something newer may be there.

        exact: of the last durable commit, since the caller may have just heard of it.
        """
        if self._rings != self._feed.wakeups.rings or len(self._pieces) > _PIECES_KEPT_MAX:
            self._rings, self._pieces = self._feed.wakeups.rings, {}
        piece = self._pieces.get((channel, after, at))
        if piece is None or (exact and self._feed.newest(channel) > piece.sequence):
            piece = self._pieces[channel, after, at] = self._made(channel, after, at)
        return piece

    def _made(self, channel: int, after: int, at: int) -> _Piece:
        """A piece of what is there now; complete where it is all of its pass."""
        as_of = _now_us()
        since = self._feed.changed_since(channel, after, at, FIGURES_MAX)
        is_whole = at == 0 and since.next_sku < 0
        figures = _message(self._names[Namespace.SKU].texts(since.sku), since.units, since.versions)
        last = self._end(since.sequence, as_of) if is_whole else self._engine
        return _Piece(figures + last, since.sequence, is_whole, since.next_sku)

    def _end(self, version: int, as_of_us: int) -> bytes:
        """What ends a pass: everything up to a version has been told."""
        feed = self._feed
        return pb.WatchAvailabilityResponse(
            version=version, complete=True, as_of_us=as_of_us, durable_at_us=feed.durable_at_us,
            engine_id=feed.engine_id,
        ).SerializeToString()  # fmt: skip

    def _channel(self, name: str, field: str = "channel") -> int:
        """Its index. It never changes, so what was found once is kept."""
        found = self._channels.get(name)
        if found is None:
            names = self._names[Namespace.CHANNEL]
            found = known(names, lambda _: field, [name], CHANNEL_CHARACTERS_MAX, "channel", ADD_A_CHANNEL)[0]
            found = self._channels[name] = int(found)
        return found


def _now_us() -> int:
    return int(time.time() * 1e6)


def _beat_seconds(request: pb.WatchAvailabilityRequest) -> float | None:
    beat = request.beat_ms
    if beat and not BEAT_MS_MIN <= beat <= BEAT_MS_MAX:
        raise invalid("beat_ms", f"beat_ms: {beat}: give {BEAT_MS_MIN} to {BEAT_MS_MAX:,} milliseconds, or 0 for none")
    return beat / 1000 if beat else None


def _pass(asked: pb.AvailabilityCursor) -> str:
    """What a page's token belongs to."""
    return f"availability {asked.channel} {asked.after_version}"


def _message(skus: pa.StringArray, units: Any, versions: Any) -> bytes:
    """Figures as field 1 of an answer; the other fields of it may follow: messages that are joined are merged."""
    offsets, data = text_buffers(skus)
    out = np.empty(int(offsets[-1] - offsets[0]) + FIGURE_BYTES_MAX * len(skus), np.uint8)
    return out[: write_figures(offsets, data, units, versions, out)].tobytes()
