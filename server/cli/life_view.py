"""The life of an order for people: what it owes, its documents, and what happened to it, oldest first."""

from datetime import UTC, datetime
from typing import Any

from allot.v1 import events_pb2, life_pb2
from server.cli.answers import short, show_rows
from server.cli.output import say, show_table


def show_life(found: Any) -> None:
    """Of a GetOrderResponse with its life."""
    life = found.life
    if life.balance.currency:
        _show_balance(life.balance)
    rows = [
        *(_payment(one) for one in life.payments), *(_refund(one) for one in life.refunds),
        *(_shipment(one) for one in life.shipments), *(_return(one) for one in life.returns),
    ]  # fmt: skip
    if rows:
        names = ("document", "number", "id", "state", "amount", "by", "reference")
        show_rows("what belongs to it", names, sorted(rows, key=lambda row: row[1]))
    if life.timeline:
        show_rows("time line (UTC)", _NAMES, [_happening(one, life) for one in life.timeline])
    elif not life.timeline_sequence:
        say("no time line: the server keeps no views (--views)")


def money(minor: int) -> str:
    """Minor units as people write them: two decimals, as of rupees; empty for none."""
    return f"{'-' if minor < 0 else ''}{abs(minor) // 100:,}.{abs(minor) % 100:02d}" if minor else ""


def _show_balance(balance: Any) -> None:
    rows = [
        ("still to leave", balance.to_come), ("charged", balance.charged), ("captured", balance.captured),
        ("given back", balance.refunded),
        ("owed", balance.to_come + balance.charged - balance.captured + balance.refunded),
    ]  # fmt: skip
    show_table(f"money, {balance.currency}", [(name, money(value) or "0.00") for name, value in rows])


def _payment(one: Any) -> tuple[Any, ...]:
    method = life_pb2.PaymentState.Name(one.state).removeprefix("PAYMENT_STATE_").lower()
    return ("payment", one.number, one.payment_id, method, money(one.amount), one.gateway, one.reference)


def _refund(one: Any) -> tuple[Any, ...]:
    state, to = short(life_pb2.RefundState, one.state).lower(), short(life_pb2.RefundTo, one.to).lower()
    return ("refund", one.number, "", state, money(one.amount), f"to {to}", f"of payment {one.payment_number}")


def _shipment(one: Any) -> tuple[Any, ...]:
    worth = sum(
        item.goods + item.tax + item.tax_2 + item.shipping + item.shipping_tax + item.shipping_tax_2
        for item in one.items
    )
    state = short(life_pb2.ShipmentState, one.state).lower()
    by = " ".join(part for part in (one.carrier, f"from {one.node_id}") if part)
    return ("shipment", one.number, one.shipment_id, state, money(worth), by, one.reference)


def _return(one: Any) -> tuple[Any, ...]:
    kind, state = short(life_pb2.ReturnKind, one.kind).lower(), short(life_pb2.ReturnState, one.state).lower()
    units = f"{one.accepted} of {one.quantity} x line {one.line} accepted"
    return (kind, one.number, one.return_id, state, money(one.credited), units, one.reason)


_NAMES = ("when", "what", "of", "line", "units", "amount", "node", "cause", "who", "reference")


def _happening(one: Any, life: Any) -> tuple[Any, ...]:
    at = datetime.fromtimestamp(one.stamp_us / 1e6, UTC).strftime("%Y-%m-%d %H:%M:%S.%f")[:-3]
    cause = short(events_pb2.Cause, one.cause).lower() if one.cause else ""
    return (
        at, one.what.lower().replace("_", " "), _whose(one.number, life), one.line or "", one.quantity or "",
        money(one.amount), one.node_id, cause, one.actor, one.reference,
    )  # fmt: skip


def _whose(number: int, life: Any) -> str:
    """Which document a number is."""
    if not number:
        return "units"
    for name, some in (
        ("payment", life.payments), ("refund", life.refunds), ("shipment", life.shipments), ("return", life.returns),
    ):  # fmt: skip
        if any(one.number == number for one in some):
            return f"{name} {number}"
    return str(number)
