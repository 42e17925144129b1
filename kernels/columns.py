"""The columns of the state: which arrays there are, their shapes and units. Kernels read and write them;
engine/state.py owns them.

Rows of orders, lines and parts come from a high-water mark and, once freed, from free lists, so that the same effects
always give the same rows. Indices are local to one engine.
"""

from enum import IntEnum
from typing import NamedTuple

import numpy as np

from kernels.options import I16, I32, I64, U8, U64, I32x2, I32x3, I64x2, U8x2, U64x2

NODES_MAX = 256
NO_NODE = -1
NONE = -1  # no row, end of a list
UNITS_MAX = 1_000_000_000  # of one figure of one cell, and of one order line


class Figure(IntEnum):
    """The integers of one (SKU, node) cell, in units."""

    ON_HAND = 0
    UNAVAILABLE = 1
    ALLOCATED = 2  # bound to orders and still at the node: allocated, picked or packed
    RESERVED = 3
    SAFETY_STOCK = 4
    PICKED = 5  # the part of ALLOCATED that has left the shelf: picked or packed
    DEFICIT = 6  # max(0, reserved + allocated - on hand): what a stock count could not take back
    SPARE = 7


class Stage(IntEnum):
    """Where units of a line are. The numbers stand in the journal."""

    SHORT = 0
    BACK_ORDERED = 1
    ALLOCATED = 2
    PICKED = 3
    PACKED = 4
    SHIPPED = 5
    DELIVERED = 6
    RETURNED = 7
    CANCELLED = 8
    RESERVED = 9  # held by a reservation; units of a reservation that a count took away are SHORT


class Cells(NamedTuple):
    """Stock per (SKU, node). A SKU without a row has no stock anywhere."""

    row_of: I32  # [sku] row, or NONE
    figures: I32x3  # [row, node, Figure] units
    available: I32x2  # [row, node] max(0, on hand - unavailable - allocated - reserved - safety stock), units; derived
    stocked: U64x2  # [row, word] bit of a node set where available > 0; derived


class Fences(NamedTuple):
    """Ring-fences: a list per SKU, in no order. Backed in channel order, that is by channel index."""

    head: I32  # [sku] first fence, or NONE
    node: I16  # [fence]
    channel: I16  # [fence]
    remaining: I32  # [fence] units still kept
    next: I32  # [fence] next fence of the SKU, or NONE


class Policies(NamedTuple):
    """What each channel may do and publish."""

    nodes: U64x2  # [channel, word] bit of each node of its group
    split: U8  # [channel] 1 where an order may leave from several nodes
    on_short: U8  # [channel] OnShort
    priority: I32  # [channel] lower is served first
    share_ppm: I32  # [channel] millionths
    buffer: I32  # [channel] units
    cap: I32  # [channel] units
    threshold: I32  # [channel] units: below it ATS is 0
    buffer_ppm: I32  # [channel] millionths of what share and ring-fences give
    exception_head: I32  # [sku] first exception, or NONE
    exception_channel: I16  # [exception]
    exception_figures: I32x2  # [exception, figure] as POLICY_FIGURES has them
    exception_next: I32  # [exception] next exception of the SKU, or NONE
    preferred: U64x2  # [channel, word] bit of each node that is asked first whether it can give everything


class Capacity(NamedTuple):
    """What nodes can still be given on their present day."""

    limited: U64  # [word] bit of each node that has a limit
    left: I64x2  # [node, 2] orders and units; only those of nodes with a limit count


POLICY_FIGURES = ("share_ppm", "buffer", "cap", "threshold", "buffer_ppm")  # what exceptions of single SKUs may set


class Places(NamedTuple):
    """Postal codes against nodes."""

    metres: I32x2  # [postal code, node] great-circle distance, whole metres
    rank: U8x2  # [postal code, k] the k-th nearest node: by metres, then by node order


WORDS_MAX = 1 << 15  # currencies, methods, gateways, carriers, reasons, regions, names of tokens: columns of int16


class OnShort(IntEnum):
    """What a channel does with units that no node can give."""

    REFUSE = 0
    BACK_ORDER = 1
    KEEP = 2


class Outcome(IntEnum):
    """What became of one order or reservation. The numbers stand in the journal."""

    ALLOCATED = 1  # every unit has a node
    PARTLY = 2  # some units have a node
    SHORT = 3  # no unit has a node
    REFUSED = 4  # units were short and the channel refuses such orders: nothing was allocated


class Rule(IntEnum):
    """How the nodes of an order were chosen. The numbers stand in the journal."""

    NOT_NOTED = 0  # by a program that noted no reasons
    NEAREST = 1  # kernels/nearest.py
    LEAST_COST = 2  # by a plan over a whole batch (engine/planning.py)
    PRICED = 3  # by cost and prices of stock (kernels/cheapest.py)


class OrderKind(IntEnum):
    """What a row of the order columns is."""

    FREE = 0
    RESERVATION = 1
    ORDER = 2


class Orders(NamedTuple):
    """Open orders and reservations, a row each."""

    number: I64  # [order] 64-bit id: cell << 48 | counter, never reused
    location: I64  # [order] where the journal has it: sequence << 20 | place in the record
    due_at: I64  # [order] UTC us: a reservation expires, a closed order was closed; 0 for an open order
    channel: I16  # [order]
    postal_code: I32  # [order]
    kind: U8  # [order] OrderKind
    first: I32  # [order] first line; in a free row the next free row


class Lines(NamedTuple):
    """Lines of the orders above, linked in their order's sequence."""

    order: I32  # [line]
    sku: I32  # [line]
    quantity: I32  # [line] units ordered
    first: I32  # [line] first part
    next: I32  # [line] next line of the order, or NONE; in a free row the next free row


class Parts(NamedTuple):
    """Units of one line at one node in one stage. Ordered = sum of a line's parts, always."""

    line: I32  # [part]
    node: I16  # [part] NO_NODE where short, back-ordered or cancelled before it had one
    stage: U8  # [part] Stage
    quantity: I32  # [part] units
    fenced: I32  # [part] units of it that came out of the channel's ring-fence as it stands now
    next: I32  # [part] next part of the line, or NONE; in a free row the next free row
    next_waiting: I32  # [part] next back-ordered part of the SKU, or NONE


class Head(IntEnum):
    """Counters of the book: high-water marks, first free rows, and what is open."""

    ORDERS = 0
    LINES = 1
    PARTS = 2
    FREE_ORDER = 3
    FREE_LINE = 4
    FREE_PART = 5
    CELL_ROWS = 6
    LAST_NUMBER = 7
    OPEN_ORDERS = 8
    OPEN_RESERVATIONS = 9
    WAITING_PARTS = 10
    CHANGED_ROWS = 11
    EXPIRIES = 12
    DOCUMENTS = 13
    FREE_DOCUMENT = 14
    ITEMS = 15
    FREE_ITEM = 16
    TOUCHED_ORDERS = 17


class Expiries(NamedTuple):
    """When reservations expire, orders are to be paid and authorisations end: a heap, earliest first. Entries of those
    that ended stay until they are due."""

    at: I64  # [entry] UTC us
    number: I64  # [entry] its number
    order: I32  # [entry] its row


class Money(NamedTuple):
    """What orders with prices owe for the units that neither left nor were cancelled, frozen when they were taken."""

    currency: I16  # [order] index of its word + 1; 0: the order has no prices
    method: U8  # [order] PayMethod; 0: not told
    kept: I64  # [order] minor units of what came back that are not given back; below 0: forgiven
    pay_by: I64  # [order] UTC us, until when it must be paid; 0: it need not be
    units: I32  # [line] that neither left nor were cancelled
    amounts: I64x2  # [line, Amount] minor units of all of these together


TOUCHED, LESSENED = 1, 2  # anything happened to an order; units that were to leave are gone, or elsewhere


class Documents(NamedTuple):
    """Payments, refunds, shipments and returns of open orders, a row each, linked in their order, newest first."""

    of_order: I32  # [order] newest document of the order + 1; 0: none
    touched: U8  # [order] TOUCHED and LESSENED where that happened to an order with documents since the commit began
    touched_rows: I32  # [TOUCHED_ORDERS] those rows
    number: I64  # [document] 64-bit id out of the sequence of orders
    location: I64  # [document] sequence << 20 | place of the document among those of its commit
    order: I32  # [document] row of its order
    next: I32  # [document] next older one of the order, or NONE; in a free row the next free row
    kind: U8  # [document] DocumentKind
    state: U8  # [document] a state of its kind
    how: I16  # [document] word: gateway, carrier or reason; NONE: not told
    node: I16  # [document] NO_NODE where it has none
    of: I32  # [document] of a refund its payment, of a return its item, of a shipment its first item; NONE
    flags: U8  # [document] as its kind has them: kernels/documents.py
    figures: I64x2  # [document, k] as its kind has them: PaymentFigure and so on
    referenced: I64  # [document] sequence of the commit that told what others call it; 0: none


class Items(NamedTuple):
    """Units of one line in one shipment, linked in their shipment."""

    document: I32  # [item]
    line: I32  # [item]
    next: I32  # [item] next item of the shipment, or NONE; in a free row the next free row
    units: I32  # [item]
    left: I32  # [item] units that are still charged, once it has left
    amounts: I64x2  # [item, ItemAmount] minor units of those together


class Book(NamedTuple):
    """All order columns together."""

    orders: Orders
    lines: Lines
    parts: Parts
    money: Money
    documents: Documents
    items: Items
    invoices: I64  # [series] invoices so far; a series is a tax region's word + 1, 0: not known
    heads: I64  # [Head]
    waiting: I32  # [sku] first back-ordered part, or NONE
    digest: U64  # [1] sum of the row hashes of orders, lines, parts and cells (kernels/digest.py)
    sku_of_row: I32  # [cell row]
    changed: U8  # [cell row] 1 where a figure changed since ATS was last computed
    changed_rows: I32  # [CHANGED_ROWS] those rows


class Batch(NamedTuple):
    """Orders to be allocated together, decided in their order. Lines of one order stand side by side."""

    channel: I16  # [order]
    postal_code: I32  # [order]
    first_line: I64  # [order + 1]
    sku: I32  # [line]
    quantity: I32  # [line] units, 1 or more
    nodes_max: U8  # [order] that may give to it together; 0: any number
    complete: U8  # [order] 1: all units or none are drawn


def no_terms(orders: int) -> tuple[U8, U8]:
    """The last two columns of a batch whose orders take what there is, from any number of nodes."""
    return np.zeros(orders, np.uint8), np.zeros(orders, np.uint8)


class Drawn(NamedTuple):
    """The parts that a batch drew, in line order: what each line takes from which node, the short rest last."""

    outcome: U8  # [order] Outcome
    part_count: I32  # [line] parts of the line; 0 where the order was refused
    node: I16  # [part] NO_NODE where short
    quantity: I32  # [part] units
    fenced: I32  # [part] units of it that came out of the channel's ring-fence
    metres: I32  # [part] whole metres to the postal code; 0 where short
    rule: U8  # [order] Rule
    passed: U64x2  # [line, word] bits of the nodes that were passed over with units of the line (kernels/reasons.py)
    full: U64x2  # [order, word] bits of the nodes of the channel's group that had no capacity left for the order
    extra_cost: I64  # [line] minor units beyond the cheapest node, were the line alone; no rows: not asked for
