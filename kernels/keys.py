"""Keyed hashes of texts, and the index from such keys to where they were answered. Every write is looked up here first.

Keys are hashed with a secret of the data folder, so that nobody outside can aim two of them at each other.
"""

from collections.abc import Callable
from enum import IntEnum
from typing import Annotated, Any, NamedTuple

import numpy as np
from numba import types
from numpy.typing import NDArray

from kernels.columns import NONE
from kernels.options import (
    I16,
    I32,
    I64,
    U8,
    U64,
    I64x2,
    U64x2,
    Word,
    allocating_kernel,
    allocating_leaf,
    brief,
    kernel,
    leaf,
)
from kernels.prefetch import AHEAD, prefetch

SECRET_WORDS = 4  # words 0 and 1 key `hash_texts`, 2 and 3 the names of kernels/texts.py
LOCATION, ROW = 2, 3  # words of a slot: where the journal has the answer; the order's row then, or NONE
EMPTY = 0  # the location that marks a free slot, whose other words mean nothing
ABSENT = EMPTY  # the location of a key that is not there
CLAIMED = -1  # the location of a key whose answer is being decided
FIRST_DOCUMENT = -2  # the row of document 0; that of document n is FIRST_DOCUMENT - n
SEGMENT_SLOTS = 2048  # 64 KiB: splitting one stays in the nearest caches
SEGMENT_USED_MAX = SEGMENT_SLOTS * 7 // 10

# Numba turns a sum of signed and unsigned integers into a float: every constant below is unsigned.
_0, _1, _2, _3, _4, _5, _6, _7, _8 = (np.uint64(i) for i in range(9))
_13, _16, _17, _21, _24, _32, _40, _48, _56 = (np.uint64(i) for i in (13, 16, 17, 21, 24, 32, 40, 48, 56))
_63, _64 = np.uint64(63), np.uint64(64)
_SLOT_MASK = np.uint64(SEGMENT_SLOTS - 1)
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


def _hash_texts(secret: U64, channel: I16, method: int, offsets: Offsets, data: Bytes, keys: U64x2) -> None:
    """Hash each text in its domain, (channel, method), to a 128-bit key; domains never share keys on purpose.

    secret [SECRET_WORDS]; channel [n]; method: 0 to 255; offsets [n + 1] into data, each text UTF-8 or any bytes;
    keys [n, 2] is written. Method: SipHash-1-3 to 128 bits (Aumasson and Bernstein 2012) of the domain as eight
    little-endian bytes, channel << 8 | method, then the text.
    """
    start = start_wide(secret[0], secret[1])
    domain = _0
    in_domain = _absorb(1, start, domain)
    for text in range(channel.size):
        own = np.uint64(np.int64(channel[text]) & 0xFFFF) << _8 | np.uint64(method)
        if own != domain:
            domain = own
            in_domain = _absorb(1, start, domain)
        first, last = np.uint64(offsets[text]), np.uint64(offsets[text + 1])
        state = _absorb_text(1, in_domain, last - first + _8, data, first, last)
        keys[text, 0], keys[text, 1] = finish_wide(3, state)


hash_texts, hash_few_texts = kernel(_hash_texts), brief(_hash_texts)


class KeyIndex(NamedTuple):
    """From 128-bit keys to where they were answered: segments of slots, and a directory of them by a key's first bits.

    A segment that fills up is split in two by the next bit, so growing never copies the whole index. Source: extendible
    hashing (Fagin, Nievergelt, Pippenger and Strong 1979). Memory that was never written is a free slot.
    """

    slots: I64x2  # [segment * SEGMENT_SLOTS + slot, 4] the two words of the key, LOCATION, ROW; two slots a cache line
    directory: I32  # [2**bits and room] segment of each prefix
    depth: U8  # [segment] bits that its keys have in common
    used: I32  # [segment] entries
    sizes: I64  # [Size]


class Size(IntEnum):
    """What `KeyIndex.sizes` counts."""

    ENTRIES = 0
    SEGMENTS = 1
    BITS = 2  # of the directory


_ENTRIES, _SEGMENTS, _BITS = (int(size) for size in Size)
_FIRST_DOCUMENT = FIRST_DOCUMENT


@leaf
def _segment_of(index: KeyIndex, key: Word) -> np.int64:
    return np.int64(index.directory[key >> (_64 - np.uint64(index.sizes[_BITS]))])


@leaf
def _slot_in(slots: I64x2, segment: np.int64, key: Word, key_2: Word) -> np.int64:
    """The slot of the segment that holds the key, or the free one where it belongs."""
    high, low = np.int64(key), np.int64(key_2)
    start = segment * SEGMENT_SLOTS
    at = low & (SEGMENT_SLOTS - 1)
    while (slots[start + at, 0] != high or slots[start + at, 1] != low) and slots[start + at, LOCATION] != EMPTY:
        at = (at + 1) & (SEGMENT_SLOTS - 1)
    return start + at


@leaf
def slot_of(index: KeyIndex, key: Word, key_2: Word) -> np.int64:
    """The slot that holds a key, or the free one where it belongs: its location is EMPTY then."""
    return _slot_in(index.slots, _segment_of(index, key), key, key_2)


@leaf
def _ask_for(index: KeyIndex, keys: U64x2, i: int) -> None:
    slot = _segment_of(index, keys[i, 0]) * SEGMENT_SLOTS + np.int64(keys[i, 1] & _SLOT_MASK)
    prefetch(index.slots, slot * 4)


@leaf
def _put(slots: I64x2, to: np.int64, entry: I64x2, at: int) -> None:
    for word in range(4):  # half the time of assigning the row
        slots[to, word] = entry[at, word]


@leaf
def _refill(index: KeyIndex, segment: np.int64, before: I64x2, kept: U8) -> int:
    """Put the entries marked in kept [slot] of a copy back into their emptied segment; returns their number."""
    count = 0
    for at in range(SEGMENT_SLOTS):
        if kept[at]:
            _put(
                index.slots,
                _slot_in(index.slots, segment, np.uint64(before[at, 0]), np.uint64(before[at, 1])),
                before,
                at,
            )
            count += 1
    return count


@leaf
def _take_out(index: KeyIndex, segment: np.int64, before: I64x2) -> None:
    """Copy a segment and empty it."""
    start = segment * SEGMENT_SLOTS
    for at in range(SEGMENT_SLOTS):
        for word in range(4):
            before[at, word] = index.slots[start + at, word]
        index.slots[start + at, LOCATION] = EMPTY


@leaf
def _split(index: KeyIndex, segment: np.int64, before: I64x2, kept: U8) -> None:
    """Move the keys whose next bit is set into a new segment."""
    if index.depth[segment] == index.sizes[_BITS]:
        for prefix in range((1 << index.sizes[_BITS]) - 1, -1, -1):
            index.directory[2 * prefix] = index.directory[2 * prefix + 1] = index.directory[prefix]
        index.sizes[_BITS] += 1
    bit = _63 - np.uint64(index.depth[segment])
    _take_out(index, segment, before)
    first = np.int64(-1)  # a key of the segment: its prefix is the segment's
    for at in range(SEGMENT_SLOTS):
        kept[at] = before[at, LOCATION] != EMPTY and (np.uint64(before[at, 0]) >> bit) & _1 == _0
        if first < 0 and before[at, LOCATION] != EMPTY:
            first = at
    stay = _refill(index, segment, before, kept)
    for at in range(SEGMENT_SLOTS):
        kept[at] = before[at, LOCATION] != EMPTY and (np.uint64(before[at, 0]) >> bit) & _1 == _1
    other = index.sizes[_SEGMENTS]
    index.sizes[_SEGMENTS] += 1
    index.used[other] = _refill(index, other, before, kept)
    index.used[segment] = stay
    index.depth[segment] += 1
    index.depth[other] = index.depth[segment]
    spread = np.uint64(index.sizes[_BITS]) - np.uint64(index.depth[segment])  # bits of the directory beyond the prefix
    prefix = np.int64(np.uint64(before[first, 0]) >> bit | _1)
    for at in range(prefix << np.int64(spread), (prefix + 1) << np.int64(spread)):
        index.directory[at] = other


@kernel
def find_keys(index: KeyIndex, keys: U64x2, locations: I64, rows: I32) -> None:
    """Look keys [n, 2] up; locations [n] and rows [n] are written, ABSENT and NONE where a key is not there."""
    for i in range(locations.size):
        if i + AHEAD < locations.size:
            _ask_for(index, keys, i + AHEAD)
        slot = _slot_in(index.slots, _segment_of(index, keys[i, 0]), keys[i, 0], keys[i, 1])
        locations[i] = index.slots[slot, LOCATION]
        rows[i] = NONE
        if locations[i] != ABSENT:
            rows[i] = index.slots[slot, ROW]


@leaf
def _find_or_insert(
    index: KeyIndex, key: Word, key_2: Word, location: int, row: int, before: I64x2, kept: U8
) -> np.int64:
    """The location that was there, or ABSENT where the key was inserted. before, kept: room for `_split`."""
    segment = _segment_of(index, key)
    slot = _slot_in(index.slots, segment, key, key_2)
    found = index.slots[slot, LOCATION]
    if found == EMPTY:
        while index.used[segment] >= SEGMENT_USED_MAX:
            _split(index, segment, before, kept)
            segment = _segment_of(index, key)
            slot = _slot_in(index.slots, segment, key, key_2)
        index.slots[slot, 0] = np.int64(key)
        index.slots[slot, 1] = np.int64(key_2)
        index.slots[slot, LOCATION] = location
        index.slots[slot, ROW] = row
        index.used[segment] += 1
        index.sizes[_ENTRIES] += 1
    return found


@leaf
def insert_key(
    index: KeyIndex, key: Word, key_2: Word, location: int, row: int, before: I64x2, kept: U8
) -> None:  # fmt: skip
    """Insert a key where it is not there yet. before [slot, word], kept [slot]: room for a segment that is split."""
    _find_or_insert(index, key, key_2, location, row, before, kept)


class _Moved(NamedTuple):
    """Room for a segment that is split."""

    before: I64x2  # [slot, word] its copy
    kept: U8  # [slot]


@allocating_leaf
def _room_to_split() -> _Moved:
    return _Moved(np.empty((SEGMENT_SLOTS, 4), np.int64), np.empty(SEGMENT_SLOTS, np.uint8))


@leaf
def _insert_all(index: KeyIndex, keys: U64x2, locations: I64, rows: I32, found: I64, room: _Moved) -> None:
    for i in range(locations.size):
        if i + AHEAD < locations.size:
            _ask_for(index, keys, i + AHEAD)
        found[i] = _find_or_insert(index, keys[i, 0], keys[i, 1], locations[i], rows[i], room.before, room.kept)


@allocating_kernel
def find_or_insert(index: KeyIndex, keys: U64x2, locations: I64, rows: I32, found: I64) -> None:
    """Look keys [n, 2] up, and insert those that are not there with their locations [n], never EMPTY, and rows [n].

    found [n] is written: the location that was there, or ABSENT where the key was inserted; a key that comes twice
    finds the location of its first time. The index has room for n more entries, or the caller has refused.
    """
    _insert_all(index, keys, locations, rows, found, _room_to_split())


@leaf
def _claim_all(index: KeyIndex, keys: U64x2, found: I64, room: _Moved) -> None:
    for i in range(found.size):
        if i + AHEAD < found.size:
            _ask_for(index, keys, i + AHEAD)
        found[i] = _find_or_insert(index, keys[i, 0], keys[i, 1], CLAIMED, NONE, room.before, room.kept)


def _claim_keys(
    secret: U64, channel: I16, method: int, offsets: Offsets, data: Bytes, index: KeyIndex, keys: U64x2, found: I64
) -> None:  # fmt: skip
    """`hash_texts`, then `find_or_insert` with CLAIMED for a location, to be set once the answer is known."""
    hash_texts(secret, channel, method, offsets, data, keys)
    _claim_all(index, keys, found, _room_to_split())


claim_keys, claim_few_keys = allocating_kernel(_claim_keys), brief(_claim_keys, allocates=True)


@kernel
def set_values(index: KeyIndex, keys: U64x2, locations: I64, rows: I32) -> None:
    """Give keys [n, 2] that are all there their locations [n], never EMPTY, and order rows [n], or NONE."""
    for i in range(locations.size):
        if i + AHEAD < locations.size:
            _ask_for(index, keys, i + AHEAD)
        slot = _slot_in(index.slots, _segment_of(index, keys[i, 0]), keys[i, 0], keys[i, 1])
        index.slots[slot, LOCATION] = locations[i]
        index.slots[slot, ROW] = rows[i]


@kernel
def set_values_from(index: KeyIndex, keys: U64x2, location: int, rows: I32) -> None:
    """The same for answers that follow each other: locations from `location` on."""
    for i in range(rows.size):
        if i + AHEAD < rows.size:
            _ask_for(index, keys, i + AHEAD)
        slot = _slot_in(index.slots, _segment_of(index, keys[i, 0]), keys[i, 0], keys[i, 1])
        index.slots[slot, LOCATION] = location + i
        index.slots[slot, ROW] = rows[i]


@allocating_kernel
def forget_keys(index: KeyIndex, before_location: int, location_of_row: I64, location_of_document: I64) -> None:
    """Remove entries before a location whose row is no longer theirs.

    location_of_row [row]: of the orders in the book; a row may have been freed, and taken by another order, since.
    location_of_document [document]: the same of documents, whose rows stand in the index as FIRST_DOCUMENT - row.
    """
    before = np.empty((SEGMENT_SLOTS, 4), np.int64)
    kept = np.empty(SEGMENT_SLOTS, np.uint8)
    for segment in range(index.sizes[_SEGMENTS]):
        _take_out(index, segment, before)
        for at in range(SEGMENT_SLOTS):
            location, row = before[at, LOCATION], before[at, ROW]
            is_open = 0 <= row < location_of_row.size and location_of_row[row] == location
            document = _FIRST_DOCUMENT - row
            if 0 <= document < location_of_document.size:
                is_open = location_of_document[document] == location
            kept[at] = location != EMPTY and (location >= before_location or is_open)
        left = _refill(index, segment, before, kept)
        index.sizes[_ENTRIES] += left - index.used[segment]
        index.used[segment] = left


@kernel
def fill_segments(index: KeyIndex, entries: I64x2) -> None:
    """Put entries [n, 4] into the empty slots of an index whose other columns say already which segment has how many.

    The entries come segment by segment, as `entries_of` gives them.
    """
    at = 0
    for segment in range(index.sizes[_SEGMENTS]):
        for _ in range(index.used[segment]):
            slot = _slot_in(index.slots, segment, np.uint64(entries[at, 0]), np.uint64(entries[at, 1]))
            _put(index.slots, slot, entries, at)
            at += 1


def new_index(entries_max: int, zeros: Callable[[Any, Any], Any] = np.zeros) -> KeyIndex:
    """An empty index that may grow to so many entries: 32 bytes a slot, one and a half to three slots an entry.

    zeros: makes the columns, by shape and dtype; they are as large as they may get, so their memory should come when
    it is touched.
    """
    segments = -(-entries_max // (SEGMENT_USED_MAX // 4)) + 1  # a segment that was split may be left a quarter full
    index = KeyIndex(
        zeros((segments * SEGMENT_SLOTS, 4), np.int64), zeros(4 << segments.bit_length(), np.int32),
        zeros(segments, np.uint8), zeros(segments, np.int32), np.zeros(len(Size), np.int64),
    )  # fmt: skip
    index.sizes[:] = (0, 1, 1)
    return index


def entries_of(index: KeyIndex) -> Any:
    """The entries [n, 4], in no order that means anything."""
    slots = index.slots[: index.sizes[_SEGMENTS] * SEGMENT_SLOTS]
    return slots[slots[:, LOCATION] != EMPTY]
