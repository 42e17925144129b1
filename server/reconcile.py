"""A gateway's settlement against the ledger: what both have, what only one has, what differs, what was told twice.

Ours are the postings of the account GATEWAY, by what the gateway calls their payment; theirs a row a payment or refund.
Both sides are summed by payment before they are compared, so that parts of a refund need not be cut alike.

A period chooses among ours by the day on which they were booked, in India's time. What the files say of a payment that
was booked on other days only is left alone. A gateway settles days later: what it has not settled is missing there only
from the day by which it should have, which is counted from the last day that the files settle.
"""

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, timedelta
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from engine.intake.tables import FileTable, IntakeError, MissingColumn, need_rows, read_table
from engine.intake.values import ABSENT, times, whole_numbers
from server.papers.handed import read_history
from server.papers.parcel import INDIA

MATCHED, DIFFERS, MISSING_THERE, MISSING_HERE, TWICE, NOT_YET = RESULTS = (
    "matched", "amount differs", "missing there", "missing here", "told twice", "not settled yet",
)  # fmt: skip
SETTLES_WITHIN_DAYS = 3
AMOUNT_MAX = 10**15  # minor units, of a row
TOTAL_MAX = 1 << 62  # minor units, of all rows: no sum of theirs and ours is beyond 64 bits

_KEYS = ["kind", "reference", "currency"]
_DAY_US = 86_400_000_000
_INDIA_US = INDIA // timedelta(microseconds=1)
_EPOCH = date(1970, 1, 1)
_NEVER = np.iinfo(np.int64).min
_SECONDS_MAX = 10**11  # since 1970: beyond are milliseconds


@dataclass(frozen=True)
class _Layout:
    """How a gateway names the columns of a settlement, and which of its rows are payments and refunds."""

    row_id: str
    kind: str
    amount: str
    payment: tuple[str, ...]  # where the payment is named, the first that is not blank
    settled: tuple[str, ...]  # when the row was settled
    kinds: Mapping[str, tuple[str, int]]  # by theirs: ours, and the sign that makes its amounts sum to ours
    seen: tuple[str, ...] = ()  # amount and currency that the customer saw

    @property
    def needed(self) -> tuple[str, ...]:
        return self.row_id, self.kind, self.amount, "currency"


# razorpay.com/docs/api/settlements/fetch-recon: minor units, a payment is its own entity, a refund names its payment
RAZORPAY = _Layout(
    "entity_id", "type", "amount", ("payment_id",), ("settled_at",),
    {"payment": ("payment", 1), "refund": ("refund", 1)},
)  # fmt: skip
# docs.stripe.com/reports/report-types/payout-reconciliation, .../reporting-categories: major units, below 0 what leaves
STRIPE = _Layout(
    "balance_transaction_id", "reporting_category", "gross", ("payment_intent_id", "charge_id"),
    ("automatic_payout_effective_at", "automatic_payout_effective_at_utc"),
    {"charge": ("payment", 1), "partial_capture_reversal": ("payment", 1), "charge_failure": ("payment", 1),
     "refund": ("refund", -1), "refund_failure": ("refund", -1)},
    ("customer_facing_amount", "customer_facing_currency"),
)  # fmt: skip
# docs.stripe.com/currencies; the minor units that Stripe's API takes, and the engine with it
_DECIMALS = {
    "BIF": 0, "CLP": 0, "DJF": 0, "GNF": 0, "JPY": 0, "KMF": 0, "KRW": 0, "MGA": 0, "PYG": 0, "RWF": 0, "VND": 0,
    "VUV": 0, "XAF": 0, "XOF": 0, "XPF": 0, "BHD": 3, "JOD": 3, "KWD": 3, "OMR": 3, "TND": 3,
}  # fmt: skip
_USUAL_DECIMALS = 2
_MAJOR_UNITS = re.compile(r"(-?)([0-9]{1,15})(?:\.([0-9]*))?")
_USUAL_UNITS = r"^-?[0-9]{1,12}\.[0-9]{2}$"


@dataclass(frozen=True)
class Settlement:
    """What files of a gateway say."""

    rows: pa.Table  # row_id, kind, reference, currency, amount in minor units: of payments and refunds
    others: Mapping[str, int]  # rows that are neither, by what the gateway calls them, as fees and adjustments
    settled_until: date | None  # the last day on which they say that something was settled, in India's time


@dataclass(frozen=True)
class Count:
    """How many payments or refunds came to a result."""

    result: str
    kind: str
    currency: str
    count: int
    ours: int  # minor units
    theirs: int  # minor units


@dataclass(frozen=True)
class Reconciled:
    """What came of it."""

    counts: list[Count]  # in the order of RESULTS
    unmatched: pa.Table  # result, kind, reference, currency, ours, theirs, day: likewise
    others: Mapping[str, int]  # as of Settlement
    other_days: int  # payments and refunds of the files that were booked outside the period only
    due_until: date | None  # what was booked until then should be settled; None: nothing was booked

    @property
    def wrong(self) -> pa.Table:
        """What does not match and is not merely late."""
        return self.unmatched.filter(pc.not_equal(self.unmatched["result"], NOT_YET))

    @property
    def is_clean(self) -> bool:
        """Whether both say the same, as far as it can be known."""
        return self.wrong.num_rows == 0


class _Period(NamedTuple):
    """bool [row] each: which of ours were booked in it, before it and after it."""

    within: Any
    before: Any
    after: Any


# Theirs


def read_settlement(paths: Sequence[Path]) -> Settlement:
    """Files of CSV or Parquet with Razorpay's columns or with those of Stripe's reports. Raises IntakeError."""
    pieces = [_read(path) for path in paths]
    rows = pa.concat_tables([piece.rows for piece in pieces])
    total = pc.sum(pc.abs(rows["amount"]).cast(pa.decimal128(38, 0))).as_py() or 0
    if total > TOTAL_MAX:
        raise IntakeError(
            f"{', '.join(map(str, paths))}: the amounts sum to {total:,} minor units, more than can be counted: "
            "check them, or give fewer files at a time"
        )
    others: Counter[str] = Counter()
    for piece in pieces:
        others.update(piece.others)
    days = [piece.settled_until for piece in pieces if piece.settled_until is not None]
    return Settlement(rows, dict(sorted(others.items())), max(days, default=None))


def _read(path: Path) -> Settlement:
    layout, whole = _opened(path)
    kind = pc.utf8_lower(whole.columns[layout.kind])
    _refuse(whole, layout.kind, _bools(pc.equal(kind, "")), "it is blank: give what the row is, as refund")
    place = pc.index_in(kind, value_set=pa.array(list(layout.kinds)))
    is_known = place.is_valid()
    other = pc.value_counts(kind.filter(pc.invert(is_known))).to_pylist()
    columns = {name: texts.filter(is_known) for name, texts in whole.columns.items()}
    file = replace(whole, columns=columns, row=whole.row[_bools(is_known)])
    _refuse(file, layout.row_id, _bools(pc.equal(columns[layout.row_id], "")), "it is blank: give the row's own id")
    place = np.asarray(place.drop_null())
    ours = pa.array([ours for ours, _ in layout.kinds.values()], pa.string()).take(pa.array(place))
    sign = np.array([sign for _, sign in layout.kinds.values()])[place]
    currency, amount = _stripe_money(file) if layout is STRIPE else _razorpay_money(file)
    rows = pa.table({
        "row_id": columns[layout.row_id], "kind": ours, "reference": _payment(layout, file, ours),
        "currency": currency, "amount": sign * amount,
    })  # fmt: skip
    return Settlement(rows, {row["values"]: row["counts"] for row in other}, _last_day(layout, whole))


def _opened(path: Path) -> tuple[_Layout, FileTable]:
    """The layout by the head, and the columns of it without blanks around them."""
    layout = RAZORPAY
    try:
        file = read_table(path, RAZORPAY.needed, RAZORPAY.payment + RAZORPAY.settled)
    except MissingColumn as error:
        if STRIPE.kind not in error.header:
            raise IntakeError(
                f"{error}; give the columns of Razorpay ({', '.join(RAZORPAY.needed + RAZORPAY.payment)}) "
                f"or of Stripe ({', '.join(STRIPE.needed + STRIPE.payment[:1])})"
            ) from None
        layout = STRIPE
        file = read_table(path, STRIPE.needed, STRIPE.payment + STRIPE.settled + STRIPE.seen)
    if file.rows:  # a day without any is a day too
        need_rows(file)
    return layout, replace(file, columns={name: pc.utf8_trim_whitespace(text) for name, text in file.columns.items()})


def _payment(layout: _Layout, file: FileTable, kind: pa.Array) -> pa.Array:
    """What the gateway calls the payment of each row."""
    there = [name for name in layout.payment if name in file.columns]
    found = pa.repeat("", len(kind))
    for name in reversed(there):
        found = pc.if_else(pc.equal(file.columns[name], ""), found, file.columns[name])
    if layout is RAZORPAY:
        found = pc.if_else(pc.equal(kind, "payment"), file.columns[layout.row_id], found)
    nameless = _bools(pc.equal(found, ""))
    if nameless.any() and not there:
        raise IntakeError(f"{file.name}: column {layout.payment[0]} is missing: add it, it names the payment of a row")
    _refuse(file, (there or layout.payment)[0], nameless, "it is blank: give the payment of which the row is")
    return found


def _razorpay_money(file: FileTable) -> tuple[pa.Array, Any]:
    """Currency and minor units."""
    amount, _ = whole_numbers(file.columns["amount"], 0, AMOUNT_MAX)
    _refuse(file, "amount", amount == ABSENT, f"give whole minor units, from 0 to {AMOUNT_MAX:,}")
    return _currency(file), amount


def _stripe_money(file: FileTable) -> tuple[pa.Array, Any]:
    """Currency and minor units, as the customer saw them where Stripe has changed them into another currency."""
    currency = _currency(file)
    amount = _minor_units(file, "gross", file.columns["gross"], currency)
    if not set(STRIPE.seen) <= file.columns.keys():
        return currency, amount
    seen, seen_currency = (file.columns[name] for name in STRIPE.seen)
    seen_currency = pc.utf8_upper(seen_currency)
    is_changed = pc.and_(pc.not_equal(seen_currency, ""), pc.not_equal(seen_currency, currency))
    currency = pc.if_else(is_changed, seen_currency, currency)
    before = _minor_units(file, STRIPE.seen[0], pc.if_else(is_changed, seen, "0"), currency)
    return currency, np.where(_bools(is_changed), np.sign(amount) * np.abs(before), amount)


def _currency(file: FileTable) -> pa.Array:
    code = pc.utf8_upper(file.columns["currency"])
    _refuse(file, "currency", ~_bools(pc.match_substring_regex(code, "^[A-Z]{3}$")), "give three letters, as INR")
    return code


def _minor_units(file: FileTable, name: str, texts: pa.Array, currency: pa.Array) -> Any:
    """int64 [row] of major units with decimals, exactly: no text goes through a float."""
    has_usual_decimals = pc.invert(pc.is_in(currency, value_set=pa.array(list(_DECIMALS))))
    is_usual = pc.and_(has_usual_decimals, pc.match_substring_regex(texts, _USUAL_UNITS))  # all at once
    digits = pc.replace_substring(pc.if_else(is_usual, texts, "0"), ".", "")
    amount, is_wrong = digits.cast(pa.int64()).to_numpy().copy(), np.zeros(len(texts), bool)
    others = np.flatnonzero(~_bools(is_usual))
    some = (column.take(pa.array(others)).to_pylist() for column in (currency, texts))
    for at, code, text in zip(others.tolist(), *some, strict=True):
        found = _minor_unit(code, text)
        amount[at], is_wrong[at] = found or 0, found is None
    why = f"give units of its currency as 12.50, with no more decimals than it has, up to {AMOUNT_MAX:,} minor units"
    _refuse(file, name, is_wrong, why)
    return amount


def _minor_unit(currency: str, text: str) -> int | None:
    match, decimals = _MAJOR_UNITS.fullmatch(text), _DECIMALS.get(currency, _USUAL_DECIMALS)
    if match is None:
        return None
    sign, whole, part = match[1], match[2], (match[3] or "").ljust(decimals, "0")
    amount = int(sign + whole + part[:decimals])
    return None if part[decimals:].strip("0") or abs(amount) > AMOUNT_MAX else amount


def _last_day(layout: _Layout, file: FileTable) -> date | None:
    """The last on which a row of the file was settled, in India's time; None: no row says."""
    last = _NEVER
    for name in layout.settled:
        if name not in file.columns:
            continue
        texts = file.columns[name]
        seconds, _ = whole_numbers(texts, 1, _SECONDS_MAX)
        moment, faults = times(pc.if_else(pa.array(seconds == ABSENT), texts, ""))
        is_far = (moment != ABSENT) & ((moment < 0) | (moment > _SECONDS_MAX * 1_000_000))
        for is_wrong in (*(is_wrong for _, is_wrong in faults), is_far):
            _refuse(file, name, is_wrong, "give seconds since 1970, or a time as 2026-11-10 18:30:00")
        moment = np.where(seconds == ABSENT, moment, seconds * 1_000_000)
        last = max(last, int(moment.max(initial=_NEVER)))
    return None if last == _NEVER else _day(last)


def _refuse(file: FileTable, name: str, is_wrong: Any, why: str) -> None:
    """Raises IntakeError for the first row that is wrong. is_wrong: bool [row]"""
    rows = np.flatnonzero(is_wrong)
    if rows.size:
        value = file.columns[name][int(rows[0])].as_py()
        raise IntakeError(f"{file.name}: row {file.row[rows[0]]}, {name} {value[:100]!r}: {why}")


# Both


def reconcile(
    history: Path, settlement: Settlement, gateway: str, *, since: date | None = None, until: date | None = None,
    settles_within_days: int = SETTLES_WITHIN_DAYS,
) -> Reconciled:  # fmt: skip
    """history: of `allot export --what orders,steps,postings`. since, until: the first and the last day, in India's
    time, of what of ours is compared; None: all of it. Raises HistoryMissing."""
    moved = _moved(history, gateway)
    once, twice = _once(settlement.rows)
    period = _period(moved["stamp"].to_numpy(), since, until)
    last = settlement.settled_until or _last_day_of_ours(moved, once, period.within)
    due_until = None if last is None else last - timedelta(days=settles_within_days)
    summed = _summed(_ours(moved, period, due_until), once)
    code, is_other_day = _compared(summed)
    found = summed.select([*_KEYS, "ours", "theirs"]).append_column("day", _days(summed["last"]))
    found = found.add_column(0, "code", pa.array(code)).filter(pa.array(code >= 0))
    found = pa.concat_tables([found, twice])
    unmatched = found.filter(pc.not_equal(found["code"], RESULTS.index(MATCHED)))
    unmatched = unmatched.sort_by([("code", "ascending"), ("kind", "ascending"), ("reference", "ascending")])
    named = pa.array(RESULTS).take(unmatched["code"].combine_chunks())
    counts = _counts(found)
    return Reconciled(
        counts, unmatched.set_column(0, "result", named), settlement.others, int(is_other_day.sum()), due_until
    )


def _once(rows: pa.Table) -> tuple[pa.Table, pa.Table]:
    """The rows that were told before any other of their id, and those told again, as they are in Reconciled."""
    ids = rows["row_id"].combine_chunks().dictionary_encode()
    again = np.ones(len(ids), bool)
    again[np.unique(np.asarray(ids.indices), return_index=True)[1]] = False
    twice = rows.filter(pa.array(again))
    count = twice.num_rows
    return rows.filter(pa.array(~again)), pa.table({
        "code": np.full(count, RESULTS.index(TWICE)), **{name: twice[name] for name in _KEYS},
        "ours": pa.nulls(count, pa.int64()), "theirs": twice["amount"], "day": pa.nulls(count, pa.date32()),
    })  # fmt: skip


def _period(stamp: Any, since: date | None, until: date | None) -> _Period:
    before = stamp < (_NEVER if since is None else _begins(since))
    after = np.zeros(stamp.size, bool) if until is None else stamp >= _ends(until)
    return _Period(~(before | after), before, after)


def _last_day_of_ours(moved: pa.Table, theirs: pa.Table, within: Any) -> date | None:
    """Of those that the files name, or where they name none, of those in the period; None: there are none."""
    stamp = moved["stamp"].to_numpy()
    named = _bools(pc.is_in(moved["reference"], value_set=theirs["reference"].combine_chunks()))
    chosen = stamp[named] if named.any() else stamp[within]
    return _day(int(chosen.max())) if chosen.size else None


def _ours(moved: pa.Table, period: _Period, due_until: date | None) -> pa.Table:
    """What was booked in the period, which of it is not due, what was booked before and after it, and the moment of
    what was booked in it."""
    stamp, amount = moved["stamp"].to_numpy(), moved["amount"].to_numpy()
    early = period.within if due_until is None else period.within & (stamp >= _ends(due_until))
    table = moved.select(_KEYS).append_column("last", pa.array(np.where(period.within, stamp, _NEVER)))
    parts = {"ours": period.within, "early": early, "before": period.before, "after": period.after}
    for name, part in parts.items():
        table = table.append_column(name, pa.array(np.where(part, amount, 0)))
    return table.append_column("early_parts", pa.array(early.astype(np.int64)))


def _summed(ours: pa.Table, theirs: pa.Table) -> pa.Table:
    """By kind, reference and currency; null what one side does not have."""
    theirs = theirs.select([*_KEYS, "amount"]).rename_columns([*_KEYS, "theirs"])
    sums = ["ours", "early", "before", "after", "early_parts", "theirs"]
    both = pa.concat_tables([ours, theirs], promote_options="default")
    summed = both.group_by(_KEYS, use_threads=False).aggregate([("last", "max"), *((name, "sum") for name in sums)])
    return summed.rename_columns([*_KEYS, "last", *sums]).combine_chunks()


def _compared(summed: pa.Table) -> tuple[Any, Any]:
    """int64 [row] places in RESULTS, -1 for what is not told; bool [row] what was booked on other days only.

    Where a payment was booked in parts, some of them on other days, the files may hold these or not.
    """
    ours, early, early_parts, before, after, theirs, last = (
        summed[name].fill_null(0).to_numpy()
        for name in ("ours", "early", "early_parts", "before", "after", "theirs", "last")
    )
    is_ours, is_theirs = _bools(summed["ours"].is_valid()), theirs != 0  # 0: as a charge that failed afterwards
    elsewhere = is_ours & (last == _NEVER)
    matched, not_yet = np.zeros(ours.size, bool), np.zeros(ours.size, bool)
    for beyond in (np.zeros_like(ours), before, after, before + after):
        gap = ours + beyond - theirs
        matched |= gap == 0
        some_of_it = (early_parts > 1) & (gap * np.sign(early) > 0) & (np.abs(gap) < np.abs(early))
        not_yet |= (gap == early) | some_of_it
    nothing = elsewhere | (~is_theirs & (ours == 0))  # also of a refund that failed afterwards
    place = RESULTS.index
    code = np.select(
        [nothing, ~is_ours, ~is_theirs & (early == ours), ~is_theirs, matched, not_yet],
        [-1, place(MISSING_HERE), place(NOT_YET), place(MISSING_THERE), place(MATCHED), place(NOT_YET)],
        place(DIFFERS),
    )
    return code, elsewhere & is_theirs


def _counts(found: pa.Table) -> list[Count]:
    keys = ["code", "kind", "currency"]
    counted = found.group_by(keys).aggregate([("reference", "count"), ("ours", "sum"), ("theirs", "sum")])
    counted = counted.sort_by([(name, "ascending") for name in keys])
    return [
        Count(RESULTS[code], kind, currency, count, ours or 0, theirs or 0)
        for code, kind, currency, count, ours, theirs in zip(*(column.to_pylist() for column in counted), strict=True)
    ]


def _moved(history: Path, gateway: str) -> pa.Table:
    """kind, reference, currency, amount, stamp: of every capture and refund that the gateway carried out.

    amount: minor units, above 0 what was captured or given back. stamp: UTC us, when it was booked.
    """
    steps = read_history(history, "steps", ["number", "step", "how", "reference", "of_number"])
    postings = read_history(history, "postings", ["number", "account", "amount", "currency", "stamp"])
    step = pc.cast(steps["step"], pa.string())
    begun = steps.filter(pc.and_(pc.equal(step, "PAY"), pc.equal(pc.cast(steps["how"], pa.string()), gateway)))
    mine = np.unique(np.asarray(begun["number"]))
    number, of_number = np.asarray(steps["number"]), np.asarray(steps["of_number"].fill_null(0))
    told = np.asarray(steps["reference"].is_valid()) & np.isin(number, mine)
    at = np.flatnonzero(told)[::-1]
    named, last = np.unique(number[at], return_index=True)  # the last that was told
    reference = steps["reference"].take(pa.array(at[last])).combine_chunks()
    is_refund = np.asarray(pc.equal(step, "REFUND")) & np.isin(of_number, mine)
    refund, place = np.unique(number[is_refund], return_index=True)
    payment_of = of_number[is_refund][place]

    moved = postings.filter(pc.equal(pc.cast(postings["account"], pa.string()), "GATEWAY"))
    document, amount = np.asarray(moved["number"]), np.asarray(moved["amount"])
    back = np.isin(document, refund)
    is_mine = back | np.isin(document, mine)
    payment = document.copy()
    payment[back] = payment_of[np.searchsorted(refund, document[back])]
    payment, amount = payment[is_mine], np.where(back, -amount, amount)[is_mine]
    where = np.searchsorted(named, payment)
    known = (where < named.size) & (named[np.minimum(where, named.size - 1)] == payment) if named.size else payment < 0
    text = pc.if_else(pa.array(known), reference.take(pa.array(np.where(known, where, 0))) if named.size else "",
                      pc.cast(pa.array(payment), pa.string()))  # fmt: skip
    return pa.table({
        "kind": pa.array(["payment", "refund"]).take(pa.array(back[is_mine].astype(np.int8))), "reference": text,
        "currency": pc.cast(moved["currency"].filter(pa.array(is_mine)), pa.string()), "amount": amount,
        "stamp": np.asarray(moved["stamp"].cast(pa.int64()))[is_mine],
    })  # fmt: skip


def _begins(day: date) -> int:
    """UTC us of its midnight in India."""
    return (day.toordinal() - _EPOCH.toordinal()) * _DAY_US - _INDIA_US


def _ends(day: date) -> int:
    """UTC us of the midnight after it."""
    return _begins(day) + _DAY_US


def _day(moment: int) -> date:
    """In India. moment: UTC us."""
    return date.fromordinal(_EPOCH.toordinal() + (moment + _INDIA_US) // _DAY_US)


def _days(moments: pa.ChunkedArray) -> pa.Array:
    """date32 [row] in India. moments: UTC us, or _NEVER."""
    moment = moments.fill_null(_NEVER).to_numpy()
    return pa.array((moment + _INDIA_US) // _DAY_US, mask=moment == _NEVER).cast(pa.int32()).cast(pa.date32())


def _bools(mask: Any) -> Any:
    return np.asarray(mask)
