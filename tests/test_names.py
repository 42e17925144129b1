"""Names: every shape in which Arrow hands texts over gives the same indices."""

import numpy as np
import pyarrow as pa
import pytest

from engine.names import Names, text_buffers


@pytest.fixture
def names() -> Names:
    names = Names(np.array([1, 2, 3, 4], np.uint64))
    names.add(["A", "BB", "", "दिल्ली"])
    return names


def test_new_texts_get_the_next_indices_and_known_ones_keep_theirs(names):
    indices, new = names.add(["C", "A", "D", "C", "BB"])
    assert indices.tolist() == [4, 0, 5, 4, 1]
    assert new == range(4, 6)
    assert len(names) == 6
    assert names.add(["D", "A"])[1] == range(6, 6)


SHAPES = {
    "list": lambda texts: texts,
    "string": lambda texts: pa.array(texts, pa.string()),
    "large string": lambda texts: pa.array(texts, pa.large_string()),
    "dictionary": lambda texts: pa.array(texts, pa.string()).dictionary_encode(),
    "chunks": lambda texts: pa.chunked_array([texts[:2], texts[2:]], pa.string()),
    "chunks of dictionaries": lambda texts: pa.chunked_array([texts[:2], texts[2:]], pa.string()).dictionary_encode(),
    "slice": lambda texts: pa.array(["A", *texts, "A"], pa.string()).slice(1, len(texts)),
    "slice of large string": lambda texts: pa.array(["BB", *texts, "A"], pa.large_string()).slice(1, len(texts)),
    "slice of dictionary": lambda texts: (
        pa.array(["x", *texts, "A"], pa.string()).dictionary_encode().slice(1, len(texts))
    ),
}


@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES.keys())
@pytest.mark.parametrize(
    ("texts", "expected"),
    [
        ([], []),
        (["दिल्ली", "zz", "A", "A", ""], [3, -1, 0, 0, 2]),
        (["BB", None, "A", None], [1, -1, 0, -1]),
        ([None], [-1]),
    ],
)
def test_texts_are_found_whatever_the_column(names, shape, texts, expected):
    found = names.find(shape(texts))
    assert found.dtype == np.int32
    assert found.tolist() == expected
    if None not in texts:
        added, new = names.add(shape(texts))
        assert new == range(4, 4 + len(set(texts) - {"दिल्ली", "A", "", "BB"}))
        assert names.texts(added).to_pylist() == texts


def test_a_null_in_a_dictionary_is_no_text(names):
    column = pa.DictionaryArray.from_arrays(pa.array([0, 1, None, 0], pa.int8()), pa.array(["BB", None]))
    assert names.find(column).tolist() == [1, -1, -1, 1]
    with pytest.raises(ValueError, match="null"):
        names.add(column)


def test_a_null_cannot_be_added(names):
    with pytest.raises(ValueError, match="null"):
        names.add(["new", None])
    assert len(names) == 4


def test_numbers_are_no_texts(names):
    with pytest.raises(TypeError, match="int64"):
        names.find(pa.array([1, 2]))


def test_texts_come_back(names):
    assert [names.text(i) for i in range(4)] == ["A", "BB", "", "दिल्ली"]
    assert names.texts(np.array([3, -1, 0], np.int32)).to_pylist() == ["दिल्ली", None, "A"]
    assert names.texts(np.empty(0, np.int32)).to_pylist() == []
    with pytest.raises(IndexError):
        names.texts(np.array([4], np.int32))
    for never_given in (4, -1):
        with pytest.raises(IndexError):
            names.text(never_given)


def test_texts_given_out_do_not_change_when_more_are_added(names):
    before = names.texts(np.arange(4, dtype=np.int32))
    names.add([f"sku {i}" for i in range(500)])
    assert before.to_pylist() == ["A", "BB", "", "दिल्ली"]


def test_names_grow():
    rng = np.random.default_rng(2)
    names, twin = Names(rng.integers(0, 2**64, 4, dtype=np.uint64)), {}
    for size in (1, 31, 1, 700, 64, 0, 300):
        texts = [f"{'x' * (i % 40)}{i}" for i in rng.integers(0, 900, size).tolist()]
        before = len(twin)
        expected = [twin.setdefault(text, len(twin)) for text in texts]
        indices, new = names.add(texts)
        assert indices.tolist() == expected
        assert new == range(before, len(twin))
    assert names.texts(np.arange(len(twin), dtype=np.int32)).to_pylist() == list(twin)
    assert names.find(list(twin)).tolist() == list(range(len(twin)))


def test_the_digest_is_of_the_texts_and_their_indices():
    def digest(secret: int, *calls: list[str]) -> bytes:
        names = Names(np.full(4, secret, np.uint64))
        for texts in calls:
            names.add(texts)
        return names.digest()

    assert digest(1, ["a", "b"], ["c"]) == digest(2, ["a", "b", "a", "c"])
    assert len({digest(1, texts) for texts in (["a", "b"], ["b", "a"], ["ab"], ["a", "b", ""], [])}) == 5


def test_buffers_are_views_and_slices_keep_their_bytes():
    column = pa.array(["ab", "c", "def", ""], pa.string())
    offsets, data = text_buffers(column.slice(1, 2))
    assert offsets.tolist() == [2, 3, 6]
    assert data[2:6].tobytes() == b"cdef"
    assert data.ctypes.data == column.buffers()[2].address
    offsets, data = text_buffers(column.cast(pa.large_binary()).slice(1))
    assert offsets.tolist() == [0, 1, 4, 4]
    assert data.tobytes() == b"cdef"
    with pytest.raises(ValueError, match="null"):
        text_buffers(pa.array(["a", None]))
