"""The rows of a file that were not taken, each with its one reason. The readers fill it, the file job writes it.

A row is rejected for the first reason found: cells of the row, then its columns in the order the reader names them,
then what it is beside the other rows of its order.
"""

from enum import StrEnum
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from engine.intake.table_writer import TableWriter

VALUE_CHARACTERS_MAX = 200  # of a value quoted in a reject


class Reason(StrEnum):
    """Why a row was not taken."""

    WRONG_CELL_COUNT = "WRONG_CELL_COUNT"
    EMPTY = "EMPTY"
    TOO_LONG = "TOO_LONG"
    CONTROL_CHARACTER = "CONTROL_CHARACTER"
    UNKNOWN_POSTAL_CODE = "UNKNOWN_POSTAL_CODE"
    NO_ADDRESS = "NO_ADDRESS"
    NOT_A_NUMBER = "NOT_A_NUMBER"
    NEGATIVE = "NEGATIVE"
    FRACTION = "FRACTION"
    ZERO = "ZERO"
    ABOVE_LIMIT = "ABOVE_LIMIT"
    NOT_A_TIME = "NOT_A_TIME"
    NOT_A_CURRENCY = "NOT_A_CURRENCY"
    NOT_A_FLAG = "NOT_A_FLAG"
    UNKNOWN_NODE = "UNKNOWN_NODE"
    DUPLICATE_LINE = "DUPLICATE_LINE"
    OTHER_POSTAL_CODE = "OTHER_POSTAL_CODE"
    ORDER_TOO_LONG = "ORDER_TOO_LONG"


SENTENCES = {
    Reason.WRONG_CELL_COUNT: "The row has more or fewer cells than the header.",
    Reason.EMPTY: "The value is missing.",
    Reason.TOO_LONG: "The text is longer than its limit.",
    Reason.CONTROL_CHARACTER: "The text contains a control character, such as a line break or a tab.",
    Reason.UNKNOWN_POSTAL_CODE: "Neither the postal code nor its first three characters are known.",
    Reason.NO_ADDRESS: "The line has no address.",
    Reason.NOT_A_NUMBER: "The value is not a whole number.",
    Reason.NEGATIVE: "The number is negative.",
    Reason.FRACTION: "The number has a fraction.",
    Reason.ZERO: "The number is zero.",
    Reason.ABOVE_LIMIT: "The number is beyond its limit.",
    Reason.NOT_A_TIME: "The value is not a time such as 2022-03-31T09:30:00Z.",
    Reason.NOT_A_CURRENCY: "The value is not an ISO 4217 code such as INR.",
    Reason.NOT_A_FLAG: "The value is neither yes nor no.",
    Reason.UNKNOWN_NODE: "There is no such node.",
    Reason.DUPLICATE_LINE: "The line repeats another of the file.",
    Reason.OTHER_POSTAL_CODE: "The postal code differs from that of the order's first accepted row.",
    Reason.ORDER_TOO_LONG: "The order has more lines than the limit.",
}

SCHEMA = pa.schema(
    [
        ("row", pa.int64()),
        ("column", pa.string()),
        ("value", pa.string()),
        ("reason", pa.string()),
        ("why", pa.string()),
    ]
)


class Rejects:
    """Rows refused one by one, in the order found; `table` has them in file order."""

    def __init__(self) -> None:
        self._parts: list[tuple[Any, str, pa.StringArray, str, str]] = []

    def __len__(self) -> int:
        return sum(part[0].size for part in self._parts)

    def add(self, row: int, column: str, value: str, reason: str, why: str) -> None:
        """One row, refused for a reason of its own: a code in capitals and a sentence."""
        self._parts.append((np.array([row]), column, _shortened(pa.array([value], pa.string())), reason, why))

    def add_rows(self, rows: Any, column: str, values: pa.StringArray, reason: Reason) -> None:
        """Rows int64 [n], numbered from 1 after the header; the value of `column` in each, as it stands in the file."""
        if len(rows):
            whole = values.cast(pa.string()).fill_null("")
            self._parts.append((np.asarray(rows, np.int64), column, _shortened(whole), reason.value, SENTENCES[reason]))

    def add_ragged(self, rows: list[tuple[int, str]]) -> None:
        """Rows, by number and text, with more or fewer cells than the header."""
        texts = pa.array([text for _, text in rows], pa.string())
        self.add_rows(np.array([number for number, _ in rows], np.int64), "", texts, Reason.WRONG_CELL_COUNT)

    def rows(self) -> Any:
        """int64 [n], ascending."""
        return np.sort(np.concatenate([np.empty(0, np.int64), *(rows for rows, *_ in self._parts)]))

    def counts(self) -> dict[str, int]:
        """How many rows each reason took, the most frequent first."""
        found: dict[str, int] = {}
        for rows, _, _, reason, _ in self._parts:
            found[reason] = found.get(reason, 0) + rows.size
        return dict(sorted(found.items(), key=lambda item: (-item[1], item[0])))

    def table(self) -> pa.Table:
        """row int64, column, value, reason, why (texts), in file order."""
        parts = [
            pa.record_batch(
                [pa.array(rows), _repeated(column, rows), values, _repeated(reason, rows), _repeated(why, rows)],
                schema=SCHEMA,
            )
            for rows, column, values, reason, why in self._parts
        ]
        return pa.Table.from_batches(parts, SCHEMA).sort_by("row")

    def write(self, path: Path) -> None:
        """Writes CSV, CSV.gz or Parquet by name, with a header even where nothing was rejected. Raises IntakeError."""
        with TableWriter(path, SCHEMA) as writer:
            for batch in self.table().to_batches():
                writer.append(batch)


def _repeated(text: str, rows: Any) -> pa.StringArray:
    return pa.repeat(pa.scalar(text, pa.string()), rows.size)


def _shortened(values: pa.StringArray) -> pa.StringArray:
    return pc.utf8_slice_codeunits(values, 0, VALUE_CHARACTERS_MAX)
