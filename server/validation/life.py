"""Payments, shipments and returns, and their steps, as rows for the batcher. The first fault is told.

Words that are new (gateways, carriers, reasons, currencies, who asks) raise NotYetKnown, and are named by the desk.
"""

import re
from enum import IntEnum
from typing import Any

import grpc

from allot.v1 import payments_pb2, returns_pb2, shipments_pb2
from engine.intake.nodes import NODE_ID_CHARACTERS_MAX
from engine.intake.orders import (
    LINE_UNITS_MAX,
    ORDER_ID_CHARACTERS_MAX,
    ORDER_LINES_MAX,
    SERVICE_LEVEL_CHARACTERS_MAX,
)
from engine.lifecycle import Action
from engine.outcomes import Namespace
from engine.payments import capability, flags_of
from kernels.columns import NO_NODE, NONE
from kernels.life import Condition, Disposition, PayMethod, RefundTo, ReturnFlag, ReturnKind, Step
from kernels.shipments import PACKED_ONLY
from server.errors import Rejection, invalid
from server.gather import ActRow, StepRow
from server.lookup import Lookup
from server.naming import NotYetKnown
from server.security import current_caller, holds_card_number, is_card_number
from server.validation.orders import actor_of, channel_of, write_key
from server.validation.values import AMOUNT_MAX, MICROSECONDS_MAX, number, request_id, shown, text

REFERENCE_CHARACTERS_MAX = 64
NUMBER_MAX = (1 << 63) - 1
WORD_CHARACTERS_MAX = SERVICE_LEVEL_CHARACTERS_MAX
_CURRENCY = re.compile("[A-Z]{3}")
_PAYMENT = (
    Step.AUTHORISE, Step.ASK_CAPTURE, Step.CAPTURE, Step.CAPTURE_FAILED, Step.FAIL, Step.ASK_VOID, Step.VOID,
    Step.LAPSE, Step.OPEN,
)  # fmt: skip
_REFUND = (Step.REFUND, Step.REFUND_FAILED, Step.RETRY_REFUND)
_SHIPMENT = (
    Step.BOOK, Step.SHIP, Step.TRANSIT, Step.OUT_FOR_DELIVERY, Step.DELIVER, Step.REFUSE, Step.RETURNING,
    Step.COME_HOME, Step.LOSE, Step.RECALL,
)  # fmt: skip
_RETURN = (Step.APPROVE, Step.REJECT, Step.WITHDRAW, Step.COLLECT, Step.RECEIVE, Step.INSPECT, Step.CLOSE)
_ACTIONS = (Action.PICK, Action.UNPICK, Action.PACK, Action.SHORT_PICK)


def new_payment(request: payments_pb2.CreatePaymentRequest, lookup: Lookup) -> StepRow:
    """A payment to make."""
    if not 1 <= request.method <= PayMethod.CHANNEL:
        message = f"method: {request.method}: give 1 to {PayMethod.CHANNEL:d}, a PaymentMethod"
        raise invalid("method", message, "NOT_A_PAYMENT_METHOD")
    method = PayMethod(request.method)
    gateway = "" if method >= PayMethod.CASH_ON_DELIVERY else text("gateway", request.gateway, WORD_CHARACTERS_MAX)
    _no_card("token", request.token, REFERENCE_CHARACTERS_MAX)
    if request.token and not capability(gateway, method).saved:
        message = f"token: {gateway or method.name} charges no saved method: leave it out, and let the customer pay"
        raise invalid("token", message, "METHOD_CANNOT")
    return _row(
        Step.PAY, request, lookup, document_id=_id("payment_id", request.payment_id), order_id=_order_id(request),
        amount=_amount("amount", request.amount), currency=_currency(request.currency, lookup),
        how=_word("gateway", gateway, lookup), flags=flags_of(gateway, method), note=request.token,
    )  # fmt: skip


def payment_step(request: payments_pb2.AdvancePaymentRequest, lookup: Lookup) -> StepRow:
    """A step of a payment."""
    step = _step("step", request.step, _PAYMENT)
    _no_card("reference", request.reference, REFERENCE_CHARACTERS_MAX)
    return _row(
        step, request, lookup, document_id=_named(request.payment_id, request.reference, "payment_id"),
        amount=_amount("amount", request.amount), currency=_currency(request.currency, lookup),
        how=_how("gateway", request.gateway, request.reference, lookup), reference=request.reference,
        at=_moment(request.at_us),
    )  # fmt: skip


def new_refund(request: payments_pb2.RefundOrderRequest, lookup: Lookup) -> StepRow:
    """Money to give back."""
    to = RefundTo(_choice("to", request.to, RefundTo))
    if to > RefundTo.BANK:
        raise invalid("to", f"to: {to.name}: the engine alone does that: give SOURCE, CREDIT or BANK", "OUT_OF_RANGE")
    payment = _id("payment_id", request.payment_id) if request.payment_id else ""
    return _row(
        Step.ASK_REFUND, request, lookup, document_id=payment, order_id=_order_id(request),
        amount=number("amount", request.amount, 1, AMOUNT_MAX, "AMOUNT_OUT_OF_RANGE"),
        currency=_currency(request.currency, lookup), flags=int(to),
    )  # fmt: skip


def refund_step(request: payments_pb2.AdvanceRefundRequest, lookup: Lookup) -> StepRow:
    """A step of a refund."""
    if not request.order_id and not request.payment_id:
        raise invalid("order_id", "order_id: it is empty, and payment_id too: name one of them", "VALUE_MISSING")
    return _row(
        _step("step", request.step, _REFUND), request, lookup,
        document_id=_id("payment_id", request.payment_id) if request.payment_id else "",
        order_id=_order_id(request) if request.order_id else "",
        number=number("number", request.number, 1, NUMBER_MAX),
    )  # fmt: skip


def new_shipment(request: shipments_pb2.CreateShipmentRequest, lookup: Lookup) -> StepRow:
    """A shipment to make."""
    return _row(
        Step.SEND, request, lookup, document_id=_id("shipment_id", request.shipment_id), order_id=_order_id(request),
        node=_node(request.node_id, lookup, is_needed=True), line=number("line", request.line, 0, ORDER_LINES_MAX),
        units=number("quantity", request.quantity, 0, LINE_UNITS_MAX), flags=PACKED_ONLY if request.packed_only else 0,
    )  # fmt: skip


def shipment_step(request: shipments_pb2.AdvanceShipmentRequest, lookup: Lookup) -> StepRow:
    """A step of a shipment."""
    step = _step("step", request.step, _SHIPMENT)
    reference = text("reference", request.reference, REFERENCE_CHARACTERS_MAX) if request.reference else ""
    if step is Step.BOOK and not request.carrier:
        raise invalid("carrier", "carrier: it is empty: name who takes the shipment", "VALUE_MISSING")
    return _row(
        step, request, lookup, document_id=_named(request.shipment_id, reference, "shipment_id"),
        amount=_amount("cost", request.cost), how=_how("carrier", request.carrier, reference, lookup),
        reference=reference, at=_moment(request.at_us), node=_node(request.node_id, lookup),
        note=_place(request.place),
        flags=_choice("disposition", request.disposition, Disposition),
    )  # fmt: skip


def new_return(request: returns_pb2.CreateReturnRequest, lookup: Lookup) -> StepRow:
    """A return to ask for."""
    kind = _choice("kind", request.kind, ReturnKind)
    condition = _choice("condition", request.condition, Condition)
    if request.as_credit and kind == ReturnKind.EXCHANGE:
        message = "as_credit: an exchange is paid for by what came back, and nothing is left: ask for one of the two"
        raise invalid("as_credit", message, "ONE_OF_TWO")
    order_id, return_id = _order_id(request), _id("return_id", request.return_id)
    how, note = _reason(request.reason, lookup)
    if current_caller().customer and not return_id.startswith(f"{order_id}-"):
        message = f"return_id: {shown(return_id)}: a customer's begins with the order's id and a dash"
        raise invalid("return_id", message, "NOT_YOURS")
    return _row(
        Step.ASK_RETURN, request, lookup, document_id=return_id, order_id=order_id, how=how, note=note,
        line=number("line", request.line, 1, ORDER_LINES_MAX),
        units=number("quantity", request.quantity, 1, LINE_UNITS_MAX),
        flags=kind | condition << 4 | (ReturnFlag.AS_CREDIT if request.as_credit else 0),
    )  # fmt: skip


def _reason(reason: str, lookup: Lookup) -> tuple[int, str]:
    """The word of a reason; what a customer gives for one that no shop has used is a note."""
    if not current_caller().customer:
        return _word("reason", reason, lookup), ""
    if reason:
        _no_card("reason", reason, WORD_CHARACTERS_MAX)
    index = lookup.find(Namespace.WORD, reason) if reason else NONE
    return (index, "") if index >= 0 else (NONE, reason)


def return_step(request: returns_pb2.AdvanceReturnRequest, lookup: Lookup) -> StepRow:
    """A step of a return. A customer may only withdraw it."""
    step = _step("step", request.step, _RETURN)
    if current_caller().customer and step is not Step.WITHDRAW:
        raise Rejection(
            grpc.StatusCode.PERMISSION_DENIED, "ROLE_NOT_ALLOWED", "step: customers may withdraw a return, no more",
            "step",
        )  # fmt: skip
    return _row(
        step, request, lookup, document_id=_id("return_id", request.return_id),
        units=number("quantity", request.quantity, 0, LINE_UNITS_MAX), node=_node(request.node_id, lookup),
        flags=_choice("disposition", request.disposition, Disposition),
    )  # fmt: skip


def unit_act(request: shipments_pb2.ActOnUnitsRequest, lookup: Lookup) -> ActRow:
    """Something that is done to units in a node."""
    if not 1 <= request.action <= len(_ACTIONS):
        raise invalid("action", f"action: {request.action}: give 1 to {len(_ACTIONS)}, a UnitAction", "OUT_OF_RANGE")
    return ActRow(
        request_id(request.request_id), channel_of("channel", request.channel, lookup), _order_id(request),
        number("line", request.line, 0, ORDER_LINES_MAX), _node(request.node_id, lookup), _ACTIONS[request.action - 1],
        number("quantity", request.quantity, 0, LINE_UNITS_MAX), 0, actor_of(lookup),
    )  # fmt: skip


def _row(
    step: Step, request: Any, lookup: Lookup, *, document_id: str = "", order_id: str = "", number: int = 0,
    line: int = 0, units: int = 0, node: int = NO_NODE, amount: int = 0, currency: int = NONE, how: int = NONE,
    reference: str = "", note: str = "", at: int = 0, flags: int = 0,
) -> StepRow:  # fmt: skip
    key = write_key(request.request_id)
    channel = channel_of("channel", request.channel, lookup) if request.channel or not reference else NONE
    return StepRow(
        key, actor_of(lookup), int(step), channel, document_id, order_id, reference, note, number, line, units, node,
        amount, currency, how, at, int(flags),
    )  # fmt: skip


def _choice(field: str, value: int, members: type[IntEnum]) -> int:
    """The engine's number of an enum of the contract, which has UNSPECIFIED before it: that is the first."""
    if not 0 <= value <= len(members):
        raise invalid(field, f"{field}: {value}: give 0 to {len(members)}", "OUT_OF_RANGE")
    return max(0, value - 1)


def _step(field: str, value: int, steps: tuple[Step, ...]) -> Step:
    if not 1 <= value <= len(steps):
        raise invalid(field, f"{field}: {value}: give 1 to {len(steps)}", "OUT_OF_RANGE")
    return steps[value - 1]


def _id(field: str, value: str) -> str:
    found = text(field, value, ORDER_ID_CHARACTERS_MAX)
    _no_card(field, value, ORDER_ID_CHARACTERS_MAX, is_id=field != "payment_id")
    return found


def _place(value: str) -> str:
    if value:
        _no_card("place", value, REFERENCE_CHARACTERS_MAX)
    return value


def _named(value: str, reference: str, field: str) -> str:
    """A document's own id; none where it is named by its reference."""
    if not value and reference:
        return ""
    return _id(field, value)


def _order_id(request: Any) -> str:
    return text("order_id", request.order_id, ORDER_ID_CHARACTERS_MAX)


def _no_card(field: str, value: str, characters_max: int, is_id: bool = False) -> None:
    """Refuse what looks like a card number: tokens only. is_id: whether others number things by it."""
    if value:
        text(field, value, characters_max)
    if is_card_number(value) if is_id else holds_card_number(value):
        message = f"{field}: it looks like a card number, and none is ever kept: give a token"
        raise invalid(field, message, "CARD_NUMBER")


def _amount(field: str, value: int) -> int:
    return number(field, value, 0, AMOUNT_MAX, "AMOUNT_OUT_OF_RANGE")


def _moment(value: int) -> int:
    return number("at_us", value, 0, MICROSECONDS_MAX, "NOT_A_TIME")


def _currency(code: str, lookup: Lookup) -> int:
    if not code:
        return NONE
    if not _CURRENCY.fullmatch(code):
        raise invalid("currency", f"currency: {code!r}: give three capitals, as INR", "NOT_A_CURRENCY")
    return _word("currency", code, lookup)


def _how(field: str, name: str, reference: str, lookup: Lookup) -> int:
    """Gateway or carrier; a reference needs one."""
    if reference and not name:
        raise invalid(field, f"{field}: it is empty: {reference!r} is a name of whose?", "VALUE_MISSING")
    return _word(field, name, lookup)


def _word(field: str, name: str, lookup: Lookup) -> int:
    if not name:
        return NONE
    _no_card(field, name, WORD_CHARACTERS_MAX)
    index = lookup.find(Namespace.WORD, name)
    if index < 0:
        raise NotYetKnown(field, Namespace.WORD, name)
    return index


def _node(name: str, lookup: Lookup, is_needed: bool = False) -> int:
    if not name and not is_needed:
        return NO_NODE
    text("node_id", name, NODE_ID_CHARACTERS_MAX)
    index = lookup.find(Namespace.NODE, name)
    if index < 0:
        raise invalid("node_id", f"node_id: {name!r} is not known: add it by PutNodes", "UNKNOWN_NODE")
    return index
