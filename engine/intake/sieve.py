"""The rows of a table that are still accepted, check by check. Readers of orders and stock use it."""

from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from engine.intake.rejects import Reason, Rejects
from engine.intake.tables import FileTable
from engine.intake.values import Faults, flags, text_faults, times, whole_numbers


class Sieve:
    """The rows still accepted. Each check names a column; a row falls at the first check that it fails."""

    def __init__(self, table: FileTable, rejects: Rejects) -> None:
        self.columns = table.columns
        self.accepted = np.ones(table.row.size, np.bool_)
        self._row = table.row
        self._rejects = rejects

    def refuse(self, column: str, reason: Reason, failing: Any) -> None:
        """failing: bool [row]."""
        rows = np.flatnonzero(failing & self.accepted)
        if rows.size:
            self._rejects.add_rows(self._row[rows], column, self.columns[column].take(pa.array(rows)), reason)
            self.accepted[rows] = False

    def refuse_all(self, column: str, faults: Faults) -> None:
        for reason, failing in faults:
            self.refuse(column, reason, failing)

    def texts(self, column: str, characters_max: int, needed: bool = True) -> pa.StringArray:
        texts = self.columns[column]
        self.refuse_all(column, text_faults(texts, characters_max, needed))
        return texts

    def numbers(self, column: str, low: int, high: int, needed: bool = False) -> Any:
        if needed:
            self.refuse(column, Reason.EMPTY, pc.equal(self.columns[column], "").to_numpy(zero_copy_only=False))
        values, faults = whole_numbers(self.columns[column], low, high)
        self.refuse_all(column, faults)
        return values

    def flags(self, column: str) -> Any:
        values, faults = flags(self.columns[column])
        self.refuse_all(column, faults)
        return values

    def times(self, column: str) -> Any:
        values, faults = times(self.columns[column])
        self.refuse_all(column, faults)
        return values
