"""The text table against a dict: unknown texts, equal hashes, texts that differ in one byte."""

from itertools import pairwise

import numpy as np
import pyarrow as pa
import pytest

from engine.names import text_buffers
from kernels.texts import FREE, UNKNOWN, Mark, TextIndex, add_texts, find_texts, mark_texts, spread

SECRET = np.array([1, 2, 3, 4], np.uint64)


def empty_index(texts: int, text_bytes: int, capacity: int) -> TextIndex:
    return TextIndex(
        np.full((capacity, 2), FREE, np.int64),
        np.zeros(texts + 1, np.int32),
        np.zeros(text_bytes, np.uint8),
        np.zeros(1, np.int64),
    )


def columns(texts: list[bytes]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    offsets = np.cumsum([0] + [len(text) for text in texts]).astype(np.int32)
    return offsets, np.frombuffer(b"".join(texts), np.uint8), np.empty(len(texts), np.int32)


def find(index: TextIndex, texts: list[bytes]) -> list[int]:
    offsets, data, indices = columns(texts)
    find_texts(index, SECRET, offsets, data, indices)
    return indices.tolist()


def add(index: TextIndex, texts: list[bytes]) -> list[int]:
    offsets, data, indices = columns(texts)
    add_texts(index, SECRET, offsets, data, indices)
    return indices.tolist()


def stored(index: TextIndex) -> list[bytes]:
    starts = index.offsets[: index.size[0] + 1].tolist()
    return [index.data[a:b].tobytes() for a, b in pairwise(starts)]


@pytest.mark.parametrize("count", [0, 1, 63, 64, 65, 256])
def test_the_table_is_a_dict(count):
    rng = np.random.default_rng(count)
    pool = [rng.bytes(int(length)) for length in rng.integers(0, 26, count)] + [b"", b"a", b"ab"]
    index, twin = empty_index(600, 20_000, 1024), {}
    for _ in range(3):
        texts = [pool[i] for i in rng.integers(0, len(pool), count)]
        assert find(index, texts) == [twin.get(text, UNKNOWN) for text in texts]
        expected = [twin.setdefault(text, len(twin)) for text in texts]
        assert add(index, texts) == expected
        assert stored(index) == list(twin)
    assert find(index, pool) == [twin.get(text, UNKNOWN) for text in pool]


@pytest.mark.parametrize("length", [1, 7, 8, 9, 16, 23])
def test_equal_hashes_do_not_make_equal_texts(length):
    base = bytes(range(65, 65 + length))
    variants = [base] + [base[:i] + b"#" + base[i + 1 :] for i in range(length)] + [base + b"A"]
    index = empty_index(50, 2000, 64)
    add(index, variants[:1])
    taken = int(np.flatnonzero(index.slots[:, 1] == 0)[0])
    for variant in variants[1:]:  # the slot of the variant pretends to have its hash, and holds the other text
        other = empty_index(50, 2000, 64)
        add(other, [variant])
        slot = int(np.flatnonzero(other.slots[:, 1] == 0)[0])
        forged = index._replace(slots=index.slots.copy())
        forged.slots[taken] = FREE
        forged.slots[slot] = other.slots[slot, 0], 0
        assert find(forged, [variant]) == [UNKNOWN]
    assert find(index, variants) == [0] + [UNKNOWN] * (len(variants) - 1)


def test_a_larger_table_finds_the_same():
    texts = [b"%d" % i for i in range(60)]
    index = empty_index(60, 500, 64)
    add(index, texts)
    larger = np.full((256, 2), FREE, np.int64)
    spread(index.slots, larger)
    assert find(index._replace(slots=larger), [*texts, b"x"]) == [*range(60), UNKNOWN]


def test_marks_say_what_must_be_looked_at() -> None:
    def marks(*texts: str) -> set[Mark]:
        column = pa.array(["\x07", *texts, " "], pa.string())[1:-1]  # what stands around them does not count
        found = mark_texts(*text_buffers(column))
        return {mark for mark in Mark if found & mark}

    assert marks() == marks("plain") == marks("plain", "a b") == marks("ab\u00e9", "\u4e2d".join("ab")) == set()
    assert marks("plain", "") == marks("plain", " a") == marks("\u3000") == marks("\u2003a", "b") == {Mark.BLANK}
    assert marks("a\tb") == marks("a\x7f") == marks("a\x85") == {Mark.CONTROL}
    assert marks("", "\x00") == {Mark.BLANK, Mark.CONTROL}
