"""The only place that puts the parts together: settings in, a running service out, and its end.

    listen -> open the engine (replay, compile) -> add the services -> SERVING -> a signal -> drain -> close
"""

import asyncio
import secrets
import signal
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import grpc
import structlog
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection

from allot.v1 import (
    availability_pb2_grpc,
    catalogue_pb2_grpc,
    events_pb2_grpc,
    orders_pb2_grpc,
    reservations_pb2_grpc,
    stock_pb2_grpc,
)
from server.config import Settings, parse_address
from server.router import Router

SERVICES = tuple(
    f"allot.v1.{name}"
    for name in (
        "OrderService", "ReservationService", "CatalogueService", "StockService", "AvailabilityService", "EventService",
    )
)  # fmt: skip
SWITCH_SECONDS = 0.0005  # how long a thread may hold the interpreter while another waits: one order must not wait 5 ms
_log = structlog.get_logger("serve")


class Service:
    """One running service."""

    def __init__(self, settings: Settings) -> None:
        assert settings.data is not None, "`allot serve` asks for a data folder"
        self.settings = settings
        self.data: Path = settings.data
        self.address = ""
        self.failure: BaseException | None = None
        self._router = Router(SERVICES)
        self._health = health.aio.HealthServicer()
        self._decoding = ThreadPoolExecutor(2, "allot-decode")
        self._end = asyncio.Event()
        self._parts: Parts | None = None

    async def run(self, announce: Callable[[str], None]) -> int:
        """Serve until a signal; the exit code. announce: told the address when listening, and again when serving."""
        server = self._server()
        await self._tell(serving=False)
        await server.start()
        announce(f"listening on {self.address}")
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._end.set)
        try:
            self._parts = await self._open()
            if not self._end.is_set():
                await self._tell(serving=True)
                announce(f"serving on {self.address}")
                await self._end.wait()
        finally:
            await self._tell(serving=False)
            await server.stop(0 if self.failure else self.settings.drain_seconds_max)
            if self._parts is not None:
                await asyncio.to_thread(self._parts.close)
            self._decoding.shutdown()
        return 1 if self.failure else 0

    def _server(self) -> Any:
        options = (
            ("grpc.max_receive_message_length", self.settings.message_bytes_max),
            ("grpc.max_send_message_length", -1),
            ("grpc.so_reuseport", 0),  # a second server on the same address is an error, not a coin toss
        )
        server = grpc.aio.server(options=options)
        health_pb2_grpc.add_HealthServicer_to_server(self._health, self._router)
        names = (*SERVICES, health_pb2.DESCRIPTOR.services_by_name["Health"].full_name, reflection.SERVICE_NAME)
        reflection.enable_server_reflection(names, self._router)
        server.add_generic_rpc_handlers((self._router,))
        address = parse_address(self.settings.listen)
        port = server.add_insecure_port(str(address))
        self.address = str(address._replace(port=port)) if not address.is_unix else str(address)
        return server

    async def _tell(self, serving: bool) -> None:
        status = health_pb2.HealthCheckResponse.SERVING if serving else health_pb2.HealthCheckResponse.NOT_SERVING
        for name in ("", *SERVICES):
            await self._health.set(name, status)

    async def _open(self) -> "Parts":
        parts = await asyncio.to_thread(open_parts, self.settings, self._decoding)
        parts.batcher.start(self._failed)
        for add, service in parts.services:
            add(service, self._router)
        self._router.ready()
        return parts

    def _failed(self, error: BaseException) -> None:
        _log.critical("the engine has failed", error=str(error))
        self.failure = error
        self._end.set()


class Parts:
    """What stands behind the services once the engine is open."""

    def __init__(self, engine: Any, batcher: Any, services: list[tuple[Any, Any]]) -> None:
        self.engine = engine
        self.batcher = batcher
        self.services = services

    def close(self) -> None:
        """Carry out what waits, then let go of the folder."""
        self.batcher.stop()
        self.engine.close()


def open_parts(settings: Settings, decoding: ThreadPoolExecutor) -> Parts:
    """Replay, compile, build. Takes its time; not for the event loop."""
    from engine.writer import Engine
    from server.batcher import Batcher
    from server.batches import OrderBatches
    from server.data_folder import make_folder
    from server.lookup import Lookup
    from server.naming import Naming
    from server.services.orders import OrderDesk, OrderService
    from server.services.reservations import ReservationService

    assert settings.data is not None
    make_folder(settings.data)
    engine = Engine.open(settings.data)
    batcher = Batcher(engine, settings.queue_requests_max, settings.queue_batches_max)
    desk = OrderDesk(batcher, Lookup(engine.state), Naming(batcher, lambda: places_of(settings)))
    batches = OrderBatches(engine.state.names, settings.batch_orders_max, settings.batch_lines_max)
    return Parts(engine, batcher, [
        (orders_pb2_grpc.add_OrderServiceServicer_to_server, OrderService(desk, batches, decoding)),
        (reservations_pb2_grpc.add_ReservationServiceServicer_to_server, ReservationService(desk)),
    ])  # fmt: skip


def places_of(settings: Settings) -> Any:
    """The table of postal codes, or None."""
    from engine.intake.postal_codes import Places

    if settings.postal_codes == "none":
        return None
    return Places.india() if settings.postal_codes == "india" else Places.read(settings.postal_codes)


def serve(settings: Settings, announce: Callable[[str], None]) -> int:
    """Serve in this thread until a signal; the exit code."""
    import uvloop

    sys.setswitchinterval(float(__import__("os").environ.get("SW", SWITCH_SECONDS)))

    async def main() -> int:
        return await Service(settings).run(announce)

    return uvloop.run(main())
