# ruff: noqa: N802  (methods have the names of the contract)
"""A service that does as a test says, for tests of the client: fails so often, breaks streams there, keeps what it was
asked. It decides nothing: every order is allocated whole to the node N1.
"""

import threading
import time
from collections.abc import Callable, Iterator
from concurrent import futures
from contextlib import contextmanager
from typing import Any

import grpc
import pyarrow as pa

from allot.v1 import (
    availability_pb2,
    availability_pb2_grpc,
    catalogue_pb2,
    catalogue_pb2_grpc,
    events_pb2,
    events_pb2_grpc,
    orders_pb2,
    orders_pb2_grpc,
    reservations_pb2,
    reservations_pb2_grpc,
    stock_pb2,
    stock_pb2_grpc,
    types_pb2,
)
from server.errors import Rejection

ALLOCATED = types_pb2.OUTCOME_ALLOCATED
Failure = Rejection | Callable[[], None]


def gone() -> Rejection:
    return Rejection(grpc.StatusCode.UNAVAILABLE, "DRAINING", "the server is going away")


def decision(number: int = 1) -> types_pb2.Decision:
    part = types_pb2.Part(line=1, node_id="N1", stage=types_pb2.STAGE_ALLOCATED, quantity=1, distance_m=5)
    return types_pb2.Decision(outcome=ALLOCATED, number=number, parts=[part])


class FakeService(
    orders_pb2_grpc.OrderServiceServicer,
    reservations_pb2_grpc.ReservationServiceServicer,
    catalogue_pb2_grpc.CatalogueServiceServicer,
    stock_pb2_grpc.StockServiceServicer,
    availability_pb2_grpc.AvailabilityServiceServicer,
    events_pb2_grpc.EventServiceServicer,
):
    """`failures` are met one after another by single calls; `breaks` are numbers of answers after which the streams
    that come break, one after another; what comes after them is well."""

    def __init__(self) -> None:
        self.failures: list[Failure] = []
        self.breaks: list[int] = []
        self.break_with: Rejection | None = gone()  # None: the stream ends as if all were told
        self.asked: list[Any] = []  # requests of single calls, and the first of a stream of the server's
        self.metadata: list[dict[str, str]] = []
        self.seconds_left: list[float] = []
        self.streams: list[list[Any]] = []  # requests of each stream of the client's
        self.problems: dict[str, types_pb2.Problem] = {}  # by order id, or "batch"
        self.hold_answers = 0.0  # seconds of silence of the client's, before a stream answers
        self.cancelled = threading.Event()
        self.pages: list[Any] = []
        self.decision = decision()

    def _meet(self, request: Any, context: grpc.ServicerContext) -> None:
        self._note(request, context)
        if self.failures:
            failure = self.failures.pop(0)
            if isinstance(failure, Rejection):
                context.abort_with_status(failure.status())
            failure()

    def _note(self, request: Any, context: grpc.ServicerContext) -> None:
        self.asked.append(request)
        self.metadata.append(dict(context.invocation_metadata()))
        self.seconds_left.append(context.time_remaining())

    def PlaceOrder(self, request: Any, context: Any) -> Any:
        self._meet(request, context)
        return orders_pb2.PlaceOrderResponse(decision=self.decision)

    def CancelOrder(self, request: Any, context: Any) -> Any:
        self._meet(request, context)
        return orders_pb2.CancelOrderResponse(quantity=2)

    def ListOrders(self, request: Any, context: Any) -> Any:
        self._meet(type(request).FromString(request.SerializeToString()), context)
        return self.pages.pop(0)

    def Reserve(self, request: Any, context: Any) -> Any:
        self._meet(request, context)
        return reservations_pb2.ReserveResponse(decision=decision(), expires_at_us=request.expires_at_us)

    def PutChannel(self, request: Any, context: Any) -> Any:
        self._meet(request, context)
        return catalogue_pb2.PutChannelResponse()

    def PutNodes(self, request: Any, context: Any) -> Any:
        self._meet(request, context)
        return catalogue_pb2.PutNodesResponse(again=True)

    def ReceiveStock(self, request: Any, context: Any) -> Any:
        self._meet(request, context)
        return stock_pb2.ReceiveStockResponse(changed=len(request.rows))

    def CountStock(self, request: Any, context: Any) -> Any:
        self._meet(request, context)
        return stock_pb2.CountStockResponse(changed=len(request.rows))

    def _stream(self, requests: Iterator[Any], context: Any, answer: Callable[[int, Any], Any]) -> Iterator[Any]:
        context.add_callback(self.cancelled.set)
        breaks = self.breaks.pop(0) if self.breaks else None
        received: list[Any] = []
        self.streams.append(received)
        self.metadata.append(dict(context.invocation_metadata()))
        if breaks == 0:
            yield from self._broken(context)
            return
        came = self._ahead(requests, received) if self.hold_answers else self._noted(requests, received)
        for answered, request in enumerate(came, 1):
            yield answer(answered, request)
            if answered == breaks:
                yield from self._broken(context)
                return

    def _broken(self, context: Any) -> Iterator[Any]:
        if self.break_with is not None:
            context.abort_with_status(self.break_with.status())
        return iter(())

    def _noted(self, requests: Iterator[Any], received: list[Any]) -> Iterator[Any]:
        for request in requests:
            received.append(request)
            yield request

    def _ahead(self, requests: Iterator[Any], received: list[Any]) -> Iterator[Any]:
        """Reads as far as the client sends without being answered, and only then lets answers go."""
        over = threading.Event()

        def read() -> None:
            for request in requests:
                received.append(request)
            over.set()

        threading.Thread(target=read, daemon=True).start()
        taken = 0
        time.sleep(self.hold_answers)
        while not over.is_set() or taken < len(received):
            if taken < len(received):
                yield received[taken]
                taken += 1
            else:
                time.sleep(0.005)

    def PlaceOrders(self, requests: Any, context: Any) -> Any:
        def answer(number: int, request: Any) -> Any:
            order_id = request.order.order_id
            if order_id in self.problems:
                return orders_pb2.PlaceOrdersResponse(order_id=order_id, problem=self.problems[order_id])
            return orders_pb2.PlaceOrdersResponse(order_id=order_id, decision=decision(number))

        return self._stream(requests, context, answer)

    def AllocateBatches(self, requests: Any, context: Any) -> Any:
        def answer(_: int, request: Any) -> Any:
            if "batch" in self.problems:
                return orders_pb2.AllocateBatchesResponse(problem=self.problems["batch"])
            return orders_pb2.AllocateBatchesResponse(batch=allocated(table_of(request)))

        return self._stream(requests, context, answer)

    def WatchAvailability(self, request: Any, context: Any) -> Any:
        self._note(request, context)
        version = request.after_version
        breaks = self.breaks.pop(0) if self.breaks else 3
        for told in range(1, 4):
            figure = availability_pb2.Availability(sku="S", units=told, version=version + told)
            yield availability_pb2.WatchAvailabilityResponse(
                figures=[figure], version=version + told, complete=told != 3
            )
            if told == breaks:
                yield from self._broken(context)
                return

    def ListChannelFigures(self, request: Any, context: Any) -> Any:
        self._meet(request, context)
        return availability_pb2.ListChannelFiguresResponse(
            channels=[
                {"channel": "own", "orders": 4, "refused_orders": 1, "units_ordered": 1300, "units_cancelled": 100,
                 "units_shipped": 7, "units_available": 3600, "version": 8},
                {"channel": "new"},
            ],
            view_sequence=9, version=10,
        )  # fmt: skip

    def StreamEvents(self, request: Any, context: Any) -> Any:
        self._note(request, context)
        last = int(request.after_event_id.split("-")[0] or 0)
        breaks = self.breaks.pop(0) if self.breaks else 3
        for told in range(1, breaks + 1):
            ids = (f"{last + told}-{place}" for place in (0, 1))
            yield events_pb2.StreamEventsResponse(events=[events_pb2.Event(event_id=event_id) for event_id in ids])
        yield from self._broken(context)


def table_of(request: Any) -> pa.Table:
    """The orders of a batch as they came."""
    return pa.ipc.open_stream(request.batch).read_all()


def allocated(orders: pa.Table) -> bytes:
    """The answer of a service that has everything; an order without a SKU is not taken."""
    bad = [any(not line["sku"] for line in lines) for lines in orders.column("lines").to_pylist()]
    parts = [
        [{"line": number, "node_id": "N1", "quantity": line["quantity"], "distance_m": 5}
         for number, line in enumerate(lines, 1) if not wrong]
        for wrong, lines in zip(bad, orders.column("lines").to_pylist(), strict=True)
    ]  # fmt: skip
    part = pa.struct([("line", pa.int32()), ("node_id", pa.dictionary(pa.int32(), pa.string())),
                      ("quantity", pa.int32()), ("distance_m", pa.int32())])  # fmt: skip
    plain = pa.struct([part.field(0), ("node_id", pa.string()), part.field(2), part.field(3)])
    flat = pa.array([row for rows in parts for row in rows], plain)
    columns = [flat.field(name) for name in ("line", "node_id", "quantity", "distance_m")]
    columns[1] = columns[1].dictionary_encode()
    offsets = pa.array([sum(map(len, parts[:row])) for row in range(len(parts) + 1)], pa.int32())
    batch = pa.RecordBatch.from_pydict({
        "outcome": pa.array([0 if wrong else ALLOCATED for wrong in bad], pa.uint8()),
        "number": pa.array([0 if wrong else row for row, wrong in enumerate(bad, 1)], pa.int64()),
        "again": pa.array([False] * len(bad)),
        "reason": pa.array(["UNKNOWN_SKU" if wrong else None for wrong in bad], pa.string()).dictionary_encode(),
        "field": pa.array(["lines.sku" if wrong else None for wrong in bad], pa.string()).dictionary_encode(),
        "parts": pa.ListArray.from_arrays(offsets, pa.StructArray.from_arrays(columns, fields=list(part))),
    })  # fmt: skip
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, batch.schema) as writer:
        writer.write_batch(batch)
    return sink.getvalue().to_pybytes()


@contextmanager
def serving(service: FakeService, credentials: grpc.ServerCredentials | None = None) -> Iterator[str]:
    """The service on a free port; gives its address."""
    server = grpc.server(futures.ThreadPoolExecutor(8), options=[("grpc.so_reuseport", 0)])
    for module, name in (
        (orders_pb2_grpc, "Order"), (reservations_pb2_grpc, "Reservation"), (catalogue_pb2_grpc, "Catalogue"),
        (stock_pb2_grpc, "Stock"), (availability_pb2_grpc, "Availability"), (events_pb2_grpc, "Event"),
    ):  # fmt: skip
        getattr(module, f"add_{name}ServiceServicer_to_server")(service, server)
    if credentials is None:
        port = server.add_insecure_port("127.0.0.1:0")
    else:
        port = server.add_secure_port("127.0.0.1:0", credentials)
    server.start()
    try:
        yield f"127.0.0.1:{port}"
    finally:
        server.stop(None).wait()
