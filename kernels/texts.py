"""From texts to dense indices: the table behind engine/names.py, which turns SKUs and other codes into indices.

The texts lie one after the other in one buffer, as in an Arrow column, and never move or change; a table with open
addressing finds them by a keyed hash, and the text itself decides.
"""

from enum import IntEnum
from typing import NamedTuple

import numpy as np

from kernels.keys import Bytes, Offsets, siphash_64, tail_at, word_at
from kernels.options import I32, I64, U8, U64, I64x2, Word, allocating_kernel, kernel, leaf
from kernels.prefetch import prefetch

UNKNOWN = -1
FREE = -1  # the index in a free slot
_BLOCK = 64  # texts that are looked up side by side

_8 = np.uint64(8)
_LOW_BITS, _HIGH_BITS, _SPACES, _DELETES, _LEADS = (
    np.uint64(0x0101010101010101 * byte) for byte in (0x01, 0x80, 0x20, 0x7F, 0xC2)
)


class TextIndex(NamedTuple):
    """Texts and the table to find them by. Room is made outside; `slots` always has free ones."""

    slots: I64x2  # [capacity, 2] hash of the text, its index or FREE; capacity is a power of two
    offsets: I32  # [texts + 1 and room] where each text starts in data
    data: U8  # [bytes and room]
    size: I64  # [1] texts


class Mark(IntEnum):
    """What a column of texts may hold that has to be looked at more closely."""

    CONTROL = 1  # a byte of a control character, or of what may be one
    BLANK = 2  # an empty text, or one that begins with a byte that a space may begin with


_CONTROL, _BLANK = int(Mark.CONTROL), int(Mark.BLANK)


@leaf
def _holds(word: Word, byte: Word) -> Word:
    """A high bit set where any of eight bytes is this one; byte: eight times the same."""
    other = word ^ byte
    return (other - _LOW_BITS) & ~other


@leaf
def _suspicious(word: Word) -> Word:
    """A high bit set where any of eight bytes may be one of a control character. Method: Hacker's Delight, 6-1."""
    return (word - _SPACES) & ~word | _holds(word, _DELETES) | _holds(word, _LEADS)


@kernel
def mark_texts(offsets: Offsets, data: Bytes) -> int:
    """The marks of a column of texts, in UTF-8: one pass over their memory, to spare the reading of every character.

    offsets [n + 1] into data. Control characters are U+0000 to U+001F and U+007F to U+009F, which \\xC2 leads.
    """
    marks = 0
    at, stop = np.uint64(offsets[0]), np.uint64(offsets[-1])
    found = np.uint64(0)
    while at + _8 <= stop:
        found |= _suspicious(word_at(data, at))
        at += _8
    while at < stop:
        found |= _suspicious(_SPACES << _8 | np.uint64(data[at]))
        at += np.uint64(1)
    if found & _HIGH_BITS != 0:
        marks |= _CONTROL
    for text in range(offsets.size - 1):
        start = offsets[text]
        if start == offsets[text + 1] or data[start] <= 0x20 or data[start] >= 0x80:
            marks |= _BLANK
            break
    return marks


@leaf
def _same(a: Bytes, a_start: Word, a_stop: Word, b: Bytes, b_start: Word, b_stop: Word) -> bool:
    if a_stop - a_start != b_stop - b_start:
        return False
    while a_start + _8 <= a_stop:
        if word_at(a, a_start) != word_at(b, b_start):
            return False
        a_start += _8
        b_start += _8
    return tail_at(a, a_start, a_stop) == tail_at(b, b_start, b_stop)


@leaf
def _is(index: TextIndex, known: int, data: Bytes, start: Word, stop: Word) -> bool:
    at, end = np.uint64(index.offsets[known]), np.uint64(index.offsets[known + 1])
    return _same(index.data, at, end, data, start, stop)


@leaf
def _slot_of(index: TextIndex, hashed: np.int64, data: Bytes, start: Word, stop: Word) -> np.int64:
    """The slot that holds the text, or the free one where it belongs."""
    slots = index.slots
    last = slots.shape[0] - 1
    slot = hashed & last
    while slots[slot, 1] != FREE:
        if slots[slot, 0] == hashed and _is(index, slots[slot, 1], data, start, stop):
            break
        slot = (slot + 1) & last
    return slot


@leaf
def _hash_of(secret: U64, data: Bytes, start: Word, stop: Word) -> np.int64:
    return np.int64(siphash_64(secret[2], secret[3], data, start, stop))


@leaf
def _first_of_hash(index: TextIndex, hashed: np.int64) -> np.int64:
    """The index of the first text with this hash, nearly always the only one, or UNKNOWN."""
    slots = index.slots
    last = slots.shape[0] - 1
    slot = hashed & last
    while slots[slot, 0] != hashed and slots[slot, 1] != FREE:
        slot = (slot + 1) & last
    return slots[slot, 1] if slots[slot, 0] == hashed else np.int64(UNKNOWN)


@leaf
def _find_texts(index: TextIndex, secret: U64, offsets: Offsets, data: Bytes, indices: I32, hashes: I64) -> None:
    last_slot = index.slots.shape[0] - 1
    for first in range(0, indices.size, _BLOCK):  # in three rounds, so that memory is asked for before it is needed
        last = min(first + _BLOCK, indices.size)
        for text in range(first, last):
            hashed = _hash_of(secret, data, np.uint64(offsets[text]), np.uint64(offsets[text + 1]))
            hashes[text - first] = hashed
            prefetch(index.slots, (hashed & last_slot) * 2)
        for text in range(first, last):
            known = _first_of_hash(index, hashes[text - first])
            indices[text] = known
            if known != UNKNOWN:
                prefetch(index.offsets, known)
        for text in range(first, last):
            start, stop = np.uint64(offsets[text]), np.uint64(offsets[text + 1])
            if indices[text] != UNKNOWN and not _is(index, indices[text], data, start, stop):
                indices[text] = index.slots[_slot_of(index, hashes[text - first], data, start, stop), 1]


@allocating_kernel
def find_texts(index: TextIndex, secret: U64, offsets: Offsets, data: Bytes, indices: I32) -> None:
    """Look texts up; indices [n] is written, UNKNOWN where a text is not there.

    secret [SECRET_WORDS] of kernels/keys.py, always the same for one index; offsets [n + 1] into data, bytes.
    """
    _find_texts(index, secret, offsets, data, indices, np.empty(_BLOCK, np.int64))


@kernel
def add_texts(index: TextIndex, secret: U64, offsets: Offsets, data: Bytes, indices: I32) -> None:
    """Look texts up and give those that are not there the next indices, in their order; indices [n] is written.

    The index must have room for all of them: slots, offsets and bytes. Otherwise as `find_texts`.
    """
    for text in range(indices.size):
        start, stop = np.uint64(offsets[text]), np.uint64(offsets[text + 1])
        hashed = _hash_of(secret, data, start, stop)
        slot = _slot_of(index, hashed, data, start, stop)
        if index.slots[slot, 1] == FREE:
            size = index.size[0]
            end = index.offsets[size]
            for i in range(offsets[text], offsets[text + 1]):
                index.data[end] = data[i]
                end += 1
            index.offsets[size + 1] = end
            index.slots[slot, 0] = hashed
            index.slots[slot, 1] = size
            index.size[0] = size + 1
        indices[text] = index.slots[slot, 1]


@kernel
def spread(old: I64x2, slots: I64x2) -> None:
    """Copy the entries of a table into a larger empty one: both [capacity, 2], as in TextIndex."""
    last = slots.shape[0] - 1
    for entry in range(old.shape[0]):
        if old[entry, 1] != FREE:
            slot = old[entry, 0] & last
            while slots[slot, 1] != FREE:
                slot = (slot + 1) & last
            slots[slot, 0] = old[entry, 0]
            slots[slot, 1] = old[entry, 1]
