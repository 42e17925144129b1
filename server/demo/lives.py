"""A share of the orders is taken all the way: paid, shipped, tracked, delivered or lost, and some of it comes back.

The customers and the warehouse are here; the gateway, the carriers and the workers are processes of their own.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import httpx

from allot.v1 import life_pb2, types_pb2
from allot_client import Client, Unknown
from server.demo.hour import SINGLE, Hour
from server.demo.outsiders import Outsiders

LIVES_MAX = 240
CASH_EVERY, LOST_EVERY, RETURNED_EVERY = 4, 40, 12  # one of so many orders, parcels, delivered orders
SCANS = 5
WITHIN_SECONDS = 90.0
FEE, FEE_TAX, FREE_FROM = 4_900, 245, 49_900  # of shipping, paise; free from so much on
TAX_PERCENT = 5
MARKETPLACES = ("amazon.in", "flipkart")
Advance = Callable[[int], None]


@dataclass
class LivesTally:
    """What became of them."""

    by_method: dict[str, int] = field(default_factory=dict)
    parcels: int = 0
    delivered: int = 0
    lost: int = 0
    returned: int = 0
    balances: dict[str, int] = field(default_factory=dict)  # paise by account
    shown: tuple[str, str] | None = None  # channel and id of one that came back

    @property
    def orders(self) -> int:
        """How many."""
        return sum(self.by_method.values())


def price(sku: str) -> int:
    """Paise of a unit, before tax: simulated."""
    return 19_900 + 100 * (int(sku.rpartition("-")[2]) * 37 % 1_800)


def priced(draft: dict[str, Any], number: int) -> dict[str, Any]:
    """An order with prices, tax, the shipping fee, and how it is paid."""
    lines = [
        {"sku": sku, "quantity": units, "unit_price": price(sku), "tax": price(sku) * TAX_PERCENT // 100}
        for sku, units in draft["lines"]
    ]
    goods = sum(line["quantity"] * line["unit_price"] for line in lines)
    method = "cash_on_delivery" if number % CASH_EVERY == 0 else "card"
    fee = {} if goods >= FREE_FROM else {"shipping_fee": FEE, "shipping_fee_tax": FEE_TAX}
    is_theirs = draft["channel"] in MARKETPLACES
    return {**draft, "lines": lines, "currency": "INR", **fee, "payment_method": "channel" if is_theirs else method}


def whole_life(client: Client, channel: str, order_id: str) -> Any:
    """An order that was given back, with its time line once the views have all of it."""
    ends = time.monotonic() + WITHIN_SECONDS
    while True:
        found = client.get_life(channel, order_id)
        if any(told.what == "REFUND" for told in found.life.timeline):
            return found
        if time.monotonic() > ends:
            raise TimeoutError(f"the views did not take in the life of {order_id} within {WITHIN_SECONDS:.0f} s")
        time.sleep(0.05)


class Lives:
    """Some orders on their way."""

    def __init__(self, client: Client, outside: Outsiders, hour: Hour, advance: Advance) -> None:
        self._client, self._outside, self._hour, self._advance = client, outside, hour, advance
        self._http = httpx.Client(timeout=30)
        self.tally = LivesTally()

    def run(self) -> LivesTally:
        """All the way. Raises TimeoutError where something outside does not come."""
        orders = self._orders()
        self._pay([order for order in orders if order["payment_method"] == "card"])
        shipped = self._ship(orders)
        for _ in range(SCANS):
            for url in self._outside.carriers.values():
                self._http.post(f"{url}/advance").raise_for_status()
        self._count(shipped)
        self._send_back(shipped)
        ledger = self._client.get_ledger()
        self.tally.balances = {one.account: one.amount for one in ledger.balances}
        self._http.close()
        return self.tally

    def _orders(self) -> list[dict[str, Any]]:
        """Those that have a node for every unit."""
        found = []
        for number in self._hour.by(SINGLE).tolist():
            draft = priced(self._hour.draft(number), number)
            try:
                order = self._client.get_order(draft["channel"], draft["order_id"])
            except Unknown:
                continue
            if order.state == types_pb2.ORDER_STATE_ALLOCATED:
                found.append(draft | {"nodes": sorted({part.node_id for part in order.parts})})
            if len(found) == LIVES_MAX:
                break
        for draft in found:
            method = draft["payment_method"]
            self.tally.by_method[method] = self.tally.by_method.get(method, 0) + 1
        return found

    def _pay(self, orders: list[dict[str, Any]]) -> None:
        """The customers pay at the gateway, once its worker has opened their payments."""
        for order in orders:
            self._client.create_payment(
                order["channel"], order["order_id"], f"P-{order['order_id']}", method="card", gateway="local"
            )
        for order in orders:
            reference = self._until(partial(self._opened, order), "a payment that is opened")
            self._http.post(f"{self._outside.gateway}/v1/orders/{reference}/pay", json={"method": "card"})
        for order in orders:
            self._until(partial(self._is_authorised, order), "a payment that is authorised")
            self._advance(1)

    def _payment(self, order: dict[str, Any]) -> Any:
        return self._client.get_payment(channel=order["channel"], payment_id=f"P-{order['order_id']}").payment

    def _opened(self, order: dict[str, Any]) -> str:
        return str(self._payment(order).reference)

    def _is_authorised(self, order: dict[str, Any]) -> bool:
        return bool(self._payment(order).state == life_pb2.PAYMENT_STATE_AUTHORISED)

    def _is_given_back(self, order: dict[str, Any]) -> bool:
        return bool(self._payment(order).refunded > 0)

    def _ship(self, orders: list[dict[str, Any]]) -> list[tuple[dict[str, Any], str]]:
        """Picked, packed, and given to carriers, a parcel a node; (order, shipment id)."""
        made = []
        for order in orders:
            for node in order["nodes"]:
                shipment = f"S-{order['order_id']}-{node}"
                for action in ("pick", "pack"):
                    self._client.act_on_units(order["channel"], order["order_id"], action, node_id=node)
                self._client.create_shipment(order["channel"], order["order_id"], shipment, node)
                made.append((order, shipment))
        for number, (order, shipment) in enumerate(made):
            found = self._until(partial(self._booked, order, shipment), "a parcel that is booked")
            if number % LOST_EVERY == LOST_EVERY - 1:
                url = f"{self._outside.carriers[found.carrier]}/shipments/{found.reference}/fate"
                self._http.put(url, json={"fate": "LOSE"}).raise_for_status()
        self.tally.parcels = len(made)
        return made

    def _shipment(self, order: dict[str, Any], shipment: str) -> Any:
        return self._client.get_shipment(channel=order["channel"], shipment_id=shipment).shipment

    def _booked(self, order: dict[str, Any], shipment: str) -> Any:
        found = self._shipment(order, shipment)
        return found if found.reference else None

    def _count(self, shipped: list[tuple[dict[str, Any], str]]) -> None:
        states = [self._shipment(*one).state for one in shipped]
        self.tally.delivered = states.count(life_pb2.SHIPMENT_STATE_DELIVERED)
        self.tally.lost = states.count(life_pb2.SHIPMENT_STATE_LOST)
        for (order, _), state in zip(shipped, states, strict=True):
            order["arrived"] = order.get("arrived", True) and state == life_pb2.SHIPMENT_STATE_DELIVERED

    def _send_back(self, shipped: list[tuple[dict[str, Any], str]]) -> None:
        """A unit of some orders comes back, and the money goes back by the way it came."""
        arrived = {order["order_id"]: order for order, _ in shipped if order["arrived"]}
        cards = [order for order in arrived.values() if order["payment_method"] == "card"]
        chosen = {order["order_id"]: order for order in [*cards[:1], *list(arrived.values())[::RETURNED_EVERY]]}
        for order in chosen.values():
            channel, return_id = order["channel"], f"R-{order['order_id']}"
            self._client.create_return(
                channel, order["order_id"], return_id, 1, 1, condition="unused", reason="does not fit"
            )
            for step in ("approve", "collect", "receive", "inspect"):
                self._client.advance_return(step, channel, return_id)
            self.tally.returned += 1
        for order in chosen.values():
            if order["payment_method"] == "card":
                self._until(partial(self._is_given_back, order), "money that is given back")
                self.tally.shown = self.tally.shown or (order["channel"], order["order_id"])

    def _until(self, look: Callable[[], Any], what: str) -> Any:
        ends = time.monotonic() + WITHIN_SECONDS
        while not (found := look()):
            if time.monotonic() > ends:
                raise TimeoutError(f"{what} did not come within {WITHIN_SECONDS:.0f} s: see the logs of those outside")
            time.sleep(0.02)
        return found
