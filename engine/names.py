"""Texts and their dense indices: SKUs, nodes, channels, postal codes. Text becomes an index here, once, at the edge.

Whoever takes a batch in asks `find`; the catalogue asks `add` and journals what is new; answers and views ask `texts`.
Any thread may ask: a lock stands before the table.
"""

import threading
from collections.abc import Sequence
from typing import Any, TypeAlias

import numpy as np
import pyarrow as pa
import xxhash
from numpy.typing import NDArray

from kernels.texts import FREE, UNKNOWN, TextIndex, add_texts, find_texts, spread

TEXT_BYTES_MAX = 2**31 - 1  # of all texts together
_SLOTS_MIN = 64

Indices = NDArray[np.int32]
Texts: TypeAlias = "pa.Array | pa.ChunkedArray | Sequence[str]"


class Names:
    """One namespace: texts get the indices 0, 1, 2, ... in the order in which they come, for good."""

    def __init__(self, secret: NDArray[np.uint64]) -> None:
        """secret: uint64 [4] of the data folder; it decides nothing but where texts lie in the table."""
        self._secret = secret
        self._lock = threading.Lock()
        self._index = TextIndex(
            np.full((_SLOTS_MIN, 2), FREE, np.int64),
            np.zeros(_SLOTS_MIN // 2 + 1, np.int32),
            np.empty(1024, np.uint8),
            np.zeros(1, np.int64),
        )

    def __len__(self) -> int:
        return int(self._index.size[0])

    def find(self, texts: Texts) -> Indices:
        """The index of each text, int32 [n]; -1 where it is unknown or null. A dictionary is looked up once a value."""
        array = _one_array(texts)
        if pa.types.is_dictionary(array.type):
            return _through_dictionary(array, self.find(array.dictionary))
        offsets, data = _buffers(array)
        indices = np.empty(len(array), np.int32)
        with self._lock:
            find_texts(self._index, self._secret, offsets, data, indices)
        if array.null_count:
            indices[_is_null(array)] = UNKNOWN
        return indices

    def find_one(self, text: str) -> int:
        """The index of one text; -1 where it is unknown."""
        data = np.frombuffer(text.encode(), np.uint8)
        index = np.empty(1, np.int32)
        with self._lock:
            find_texts(self._index, self._secret, np.array((0, data.size), np.int32), data, index)
        return int(index[0])

    def add(self, texts: Texts) -> tuple[Indices, range]:
        """The index of each text, int32 [n], and the range of the indices that are new.

        Known texts keep theirs, new ones get the next in their order, equal ones the same. Raises ValueError on a
        null, and beyond TEXT_BYTES_MAX (nothing is added then).
        """
        array = _plain(_one_array(texts))
        offsets, data = text_buffers(array)
        indices = np.empty(len(array), np.int32)
        with self._lock:
            before = len(self)
            find_texts(self._index, self._secret, offsets, data, indices)
            new = indices == UNKNOWN
            if new.any():
                self._make_room(int(new.sum()), int(np.diff(offsets)[new].sum(dtype=np.int64)))
                add_texts(self._index, self._secret, offsets, data, indices)
            return indices, range(before, len(self))

    def text(self, index: int) -> str:
        """The text of one index; raises IndexError for one that was never given."""
        if not 0 <= index < len(self):
            raise IndexError(index)
        _, offsets, data, _ = self._index  # a text never moves within these, and larger ones have it too
        start, stop = offsets[index : index + 2]
        return data[start:stop].tobytes().decode()

    def texts(self, indices: Indices) -> pa.StringArray:
        """The texts of int32 [n] indices; null for -1. Raises IndexError for one that was never given."""
        unknown = indices < 0
        return self._column().take(pa.array(indices, pa.int32(), mask=unknown if unknown.any() else None))

    def buffers(self) -> tuple[NDArray[np.int32], NDArray[np.uint8]]:
        """Where every text lies: offsets and bytes, for kernels. Texts that are added later do not touch them."""
        _, offsets, data, _ = self._index
        return offsets, data

    def digest(self) -> bytes:
        """Sixteen bytes that are equal for equal texts at equal indices."""
        offsets = self._index.offsets[: len(self) + 1]
        hashed = xxhash.xxh3_128(offsets.data)
        hashed.update(self._index.data[: offsets[-1]].data)
        return hashed.digest()

    def _column(self) -> pa.StringArray:
        """All texts as an Arrow column over the same buffers; texts that are added later do not touch it."""
        with self._lock:
            _, offsets, data, size = self._index
            count = int(size[0])
        used = data[: offsets[count]]
        return pa.StringArray.from_buffers(count, pa.py_buffer(offsets[: count + 1]), pa.py_buffer(used))

    def _make_room(self, texts: int, text_bytes: int) -> None:
        slots, offsets, data, size = self._index
        count = len(self) + texts
        used = int(offsets[len(self)]) + text_bytes
        if used > TEXT_BYTES_MAX:
            raise ValueError(f"names may have {TEXT_BYTES_MAX} bytes together, not {used}")
        if count + 1 > offsets.size:
            offsets = _grown(offsets, count + 1)
        if used > data.size:
            data = _grown(data, used)
        if count * 2 > slots.shape[0]:
            larger = np.full((1 << (count * 2 - 1).bit_length(), 2), FREE, np.int64)
            spread(slots, larger)
            slots = larger
        self._index = TextIndex(slots, offsets, data, size)


def text_buffers(array: pa.Array) -> tuple[NDArray[np.int32], NDArray[np.uint8]]:
    """The offsets, int32 [n + 1], into the bytes of a text or binary column, without a copy where offsets have 32 bits.

    Both are read-only views; a slice has its offsets into the whole buffer. The column must have been validated.
    Raises ValueError on a null and TypeError on a column of another type.
    """
    if array.null_count:
        raise ValueError("a text is null")
    return _buffers(array)


def _buffers(array: pa.Array) -> tuple[NDArray[np.int32], NDArray[np.uint8]]:
    kind = array.type
    wide = pa.types.is_large_string(kind) or pa.types.is_large_binary(kind)
    if not (wide or pa.types.is_string(kind) or pa.types.is_binary(kind)):
        raise TypeError(f"{kind} is not a column of texts")
    _, starts, content = array.buffers()
    data = np.frombuffer(content, np.uint8) if content else np.empty(0, np.uint8)
    if len(array) == 0:
        return np.zeros(1, np.int32), data
    count = array.offset + len(array) + 1  # what is beyond may end within an offset
    offsets: NDArray[Any] = np.frombuffer(starts, np.int64 if wide else np.int32, count)[array.offset :]
    if wide:
        first, last = int(offsets[0]), int(offsets[-1])
        if last - first > TEXT_BYTES_MAX:
            raise ValueError(f"a column may have {TEXT_BYTES_MAX} bytes, not {last - first}")
        return (offsets - first).astype(np.int32), data[first:last]
    return offsets, data


def _one_array(texts: Texts) -> pa.Array:
    if isinstance(texts, pa.ChunkedArray):
        return texts.combine_chunks()
    return texts if isinstance(texts, pa.Array) else pa.array(texts, pa.string())


def _plain(array: pa.Array) -> pa.Array:
    return array.dictionary_decode() if pa.types.is_dictionary(array.type) else array


def _through_dictionary(array: pa.DictionaryArray, indices: Indices) -> Indices:
    """The indices of the values of a dictionary column, from those of its dictionary."""
    with_null = np.append(indices, np.int32(UNKNOWN))
    return with_null[array.indices.fill_null(len(indices)).to_numpy(zero_copy_only=False)]


def _is_null(array: pa.Array) -> NDArray[np.bool_]:
    return np.asarray(array.is_null().to_numpy(zero_copy_only=False))


def _grown(array: NDArray[Any], size: int) -> NDArray[Any]:
    larger = np.empty(max(size, 2 * array.size), array.dtype)
    larger[: array.size] = array
    return larger
