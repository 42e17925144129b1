"""The only place that puts the parts together: settings in, a running service out, and its end.

listen -> open the engine (replay, compile) -> add the services -> SERVING -> a signal -> drain -> close
"""

import asyncio
import gc
import math
import os
import signal
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection, reflection_pb2_grpc

from allot.v1 import (
    availability_pb2_grpc,
    catalogue_pb2_grpc,
    events_pb2_grpc,
    orders_pb2_grpc,
    payments_pb2_grpc,
    promises_pb2_grpc,
    reservations_pb2_grpc,
    returns_pb2_grpc,
    shipments_pb2_grpc,
    stock_pb2_grpc,
)
from server.config import Settings, SettingsError, parse_address
from server.guard import Guard
from server.health import Health
from server.log import open_log
from server.metrics import Metrics
from server.offload import step_back
from server.router import Router
from server.security import Security, server_credentials
from server.upkeep import tidy_daily

SERVICES = tuple(
    f"allot.v1.{name}"
    for name in (
        "OrderService", "ReservationService", "PromiseService", "CatalogueService", "StockService",
        "AvailabilityService", "EventService", "PaymentService", "ShipmentService", "ReturnService",
    )
)  # fmt: skip
SWITCH_SECONDS = 0.0005  # how long a thread may hold the interpreter while another waits: one order must not wait 5 ms
DECODING_THREADS = max(1, (os.cpu_count() or 1) // 2)  # more of them quarrel with the writer over the interpreter
GARBAGE_OBJECTS = 10_000  # made, and not freed by themselves, between two looks for garbage
SURGE_PER_SECOND = 30_000  # orders by Arrow batches, or a thousand single requests: more than the views can follow
CALM_SECONDS = 0.5  # without one: it is over
METER_SECONDS = 0.1  # over which orders are counted, at least
FIGURES_SURGE_PER_SECOND = 100_000  # the same for what watchers are told, which costs less,
FIGURES_METER_SECONDS = 0.5  # and where batches that were held up for a moment are no surge


class Service:
    """One running service."""

    def __init__(self, settings: Settings) -> None:
        """SettingsError where the settings would expose it, or files that they name will not do."""
        self.settings = settings
        self.address = ""
        self.failure: BaseException | None = None
        self.log = open_log(settings.log_level, settings.log_format, everywhere=True)
        self.metrics = Metrics()
        security = Security.of(settings, lambda text: self.log.warning(text))
        self._credentials = server_credentials(settings)
        self._draining = asyncio.Event()
        self._guard = Guard(security, self.metrics, self.log, settings.streams_max, self._draining)
        self._router = Router(SERVICES)
        self._health = Health()
        self._decoding = ThreadPoolExecutor(DECODING_THREADS, "allot-decode", step_back)
        self._parts: Parts | None = None

    async def run(self, announce: Callable[[str], None]) -> int:
        """Serve until a signal; the exit code. announce: told the address when listening, and again when serving."""
        server = self._server()
        await self._tell(serving=False)
        await server.start()
        announce(f"listening on {self.address}")
        end_metrics = self.metrics.serve(self.settings.metrics_listen) if self.settings.metrics_listen else None
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._draining.set)
        try:
            self._parts = await self._opened()
            await self._tell(serving=True)
            announce(f"serving on {self.address}")
            upkeep = asyncio.create_task(tidy_daily(self._parts.batcher, self.settings.upkeep_hour, self.log))
            await self._draining.wait()
            upkeep.cancel()
        finally:
            await self._close(server)
            if end_metrics is not None:
                end_metrics()
        return 1 if self.failure else 0

    async def _close(self, server: Any) -> None:
        """Say so, let calls end, carry out what waits, let go of the folder."""
        self._draining.set()
        await self._tell(serving=False)
        self.log.info("draining", seconds_max=self.settings.drain_seconds_max)
        await server.stop(0 if self.failure else self.settings.drain_seconds_max)
        if self._parts is not None:
            await asyncio.to_thread(self._parts.close)
        self._decoding.shutdown()
        self.log.info("stopped")

    def _server(self) -> Any:
        settings = self.settings
        server = grpc.aio.server(options=channel_options(settings))
        health_pb2_grpc.add_HealthServicer_to_server(
            self._guard.guarded(self._health, "grpc.health.v1.Health"), self._router
        )
        if settings.reflection:
            names = (*SERVICES, "grpc.health.v1.Health", reflection.SERVICE_NAME)
            reflection_pb2_grpc.add_ServerReflectionServicer_to_server(
                self._guard.guarded(reflection.aio.ReflectionServicer(names), reflection.SERVICE_NAME), self._router
            )
        server.add_generic_rpc_handlers((self._router,))
        address = parse_address(settings.listen)
        try:
            if self._credentials is None:
                port = server.add_insecure_port(str(address))
            else:
                port = server.add_secure_port(str(address), self._credentials)
        except RuntimeError as error:
            raise SettingsError(
                f"listen = {settings.listen!r} ({settings.origin('listen')}): it cannot be listened on: is another "
                "server there? Name another port, or 0 for any"
            ) from error
        self.address = str(address) if address.is_unix else str(address._replace(port=port))
        return server

    async def _tell(self, serving: bool) -> None:
        status = health_pb2.HealthCheckResponse.SERVING if serving else health_pb2.HealthCheckResponse.NOT_SERVING
        for name in ("", *SERVICES):
            await self._health.set(name, status)

    async def _opened(self) -> "Parts":
        """The open engine. A signal meanwhile ends the process at once: nobody has been answered, and a replay that is
        cut short, as a compile, has changed nothing.
        """
        opening, ending = asyncio.ensure_future(self._open()), asyncio.ensure_future(self._draining.wait())
        await asyncio.wait((opening, ending), return_when=asyncio.FIRST_COMPLETED)
        if not opening.done():
            self.log.info("stopped before it was ready")
            os._exit(0)
        ending.cancel()
        return await opening

    async def _open(self) -> "Parts":
        began = time.monotonic()
        parts = await asyncio.to_thread(open_parts, self)
        parts.batcher.start(self._failed, parts.hear)
        for module, service in parts.services:
            name = type(service).__name__
            add = getattr(module, f"add_{name}Servicer_to_server")
            add(self._guard.guarded(service, f"allot.v1.{name}"), self._router)
        for process in parts.beside:
            process.start()
        gc.collect()
        gc.freeze()  # what is there now stays: looking through it again and again took a tenth of each commit
        gc.set_threshold(GARBAGE_OBJECTS, 10, 50)
        self._router.ready()
        self.log.info(
            "ready", address=self.address, data=str(self.settings.data), sequence=parts.engine.state.sequence,
            seconds=round(time.monotonic() - began, 2),
        )  # fmt: skip
        return parts

    def _failed(self, error: BaseException) -> None:
        self.log.critical("the engine has failed, the server ends", error=str(error))
        self.failure = error
        self._draining.set()

    @property
    def decoding(self) -> ThreadPoolExecutor:
        """Where Arrow batches are read."""
        return self._decoding

    @property
    def guard(self) -> Guard:
        """What stands before every service."""
        return self._guard

    @property
    def draining(self) -> asyncio.Event:
        """Set when streams are to end."""
        return self._draining


@dataclass
class Parts:
    """What stands behind the services once the engine is open."""

    engine: Any
    batcher: Any
    beside: list[Any]  # processes of views and snapshots, and of the relay; threads for prices and memory
    services: list[tuple[Any, Any]]  # the generated module that adds it, the servicer
    hear: Callable[[Any], None]  # told of each turn
    close_events: Callable[[], None]

    def close(self) -> None:
        """Carry out what waits, then let go of the folder."""
        self.close_events()
        self.batcher.stop()
        for process in self.beside:
            process.stop()
        self.engine.close()


def open_parts(service: Service) -> Parts:
    """Compile, replay, build. Takes its time; not for the event loop."""
    from engine.views import FILE as VIEWS
    from server.background import Background
    from server.batcher import Batcher
    from server.batches import OrderBatches
    from server.events import EventLog
    from server.feed import Feed
    from server.life import LifeMessages
    from server.lookup import Lookup
    from server.memory import MemoryLimit
    from server.naming import Naming
    from server.promising import CartBatches, Promising
    from server.reading import OrderReading
    from server.services.availability import AvailabilityService
    from server.services.catalogue import CatalogueService
    from server.services.events import EventService
    from server.services.life import LifeDesk
    from server.services.orders import OrderDesk, OrderService
    from server.services.payments import PaymentService
    from server.services.promises import PromiseService
    from server.services.reservations import ReservationService
    from server.services.returns import ReturnService
    from server.services.shipments import ShipmentService
    from server.services.stock import StockService

    settings, metrics = service.settings, service.metrics
    assert settings.data is not None
    engine, card = open_engine(service)
    feed, events = Feed(engine), EventLog(engine)
    memory = MemoryLimit(settings.memory_bytes_max, ahead=lambda: engine.memory_ahead)
    batcher = Batcher(engine, settings.queue_requests_max, settings.queue_batches_max, memory=memory.refusal)
    lookup = Lookup(engine.state)
    naming = Naming(batcher, lambda: places_of(settings))
    reading = OrderReading(batcher, lookup, settings.data / VIEWS if settings.views else None)
    desk = OrderDesk(batcher, lookup, naming, reading)
    service.guard.check_owner = reading.check_owner
    messages = LifeMessages(lookup, engine.state.names, engine.state.secret.tobytes())
    life = LifeDesk(desk, messages, service.decoding, metrics, service.draining)
    batches = OrderBatches(engine.state.names, settings.batch_orders_max, settings.batch_lines_max)
    carts = CartBatches(engine.state.names, settings.batch_orders_max, settings.batch_lines_max)
    promising = Promising(batcher, card, service.decoding)
    event_service = EventService(events)
    busy = surge_meter(batcher, FIGURES_SURGE_PER_SECOND, FIGURES_METER_SECONDS)
    services = [
        (orders_pb2_grpc, OrderService(desk, batches, service.decoding, metrics, service.draining)),
        (reservations_pb2_grpc, ReservationService(desk)),
        (promises_pb2_grpc, PromiseService(desk, promising, carts, service.decoding, metrics, service.draining)),
        (catalogue_pb2_grpc, CatalogueService(batcher, naming)),
        (stock_pb2_grpc, StockService(batcher)),
        (availability_pb2_grpc, AvailabilityService(feed, engine.state.names, busy, reading.sales)),
        (events_pb2_grpc, event_service),
        (payments_pb2_grpc, PaymentService(life)),
        (shipments_pb2_grpc, ShipmentService(life)),
        (returns_pb2_grpc, ReturnService(life)),
    ]

    def hear(turn: Any) -> None:
        feed.apply(turn.changes, turn.sequence, int(time.time() * 1e6))
        metrics.ats_lag_seconds.set(time.perf_counter() - turn.durable_at)
        events.notify()
        count_turn(metrics, lookup, turn)

    beside = Background(
        settings.data, lambda: engine.durable_sequence, surge_meter(batcher, SURGE_PER_SECOND, METER_SECONDS),
        views=settings.views, snapshots=settings.snapshots, memory_ahead=lambda: engine.memory_ahead,
    )  # fmt: skip
    watch(metrics, batcher, beside)
    all_beside = [beside, *beside_on_demand(service, engine, memory)]
    return Parts(engine, batcher, all_beside, services, hear, event_service.close)


def surge_meter(batcher: Any, per_second: int, seconds: float) -> Callable[[], bool]:
    """Asks whether so much is decided a second that what can wait is to wait."""
    return SurgeMeter(lambda: batcher.work, per_second, seconds).in_surge


def beside_on_demand(service: Service, engine: Any, memory: Any) -> list[Any]:
    """The relay, the keeper of prices and the taker of memory ahead, where the settings ask for them."""
    from server.kept_process import KeptProcess
    from server.memory import MemoryAhead

    settings, found = service.settings, list[Any]()
    if settings.redis:
        found.append(KeptProcess("relay", relay_command(service)))
    if settings.rate_card is not None:
        from engine.intake.rate_card import RateCard
        from engine.prices import Pricing  # its kernels are for those who ask for them: a start waits for each
        from server.prices import PriceKeeper

        pricing = Pricing(engine.state, RateCard.read(settings.rate_card), settings.stock_lasts_days)
        found.append(PriceKeeper(pricing))
    if settings.memory_ahead_bytes:
        found.append(MemoryAhead(engine.room_ahead(), settings.memory_ahead_bytes, memory))
    return found


def open_engine(service: Service) -> tuple[Any, Any]:
    """The engine over its folder, and the service card, or None; nothing is kept open where they do not fit."""
    from engine.writer import Engine
    from server.data_folder import make_folder

    settings = service.settings
    assert settings.data is not None
    card = read_service_card(settings)
    make_folder(settings.data)
    engine = Engine.open(settings.data)
    if (torn := getattr(engine.journal, "cut_off", None)) is not None:
        service.log.warning("a torn write was cut off; nobody had been answered", sequence=torn.sequence)
    try:
        check_service_card(card, settings, engine.state)
    except BaseException:
        engine.close()
        raise
    return engine, card


def relay_command(service: Service) -> list[str]:
    """How the relay is run beside a server that anybody on this machine may call."""
    settings = service.settings
    command = [sys.executable, "-m", "server.cli.main", "relay", "--with-parent", f"--server={service.address}"]
    command += [f"--redis={settings.redis}", f"--prefix={settings.redis_prefix}"]
    command += [f"--budget={settings.redis_budgets}"]
    command += [f"--log-level={settings.log_level}", f"--log-format={settings.log_format}"]
    if settings.redis_password_file is not None:
        command.append(f"--password-file={settings.redis_password_file}")
    return command


class SurgeMeter:
    """Whether a surge is on: what can wait then leaves the cores to the orders. Views that follow a surge of batches
    would take a third of its speed (`python -m benchmarks --only P1` shows their lag)."""

    def __init__(self, work: Callable[[], int], per_second: int, seconds_min: float) -> None:
        """work: that has come so far, as the batcher counts it. per_second: more is a surge. seconds_min: over which
        it is counted.
        """
        self._work, self._per_second, self._seconds_min = work, per_second, seconds_min
        self._seen, self._seen_at = work(), time.monotonic()
        self._surge_at = -math.inf

    def in_surge(self) -> bool:
        """How it stands. For one thread, which asks all the time."""
        now = time.monotonic()
        if (seconds := now - self._seen_at) >= self._seconds_min:
            work = self._work()
            if work - self._seen > self._per_second * seconds:
                self._surge_at = now
            self._seen, self._seen_at = work, now
        return now - self._surge_at < CALM_SECONDS


def watch(metrics: Metrics, batcher: Any, beside: Any) -> None:
    """Figures that are read when somebody asks for them."""
    metrics.view_sequence.set_function(lambda: beside.view_sequence)
    metrics.view_lag_commits.set_function(lambda: batcher.engine.durable_sequence - beside.view_sequence)
    journal = batcher.engine.journal
    metrics.journal_bytes.set_function(lambda: sum(segment.size_bytes for segment in journal.segments()))
    metrics.snapshot_sequence.set_function(lambda: beside.snapshot_sequence)
    metrics.queue_requests.set_function(lambda: batcher.requests_waiting)
    metrics.queue_batches.set_function(lambda: batcher.batches_waiting)
    metrics.memory_ahead_bytes.set_function(lambda: batcher.engine.memory_ahead)
    metrics.durable_sequence.set_function(lambda: batcher.engine.durable_sequence)


def count_turn(metrics: Metrics, lookup: Any, turn: Any) -> None:
    """Take a durable commit into the metrics."""
    from engine.outcomes import Namespace
    from kernels.columns import Outcome

    if turn.orders:
        metrics.committed(turn.orders, turn.seconds)
        for channel, reply in turn.decisions:
            is_decision = reply <= Outcome.REFUSED
            names = lookup.texts(Namespace.CHANNEL).__getitem__
            metrics.decided(channel[is_decision], reply[is_decision], names)


def channel_options(settings: Settings) -> list[tuple[str, int]]:
    """Limits of connections, as gRPC's core names them."""
    return [
        ("grpc.max_receive_message_length", settings.message_bytes_max),
        ("grpc.max_send_message_length", -1),
        ("grpc.max_concurrent_streams", settings.connection_streams_max),
        ("grpc.keepalive_time_ms", int(settings.keepalive_seconds * 1000)),
        ("grpc.keepalive_timeout_ms", int(settings.keepalive_timeout_seconds * 1000)),
        ("grpc.http2.min_ping_interval_without_data_ms", int(settings.ping_seconds_min * 1000)),
        ("grpc.so_reuseport", 0),  # a second server on the same address is an error, not a coin toss
    ]


def places_of(settings: Settings) -> Any:
    """The table of postal codes, or None."""
    from engine.intake.postal_codes import Places

    if settings.postal_codes == "none":
        return None
    return Places.india() if settings.postal_codes == "india" else Places.read(settings.postal_codes)


def read_service_card(settings: Settings) -> Any:
    """The card, or None. Raises IntakeError."""
    if settings.service_card is None:
        return None
    from engine.rates.card import ServiceCard

    return ServiceCard.read(settings.service_card)


def check_service_card(card: Any, settings: Settings, state: Any) -> None:
    """Raise IntakeError where the card leaves out a node, or a postal code of the table or of the engine. An engine
    without nodes is new: its nodes are compared when they are there.
    """
    if card is None or not state.node_count:
        return
    import numpy as np

    from engine.outcomes import Namespace
    from engine.rates.tariff import Tariff

    nodes, codes = state.names[Namespace.NODE], state.names[Namespace.POSTAL_CODE]
    tariff = Tariff(card, nodes.texts(np.arange(len(nodes), dtype=np.int32)).to_pylist())
    tariff.check_codes(codes.texts(np.arange(len(codes), dtype=np.int32)))
    if (places := places_of(settings)) is not None:
        tariff.check_codes(places.codes)


def serve(settings: Settings, announce: Callable[[str], None]) -> int:
    """Serve in this thread until a signal; the exit code."""
    import uvloop

    sys.setswitchinterval(SWITCH_SECONDS)

    async def main() -> int:
        return await Service(settings).run(announce)

    return uvloop.run(main())
