"""Orders as they stand, for GetOrder and ListOrders: open ones from the state at the last durable commit, others and
lists from the views.

The views are kept up to date by another process (server/background.py), so they may lag; whoever must see a commit in
them waits for it.
"""

import asyncio
import math
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import apsw
import grpc

from allot.v1 import life_pb2, orders_pb2, types_pb2
from engine.explaining import Decided, are_elsewhere, decided
from engine.history import Kind
from engine.intake.orders import CHANNEL_CHARACTERS_MAX, ORDER_ID_CHARACTERS_MAX
from engine.life_reading import document_row, life_of, order_of, order_row, told_with_order
from engine.outcomes import Namespace, Reply
from engine.reading import Elsewhere, OrderNow, order_now
from engine.supply import promised_to
from engine.views import Answer, Views, ViewsMissing
from kernels.columns import NO_NODE, NONE, Outcome, Stage
from kernels.life import DocumentKind
from server.batcher import Batcher
from server.deadlines import deadline_of
from server.errors import Rejection
from server.explanations import expected_units, explanation_message
from server.life import LifeMessages
from server.lookup import Lookup
from server.paging import page_size, position_of, token_of
from server.replies import check_reply
from server.timeline import beginning, happening
from server.validation.catalogue import ADD_A_CHANNEL
from server.validation.values import shown, text, unknown

SEQUENCE_MAX = (1 << 63) - 1
LOOK_SECONDS = 0.025  # between two looks at views that lag
WAIT_SECONDS_MAX = 30.0  # for views that lag, where the caller has more time
RETRY_MS = 1000
SALES_REST = 20  # times as long as what was sold took to read, before it is read again
_LINE_OPTIONS = ("unit_price", "discount", "tax")
Result = TypeVar("Result")


class OrderReading:
    """Reads orders. `views` is the file of the views, or None where nobody keeps any."""

    def __init__(self, batcher: Batcher, lookup: Lookup, views: Path | None) -> None:
        state = batcher.engine.state
        self._messages = LifeMessages(lookup, state.names, state.secret.tobytes())
        self._batcher = batcher
        self._lookup = lookup
        self._views = views
        self._sales: asyncio.Task[Answer] | None = None  # the last one, or the one that is read
        self._sales_until = 0.0

    async def get(self, request: orders_pb2.GetOrderRequest, deadline: float) -> orders_pb2.GetOrderResponse:
        """One order. Raises Rejection."""
        order_id = text("order_id", request.order_id, ORDER_ID_CHARACTERS_MAX)
        channel = self._channel(request.channel)
        look = partial(order_now, channel=channel, order_id=order_id, is_reservation=request.is_reservation)
        found, sequence = await self._batcher.read(lambda engine: (look(engine), engine.state.sequence), deadline)
        if isinstance(found, OrderNow):
            response = orders_pb2.GetOrderResponse(order=self._as_it_stands(request.channel, found), sequence=sequence)
            return await self._with_life(request, response, channel, deadline)
        if self._views is None and found is Elsewhere.UNKNOWN:
            raise _not_found(order_id)
        ask: Callable[[Views], Answer] = partial(
            Views.order, channel=request.channel, order_id=order_id, is_reservation=request.is_reservation
        )
        # one whose key is not known is in the views for long, or nowhere
        answer = await self.ask_views(ask, sequence if found is Elsewhere.IN_VIEWS else 0, deadline)
        if not answer.rows:
            raise _not_found(order_id)
        order = self._as_viewed(answer.rows[0])
        if any(part.stage == types_pb2.STAGE_BACK_ORDERED for part in order.parts):
            skus = [self._lookup.find(Namespace.SKU, line.sku) for line in order.lines]
            promised = partial(promised_to, number=order.number, skus=skus)
            expected = await self._batcher.read(lambda engine: promised(engine.state), deadline)
            order.expected.extend(expected_units(expected, self._batcher.engine.state.names))
        response = orders_pb2.GetOrderResponse(order=order, sequence=answer.view_sequence)
        return await self._with_life(request, response, channel, deadline)

    async def check_owner(self, request: Any, customer: str, context: Any) -> None:
        """Refuses a request about another customer's order as if there were none. Raises Rejection."""
        deadline = deadline_of(context)
        by_return = getattr(request, "return_id", "") and not getattr(request, "order_id", "")
        order_id = await self._order_of_return(request, deadline) if by_return else request.order_id
        asked = orders_pb2.GetOrderRequest(
            channel=request.channel, order_id=order_id, is_reservation=getattr(request, "is_reservation", False)
        )
        if (await self.get(asked, deadline)).order.customer != customer:
            raise _not_found(order_id)

    async def _order_of_return(self, request: Any, deadline: float) -> str:
        """The id of the order that a return is of. Raises Rejection."""
        channel = self._channel(request.channel)

        def look(engine: Any) -> str:
            row = document_row(engine.state, DocumentKind.RETURN, channel, request.return_id)
            return "" if row == NONE else told_with_order(engine, order_of(engine.state, row))[0]

        found: str = await self._batcher.read(look, deadline)
        if not found:
            check_reply(Reply.UNKNOWN_RETURN)
        return found

    async def _with_life(
        self, request: orders_pb2.GetOrderRequest, response: orders_pb2.GetOrderResponse, channel: int, deadline: float
    ) -> orders_pb2.GetOrderResponse:
        """The answer with what became of the order, where that was asked for."""
        if not request.with_life or request.is_reservation:
            return response

        def look(engine: Any) -> Any:
            row = order_row(engine.state, channel, request.order_id)
            return None if row == NONE else life_of(engine, row)

        now = await self._batcher.read(look, deadline)
        response.life.CopyFrom(life_pb2.OrderLife() if now is None else self._messages.life(now))
        if self._views is not None:
            number = response.order.number
            answer = await self.ask_views(lambda views: Views.timeline(views, number), 0, deadline)
            if now is not None and now.placed is not None:
                response.life.timeline.extend(beginning(now.placed, self._batcher.engine.state.names))
            response.life.timeline.extend(happening(row) for row in answer.rows)
            response.life.timeline_sequence = answer.view_sequence
        return response

    async def explain(
        self, request: orders_pb2.ExplainOrderRequest, deadline: float
    ) -> orders_pb2.ExplainOrderResponse:
        """Why an order's units are at their nodes. Raises Rejection."""
        order_id = text("order_id", request.order_id, ORDER_ID_CHARACTERS_MAX)
        channel = self._channel(request.channel)
        found, sequence = await self._batcher.read(
            lambda engine: (
                decided(engine.state, engine.first_answers, channel, order_id, request.is_reservation),
                engine.state.sequence,
            ),
            deadline,
        )
        if found is Elsewhere.UNKNOWN:
            raise _not_found(order_id)
        if found is Elsewhere.IN_VIEWS:
            check_reply(Reply.ANSWER_ARCHIVED, "order_id")
        assert isinstance(found, Decided)
        message = explanation_message(found, self._batcher.engine.state.names)
        if self._views is not None and are_elsewhere(found):
            skus = list({line.sku for line in message.lines})
            moved: Callable[[Views], Answer] = partial(
                Views.units_of, number=found.number, skus=skus, after=found.sequence
            )
            answer = await self.ask_views(moved, sequence, deadline)
            message.view_sequence = answer.view_sequence
            for row in answer.rows:
                message.moved.add(
                    sequence=row["sequence"], stamp_us=row["stamp"], sku=row["sku"], node_id=row["node"],
                    quantity=row["quantity"], cause=f"CAUSE_{row['cause']}", released=row["kind"] == Kind.RELEASED.name,
                )  # fmt: skip
        return message

    async def list(self, request: orders_pb2.ListOrdersRequest, deadline: float) -> orders_pb2.ListOrdersResponse:
        """A page of orders. Raises Rejection."""
        if request.channel:
            self._channel(request.channel)
        state = _state_name(request.state)
        listing = f"orders {request.channel} {state}"
        count, after = page_size(request.page_size), position_of(listing, request.page_token)
        ask: Callable[[Views], Answer] = partial(
            Views.list_orders, channel=request.channel or None, state=state or None, after=after, limit=count
        )
        answer = await self.ask_views(ask, min(request.at_least_sequence, SEQUENCE_MAX), deadline)
        following = token_of(listing, answer.rows[-1]["number"]) if len(answer.rows) == count else ""
        return orders_pb2.ListOrdersResponse(
            orders=[self._as_viewed(row) for row in answer.rows], next_page_token=following,
            view_sequence=answer.view_sequence,
        )  # fmt: skip

    async def sales(self) -> Answer:
        """What every channel has sold. Raises Rejection. It takes about a second a million orders, so it is read for
        all who ask together, and not all the time: else it is the last answer again.
        """
        if self._sales is None or (self._sales.done() and time.monotonic() >= self._sales_until):
            self._sales_until = 0.0
            self._sales = asyncio.ensure_future(self._read_sales())
        return await asyncio.shield(self._sales)  # goes on for the others, and for who asks again

    async def _read_sales(self) -> Answer:
        began = time.monotonic()
        answer = await self.ask_views(Views.sales, 0, math.inf)
        ended = time.monotonic()
        self._sales_until = ended + (ended - began) * SALES_REST
        return answer

    def _channel(self, name: str) -> int:
        index = self._lookup.find(Namespace.CHANNEL, text("channel", name, CHANNEL_CHARACTERS_MAX))
        if index < 0:
            raise unknown("channel", name, "channel", ADD_A_CHANNEL)
        return index

    # The views

    async def ask_views(self, ask: Callable[[Views], Answer], at_least: int, deadline: float) -> Answer:
        """What the views say once they take in a commit. Raises Rejection where that takes too long."""
        if self._views is None:
            raise Rejection(
                grpc.StatusCode.FAILED_PRECONDITION, "VIEWS_OFF",
                "this server keeps no views, which lists and closed orders are read from: start it with views",
            )  # fmt: skip
        until = min(deadline, time.monotonic() + WAIT_SECONDS_MAX)
        while True:
            answer = await asyncio.to_thread(_asked, self._views, ask, at_least)
            if isinstance(answer, Answer):
                return answer
            if time.monotonic() + LOOK_SECONDS >= until:
                raise Rejection(
                    grpc.StatusCode.DEADLINE_EXCEEDED if until == deadline else grpc.StatusCode.UNAVAILABLE,
                    "VIEWS_BEHIND", f"the views are at commit {answer}, not yet at {at_least}: ask again",
                    retry_after_ms=RETRY_MS,
                )  # fmt: skip
            await asyncio.sleep(LOOK_SECONDS)

    # Messages

    def _as_it_stands(self, channel: str, order: OrderNow) -> types_pb2.Order:
        """The message of an order from the state."""
        words, nodes = self._lookup.texts(Namespace.WORD), self._lookup.texts(Namespace.NODE)
        options = dict(order.options)
        for name in ("currency", "payment_method", "service_level"):
            options[name] = None if options[name] is None else words[options[name]]
        message = _message(
            order.number, order.outcome, order.state, options, channel=channel, order_id=order.order_id,
            postal_code=self._text(Namespace.POSTAL_CODE, order.postal_code), is_reservation=order.is_reservation,
            expires_at_us=order.expires_at, reservation_number=order.reservation, sequence=order.taken_in,
            stamp_us=order.taken_at,
        )  # fmt: skip
        for sku, units, *money in order.lines:
            line = message.lines.add(sku=self._text(Namespace.SKU, sku), quantity=units)
            _set(line, dict(zip(_LINE_OPTIONS, money, strict=False)))
        for position, node, stage, units, metres in order.parts:
            node_id = "" if node == NO_NODE else nodes[node]
            message.parts.append(_part(position, node_id, stage, units, metres))
        message.expected.extend(expected_units(order.expected, self._batcher.engine.state.names))
        return message

    def _as_viewed(self, row: dict[str, Any]) -> types_pb2.Order:
        """The message of an order from the views."""
        message = _message(
            max(row["number"], 0), Outcome[row["outcome"]], row["state"], row, channel=row["channel"],
            order_id=row["order_id"], postal_code=row["postal_code"], is_reservation=bool(row["is_reservation"]),
            expires_at_us=row["expires_at"] or 0, reservation_number=row["reservation"] or 0, sequence=row["sequence"],
            stamp_us=row["stamp"],
        )  # fmt: skip
        for line in row.get("lines", ()):
            _set(message.lines.add(sku=line["sku"], quantity=line["quantity"]), line)
            for part in line["parts"]:
                node_id, stage = part["node"] or "", Stage[part["stage"]]
                metres = self._metres(row["postal_code"], node_id)
                message.parts.append(_part(line["line"], node_id, stage, part["units"], metres))
        return message

    def _text(self, namespace: Namespace, index: int) -> str:
        return self._batcher.engine.state.names[namespace].text(index)

    def _metres(self, postal_code: str, node_id: str) -> int:
        """Between a node and a postal code, which do not change once they are named, but where somebody moves them."""
        if not node_id:
            return 0
        code, node = self._lookup.find(Namespace.POSTAL_CODE, postal_code), self._lookup.find(Namespace.NODE, node_id)
        return int(self._batcher.engine.state.places.metres[code, node])


def _asked(path: Path, ask: Callable[[Views], Result], at_least: int) -> Result | int:
    """The answer of the views, or the commit that they are at where that is too early. A connection for each question:
    views that are made anew are another file.
    """
    try:
        views = Views.reader(path)
    except ViewsMissing:
        return 0
    try:
        sequence = views.view_sequence
        return ask(views) if sequence >= at_least else sequence
    except (apsw.CorruptError, apsw.NotADBError, apsw.CantOpenError, apsw.BusyError, apsw.IOError):
        return 0  # who keeps them makes them anew
    finally:
        views.close()


def _state_name(state: int) -> str:
    """The name of a state as views have it; empty: any."""
    if state == types_pb2.ORDER_STATE_UNSPECIFIED:
        return ""
    try:
        return types_pb2.OrderState.Name(state).removeprefix("ORDER_STATE_")
    except ValueError:
        raise Rejection(
            grpc.StatusCode.INVALID_ARGUMENT, "OUT_OF_RANGE", f"state: {state}: give one of OrderState", "state"
        ) from None


def _not_found(order_id: str) -> Rejection:
    return Rejection(
        grpc.StatusCode.NOT_FOUND, "UNKNOWN_ORDER",
        f"order_id: {shown(order_id)} names no order of the channel: check both, and whether it is a reservation",
        "order_id",
    )  # fmt: skip


def _message(number: int, outcome: int, state: str, options: dict[str, Any], **fields: Any) -> types_pb2.Order:
    fields |= {"outcome": outcome, "state": f"ORDER_STATE_{state}"}
    message = types_pb2.Order(number=number, **fields)
    for name in ("placed_at", "ship_by", "deliver_by"):
        if options[name] is not None:
            setattr(message, f"{name}_us", options[name])
    for name in ("currency", "service_level", "customer"):
        if options[name] is not None:
            setattr(message, name, options[name])
    message.nodes_max, message.ship_complete = options["nodes_max"] or 0, bool(options["ship_complete"])
    method = f"PAYMENT_METHOD_{options['payment_method']}"
    if method in types_pb2.PaymentMethod.keys():  # noqa: SIM118 - no dictionary. Files may say it in other words
        setattr(message, "payment_method", types_pb2.PaymentMethod.Value(method))  # noqa: B010 - as the stubs want it
    return message


def _set(line: types_pb2.OrderLine, money: dict[str, Any]) -> None:
    for name in _LINE_OPTIONS:
        if money[name] is not None:
            setattr(line, name, money[name])


def _part(line: int, node_id: str, stage: int, units: int, metres: int) -> types_pb2.Part:
    place: Any = {"line": line, "node_id": node_id, "stage": stage + 1}
    return types_pb2.Part(quantity=units, distance_m=metres, **place)
