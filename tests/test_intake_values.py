"""Numbers and times of files: the usual spelling, read all at once, against the reading of one text after the other."""

import random
from collections.abc import Callable
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from engine.intake import values
from engine.intake.rejects import Reason
from engine.intake.values import ABSENT, Faults, times, whole_numbers

NUMBERS = (
    "", "0", "00", "7", "007", "1000000", "1000001", "999999999999999999", "1000000000000000000", "9" * 40, "-1", "-0",
    "+3", "2.0", "2.5", "1e3", " 4", "4 ", "٣", "x", "1\n",
)  # fmt: skip
TIMES = (
    "", "2022-03-31", "2022-03-31T12:00", "2022-03-31T12:00:00", "2022-03-31 12:00:00Z", "2022-03-31T12:00:00.5Z",
    "2022-03-31T12:00:00.123456", "2022-03-31T12:00:00.1234567Z", "2022-03-31T12:00:00+05:30", "2022-03-31T12:00:00ZZ",
    "2022-03-31T12:00:00.Z", "2022-02-29T00:00:00Z", "2024-02-29T00:00:00Z", "2022-04-31T00:00:00Z",
    "2022-13-01T00:00:00Z", "2022-00-10T00:00:00Z", "2022-01-00T00:00:00Z", "0000-01-01T00:00:00Z",
    "0001-01-01T00:00:00Z", "9999-12-31T23:59:59.999999Z", "2022-03-31T24:00:00Z", "2022-03-31T23:60:00Z",
    "2022-03-31T23:59:60Z", "1969-12-31T23:59:59.999999Z", "2022-W13-4T12:00:00Z", "20220331T120000Z",
    "2022-03-31T12:00:00Z\n", "٢022-03-31T12:00:00Z", "31-03-2022",
)  # fmt: skip


def outcome(read: tuple[Any, Faults]) -> list[tuple[int, str | None]]:
    """Of each row its value and reason."""
    found, faults = read
    reasons: list[Reason | None] = [None] * len(found)
    for reason, failing in faults:
        for row in np.flatnonzero(failing):
            assert reasons[row] is None
            reasons[row] = reason
    return list(zip(found.tolist(), reasons, strict=True))


def one_by_one(monkeypatch: pytest.MonkeyPatch, read: Callable[[], tuple[Any, Faults]]) -> list[tuple[int, str | None]]:
    """The same with nothing taken for usual."""

    def nothing(distinct: pa.StringArray, *_: int) -> tuple[Any, Any]:
        return np.full(len(distinct), ABSENT), np.zeros(len(distinct), np.bool_)

    with monkeypatch.context() as patch:
        patch.setattr(values, "_usual_numbers", nothing)
        patch.setattr(values, "_usual_times", nothing)
        return outcome(read())


def mixed(texts: tuple[str, ...], seed: int) -> pa.StringArray:
    return pa.array(random.Random(seed).choices(texts, k=10 * len(texts)), pa.string())


@pytest.mark.parametrize(("low", "high"), [(0, 10), (1, 1_000_000), (-5, 10**12), (8, 10**18)])
def test_usual_numbers_are_read_like_all_others(monkeypatch: pytest.MonkeyPatch, low: int, high: int) -> None:
    texts = mixed(NUMBERS, low)
    found = outcome(whole_numbers(texts, low, high))
    assert found == one_by_one(monkeypatch, lambda: whole_numbers(texts, low, high))


def test_usual_times_are_read_like_all_others(monkeypatch: pytest.MonkeyPatch) -> None:
    texts = mixed(TIMES, 1)
    found = outcome(times(texts))
    assert found == one_by_one(monkeypatch, lambda: times(texts))
    assert {reason for _, reason in found} == {None, Reason.NOT_A_TIME}


def test_the_usual_spelling_is_read_all_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """A file of a million different times took 14 seconds, text after text, and takes one."""
    monkeypatch.setattr(values, "_instant", None)
    monkeypatch.setattr(values, "_whole", None)
    assert outcome(times(pa.array(["2022-03-31 12:00:00.25", "1970-01-01T00:00:01Z"])))[1] == (1_000_000, None)
    assert outcome(whole_numbers(pa.array(["12", "3"]), 1, 20)) == [(12, None), (3, None)]


def test_no_rows_are_no_values() -> None:
    nothing = pa.array([], pa.string())
    assert outcome(times(nothing)) == outcome(whole_numbers(nothing, 0, 1)) == []
