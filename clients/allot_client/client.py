"""The blocking client: one method a call of the contract, and streams that outlive a broken connection.

A call is tried again only where no server answered, with the same ids, until its timeout. Rows are tuples, mappings or
messages of `allot.v1`; answers are messages. `AsyncClient` has the same methods.
"""

import time
from collections.abc import Callable, Generator, Iterable, Iterator
from datetime import timedelta
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, TypeVar, Unpack, cast

import grpc

from allot.v1 import (
    availability_pb2,
    catalogue_pb2,
    events_pb2,
    orders_pb2,
    promises_pb2,
    reservations_pb2,
    stock_pb2,
    types_pb2,
)
from allot_client import calls, requests, tables
from allot_client import carts as carts_as_tables
from allot_client.bar import progress_to
from allot_client.calls import A, Call, Q
from allot_client.connection import DEFAULT_TARGET, Connection, Options
from allot_client.errors import error_of
from allot_client.life import STEPS, LifeMethods, step_answers, step_request
from allot_client.patience import Patience
from allot_client.requests import Moment, OrderFields, Row, micro_units, new_request_id
from allot_client.streams import answered, resumed

if TYPE_CHECKING:
    import pyarrow as pa

T = TypeVar("T")
Progress = Callable[[int, int], None]  # orders answered, orders in all
PAGE_ROWS_MAX = 1_000
WINDOW_ORDERS = 256
WINDOW_BATCHES = 4


def _one_order(order: types_pb2.OrderDraft) -> orders_pb2.PlaceOrdersRequest:
    return orders_pb2.PlaceOrdersRequest(order=order)


class Client(LifeMethods):
    """Speaks to one server. May be shared by threads. See `Options` for the keyword arguments."""

    def __init__(self, target: str = DEFAULT_TARGET, **options: Unpack[Options]) -> None:
        self._connection = Connection(target, **options)
        self._metadata = self._connection.metadata()
        credentials, arguments = self._connection.credentials(), self._connection.channel_options()
        if credentials is None:
            self._channel = grpc.insecure_channel(target, arguments)
        else:
            self._channel = grpc.secure_channel(target, credentials, arguments)
        self._methods: dict[str, Any] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Ends every call that is under way."""
        self._channel.close()

    # Orders

    def place_order(self, *, timeout: float | None = None, **order: Unpack[OrderFields]) -> types_pb2.Decision:
        """Allocates one order. The same order again gets the first decision again."""
        request = orders_pb2.PlaceOrderRequest(order=requests.order(**order))
        return self._ask(calls.PLACE_ORDER, request, timeout).decision

    def place_orders(
        self, orders: Iterable[types_pb2.OrderDraft], *, window: int = WINDOW_ORDERS
    ) -> Iterator[orders_pb2.PlaceOrdersResponse]:
        """Allocates orders as they come, see `order`: each is answered with a decision or a problem, in their order.

        window: orders under way at most. What was not answered when the connection broke is sent again. The orders are
        read in a thread of their own.
        """
        for _, answer in self._answered(calls.PLACE_ORDERS, orders, _one_order, window):
            yield answer

    def allocate(
        self,
        source: "pa.Table | pa.RecordBatch | Path | str",
        *,
        channel: str = "",
        batch_orders: int = tables.BATCH_ORDERS,
        window: int = WINDOW_BATCHES,
        progress: Progress | None = None,
        bar: bool = False,
    ) -> "pa.Table":
        """Allocates the orders of a pyarrow Table or a CSV, CSV.gz or Parquet file; a pyarrow Table, a row an order.

        source: one row an order with `lines`, or one row a line. channel: of all, where there is no such column.
        bar: a progress bar on stderr, where that is a terminal.
        """
        found = self.allocate_batches(
            source, channel=channel, batch_orders=batch_orders, window=window, progress=progress, bar=bar
        )
        return tables.joined(list(found))

    def allocate_batches(
        self,
        source: "pa.Table | pa.RecordBatch | Path | str",
        *,
        channel: str = "",
        batch_orders: int = tables.BATCH_ORDERS,
        window: int = WINDOW_BATCHES,
        progress: Progress | None = None,
        bar: bool = False,
    ) -> "Iterator[pa.Table]":
        """`allocate`, one table a batch, as the answers come. What was not answered when the connection broke is sent
        again, under the same ids."""
        orders = tables.read_orders(source, channel)
        batches = tables.batches(orders, batch_orders)
        with progress_to(progress, bar, len(orders)) as done:
            for batch, answer in self._answered(calls.ALLOCATE_BATCHES, batches, lambda batch: batch.request, window):
                found = tables.results(batch, answer)
                done(len(batch))
                yield found

    def cancel_order(
        self,
        channel: str,
        order_id: str,
        *,
        line: int = 0,
        quantity: int = 0,
        request_id: str = "",
        timeout: float | None = None,
    ) -> orders_pb2.CancelOrderResponse:
        """Cancels units that have not been shipped. line: from 1, 0 every one; quantity: 0 all."""
        request = orders_pb2.CancelOrderRequest(
            request_id=new_request_id(request_id), channel=channel, order_id=order_id, line=line, quantity=quantity
        )
        return self._ask(calls.CANCEL_ORDER, request, timeout)

    def reallocate_orders(
        self,
        node_ids: Iterable[str],
        *,
        short: bool = False,
        dry_run: bool = False,
        request_id: str = "",
        timeout: float | None = None,
    ) -> orders_pb2.ReallocateOrdersResponse:
        """Moves units that are not picked yet from these nodes to others. short: those that find none become short,
        else they stay. Where it ends early, the same request_id goes on."""
        request = orders_pb2.ReallocateOrdersRequest(
            request_id=new_request_id(request_id), node_ids=node_ids, short=short, dry_run=dry_run
        )
        return self._ask(calls.REALLOCATE_ORDERS, request, timeout)

    def reevaluate_orders(
        self,
        *,
        shipment_fee: float,
        fee_per_km: float = 0,
        handling_fee: float = 0,
        fee_per_unit_km: float = 0,
        move_fee: int = 0,
        dry_run: bool = False,
        request_id: str = "",
        timeout: float | None = None,
    ) -> orders_pb2.ReevaluateOrdersResponse:
        """Moves orders that are not picked yet to cheaper nodes where that saves more than move_fee a unit. Fees in
        minor units."""
        request = orders_pb2.ReevaluateOrdersRequest(
            request_id=new_request_id(request_id), shipment_fee_micros=micro_units(shipment_fee),
            fee_per_km_micros=micro_units(fee_per_km), handling_fee_micros=micro_units(handling_fee),
            fee_per_unit_km_micros=micro_units(fee_per_unit_km), move_fee=move_fee, dry_run=dry_run,
        )  # fmt: skip
        return self._ask(calls.REEVALUATE_ORDERS, request, timeout)

    def get_order(
        self, channel: str, order_id: str, *, is_reservation: bool = False, timeout: float | None = None
    ) -> types_pb2.Order:
        """One order as it stands. Raises Unknown."""
        request = orders_pb2.GetOrderRequest(channel=channel, order_id=order_id, is_reservation=is_reservation)
        return self._ask(calls.GET_ORDER, request, timeout).order

    def explain_order(
        self, channel: str, order_id: str, *, is_reservation: bool = False, timeout: float | None = None
    ) -> orders_pb2.ExplainOrderResponse:
        """Why an order's units are at their nodes, and which nearer ones were passed over. Raises Unknown."""
        request = orders_pb2.ExplainOrderRequest(channel=channel, order_id=order_id, is_reservation=is_reservation)
        return self._ask(calls.EXPLAIN_ORDER, request, timeout)

    def list_orders(
        self,
        *,
        channel: str = "",
        state: str | int = "",
        at_least_sequence: int = 0,
        page_size: int = PAGE_ROWS_MAX,
        timeout: float | None = None,
    ) -> Iterator[types_pb2.Order]:
        """Orders and reservations by number, without lines; page after page. state: such as "back_ordered"."""
        request = requests.list_orders(channel, state, at_least_sequence, page_size)
        return self._pages(calls.LIST_ORDERS, request, lambda page: page.orders, timeout)

    def take_steps(
        self, kind: str, steps: "Iterable[pa.Table | tuple[str, pa.Table]]", *, window: int = WINDOW_BATCHES
    ) -> "Iterator[pa.Table]":
        """Steps of "payments", "shipments" or "returns", a table a batch of 131,072 rows at most, as StepBatch says.

        One with a key of the caller's is given as (request_id, table).
        Answers in their order: reason (null where it was taken), quantity, again. What was not answered when the
        connection broke is sent again, under the same keys.
        """
        asked = (step_request(kind, some) for some in steps)
        for _, answer in self._answered(STEPS[kind], asked, lambda request: request, window):
            yield step_answers(answer)

    # Promises

    def promise(
        self,
        channel: str,
        postal_code: str,
        lines: Iterable[Row],
        *,
        cash_on_delivery: bool = False,
        timeout: float | None = None,
    ) -> promises_pb2.PromiseResponse:
        """What each service promises for a cart that is ordered now: dates, price. Nothing is held.

        lines: (sku, quantity), mappings of CartLine's fields, or CartLines.
        """
        return self._ask(calls.PROMISE, requests.promise(channel, postal_code, lines, cash_on_delivery), timeout)

    def promises(
        self, carts: "pa.Table | pa.RecordBatch", *, batch_carts: int = tables.BATCH_ORDERS, window: int = 2
    ) -> "Iterator[pa.Table]":
        """The same for many carts, a row each with channel, postal_code, lines: list of struct<sku, quantity> and
        optionally cash_on_delivery; one table a batch, its columns as `PromisesResponse` says. Each cart is promised as
        if it came alone. Raises AllotError where a batch cannot be read.
        """
        batches = carts_as_tables.cart_batches(carts, batch_carts)
        for _, answer in self._answered(calls.PROMISES, batches, lambda batch: batch, window):
            yield carts_as_tables.promised(answer)

    # Reservations

    def reserve(
        self,
        *,
        hold: timedelta | None = None,
        expires_at: Moment | None = None,
        timeout: float | None = None,
        **order: Unpack[OrderFields],
    ) -> reservations_pb2.ReserveResponse:
        """Holds units for a cart; order_id is the reservation's id.

        hold: for so long from now, fixed when this is called; to repeat the call yourself, give expires_at.
        """
        return self._ask(calls.RESERVE, requests.reserve(hold, expires_at, requests.order(**order)), timeout)

    def confirm(
        self,
        channel: str,
        reservation_id: str,
        order_id: str,
        *,
        postal_code: str = "",
        request_id: str = "",
        timeout: float | None = None,
    ) -> types_pb2.Decision:
        """Turns a reservation into an order. Raises ReservationOver. postal_code: where it changed since."""
        request = reservations_pb2.ConfirmRequest(
            request_id=new_request_id(request_id), channel=channel, reservation_id=reservation_id, order_id=order_id,
            postal_code=postal_code,
        )  # fmt: skip
        return self._ask(calls.CONFIRM, request, timeout).decision

    def release(
        self, channel: str, reservation_id: str, *, request_id: str = "", timeout: float | None = None
    ) -> reservations_pb2.ReleaseResponse:
        """Lets go of what a reservation holds."""
        request = reservations_pb2.ReleaseRequest(
            request_id=new_request_id(request_id), channel=channel, reservation_id=reservation_id
        )
        return self._ask(calls.RELEASE, request, timeout)

    # Stock

    def receive_stock(
        self, rows: Iterable[Row], *, reference: int = 0, request_id: str = "", timeout: float | None = None
    ) -> stock_pb2.ReceiveStockResponse:
        """Units that arrived: rows of (sku, node_id, quantity), 50,000 at most. Back-orders are served first."""
        request = stock_pb2.ReceiveStockRequest(
            request_id=new_request_id(request_id), rows=requests.messages(stock_pb2.StockRow, rows, "rows"),
            reference=reference,
        )  # fmt: skip
        return self._ask(calls.RECEIVE_STOCK, request, timeout)

    def count_stock(
        self,
        rows: Iterable[Row],
        *,
        source: str,
        counted_at: Moment,
        request_id: str = "",
        timeout: float | None = None,
    ) -> stock_pb2.CountStockResponse:
        """What is on hand: rows of (sku, node_id, quantity), 50,000 at most. source: who counted."""
        return self._ask(calls.COUNT_STOCK, requests.count_stock(rows, source, counted_at, request_id), timeout)

    def adjust_stock(
        self, adjustments: Iterable[Row], *, request_id: str = "", timeout: float | None = None
    ) -> stock_pb2.AdjustStockResponse:
        """Corrections: rows of (sku, node_id, kind, quantity), kind "on_hand", "unavailable" or "safety_stock"."""
        request = stock_pb2.AdjustStockRequest(
            request_id=new_request_id(request_id),
            adjustments=requests.messages(stock_pb2.Adjustment, adjustments, "adjustments"),
        )
        return self._ask(calls.ADJUST_STOCK, request, timeout)

    def get_stock(self, sku: str, *, timeout: float | None = None) -> stock_pb2.GetStockResponse:
        """The figures of a SKU, by node."""
        return self._ask(calls.GET_STOCK, stock_pb2.GetStockRequest(sku=sku), timeout)

    def list_stock(
        self, *, node_id: str = "", page_size: int = PAGE_ROWS_MAX, timeout: float | None = None
    ) -> Iterator[stock_pb2.StockCell]:
        """The figures of every SKU, page after page."""
        request = stock_pb2.ListStockRequest(node_id=node_id, page_size=page_size)
        return self._pages(calls.LIST_STOCK, request, lambda page: page.cells, timeout)

    def put_supply(
        self, rows: Iterable[Row], *, request_id: str = "", timeout: float | None = None
    ) -> stock_pb2.PutSupplyResponse:
        """Units that are expected: rows of (sku, node_id, quantity still to come, due_at, reference), 50,000 at most.

        quantity 0: none any more. A reference has one date for a SKU at a node; `receive_stock` by the same one takes
        off what has come.
        """
        return self._ask(calls.PUT_SUPPLY, requests.put_supply(rows, request_id), timeout)

    def list_supply(
        self, *, sku: str = "", node_id: str = "", page_size: int = PAGE_ROWS_MAX, timeout: float | None = None
    ) -> Iterator[stock_pb2.Supply]:
        """What is expected, page after page."""
        request = stock_pb2.ListSupplyRequest(sku=sku, node_id=node_id, page_size=page_size)
        return self._pages(calls.LIST_SUPPLY, request, lambda page: page.supply, timeout)

    # Availability and events

    def get_availability(
        self, channel: str, skus: Iterable[str], *, timeout: float | None = None
    ) -> availability_pb2.GetAvailabilityResponse:
        """What a channel may sell of 1 to 10,000 SKUs, in their order."""
        request = availability_pb2.GetAvailabilityRequest(channel=channel, skus=requests.texts(skus, "skus"))
        return self._ask(calls.GET_AVAILABILITY, request, timeout)

    def list_channel_figures(self, *, timeout: float | None = None) -> availability_pb2.ListChannelFiguresResponse:
        """What every channel has sold so far, and may sell now."""
        return self._ask(calls.LIST_CHANNEL_FIGURES, availability_pb2.ListChannelFiguresRequest(), timeout)

    def watch_availability(
        self, channel: str, after_version: int = 0, *, once: bool = False
    ) -> Iterator[availability_pb2.WatchAvailabilityResponse]:
        """What a channel may sell of every SKU that changed since a version, then every change. The latest figure wins.

        Goes on after a broken connection from the last `complete` version; figures may then come again.
        once: ends after the first complete answer.
        """
        request = availability_pb2.WatchAvailabilityRequest(channel=channel, after_version=after_version, once=once)
        for answer in self._resumed(calls.WATCH_AVAILABILITY, request, once):
            if answer.complete:
                request.after_version = answer.version
            yield answer

    def stream_events(
        self,
        after_event_id: str = "",
        *,
        only_new: bool = False,
        kinds: Iterable[str | int] = (),
        once: bool = False,
    ) -> Iterator[events_pb2.Event]:
        """Events after an id, then each as it becomes durable. Goes on after a broken connection from the last one.

        kinds: such as "order_decided"; none: all. only_new: nothing of the past. once: ends at the present.
        """
        request = requests.stream_events(after_event_id, only_new, kinds, once)
        for answer in self._resumed(calls.STREAM_EVENTS, request, once):
            for event in answer.events:
                request.after_event_id = event.event_id
                yield event

    # The catalogue

    def put_nodes(
        self, nodes: Iterable[Row], *, request_id: str = "", timeout: float | None = None
    ) -> catalogue_pb2.PutNodesResponse:
        """Adds or changes nodes: rows of (node_id, latitude, longitude) or mappings of Node's fields, 256 at most."""
        request = catalogue_pb2.PutNodesRequest(
            request_id=new_request_id(request_id), nodes=requests.messages(catalogue_pb2.Node, nodes, "nodes")
        )
        return self._ask(calls.PUT_NODES, request, timeout)

    def list_nodes(
        self, *, page_size: int = PAGE_ROWS_MAX, timeout: float | None = None
    ) -> Iterator[catalogue_pb2.Node]:
        """Every node, page after page."""
        request = catalogue_pb2.ListNodesRequest(page_size=page_size)
        return self._pages(calls.LIST_NODES, request, lambda page: page.nodes, timeout)

    def put_skus(
        self, skus: Iterable[str], *, request_id: str = "", timeout: float | None = None
    ) -> catalogue_pb2.PutSkusResponse:
        """Names SKUs, 50,000 at most. Known ones are left as they are."""
        request = catalogue_pb2.PutSkusRequest(request_id=new_request_id(request_id), skus=requests.texts(skus, "skus"))
        return self._ask(calls.PUT_SKUS, request, timeout)

    def list_skus(self, *, page_size: int = PAGE_ROWS_MAX, timeout: float | None = None) -> Iterator[str]:
        """Every SKU, page after page."""
        request = catalogue_pb2.ListSkusRequest(page_size=page_size)
        return self._pages(calls.LIST_SKUS, request, lambda page: page.skus, timeout)

    def put_postal_codes(
        self, postal_codes: Iterable[Row], *, request_id: str = "", timeout: float | None = None
    ) -> catalogue_pb2.PutPostalCodesResponse:
        """Says where postal codes are: rows of (postal_code, latitude, longitude), 50,000 at most."""
        request = catalogue_pb2.PutPostalCodesRequest(
            request_id=new_request_id(request_id),
            postal_codes=requests.messages(catalogue_pb2.PostalCode, postal_codes, "postal_codes"),
        )
        return self._ask(calls.PUT_POSTAL_CODES, request, timeout)

    def put_channel(
        self,
        channel: str,
        *,
        node_ids: Iterable[str] = (),
        priority: int = 0,
        on_short: str | int = "",
        no_split: bool = False,
        policy: Row | None = None,
        preferred_node_ids: Iterable[str] = (),
        excluded_node_ids: Iterable[str] = (),
        closed: bool = False,
        request_id: str = "",
        timeout: float | None = None,
    ) -> catalogue_pb2.PutChannelResponse:
        """Adds a channel or sets it, whole. node_ids: none is every node. on_short: "refuse", "back_order" or "keep".

        policy: what it publishes, such as {"share_ppm": 500_000, "buffer": 2, "buffer_ppm": 100_000}. closed: see
        `close_channel`. preferred_node_ids: asked first whether one of them gives all of an order; excluded_node_ids:
        never asked.
        """
        request = requests.put_channel(
            channel, node_ids, priority, on_short, no_split, policy, preferred_node_ids, excluded_node_ids, closed,
            request_id,
        )  # fmt: skip
        return self._ask(calls.PUT_CHANNEL, request, timeout)

    def list_channels(
        self, *, page_size: int = PAGE_ROWS_MAX, timeout: float | None = None
    ) -> Iterator[catalogue_pb2.Channel]:
        """Every channel and its policy, page after page."""
        request = catalogue_pb2.ListChannelsRequest(page_size=page_size)
        return self._pages(calls.LIST_CHANNELS, request, lambda page: page.channels, timeout)

    def close_channel(
        self, channel: str, *, request_id: str = "", timeout: float | None = None
    ) -> catalogue_pb2.PutChannelResponse:
        """Takes a channel away: it publishes 0, takes nothing new, and its ring-fences end; what is open goes on.

        The rest of it is put as it was listed just before; `put_channel` opens it again. Raises Unknown.
        """
        listed = self.list_channels(timeout=timeout)
        found = next((one for one in listed if one.channel == channel), None)
        return self._ask(calls.PUT_CHANNEL, requests.close_channel(channel, found, request_id), timeout)

    def put_exceptions(
        self, exceptions: Iterable[Row], *, request_id: str = "", timeout: float | None = None
    ) -> catalogue_pb2.PutExceptionsResponse:
        """Policies of channels for single SKUs: rows of (channel, sku, policy), 10,000 at most."""
        request = catalogue_pb2.PutExceptionsRequest(
            request_id=new_request_id(request_id),
            exceptions=requests.messages(catalogue_pb2.PolicyException, exceptions, "exceptions"),
        )
        return self._ask(calls.PUT_EXCEPTIONS, request, timeout)

    def put_tax_regions(
        self, regions: Iterable[Row], *, request_id: str = "", timeout: float | None = None
    ) -> catalogue_pb2.PutTaxRegionsResponse:
        """Says where nodes and postal codes are for the tax: rows of (node_id, postal_code, region), one of the first
        two empty, 50,000 at most."""
        request = catalogue_pb2.PutTaxRegionsRequest(
            request_id=new_request_id(request_id),
            regions=requests.messages(catalogue_pb2.TaxRegion, regions, "regions"),
        )
        return self._ask(calls.PUT_TAX_REGIONS, request, timeout)

    def put_fences(
        self, fences: Iterable[Row], *, request_id: str = "", timeout: float | None = None
    ) -> catalogue_pb2.PutFencesResponse:
        """Units kept for one channel: rows of (channel, sku, node_id, units), 10,000 at most."""
        request = catalogue_pb2.PutFencesRequest(
            request_id=new_request_id(request_id), fences=requests.messages(catalogue_pb2.Fence, fences, "fences")
        )
        return self._ask(calls.PUT_FENCES, request, timeout)

    # How calls are made

    def _method(self, call: Call[Any, Any], shape: str) -> Any:
        method = self._methods.get(call.name)
        if method is None:
            make = getattr(self._channel, shape)
            method = self._methods[call.name] = make(call.path, call.request.SerializeToString, call.answer.FromString)
        return method

    def _ask(self, call: Call[Q, A], request: Q, timeout: float | None) -> A:
        method = self._method(call, "unary_unary")
        until = time.monotonic() + (self._connection.timeout if timeout is None else timeout)
        patience = Patience(self._connection.patience, until)
        while True:
            try:
                return cast(A, method(request, timeout=patience.left(), metadata=self._metadata))
            except grpc.RpcError as error:
                failure = error_of(error)
                pause = patience.pause(failure)
            time.sleep(pause)

    def _pages(
        self, call: Call[Q, A], request: Q, rows: Callable[[A], Iterable[T]], timeout: float | None
    ) -> Iterator[T]:
        asked = cast(Any, request)
        while True:
            page = self._ask(call, request, timeout)
            yield from rows(page)
            asked.page_token = cast(Any, page).next_page_token
            if not asked.page_token:
                return

    def _answered(
        self, call: Call[Q, A], asked: Iterable[T], message: Callable[[T], Q], window: int
    ) -> Generator[tuple[T, A], None, None]:
        method = self._method(call, "stream_stream")

        def open_stream(attempt: Iterator[T]) -> Any:
            return method(map(message, attempt), metadata=self._metadata)

        return answered(open_stream, asked, window, Patience(self._connection.patience))

    def _resumed(self, call: Call[Q, A], request: Q, once: bool) -> Generator[A, None, None]:
        method = self._method(call, "unary_stream")

        def open_stream() -> Any:
            return method(request, metadata=self._metadata)

        return resumed(open_stream, once, Patience(self._connection.patience))
