"""What steps of documents are asked with, whatever their kind: which rows they name, and what becomes of them.

kernels/payments.py, kernels/shipments.py and kernels/returns.py check rows of their kind in a ladder of named refusals
and push the step; kernels/telling.py carries it out with all that follows. What may follow what is a table of
engine/lifecycle.py.
"""

from typing import NamedTuple

import numpy as np

from kernels.columns import NONE, Book, OrderKind
from kernels.keys import EMPTY, FIRST_DOCUMENT, LOCATION, ROW, KeyIndex, insert_key, slot_of
from kernels.life import STEPS_PER_KIND, DocumentKind, StepReply
from kernels.options import I16, I32, I64, U8, I64x2, U8x2, U64x2, leaf
from kernels.telling import STEPS, Told

DOCUMENTS_MAX = 1000  # of an order
AUTO_APPROVES, REFUNDS_SHIPPING, EXCHANGES = 1, 2, 4  # flags of a return policy
ABSENT, GONE = -1, -2  # of what a row names: nobody made it; it is gone, or the name is of something else
_PER_KIND, _DOCUMENTS_MAX = STEPS_PER_KIND, DOCUMENTS_MAX
_PAYMENT, _REFUND_KIND = int(DocumentKind.PAYMENT), int(DocumentKind.REFUND)
_ABSENT, _GONE, _FIRST_DOCUMENT = ABSENT, GONE, FIRST_DOCUMENT
_ORDER = int(OrderKind.ORDER)
_DONE, _UNKNOWN_ORDER, _ARCHIVED, _TOO_MANY = (
    int(reply)
    for reply in (
        StepReply.DONE, StepReply.UNKNOWN_ORDER, StepReply.ANSWER_ARCHIVED, StepReply.TOO_MANY_DOCUMENTS,
    )
)  # fmt: skip


class Asked(NamedTuple):
    """What is asked. A key of zeros names nothing."""

    step: U8  # [row] Step
    channel: I16  # [row] of the order; NONE: whichever
    key: U64x2  # [row, 2] of the document, by its own id
    reference: U64x2  # [row, 2] of the document, by what gateway or carrier call it; bound to it where it is new
    order: U64x2  # [row, 2] of the order, for a new document
    number: I64  # [row] of the document, of refunds; 0: by key
    line: I32  # [row] position from 1; 0: every line
    units: I32  # [row] 0: all
    node: I16  # [row] NO_NODE: not told
    amount: I64  # [row] minor units; 0: all
    currency: I32  # [row] word; NONE: not told
    how: I16  # [row] word: gateway, carrier, reason; NONE
    at: I64  # [row] UTC us; 0: now. What has happened is no later than the commit
    flags: I32  # [row] as the step has them


class Policies(NamedTuple):
    """What may be returned, a row each; the first holds where no other does."""

    channel: I16  # [policy] NONE: any
    category: I16  # [policy] word; NONE: any
    return_within: I64  # [policy] us after the delivery; 0: never
    claim_within: I64  # [policy] us
    refund_within: I64  # [policy] us after units came back
    fee: I64  # [policy] minor units a unit, for the way back
    conditions: I32  # [policy] bit of each Condition that is taken
    flags: U8  # [policy]


class Around(NamedTuple):
    """What is looked at beside the book."""

    next_state: U8x2  # [step, state before] the state after; KEEPS_STATE, NOT_ALLOWED
    policies: Policies
    category: I16  # [sku] word + 1; 0: none
    node_region: I16  # [node] word + 1; 0: not known
    code_region: I16  # [postal code]
    held_for: I64  # [word] us that a gateway of that name holds what it authorised; 0: not known


class Answered(NamedTuple):
    """What became of each row."""

    reply: U8  # [row] StepReply
    quantity: I64  # [row] number of a new document; else what was moved, minor units or units
    again: U8  # [row] 1: it was so before


class Room(NamedTuple):
    """For segments of the key index that are split."""

    before: I64x2
    kept: U8
    named: I64  # [3] what a row names: order, document by its id, document by its reference


@leaf
def find_names(index: KeyIndex, asked: Asked, i: int, book: Book, named: I64) -> None:
    """Look the three keys of a row up. Writes named [3]: row of the open order or NONE; the document of its own id, and
    the one of its reference: ABSENT where there is none, GONE where it is gone."""
    for which in range(3):
        key = asked.order if which == 0 else (asked.key if which == 1 else asked.reference)
        high, low = key[i, 0], key[i, 1]
        slot = slot_of(index, high, low)
        location, row = index.slots[slot, LOCATION], index.slots[slot, ROW]
        named[which] = _ABSENT
        if (high == 0 and low == 0) or location == EMPTY:
            continue
        if which == 0:
            if row >= 0 and book.orders.kind[row] == _ORDER and book.orders.location[row] == location:
                named[which] = row
            continue
        document = _FIRST_DOCUMENT - row
        is_it = document >= 0 and book.documents.location[document] == location
        named[which] = document if is_it else _GONE


@leaf
def of_kind(book: Book, document: int, kind: int) -> int:
    """The document, if it is of a kind; else GONE, or ABSENT as it was."""
    if document >= 0 and book.documents.kind[document] != kind:
        return _GONE
    return document


@leaf
def find(asked: Asked, i: int, book: Book, named: I64) -> int:
    """The document that a row names: by its id, by its reference, or a refund by its number; less than 0: none, or one
    of another channel than the row says."""
    kind = asked.step[i] // _PER_KIND + 1
    if kind == _REFUND_KIND:
        order = named[0]
        if order < 0 and of_kind(book, named[1], _PAYMENT) >= 0:
            order = np.int64(book.documents.order[named[1]])
        document = book.documents.of_order[order] - 1 if order >= 0 else NONE
        while document >= 0:
            if book.documents.kind[document] == kind and book.documents.number[document] == asked.number[i]:
                return int(document)
            document = book.documents.next[document]
        return _ABSENT
    is_named = asked.key[i, 0] != 0 or asked.key[i, 1] != 0
    document = of_kind(book, named[1] if is_named else named[2], kind)
    is_told = document >= 0 and asked.channel[i] != NONE
    if is_told and book.orders.channel[book.documents.order[document]] != asked.channel[i]:
        return _ABSENT
    return document


@leaf
def bind(
    index: KeyIndex, asked: Asked, i: int, document: int, location: int, makes: bool, calls: bool, room: Room
) -> None:  # fmt: skip
    """Let the keys of a row name a document: its id where the row makes it, what others call it where it tells that."""
    for which in range(2):
        key = asked.key if which == 0 else asked.reference
        is_wanted = makes if which == 0 else calls
        if not is_wanted or (key[i, 0] == 0 and key[i, 1] == 0):
            continue
        insert_key(index, key[i, 0], key[i, 1], location, _FIRST_DOCUMENT - document, room.before, room.kept)


@leaf
def has_reference(asked: Asked, i: int) -> bool:
    """Whether a row says what others call its document."""
    return bool(asked.reference[i, 0] != 0 or asked.reference[i, 1] != 0)


@leaf
def count_documents(book: Book, order: int) -> int:
    count, document = 0, book.documents.of_order[order] - 1
    while document >= 0:
        count += 1
        document = book.documents.next[document]
    return count


@leaf
def check_new(asked: Asked, i: int, book: Book, named: I64, known: int) -> int:
    """The reply to a new document before anything of its kind is looked at; DONE: go on."""
    if known == _GONE:
        return _ARCHIVED
    if named[0] < 0:
        return _UNKNOWN_ORDER
    if count_documents(book, named[0]) >= _DOCUMENTS_MAX:
        return _TOO_MANY
    return _DONE


@leaf
def happened_at(asked: Asked, i: int, stamp: int) -> None:
    """What a row tells has happened by the commit: a moment that is not told, or that is to come, is the commit's."""
    if asked.at[i] == 0 or asked.at[i] > stamp:
        asked.at[i] = stamp


@leaf
def order_of(book: Book, document: int, named: I64) -> int:
    """The order that a row is about, or less than 0."""
    return np.int64(book.documents.order[document]) if document >= 0 else named[0]


@leaf
def answer(
    asked: Asked, i: int, begin: int, reply: int, quantity: int, again: int, index: KeyIndex, told: Told,
    answered: Answered, room: Room,
) -> None:  # fmt: skip
    """What became of a row, of which the steps from `begin` on are; names that these tell are the document's now."""
    if reply == _DONE and told.counts[STEPS] > begin:
        steps, makes = told.steps, asked.step[i] % _PER_KIND == 0
        calls = steps.referenced[begin] != 0
        bind(index, asked, i, steps.document[begin], steps.location[begin], makes, calls, room)
    answered.reply[i] = reply
    answered.quantity[i] = quantity
    answered.again[i] = again
