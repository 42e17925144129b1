"""Steps of payments, refunds, shipments and returns: commands against the state, and what follows in a commit's end.


Keys are hashed and columns made here. kernels/payments.py, shipments.py and returns.py decide row by row,
kernels/settling.py what follows. LIFE.md tells it to people.
"""

from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import xxhash

from engine import schema
from engine.acts import cancel_open
from engine.answers import Replies
from engine.apply import DOCUMENT_METHOD, DOCUMENT_METHODS, hash_keys
from engine.commands import TakeSteps
from engine.commit import Commit, remember
from engine.exchanges import exchange
from engine.names import text_buffers
from engine.outcomes import Cause, Method, Reply
from engine.ragged import elements, owned, owners
from engine.state import State
from engine.telling import NOBODY, carrying, keep, new_told
from kernels.columns import NONE, Head, OrderKind
from kernels.keys import SEGMENT_SLOTS
from kernels.life import (
    STEPS_PER_KIND,
    DocumentKind,
    PaymentFigure,
    PaymentState,
    RefundState,
    ReturnState,
    ShipmentState,
)
from kernels.payments import take_payments
from kernels.returns import take_returns
from kernels.settling import find_unpaid, settle
from kernels.shipments import take_shipments
from kernels.steps import Answered, Asked, Room

_TEXTS = ("document_id", "order_id", "reference", "note")
_FIGURES = ("step", "channel", "number", "line", "units", "node", "amount", "currency", "how", "at", "flags")
_AT_REST = {
    DocumentKind.PAYMENT: (PaymentState.PENDING, PaymentState.CAPTURED, PaymentState.FAILED, PaymentState.VOIDED,
                           PaymentState.LAPSED),
    DocumentKind.REFUND: (RefundState.DONE,),
    DocumentKind.SHIPMENT: (ShipmentState.DELIVERED, ShipmentState.HOME, ShipmentState.LOST, ShipmentState.RECALLED),
    DocumentKind.RETURN: (ReturnState.CLOSED, ReturnState.REJECTED, ReturnState.WITHDRAWN),
}  # fmt: skip


def take(commit: Commit, command: TakeSteps) -> Replies:
    """Take the steps of requests, row by row, each upon what those before it left; a row that is refused stands for
    itself. The answers, one a row; those of a repeated request are the first ones."""
    state = commit.state
    keys, new = commit.claim(command.request_channel, Method.TAKE_STEPS, command.request_id)
    counts = np.diff(command.first_row)
    answers = Replies(
        np.full(int(counts.sum()), Reply.DONE, np.uint8), np.zeros(int(counts.sum()), np.int64),
        np.zeros(int(counts.sum()), bool),
    )  # fmt: skip
    rows = elements(command.first_row, np.flatnonzero(new))
    if rows.size:
        _take_rows(commit, command, rows, answers)
    alone = counts == 1
    firsts = command.first_row[:-1]
    at = np.minimum(firsts, max(0, answers.reply.size - 1))
    reply = np.where(alone & new, answers.reply[at], Reply.DONE).astype(np.uint8)
    quantity = np.where(alone & new, answers.quantity[at], counts).astype(np.int64)
    place, content = commit.next_answer, _contents(state, command)
    told = remember(
        commit, Method.TAKE_STEPS, command.request_channel, command.request_id, keys, content, new, reply, quantity
    )
    many = new & ~alone
    if many.any():
        places = place + np.cumsum(new) - 1
        of = elements(command.first_row, np.flatnonzero(many))
        outcomes = {
            "answer": np.repeat(places[many], counts[many]).astype(np.int32), "reply": answers.reply[of],
            "quantity": answers.quantity[of],
        }  # fmt: skip
        commit.add(schema.OUTCOMES, outcomes)
    for request in np.flatnonzero(~new):
        _answer_again(commit, command, int(request), keys, told, answers)
    return answers


def _answer_again(commit: Commit, command: TakeSteps, request: int, keys: Any, told: Replies, answers: Replies) -> None:
    """The first answers to a repeated request."""
    rows = slice(int(command.first_row[request]), int(command.first_row[request + 1]))
    answers.reply[rows], answers.quantity[rows] = told.reply[request], 0
    answers.again[rows] = told.again[request]
    if not told.again[request]:
        return
    if rows.stop - rows.start == 1:
        answers.quantity[rows] = told.quantity[request]
        return
    location = int(commit.first_locations(keys[request : request + 1])[0])
    outcomes = commit.first_answers.outcomes_at(location)
    assert outcomes is not None, "the answer was read a moment ago"
    answers.reply[rows], answers.quantity[rows] = outcomes["reply"], outcomes["quantity"]


def _contents(state: State, command: TakeSteps) -> Any:
    """128 bits over what each request says."""
    content = np.empty((len(command.request_id), 2), np.uint64)
    columns = [np.ascontiguousarray(getattr(command, name)) for name in _FIGURES]
    texts = [text_buffers(getattr(command, name)) for name in _TEXTS]
    for request in range(len(command.request_id)):
        first, last = int(command.first_row[request]), int(command.first_row[request + 1])
        hashed = xxhash.xxh3_128()
        for column in columns:
            hashed.update(column[first:last].tobytes())
        for starts, data in texts:
            hashed.update((starts[first : last + 1] - starts[first]).tobytes())
            hashed.update(data[starts[first] : starts[last]].tobytes())
        value = hashed.intdigest()
        content[request] = value >> 64, value & 0xFFFFFFFFFFFFFFFF
    return content


def _keys(state: State, channel: Any, method: Method, texts: pa.StringArray, wanted: Any) -> Any:
    """uint64 [row, 2]: the keys of texts in (channel, method); zeros where there is no text, or none is wanted."""
    keys = np.zeros((len(texts), 2), np.uint64)
    named = wanted & (np.asarray(pc.binary_length(texts)) > 0)
    if named.all():
        return hash_keys(state, channel, method, texts)
    if named.any():
        keys[named] = hash_keys(state, channel[named], method, texts.filter(pa.array(named)))
    return keys


def _asked(state: State, command: TakeSteps, rows: Any) -> tuple[Asked, dict[str, pa.StringArray]]:
    """Rows as the kernel takes them, and their texts."""
    everything = rows.size == command.step.size
    figures = {name: getattr(command, name) for name in _FIGURES}
    texts = {name: getattr(command, name) for name in _TEXTS}
    if not everything:
        figures = {name: column[rows] for name, column in figures.items()}
        texts = {name: column.take(pa.array(rows)) for name, column in texts.items()}
    kind, count = figures["step"] // STEPS_PER_KIND, rows.size
    key = np.zeros((count, 2), np.uint64)
    for method in DOCUMENT_METHODS:
        of_it = DOCUMENT_METHOD[kind] == method
        if of_it.any():
            key |= _keys(state, figures["channel"], method, texts["document_id"], of_it)
    everyone = np.ones(count, bool)
    return Asked(
        owned(figures["step"]), owned(figures["channel"]), key,
        _keys(state, figures["how"], Method.REFERENCE, texts["reference"], figures["how"] != NONE),
        _keys(state, figures["channel"], Method.PLACE_ORDER, texts["order_id"], everyone),
        owned(figures["number"]), owned(figures["line"]), owned(figures["units"]), owned(figures["node"]),
        owned(figures["amount"]), figures["currency"].astype(np.int32), owned(figures["how"]), figures["at"].copy(),
        owned(figures["flags"]),
    ), texts  # fmt: skip


def _take_rows(commit: Commit, command: TakeSteps, rows: Any, answers: Replies) -> None:
    """Let the kernel take the rows, and journal what they came to."""
    state = commit.state
    asked, texts = _asked(state, command, rows)
    answered = Answered(np.empty(rows.size, np.uint8), np.empty(rows.size, np.int64), np.empty(rows.size, np.uint8))
    actor = command.actor[owners(command.first_row)[rows]]
    channel = command.channel[rows]
    room = Room(np.empty((SEGMENT_SLOTS, 4), np.int64), np.empty(SEGMENT_SLOTS, np.uint8), np.empty(3, np.int64))
    first, spare = 0, 0
    for kind, end in _runs(asked.step):
        while first < end:
            told = new_told(end - first, spare)
            done = _TAKES[kind](
                asked, first, end, commit.stamp, commit.next_document_location, state.book, state.keys,
                state.afterwards.around(), carrying(state), told, answered, room,
            )  # fmt: skip
            spare = 2 * (spare + 1024) if done == first else spare
            keep(commit, told, texts, channel, actor, _CAUSES[kind])
            if kind == DocumentKind.RETURN - 1:
                exchange(commit, told)
            first = done
    answers.reply[rows], answers.quantity[rows] = answered.reply, answered.quantity
    answers.again[rows] = answered.again != 0


_TAKES = {0: take_payments, 1: take_payments, 2: take_shipments, 3: take_returns}  # by kind - 1
_CAUSES = {0: Cause.PAYMENT, 1: Cause.PAYMENT, 2: Cause.SHIPMENT, 3: Cause.RETURN}


def _runs(step: Any) -> list[tuple[int, int]]:
    """Steps that follow each other and are for one kernel: a kind of theirs less 1, and where they end."""
    of = np.maximum(step // STEPS_PER_KIND, 1)
    ends = np.append(np.flatnonzero(np.diff(of)) + 1, of.size)
    return [(int(of[end - 1]), int(end)) for end in ends]


def follow_up(commit: Commit) -> None:
    """What follows for orders with documents, whatever happened to them in the commit so far (kernels/settling.py), and
    for those that were to be paid before and now are not."""
    state = commit.state
    while state.head(Head.TOUCHED_ORDERS):
        rows, what = state.take_touched()
        first, spare = 0, 0
        while first < rows.size:
            told = new_told(rows.size - first, spare)
            done = settle(
                rows, what, first, commit.stamp, commit.next_document_location, state.book, carrying(state), told
            )
            spare = 2 * (spare + 1024) if done == first else spare
            keep(commit, told, {}, NOBODY, NOBODY, Cause.BALANCE)
            first = done
        state.take_touched()  # by what it did itself
        cancel_unpaid(commit, rows)


def cancel_unpaid(commit: Commit, rows: Any) -> None:
    """Cancel all that is open of orders that were to be paid by now and are not. rows: of the book."""
    book = commit.state.book
    late = rows[(book.money.pay_by[rows] > 0) & (book.money.pay_by[rows] <= commit.stamp)]
    late = late[book.orders.kind[late] == OrderKind.ORDER]
    if late.size:
        unpaid = np.empty(late.size, np.uint8)
        find_unpaid(late, book, commit.stamp, unpaid)
        if unpaid.any():
            cancel_open(commit, late[unpaid != 0], Cause.UNPAID)


def orders_with_something_open(state: State) -> Any:
    """Rows of orders whose payments, refunds, shipments or returns are not at rest."""
    count = state.head(Head.DOCUMENTS)
    documents = state.book.documents
    kind, at = documents.kind[:count], documents.state[:count]
    is_open = kind != DocumentKind.FREE
    for of, states in _AT_REST.items():
        is_open &= ~((kind == of) & np.isin(at, states))
    is_open |= (kind == DocumentKind.PAYMENT) & (documents.figures[:count, PaymentFigure.CAPTURING] != 0)
    return np.unique(documents.order[:count][is_open])
