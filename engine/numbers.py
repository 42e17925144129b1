"""From the number of a document to its row. Derived from the documents' columns: no snapshot and no digest has it."""

from typing import Any

import numpy as np

from kernels.columns import NONE, Documents


class DocumentNumbers:
    """Numbers only grow, so each commit's new ones go behind those before; a number is found by halves.

    12 bytes a document. The rows of retired ones are other documents' later: they are left out when room is made.
    """

    def __init__(self) -> None:
        self._numbers: Any = np.empty(0, np.int64)
        self._rows: Any = np.empty(0, np.int32)
        self._count = 0

    def add(self, numbers: Any, rows: Any, documents: Documents) -> None:
        """New documents, in the order of their numbers; rows: of the columns `documents`."""
        if self._count + numbers.size > self._numbers.size:
            self._make_room(numbers.size, documents)
        where = slice(self._count, self._count + numbers.size)
        self._numbers[where], self._rows[where] = numbers, rows
        self._count += numbers.size

    def _make_room(self, more: int, documents: Documents) -> None:
        numbers, rows = self._numbers[: self._count], self._rows[: self._count]
        is_there = documents.number[rows] == numbers
        size = max(1024, 2 * (int(is_there.sum()) + more))
        self._count = int(is_there.sum())
        self._numbers, self._rows = np.empty(size, np.int64), np.empty(size, np.int32)
        self._numbers[: self._count], self._rows[: self._count] = numbers[is_there], rows[is_there]

    def rebuild(self, documents: Documents, count: int) -> None:
        """From the first `count` rows of the columns."""
        rows = np.flatnonzero(documents.kind[:count])
        rows = rows[np.argsort(documents.number[rows])]
        self._count = 0
        self.add(documents.number[rows], rows, documents)

    def row_of(self, number: int, documents: Documents) -> int:
        """The row of a document, or NONE."""
        at = int(np.searchsorted(self._numbers[: self._count], number))
        if at == self._count or self._numbers[at] != number:
            return NONE
        row = int(self._rows[at])
        return row if documents.kind[row] and documents.number[row] == number else NONE
