"""Which day each order of a history belongs to, and what is odd about its days: `allot plan` replays them one by one.

A day begins at the same time of a clock every day. Where orders have dates and no times, the dates are taken as they
stand. What cannot be told from the file alone (a gap, a first day that is cut off) is said, not guessed.
"""

from datetime import UTC, date, datetime, time, timedelta, tzinfo
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from engine.intake.orders import OrderFile
from engine.intake.tables import IntakeError
from engine.intake.values import ABSENT

DAYS_MAX = 400
_NAMED_MAX = 5  # days in a remark
_SMALL = 0.5  # of a usual day: a first or last day with fewer orders may be cut off
_MANY = 0.05  # of the orders at one moment of the day are no chance
_YEARS = 1970, 2200
_QUARTER_US = 900_000_000  # clocks differ from UTC, and change, by whole quarters of an hour
_HOUR_US, _DAY_US = 4 * _QUARTER_US, 96 * _QUARTER_US
_EPOCH = date(1970, 1, 1).toordinal()


class Clock(NamedTuple):
    """By which days begin."""

    zone: tzinfo
    starts_at: int  # minutes after midnight
    name: str  # for people


class HistoryDays(NamedTuple):
    """The days of a history, gaps among them."""

    order: Any  # int64 [n] orders that have a date, day after day, within a day as they came
    first: Any  # int64 [day + 1] where each day begins in `order`
    dates: list[str]  # [day] YYYY-MM-DD; of a day that begins at noon, the date of that noon
    begins: Any  # int64 [day] UTC us
    busiest_hour: Any  # int64 [day] orders of the busiest hour of each day; None where the file has no times
    undated: int  # orders that are left out
    notes: list[str]


def history_days(path: Path, orders: OrderFile, clock: Clock) -> HistoryDays:
    """The orders by day. Raises IntakeError where no order can be used or has a date, or days are too many, or no
    history."""
    placed_at = orders.placed_at
    dated = np.flatnonzero(placed_at != ABSENT)
    if placed_at.size == 0:
        reasons = ", ".join(f"{count:,} {reason}" for reason, count in orders.rejects.counts().items())
        why = (
            f"all rows were left out ({reasons}): `allot allocate` says which and why" if reasons else "it has no rows"
        )
        raise IntakeError(f"{path}: there is no order that can be used: {why}")
    if dated.size == 0:
        raise IntakeError(
            f"{path}: placed_at: has no date in any order: a plan goes by the day of each order; add it, as 2025-10-20"
        )
    _check_years(path, orders, dated)
    stamps = placed_at[dated]
    notes: list[str] = []
    if (stamps % _DAY_US == 0).all():
        day, hour, clock = stamps // _DAY_US, None, Clock(UTC, 0, "")
        notes.append("the orders have dates and no times: dates are taken as they stand, whatever the time zone")
    else:
        dates_only = int((stamps % _DAY_US == 0).sum())
        if dates_only > _MANY * stamps.size:
            notes.append(f"{dates_only:,} orders are at midnight UTC to the second: are these dates without a time?")
        local = stamps + _offsets(stamps, clock.zone) - clock.starts_at * 60_000_000
        day, hour = local // _DAY_US, local // _HOUR_US
        other = int((day != stamps // _DAY_US).sum())
        notes.append(f"days begin at {clock.name}; {other:,} of {day.size:,} orders are on another date by UTC")
        if np.unique(stamps % _DAY_US).size == 1 and stamps.size > 1:
            notes.append("all orders have the same time of day: are these dates, written in another time zone?")
            hour = None
    turn = np.lexsort((stamps, day))
    day, begin = day[turn], int(day.min())
    count = np.bincount(day - begin)
    if count.size > DAYS_MAX:
        raise IntakeError(
            f"{path}: placed_at: {count.size:,} days, from {_text(begin)} ({count[0]:,} orders) to "
            f"{_text(begin + count.size - 1)} ({count[-1]:,}): a plan takes {DAYS_MAX}; cut the file, or mend the dates"
        )
    undated = placed_at.size - dated.size
    if undated:
        notes.append(f"{undated:,} orders have no placed_at and are left out: a plan goes by the day of each order")
    if orders.dated_twice:
        notes.append(f"{orders.dated_twice:,} orders have rows of several placed_at: that of their first row counts")
    notes += _remarks(count, begin)
    dates = [_text(begin + at) for at in range(count.size)]
    begins = np.array([_begin(begin + at, clock) for at in range(count.size)])
    busiest = None if hour is None else _busiest(hour[turn], day - begin, count.size)
    return HistoryDays(dated[turn], np.append(0, np.cumsum(count)), dates, begins, busiest, undated, notes)


def _check_years(path: Path, orders: OrderFile, dated: Any) -> None:
    low, high = (int((date(year, 1, 1).toordinal() - _EPOCH) * _DAY_US) for year in _YEARS)
    stamps = orders.placed_at[dated]
    for at in np.flatnonzero((stamps < low) | (stamps >= high))[:1]:
        order = dated[at]
        raise IntakeError(
            f"{path}: row {orders.row[orders.first_line[order]]}, placed_at of order "
            f"{orders.order_id[order].as_py()!r}: is not between the years {_YEARS[0]} and {_YEARS[1]}; mend the date"
        )


def _offsets(stamps: Any, zone: tzinfo) -> Any:
    """int64 [n] us that the clock is ahead of UTC."""
    quarters, of = np.unique(stamps // _QUARTER_US, return_inverse=True)
    ahead = [datetime.fromtimestamp(int(quarter) * 900, UTC).astimezone(zone).utcoffset() for quarter in quarters]
    return np.array([(offset or timedelta()) // timedelta(microseconds=1) for offset in ahead], np.int64)[of]


def _begin(day: int, clock: Clock) -> int:
    """UTC us."""
    at = datetime.combine(date.fromordinal(_EPOCH + day), time(*divmod(clock.starts_at, 60)), clock.zone)
    return (at - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)


def _text(day: int) -> str:
    return date.fromordinal(_EPOCH + day).isoformat()


def _busiest(hour: Any, day: Any, days: int) -> Any:
    """int64 [day]: orders of the busiest hour of each. hour, day: of each order."""
    keys, count = np.unique(day * 24 + (hour - hour.min()) % 24, return_counts=True)
    most = np.zeros(days, np.int64)
    np.maximum.at(most, keys // 24, count)
    return most


def _remarks(count: Any, begin: int) -> list[str]:
    notes = []
    gaps = np.flatnonzero(count == 0)
    if gaps.size:
        named = ", ".join(_text(begin + int(day)) for day in gaps[:_NAMED_MAX])
        more = f" and {gaps.size - _NAMED_MAX} more" if gaps.size > _NAMED_MAX else ""
        one = gaps.size == 1
        notes.append(
            f"{gaps.size} day{' has' if one else 's have'} no orders ({named}{more}): nodes work on "
            f"{'it' if one else 'them'}, and send what waits; is a part of the history missing?"
        )
    usual = float(np.median(count[count > 0]))
    for at, which in ((0, "first"), (count.size - 1, "last")):
        if count.size > 2 and count[at] < _SMALL * usual:
            notes.append(
                f"the {which} day, {_text(begin + at)}, has {count[at]:,} orders, a usual one {usual:,.0f}: is it cut "
                "off?"
            )
    return notes
