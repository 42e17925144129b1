"""The event service: what happened, from any event on, then what happens."""

import asyncio
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from allot.v1 import events_pb2 as pb
from allot.v1 import events_pb2_grpc
from server.errors import invalid
from server.events import EVERY_KIND, EventLog, event_id
from server.security import Role, current_caller

READERS = 2  # threads that read the journal for all streams, in turns


class EventService(events_pb2_grpc.EventServiceServicer):
    """Streams events."""

    def __init__(self, log: EventLog) -> None:
        self._log = log
        self._reading = ThreadPoolExecutor(READERS, "allot-events")

    def close(self) -> None:
        """End its threads."""
        self._reading.shutdown(cancel_futures=True)

    async def StreamEvents(  # noqa: N802
        self, request: pb.StreamEventsRequest, context: Any
    ) -> AsyncIterator[pb.StreamEventsResponse]:
        """Events after an id, page by page."""
        kinds = frozenset(request.kinds)
        for kind in kinds - EVERY_KIND:
            raise invalid("kinds", f"kinds: {kind}: give kinds of EventKind, or none for all", "OUT_OF_RANGE")
        after, present = event_id(request.after_event_id), self._log.sequence
        is_new = request.only_new and not request.after_event_id
        cursor = self._log.after_present(kinds) if is_new else self._log.cursor(after, kinds)
        is_for_others = current_caller().role in (Role.CHANNEL, Role.WAREHOUSE)
        loop = asyncio.get_running_loop()
        while True:
            upto = present if request.once else self._log.sequence
            events = await loop.run_in_executor(self._reading, cursor.page, upto)
            if events:
                if is_for_others:
                    _hide_tokens(events)
                yield pb.StreamEventsResponse(events=events)
            if cursor.done >= upto:
                if request.once:
                    return
                await self._log.beyond(cursor.done)


def _hide_tokens(events: list[pb.Event]) -> None:
    """Tokens of saved methods are for those who charge by them."""
    for event in events:
        if event.step_taken.step == "PAY":
            event.step_taken.note = ""
