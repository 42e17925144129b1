"""Which method of which service answers a call. The server listens before the engine is ready: until then every call of
allot is answered with UNAVAILABLE and the reason STARTING, while health tells how it stands.
"""

from collections.abc import Iterable
from typing import Any

import grpc

from server.errors import Rejection

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
        self._handlers: list[Any] = []
        self._to_come = tuple(f"/{service}/" for service in to_come)

    def add_generic_rpc_handlers(self, handlers: Iterable[Any]) -> None:
        """As grpc.Server."""
        self._handlers += handlers

    def add_registered_method_handlers(self, service: str, handlers: Any) -> None:
        """As grpc.Server; the generic ones are enough."""

    def ready(self) -> None:
        """Every service has been added."""
        self._to_come = ()

    def service(self, handler_call_details: Any) -> Any:
        """The handler of a call, or None."""
        for handler in self._handlers:
            if (found := handler.service(handler_call_details)) is not None:
                return found
        if handler_call_details.method.startswith(self._to_come) and self._to_come:
            return grpc.unary_unary_rpc_method_handler(_starting)
        return None


async def _starting(request: Any, context: Any) -> Any:
    await context.abort_with_status(_STARTING.status())
