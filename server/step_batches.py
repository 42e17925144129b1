"""Arrow batches of steps: from the columns on the wire to a command of the engine, and answers back into columns.

Everything is done a column at a time, away from the event loop. A batch of which a row is malformed is refused whole;
what a step comes to is answered row by row. What StepBatch promises of the columns is in proto/allot/v1/life.proto.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from engine.answers import Replies
from engine.commands import TakeSteps
from engine.intake.orders import LINE_UNITS_MAX, ORDER_ID_CHARACTERS_MAX, ORDER_LINES_MAX
from engine.intake.values import text_faults
from engine.lifecycle import ENGINE_STEPS
from engine.names import Names
from engine.outcomes import Namespace, Reply
from engine.payments import flags_of
from kernels.columns import NO_NODE, NONE
from kernels.life import (
    METHOD_BITS,
    Condition,
    Disposition,
    DocumentKind,
    PayMethod,
    ReturnFlag,
    ReturnKind,
    Step,
)
from kernels.shipments import PACKED_ONLY
from server.batches import PAYMENT_METHODS, columns_of, holds_no_card
from server.errors import invalid
from server.gather import STEP_DTYPES
from server.ipc import read_batch
from server.validation.values import AMOUNT_MAX, MICROSECONDS_MAX

ROWS_MAX = 131_072
_IDS = {"document_id": ORDER_ID_CHARACTERS_MAX, "order_id": ORDER_ID_CHARACTERS_MAX, "reference": 64, "note": 64}
_NAMES = {"channel": Namespace.CHANNEL, "node_id": Namespace.NODE}
_WORDS = {"how": 32, "currency": 3}
_ENUMS: dict[str, Mapping[str, int]] = {
    "kind": ReturnKind.__members__, "condition": Condition.__members__, "disposition": Disposition.__members__,
    "method": {name: at for at, name in enumerate(PAYMENT_METHODS, 1)},
}  # fmt: skip
TEXTS = ("step", *_IDS, *_NAMES, *_WORDS, *_ENUMS)
COUNTS = {"line": (0, ORDER_LINES_MAX), "units": (0, LINE_UNITS_MAX)}
_COUNT_NAMES = {"line": "line", "quantity": "units"}
AMOUNTS = {"number": (0, (1 << 63) - 1), "amount": (0, AMOUNT_MAX)}
FLAGS, TIMES = ("as_credit", "packed_only"), ("at",)
STEPS_OF: dict[tuple[DocumentKind, ...], dict[str, Step]] = {
    kinds: {step.name: step for step in Step if step // 16 + 1 in kinds and step not in ENGINE_STEPS}
    for kinds in (
        (DocumentKind.PAYMENT, DocumentKind.REFUND), (DocumentKind.SHIPMENT,), (DocumentKind.RETURN,),
    )
}  # fmt: skip


@dataclass
class TakenSteps:
    """A batch as the engine takes it; or the words that are to be named before it is read again."""

    command: TakeSteps | None
    unnamed: list[pa.Array]


class StepBatches:
    """Reads batches of steps of some kinds against the names of one engine."""

    def __init__(self, names: dict[Namespace, Names], kinds: tuple[DocumentKind, ...]) -> None:
        self._names, self._steps = names, STEPS_OF[kinds]
        self._is_money = DocumentKind.PAYMENT in kinds

    def take(self, data: bytes, request_id: str, actor: int, bound_channel: str = "") -> TakenSteps:
        """A message as a command. Raises Rejection where a row will not do. bound_channel: the only one the caller may
        name."""
        batch = read_batch(data, ROWS_MAX, ROWS_MAX)
        if batch.num_rows == 0:
            raise invalid("batch", "batch: it has no rows: give 1 or more", "VALUE_MISSING")
        columns = columns_of(batch, ("step",), TEXTS, TIMES, FLAGS, tuple(_COUNT_NAMES), tuple(AMOUNTS))
        rows = batch.num_rows
        texts = {name: self._texts(columns, name, rows) for name in _IDS}
        unnamed: list[pa.Array] = []
        figures: dict[str, Any] = {
            "step": self._among(columns, "step", self._steps, rows).astype(np.uint8),
            "channel": self._channels(columns, texts, rows, bound_channel),
            "node": self._indices(columns, "node_id", rows, NO_NODE),
            "how": self._words(columns, "how", rows, unnamed),
            "currency": self._words(columns, "currency", rows, unnamed),
            "at": _whole(columns, "at", rows, 0, MICROSECONDS_MAX),
        }  # fmt: skip
        for name, field in _COUNT_NAMES.items():
            figures[field] = _whole(columns, name, rows, *COUNTS[field])
        for name, (low, high) in AMOUNTS.items():
            figures[name] = _whole(columns, name, rows, low, high)
        figures["flags"] = self._flags(columns, figures["step"], rows)
        if unnamed:
            return TakenSteps(None, unnamed)
        _check_steps(figures, texts)
        command = TakeSteps(
            request_id=pa.array([request_id], pa.string()), request_channel=np.array([NONE], np.int16),
            actor=np.array([actor], np.int16), first_row=np.array([0, rows], np.int64), **texts,
            **{name: np.ascontiguousarray(figures[name], dtype) for name, dtype in STEP_DTYPES.items()},
        )  # fmt: skip
        return TakenSteps(command, [])

    def _texts(self, columns: dict[str, pa.Array], name: str, rows: int) -> pa.StringArray:
        if name not in columns:
            return pa.array([""] * rows, pa.string()) if rows < 64 else _blanks(rows)
        texts = _plain(columns[name])
        for reason, failing in text_faults(texts, _IDS[name], needed=False):
            _refuse(name, failing, reason.name, f"at most {_IDS[name]} characters, none of them a control character")
        if name == "note" or (self._is_money and name != "order_id"):
            _refuse_cards(name, texts)
        return texts

    def _among(self, columns: dict[str, pa.Array], name: str, members: Mapping[str, int], rows: int) -> Any:
        """Values of an enum by their names; 0 where there is none."""
        if name not in columns:
            return np.zeros(rows, np.int64)
        encoded = _plain(columns[name]).dictionary_encode()
        known = np.array([members.get(text, -1) for text in encoded.dictionary.to_pylist()] + [0], np.int64)
        if name != "step":
            known = np.where(np.array([*encoded.dictionary.to_pylist(), ""]) == "", 0, known)
        values = known[encoded.indices.to_numpy()]
        _refuse(name, values < 0, "OUT_OF_RANGE", f"one of {', '.join(members)}")
        return values

    def _indices(self, columns: dict[str, pa.Array], name: str, rows: int, null: int) -> Any:
        """Indices of what must be known, in a column that may be left out."""
        if name not in columns:
            return np.full(rows, null, np.int16)
        texts = _plain(columns[name])
        found = self._names[_NAMES[name]].find(texts)
        told = np.asarray(pc.not_equal(texts, ""))
        _refuse(name, told & (found < 0), f"UNKNOWN_{_NAMES[name].name}", "one that is known")
        return np.where(told, found, null).astype(np.int16)

    def _channels(self, columns: dict[str, pa.Array], texts: Any, rows: int, bound_channel: str) -> Any:
        channel = self._indices(columns, "channel", rows, NONE)
        by_reference = np.asarray(pc.equal(texts["document_id"], "")) & np.asarray(pc.not_equal(texts["reference"], ""))
        _refuse("channel", (channel < 0) & ~by_reference, "VALUE_MISSING", "the channel of the order")
        if bound_channel:
            only = self._names[Namespace.CHANNEL].find_one(bound_channel)
            _refuse("channel", channel != only, "OTHER_CHANNEL", f"{bound_channel!r}, which the token is for")
        return channel

    def _words(self, columns: dict[str, pa.Array], name: str, rows: int, unnamed: list[pa.Array]) -> Any:
        if name not in columns:
            return np.full(rows, NONE, np.int16)
        texts = _plain(columns[name])
        for reason, failing in text_faults(texts, _WORDS[name], needed=False):
            _refuse(name, failing, reason.name, f"at most {_WORDS[name]} characters")
        if name == "how":
            _refuse_cards(name, texts)
        if name == "currency":
            wrong = ~np.asarray(pc.match_substring_regex(texts, "^([A-Z]{3})?$"))
            _refuse(name, wrong, "NOT_A_CURRENCY", "three capitals, as INR")
        found = self._names[Namespace.WORD].find(texts)
        told = np.asarray(pc.not_equal(texts, ""))
        new = told & (found < 0)
        if new.any():
            unnamed.append(texts.filter(pa.array(new)).unique())
        return np.where(told, found, NONE).astype(np.int16)

    def _flags(self, columns: dict[str, pa.Array], step: Any, rows: int) -> Any:
        """As the steps have them: what a method can, what is wanted of a return, what becomes of units."""
        values = {name: self._among(columns, name, members, rows) for name, members in _ENUMS.items()}
        as_credit, packed = (
            columns[name].fill_null(False).cast(pa.int32()).to_numpy() if name in columns else np.zeros(rows, np.int32)
            for name in FLAGS
        )
        flags = np.where(step == Step.SEND, packed * PACKED_ONLY, 0).astype(np.int32)
        asks = step == Step.ASK_RETURN
        wanted = values["kind"] | values["condition"] << 4 | as_credit * int(ReturnFlag.AS_CREDIT)
        flags[asks] = wanted[asks]
        looks = np.isin(step, (Step.INSPECT, Step.COME_HOME))
        flags[looks] = values["disposition"][looks]
        pays = step == Step.PAY
        _refuse(
            "method", pays & (values["method"] == 0), "NOT_A_PAYMENT_METHOD", f"one of {', '.join(PAYMENT_METHODS)}"
        )
        gateways = _plain(columns["how"]).to_pylist() if "how" in columns and pays.any() else [""] * rows
        known: dict[tuple[str, int], int] = {}
        for row in np.flatnonzero(pays).tolist():
            key = gateways[row], int(values["method"][row])
            if key not in known:
                known[key] = flags_of(key[0], PayMethod(key[1]))
            flags[row] = known[key]
        return flags


def _check_steps(figures: Mapping[str, Any], texts: Mapping[str, pa.StringArray]) -> None:
    """What single calls ask for too: an id of what is made, whose name a reference is, units of a return."""
    step, no_how = figures["step"], figures["how"] == NONE
    no_id = np.asarray(pc.equal(texts["document_id"], ""))
    makes = np.isin(step, (Step.PAY, Step.SEND, Step.ASK_RETURN))
    _refuse("document_id", makes & no_id, "VALUE_MISSING", "the id of what is made")
    _refuse("how", (step == Step.BOOK) & no_how, "VALUE_MISSING", "the carrier")
    is_outside = (step == Step.PAY) & ((figures["flags"] & METHOD_BITS) < PayMethod.CASH_ON_DELIVERY)
    _refuse("how", is_outside & no_how, "VALUE_MISSING", "the gateway")
    named = np.asarray(pc.not_equal(texts["reference"], ""))
    _refuse("how", named & no_how, "VALUE_MISSING", "whose name the reference is")
    _refuse("reference", named & np.isin(step, (Step.SEND, Step.ASK_RETURN)), "NOT_YET", "it once it is booked")
    _refuse("quantity", (step == Step.ASK_RETURN) & (figures["units"] < 1), "OUT_OF_RANGE", "1 or more")
    swaps = (step == Step.ASK_RETURN) & (figures["flags"] & 3 == ReturnKind.EXCHANGE)
    _refuse(
        "as_credit", swaps & (figures["flags"] & ReturnFlag.AS_CREDIT != 0), "ONE_OF_TWO", "no credit of an exchange"
    )


def answer_steps(answers: Replies) -> bytes:
    """What became of each step, as an Arrow IPC stream."""
    taken = answers.reply == Reply.DONE
    names = [reply.name for reply in Reply]
    place = {int(reply): at for at, reply in enumerate(Reply)}
    at = np.zeros(256, np.int32)
    at[list(place)] = list(place.values())
    reason = pa.DictionaryArray.from_arrays(pa.array(at[answers.reply], pa.int32(), mask=taken), pa.array(names))
    batch = pa.record_batch(
        {"reason": reason, "quantity": pa.array(answers.quantity), "again": pa.array(answers.again)}
    )
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, batch.schema) as stream:
        stream.write_batch(batch)
    return bytes(sink.getvalue())


def _plain(column: pa.Array) -> pa.StringArray:
    column = column.dictionary_decode() if pa.types.is_dictionary(column.type) else column
    column = column.cast(pa.string()) if not pa.types.is_string(column.type) else column
    return pc.fill_null(column, "") if column.null_count else column


def _blanks(rows: int) -> pa.StringArray:
    return pa.StringArray.from_buffers(rows, pa.py_buffer(np.zeros(rows + 1, np.int32)), pa.py_buffer(b""))


def _refuse_cards(name: str, texts: pa.StringArray) -> None:
    _refuse(name, ~np.asarray(holds_no_card(texts)), "CARD_NUMBER", "a token: it looks like a card number")


def _whole(columns: dict[str, pa.Array], name: str, rows: int, low: int, high: int) -> Any:
    if name not in columns:
        return np.zeros(rows, np.int64)
    column = columns[name].cast(pa.int64())
    values = (column.fill_null(0) if column.null_count else column).to_numpy()
    _refuse(name, (values < low) | (values > high), "OUT_OF_RANGE", f"{low} to {high}")
    return values


def _refuse(name: str, failing: Any, reason: str, wanted: str) -> None:
    """Refuse the batch for the first row that fails."""
    if failing.any():
        row = int(np.argmax(failing))
        raise invalid(name, f"{name}: row {row}: give {wanted}", reason)
