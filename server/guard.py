"""What stands before every service: who calls, whether he may, how it ended. Then the service's own method is called.

Each method of a servicer is wrapped once, when it is registered: interceptors of gRPC would cost more on every call.
A Rejection becomes a status; any other exception is a fault of ours: logged here, and INTERNAL to the caller.
"""

import asyncio
import inspect
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, NoReturn

import grpc
from google.protobuf import descriptor_pool
from structlog.typing import FilteringBoundLogger

from server.errors import Rejection, busy
from server.metrics import Calls, Metrics
from server.security import ACCESS, Access, Caller, Security, check_channels, keep_own, set_caller
from server.streams import draining, until

STREAMS_RETRY_MS = 1000
LAST_WORD_SECONDS = 0.25  # of a stream, when the server is about to stop
_now = time.perf_counter


CheckOwner = Callable[[Any, str, Any], Awaitable[None]]  # request, customer, context. Raises Rejection


async def _nobody_owns(request: Any, customer: str, context: Any) -> None:
    raise busy("the engine is not open yet", "NOT_READY", STREAMS_RETRY_MS)


class Guard:
    """Wraps servicers, and keeps the number of open streams of all of them within a limit."""

    def __init__(
        self, security: Security, metrics: Metrics, log: FilteringBoundLogger, streams_max: int,
        draining: asyncio.Event | None = None,
    ) -> None:  # fmt: skip
        """draining: ends the streams that only tell, when it is set. Those that are asked end by themselves."""
        self._security = security
        self._metrics = metrics
        self._log = log
        self._streams_max = streams_max
        self._draining = draining
        self._streams = 0
        metrics.streams_open.set_function(lambda: self._streams)
        self.check_owner: CheckOwner = _nobody_owns

    def guarded(self, servicer: Any, service: str) -> Any:
        """What to register instead of a servicer: an object with the guarded methods of a service.

        service: its full name, as allot.v1.OrderService. Every method of it must be in the table of who may call what.
        """
        found = descriptor_pool.Default().FindServiceByName(service)
        return _Guarded({rpc.name: self._wrap(servicer, service, rpc) for rpc in found.methods})

    def _wrap(self, servicer: Any, service: str, rpc: Any) -> Callable[..., Any]:
        method, name = getattr(servicer, rpc.name), f"{service}/{rpc.name}"
        access, calls = ACCESS[name], self._metrics.calls_of(name)
        if inspect.isasyncgenfunction(method):
            return self._generator(method, name, access, calls, rpc.client_streaming)
        if not inspect.iscoroutinefunction(method):
            if not inspect.getmodule(method).__name__.endswith("_pb2_grpc"):  # type: ignore[union-attr]
                raise TypeError(f"{name}: answers of this server are coroutines or asynchronous generators")
            method = _unimplemented
        if rpc.server_streaming or rpc.client_streaming:
            return self._writer(method, name, access, calls, rpc.client_streaming)
        return self._unary(method, name, access, calls)

    def _unary(self, method: Callable[..., Any], name: str, access: Access, calls: Calls) -> Callable[..., Any]:
        """A coroutine that gives one answer."""
        done, admit, fail = calls.done, self._admit, self._fail
        asks_for_tokens = self._security.asks_for_tokens

        async def call(request: Any, context: Any) -> Any:
            began = _now()
            try:
                if asks_for_tokens:
                    caller = admit(access, context)
                    if caller.channel or caller.customer:
                        check_channels(access, caller, request)
                        if caller.customer:
                            await self.check_owner(request, caller.customer, context)
                        answer = await method(request, context)
                        keep_own(access, caller, answer)
                    else:
                        answer = await method(request, context)
                else:
                    answer = await method(request, context)
            except BaseException as error:
                await fail(error, context, name, calls)
            done(_now() - began)
            return answer

        return call

    def _generator(
        self, method: Callable[..., Any], name: str, access: Access, calls: Calls, reads_stream: bool
    ) -> Callable[..., Any]:
        """An asynchronous generator of answers, to one request or to a stream of them."""

        async def stream(requests: Any, context: Any) -> AsyncIterator[Any]:
            opened = False
            try:
                caller = self._admit(access, context)
                self._open_stream()
                opened = True
                if caller.channel:
                    requests = _checked(access, caller, requests, reads_stream)
                answers = method(requests, context)
                if self._draining is not None and not reads_stream:
                    answers = until(self._draining, answers)
                try:
                    async for answer in answers:
                        yield answer
                finally:
                    await answers.aclose()
            except BaseException as error:
                await self._fail(error, context, name, calls)
            finally:
                self._streams -= opened
            calls.ended()

        return stream

    def _writer(
        self, method: Callable[..., Any], name: str, access: Access, calls: Calls, reads_stream: bool
    ) -> Callable[..., Any]:
        """A coroutine that writes its answers by `context.write`, or that gives one to a stream of requests."""

        async def stream(requests: Any, context: Any) -> Any:
            opened = False
            try:
                caller = self._admit(access, context)
                self._open_stream()
                opened = True
                if caller.channel:
                    requests = _checked(access, caller, requests, reads_stream)
                answer = await self._until_drained(method(requests, context))
            except BaseException as error:
                await self._fail(error, context, name, calls)
            finally:
                self._streams -= opened
            calls.ended()
            return answer

        return stream

    async def _until_drained(self, work: Any) -> Any:
        """What a stream comes to. When the server is about to stop it is ended, after a moment in which a watch of
        health may still say so: else a watch that never ends would hold up the stop."""
        if self._draining is None:
            return await work
        task, ending = asyncio.ensure_future(work), asyncio.ensure_future(self._draining.wait())
        try:
            await asyncio.wait((task, ending), return_when=asyncio.FIRST_COMPLETED)
            if not task.done():
                await asyncio.wait((task,), timeout=LAST_WORD_SECONDS)
            if not task.done():
                raise draining()
            return await task
        finally:
            ending.cancel()
            task.cancel()
            await asyncio.wait((task,))

    def _admit(self, access: Access, context: Any) -> Caller:
        caller = self._security.admit(access, context.invocation_metadata())
        set_caller(caller)  # each call is a task of its own, with variables of its own
        return caller

    def _open_stream(self) -> None:
        if self._streams >= self._streams_max:
            raise busy(
                f"{self._streams_max} streams are open (streams_max): close one, or try again", "STREAMS_FULL",
                STREAMS_RETRY_MS,
            )  # fmt: skip
        self._streams += 1

    async def _fail(self, error: BaseException, context: Any, name: str, calls: Calls) -> NoReturn:
        """Ends a call that was not answered: counted, and told to the caller."""
        if isinstance(error, asyncio.CancelledError | GeneratorExit):  # the caller went away, or the server stops
            calls.failed_with("CANCELLED")
            raise error
        if isinstance(error, grpc.aio.AbortError):  # a library's servicer has told the caller already
            calls.failed_with(_code_of(context))
            raise error
        if not isinstance(error, Exception):
            raise error
        if isinstance(error, Rejection):
            rejection = error
        else:
            self._log.error("call failed", method=name, exc_info=error)
            rejection = Rejection(
                grpc.StatusCode.INTERNAL, "INTERNAL", "a fault of the server, which its log tells of: tell its operator"
            )
        calls.failed_with(rejection.code.name)
        self._metrics.rejected(rejection.reason)
        try:
            await context.abort_with_status(rejection.status())
        finally:
            if (
                rejection.reason == "DRAINING"
            ):  # where it closes while the caller still sends, the last answers are lost
                await asyncio.sleep(LAST_WORD_SECONDS)
        raise error  # never reached: aborting raises


class _Guarded:
    """What a generated `add_...Servicer_to_server` takes: the methods, by name."""

    def __init__(self, methods: dict[str, Callable[..., Any]]) -> None:
        self.__dict__.update(methods)


async def _unimplemented(_: Any, __: Any) -> NoReturn:
    raise Rejection(grpc.StatusCode.UNIMPLEMENTED, "UNIMPLEMENTED", "this server does not answer this call")


def _checked(access: Access, caller: Caller, requests: Any, reads_stream: bool) -> Any:
    """The request, or the stream of them, of a bound token: one about another channel raises a Rejection."""
    if not reads_stream:
        check_channels(access, caller, requests)
        return requests

    async def each() -> AsyncIterator[Any]:
        async for request in requests:
            check_channels(access, caller, request)
            yield request

    return each()


def _code_of(context: Any) -> str:
    code = context.code()
    if isinstance(code, grpc.StatusCode):
        return code.name
    return next((known.name for known in grpc.StatusCode if known.value[0] == code), "UNKNOWN")
