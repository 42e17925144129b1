"""Hashes of texts against published vectors, CPython and a twin; the key index against a dict."""

import importlib.util
import struct

import numba
import numpy as np
import pytest

from kernels.columns import NONE
from kernels.keys import (
    ABSENT,
    FIRST_DOCUMENT,
    SEGMENT_SLOTS,
    SEGMENT_USED_MAX,
    KeyIndex,
    Size,
    entries_of,
    fill_segments,
    find_keys,
    find_or_insert,
    forget_keys,
    hash_texts,
    new_index,
    set_values,
    siphash_64,
    siphash_128,
)
from tests import twins

KEY = bytes(range(16))
MISSING = (ABSENT, NONE)
# SipHash-2-4 to 128 bits of the bytes 0, 1, 2, ... under the key 0..15, as the reference implementation publishes them.
PUBLISHED = {
    0: "a3817f04ba25a8e66df67214c7550293",
    1: "da87c1d86b99af44347659119b22fc45",
    7: "a1f1ebbed8dbc153c0b84aa61ff08239",
    8: "3b62a9ba6258f5610f83e264f31497b4",
    9: "264499060ad9baabc47f8b02bb6d71ed",
    15: "5493e99933b0a8117e08ec0f97cfc3d9",
    16: "6ee2a4ca67b054bbfd3315bf85230577",
    63: "5150d1772f50834a503e069a973fbd7c",
}


def words(key: bytes) -> tuple[np.uint64, np.uint64]:
    first, last = struct.unpack("<QQ", key)
    return np.uint64(first), np.uint64(last)


def placed(text: bytes, before: int) -> tuple[np.ndarray, np.uint64, np.uint64]:
    """The text in a buffer with other bytes in front of it and behind."""
    data = np.frombuffer(b"\xaa" * before + text + b"\x55" * 3, np.uint8)
    return data, np.uint64(before), np.uint64(before + len(text))


def columns(texts: list[bytes]) -> tuple[np.ndarray, np.ndarray]:
    offsets = np.cumsum([0] + [len(text) for text in texts]).astype(np.int32)
    return offsets, np.frombuffer(b"".join(texts), np.uint8)


@pytest.mark.parametrize("length", PUBLISHED)
@pytest.mark.parametrize("before", [0, 5, 8])
def test_siphash_2_4_gives_the_published_vectors(length, before):
    got = siphash_128(2, 4, *words(KEY), *placed(bytes(range(length)), before))
    assert struct.pack("<QQ", *map(int, got)).hex() == PUBLISHED[length]


@pytest.mark.parametrize("length", range(26))
def test_siphash_1_3_agrees_with_cpython(length):
    text = bytes(range(200, 200 + length))
    magic = int.from_bytes(importlib.util.MAGIC_NUMBER, "little")  # source_hash is SipHash-1-3 under this key
    got = siphash_64(np.uint64(magic), np.uint64(0), *placed(text, 3))
    assert struct.pack("<Q", int(got)) == importlib.util.source_hash(text)


def test_texts_hash_like_the_twin_whatever_their_length_and_place():
    rng = np.random.default_rng(7)
    texts = [rng.bytes(int(length)) for length in rng.integers(0, 70, 300)] + [rng.bytes(300), b""]
    secret = rng.integers(0, 2**64, 4, dtype=np.uint64)
    channel = rng.integers(-1, 3, len(texts)).astype(np.int16)
    keys = np.empty((len(texts), 2), np.uint64)
    hash_texts(secret, channel, 5, *columns(texts), keys)
    domains = [(int(c) & 0xFFFF) << 8 | 5 for c in channel]
    expected = [twins.hash_text(list(map(int, secret)), d, t) for d, t in zip(domains, texts, strict=True)]
    assert keys.tolist() == [list(key) for key in expected]


def test_a_slice_of_a_column_hashes_like_the_whole_column():
    texts = [b"order-%d" % i for i in range(20)]
    offsets, data = columns(texts)
    secret = np.arange(4, dtype=np.uint64)
    whole = np.empty((20, 2), np.uint64)
    part = np.empty((5, 2), np.uint64)
    hash_texts(secret, np.ones(20, np.int16), 1, offsets, data, whole)
    hash_texts(secret, np.ones(5, np.int16), 1, offsets[10:16], data, part)
    assert (part == whole[10:15]).all()


def test_domain_and_secret_separate_equal_texts():
    offsets, data = columns([b"A-1", b"A-1", b"A-1"])
    first, second = np.empty((3, 2), np.uint64), np.empty((3, 2), np.uint64)
    hash_texts(np.arange(4, dtype=np.uint64), np.array([1, 2, 1], np.int16), 1, offsets, data, first)
    hash_texts(np.arange(1, 5, dtype=np.uint64), np.array([1, 2, 1], np.int16), 1, offsets, data, second)
    assert first[0].tolist() == first[2].tolist()
    assert len({tuple(key) for key in first.tolist() + second.tolist()}) == 4


def insert(index: KeyIndex, keys: np.ndarray, locations: list[int]) -> list[int]:
    """The location that each key had, ABSENT where it was inserted."""
    found = np.empty(len(keys), np.int64)
    find_or_insert(index, keys, np.array(locations, np.int64), np.full(len(keys), NONE, np.int32), found)
    return found.tolist()


def find(index: KeyIndex, keys: np.ndarray) -> list[tuple[int, int]]:
    locations, rows = np.empty(len(keys), np.int64), np.empty(len(keys), np.int32)
    find_keys(index, keys, locations, rows)
    return list(zip(locations.tolist(), rows.tolist(), strict=True))


def some_keys(rng: np.random.Generator, count: int, crowded: bool) -> np.ndarray:
    """Random keys; crowded ones want the last slots of their segments, so that they run over the end."""
    keys = rng.integers(0, 2**64, (count, 2), dtype=np.uint64)
    if crowded:
        keys[:, 1] |= np.uint64(SEGMENT_SLOTS - 3)
        keys[::2, 1] = np.uint64(2**64 - 1)  # only the first word tells these apart
    return keys


@pytest.mark.parametrize("crowded", [False, True])
@pytest.mark.parametrize("count", [0, 1, 17, 500, SEGMENT_USED_MAX, SEGMENT_USED_MAX + 1, 6_000])
def test_the_index_is_a_dict_however_its_segments_split(count, crowded):
    if crowded and count > 500 and numba.config.DISABLE_JIT:
        count = 500  # every look-up walks over all others
    rng = np.random.default_rng(count)
    index, twin = new_index(count + 1), {}
    pool = some_keys(rng, count + 5, crowded)
    for _ in range(4):
        keys = np.ascontiguousarray(pool[rng.integers(0, count + 1, count)])
        provisional = rng.integers(1, 2**62, count).tolist()
        for key, location, seen in zip(
            map(tuple, keys.tolist()), provisional, insert(index, keys, provisional), strict=True
        ):
            assert seen == twin.get(key, MISSING)[0]
            twin.setdefault(key, (location, NONE))
        locations, rows = rng.integers(1, 2**62, count), rng.integers(-1, 2**31, count).astype(np.int32)
        set_values(index, keys, locations, rows)
        twin.update(zip(map(tuple, keys.tolist()), zip(locations.tolist(), rows.tolist(), strict=True), strict=True))
        assert index.sizes[Size.ENTRIES] == len(twin)
    assert find(index, pool) == [twin.get(tuple(key), MISSING) for key in pool.tolist()]
    segments = index.sizes[Size.SEGMENTS]
    assert (segments > 1) == (len(twin) > SEGMENT_USED_MAX)
    assert index.used[:segments].max() <= SEGMENT_USED_MAX
    assert index.used[:segments].sum() == len(twin)


def test_a_key_that_comes_twice_in_a_batch_finds_its_first_value():
    keys = np.array([[1, 2], [1, 3], [1, 2]], np.uint64)
    assert insert(new_index(10), keys, [70, 71, 72]) == [ABSENT, ABSENT, 70]


@pytest.mark.parametrize("more", [0, 4_000])
def test_old_keys_are_forgotten_but_those_of_open_orders_never(more):
    rng = np.random.default_rng(3)
    keys, others = some_keys(rng, 7, False), some_keys(rng, more, False)
    index = new_index(7 + more)
    insert(index, keys, [1] * 7)
    insert(index, others, [501] * more)
    entries = [(100, 0), (101, 1), (102, NONE), (500, NONE), (103, 7)]  # the last row lies beyond the book
    entries += [(104, FIRST_DOCUMENT), (105, FIRST_DOCUMENT - 1)]
    locations, rows = zip(*entries, strict=True)
    set_values(index, keys, np.array(locations, np.int64), np.array(rows, np.int32))
    # Row 0 is still its order's, row 1 another's; so are the documents.
    forget_keys(index, 500, np.array([100, 900], np.int64), np.array([104, 900], np.int64))
    still = (104, FIRST_DOCUMENT)
    assert find(index, keys) == [(100, 0), MISSING, MISSING, (500, NONE), MISSING, still, MISSING]
    assert find(index, others) == [(501, NONE)] * more
    assert index.sizes[Size.ENTRIES] == 3 + more
    assert insert(index, keys, [600] * 7) == [100, ABSENT, ABSENT, 500, ABSENT, 104, ABSENT]


@pytest.mark.parametrize("count", [0, 100, 5_000])
def test_an_index_comes_back_from_its_entries(count):
    keys = some_keys(np.random.default_rng(count), count, False)
    index, again = new_index(count), new_index(count)
    insert(index, keys, list(range(1, count + 1)))
    for field in ("directory", "depth", "used", "sizes"):
        getattr(again, field)[:] = getattr(index, field)
    fill_segments(again, entries_of(index))
    assert find(again, keys) == [(location, NONE) for location in range(1, count + 1)]
    assert sorted(entries_of(again).tolist()) == sorted(entries_of(index).tolist())
