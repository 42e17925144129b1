"""Single values of a message: texts, numbers, times. Every validation of the edge is made of these.

Each gives the value back, or raises a Rejection that names the field, what was given, and how to mend it. `texts`
looks at a whole column of a request at once.
"""

import unicodedata
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from engine.intake.values import text_faults
from engine.names import Names
from server.errors import Rejection, invalid

REQUEST_ID_CHARACTERS_MAX = 64
SOURCE_CHARACTERS_MAX = 64
AMOUNT_MAX = 10**15  # minor units
MICROSECONDS_MAX = 253_402_300_799_999_999  # the end of the year 9999
_SHOWN_CHARACTERS_MAX = 100  # of a value that is told back


def shown(value: object) -> str:
    """A value as messages show it: short, and on one line."""
    text = repr(value)
    return text if len(text) <= _SHOWN_CHARACTERS_MAX else text[:_SHOWN_CHARACTERS_MAX] + "..."


def text(field: str, value: str, characters_max: int, needed: bool = True) -> str:
    """A text of at most so many characters, not empty where it is needed, that can be stored and shown."""
    if needed and not value.strip():
        raise invalid(field, f"{field}: nothing is given: give 1 to {characters_max} characters", "VALUE_MISSING")
    if len(value) > characters_max:
        raise invalid(
            field, f"{field}: {shown(value)} has {len(value)} characters: give {characters_max} at most", "TOO_LONG"
        )
    if not value.isprintable() and any(unicodedata.category(character) in ("Cc", "Cs") for character in value):
        raise invalid(field, f"{field}: {shown(value)} holds a control character: leave it out", "BAD_CHARACTER")
    return value


def request_id(value: str) -> str:
    """The idempotency key of a write."""
    return text("request_id", value, REQUEST_ID_CHARACTERS_MAX)


def number(field: str, value: int, low: int, high: int, reason: str = "OUT_OF_RANGE") -> int:
    """A whole number within its range."""
    if not low <= value <= high:
        raise invalid(field, f"{field}: {value}: give a number from {low:,} to {high:,}", reason)
    return value


def microseconds(field: str, value: int, needed: bool = True) -> int:
    """UTC microseconds since 1970, 1 or more; 0, not told, too where it is not needed."""
    if not (1 if needed else 0) <= value <= MICROSECONDS_MAX:
        raise invalid(
            field, f"{field}: {value}: give UTC microseconds since 1970, up to {MICROSECONDS_MAX}", "OUT_OF_RANGE"
        )
    return value


def rows(field: str, count: int, most: int) -> int:
    """How many rows a request has: one or more."""
    if count == 0:
        raise invalid(field, f"{field}: nothing is given: give 1 to {most:,}", "VALUE_MISSING")
    if count > most:
        raise invalid(field, f"{field}: {count:,} are given: give {most:,} at most", "TOO_MANY")
    return count


def texts(field: Callable[[int], str], values: Sequence[str], characters_max: int) -> pa.StringArray:
    """A column of texts, none of them empty. field: what the one at an index is called."""
    try:
        column = pa.array(values, pa.string())
    except UnicodeEncodeError:  # a lone surrogate: no wire brings it, Python may
        column = None
    if column is None or any(failing.any() for _, failing in text_faults(column, characters_max)):
        for i, value in enumerate(values):
            text(field(i), value, characters_max)
        raise AssertionError(f"{field(0)}: a fault of a column that none of its values has")
    return column


def distinct(field: Callable[[int], str], column: pa.StringArray) -> None:
    """Refuse a column in which a text comes twice."""
    if len(column.unique()) == len(column):
        return
    seen: set[str] = set()
    for i, value in enumerate(column.to_pylist()):
        if value in seen:
            raise invalid(field(i), f"{field(i)}: {shown(value)} was given before: give it once", "GIVEN_TWICE")
        seen.add(value)


def unknown(field: str, value: str, what: str, mend: str) -> Rejection:
    """A name that nothing has. what: node, SKU, channel ..., mend: how to make it known."""
    return invalid(field, f"{field}: {shown(value)} is not known: {mend}", f"UNKNOWN_{what.upper()}")


def known(
    names: Names, field: Callable[[int], str], values: Sequence[str], characters_max: int, what: str, mend: str
) -> Any:
    """The indices of texts that all are known, int32 [n]. Raises Rejection for the first that is not."""
    indices = find(names, values)
    for at in np.flatnonzero(indices < 0)[:1]:
        raise unknown(field(int(at)), text(field(int(at)), values[at], characters_max), what, mend)
    return indices


def find(names: Names, values: Sequence[str]) -> Any:
    """The indices of texts, int32 [n]; -1 where one is not known."""
    try:
        return names.find(pa.array(values, pa.string()))
    except UnicodeEncodeError:  # a lone surrogate, which no name has
        return np.array([-1 if not value.isprintable() else names.find([value])[0] for value in values], np.int32)


def unnamed(field: Callable[[int], str], values: Sequence[str], indices: Any, characters_max: int) -> pa.StringArray:
    """Those texts, each once, that have no index and may get one."""
    rows_unnamed = np.flatnonzero(indices < 0).tolist()
    return texts(lambda i: field(rows_unnamed[i]), [values[row] for row in rows_unnamed], characters_max).unique()
