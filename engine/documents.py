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
from engine.answers import Replies
from engine.apply import DOCUMENT_METHOD, DOCUMENT_METHODS, hash_keys
from engine.commands import TakeSteps
from engine.commit import Commit, remember
from engine.lifecycle import CHANGE_TABLE, LEAVES_FROM
from engine.names import text_buffers
from engine.outcomes import Cause, Method, MovementKind, Reply
from engine.ragged import elements, owned, owners
from engine.state import State
from engine.stock import serve_back_orders
from kernels.columns import NONE, Figure, Head, Stage
from kernels.documents import TAKEN, Steps
from kernels.keys import SEGMENT_SLOTS
from kernels.life import (
    STEPS_PER_KIND,
    DocumentKind,
    PaymentFigure,
    PaymentState,
    RefundState,
    ReturnState,
    ShipmentState,
    Step,
)
from kernels.payments import take_payments
from kernels.returns import take_returns
from kernels.settling import settle
from kernels.shipments import take_shipments
from kernels.stages import Acted, Moves
from kernels.steps import Answered, Asked, Room
from kernels.telling import MOVES, PLACES, POSTINGS, STEPS, STOCK, Carrying, Postings, Restocked, Told

_TEXTS = ("document_id", "order_id", "reference", "note")
_FIGURES = ("step", "channel", "number", "line", "units", "node", "amount", "currency", "how", "at", "flags")
_STEP_DTYPES = {column.name: schema.DTYPES[column.kind] for column in schema.STEPS.columns if not column.optional}
_POSTING_DTYPES = {column.name: schema.DTYPES[column.kind] for column in schema.POSTINGS.columns}
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
        owned(figures["step"]), key,
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
            _keep(commit, told, texts, channel, actor)
            first = done
    answers.reply[rows], answers.quantity[rows] = answered.reply, answered.quantity
    answers.again[rows] = answered.again != 0


_TAKES = {0: take_payments, 1: take_payments, 2: take_shipments, 3: take_returns}  # by kind - 1


def _runs(step: Any) -> list[tuple[int, int]]:
    """Steps that follow each other and are for one kernel: a kind of theirs less 1, and where they end."""
    of = np.maximum(step // STEPS_PER_KIND, 1)
    ends = np.append(np.flatnonzero(np.diff(of)) + 1, of.size)
    return [(int(of[end - 1]), int(end)) for end in ends]


def carrying(state: State) -> Carrying:
    """What kernels need beside the book to carry steps out."""
    return Carrying(state.cells, state.fences, CHANGE_TABLE, LEAVES_FROM)


def new_told(rows: int, spare: int = 0) -> Told:
    """Room for what so many rows come to, about; spare: for orders that are larger than most."""
    steps, moves, postings, stock = (factor * min(rows, 1 << 17) + 1024 + spare for factor in (4, 3, 10, 2))
    return Told(
        Steps(*(np.empty(steps, _STEP_DTYPES[name]) for name in Steps._fields)), np.empty(steps, np.int32),
        Acted(
            Moves(
                np.empty(moves, np.int32), np.empty(moves, np.uint8), np.empty(moves, np.int32),
                np.empty(moves, np.int16), np.empty(moves, np.int32),
            ),
            np.empty(moves, np.int64), np.empty(moves, np.int32), np.empty(moves, np.uint8), np.empty(moves, np.int32),
            np.empty(moves, np.int16), np.empty(moves, np.int32),
        ),
        Postings(*(np.empty(postings, _POSTING_DTYPES[name]) for name in Postings._fields)),
        Restocked(
            np.empty(stock, np.int32), np.empty(stock, np.int16), np.empty(stock, np.uint8), np.empty(stock, np.int32),
            np.empty(stock, np.int64),
        ),
        np.zeros(PLACES + 1, np.int64), np.zeros(TAKEN, np.int64),
    )  # fmt: skip


def _keep(commit: Commit, told: Told, texts: Any, channel: Any, actor: Any) -> None:
    """Journal what a kernel told: units that moved, steps, postings, stock that came back."""
    moves, steps, postings, stock = (int(told.counts[which]) for which in (MOVES, STEPS, POSTINGS, STOCK))
    if moves:
        _keep_moves(commit, told, moves, actor)
    if steps:
        columns: dict[str, Any] = {name: column[:steps] for name, column in told.steps._asdict().items()}
        columns |= _named(told, steps, texts, channel, actor) | _of_numbers(commit.state, columns)
        commit.stepped(columns, int(told.counts[PLACES]))
    if postings:
        commit.add(schema.POSTINGS, {name: column[:postings] for name, column in told.postings._asdict().items()})
    if stock:
        _keep_stock(commit, told.stock, stock)


def _keep_moves(commit: Commit, told: Told, count: int, actor: Any) -> None:
    acted, moves = told.moves, told.moves.moves
    by = acted.act[:count]
    is_return = (moves.to[:count] == Stage.RETURNED) & (acted.source[:count] == Stage.DELIVERED)
    columns: dict[str, Any] = {
        "part": moves.part[:count], "to": moves.to[:count], "quantity": moves.quantity[:count],
        "node": acted.at[:count], "fenced": moves.fenced[:count], "metres": np.zeros(count, np.int32),
        "cause": np.where(is_return, Cause.RETURN, Cause.SHIPMENT).astype(np.uint8), "number": acted.number[:count],
        "line": acted.line[:count], "from": acted.source[:count], "sku": acted.sku[:count],
    }  # fmt: skip
    if actor.size and (actor != NONE).any():
        columns["actor"] = np.where(by == NONE, NONE, actor[by]).astype(np.int16)
    commit.moved(columns)


def _named(told: Told, count: int, texts: Any, channel: Any, actor: Any) -> dict[str, Any]:
    """Columns of what only asked steps have: ids, references, notes, who asked."""
    asked, steps = told.asked[:count], told.steps.step[:count]
    if not actor.size or (asked == NONE).all():
        return {}
    is_asked = asked != NONE
    columns = {
        "actor": np.where(is_asked, actor[asked], NONE).astype(np.int16),
        "channel": np.where(is_asked & (steps % STEPS_PER_KIND == 0), channel[asked], NONE).astype(np.int16),
    }
    for name, wanted in (
        ("document_id", is_asked & (steps % STEPS_PER_KIND == 0) & (steps != Step.ASK_REFUND)),
        ("reference", is_asked),
        ("note", is_asked),
    ):
        if pc.any(pc.not_equal(texts[name], "")).as_py():
            taken = texts[name].take(pa.array(np.where(wanted, asked, 0), mask=~wanted))
            columns[name] = pc.fill_null(taken, "")
    return columns


def _of_numbers(state: State, steps: dict[str, Any]) -> dict[str, Any]:
    """The numbers of the payments that refunds are of, and of the shipments that brought what returns are of."""
    kind, of = steps["step"] // STEPS_PER_KIND + 1, steps["of"]
    documents, numbers = state.book.documents, np.zeros(of.size, np.int64)
    refund, back = (kind == DocumentKind.REFUND), (kind == DocumentKind.RETURN)
    if not (refund | back).any():
        return {}
    numbers[refund] = documents.number[of[refund]]
    numbers[back] = documents.number[state.book.items.document[of[back]]]
    return {"of_number": numbers}


def _keep_stock(commit: Commit, stock: Restocked, count: int) -> None:
    """Units that came back are on hand again; where they may be sold they serve who waits."""
    state = commit.state
    figure, quantity = stock.figure[:count], stock.quantity[:count]
    kind = np.where(figure == Figure.ON_HAND, MovementKind.RETURNED, MovementKind.UNAVAILABLE).astype(np.uint8)
    columns: dict[str, Any] = {
        "sku": stock.sku[:count], "node": stock.node[:count], "kind": kind, "figure": figure, "quantity": quantity,
        "cause": np.full(count, Cause.RETURN, np.uint8), "reference": stock.number[:count],
    }  # fmt: skip
    commit.add(schema.MOVEMENTS, columns)
    if state.head(Head.WAITING_PARTS):
        serve_back_orders(commit, np.unique(columns["sku"]), Cause.RETURN)


def follow_up(commit: Commit) -> None:
    """What follows for orders with documents, whatever happened to them in the commit (kernels/settling.py)."""
    state = commit.state
    rows = state.take_touched()
    first, spare = 0, 0
    nobody = np.empty(0, np.int16)
    while first < rows.size:
        told = new_told(rows.size - first, spare)
        done = settle(rows, first, commit.stamp, commit.next_document_location, state.book, carrying(state), told)
        spare = 2 * (spare + 1024) if done == first else spare
        _keep(commit, told, {}, nobody, nobody)
        first = done
    state.take_touched()


def documents_max(command: TakeSteps) -> int:
    """Documents that steps may make, those that follow among them, about."""
    return 4 * command.step.size + 64


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
