"""Which method of which service answers a call. The server listens before the engine is ready: until then every call of
allot is answered with UNAVAILABLE and the reason STARTING, while health tells how it stands. Bytes that are no message
of the call are refused as other values that will not do; gRPC would call them a fault of the server.
"""

from collections.abc import Iterable, Mapping
from typing import Any

import grpc
from google.protobuf.message import DecodeError

from server.errors import Rejection, invalid

STARTING_RETRY_MS = 500
_STARTING = Rejection(
    grpc.StatusCode.UNAVAILABLE, "STARTING", "the server replays its journal or compiles: ask again",
    retry_after_ms=STARTING_RETRY_MS,
)  # fmt: skip


class Router(grpc.GenericRpcHandler):
    """A generic handler that services may be added to while the server runs. Stands in for the server where generated
    code adds a service.
    """

    def __init__(self, to_come: Iterable[str]) -> None:
        """to_come: full names of the services that are added when the engine is ready."""
        self._methods: dict[str, Any] = {}
        self._to_come = tuple(f"/{service}/" for service in to_come)

    def add_registered_method_handlers(self, service: str, handlers: Mapping[str, Any]) -> None:
        """As grpc.Server."""
        self._methods |= {f"/{service}/{name}": _with_care(handler) for name, handler in handlers.items()}

    def add_generic_rpc_handlers(self, handlers: Iterable[Any]) -> None:
        """As grpc.Server; generated code gives the same methods as registered ones."""

    def ready(self) -> None:
        """Every service has been added."""
        self._to_come = ()

    def service(self, handler_call_details: Any) -> Any:
        """The handler of a call, or None."""
        method = handler_call_details.method
        found = self._methods.get(method)
        if found is None and self._to_come and method.startswith(self._to_come):
            return grpc.unary_unary_rpc_method_handler(_starting)
        return found


async def _starting(request: Any, context: Any) -> Any:
    await context.abort_with_status(_STARTING.status())


class _Unreadable:
    """Stands for the request of a call that is no message of its kind: who looks at it raises the Rejection."""

    def __getattr__(self, _: str) -> Any:
        raise _not_a_message()


def _not_a_message() -> Rejection:
    return invalid("", "the bytes are no message of this call: make them with the contract of this server",
                   "MALFORMED_MESSAGE")  # fmt: skip


def _with_care(handler: Any) -> Any:
    """A handler of a call as it is, but for bytes that it cannot read, and answers that are bytes already."""
    read, is_stream, write = handler.request_deserializer, handler.request_streaming, handler.response_serializer

    def deserialize(data: bytes) -> Any:
        try:
            return read(data)
        except DecodeError:
            if is_stream:  # raised where the service reads the next message
                raise _not_a_message() from None
            return _Unreadable()

    def serialize(answer: Any) -> bytes:
        return answer if type(answer) is bytes else write(answer)

    return handler._replace(request_deserializer=deserialize, response_serializer=serialize)
