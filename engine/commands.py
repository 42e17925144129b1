"""What may be asked of the engine: each command a batch of columns, texts of the catalogue already indices.

One request is a batch of one. Everything here was validated at the edge (engine/intake, later the server): indices
exist, quantities are within limits. Business refusals are outcomes (engine/outcomes.py), not errors.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa

from engine.ragged import elements, offsets, rows_of
from engine.terms import TERMS

ORDER_OPTIONS = (
    "placed_at", "currency", "payment_method", "service_level", "ship_by", "deliver_by", "customer", *TERMS,
    "pay_by", "order_discount", "shipping_fee", "shipping_fee_tax",
)  # fmt: skip
LINE_OPTIONS = ("unit_price", "discount", "tax", "line_discount", "line_tax")
FROZEN = ("goods", "goods_tax", "shipping", "shipping_tax")  # what lines come to by these: engine/money.py


@dataclass(frozen=True)
class Parts:
    """Where the units of lines are to come from (engine/planning.py). Advice: an order whose parts do not fit is
    decided by nearest."""

    part_count: Any  # int32 [line]
    node: Any  # int16 [part], ascending in a line; NO_NODE: short, the last of its line
    quantity: Any  # int32 [part] units; those of a line add up to its own
    extra_cost: Any = None  # int64 [line] minor units, or not told: engine/planning.py says what it is

    def take(self, lines: Any) -> "Parts":
        """Those of some lines."""
        parts = elements(offsets(self.part_count), lines)
        extra_cost = None if self.extra_cost is None else self.extra_cost[lines]
        return Parts(self.part_count[lines], self.node[parts], self.quantity[parts], extra_cost)


@dataclass(frozen=True)
class PlaceOrders:
    """Orders to allocate and keep. An order's id is its idempotency key in its channel."""

    order_id: pa.StringArray  # [order]
    channel: Any  # int16 [order]
    postal_code: Any  # int32 [order]
    first_line: Any  # int64 [order + 1]
    sku: Any  # int32 [line]
    quantity: Any  # int32 [line] units
    # Columns of ORDER_OPTIONS [order], of LINE_OPTIONS and FROZEN [line].
    options: Mapping[str, Any] = field(default_factory=dict)
    planned: Parts | None = None  # the nearest nodes where there is none, or it does not fit; carts have none

    def take(self, rows: Any) -> "PlaceOrders":
        """Some of the orders, in the order given."""
        lines = elements(self.first_line, rows)
        first = np.zeros(rows.size + 1, np.int64)
        np.cumsum(self.first_line[rows + 1] - self.first_line[rows], out=first[1:])
        of_lines = {name: column for name, column in self.options.items() if name in (*LINE_OPTIONS, *FROZEN)}
        of_orders = {name: column for name, column in self.options.items() if name not in of_lines}
        options = rows_of(of_lines, lines) | rows_of(of_orders, rows)
        return type(self)(
            self.order_id.take(pa.array(rows)), self.channel[rows], self.postal_code[rows], first, self.sku[lines],
            self.quantity[lines], options, self.planned and self.planned.take(lines), **self._more(rows),
        )  # fmt: skip

    def _more(self, rows: Any) -> dict[str, Any]:
        return {}


@dataclass(frozen=True)
class Reserve(PlaceOrders):
    """Units to hold for carts; order_id is the reservation's id, its idempotency key."""

    expires_at: Any = None  # int64 [order] UTC us

    def _more(self, rows: Any) -> dict[str, Any]:
        return {"expires_at": self.expires_at[rows]}


@dataclass(frozen=True)
class Confirm:
    """Reservations to turn into orders."""

    request_id: pa.StringArray  # [request] idempotency key; an order id may serve
    order_id: pa.StringArray  # [request]
    channel: Any  # int16 [request]
    reservation_id: pa.StringArray  # [request]
    postal_code: Any  # int32 [request] NONE: that of the reservation


@dataclass(frozen=True)
class Release:
    """Reservations to end without an order."""

    request_id: pa.StringArray  # [request]
    channel: Any  # int16 [request]
    reservation_id: pa.StringArray  # [request]


@dataclass(frozen=True)
class ActOnUnits:
    """Pick, pack, ship, deliver, take back or cancel units of orders."""

    request_id: pa.StringArray  # [request]
    channel: Any  # int16 [request]
    order_id: pa.StringArray  # [request]
    line: Any  # int32 [request] position in the order, from 1; 0: every line
    node: Any  # int16 [request] NO_NODE: any
    action: Any  # uint8 [request] engine.lifecycle.Action
    quantity: Any  # int32 [request] units; 0: all there are
    restock: Any  # uint8 [request] of a return: 0 nothing, 1 on hand, 2 on hand and unavailable
    actor: Any = None  # int16 [request] word: who asks; NONE, or no column: not told


@dataclass(frozen=True)
class TakeSteps:
    """Steps of payments, refunds, shipments and returns. One request may have many, under its one key."""

    request_id: pa.StringArray  # [request]
    request_channel: Any  # int16 [request] of its key; NONE: of no channel
    actor: Any  # int16 [request] word: who asks; NONE: not told
    first_row: Any  # int64 [request + 1]
    step: Any  # uint8 [row] kernels.life.Step
    channel: Any  # int16 [row] of the order, of the document's id; NONE where it is named by its reference
    document_id: pa.StringArray  # [row] of a payment (of a refund too), a shipment or a return; "": by its reference
    order_id: pa.StringArray  # [row] for new documents, and for refunds
    reference: pa.StringArray  # [row] what gateway or carrier call it; ""
    note: pa.StringArray  # [row] where a scan was made; of a new payment the token of a saved method; ""
    number: Any  # int64 [row] of a refund; 0
    line: Any  # int32 [row] position from 1; 0: every line
    units: Any  # int32 [row] 0: all
    node: Any  # int16 [row] NO_NODE: not told
    amount: Any  # int64 [row] minor units; 0: all
    currency: Any  # int16 [row] word; NONE: not told
    how: Any  # int16 [row] word: gateway, carrier or reason; NONE
    at: Any  # int64 [row] UTC us; 0: now
    flags: Any  # int32 [row] as the step has them: kernels/life.py


@dataclass(frozen=True)
class MoveStock:
    """One stock statement or movement: received, adjusted, unavailable are changes; counted, safety stock are
    figures.
    """

    request_id: str
    sku: Any  # int32 [row]
    node: Any  # int16 [row]
    kind: Any  # uint8 [row] engine.outcomes.MovementKind
    quantity: Any  # int32 [row] units
    source: int = -1  # name index of who counted; -1: not a statement
    counted_at: int = 0  # UTC us
    cause: int = 0  # engine.outcomes.Cause; 0: by kind
    reference: int = 0  # what caused it: a number of the caller's


@dataclass(frozen=True)
class PutSupply:
    """Units that are expected at nodes from now on, by reference. A key (SKU, node, reference) has one date."""

    request_id: str
    sku: Any  # int32 [row]
    node: Any  # int16 [row]
    reference: Any  # int64 [row] of the caller's, such as the number of a purchase order; 1 or more
    units: Any  # int32 [row] still to come; 0: none any more
    due_at: Any  # int64 [row] UTC us, 1 or more; of 0 units any


@dataclass(frozen=True)
class Reallocate:
    """Nodes to be left by what is reserved or allocated there and not yet picked: the next orders of the channels of
    one priority. Whoever asks goes through the priorities, lowest first, and through the orders of each."""

    request_id: str
    nodes: Any  # uint8 [NODES_MAX] 1: to be left
    priority: int
    after: int  # number of the last order that was looked at; 0: from the oldest
    upto: int  # number of the last order to look at
    short: bool = False  # whether units that find no other node become short; else they stay


@dataclass(frozen=True)
class Reevaluate:
    """Allocated units to move where that is cheaper, order by order, each wholly or not at all. Advice, as Parts is."""

    request_id: str
    asked: bytes  # what was asked for: the same again is the same request, whatever the plan
    order: Any  # int32 [order] row
    number: Any  # int64 [order]
    seen: Any  # uint64 [order] its parts when it was planned, as one figure
    saving: Any  # int64 [order] minor units, what moving costs taken off
    first_move: Any  # int64 [order + 1]
    line: Any  # int32 [move] row
    node: Any  # int16 [move] the one to leave
    to_node: Any  # int16 [move]
    quantity: Any  # int32 [move] units


@dataclass(frozen=True)
class PutNames:
    """SKUs, stock sources and other words that need nothing but a name."""

    request_id: str
    namespace: int  # engine.outcomes.Namespace
    names: pa.StringArray


@dataclass(frozen=True)
class PutNodes:
    """Nodes to add, move, open or close."""

    request_id: str
    node_id: pa.StringArray  # [node]
    latitude_e7: Any  # int32 [node] 1e-7 degrees
    longitude_e7: Any  # int32 [node]
    active: Any  # uint8 [node] 0: allocates nothing more
    orders_per_day: Any = None  # int32 [node] engine.capacity.UNLIMITED: any number. None: no node has a limit
    units_per_day: Any = None  # int32 [node] likewise
    day_starts_at: Any = None  # int16 [node] minutes after midnight: orders after it count on the next day
    utc_offset_minutes: Any = None  # int16 [node] of the node's clock


@dataclass(frozen=True)
class PutPostalCodes:
    """Postal codes and where they are."""

    request_id: str
    postal_code: pa.StringArray  # [code]
    latitude_e7: Any  # int32 [code]
    longitude_e7: Any  # int32 [code]
    area: Any  # uint8 [code] 1 where only the first three digits are known


@dataclass(frozen=True)
class PutChannels:
    """Channels and their policies."""

    request_id: str
    channel: pa.StringArray  # [channel]
    nodes: Any  # uint64 [channel, 4] bit of each node of its group
    priority: Any  # int32 [channel] lower is served first
    on_short: Any  # uint8 [channel] kernels.columns.OnShort
    split: Any  # uint8 [channel]
    share_ppm: Any  # int32 [channel] 0 to 1,000,000
    buffer: Any  # int32 [channel] units
    cap: Any  # int32 [channel] units
    threshold: Any  # int32 [channel] units
    buffer_ppm: Any  # int32 [channel] 0 to 1,000,000
    closed: Any  # uint8 [channel] 1: publishes 0, takes nothing new, and its ring-fences end
    preferred: Any = None  # uint64 [channel, 4] bits of nodes that are asked first whether one gives everything
    excluded: Any = None  # uint64 [channel, 4] bits of nodes that are taken out of the group


@dataclass(frozen=True)
class PutExceptions:
    """Policies of channels for single SKUs."""

    request_id: str
    channel: Any  # int16 [row]
    sku: Any  # int32 [row]
    share_ppm: Any  # int32 [row]
    buffer: Any  # int32 [row]
    cap: Any  # int32 [row]
    threshold: Any  # int32 [row]
    buffer_ppm: Any  # int32 [row]


@dataclass(frozen=True)
class PutReturnPolicies:
    """What may be returned, all of it from now on: engine/policies.py."""

    request_id: str
    channel: Any  # int16 [policy] NONE: any
    category: Any  # int16 [policy] word; NONE: any
    return_within: Any  # int64 [policy] us after the delivery; 0: never
    claim_within: Any  # int64 [policy] us
    refund_within: Any  # int64 [policy] us after units came back
    fee: Any  # int64 [policy] minor units a unit, for the way back
    conditions: Any  # int32 [policy] bit of each kernels.life.Condition that is taken
    flags: Any  # uint8 [policy] kernels.steps.AUTO_APPROVES, REFUNDS_SHIPPING, EXCHANGES


@dataclass(frozen=True)
class PutCategories:
    """Categories of SKUs, which return policies may be for."""

    request_id: str
    sku: Any  # int32 [row]
    category: Any  # int16 [row] word; NONE: none


@dataclass(frozen=True)
class PutRegions:
    """Tax regions of nodes and postal codes."""

    request_id: str
    node: Any  # int16 [row] NO_NODE where a postal code is meant
    postal_code: Any  # int32 [row] NONE where a node is meant
    region: Any  # int16 [row] word; NONE: not known


@dataclass(frozen=True)
class PutFences:
    """Ring-fences: units of a SKU at a node kept for a channel, from now on."""

    request_id: str
    channel: Any  # int16 [row]
    sku: Any  # int32 [row]
    node: Any  # int16 [row]
    units: Any  # int32 [row]


@dataclass(frozen=True)
class Retire:
    """Free the rows of orders closed before a moment."""

    closed_before: int  # UTC us


@dataclass(frozen=True)
class Forget:
    """Forget the keys of commits before a sequence."""

    before_sequence: int


Put = (
    PutNames
    | PutNodes
    | PutPostalCodes
    | PutChannels
    | PutExceptions
    | PutFences
    | PutReturnPolicies
    | PutCategories
    | PutRegions
)
Command = (
    PlaceOrders
    | Reserve
    | Confirm
    | Release
    | ActOnUnits
    | TakeSteps
    | MoveStock
    | PutSupply
    | Reallocate
    | Reevaluate
    | Retire
    | Forget
    | Put
)
