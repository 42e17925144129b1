"""Rows that own a varying number of other rows: orders and lines, lines and parts. Offsets, and how to take some of
them.

And `rows_of` any columns, `distinct` rows of columns, and `owned`, for columns on their way into a kernel.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pyarrow as pa


def offsets(counts: Any) -> Any:
    """[n + 1] where each row's elements begin, from how many it has."""
    first = np.zeros(counts.size + 1, np.int64)
    np.cumsum(counts, out=first[1:])
    return first


def elements(first: Any, rows: Any) -> Any:
    """Indices of the elements of the given rows, row after row."""
    starts, counts = first[rows], first[rows + 1] - first[rows]
    total = int(counts.sum())
    if total == 0:
        return np.empty(0, np.int64)
    jump = np.repeat(starts - np.concatenate([[0], np.cumsum(counts)[:-1]]), counts)
    return np.arange(total) + jump


def owners(first: Any) -> Any:
    """The row that each element belongs to."""
    return np.repeat(np.arange(first.size - 1), np.diff(first))


def rows_of(columns: Mapping[str, Any], rows: Any) -> dict[str, Any]:
    """Some rows of every column, of numbers or of texts."""
    return {
        name: column[rows] if isinstance(column, np.ndarray) else column.take(pa.array(rows))
        for name, column in columns.items()
    }


def owned(array: Any) -> Any:
    """The array itself, or a copy where it is a read-only view of Arrow's or the journal's memory, which no kernel
    takes.
    """
    return array if array.flags.writeable else array.copy()


def grouped(keys: Any) -> tuple[Any, Any, Any]:
    """`numpy.unique` with index and inverse: quicker where the keys ascend already."""
    if keys.size == 0 or (keys[1:] < keys[:-1]).any():
        return np.unique(keys, return_index=True, return_inverse=True)
    new = np.append(True, keys[1:] != keys[:-1])
    first = np.flatnonzero(new)
    return keys[first], first, np.cumsum(new) - 1


def distinct(*columns: Any) -> tuple[Any, Any]:
    """Where each distinct row of columns stands first, and which of these each row is, int32 [row]; in the order in
    which they come.
    """
    turn = np.lexsort(columns)
    new = np.zeros(turn.size, bool)
    new[:1] = True
    for column in columns:
        new[1:] |= column[turn[1:]] != column[turn[:-1]]
    group = np.cumsum(new) - 1
    first = turn[new]
    by_place = np.argsort(first)  # a lexsort is stable: of equal rows the first one comes first
    place = np.empty(first.size, np.int32)
    place[by_place] = np.arange(first.size, dtype=np.int32)
    of = np.empty(turn.size, np.int32)
    of[turn] = place[group]
    return first[by_place], of
