"""A frame without pauses, and an engine of events for it to follow, for the tests of workers."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import grpc

from allot.v1 import events_pb2 as pb
from allot.v1 import events_pb2_grpc
from allot_client.connection import Connection
from server.workers.cursor import Cursor
from server.workers.frame import Frame, end
from tests.edge import run as run_test

NOWHERE = "127.0.0.1:1"


class Log:
    """What was said: level, text, fields."""

    def __init__(self) -> None:
        self.said: list[tuple[str, str, dict[str, Any]]] = []

    def __getattr__(self, level: str) -> Callable[..., None]:
        return lambda text, **fields: self.said.append((level, text, fields))

    def reasons(self) -> list[str]:
        return [fields["reason"] for level, _, fields in self.said if level == "warning"]


class Framed(Frame):
    """A frame whose pauses take no time; the pauses are kept."""

    def __init__(self, target: str = NOWHERE) -> None:
        self.said = Log()
        super().__init__("trial", Connection(target), self.said)
        self.pauses: list[float] = []

    async def pause(self, seconds: float) -> None:
        self.pauses.append(seconds)
        await asyncio.sleep(0.001)

    def figure(self, name: str, **labels: str) -> float | None:
        return self.registry.get_sample_value(name, labels)


def framed(test: Callable[[Framed], Awaitable[None]], target: str = NOWHERE) -> None:
    async def within() -> None:
        frame = Framed(target)
        try:
            await test(frame)
        finally:
            await frame.channel.close()

    run_test(within, seconds_max=30)


class Engine(events_pb2_grpc.EventServiceServicer):
    """Events 1-1, 2-1, 3-1 and so on, up to `count`; pages of two."""

    def __init__(self, count: int) -> None:
        self.count, self.asked = count, []
        self.more = asyncio.Event()

    async def StreamEvents(self, request: pb.StreamEventsRequest, context: Any) -> AsyncIterator[Any]:  # noqa: N802
        self.asked.append(request)
        sequence, _, ordinal = request.after_event_id.partition("-")
        at = int(sequence or 0) - (ordinal == "0")
        if at > self.count:
            await context.abort(grpc.StatusCode.OUT_OF_RANGE, "restored?")
        yield pb.StreamEventsResponse()  # a page without events is a page
        while True:
            while at < self.count:
                some = range(at + 1, min(at + 2, self.count) + 1)
                yield pb.StreamEventsResponse(events=[pb.Event(event_id=f"{i}-1", sequence=i) for i in some])
                at = some[-1]
            if request.once:
                return
            self.more.clear()
            await self.more.wait()


class Following:
    """A frame and an engine that it follows; what it did, and where its cursor stands."""

    def __init__(self, engine: Engine, frame: Framed, path: Path) -> None:
        self.engine, self.frame, self.cursor = engine, frame, Cursor(path)
        self.did: list[int] = []
        self.tried: list[int] = []
        self.fails: dict[int, list[Exception]] = {}
        self.for_ever: set[int] = set()
        self.quiet: set[int] = set()

    async def effect(self, event: pb.Event) -> bool:
        """Whether the outside is reached: not by events of `quiet`."""
        self.tried.append(event.sequence)
        failures = self.fails.get(event.sequence)
        if failures:
            raise failures[0] if event.sequence in self.for_ever else failures.pop()
        self.did.append(event.sequence)
        return event.sequence not in self.quiet

    async def follow(self, kinds: tuple[Any, ...] = (), **more: Any) -> None:
        await self.frame.follow("events", self.cursor, self.effect, kinds, **more)

    @asynccontextmanager
    async def going(self, **more: Any) -> AsyncIterator[None]:
        """For the length of a block it follows."""
        task = asyncio.ensure_future(self.follow(**more))
        try:
            yield
        finally:
            await end([task])

    def parked(self) -> list[str]:
        """As the cursor's file says."""
        found = self.cursor.progress()
        return list(found.parked) if found else []

    async def until(self, condition: Callable[[], bool]) -> None:
        while not condition():
            await asyncio.sleep(0.002)


def following(path: Path, test: Callable[[Following], Awaitable[None]], count: int = 5) -> None:
    async def within() -> None:
        server, engine = grpc.aio.server(), Engine(count)
        events_pb2_grpc.add_EventServiceServicer_to_server(engine, server)
        port = server.add_insecure_port("127.0.0.1:0")
        await server.start()
        frame = Framed(f"127.0.0.1:{port}")
        one = Following(engine, frame, path)
        try:
            await test(one)
        finally:
            await frame.channel.close()
            await server.stop(None)

    run_test(within, seconds_max=30)
