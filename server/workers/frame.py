"""What every worker is given: the engine's gRPC channel, repeats with pauses, health, metrics, and its end.

    run(name, work, ...)  ->  Frame  ->  await work(frame): one or many parts, each kept going by `Frame.keep`, or by
                                         `Frame.follow` where it does something for every event

A part that fails is tried again for ever, after pauses that grow to two seconds: what it works on is not lost, since it
reads on from its cursor (following.py). README.md has a worker in whole.
"""

import asyncio
import os
import random
import signal
import threading
from collections.abc import Awaitable, Callable, Collection, Iterable
from typing import Any

import grpc
from prometheus_client import CollectorRegistry, Counter, Gauge, ProcessCollector, start_http_server

from allot_client.connection import Connection
from allot_client.errors import AllotError, error_of
from allot_client.patience import PAUSE_SECONDS_MAX, PAUSE_SECONDS_MIN
from server.config import parse_address
from server.memory import offer_first
from server.workers.cursor import Cursor
from server.workers.failure import WorkerError
from server.workers.following import Effect, Following, Kind, Of, Patience

_END_SECONDS = 0.5
Work = Callable[["Frame"], Awaitable[None]]
_PATIENCE = Patience()


class Frame:
    """Of one worker that runs."""

    def __init__(self, name: str, connection: Connection, log: Any) -> None:
        """Raises ValueError and OSError where the connection's options will not do. For the event loop."""
        self.name, self.log = name, log
        self.stopping = asyncio.Event()
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        self._is_well = Gauge(
            "allot_worker_well", "1: it works, 0: it is tried again", ["part"], registry=self.registry
        )
        self._failures = Counter(
            "allot_worker_failures", "Tries that failed", ["part", "reason"], registry=self.registry
        )
        self._parked = Gauge(
            "allot_worker_parked", "Events that were put aside: see the log", ["part"], registry=self.registry
        )
        self._failing: dict[str, tuple[str, int]] = {}  # by part: the reason and how many failures in a row
        self.metadata = connection.metadata()
        credentials, options = connection.credentials(), connection.channel_options()
        self.channel: grpc.aio.Channel = (
            grpc.aio.insecure_channel(connection.target, options)
            if credentials is None
            else grpc.aio.secure_channel(connection.target, credentials, options)
        )

    @property
    def failing(self) -> dict[str, str]:
        """The parts that do not work now, and why."""
        return {part: reason for part, (reason, _) in self._failing.items()}

    async def keep(self, part: str, work: Callable[[], Awaitable[None]]) -> None:
        """Do a part's work over and over until the worker stops. Where it raises, after a pause."""
        while not self.stopping.is_set():
            try:
                await work()
                continue
            except (grpc.RpcError, AllotError) as error:
                failure = error if isinstance(error, AllotError) else error_of(error)
                self._fails(part, failure.reason or failure.code.name, str(failure))
            except WorkerError as error:
                self._fails(part, error.reason, str(error))
            except Exception as error:  # ours: the other parts go on
                self._fails(part, type(error).__name__, str(error), exc_info=True)
            longest = min(PAUSE_SECONDS_MAX, PAUSE_SECONDS_MIN * 2.0 ** min(self._failing[part][1], 16))
            await self.pause(random.uniform(longest / 2, longest))

    async def follow(
        self, part: str, cursor: Cursor, effect: Effect, kinds: Iterable[Kind] = (), at_once: int = 1,
        of: Of | None = None, patience: Patience = _PATIENCE,
    ) -> None:  # fmt: skip
        """Have an effect for each event after the cursor, in sequence, until it succeeds: at least once.

        effect: returns whether the outside was reached, or raises: then it is tried again, and what is behind it goes
        on meanwhile. kinds: those wanted, of EventKind; none: all. at_once: so many side by side. of: those that are
        `of` the same one after the other. patience: when an event that fails is parked (following.py).
        """
        following = Following(self, part, cursor, effect, kinds, at_once, of, patience)
        await self.keep(part, following.go_on)

    async def pause(self, seconds: float) -> None:
        """Wait, but not beyond the worker's end."""
        try:
            await asyncio.wait_for(self.stopping.wait(), seconds)
        except TimeoutError:
            return

    def well(self, part: str) -> None:
        """A part has got on."""
        if self._failing.pop(part, None):
            self.log.info("it works again", worker=self.name, part=part)
        self._is_well.labels(part).set(1)

    def tell_parked(self, part: str, events: int) -> None:
        """So many events of a part are parked."""
        self._parked.labels(part).set(events)

    def _fails(self, part: str, reason: str, text: str, **traceback: bool) -> None:
        before, times = self._failing.get(part, ("", 0))
        if reason != before:  # a failure that lasts is told once
            self.log.warning(
                "tried again until it works", worker=self.name, part=part, reason=reason, error=text, **traceback
            )
        self._failing[part] = (reason, times + 1)
        self._is_well.labels(part).set(0)
        self._failures.labels(part, reason).inc()


async def end(tasks: Collection[asyncio.Task[Any]]) -> None:
    """Cancel tasks until they have ended: libraries take a single cancellation for their own now and then."""
    while running := [task for task in tasks if not task.done()]:
        for task in running:
            task.cancel()
        await asyncio.wait(running, timeout=_END_SECONDS)


def run(
    name: str, work: Work, connection: Connection, log: Any, metrics_listen: str = "", with_parent: bool = False
) -> int:
    """Run a worker in this thread until SIGTERM, SIGINT or, with_parent, the end of stdin; the exit code.

    with_parent: a server runs it, which is to outlive it where memory runs out.
    """
    import uvloop

    async def main() -> int:
        frame = Frame(name, connection, log)
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, frame.stopping.set)
        if with_parent:
            offer_first()
            threading.Thread(target=_await_parent, args=(loop, frame.stopping), name="parent", daemon=True).start()

        async def whole() -> None:
            if metrics_listen:
                address = parse_address(metrics_listen)
                start_http_server(address.port, address.host, registry=frame.registry)
            await work(frame)

        working, ending = asyncio.ensure_future(whole()), asyncio.ensure_future(frame.stopping.wait())
        log.info("started", worker=name, server=connection.target)
        await asyncio.wait((working, ending), return_when=asyncio.FIRST_COMPLETED)
        ending.cancel()
        frame.stopping.set()
        await end([working])
        done = None if working.cancelled() else working.exception()
        await frame.channel.close()
        if isinstance(done, Exception):
            log.critical("a worker has failed", worker=name, error=f"{type(done).__name__}: {done}")
            return 1
        log.info("stopped", worker=name)
        return 0

    return uvloop.run(main())


def _await_parent(loop: asyncio.AbstractEventLoop, stopping: asyncio.Event) -> None:
    """Whoever started this holds the other end of stdin: its end is theirs."""
    while os.read(0, 4096):  # past sys.stdin, which decodes, and whose lock, held here, would abort the exit
        pass
    loop.call_soon_threadsafe(stopping.set)
