"""What kernels told of steps, into the journal: units that moved, the steps themselves, postings, stock that came back.

For whoever runs a kernel that takes steps: engine/documents.py, engine/exchanges.py.
"""

from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from engine import schema
from engine.apply import enter_steps
from engine.commit import Commit
from engine.lifecycle import CHANGE_TABLE, LEAVES_FROM
from engine.outcomes import Cause, MovementKind
from engine.state import State
from engine.stock import serve_back_orders
from kernels.columns import NONE, Figure, Head, Stage
from kernels.documents import TAKEN, Steps
from kernels.life import STEPS_PER_KIND, DocumentKind, Step
from kernels.stages import Acted, Moves
from kernels.telling import MOVES, PLACES, POSTINGS, STEPS, STOCK, Carrying, Postings, Restocked, Told

NOBODY = np.empty(0, np.int16)
_STEP_DTYPES = {column.name: schema.DTYPES.get(column.kind) for column in schema.STEPS.columns}
_POSTING_DTYPES = {column.name: schema.DTYPES[column.kind] for column in schema.POSTINGS.columns}


def carrying(state: State) -> Carrying:
    """What kernels need beside the book to carry steps out."""
    return Carrying(state.cells, state.fences, CHANGE_TABLE, LEAVES_FROM, state.promised_parts)


def new_told(rows: int, spare: int = 0) -> Told:
    """Room for what so many rows come to, about; spare: for orders that are larger than most."""
    steps, moves, postings, stock = (factor * min(rows, 1 << 17) + 1024 + spare for factor in (4, 3, 10, 2))
    return Told(
        Steps(*(np.empty(steps, _STEP_DTYPES[name]) for name in Steps._fields)), np.empty(steps, np.int32),
        np.empty(steps, np.int64),
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


def keep(commit: Commit, told: Told, texts: Any, channel: Any, actor: Any, cause: Cause) -> None:
    """Journal what a kernel told: units that moved, steps, postings, stock that came back. cause: of steps that nobody
    asked for; who asked for the step before them is behind them."""
    moves, steps, postings, stock = (int(told.counts[which]) for which in (MOVES, STEPS, POSTINGS, STOCK))
    if moves:
        _keep_moves(commit, told, moves, actor)
    if steps:
        columns: dict[str, Any] = {name: column[:steps] for name, column in told.steps._asdict().items()}
        enter_steps(commit.state, Steps(**columns))
        if not columns["invoice"].any():
            del columns["invoice"]
        columns |= _named(told, steps, texts, channel, actor) | _of_numbers(commit.state, columns)
        followed = told.asked[:steps] == NONE
        if followed.any():
            columns["cause"] = np.where(followed, cause, 0).astype(np.uint8)
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
    behind = asked[np.maximum.accumulate(np.where(is_asked, np.arange(count), 0))]  # the first step is asked for
    columns = {
        "actor": actor[behind].astype(np.int16),
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
