"""What both clients ask about the life of orders: payments, refunds, shipments and returns, one by one.

Each method gives the answer's message with `Client`, and an awaitable of it with `AsyncClient`. Fields that are left
out keep the contract's meaning; enums are named as "capture", moments are datetimes with a time zone or microseconds.
"""

from collections.abc import Iterable
from typing import Any

from allot.v1 import life_pb2, orders_pb2, returns_pb2
from allot_client import calls
from allot_client.errors import error_of_problem
from allot_client.requests import Moment, Row, message, messages, micros, new_request_id
from allot_client.tables import arrow


class LifeMethods:
    """Mixed into both clients, which have `_ask`."""

    def _asks(self, call: Any, fields: dict[str, Any], timeout: float | None) -> Any:
        at: Moment | None = fields.pop("at", None)
        if at is not None:
            fields["at_us"] = micros(at, "at")
        if "request_id" in call.request.DESCRIPTOR.fields_by_name:
            fields["request_id"] = new_request_id(fields.get("request_id", ""))
        return self._ask(call, message(call.request, fields, call.name.split("/")[1]), timeout)  # type: ignore[attr-defined]

    def get_life(self, channel: str, order_id: str, *, timeout: float | None = None) -> Any:
        """An order with what became of it: GetOrderResponse, of which `life` has payments, shipments, returns and the
        time line. Raises Unknown."""
        request = orders_pb2.GetOrderRequest(channel=channel, order_id=order_id, with_life=True)
        return self._ask(calls.GET_ORDER, request, timeout)  # type: ignore[attr-defined]

    def create_payment(
        self, channel: str, order_id: str, payment_id: str, *, timeout: float | None = None, **fields: Any
    ) -> Any:
        """Makes a payment. fields: method, gateway, amount (0: all that is due), currency, token."""
        fields |= {"channel": channel, "order_id": order_id, "payment_id": payment_id}
        return self._asks(calls.CREATE_PAYMENT, fields, timeout)

    def advance_payment(self, step: str | int, *, timeout: float | None = None, **fields: Any) -> Any:
        """Takes a step such as "capture". fields: channel and payment_id, or gateway and reference; amount, currency,
        at."""
        return self._asks(calls.ADVANCE_PAYMENT, {"step": step, **fields}, timeout)

    def refund_order(
        self, channel: str, order_id: str, amount: int, *, timeout: float | None = None, **fields: Any
    ) -> Any:
        """Gives money back beyond what units are worth. fields: payment_id, currency, to."""
        fields |= {"channel": channel, "order_id": order_id, "amount": amount}
        return self._asks(calls.REFUND_ORDER, fields, timeout)

    def advance_refund(self, step: str | int, number: int, *, timeout: float | None = None, **fields: Any) -> Any:
        """Takes a step such as "done". fields: channel, and order_id or payment_id."""
        return self._asks(calls.ADVANCE_REFUND, {"step": step, "number": number, **fields}, timeout)

    def get_payment(self, *, timeout: float | None = None, **fields: Any) -> Any:
        """One payment: by channel and payment_id, by gateway and reference, or by number. Raises Unknown."""
        return self._asks(calls.GET_PAYMENT, fields, timeout)

    def get_ledger(self, *, timeout: float | None = None) -> Any:
        """What the accounts of the ledger hold."""
        return self._asks(calls.GET_LEDGER, {}, timeout)

    def create_shipment(
        self,
        channel: str,
        order_id: str,
        shipment_id: str,
        node_id: str,
        *,
        timeout: float | None = None,
        **fields: Any,
    ) -> Any:
        """Makes a shipment of what may leave a node. fields: line, quantity, packed_only."""
        fields |= {"channel": channel, "order_id": order_id, "shipment_id": shipment_id, "node_id": node_id}
        return self._asks(calls.CREATE_SHIPMENT, fields, timeout)

    def advance_shipment(self, step: str | int, *, timeout: float | None = None, **fields: Any) -> Any:
        """Takes a step such as "deliver". fields: channel and shipment_id, or carrier and reference; cost, at, place,
        node_id, disposition."""
        return self._asks(calls.ADVANCE_SHIPMENT, {"step": step, **fields}, timeout)

    def act_on_units(
        self, channel: str, order_id: str, action: str | int, *, timeout: float | None = None, **fields: Any
    ) -> Any:
        """Does something to units: "pick", "unpick", "pack" or "short_pick". fields: line, node_id, quantity."""
        fields |= {"channel": channel, "order_id": order_id, "action": action}
        return self._asks(calls.ACT_ON_UNITS, fields, timeout)

    def get_shipment(self, *, timeout: float | None = None, **fields: Any) -> Any:
        """One shipment: by channel and shipment_id, by carrier and reference, or by number. Raises Unknown."""
        return self._asks(calls.GET_SHIPMENT, fields, timeout)

    def track_shipment(self, tracking_token: str, *, timeout: float | None = None) -> Any:
        """Where a shipment is, for whoever holds its token. Raises Unknown."""
        return self._asks(calls.TRACK_SHIPMENT, {"tracking_token": tracking_token}, timeout)

    def create_return(
        self, channel: str, order_id: str, return_id: str, line: int, quantity: int, *, timeout: float | None = None,
        **fields: Any,
    ) -> Any:  # fmt: skip
        """Asks for a return. fields: kind ("return", "exchange" or "claim"), reason, condition, as_credit."""
        fields |= {
            "channel": channel, "order_id": order_id, "return_id": return_id, "line": line, "quantity": quantity,
        }  # fmt: skip
        return self._asks(calls.CREATE_RETURN, fields, timeout)

    def advance_return(
        self, step: str | int, channel: str, return_id: str, *, timeout: float | None = None, **fields: Any
    ) -> Any:
        """Takes a step such as "receive". fields: quantity, node_id, disposition."""
        return self._asks(
            calls.ADVANCE_RETURN, {"step": step, "channel": channel, "return_id": return_id, **fields}, timeout
        )

    def get_return(self, channel: str, return_id: str, *, timeout: float | None = None) -> Any:
        """One return. Raises Unknown."""
        return self._asks(calls.GET_RETURN, {"channel": channel, "return_id": return_id}, timeout)

    def put_return_policies(
        self, policies: Iterable[Row], *, categories: Iterable[Row] = (), request_id: str = "",
        timeout: float | None = None,
    ) -> Any:  # fmt: skip
        """Sets what may be returned, all of it: mappings of ReturnPolicy's fields. categories: (sku, category)."""
        request = returns_pb2.PutReturnPoliciesRequest(
            request_id=new_request_id(request_id),
            policies=messages(returns_pb2.ReturnPolicy, policies, "policies"),
            categories=messages(returns_pb2.SkuCategory, categories, "categories"),
        )
        return self._ask(calls.PUT_RETURN_POLICIES, request, timeout)  # type: ignore[attr-defined]

    def list_return_policies(self, *, timeout: float | None = None) -> Any:
        """What may be returned, the default first."""
        return self._asks(calls.LIST_RETURN_POLICIES, {}, timeout)


STEPS: dict[str, calls.Call[Any, Any]] = {
    "payments": calls.ADVANCE_PAYMENTS,
    "shipments": calls.ADVANCE_SHIPMENTS,
    "returns": calls.ADVANCE_RETURNS,
}


def step_request(kind: str, steps: Any) -> Any:
    """The message of a table of steps, a row each, or of (request_id, table); without one it has a key of its own.

    Built once, so a repeat sends the same.
    """
    pa = arrow()
    request_id, batch = steps if isinstance(steps, tuple) else ("", steps)
    if isinstance(batch, pa.Table):
        batch = next(iter(batch.combine_chunks().to_batches()), pa.RecordBatch.from_pylist([], batch.schema))
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, batch.schema) as writer:
        writer.write_batch(batch)
    message = life_pb2.StepBatch(request_id=new_request_id(request_id), batch=bytes(sink.getvalue()))
    return STEPS[kind].request(steps=message)


def step_answers(answer: Any) -> Any:
    """The table of an answer: reason (null: taken), quantity, again. Raises AllotError where nothing was taken."""
    if answer.WhichOneof("result") == "problem":
        raise error_of_problem(answer.problem)
    return arrow().ipc.open_stream(answer.answers.batch).read_all()
