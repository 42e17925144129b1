"""The bare echo that the service is measured beside: gRPC, and nothing behind it.

`python -m benchmarks.echo KIND ANSWER_BYTES` listens on a free port until it is ended. Unary calls get their request
back; a stream gets, for each message, its first bytes: so many as the service answers.
"""

import asyncio
import sys
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import grpc

KINDS = ("threads", "asyncio", "uvloop")
CALL, STREAM = "/echo.Echo/Call", "/echo.Echo/Stream"
THREADS = 16
_OPTIONS = [("grpc.so_reuseport", 0), ("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1)]


def main(kind: str, answer_bytes: int) -> None:
    """Echo until the end of the process."""
    if kind == "threads":
        _threads(answer_bytes)
    elif kind == "uvloop":
        import uvloop

        uvloop.run(_aio(answer_bytes))
    else:
        asyncio.run(_aio(answer_bytes))


def _threads(answer_bytes: int) -> None:
    def call(request: bytes, context: Any) -> bytes:
        return request

    def stream(requests: Iterator[bytes], context: Any) -> Iterator[bytes]:
        for request in requests:
            yield request[:answer_bytes]

    server = grpc.server(ThreadPoolExecutor(THREADS), options=_OPTIONS)
    _add(server, call, stream)
    server.start()
    server.wait_for_termination()


async def _aio(answer_bytes: int) -> None:
    async def call(request: bytes, context: Any) -> bytes:
        return request

    async def stream(requests: AsyncIterator[bytes], context: Any) -> AsyncIterator[bytes]:
        async for request in requests:
            yield request[:answer_bytes]

    server = grpc.aio.server(options=_OPTIONS)
    _add(server, call, stream)
    await server.start()
    await server.wait_for_termination()


def _add(server: Any, call: Any, stream: Any) -> None:
    methods = {
        "Call": grpc.unary_unary_rpc_method_handler(call),
        "Stream": grpc.stream_stream_rpc_method_handler(stream),
    }
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("echo.Echo", methods),))
    print(f"listening on 127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}", flush=True)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
