"""What a worker does for each event after its cursor: side by side, again where it fails, and put aside at last.

    stream from `position`  ->  waiting, in sequence  ->  a round over their lanes  ->  done, or failed, or parked
                                                                                    ->  the cursor, before what waits

What fails is kept in memory and tried again; the stream is read on meanwhile. An event that fails while others succeed
is parked after some tries: it is written beside the cursor, which then goes on, and is looked at again now and then.
Where nothing succeeds, the outside is away: nothing is parked, and what waits has a limit.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import grpc

from allot.v1 import events_pb2, events_pb2_grpc
from allot_client.errors import error_of
from allot_client.patience import PAUSE_SECONDS_MAX
from server.workers.cursor import Cursor, Progress
from server.workers.failure import WillNotDo, WorkerError

if TYPE_CHECKING:
    from server.workers.frame import Frame

WAITING_EVENTS_MAX = 1_000  # no further page is read beyond it
PARKED_EVENTS_MAX = 1_000  # beyond it the cursor waits
_FAILS_IN_VAIN_MIN = 4  # or `at_once`: a round in which none succeeds ends after so many, since the outside is away
_REVISITS_IN_VAIN_MAX = 8
_NEVER = float("-inf")
Kind = events_pb2.EventKind
Effect = Callable[[events_pb2.Event], Awaitable[bool]]
Of = Callable[[events_pb2.Event], Any]


class Patience(NamedTuple):
    """When an event that fails is parked, and when it is looked at again."""

    tries: int = 10  # that failed while others succeeded
    seconds: float = 300.0  # from the first of those tries to the last
    parked_seconds: float = 900.0  # between two looks at what is parked; it is looked at when a worker starts, too


@dataclass
class _Waiting:
    """An event that was read and is not done."""

    event: events_pb2.Event
    after: str  # the event before it
    error: Exception | None = None  # of the last try
    tried_at: float = _NEVER
    is_counted: bool = False  # whether the last try counts against it
    counted: int = 0
    counted_since: float = 0.0


class Following:
    """One part's way along the events."""

    def __init__(
        self, frame: "Frame", part: str, cursor: Cursor, effect: Effect, kinds: Iterable[Kind], at_once: int,
        of: Of | None, patience: Patience, clock: Callable[[], float] = time.monotonic,
    ) -> None:  # fmt: skip
        self._frame, self._part, self._cursor, self._effect = frame, part, cursor, effect
        self._kinds, self._at_once, self._of, self._patience = tuple(kinds), at_once, of or _its_own, patience
        self._clock = clock
        self._events: Any = events_pb2_grpc.EventServiceStub(frame.channel)
        self._written: Progress | None = None
        self._position = ""  # the last event that was read
        self._waiting: dict[str, _Waiting] = {}  # by event id, in sequence
        self._parked: list[str] = []
        self._reached_at, self._revisit_at = _NEVER, _NEVER

    async def go_on(self) -> None:
        """One turn of a part: what waits, then what is past, then what comes. Raises what an effect raised."""
        self._begin()
        if self._parked and self._clock() >= self._revisit_at:
            await self._revisit()
        await self._round(is_retry=True)
        for once in (True, False):  # to the present, then each as it comes: only who is at the present is well
            await self._read_on(once)
            self._raise_first()
            self._frame.well(self._part)

    def _begin(self) -> None:
        """Where the cursor stands, which somebody may have mended meanwhile."""
        found = self._cursor.progress() or Progress("")
        if found == self._written:
            return
        self._written = found
        self._position, self._parked = self._written.at, list(self._written.parked)
        self._waiting.clear()
        self._frame.tell_parked(self._part, len(self._parked))

    async def _read_on(self, once: bool) -> None:
        asked = events_pb2.StreamEventsRequest(after_event_id=self._position, kinds=self._kinds, once=once)
        call = self._events.StreamEvents(asked, metadata=self._frame.metadata)
        try:
            while len(self._waiting) < WAITING_EVENTS_MAX:
                page = await self._next_page(call)
                if page is None:
                    return
                for event in page.events:
                    if event.event_id not in self._parked:
                        self._waiting[event.event_id] = _Waiting(event, self._position)
                    self._position = event.event_id
                if page.events:
                    await self._round()
                    if not once:
                        self._raise_first()
                    if not self._waiting:
                        self._frame.well(self._part)
        finally:
            call.cancel()

    async def _next_page(self, call: Any) -> events_pb2.StreamEventsResponse | None:
        """None at the end, and when it is time to look at what is parked."""
        seconds = max(0.0, self._revisit_at - self._clock()) if self._parked else None
        try:
            page = await asyncio.wait_for(call.read(), seconds)
        except TimeoutError:
            return None
        return None if page is grpc.aio.EOF else page

    def _raise_first(self) -> None:
        for one in self._waiting.values():
            if one.error is not None:
                raise one.error

    # One round

    async def _round(self, is_retry: bool = False) -> None:
        """Try what waits, lane by lane; in a retry what failed before as well. Then park, and write the cursor."""
        while await self._parks_after_a_round(is_retry):  # what stood behind it in its lane is tried now
            is_retry = False

    async def _parks_after_a_round(self, is_retry: bool) -> bool:
        """One round; whether it has parked anything."""
        lanes: dict[Any, list[_Waiting]] = {}
        for one in self._waiting.values():
            lanes.setdefault(self._of(one.event), []).append(one)
        due = self._clock() - (0 if is_retry else PAUSE_SECONDS_MAX)
        heads = sorted((lane for lane in lanes.values() if lane[0].tried_at <= due), key=lambda lane: lane[0].tried_at)
        room, failed, begun, before = asyncio.Semaphore(self._at_once), 0, self._clock(), len(self._parked)
        in_vain_max = max(self._at_once, _FAILS_IN_VAIN_MIN)

        async def one_lane(lane: Sequence[_Waiting]) -> None:
            nonlocal failed
            async with room:
                for one in lane:
                    is_away = failed >= in_vain_max and self._reached_at < begun
                    if is_away or not await self._is_done(one):
                        failed += 1
                        return

        tasks = [asyncio.ensure_future(one_lane(lane)) for lane in heads]
        try:
            await asyncio.gather(*tasks)
        finally:
            for task in tasks:
                task.cancel()
            self._park()
            self._write()
        return len(self._parked) > before

    async def _is_done(self, one: _Waiting) -> bool:
        """Try one."""
        one.tried_at, one.is_counted, one.error = self._clock(), False, None
        try:
            if await self._effect(one.event):
                self._reached_at = self._clock()
        except Exception as error:
            one.error = error
            return False
        del self._waiting[one.event.event_id]
        return True

    def _park(self) -> None:
        """Put aside what has failed too often while others succeeded, and what will not do."""
        now = self._clock()
        for one in list(self._waiting.values()):
            if one.error is None:
                continue
            if not one.is_counted and self._reached_at >= one.tried_at:
                one.counted_since = one.counted_since if one.counted else now
                one.is_counted, one.counted = True, one.counted + 1
            is_spent = (
                one.counted >= self._patience.tries and now - one.counted_since >= self._patience.seconds
            ) or isinstance(one.error, WillNotDo)
            if is_spent and len(self._parked) < PARKED_EVENTS_MAX:
                del self._waiting[one.event.event_id]
                self._parked.append(one.event.event_id)
                if len(self._parked) == 1:
                    self._revisit_at = now + self._patience.parked_seconds
                self._say("error", "an event is parked: it does not succeed while others do", one.event, one.error)

    def _write(self) -> None:
        """The cursor, before the first that waits; durable before anything else is done."""
        at = next((one.after for one in self._waiting.values()), self._position)
        told = Progress(at, tuple(self._parked))
        if told != self._written:
            self._cursor.write(*told)
            self._written = told
            self._frame.tell_parked(self._part, len(self._parked))

    # What is parked

    async def _revisit(self) -> None:
        """Try what is parked once more, until some fail in a row; those are the last in line for the next time."""
        in_vain = 0
        for event_id in tuple(self._parked):
            if in_vain == _REVISITS_IN_VAIN_MAX:
                break
            self._parked.remove(event_id)
            event = events_pb2.Event(event_id=event_id)
            try:
                event = await self._read_one(event_id)
                await self._effect(event)
            except Exception as error:
                self._parked.append(event_id)
                in_vain += 1
                self._say("warning", "a parked event fails again", event, error)
            except BaseException:
                self._parked.append(event_id)
                raise
            else:
                in_vain = 0
                self._say("info", "a parked event is done", event)
            self._write()
        self._revisit_at = self._clock() + self._patience.parked_seconds

    async def _read_one(self, event_id: str) -> events_pb2.Event:
        sequence, _, ordinal = event_id.partition("-")
        asked = events_pb2.StreamEventsRequest(
            after_event_id=f"{sequence}-{int(ordinal) - 1}", kinds=self._kinds, once=True
        )
        call = self._events.StreamEvents(asked, metadata=self._frame.metadata)
        try:
            async for page in call:
                if page.events:
                    if page.events[0].event_id == event_id:
                        return page.events[0]
                    break
        finally:
            call.cancel()
        raise WorkerError("UNKNOWN_EVENT", f"{event_id}: there is no such event: take it out of the cursor's file")

    def _say(self, level: str, text: str, event: events_pb2.Event, error: Exception | None = None) -> None:
        told: dict[str, Any] = {"worker": self._frame.name, "part": self._part, "event_id": event.event_id}
        if error is not None:
            failure = error_of(error) if isinstance(error, grpc.RpcError) else error
            told |= {"reason": getattr(failure, "reason", "") or type(failure).__name__, "error": str(failure)}
        getattr(self._frame.log, level)(text, **told)


def _its_own(event: events_pb2.Event) -> str:
    """Without lanes each event is one."""
    return event.event_id
