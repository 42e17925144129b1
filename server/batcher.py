"""The batcher: all that is asked of the engine passes here. It gathers what waits into commits, one turn after another.

A turn takes every single request that waits and, stream by stream, Arrow batches up to a number of orders. Its queues
are bounded; who does not fit is told when to try again.

    event loop: `ask`, `place`, `read`   ->   writer thread: decide   ->   answers thread: durable, feed, give out

Where only single requests wait, the turn is made in the event loop.
"""

import asyncio
import math
import queue
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Protocol

import grpc
import structlog

from engine.commands import Command, PlaceOrders
from engine.decide import answered_before
from engine.journal import JournalFull
from engine.outcomes import EngineError, OutOfRoom
from engine.writer import Engine, Pending
from kernels.options import FEW
from server.errors import Rejection, busy
from server.gather import CART, ORDER

TURN_REQUESTS_MAX = 2048  # single requests of one commit
TURN_ORDERS_MAX = 12_288  # orders of Arrow batches: further batches wait for the next turn once so many are taken
SINGLE_WORK = 30  # orders of a batch that cost as much as a single request, about
QUEUE_FULL = "QUEUE_FULL"
RETRY_MS = 50  # what a full queue takes to become empty, about
DISK_RETRY_MS = 5000
_LOOKS_AGAIN_SECONDS = 3600.0  # where nothing is due before: a lock waits for no more than three centuries
REST_ORDERS = 128  # of single requests: no more are waited for
REST_SECONDS, REST_SECONDS_MAX = 0.00025, 0.006  # so long without another one ends a rest; and so long does one last
LARGE_CROWD, TICK_SECONDS = 24, 0.001  # of one, whether more come is looked at so often; of a small one, all the time
CROWD = 2  # requests that came during a rest: a crowd
RESTS_WITHOUT_CROWD_MAX = 16  # in a row; then turns are made at once again,
TURNS_PER_TRY = 32  # and one of so many rests to see whether there is a crowd now
TURN_SECONDS_MAX = 0.01  # in the event loop: where a disk is slower, the writer's thread waits for it
SLOW_SECONDS = 0.2  # for so long then
_NEW_ORDERS = (ORDER, CART)
_log = structlog.get_logger("batcher")


class Turns(Protocol):
    """Who wants to know what a turn did: the feed of availability, metrics. Called in sequence, from one thread at a
    time."""

    def __call__(self, turn: "Turn") -> None: ...


@dataclass(frozen=True)
class Turn:
    """A commit that is durable."""

    sequence: int
    changes: Any  # engine.availability.AtsChanges, or None where nothing was committed
    orders: int  # of Arrow batches and single ones
    decisions: list[tuple[Any, Any]]  # of orders: their channels and replies, without those answered before
    seconds: float  # from taking the requests to durable
    durable_at: float  # of time.perf_counter


@dataclass(eq=False)
class Request:
    """What waits: a row to gather with others of its kind, a command, or a look at the state."""

    kind: Any  # who gathers rows (server/gather.py), or _LOOK; None: a command
    content: Any
    deadline: float  # of time.monotonic
    future: "asyncio.Future[Any]"
    orders: int = 0
    is_batch: bool = False


@dataclass(eq=False)
class Lane:
    """The Arrow batches of one stream that wait."""

    waiting: deque[Request] = field(default_factory=deque)


class Batcher:
    """Stands before one engine. What may be asked belongs to the event loop in which `start` was called."""

    def __init__(
        self, engine: Engine, requests_max: int = 4096, batches_max: int = 64, clock: Callable[[], float] = time.time,
        memory: Callable[[], Rejection | None] = lambda: None,
    ) -> None:  # fmt: skip
        """memory: why no new orders are taken, where there is none for them."""
        self.engine = engine
        self.failure: BaseException | None = None
        self._requests_max, self._batches_max, self._clock, self._memory = requests_max, batches_max, clock, memory
        self._singles: deque[Request] = deque()
        self._lanes: deque[Lane] = deque()  # those with something waiting, the next one first
        self._batches = 0
        self.work = 0  # that has come: orders of Arrow batches, and SINGLE_WORK for each single request
        self._free = threading.Condition()
        self._idle = False  # the writer waits to be told of something
        self._turns_to_rest = TURNS_PER_TRY  # 0: the next turn rests
        self._rests_left = 1  # without a crowd
        self._crowd = 0  # requests of the last turn in the event loop
        self._here_soon = False  # a turn in the event loop is about to be made
        self._slow_until = 0.0
        self._turning = threading.Lock()  # held by whoever makes a turn: the engine has one writer at a time
        self._ends = False
        self._durable: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self._under_way = 0  # turns handed to the answers thread and not yet given out
        self._listeners: list[Turns] = []
        self._on_failure: Callable[[BaseException], None] = lambda error: None
        self._threads = [
            threading.Thread(target=self._write, name="allot-writer", daemon=True),
            threading.Thread(target=self._answer, name="allot-answers", daemon=True),
        ]

    def start(self, on_failure: Callable[[BaseException], None], *listeners: Turns) -> None:
        """Begin, within the event loop. on_failure: called in the loop when the engine can go on no longer."""
        self._loop = asyncio.get_running_loop()
        self._loop_thread = threading.get_ident()
        self._on_failure = on_failure
        self._listeners = list(listeners)
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """Carry out what waits, then end. Blocks; nothing may be asked any more."""
        with self._free:
            self._ends = True
            self._free.notify()
        for thread in self._threads:
            if thread.ident is not None:
                thread.join()

    @property
    def requests_waiting(self) -> int:
        """Single requests that wait."""
        return len(self._singles)

    @property
    def batches_waiting(self) -> int:
        """Arrow batches that wait."""
        return self._batches

    # What may be asked, from the event loop. Each returns at once, with a future, or raises Rejection: QUEUE_FULL where
    # nothing was kept.

    def ask(self, command: Command, deadline: float = math.inf) -> "asyncio.Future[Any]":
        """One command of the engine, with others in one commit; its answers once they are durable."""
        return self._single(Request(None, command, deadline, self._loop.create_future()))

    def place(self, kind: Any, row: Any, deadline: float = math.inf) -> "asyncio.Future[Any]":
        """One row, gathered with the others of its kind (server/gather.py) into a command; its result, durable."""
        return self._single(Request(kind, row, deadline, self._loop.create_future(), orders=1))

    def read(self, look: Callable[[Engine], Any], deadline: float = math.inf) -> "asyncio.Future[Any]":
        """Look at the state between two commits; given out once all it may have seen is durable. Everyone waits
        meanwhile: a page at most."""
        return self._single(Request(_LOOK, look, deadline, self._loop.create_future()))

    def allocate(self, lane: Lane, command: Command, orders: int, deadline: float = math.inf) -> "asyncio.Future[Any]":
        """A batch of a stream, with others of its kind; lanes take turns. Its answers once they are durable."""
        request = Request(None, command, deadline, self._loop.create_future(), orders, is_batch=True)
        self._check()
        with self._free:
            if self._batches >= self._batches_max:
                raise busy(f"{self._batches} batches wait: wait and send it again", QUEUE_FULL, RETRY_MS)
            if not lane.waiting:
                self._lanes.append(lane)
            lane.waiting.append(request)
            self._batches += 1
            self.work += orders
            self._wake()
        return request.future

    def _single(self, request: Request) -> "asyncio.Future[Any]":
        self._check()
        with self._free:
            if len(self._singles) >= self._requests_max:
                raise busy(f"{self._requests_max} requests wait: wait and send it again", QUEUE_FULL, RETRY_MS)
            self._singles.append(request)
            self.work += SINGLE_WORK
            if request.kind is None:  # a command may be large
                self._wake()
            elif not self._here_soon:
                if self._is_quiet():
                    self._here_soon = True
                    now = time.perf_counter()
                    self._loop.call_soon(self._turn_here, 0, now, now + REST_SECONDS_MAX)
                else:
                    self._wake()
        return request.future

    def _is_quiet(self) -> bool:
        """Whether a turn in the event loop would keep nobody waiting for long."""
        return self._idle and not self._under_way and not self._lanes and self._slow_until < time.perf_counter()

    def _wake(self) -> None:
        if self._idle:
            self._idle = False
            self._free.notify()

    def _turn_here(self, seen: int, grew_at: float, rest_ends: float) -> None:
        """A turn in the event loop, for single requests while no batches are under way. It saves a lone order two
        changes of thread, and many the quarrel of two threads over one interpreter.

        Where there is a crowd, more are let come first: a commit costs as much as two calls, of one order or of fifty.
        """
        self._here_soon = False
        with self._free:
            waiting, now = len(self._singles), time.perf_counter()
            if waiting > seen:
                grew_at = now
            rests = self._turns_to_rest == 0 and waiting < REST_ORDERS and now < min(rest_ends, grew_at + REST_SECONDS)
            if rests and self._is_quiet():
                self._here_soon = True
                again = (
                    self._loop.call_soon if self._crowd < LARGE_CROWD else partial(self._loop.call_later, TICK_SECONDS)
                )
                again(self._turn_here, waiting, grew_at, rest_ends)
                return
            if not self._is_quiet() or not self._turning.acquire(blocking=False):
                self._wake()
                return
            self._crowd = max(waiting, self._crowd // 2)
            self._look_for_crowd(waiting)
        due = self.engine.next_due
        try:
            if requests := self._in_time(self._taken()):
                self._turn(requests)
        except BaseException as error:
            _log.exception("a turn has failed")
            self._fail(error)
        finally:
            self._turning.release()
        if (ended := time.perf_counter()) - now > TURN_SECONDS_MAX:
            self._slow_until = ended + SLOW_SECONDS
        with self._free:
            if self.engine.next_due != due or self._singles:  # the writer waits for the wrong moment, or for nothing
                self._wake()

    def _look_for_crowd(self, waiting: int) -> None:
        """After a turn that rested, or not: whether the next one does."""
        if self._turns_to_rest > 0:
            self._turns_to_rest -= 1
        elif waiting >= CROWD:
            self._rests_left = RESTS_WITHOUT_CROWD_MAX
        else:
            self._rests_left -= 1
            if self._rests_left <= 0:
                self._turns_to_rest, self._rests_left = TURNS_PER_TRY, 1

    def _check(self) -> None:
        if self.failure is not None:
            raise _engine_failed()
        if self._ends:
            raise Rejection(
                grpc.StatusCode.UNAVAILABLE, "DRAINING", "the server is about to stop: ask again", retry_after_ms=1000
            )

    # The writer thread

    def _write(self) -> None:
        try:
            while self._wait():
                with self._turning:
                    requests = self._in_time(self._taken())
                    singles = [request for request in requests if not request.is_batch]
                    if 0 < len(singles) < len(requests):  # a commit of their own: a batch takes ten times as long
                        self._turn(singles)
                        requests = [request for request in requests if request.is_batch]
                    self._turn(requests)
        except BaseException as error:
            _log.exception("the writer has failed")
            self._fail(error)
        self._durable.put(None)

    def _wait(self) -> bool:
        """Until there is something to do, or something is due; False: the end."""
        with self._free:
            while not self._singles and not self._lanes:
                if self._ends:
                    return False
                due = self._seconds_to_due()
                if due is not None and due <= 0:
                    return True
                self._idle = True
                self._free.wait(None if due is None else min(due, _LOOKS_AGAIN_SECONDS))
                self._idle = False
        return True

    def _taken(self) -> list[Request]:
        """What the next turn is for: single requests, then batches, stream by stream."""
        with self._free:
            singles = self._singles
            taken = [singles.popleft() for _ in range(min(len(singles), TURN_REQUESTS_MAX))]
            orders = 0
            while self._lanes and orders < TURN_ORDERS_MAX:
                lane = self._lanes.popleft()
                taken.append(lane.waiting.popleft())
                orders += taken[-1].orders
                self._batches -= 1
                if lane.waiting:
                    self._lanes.append(lane)
        return taken

    def _seconds_to_due(self) -> float | None:
        due = self.engine.next_due
        return None if due is None else due / 1e6 - self._clock()

    def _in_time(self, requests: list[Request]) -> list[Request]:
        """Those that somebody still waits for; the others are told that nothing was done."""
        now = time.monotonic()
        late = [request for request in requests if request.deadline <= now]
        if late:
            self._give_out([(request, too_late()) for request in late])
        return [request for request in requests if request.deadline > now and not request.future.cancelled()]

    def _with_memory(self, requests: list[Request]) -> list[Request]:
        """Those that there is memory for: where it is full, orders that were not answered before are refused."""
        refusal = self._memory()
        if refusal is None:
            return requests
        state, refused = self.engine.state, set()
        for request in requests:
            orders = request.content if request.kind is None else None
            if request.kind in _NEW_ORDERS:
                orders = request.kind.command([request.content])
            if isinstance(orders, PlaceOrders) and not answered_before(state, orders).all():
                refused.add(request)
        self._give_out([(request, refusal) for request in refused])
        return [request for request in requests if request not in refused]

    def _turn(self, requests: list[Request]) -> None:
        """Decide and hand on. Where it does not fit, half of it at a time, so that one does not stand for all."""
        began = time.perf_counter()
        try:
            requests = self._with_memory(requests)
            looks = [request for request in requests if request.kind is _LOOK]
            writes = [request for request in requests if request.kind is not _LOOK]
            groups = gather(writes)
            commands = [group.command() for group in groups]
        except Exception as error:  # ours, and before anything was decided
            self._give_out([(request, error) for request in requests])
            return
        stamp = int(self._clock() * 1e6)
        is_large = any(request.is_batch and request.orders > FEW for request in writes)  # the next one is on its way
        alone = self._under_way == 0 and not self._singles and not self._lanes and not is_large
        try:
            pending = self.engine.submit(commands, stamp, pipelined=not alone)
        except (OutOfRoom, JournalFull) as error:
            if isinstance(error, OutOfRoom) and len(writes) > 1:
                half = len(writes) // 2
                for some in (writes[:half], writes[half:] + looks):
                    self._turn(some)
                return
            self._give_out([(request, _no_room(error)) for request in writes])
            if looks:
                self._turn(looks)
            return
        except BaseException as error:
            self._give_out([(request, _engine_failed()) for request in requests])
            raise error
        seen = [(request, _looked(request, self.engine)) for request in looks]
        turn = (pending, groups, seen, sum(request.orders for request in writes), began)
        if alone:
            self._finish(*turn)
            return
        with self._free:
            self._under_way += 1
        self._durable.put(turn)

    # The answers thread

    def _answer(self) -> None:
        while (turn := self._durable.get()) is not None:
            try:
                self._finish(*turn)
            except BaseException as error:
                _log.exception("answers could not be given out")
                self._fail(error)
            with self._free:
                self._under_way -= 1

    def _finish(
        self, pending: Pending, groups: "list[Group]", seen: list[tuple[Request, Any]], orders: int, began: float
    ) -> None:
        try:
            answers = pending.wait()
        except EngineError as error:
            waiting = [request for group in groups for request in group.requests] + [request for request, _ in seen]
            self._give_out([(request, _engine_failed()) for request in waiting])
            self._fail(error)
            return
        answered = list(zip(groups, answers, strict=True))
        decisions = [decided for group, answer in answered for decided in group.decided(answer)]
        changes, durable_at = pending.ats_changes(), time.perf_counter()
        turn = Turn(pending.sequence, changes, orders, decisions, durable_at - began, durable_at)
        for listener in self._listeners:
            try:
                listener(turn)
            except Exception:  # it is durable, whoever hears of it
                _log.exception("a listener has failed", listener=repr(listener))
        results = [pair for group, answer in answered for pair in group.results(answer)]
        self._give_out(results + seen)

    def _give_out(self, results: Sequence[tuple[Request, Any]]) -> None:
        if results and threading.get_ident() == self._loop_thread:
            _resolve(results)
        elif results:
            self._loop.call_soon_threadsafe(_resolve, results)

    def _fail(self, error: BaseException) -> None:
        """The engine can go on no longer: refuse all that waits, and say so."""
        with self._free:
            if self.failure is not None:
                return
            self.failure = error
            self._ends = True
            waiting = [*self._singles, *(request for lane in self._lanes for request in lane.waiting)]
            self._singles.clear()
            self._lanes.clear()
            self._batches = 0
            self._free.notify()
        self._give_out([(request, _engine_failed()) for request in waiting])
        self._loop.call_soon_threadsafe(self._on_failure, error)


class Group:
    """Requests that became one command."""

    def __init__(self, kind: Any, requests: list[Request]) -> None:
        self.kind = kind
        self.requests = requests
        self._command: Command | None = None

    def command(self) -> Command:
        """All rows as one command."""
        rows = [request.content for request in self.requests]
        self._command = rows[0] if self.kind is None else self.kind.command(rows)
        return self._command

    def decided(self, answers: Any) -> list[tuple[Any, Any]]:
        """Channels and replies of orders that were decided now."""
        if type(self._command) is not PlaceOrders:
            return []
        again = answers.again
        if again.any():
            return [(self._command.channel[~again], answers.reply[~again])]
        return [(self._command.channel, answers.reply)]

    def results(self, answers: Any) -> list[tuple[Request, Any]]:
        """The result of each request; an error of ours is told to those whom it concerns, and to nobody else."""
        try:
            if self.kind is None:
                return [(self.requests[0], answers)]
            rows = [request.content for request in self.requests]
            return list(zip(self.requests, self.kind.results(rows, answers), strict=True))
        except Exception as error:
            return [(request, error) for request in self.requests]


def gather(requests: list[Request]) -> list[Group]:
    """Rows of one kind become one command, in the place of the first of them."""
    groups: list[Group] = []
    of_kind: dict[Any, Group] = {}
    for request in requests:
        if request.kind is None:
            groups.append(Group(None, [request]))
        elif request.kind in of_kind:
            of_kind[request.kind].requests.append(request)
        else:
            of_kind[request.kind] = Group(request.kind, [request])
            groups.append(of_kind[request.kind])
    return groups


_LOOK = object()


def _looked(request: Request, engine: Engine) -> Any:
    try:
        return request.content(engine)
    except Exception as error:
        return error


def _resolve(results: Sequence[tuple[Request, Any]]) -> None:
    for request, result in results:
        if request.future.done():
            continue
        if isinstance(result, BaseException):
            request.future.set_exception(result)
        else:
            request.future.set_result(result)


def too_late() -> Rejection:
    """The answer to who has given up already."""
    return Rejection(
        grpc.StatusCode.DEADLINE_EXCEEDED,
        "DEADLINE_EXCEEDED",
        "the deadline passed before the work was begun: nothing was done",
    )  # fmt: skip


def _no_room(error: EngineError | JournalFull) -> Rejection:
    if isinstance(error, JournalFull):
        return busy(f"the disk is full: {error}; nothing was changed", "DISK_FULL", DISK_RETRY_MS)
    return Rejection(grpc.StatusCode.RESOURCE_EXHAUSTED, "LIMIT_REACHED", str(error))


def _engine_failed() -> Rejection:
    return Rejection(
        grpc.StatusCode.UNAVAILABLE, "ENGINE_FAILED",
        "the engine has ended; whether this was taken is known after the next start: send it again with the same key",
        retry_after_ms=1000,
    )  # fmt: skip
