"""Upkeep commands: the rows of closed orders are freed, old keys are forgotten. Journaled like everything else."""

from typing import Any

import numpy as np

from engine import schema
from engine.answers import Replies
from engine.apply import PLACE_BITS
from engine.commands import Forget, Retire
from engine.commit import Commit
from engine.documents import orders_with_something_open
from engine.outcomes import Reply
from kernels.columns import Head, OrderKind
from kernels.keys import Size
from kernels.settling import find_owing


def _done(quantity: int) -> Replies:
    return Replies(np.array([Reply.DONE], np.uint8), np.array([quantity], np.int64), np.zeros(1, bool))


def retire(commit: Commit, command: Retire) -> Replies:
    """Free the rows of orders closed before a moment that are even and of which nothing is under way. Their answers,
    texts and history stay in the journal."""
    orders: Any = commit.state.book.orders
    used = slice(0, commit.state.head(Head.ORDERS))
    due_at = orders.due_at[used]
    is_due = (orders.kind[used] == OrderKind.ORDER) & (due_at > 0) & (due_at < command.closed_before)
    is_due[orders_with_something_open(commit.state)] = False
    rows = np.flatnonzero(is_due).astype(np.int32)
    owing = np.empty(rows.size, np.uint8)
    find_owing(rows, commit.state.book, owing)
    rows = rows[owing == 0]
    if rows.size:
        state, everything = commit.state, np.arange(commit.state.head(Head.ORDERS), dtype=np.int32)
        owing = np.empty(everything.size, np.uint8)
        find_owing(everything, state.book, owing)
        state.touch(np.setdiff1d(everything[owing != 0], rows))  # of those some may have found no rows so far
        commit.add(schema.RETIRED, {"order": rows, "number": orders.number[rows]})
    return _done(rows.size)


def forget(commit: Commit, command: Forget) -> Replies:
    """Forget the keys of commits before a sequence, but those of open orders."""
    before = int(commit.state.keys.sizes[Size.ENTRIES])
    if before:
        location = np.array([command.before_sequence << PLACE_BITS], np.int64)
        commit.add(schema.FORGOTTEN, {"before_location": location})
    return _done(before - int(commit.state.keys.sizes[Size.ENTRIES]))
