"""What channels may sell, pulled from the engine for many channels at once: one call for all that are ready for more.

Each channel asks for itself and is answered for itself. Nothing is on its way that nobody has asked for: who is slow
misses what came between, never what is newest.
"""

import asyncio
import math
import re
from collections.abc import Iterable
from typing import NamedTuple

import grpc

from allot.v1 import availability_pb2 as pb
from allot.v1 import availability_pb2_grpc
from allot_client.errors import error_of
from server.workers.frame import Frame

BEAT_SECONDS = 1.0  # a channel without changes is answered so often
COMPANY_SECONDS = 0.005  # so long is a call put off for channels that will ask again soon
CALL_SECONDS_MAX = 10.0  # beside the time that a call waits
CURSORS_MAX = 1024  # of one call, as the service has it
_FIELD = re.compile(r"cursors\[(\d+)\]")
_Answer = tuple[pb.ChannelAvailability, pb.PullAvailabilityResponse]


class Pulled(NamedTuple):
    """A page of what changed for a channel."""

    lines: bytes  # SKU TAB units TAB version LF of each figure
    version: int  # up to this commit all has been told, where it is complete
    is_complete: bool
    as_of_us: int
    durable_at_us: int
    engine: str


class VersionAhead(Exception):
    """The engine is not so far as the channel: it was put back, or is another one."""


class Following:
    """The pages of one channel, in their order."""

    def __init__(self, pulls: "Pulls", channel: str, version: int) -> None:
        """version: what is known already; 0: nothing."""
        self._pulls, self._cursor = pulls, pb.AvailabilityCursor(channel=channel, after_version=version)
        self._first: _Answer | None = None  # page of a pass that goes on

    async def page(self) -> Pulled:
        """The next one, as soon as there is a change, or a beat after the last one. Raises VersionAhead, and what gRPC
        raises.
        """
        page, answer = await self._pulls.ask(self._cursor)
        first, first_answer = self._first = self._first or (page, answer)
        is_complete = not page.next_page_token
        self._cursor = pb.AvailabilityCursor(
            channel=page.channel, after_version=first.version if is_complete else self._cursor.after_version,
            page_token=page.next_page_token,
        )  # fmt: skip
        if is_complete:
            self._first = None
        return Pulled(
            page.lines, first.version, is_complete, first_answer.as_of_us, first_answer.durable_at_us, answer.engine_id
        )


class _Asked(NamedTuple):
    cursor: pb.AvailabilityCursor
    since: float  # of the loop's clock
    answer: "asyncio.Future[_Answer]"


class Pulls:
    """Makes the calls. For the event loop."""

    def __init__(self, frame: Frame) -> None:
        self._call = availability_pb2_grpc.AvailabilityServiceStub(frame.channel).PullAvailability
        self._metadata = frame.metadata
        self._waiting: dict[str, _Asked] = {}  # by channel, for the next call
        self._busy: set[str] = set()  # channels that were answered a moment ago
        self._timer: asyncio.Handle | None = None
        self._calls: set[asyncio.Task[None]] = set()

    async def ask(self, cursor: pb.AvailabilityCursor) -> _Answer:
        """The page at a cursor; the newest call of a channel counts."""
        loop = asyncio.get_running_loop()
        asked = _Asked(cursor, loop.time(), loop.create_future())
        self._busy.discard(cursor.channel)
        if (before := self._waiting.get(cursor.channel)) is not None:
            before.answer.cancel()
        self._wait([asked])
        return await asked.answer

    async def engine(self, channel: str) -> str:
        """Which engine this is."""
        asked = pb.PullAvailabilityRequest(cursors=[pb.AvailabilityCursor(channel=channel)])
        answer = await self._call(asked, metadata=self._metadata, timeout=CALL_SECONDS_MAX)
        return str(answer.engine_id)

    async def close(self) -> None:
        """Give up what is under way."""
        if self._timer is not None:
            self._timer.cancel()
        for call in self._calls:
            call.cancel()
        await asyncio.gather(*self._calls, return_exceptions=True)

    def _wait(self, asked: Iterable[_Asked]) -> None:
        """Ask with the next call: with all who ask now where nobody is busy, else in a moment."""
        self._waiting.update((one.cursor.channel, one) for one in asked if not one.answer.done())
        if self._timer is not None and not self._busy:
            self._timer.cancel()
            self._timer = None
        if self._waiting and self._timer is None:
            loop = asyncio.get_running_loop()
            self._timer = loop.call_later(COMPANY_SECONDS, self._begin) if self._busy else loop.call_soon(self._begin)

    def _begin(self) -> None:
        self._timer = None
        self._busy.clear()  # who has not come by now is not waited for again
        while self._waiting:
            asked = list(self._waiting.values())[:CURSORS_MAX]
            for one in asked:
                del self._waiting[one.cursor.channel]
            call = asyncio.ensure_future(self._pull([one for one in asked if not one.answer.done()]))
            self._calls.add(call)
            call.add_done_callback(self._calls.discard)

    async def _pull(self, asked: list[_Asked]) -> None:
        """One call for those who ask. Where the answer has nothing for one, it asks again with the next call."""
        if not asked:
            return
        clock = asyncio.get_running_loop().time
        wait = max(0.0, min(one.since for one in asked) + BEAT_SECONDS - clock())
        request = pb.PullAvailabilityRequest(cursors=[one.cursor for one in asked], wait_ms=math.ceil(1000 * wait))
        try:
            answer = await self._call(request, metadata=self._metadata, timeout=CALL_SECONDS_MAX + wait)
        except Exception as error:
            self._wait(_fail(asked, error))
            return
        pages = {page.channel: page for page in answer.channels}
        again = []
        for one in asked:
            page = pages.get(one.cursor.channel)
            is_news = page is not None and (page.lines or page.next_page_token or one.cursor.page_token)
            if page is None or not (is_news or clock() - one.since >= BEAT_SECONDS or not one.cursor.after_version):
                again.append(one)
            elif not one.answer.done():
                self._busy.add(one.cursor.channel)
                one.answer.set_result((page, answer))
        self._wait(again)


def _fail(asked: list[_Asked], error: Exception) -> list[_Asked]:
    """Tell those whom a failure concerns; the others."""
    failing = asked
    if isinstance(error, grpc.RpcError):
        said = error_of(error)
        if (at := _FIELD.match(said.field)) is not None:
            failing = [asked[int(at[1])]]
            if said.code is grpc.StatusCode.OUT_OF_RANGE:
                error = VersionAhead(failing[0].cursor.channel)
    for one in failing:
        if not one.answer.done():
            one.answer.set_exception(error)
    return [one for one in asked if one not in failing]
