"""Turns texts of a file into integers and times, and finds the texts that will not do. Used by every reader of rows.

Each function looks at a whole column and says which rows fail and why. Numbers and times are read once per distinct
text, because files repeat them; those in the usual spelling all at once, because some files do not.
"""

import re
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from engine.intake.rejects import Reason
from engine.names import text_buffers
from kernels.texts import Mark, mark_texts

ABSENT = np.iinfo(np.int64).min  # an optional number or time that a row does not give

_NUMBER = re.compile(r"([+-]?)([0-9]+)(?:\.([0-9]*))?")
_DIGITS_MAX = 18
_USUAL_NUMBER = f"^[0-9]{{1,{_DIGITS_MAX}}}$"
_USUAL_TIME = r"^\d{4}-\d\d-\d\d[T ]([01]\d|2[0-3]):[0-5]\d:[0-5]\d(\.\d{1,6})?Z?$"
_DATE_CHARACTERS = 10
_TIME = re.compile(r"\d{4}-\d\d-\d\d([T ]\d\d:\d\d(:\d\d(\.\d{1,9})?)?(Z|[+-]\d\d:?\d\d)?)?", re.ASCII)
_YES, _NO = ("yes", "true", "1"), ("no", "false", "0", "")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_REASONS = (
    None, Reason.EMPTY, Reason.NOT_A_NUMBER, Reason.NEGATIVE, Reason.FRACTION, Reason.ZERO, Reason.ABOVE_LIMIT,
    Reason.NOT_A_TIME, Reason.NOT_A_CURRENCY,
)  # fmt: skip
_CURRENCY = re.compile("[A-Z]{3}")

Faults = list[tuple[Reason, Any]]  # in order of precedence: a reason and bool [row], which rows fail by it


def text_faults(texts: pa.StringArray, characters_max: int, needed: bool = True) -> Faults:
    """Texts that are missing (nothing or white space only), too long, or hold control characters. None is null."""
    faults: Faults = []
    offsets, data = text_buffers(texts)
    marks = mark_texts(offsets, data)
    if needed and marks & Mark.BLANK:
        faults.append((Reason.EMPTY, (np.diff(offsets) == 0) | _bools(pc.utf8_is_space(texts))))
    if len(texts) and np.diff(offsets).max() > characters_max:
        faults.append((Reason.TOO_LONG, _bools(pc.greater(pc.utf8_length(texts), characters_max))))
    if marks & Mark.CONTROL:
        faults.append((Reason.CONTROL_CHARACTER, _bools(pc.match_substring_regex(texts, r"\p{Cc}"))))
    return faults


def currency_faults(texts: pa.StringArray) -> Faults:
    """Texts that are neither empty nor three capitals."""
    return _by_distinct(texts, lambda text: (0, None if _CURRENCY.fullmatch(text) else Reason.NOT_A_CURRENCY))[1]


def whole_numbers(texts: pa.StringArray, low: int, high: int) -> tuple[Any, Faults]:
    """int64 [row], ABSENT for an empty text, and the faults. "2.0" is 2; no text goes through a float."""
    return _by_distinct(
        texts, lambda text: _whole(text, low, high), lambda distinct: _usual_numbers(distinct, low, high)
    )


def flags(texts: pa.StringArray) -> tuple[Any, Faults]:
    """uint8 [row], 1 for yes, true or 1, 0 for no, false, 0 or an empty text, in whatever case; and the faults."""
    lower = pc.utf8_lower(pc.utf8_trim_whitespace(texts))
    yes, no = (_bools(pc.is_in(lower, pa.array(words))) for words in (_YES, _NO))
    return yes.astype(np.uint8), [(Reason.NOT_A_FLAG, ~(yes | no))]


def times(texts: pa.StringArray) -> tuple[Any, Faults]:
    """int64 [row] UTC microseconds, ABSENT for an empty text, and the faults.

    ISO 8601: a date, or a date and time with T or a space between; without an offset it is UTC. Digits beyond
    microseconds are cut off.
    """
    return _by_distinct(texts, _instant, _usual_times)


def _nothing_usual(distinct: pa.StringArray) -> tuple[Any, Any]:
    return np.full(len(distinct), ABSENT), np.zeros(len(distinct), np.bool_)


def _by_distinct(
    texts: pa.StringArray,
    read: Callable[[str], tuple[int, Reason | None]],
    usual: Callable[[pa.StringArray], tuple[Any, Any]] = _nothing_usual,
) -> tuple[Any, Faults]:
    """usual: the values of distinct texts and which of them it could tell; `read` decides on each of the others."""
    coded = texts.dictionary_encode()
    values, told = usual(coded.dictionary)
    reasons = np.zeros(values.size, np.int8)
    others = np.flatnonzero(~told)
    for at, text in zip(others, coded.dictionary.take(pa.array(others)).to_pylist(), strict=True):
        values[at], reason = read(text) if text else (ABSENT, None)
        reasons[at] = _REASONS.index(reason)
    codes = coded.indices.to_numpy(zero_copy_only=False)
    found = reasons[codes]
    return values[codes], [(_REASONS[code], found == code) for code in np.unique(reasons) if code]  # type: ignore[misc]


def _usual_numbers(distinct: pa.StringArray, low: int, high: int) -> tuple[Any, Any]:
    """Digits alone, within the limits."""
    digits = pc.if_else(pc.match_substring_regex(distinct, _USUAL_NUMBER), distinct, pa.scalar(None, pa.string()))
    values = digits.cast(pa.int64()).fill_null(ABSENT).to_numpy().copy()
    return values, (values >= low) & (values <= high) & (values != ABSENT)


def _usual_times(distinct: pa.StringArray) -> tuple[Any, Any]:
    """Dates of the calendar with a time to the second or finer, in UTC."""
    days = pc.utf8_slice_codeunits(distinct, 0, _DATE_CHARACTERS).dictionary_encode()
    is_day = np.array([_is_day(text) for text in days.dictionary.to_pylist()], np.bool_)[days.indices.to_numpy()]
    told = is_day & _bools(pc.match_substring_regex(distinct, _USUAL_TIME))  # now the cast cannot fail
    times = pc.if_else(pa.array(told), pc.utf8_rtrim(distinct, "Z"), pa.scalar(None, pa.string()))
    return times.cast(pa.timestamp("us")).cast(pa.int64()).fill_null(ABSENT).to_numpy().copy(), told


def _is_day(text: str) -> bool:
    try:
        date.fromisoformat(text)
    except ValueError:
        return False
    return True


def _whole(text: str, low: int, high: int) -> tuple[int, Reason | None]:
    match = _NUMBER.fullmatch(text.strip())
    if match is None:
        return ABSENT, Reason.NOT_A_NUMBER if text.strip() else Reason.EMPTY
    sign, digits, fraction = match.groups()
    nothing = not (digits + (fraction or "")).strip("0")
    if sign == "-" and low >= 0 and not nothing:
        return ABSENT, Reason.NEGATIVE
    if (fraction or "").strip("0"):
        return ABSENT, Reason.FRACTION
    if nothing and low > 0:
        return ABSENT, Reason.ZERO
    significant = digits.lstrip("0") or "0"
    if len(significant) > _DIGITS_MAX:
        return ABSENT, Reason.ABOVE_LIMIT
    value = -int(significant) if sign == "-" else int(significant)
    return (value, None) if low <= value <= high else (ABSENT, Reason.ABOVE_LIMIT)


def _instant(text: str) -> tuple[int, Reason | None]:
    if not _TIME.fullmatch(text.strip()):
        return ABSENT, Reason.NOT_A_TIME
    try:
        time = datetime.fromisoformat(text.strip())
        return ((time if time.tzinfo else time.replace(tzinfo=UTC)) - _EPOCH) // _MICROSECOND, None
    except (ValueError, OverflowError):
        return ABSENT, Reason.NOT_A_TIME


def _bools(mask: pa.BooleanArray) -> Any:
    return mask.to_numpy(zero_copy_only=False)
