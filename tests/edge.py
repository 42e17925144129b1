"""The edge without its sockets: an engine in a folder, the batcher before it, services called as the server does."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from engine.columns import Limits
from engine.folder import DataFolder
from engine.writer import Engine
from server.batcher import Batcher
from tests.driving import SECRET, START

LIMITS = Limits(
    skus_max=4096, channels_max=16, postal_codes_max=64, orders_max=4096, lines_max=8192, parts_max=16384,
    fences_max=256, exceptions_max=256,
)  # fmt: skip


class Call:
    """What a service sees of a call that has no deadline."""

    def time_remaining(self) -> float | None:
        return None


CALL = Call()


class Edge:
    """One running batcher, and who listens to it."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.now = START
        self.batcher = Batcher(engine, clock=self._clock)

    def _clock(self) -> float:
        self.now += 1
        return self.now / 1e6


@asynccontextmanager
async def running(path: Path, *make_listeners: Callable[[Edge], Any]) -> AsyncIterator[Edge]:
    """An edge over a folder, new or not. make_listeners: each makes who is told of the turns."""
    if not DataFolder.exists(path):
        DataFolder.create(path, SECRET, LIMITS).close()
    with Engine.open(path) as engine:
        edge = Edge(engine)
        failures: list[BaseException] = []
        edge.batcher.start(failures.append, *(make(edge) for make in make_listeners))
        try:
            yield edge
        finally:
            await asyncio.to_thread(edge.batcher.stop)
        assert failures == []


def run(test: Callable[[], Awaitable[None]], seconds_max: float = 120) -> None:
    """Run an asynchronous test to its end."""

    async def limited() -> None:
        await asyncio.wait_for(test(), seconds_max)

    asyncio.run(limited())
