"""Keyed hashes of texts, and the index from such keys to where they were answered. Every write is looked up here first.

Keys are hashed with a secret of the data folder, so that nobody outside can aim two of them at each other. The index is
a table with open addressing; nothing is deleted in place: `rehash` copies what is still kept into a new one.
"""

from typing import Annotated, NamedTuple

import numpy as np
from numba import types
from numpy.typing import NDArray

from kernels.columns import NONE
from kernels.options import I32, I64, U64, I64x2, U64x2, Word, kernel, leaf
from kernels.prefetch import AHEAD, prefetch

SECRET_WORDS = 4  # words 0 and 1 key `hash_texts`, 2 and 3 the names of kernels/texts.py
LOCATION, ROW = 2, 3  # words of a slot: where the journal has the answer; the order's row then, or NONE
EMPTY = -(2**63)  # the location that marks a free slot, whose other words mean nothing
ABSENT = EMPTY  # the location of a key that is not there
SLOTS_MIN = 64
LOAD_PERCENT_MAX = 60

# Numba turns a sum of signed and unsigned integers into a float: every constant below is unsigned.
_0, _1, _2, _3, _4, _5, _6, _7, _8 = (np.uint64(i) for i in range(9))
_13, _16, _17, _21, _24, _32, _40, _48, _56, _64 = (np.uint64(i) for i in (13, 16, 17, 21, 24, 32, 40, 48, 56, 64))
_START = tuple(np.uint64(v) for v in (0x736F6D6570736575, 0x646F72616E646F6D, 0x6C7967656E657261, 0x7465646279746573))
_WIDE, _SECOND, _NARROW = np.uint64(0xEE), np.uint64(0xDD), np.uint64(0xFF)

# Columns as Arrow gives them: buffers that are not to be written. Arrays of one's own fit too.
Bytes = Annotated[NDArray[np.uint8], types.Array(types.uint8, 1, "C", readonly=True)]
Offsets = Annotated[NDArray[np.int32], types.Array(types.int32, 1, "C", readonly=True)]

State = tuple[Word, Word, Word, Word]


@leaf
def word_at(data: Bytes, at: Word) -> Word:
    """Eight bytes as a little-endian word. With an unsigned index LLVM makes one load of it."""
    return (
        np.uint64(data[at])
        | np.uint64(data[at + _1]) << _8
        | np.uint64(data[at + _2]) << _16
        | np.uint64(data[at + _3]) << _24
        | np.uint64(data[at + _4]) << _32
        | np.uint64(data[at + _5]) << _40
        | np.uint64(data[at + _6]) << _48
        | np.uint64(data[at + _7]) << _56
    )


@leaf
def tail_at(data: Bytes, at: Word, stop: Word) -> Word:
    """The last bytes of a text, fewer than eight, as a little-endian word."""
    left = stop - at
    if stop >= _8:  # the eight bytes before `stop` are in the buffer, whatever stands in front of the text
        return word_at(data, stop - _8) >> (_56 - _8 * left) >> _8
    word = _0
    for i in range(at, stop):
        word |= np.uint64(data[i]) << (_8 * (np.uint64(i) - at))
    return word


@leaf
def _turned(word: Word, bits: Word) -> Word:
    return (word << bits) | (word >> (_64 - bits))


@leaf
def _rounds(count: int, state: State) -> State:
    v0, v1, v2, v3 = state
    for _ in range(count):
        v0 += v1
        v2 += v3
        v1 = _turned(v1, _13) ^ v0
        v3 = _turned(v3, _16) ^ v2
        v0 = _turned(v0, _32) + v3
        v2 += v1
        v3 = _turned(v3, _21) ^ v0
        v1 = _turned(v1, _17) ^ v2
        v2 = _turned(v2, _32)
    return v0, v1, v2, v3


@leaf
def _absorb(rounds: int, state: State, word: Word) -> State:
    v0, v1, v2, v3 = _rounds(rounds, (state[0], state[1], state[2], state[3] ^ word))
    return v0 ^ word, v1, v2, v3


@leaf
def _absorb_text(rounds: int, state: State, length: Word, data: Bytes, start: Word, stop: Word) -> State:
    """Absorb the text and the length of the whole message, of which the text is the end."""
    at = start
    while at + _8 <= stop:
        state = _absorb(rounds, state, word_at(data, at))
        at += _8
    return _absorb(rounds, state, tail_at(data, at, stop) | length << _56)


@leaf
def _start(key: Word, key_2: Word) -> State:
    return key ^ _START[0], key_2 ^ _START[1], key ^ _START[2], key_2 ^ _START[3]


@leaf
def start_wide(key: Word, key_2: Word) -> State:
    """The state before a message whose hash has 128 bits."""
    v0, v1, v2, v3 = _start(key, key_2)
    return v0, v1 ^ _WIDE, v2, v3


@leaf
def finish_wide(rounds: int, state: State) -> tuple[Word, Word]:
    """The 128 bits of a hash: its first and its last eight bytes."""
    v0, v1, v2, v3 = _rounds(rounds, (state[0], state[1], state[2] ^ _WIDE, state[3]))
    first = v0 ^ v1 ^ v2 ^ v3
    v0, v1, v2, v3 = _rounds(rounds, (v0, v1 ^ _SECOND, v2, v3))
    return first, v0 ^ v1 ^ v2 ^ v3


@leaf
def siphash_64(key: Word, key_2: Word, data: Bytes, start: Word, stop: Word) -> Word:
    """SipHash-1-3 of data[start:stop] to 64 bits. Source: Aumasson and Bernstein 2012."""
    state = _absorb_text(1, _start(key, key_2), stop - start, data, start, stop)
    v0, v1, v2, v3 = _rounds(3, (state[0], state[1], state[2] ^ _NARROW, state[3]))
    return v0 ^ v1 ^ v2 ^ v3


@leaf
def siphash_128(
    rounds: int, last_rounds: int, key: Word, key_2: Word, data: Bytes, start: Word, stop: Word
) -> tuple[Word, Word]:
    """SipHash of data[start:stop] to 128 bits, with as many rounds a word and at the end. Source: as `siphash_64`."""
    state = _absorb_text(rounds, start_wide(key, key_2), stop - start, data, start, stop)
    return finish_wide(last_rounds, state)


@kernel
def hash_texts(secret: U64, domains: U64, offsets: Offsets, data: Bytes, keys: U64x2) -> None:
    """Hash each text under its domain to a 128-bit key; different domains never share keys on purpose.

    secret [SECRET_WORDS]; domains [n], e.g. channel << 8 | method, or one of its own for fingerprints of content;
    offsets [n + 1] into data, each text UTF-8 or any bytes; keys [n, 2] is written. Method: SipHash-1-3 to 128 bits
    (Aumasson and Bernstein 2012) of the domain as eight little-endian bytes, then the text.
    """
    start = start_wide(secret[0], secret[1])
    domain = _0
    in_domain = _absorb(1, start, domain)
    for text in range(domains.size):
        if domains[text] != domain:
            domain = domains[text]
            in_domain = _absorb(1, start, domain)
        first, last = np.uint64(offsets[text]), np.uint64(offsets[text + 1])
        state = _absorb_text(1, in_domain, last - first + _8, data, first, last)
        keys[text, 0], keys[text, 1] = finish_wide(3, state)


class KeyIndex(NamedTuple):
    """From 128-bit keys to where they were answered: two slots a cache line."""

    slots: I64x2  # [capacity, 4] the two words of the key, LOCATION, ROW; capacity is a power of two
    count: I64  # type: ignore[assignment]  # [1] entries


@leaf
def _shift_of(index: KeyIndex) -> Word:
    """The first bits of a key are its slot: so doubling the index goes through both tables from front to back."""
    shift = _64
    size = index.slots.shape[0]
    while size > 1:
        size >>= 1
        shift -= _1
    return shift


@leaf
def _slot_of(index: KeyIndex, shift: Word, key: Word, key_2: Word) -> np.int64:
    """The slot that holds the key, or the free one where it belongs."""
    slots = index.slots
    last = slots.shape[0] - 1
    high, low = np.int64(key), np.int64(key_2)
    slot = np.int64(key >> shift)
    while (slots[slot, 0] != high or slots[slot, 1] != low) and slots[slot, LOCATION] != EMPTY:
        slot = (slot + 1) & last
    return slot


@kernel
def find_keys(index: KeyIndex, keys: U64x2, locations: I64, rows: I32) -> None:
    """Look keys [n, 2] up; locations [n] and rows [n] are written, ABSENT and NONE where a key is not there."""
    shift = _shift_of(index)
    for i in range(locations.size):
        if i + AHEAD < locations.size:
            prefetch(index.slots, np.int64(keys[i + AHEAD, 0] >> shift) * 4)
        slot = _slot_of(index, shift, keys[i, 0], keys[i, 1])
        locations[i] = index.slots[slot, LOCATION]
        rows[i] = NONE
        if locations[i] != ABSENT:
            rows[i] = index.slots[slot, ROW]


@kernel
def find_or_insert(index: KeyIndex, keys: U64x2, provisional: I64, found: I64, rows: I32, slots: I64) -> None:
    """Look keys [n, 2] up, and insert those that are not there with their provisional location.

    found [n] and rows [n] are written: what was there, ABSENT and NONE where the key was inserted; a key that comes
    twice finds the provisional location of its first time. slots [n] is written: for `set_values`, good until the next
    `rehash`. provisional [n], never EMPTY. The index must have room for n more (`with_room`).
    """
    shift = _shift_of(index)
    for i in range(provisional.size):
        if i + AHEAD < provisional.size:
            prefetch(index.slots, np.int64(keys[i + AHEAD, 0] >> shift) * 4)
        slot = _slot_of(index, shift, keys[i, 0], keys[i, 1])
        found[i] = index.slots[slot, LOCATION]
        slots[i] = slot
        rows[i] = NONE
        if found[i] != EMPTY:
            rows[i] = index.slots[slot, ROW]
        else:
            index.slots[slot, 0] = np.int64(keys[i, 0])
            index.slots[slot, 1] = np.int64(keys[i, 1])
            index.slots[slot, LOCATION] = provisional[i]
            index.slots[slot, ROW] = NONE
            index.count[0] += 1


@kernel
def set_values(index: KeyIndex, slots: I64, locations: I64, rows: I32) -> None:
    """Give the entries in slots [n] their locations [n], never EMPTY, and order rows [n], or NONE."""
    for i in range(slots.size):
        index.slots[slots[i], LOCATION] = locations[i]
        index.slots[slots[i], ROW] = rows[i]


@kernel
def rehash(old: KeyIndex, new: KeyIndex, before_location: int, location_of_row: I64) -> None:
    """Copy entries into an empty index with room for them, less those before a location whose row is no longer theirs.

    location_of_row [row]: of the orders in the book; a row may have been freed, and taken by another order, since.
    With before_location 0 all are copied.
    """
    shift = _shift_of(new)
    for slot in range(old.slots.shape[0]):
        location = old.slots[slot, LOCATION]
        if location == EMPTY:
            continue
        row = old.slots[slot, ROW]
        if location >= before_location or (0 <= row < location_of_row.size and location_of_row[row] == location):
            to = _slot_of(new, shift, np.uint64(old.slots[slot, 0]), np.uint64(old.slots[slot, 1]))
            for word in range(4):  # half the time of assigning the row
                new.slots[to, word] = old.slots[slot, word]
            new.count[0] += 1


def new_index(entries: int) -> KeyIndex:
    """An empty index with room for so many entries: 32 bytes a slot, two to four slots an entry."""
    capacity = SLOTS_MIN
    while entries * 100 > capacity * LOAD_PERCENT_MAX:
        capacity *= 2
    slots = np.empty((capacity, 4), np.int64)
    slots[:, LOCATION] = EMPTY
    return KeyIndex(slots, np.zeros(1, np.int64))


def with_room(index: KeyIndex, entries: int) -> KeyIndex:
    """The index itself if so many more entries fit, else a larger one with all its entries; slots change then."""
    needed = int(index.count[0]) + entries
    if needed * 100 <= index.slots.shape[0] * LOAD_PERCENT_MAX:
        return index
    larger = new_index(needed)
    rehash(index, larger, 0, np.empty(0, np.int64))
    return larger


def rehash_kept(index: KeyIndex, before_location: int, location_of_row: I64) -> KeyIndex:
    """A new index without the entries answered before a location, those of open orders kept."""
    kept = new_index(int(index.count[0]))
    rehash(index, kept, before_location, location_of_row)
    return kept
