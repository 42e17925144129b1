"""Streams of the blocking client that outlive a broken connection.

`answered` sends requests with a window and pairs each with its answer; what was not answered when the stream broke is
sent again. `resumed` opens a stream of the server's again from where it was.
"""

import threading
import time
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from typing import Any, Generic, TypeVar

import grpc

from allot_client.errors import AllotError, Unavailable, error_of
from allot_client.patience import Patience

Q = TypeVar("Q")
A = TypeVar("A")


def ended_early() -> AllotError:
    """The server closed a stream that was not done."""
    return Unavailable(grpc.StatusCode.UNAVAILABLE, "the server ended the stream")


class _Window(Generic[Q]):
    """Requests that are not answered yet, in order. A thread fills it from the caller's iterable as there is room."""

    def __init__(self, requests: Iterable[Q], most: int) -> None:
        self._requests = requests
        self._most = most
        self._changed = threading.Condition()
        self._unanswered: deque[Q] = deque()
        self._sent = 0  # of the unanswered, by this attempt
        self._attempt = 0
        self._complete = False  # the caller's iterable is at its end
        self._closed = False
        self.failure: BaseException | None = None  # what the caller's iterable raised
        threading.Thread(target=self._fill, name="allot-requests", daemon=True).start()

    def _fill(self) -> None:
        try:
            for request in self._requests:
                with self._changed:
                    self._changed.wait_for(lambda: self._closed or len(self._unanswered) < self._most)
                    if self._closed:
                        return
                    self._unanswered.append(request)
                    self._changed.notify_all()
        except BaseException as failure:
            self.failure = failure
        finally:
            with self._changed:
                self._complete = True
                self._changed.notify_all()

    def attempt(self) -> Iterator[Q]:
        """The requests of a new stream: first those that an earlier one left unanswered. Ends any earlier one."""
        with self._changed:
            self._attempt += 1
            self._sent = 0
            self._changed.notify_all()
            return self._send(self._attempt)

    def _send(self, attempt: int) -> Iterator[Q]:
        while True:
            with self._changed:
                self._changed.wait_for(
                    lambda: self._attempt != attempt or self._sent < len(self._unanswered) or self._complete
                )
                if self._attempt != attempt or self._sent >= len(self._unanswered):
                    return
                request = self._unanswered[self._sent]
                self._sent += 1
            yield request

    def take(self) -> Q:
        """The request that an answer belongs to."""
        with self._changed:
            if self._sent == 0:
                raise AllotError(grpc.StatusCode.INTERNAL, "the server answered more than it was asked")
            self._sent -= 1
            self._changed.notify_all()
            return self._unanswered.popleft()

    def is_done(self) -> bool:
        """Waits while nothing is under way and it is not known whether more comes."""
        with self._changed:
            self._changed.wait_for(lambda: self._complete or len(self._unanswered) > 0)
            return self._complete and not self._unanswered

    def close(self) -> None:
        with self._changed:
            self._closed = True
            self._attempt += 1
            self._changed.notify_all()


def answered(
    open_stream: Callable[[Iterator[Q]], Any], requests: Iterable[Q], most: int, patience: Patience
) -> Generator[tuple[Q, Any], None, None]:
    """Each request with its answer, in order, at most `most` of them under way. Raises AllotError, and what the
    requests raise, once what came before is answered."""
    if most < 1:
        raise ValueError(f"window: {most}: give 1 or more")
    window = _Window(requests, most)
    try:
        while not window.is_done():
            stream = open_stream(window.attempt())
            try:
                for answer in stream:
                    request = window.take()
                    patience.answered()
                    yield request, answer
                if window.is_done():
                    break
                failure = ended_early()
            except grpc.RpcError as error:
                failure = error_of(error)
            finally:
                stream.cancel()
            time.sleep(patience.pause(failure))
    finally:
        window.close()
    if window.failure is not None:
        raise window.failure


def resumed(open_stream: Callable[[], Any], once: bool, patience: Patience) -> Generator[Any, None, None]:
    """The answers of a stream that is opened again where it broke: `open_stream` knows where to go on.

    once: the server ends the stream when all is told; else its end is a break.
    """
    while True:
        stream = open_stream()
        try:
            for answer in stream:
                patience.answered()
                yield answer
            if once:
                return
            failure = ended_early()
        except grpc.RpcError as error:
            failure = error_of(error)
        finally:
            stream.cancel()
        time.sleep(patience.pause(failure))
