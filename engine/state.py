"""The state of one engine: catalogue, stock, open orders, keys. Columns of kernels, owned by one writer.

Commands are decided against it (engine/decide.py), effects applied to it (engine/apply.py), snapshots made of it.
"""

import hashlib
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import xxhash

from engine.capacity import Days
from engine.columns import Growing, Limits, reserve
from engine.expected import Expected
from engine.ledger import Ledger
from engine.names import Names
from engine.numbers import DocumentNumbers
from engine.outcomes import Namespace, OutOfRoom
from engine.policies import Afterwards
from engine.terms import OpenTerms
from kernels.capacity import no_capacity
from kernels.cheapest import Fees, Prices, no_prices
from kernels.columns import (
    NODES_MAX,
    NONE,
    POLICY_FIGURES,
    TOUCHED,
    WORDS_MAX,
    Book,
    Cells,
    Documents,
    Expiries,
    Fences,
    Head,
    Items,
    Lines,
    Money,
    OnShort,
    Orders,
    Parts,
    Places,
    Policies,
)
from kernels.digest import full_digest
from kernels.expiry import rebuild_expiries
from kernels.keys import SEGMENT_SLOTS, KeyIndex, Size, entries_of, new_index
from kernels.life import FIGURES, Amount, ItemAmount
from kernels.stages import refresh_all

_MANY = 16  # of so many rows one: a walk over all of them is quicker than a list without order
NODE_STRIDE = 8  # columns per node grow in steps of this


@dataclass
class Coordinates:
    """Where nodes or postal codes are, in 1e-7 degrees; one row an index."""

    latitude_e7: Any
    longitude_e7: Any
    flag: Any  # a node: 1 where active; a postal code: 1 where only its area is known


def _places(count: int) -> Coordinates:
    return Coordinates(reserve(count, np.int32), reserve(count, np.int32), reserve(count, np.uint8))


class State:
    """Everything an engine knows. `sequence` and `stamp` are those of the last commit applied."""

    def __init__(self, secret: np.ndarray, limits: Limits | None = None) -> None:
        self.limits = limits or Limits()
        self.secret = secret
        self.sequence = 0
        self.stamp = 0
        self.names = {namespace: Names(secret) for namespace in Namespace}
        self.nodes = _places(NODES_MAX)
        self.postal_codes = _places(self.limits.postal_codes_max)
        self.counted_at: dict[int, int] = {}  # [source] UTC us of its last stock statement
        self.expected = Expected()
        self.fences_used = 0
        self.exceptions_used = 0
        self.keys: KeyIndex = new_index(self.limits.keys_max, partial(reserve, huge_pages=True))
        self._reserve_columns()

    @property
    def engine_id(self) -> str:
        """Tells this engine from others, and nothing else of the secret: 16 hexadecimal digits."""
        return hashlib.blake2b(self.secret.tobytes(), digest_size=8, person=b"allot engine id").hexdigest()

    def _reserve_columns(self) -> None:
        most = self.limits
        skus = most.skus_max
        self.book = self._reserve_book()
        for head in (Head.FREE_ORDER, Head.FREE_LINE, Head.FREE_PART, Head.FREE_DOCUMENT, Head.FREE_ITEM):
            self.book.heads[head] = NONE
        self.book.heads[Head.LAST_NUMBER] = most.cell << 48
        self.afterwards = Afterwards(
            reserve(skus, np.int16), np.zeros(NODES_MAX, np.int16), reserve(most.postal_codes_max, np.int16),
            reserve(WORDS_MAX, np.int64),
        )  # fmt: skip
        self.ledger = Ledger()
        self.numbers = DocumentNumbers()
        self.promised_parts = np.zeros(1, np.int64)  # of the commit that is decided: rows that its commands may need
        self.terms = OpenTerms(reserve(most.orders_max, np.uint8), reserve(most.orders_max, np.uint8))
        self.expiries = Expiries(
            *(reserve(most.orders_max + most.documents_max, dtype) for dtype in (np.int64, np.int64, np.int32))
        )
        self.cells = self._reserve_cells(NODE_STRIDE, reserve(skus, np.int32))
        self.fences = Fences(
            reserve(skus, np.int32), reserve(most.fences_max, np.int16), reserve(most.fences_max, np.int16),
            reserve(most.fences_max, np.int32), reserve(most.fences_max, np.int32),
        )  # fmt: skip
        channels = most.channels_max
        zeros = [np.zeros(channels, np.int32) for _ in range(6)]
        self.policies = Policies(
            np.zeros((channels, NODES_MAX // 64), np.uint64),
            np.zeros(channels, np.uint8), np.zeros(channels, np.uint8),
            zeros[0], zeros[1], zeros[2], zeros[3], zeros[4], zeros[5], reserve(skus, np.int32),
            reserve(most.exceptions_max, np.int16), reserve((most.exceptions_max, len(POLICY_FIGURES)), np.int32),
            reserve(most.exceptions_max, np.int32), np.zeros((channels, NODES_MAX // 64), np.uint64),
        )  # fmt: skip
        # As channels were put; `policies` has what is in force for orders to come, `serving` for those that are open.
        self.groups = np.zeros((channels, NODES_MAX // 64), np.uint64)
        self.excluded = np.zeros((channels, NODES_MAX // 64), np.uint64)
        self.on_short = np.zeros(channels, np.uint8)
        self.closed = np.zeros(channels, np.uint8)
        self.serving = np.zeros((channels, NODES_MAX // 64), np.uint64)
        # The commit since which each channel's group and the nodes are as they are now. Only explanations ask.
        self.groups_since = np.zeros(channels, np.int64)
        self.places = self._reserve_places(NODE_STRIDE)
        self.prices = no_prices()
        self.capacity = no_capacity()
        self.days = Days(self.capacity)

    def _reserve_book(self) -> Book:
        most, skus = self.limits, self.limits.skus_max
        return Book(
            Orders(
                reserve(most.orders_max, np.int64), reserve(most.orders_max, np.int64),
                reserve(most.orders_max, np.int64), reserve(most.orders_max, np.int16),
                reserve(most.orders_max, np.int32), reserve(most.orders_max, np.uint8),
                reserve(most.orders_max, np.int32),
            ),
            Lines(*(reserve(most.lines_max, np.int32) for _ in Lines._fields)),
            Parts(
                reserve(most.parts_max, np.int32), reserve(most.parts_max, np.int16),
                reserve(most.parts_max, np.uint8),
                *(reserve(most.parts_max, np.int32) for _ in range(4)),
            ),
            *self._reserve_life(), reserve(WORDS_MAX + 1, np.int64),
            np.zeros(len(Head), np.int64), reserve(skus, np.int32), np.zeros(1, np.uint64), reserve(skus, np.int32),
            reserve(skus, np.uint8), reserve(skus, np.int32),
        )  # fmt: skip

    def _reserve_life(self) -> tuple[Money, Documents, Items]:
        """Prices, documents and their items. None of it is touched by orders that have neither."""
        most = self.limits
        return (
            Money(
                reserve(most.orders_max, np.int16), reserve(most.orders_max, np.uint8),
                reserve(most.orders_max, np.int64), reserve(most.orders_max, np.int64),
                reserve(most.lines_max, np.int32), reserve((most.lines_max, len(Amount)), np.int64),
            ),
            Documents(
                reserve(most.orders_max, np.int32), reserve(most.orders_max, np.uint8),
                reserve(most.orders_max, np.int32), reserve(most.documents_max, np.int64),
                reserve(most.documents_max, np.int64), reserve(most.documents_max, np.int32),
                reserve(most.documents_max, np.int32), reserve(most.documents_max, np.uint8),
                reserve(most.documents_max, np.uint8), reserve(most.documents_max, np.int16),
                reserve(most.documents_max, np.int16), reserve(most.documents_max, np.int32),
                reserve(most.documents_max, np.uint8), reserve((most.documents_max, FIGURES), np.int64),
                reserve(most.documents_max, np.int64),
            ),
            Items(
                reserve(most.items_max, np.int32), reserve(most.items_max, np.int32),
                reserve(most.items_max, np.int32), reserve(most.items_max, np.int32),
                reserve(most.items_max, np.int32), reserve((most.items_max, len(ItemAmount)), np.int64),
            ),
        )  # fmt: skip

    def _reserve_cells(self, stride: int, row_of: Any) -> Cells:
        skus = self.limits.skus_max
        return Cells(
            row_of,
            reserve((skus, stride, 8), np.int32, huge_pages=True),
            reserve((skus, stride), np.int32, huge_pages=True),
            reserve((skus, -(-stride // 64)), np.uint64, huge_pages=True),
        )

    def decide_by_cost(self, fees: Fees) -> None:
        """From now on nodes are chosen by what they cost, and by prices of stock, which begin at 0."""
        value = reserve((self.limits.skus_max, self.cells.available.shape[1]), np.int32)
        self.prices = Prices(
            value, reserve(self.limits.skus_max, np.int64), reserve(self.limits.postal_codes_max, np.int64), fees
        )

    def _reserve_places(self, stride: int) -> Places:
        count = self.limits.postal_codes_max
        return Places(reserve((count, stride), np.int32), reserve((count, stride), np.uint8))

    @property
    def node_count(self) -> int:
        """Nodes known, active or not."""
        return len(self.names[Namespace.NODE])

    def head(self, head: Head) -> int:
        """One counter of the book."""
        return int(self.book.heads[head])

    def new_names(self, namespace: Namespace, first: int, count: int) -> None:
        """Give rows to names `first` to `first + count - 1`."""
        if namespace is Namespace.SKU:
            for column in (self.book.waiting, self.cells.row_of, self.fences.head, self.policies.exception_head):
                column[first : first + count] = NONE
        elif namespace is Namespace.NODE and first + count > self.cells.available.shape[1]:
            self._widen(first + count)
        elif namespace is Namespace.WORD:
            texts = self.names[namespace].texts(np.arange(first, first + count, dtype=np.int32))
            self.afterwards.name_words(first, texts.to_pylist())
        elif namespace is Namespace.CHANNEL:
            rows = slice(first, first + count)
            self.policies.split[rows] = 1
            self.policies.on_short[rows] = self.on_short[rows] = OnShort.KEEP
            self.policies.share_ppm[rows] = 1_000_000
            self.policies.cap[rows] = np.iinfo(np.int32).max

    def _widen(self, nodes: int) -> None:
        """Give every SKU and postal code columns for more nodes. Rare: a new node."""
        stride = -(-nodes // NODE_STRIDE) * NODE_STRIDE
        rows, old = self.head(Head.CELL_ROWS), self.cells
        self.cells = self._reserve_cells(stride, old.row_of)
        width = old.available.shape[1]
        self.cells.figures[:rows, :width] = old.figures[:rows]
        self.cells.available[:rows, :width] = old.available[:rows]
        self.cells.stocked[:rows, : old.stocked.shape[1]] = old.stocked[:rows]
        if self.prices.value.size:
            before = self.prices.value
            self.prices = self.prices._replace(value=reserve((before.shape[0], stride), np.int32))
            self.prices.value[:rows, :width] = before[:rows]
        places, count = self.places, len(self.names[Namespace.POSTAL_CODE])
        self.places = self._reserve_places(stride)
        self.places.metres[:count, :width] = places.metres[:count]
        self.places.rank[:count, :width] = places.rank[:count]

    def growing(self) -> list[Growing]:
        """The columns that grow with every order; of the key index there are three slots a key where it has just
        grown."""
        book = self.book
        of = ((book.orders, Head.ORDERS, 1), (book.lines, Head.LINES, 2), (book.parts, Head.PARTS, 2))
        columns = [Growing(column, partial(self.head, head), rows) for columns, head, rows in of for column in columns]
        slots = Growing(self.keys.slots, lambda: int(self.keys.sizes[Size.SEGMENTS]) * SEGMENT_SLOTS, 3)
        return [*columns, slots]

    def set_in_force(self) -> None:
        """What allocation may use: node groups less the nodes that are excluded or not active. For what is new, a
        closed channel has none of them, and refuses what is short.
        """
        active = np.zeros(NODES_MAX // 64, np.uint64)
        for node in range(self.node_count):
            if self.nodes.flag[node]:
                active[node >> 6] |= np.uint64(1) << np.uint64(node & 63)
        self.serving[:] = self.groups & active & ~self.excluded
        self.policies.nodes[:] = np.where(self.closed[:, None] != 0, np.uint64(0), self.serving)
        self.policies.on_short[:] = np.where(self.closed != 0, np.uint8(OnShort.REFUSE), self.on_short)

    def check_documents(self, documents: int, items: int) -> None:
        """Raise OutOfRoom where so many more payments, shipments and the like might not fit."""
        book, most = self.book, self.limits
        for head, free, link, more, rows_max, field in (
            (Head.DOCUMENTS, Head.FREE_DOCUMENT, book.documents.next, documents, most.documents_max, "documents_max"),
            (Head.ITEMS, Head.FREE_ITEM, book.items.next, items, most.items_max, "items_max"),
        ):
            missing = self.head(head) + more - rows_max
            if missing > 0 and not _has_rows(self.head(free), link, missing):
                raise OutOfRoom(
                    f"{field} is {rows_max}, {more} more rows do not fit: retire closed orders or raise the limit"
                )

    def check_expiries(self, more: int) -> None:
        """Make sure that so many more entries fit: those of what has ended go, and those of what is open fit."""
        if self.head(Head.EXPIRIES) + more > self.expiries.at.size:
            self.watch_anew()

    def watch_anew(self) -> None:
        """What ends by its time, from what is open."""
        rebuild_expiries(self.book, self.expiries, self.stamp)

    def check_room(self, orders: int, lines: int, parts: int, keys: int = 0) -> None:
        """Raise OutOfRoom where a commit of this size might not fit into rows never used and rows freed."""
        book, most = self.book, self.limits
        for head, free, link, more, rows_max, field in (
            (Head.ORDERS, Head.FREE_ORDER, book.orders.first, orders, most.orders_max, "orders_max"),
            (Head.LINES, Head.FREE_LINE, book.lines.next, lines, most.lines_max, "lines_max"),
            (Head.PARTS, Head.FREE_PART, book.parts.next, parts, most.parts_max, "parts_max"),
        ):
            missing = self.head(head) + more - rows_max
            if missing > 0 and not _has_rows(self.head(free), link, missing):
                raise OutOfRoom(
                    f"{field} is {rows_max}, {more} more rows do not fit: retire closed orders or raise the limit"
                )
        used = int(self.keys.sizes[Size.ENTRIES])
        if used + keys > most.keys_max:
            raise OutOfRoom(f"keys_max is {most.keys_max}, {used} are in use: forget old keys or raise the limit")

    def take_changes(self) -> Any:
        """SKUs whose stock changed since the last call, int32 [n]; none of them is changed any more."""
        count, used = self.head(Head.CHANGED_ROWS), self.head(Head.CELL_ROWS)
        if count * _MANY < used:
            rows: Any = self.book.changed_rows[:count]
            self.book.changed[rows] = 0
        else:  # in order of rows: who reads them all finds the next one near the last
            rows = np.flatnonzero(self.book.changed[:used].view(np.bool_))
            self.book.changed[:used] = 0
        self.book.heads[Head.CHANGED_ROWS] = 0
        return self.book.sku_of_row[rows]

    def take_touched(self) -> tuple[Any, Any]:
        """Rows of orders with documents that something happened to since the last call, int32 [n], and what: uint8 [n]
        of TOUCHED and LESSENED."""
        count = self.head(Head.TOUCHED_ORDERS)
        rows = self.book.documents.touched_rows[:count].copy()
        what = self.book.documents.touched[rows]
        self.book.documents.touched[rows] = 0
        self.book.heads[Head.TOUCHED_ORDERS] = 0
        return rows, what

    def touch(self, rows: Any) -> None:
        """Have orders with documents looked at by what follows. rows: int [n] of the book, each once."""
        documents, count = self.book.documents, self.head(Head.TOUCHED_ORDERS)
        rows = rows[(documents.of_order[rows] != 0) & (documents.touched[rows] == 0)]
        documents.touched[rows] = TOUCHED
        documents.touched_rows[count : count + rows.size] = rows
        self.book.heads[Head.TOUCHED_ORDERS] += rows.size

    def rebuild_derived(self) -> None:
        """Bring back what no snapshot holds: available units, node groups in force, expiries, rows by numbers."""
        refresh_all(self.book, self.cells)
        self.set_in_force()
        self.watch_anew()
        self.numbers.rebuild(self.book.documents, self.head(Head.DOCUMENTS))

    def digest(self) -> str:
        """The digest of the whole state, 32 hex digits: orders and cells as kept up to date, the rest hashed now."""
        content = xxhash.xxh3_128()
        content.update(self.book.digest.tobytes())
        heads = (*self.book.heads[: Head.CHANGED_ROWS], *self.book.heads[Head.DOCUMENTS : Head.TOUCHED_ORDERS])
        content.update(np.array([self.sequence, self.stamp, *heads], np.int64).tobytes())
        for namespace, names in self.names.items():
            content.update(bytes([namespace]) + len(names).to_bytes(8, "little"))
            content.update(names.digest())
        nodes, codes = self.node_count, len(self.names[Namespace.POSTAL_CODE])
        skus, channels = len(self.names[Namespace.SKU]), len(self.names[Namespace.CHANNEL])
        for place, count in ((self.nodes, nodes), (self.postal_codes, codes)):
            for column in (place.latitude_e7, place.longitude_e7, place.flag):
                content.update(column[:count].tobytes())
        content.update(np.ascontiguousarray(self.places.metres[:codes, :nodes]).tobytes())
        if self.days.is_put:
            content.update(self.days.digest())
        put = (self.groups, self.excluded, self.on_short, self.closed)
        for column in (*put, *self.policies[1:9], self.policies.preferred):
            content.update(column[:channels].tobytes())
        content.update(self.policies.exception_head[:skus].tobytes() + self.fences.head[:skus].tobytes())
        for column in self.policies[10:13]:
            content.update(column[: self.exceptions_used].tobytes())
        for column in self.fences[1:]:
            content.update(column[: self.fences_used].tobytes())
        if self.terms.any_asked:
            for column in (self.terms.nodes_max, self.terms.ship_complete):
                content.update(column[: self.head(Head.ORDERS)].tobytes())
        content.update(repr(sorted(self.counted_at.items())).encode())
        content.update(self.ledger.digest())
        if self.book.invoices.any():
            content.update(self.book.invoices.tobytes())
        content.update(self.afterwards.digest(skus, codes))
        for column in self.expected.columns().values():
            content.update(column.tobytes())
        content.update(self._keys_digest())
        return content.hexdigest()

    def _keys_digest(self) -> bytes:
        """Of the set of (key, value): wherever the index happens to keep them."""
        entries = entries_of(self.keys).view(np.uint64)
        with np.errstate(over="ignore"):
            factors = np.array([3, 5, 7, 0], np.uint64)  # a row is a matter of the state, a location of the journal
            words = entries * factors
            total = ((words[:, 0] ^ words[:, 1] ^ words[:, 2]) * np.uint64(0x9E3779B97F4A7C15)).sum(dtype=np.uint64)
        return int(total).to_bytes(8, "little") + int(self.keys.sizes[Size.ENTRIES]).to_bytes(8, "little")

    def digest_from_scratch(self) -> bool:
        """Whether the digest kept up to date equals one made from every row and cell."""
        digest = np.empty(1, np.uint64)
        full_digest(self.book, self.cells, digest)
        return bool(digest[0] == self.book.digest[0])


def _has_rows(row: int, link: Any, count: int) -> bool:
    """Whether a free list that begins with `row` has so many rows. Walked only where a column is nearly full."""
    while row != NONE and count > 0:
        row = int(link[row])
        count -= 1
    return count <= 0
