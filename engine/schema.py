"""What a journal record holds: its tables, their columns and types. The one definition; encoder, replay, views and
export read it.

A commit is a list of tables, applied in their order. Tables and columns have numbers that are never reused: records
evolve by addition. A column that is `optional` may be missing from a record (None in memory). One that was added and
that readers need has its value for older records in `LIFTS` (engine/journal/records.py).
"""

from dataclasses import dataclass
from enum import IntEnum

import numpy as np

SCHEMA_VERSION = 1


class Kind(IntEnum):
    """The physical type of a column. The numbers stand in the journal."""

    U8 = 1
    I16 = 2
    I32 = 3
    I64 = 4
    U64 = 5
    TEXT = 6


DTYPES = {Kind.U8: np.uint8, Kind.I16: np.int16, Kind.I32: np.int32, Kind.I64: np.int64, Kind.U64: np.uint64}


@dataclass(frozen=True)
class Column:
    number: int
    name: str
    kind: Kind
    optional: bool = False


@dataclass(frozen=True)
class Table:
    number: int
    name: str
    columns: tuple[Column, ...]


def _table(number: int, name: str, *columns: tuple[str, Kind] | tuple[str, Kind, bool]) -> Table:
    return Table(number, name, tuple(Column(i + 1, *column) for i, column in enumerate(columns)))


U8, I16, I32, I64, U64, TEXT = Kind.U8, Kind.I16, Kind.I32, Kind.I64, Kind.U64, Kind.TEXT
OPTIONAL = True

# Catalogue. `names` binds a text to the next index of its namespace (enum Namespace); indices are dense from 0.
NAMES = _table(1, "names", ("namespace", U8), ("index", I32), ("text", TEXT))
NODES = _table(
    2, "nodes", ("node", I16), ("latitude_e7", I32), ("longitude_e7", I32), ("active", U8),
    ("orders_per_day", I32, OPTIONAL), ("units_per_day", I32, OPTIONAL),  # engine/capacity.py; none: no node has one
    ("day_starts_at", I16, OPTIONAL), ("utc_offset_minutes", I16, OPTIONAL),
)  # fmt: skip
POSTAL_CODES = _table(
    3, "postal_codes", ("postal_code", I32), ("latitude_e7", I32), ("longitude_e7", I32), ("area", U8)
)
DISTANCES = _table(4, "distances", ("postal_code", I32), ("node", I16), ("metres", I32))
CHANNELS = _table(
    5, "channels", ("channel", I16), ("priority", I32), ("on_short", U8), ("split", U8), ("share_ppm", I32),
    ("buffer", I32), ("cap", I32), ("threshold", I32),
    ("nodes_0", U64), ("nodes_1", U64), ("nodes_2", U64), ("nodes_3", U64),
    ("buffer_ppm", I32), ("closed", U8),
    ("preferred_0", U64, OPTIONAL), ("preferred_1", U64, OPTIONAL), ("preferred_2", U64, OPTIONAL),
    ("preferred_3", U64, OPTIONAL), ("excluded_0", U64, OPTIONAL), ("excluded_1", U64, OPTIONAL),
    ("excluded_2", U64, OPTIONAL), ("excluded_3", U64, OPTIONAL),  # as `nodes`; none where they are missing
)  # fmt: skip
EXCEPTIONS = _table(
    6, "exceptions",
    ("channel", I16), ("sku", I32), ("share_ppm", I32), ("buffer", I32), ("cap", I32), ("threshold", I32),
    ("buffer_ppm", I32),
)  # fmt: skip
# What may be returned, all of it: every row of the table before is gone.
RETURN_POLICIES = _table(
    8, "return_policies", ("channel", I16), ("category", I16), ("return_within", I64), ("claim_within", I64),
    ("refund_within", I64), ("fee", I64), ("conditions", I32), ("flags", U8),
)  # fmt: skip
CATEGORIES = _table(9, "categories", ("sku", I32), ("category", I16))  # word; NONE: none
# Where goods are for the tax: a word, as the two digits of a state of India.
TAX_REGIONS = _table(18, "tax_regions", ("node", I16), ("postal_code", I32), ("region", I16))  # one of the two, or NONE
FENCES = _table(7, "fences", ("channel", I16), ("sku", I32), ("node", I16), ("units", I32))

# Orders and reservations: each row of `orders` has `line_count` rows of `lines`, each of those `part_count` of `parts`.
ORDERS = _table(
    10, "orders", ("number", I64), ("is_reservation", U8), ("order_id", TEXT), ("channel", I16), ("postal_code", I32),
    ("line_count", I32), ("outcome", U8), ("expires_at", I64), ("reservation", I64),
    ("placed_at", I64, OPTIONAL), ("currency", I16, OPTIONAL), ("payment_method", I16, OPTIONAL),
    ("service_level", I16, OPTIONAL), ("ship_by", I64, OPTIONAL), ("deliver_by", I64, OPTIONAL),
    ("customer", TEXT, OPTIONAL),
    ("rule", U8, OPTIONAL), ("decided_in", I64, OPTIONAL),  # engine/reasons.py; the sequence where it is another's
    ("nodes_max", U8, OPTIONAL), ("ship_complete", U8, OPTIONAL),  # engine/terms.py; 0 where it was not asked
    ("full_0", U64, OPTIONAL), ("full_1", U64, OPTIONAL), ("full_2", U64, OPTIONAL), ("full_3", U64, OPTIONAL),
    ("pay_by", I64, OPTIONAL), ("order_discount", I64, OPTIONAL), ("shipping_fee", I64, OPTIONAL),
    ("shipping_fee_tax", I64, OPTIONAL),  # as asked for; what each line has of them: engine/money.py
)  # fmt: skip
LINES = _table(
    11, "lines", ("sku", I32), ("quantity", I32), ("part_count", I32),
    ("unit_price", I64, OPTIONAL), ("discount", I64, OPTIONAL), ("tax", I64, OPTIONAL),
    ("passed_0", U64, OPTIONAL), ("passed_1", U64, OPTIONAL), ("passed_2", U64, OPTIONAL), ("passed_3", U64, OPTIONAL),
    ("extra_cost", I64, OPTIONAL),
    ("line_discount", I64, OPTIONAL), ("line_tax", I64, OPTIONAL),  # of all units together, beside those of each
    # What all units of the line come to, where the order has prices (engine/money.py).
    ("goods", I64, OPTIONAL), ("goods_tax", I64, OPTIONAL), ("shipping", I64, OPTIONAL),
    ("shipping_tax", I64, OPTIONAL),
)  # fmt: skip
PARTS = _table(12, "parts", ("node", I16), ("stage", U8), ("quantity", I32), ("fenced", I32), ("metres", I32))

# Units of parts that go from one stage to another, and reservations that end.
MOVES = _table(
    13, "moves", ("part", I32), ("to", U8), ("quantity", I32), ("node", I16), ("fenced", I32), ("metres", I32),
    ("cause", U8), ("number", I64), ("line", I32), ("from", U8), ("sku", I32),
    ("from_node", I16, OPTIONAL),  # where units go from node to node in their stage: the one they leave
    ("actor", I16, OPTIONAL),  # word: who did it; NONE: the engine
)  # fmt: skip
CLOSURES = _table(14, "closures", ("order", I32), ("number", I64), ("cause", U8))
RETIRED = _table(15, "retired", ("order", I32), ("number", I64))

# Steps of payments, refunds, shipments and returns, as kernels/documents.py takes them, and what they post.
STEPS = _table(
    16, "steps", ("document", I32), ("order", I32), ("number", I64), ("order_number", I64), ("location", I64),
    ("step", U8), ("state", U8), ("how", I16), ("node", I16), ("of", I32), ("line", I32), ("units", I32),
    ("amount", I64), ("at", I64), ("flags", I32), ("fee", I64), ("within", I64), ("referenced", I64),
    ("channel", I16, OPTIONAL), ("document_id", TEXT, OPTIONAL),  # of new documents: their key
    ("reference", TEXT, OPTIONAL),  # what gateway or carrier call it
    ("actor", I16, OPTIONAL),
    ("note", TEXT, OPTIONAL),  # where a scan was made; of a new payment the token of a saved method
    ("of_number", I64, OPTIONAL),  # number of a refund's payment, of a return's shipment
    ("invoice", I64, OPTIONAL),  # of shipments that leave; none: 0
    ("cause", U8, OPTIONAL),  # of what follows from something else; 0: it was asked for
)  # fmt: skip
POSTINGS = _table(
    17, "postings", ("number", I64), ("order_number", I64), ("account", U8), ("amount", I64), ("currency", I16),
)  # fmt: skip

# Stock.
MOVEMENTS = _table(
    20, "movements",
    ("sku", I32), ("node", I16), ("kind", U8), ("figure", U8), ("quantity", I32), ("cause", U8), ("reference", I64),
)  # fmt: skip
STATEMENTS = _table(21, "statements", ("source", I32), ("counted_at", I64))
# Units that are expected from now on, by the caller's reference; 0: no more.
SUPPLY = _table(
    22, "supply", ("sku", I32), ("node", I16), ("reference", I64), ("units", I32), ("due_at", I64), ("cause", U8)
)
# What changed of the dates that back-ordered units wait for: those units had the date `before` and have `after`, 0
# where there is none. It only tells: the dates follow from supply and orders (engine/supply.py).
PROMISES = _table(
    23, "promises", ("number", I64), ("line", I32), ("sku", I32), ("units", I32), ("before", I64), ("after", I64),
    ("waits", U8), ("cause", U8),  # waits: 0 where the units wait no more, served or cancelled
)  # fmt: skip

# Remembered answers of writes other than orders and reservations.
ANSWERS = _table(
    30, "answers", ("method", U8), ("channel", I16), ("request_id", TEXT), ("content_high", U64), ("content_low", U64),
    ("outcome", U8), ("quantity", I64),
)  # fmt: skip
FORGOTTEN = _table(31, "forgotten", ("before_location", I64))
# What an answer about units that were to leave nodes says of each node; `answer` is its place in the record.
REALLOCATED = _table(
    32, "reallocated", ("answer", I32), ("node", I16), ("left", I64), ("arrived", I64), ("stayed", I64), ("short", I64)
)

# What an answer to many rows says of each.
OUTCOMES = _table(33, "outcomes", ("answer", I32), ("reply", U8), ("quantity", I64))

# The digest of orders and cells after the record: live running, replay and snapshot + tail must all come to it.
CHECK = _table(40, "check", ("digest", U64))

TABLES = {
    table.number: table
    for table in (
        NAMES, NODES, POSTAL_CODES, DISTANCES, CHANNELS, EXCEPTIONS, FENCES, ORDERS, LINES, PARTS, MOVES, CLOSURES,
        RETIRED, STEPS, POSTINGS, RETURN_POLICIES, CATEGORIES, TAX_REGIONS, OUTCOMES, MOVEMENTS, STATEMENTS, SUPPLY,
        PROMISES, ANSWERS, FORGOTTEN,
        REALLOCATED, CHECK,
    )
}  # fmt: skip
