"""One commit in the making: its tables, each applied to the state as it is added, so that what follows decides upon it.

engine/decide.py fills it, engine/writer.py makes it durable. What is added here cannot fail any more.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pyarrow as pa

from engine import schema
from engine.answers import FirstAnswers, Replies
from engine.apply import PLACE_BITS, apply_moves, apply_orders, apply_table
from engine.names import text_buffers
from engine.outcomes import Cause, Method, Reply
from engine.ragged import owned
from engine.state import State
from kernels.columns import NONE
from kernels.keys import ABSENT, claim_few_keys, claim_keys, find_keys, set_values
from kernels.options import FEW

Columns = Mapping[str, Any]


class Commit:
    """The tables decided so far, in the order in which replay will apply them."""

    def __init__(self, state: State, sequence: int, stamp: int, first_answers: FirstAnswers) -> None:
        self.state = state
        self.sequence = sequence
        self.stamp = stamp
        self.first_answers = first_answers
        self.tables: list[tuple[schema.Table, Columns]] = []
        self.orders_entered = 0
        self.documents_entered = 0
        self.bytes_promised = 0  # of the journal's reservation
        self._answers = 0

    @property
    def is_empty(self) -> bool:
        """Whether there is anything to keep."""
        return not self.tables

    def claim(self, channel: Any, method: Method, texts: pa.StringArray) -> tuple[Any, Any]:
        """Enter the keys of texts in (channel, method): keys [n, 2]; which of them are new, bool [n] (only the first
        time, where one comes twice).

        Every new key must get its answer in this commit. Then `first_locations` finds the answers of the others.
        """
        count = len(texts)
        keys, found = np.empty((count, 2), np.uint64), np.empty(count, np.int64)
        claim = claim_few_keys if count <= FEW else claim_keys
        secret, index = self.state.secret, self.state.keys
        claim(secret, owned(channel), int(method), *text_buffers(texts), index, keys, found)
        return keys, found == ABSENT

    def first_locations(self, keys: Any) -> Any:
        """Where the first answers to keys are that are all known."""
        return find_locations(self.state, keys)[0]

    def add(self, table: schema.Table, columns: Columns) -> None:
        """A table that applies by itself: catalogue, stock, closures, retirement."""
        self.first_answers.forget(self.sequence)
        self.tables.append((table, columns))
        apply_table(self.state, table, columns)

    def enter(self, orders: Columns, lines: Columns, parts: Columns, keys: Any) -> Any:
        """Orders or reservations with their lines and parts; returns their rows."""
        location = self.next_location
        self.entered(orders, lines, parts)
        return apply_orders(self.state, orders, lines, parts, location, self.stamp, keys)

    @property
    def next_location(self) -> int:
        """Of the next order or reservation that enters."""
        return self.sequence << PLACE_BITS | self.orders_entered

    def entered(self, orders: Columns, lines: Columns, parts: Columns) -> None:
        """Orders or reservations that a kernel has already entered."""
        self.tables += [(schema.ORDERS, orders), (schema.LINES, lines), (schema.PARTS, parts)]
        self.orders_entered += orders["number"].size
        self.first_answers.forget(self.sequence)

    def move(self, columns: Columns, claimed: bool) -> None:
        """Units that change their stage."""
        self.tables.append((schema.MOVES, columns))
        apply_moves(self.state, columns, self.stamp, claimed)

    def moved(self, columns: Columns) -> None:
        """Units whose change of stage a kernel has already applied."""
        self.tables.append((schema.MOVES, columns))

    @property
    def next_document_location(self) -> int:
        """Of the next document that is made."""
        return self.sequence << PLACE_BITS | self.documents_entered

    def stepped(self, columns: Columns, made: int) -> None:
        """Steps of documents that a kernel has already taken; so many of them have made one."""
        self.tables.append((schema.STEPS, columns))
        self.documents_entered += made

    @property
    def next_answer(self) -> int:
        """The place of the next answer in the record."""
        return self._answers

    def close(self, rows: Any, cause: Cause) -> None:
        """Reservations that end."""
        numbers = self.state.book.orders.number[rows]
        self.add(
            schema.CLOSURES,
            {"order": rows.astype(np.int32), "number": numbers, "cause": np.full(rows.size, cause, np.uint8)},
        )

    def answer(
        self,
        method: Method,
        channel: Any,
        request_id: pa.StringArray,
        content: Any,
        reply: Any,
        quantity: Any,
        keys: Any,
    ) -> int:
        """Remember answers to requests other than orders and reservations; the place of the first in the record."""
        count = reply.size
        self.first_answers.forget(self.sequence)
        columns = {
            "method": np.full(count, method, np.uint8), "channel": channel, "request_id": request_id,
            "content_high": np.ascontiguousarray(content[:, 0]), "content_low": np.ascontiguousarray(content[:, 1]),
            "outcome": reply, "quantity": quantity,
        }  # fmt: skip
        self.tables.append((schema.ANSWERS, columns))
        locations = (self.sequence << PLACE_BITS) + self._answers + np.arange(count)
        self._answers += count
        set_values(self.state.keys, keys, locations, np.full(count, NONE, np.int32))
        return self._answers - count

    def check(self) -> None:
        """Close the record with the digest that replay must come to."""
        self.tables.append((schema.CHECK, {"digest": self.state.book.digest.copy()}))


def find_locations(state: State, keys: Any) -> tuple[Any, Any]:
    """For keys [n, 2]: where they were answered, or ABSENT; and the order row they had then, or NONE."""
    count = keys.shape[0]
    locations, rows = np.empty(count, np.int64), np.empty(count, np.int32)
    find_keys(state.keys, keys, locations, rows)
    return locations, rows


def remember(
    commit: Commit, method: Method, channel: Any, request_id: pa.StringArray, keys: Any, content: Any, new: Any,
    reply: Any, quantity: Any,
) -> Replies:  # fmt: skip
    """Keep the answers to new requests; give the others their first one, or a conflict where the content differs."""
    rows = np.flatnonzero(new)
    if rows.size:
        commit.answer(
            method,
            channel[rows],
            request_id.take(pa.array(rows)),
            content[rows],
            reply[rows],
            quantity[rows],
            keys[rows],
        )
    repeats = np.flatnonzero(~new)
    again = np.zeros(reply.size, bool)
    for row, location in zip(repeats, commit.first_locations(keys[repeats]), strict=True):
        first = commit.first_answers.reply_at(int(location))
        if first is None:
            reply[row], quantity[row] = Reply.ANSWER_ARCHIVED, 0
            continue
        same = (first["content_high"], first["content_low"]) == (content[row, 0], content[row, 1])
        reply[row] = first["outcome"] if same else Reply.KEY_CONFLICT
        quantity[row] = first["quantity"] if same else 0
        again[row] = same
    return Replies(reply, quantity, again)
