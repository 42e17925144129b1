"""A gateway's settlement against the ledger: matched, differing, missing on either side, told twice, not settled."""

import csv
import gzip
import random
from collections import Counter
from collections.abc import Iterable
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from engine.intake.tables import IntakeError
from kernels.life import PaymentFlag, Step
from server.reconcile import RESULTS, TOTAL_MAX, read_settlement, reconcile
from tests.command_line import Outcome, run
from tests.driving import COMPILED
from tests.living import GATEWAY, Life, X, pay, row

RAZORPAY = ("entity_id", "type", "amount", "currency", "payment_id", "settled_at")
STRIPE = ("balance_transaction_id", "reporting_category", "gross", "currency", "payment_intent_id", "charge_id")
NOON_IN_INDIA = timedelta(hours=6, minutes=30)


def settled(path: Path, *rows: Iterable[object], head: tuple[str, ...] = RAZORPAY) -> Path:
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([head[: len(tuple(rows[0]))] if rows else head, *rows])
    return path


def payment(reference: str, amount: object = 100, on: str = "", currency: str = "INR") -> tuple[object, ...]:
    """A row of Razorpay's. on: the day on which it was settled."""
    return reference, "payment", amount, currency, "", seconds(on)


def refund(entity: str, reference: str, amount: object = 100, on: str = "") -> tuple[object, ...]:
    return entity, "refund", amount, "INR", reference, seconds(on)


def seconds(day: str) -> str:
    return str(int(noon(day).timestamp())) if day else ""


def noon(day: str) -> datetime:
    """Of a day in India."""
    return datetime.fromisoformat(day).replace(tzinfo=UTC) + NOON_IN_INDIA


def booked(folder: Path, *rows: tuple[str, int, datetime | str], currency: str = "INR") -> Path:
    """A history as `allot export` writes it: a payment or, below 0, money given back of one; when it was booked."""
    numbers = {reference: at + 1 for at, reference in enumerate(dict.fromkeys(reference for reference, *_ in rows))}
    steps = [(number, "PAY", "gateway", None, None) for number in numbers.values()]
    steps += [(number, "CAPTURE", None, reference, None) for reference, number in numbers.items()]
    postings = []
    for at, (reference, amount, when) in enumerate(rows):
        number = numbers[reference]
        if amount < 0:
            steps.append((1000 + at, "REFUND", None, None, number))
            number = 1000 + at
        moment = when if isinstance(when, datetime) else noon(when)
        postings += [(number, "GATEWAY", amount, currency, moment), (number, "CUSTOMER", -amount, currency, moment)]
    folder.mkdir(exist_ok=True)
    word = pa.dictionary(pa.int32(), pa.string())
    texts = {"step": word, "how": word, "reference": pa.string(), "account": word, "currency": word}
    for name, head, table in (
        ("steps", ("number", "step", "how", "reference", "of_number"), steps),
        ("postings", ("number", "account", "amount", "currency", "stamp"), postings),
    ):
        types = texts | {"stamp": pa.timestamp("us", "UTC")}
        columns = [pa.array([one[i] for one in table], types.get(column, pa.int64())) for i, column in enumerate(head)]
        pq.write_table(pa.table(columns, head), folder / f"{name}.parquet")
    return folder


def match(history: Path, *arguments: object, files: Iterable[Path]) -> Outcome:
    settlements = [part for file in files for part in ("--settlement", file)]
    return run("reconcile", history, *settlements, "--gateway", "gateway", *arguments, "--json")


def results(found: Outcome) -> dict[str, int]:
    """How many came to each result."""
    assert found.err == ""
    counted: Counter[str] = Counter()
    for count in found.json["counts"]:
        counted[f"{count['kind']} {count['result']}"] += count["count"]
    return dict(counted)


# With an engine


@pytest.fixture(scope="module")
def history(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six payments of 10,000: `pay_3` is given back in two parts, `pay_5` has no reference, cash is nobody's."""
    if not COMPILED:
        pytest.skip("the engine's commands run compiled")
    folder = tmp_path_factory.mktemp("reconcile")
    life = Life(folder / "data", units=100)
    for at in range(6):
        life.place(f"o{at}", (X, 1, 10_000), method="CARD")
        life.steps(pay(f"p{at}", f"o{at}", flags=GATEWAY | PaymentFlag.SEVERAL))
        reference = "" if at == 5 else f"pay_{at}"
        life.step(Step.CAPTURE, f"p{at}", reference=reference, how="gateway" if reference else "")
    for amount in (1_000, 500):
        life.steps(row(Step.ASK_REFUND, order="o3", amount=amount))
    for number, *_ in life.refunds():
        life.step(Step.REFUND, "p3", number=number)
    life.close()
    assert run("export", "--data", folder / "data", "--out", folder / "history", "--json").code == 0
    return folder / "history"


WHOLE = [*(payment(f"pay_{at}", 10_000) for at in range(5)), refund("rfnd_1", "pay_3", 1_000),
         refund("rfnd_2", "pay_3", 500)]  # fmt: skip


def test_what_matches_and_what_does_not(history: Path, tmp_path: Path):
    rows = [payment("pay_1", 9_999), *WHOLE[2:], payment("pay_2", 10_000), payment("pay_9", 7),
            ("adj_1", "adjustment", 3, "INR", "", "")]  # fmt: skip
    file, out = settled(tmp_path / "settled.csv", *rows), tmp_path / "out.csv"
    found = match(history, "--settles-within", 0, "--out", out, files=[file])
    assert (found.code, found.json["clean"], found.json["others"]) == (1, False, {"adjustment": 1})
    assert results(found) == {
        "payment matched": 3, "payment amount differs": 1, "payment missing there": 2, "payment missing here": 1,
        "payment told twice": 1, "refund matched": 1,
    }  # fmt: skip
    differing = {"result": "amount differs", "kind": "payment", "currency": "INR"}
    assert differing | {"count": 1, "ours": 10_000, "theirs": 9_999} in found.json["counts"]
    (first, *_) = found.json["wrong"]
    assert first | {"day": ""} == differing | {"reference": "pay_1", "ours": 10_000, "theirs": 9_999, "day": ""}
    listed = {(line["reference"], line["result"]) for line in csv.DictReader(out.read_text().splitlines())}
    assert listed > {("pay_0", "missing there"), ("pay_1", "amount differs"), ("pay_2", "told twice")}


def test_a_settlement_of_nobody_we_know_is_missing_here(history: Path, tmp_path: Path):
    file = settled(tmp_path / "settled.csv", *WHOLE)
    found = run("reconcile", history, "--settlement", file, "--gateway", "another", "--json")
    assert (found.code, results(found)) == (1, {"payment missing here": 5, "refund missing here": 1})


def test_a_folder_that_is_no_history_is_refused(tmp_path: Path):
    found = match(tmp_path, files=[settled(tmp_path / "settled.csv", *WHOLE)])
    assert (found.code, "allot export" in found.err, "Traceback" in found.err) == (2, True, False)


# Days


def test_a_day_alone_is_clean_whatever_was_captured_on_others(tmp_path: Path):
    days = ("2026-11-08", "2026-11-09", "2026-11-10")
    history = booked(tmp_path / "history", *((f"pay_{day[-2:]}", 100, day) for day in days))
    file = settled(tmp_path / "a.csv", payment("pay_09", on="2026-11-11"), payment("pay_10", on="2026-11-11"))
    found = match(history, "--since", days[1], "--until", days[1], files=[file])
    assert (found.code, results(found), found.json["other_days"]) == (0, {"payment matched": 1}, 1)
    found = match(history, "--since", days[0], "--settles-within", 2, files=[file])
    assert (found.code, results(found)) == (1, {"payment matched": 2, "payment missing there": 1})


def test_the_days_are_those_of_india(tmp_path: Path):
    last = datetime(2026, 11, 10, 18, 29, 59, 999_999, UTC)
    moments = {"pay_1": last - timedelta(days=1), "pay_2": last, "pay_3": last + timedelta(microseconds=1)}
    history = booked(tmp_path / "history", *((name, 100, at) for name, at in moments.items()))
    file = settled(tmp_path / "a.csv", payment("pay_1"))
    for since, until, names in (
        ("2026-11-10", "2026-11-10", {"pay_2"}), ("2026-11-09", "2026-11-09", set()),
        ("2026-11-11", "2026-11-11", {"pay_3"}), ("2026-11-09", "2026-11-11", {"pay_2", "pay_3"}),
    ):  # fmt: skip
        out = tmp_path / "out.csv"
        match(history, "--since", since, "--until", until, "--out", out, files=[file])
        lines = list(csv.DictReader(out.read_text().splitlines()))
        assert {line["reference"] for line in lines} == names
        assert all(since <= line["day"] <= until for line in lines)


def test_what_may_still_be_settled_is_not_missing(tmp_path: Path):
    history = booked(tmp_path / "history", ("pay_1", 100, "2026-11-07"), ("pay_2", 100, "2026-11-08"),
                     ("pay_3", 100, "2026-11-12"), ("pay_4", 100, "2026-11-06"))  # fmt: skip
    file = settled(tmp_path / "a.csv", payment("pay_4", on="2026-11-10"), payment("pay_1", on="2026-11-10"))
    found = match(history, files=[file])
    assert (found.code, results(found)) == (0, {"payment matched": 2, "payment not settled yet": 2})
    assert (found.json["due_until"], found.json["wrong"]) == ("2026-11-07", [])
    found = match(history, "--settles-within", 2, files=[file])
    assert (found.code, found.json["due_until"]) == (1, "2026-11-08")
    assert [(one["reference"], one["result"], one["day"]) for one in found.json["wrong"]] == [
        ("pay_2", "missing there", "2026-11-08")
    ]


def test_a_file_of_a_later_day_tells_what_is_late_from_what_is_missing(tmp_path: Path):
    history = booked(tmp_path / "history", ("pay_1", 100, "2026-11-07"), ("pay_2", 100, "2026-11-10"))
    first = settled(tmp_path / "a.csv", payment("pay_1", on="2026-11-09"))
    second = settled(tmp_path / "b.csv", ("adj_1", "adjustment", 1, "INR", "", seconds("2026-11-13")))
    assert results(match(history, files=[first])) == {"payment matched": 1, "payment not settled yet": 1}
    assert results(match(history, files=[first, second])) == {"payment matched": 1, "payment missing there": 1}


def test_files_that_do_not_say_when_they_settle_cover_the_days_of_what_they_name(tmp_path: Path):
    history = booked(tmp_path / "history", ("pay_1", 100, "2026-11-06"), ("pay_2", 100, "2026-11-07"),
                     ("pay_3", 100, "2026-11-10"))  # fmt: skip
    found = match(history, files=[settled(tmp_path / "a.csv", payment("pay_3"))])
    assert (found.json["due_until"], results(found)["payment missing there"]) == ("2026-11-07", 2)
    found = match(history, files=[settled(tmp_path / "a.csv", payment("pay_2"))])
    assert (found.json["due_until"], results(found)) == (
        "2026-11-04", {"payment matched": 1, "payment not settled yet": 2}
    )  # fmt: skip
    found = match(history, files=[settled(tmp_path / "a.csv")])  # they name none
    assert (found.json["due_until"], results(found)) == (
        "2026-11-07", {"payment missing there": 2, "payment not settled yet": 1}
    )  # fmt: skip


@pytest.mark.parametrize("text", ["2026-11-10", "2026-11-10 18:29:59", "2026-11-10T23:59:59+05:30", "1794313800"])
def test_when_a_row_was_settled_is_told_in_seconds_or_as_a_time(tmp_path: Path, text: str):
    file = settled(tmp_path / "a.csv", (*payment("pay_1")[:-1], text))
    assert read_settlement([file]).settled_until == date(2026, 11, 10)


def test_what_is_given_back_in_parts_may_be_settled_in_parts(tmp_path: Path):
    history = booked(tmp_path / "history", ("pay_1", 100, "2026-11-01"), ("pay_1", -30, "2026-11-05"),
                     ("pay_1", -20, "2026-11-10"), ("pay_1", -5, "2026-11-10"))  # fmt: skip
    rows = [payment("pay_1", on="2026-11-10"), refund("rfnd_1", "pay_1", 30), refund("rfnd_2", "pay_1", 20)]
    for settled_rows, period, result in (
        (rows[:2], (), "not settled yet"), (rows, (), "not settled yet"), (rows[:1], (), "missing there"),
        ([rows[0], rows[2]], (), "amount differs"),
        (rows[:2], ("--until", "2026-11-05"), "matched"),  # the rest was booked after the period
        (rows, ("--since", "2026-11-06"), "not settled yet"),  # the first before it
        ([*rows, refund("rfnd_3", "pay_1", 5)], ("--since", "2026-11-06"), "matched"),
        ([*rows, refund("rfnd_3", "pay_1", 5)], ("--until", "2026-11-05"), "matched"),
        ([*rows, refund("rfnd_3", "pay_1", 6)], (), "amount differs"),
    ):  # fmt: skip
        found = match(history, *period, files=[settled(tmp_path / "a.csv", *settled_rows)])
        assert f"refund {result}" in results(found), (len(settled_rows), period)
        assert found.code == (result in ("missing there", "amount differs"))


def test_a_refund_that_failed_after_it_was_done_is_not_asked_for(tmp_path: Path):
    history = booked(tmp_path / "history", ("pay_1", 100, "2026-11-01"), ("pay_1", -30, "2026-11-02"))
    postings = pq.read_table(history / "postings.parquet")
    back = postings.filter(pa.compute.equal(postings["amount"], -30))
    back = back.set_column(2, "amount", pa.array([30]))
    pq.write_table(pa.concat_tables([postings, back], promote_options="permissive"), history / "postings.parquet")
    rows = [payment("pay_1", on="2026-11-20"), refund("rfnd_1", "pay_1", 30)]
    found = match(history, files=[settled(tmp_path / "a.csv", *rows[:1])])
    assert (found.code, results(found)) == (0, {"payment matched": 1})
    found = match(history, files=[settled(tmp_path / "a.csv", *rows)])
    assert (found.code, results(found)) == (1, {"payment matched": 1, "refund amount differs": 1})


def test_random_days_come_to_what_a_plain_look_says(tmp_path: Path):
    chance, first = random.Random(7), date(2026, 11, 1)
    ours = {f"pay_{at}": (chance.randint(1, 3), chance.randrange(20)) for at in range(300)}
    theirs = {f"pay_{at}": chance.randint(1, 3) for at in range(330) if chance.random() < 0.7}
    days = {at: str(first + timedelta(days=at)) for at in range(21)}
    history = booked(tmp_path / "history", *((name, amount, days[day]) for name, (amount, day) in ours.items()))
    rows = [payment(name, amount, on=days[18]) for name, amount in theirs.items()]
    since, until, within = 5, 16, 4
    expected: Counter[str] = Counter()
    for name in ours.keys() | theirs.keys():
        amount, day = ours.get(name, (0, since))
        if since <= day <= until:
            there = "not settled yet" if day + within > 18 else "missing there"
            said = "matched" if theirs.get(name) == amount else "amount differs" if amount else "missing here"
            expected[f"payment {said if name in theirs else there}"] += 1
    period = ("--since", days[since], "--until", days[until], "--settles-within", within)
    found = match(history, *period, files=[settled(tmp_path / "a.csv", *rows)])
    assert results(found) == dict(expected)
    assert set(expected) == {f"payment {result}" for result in RESULTS if result != "told twice"}


# Rows


def test_a_row_that_is_told_on_two_days_is_told_twice(tmp_path: Path):
    history = booked(tmp_path / "history", ("pay_1", 100, "2026-11-01"), ("pay_2", 100, "2026-11-01"))
    files = [
        settled(tmp_path / "a.csv", payment("pay_1"), payment("pay_2")),
        settled(tmp_path / "b.csv", payment("pay_2")),
    ]
    assert match(history, files=files[:1]).code == 0
    found = match(history, files=files)
    assert (found.code, results(found)) == (1, {"payment matched": 2, "payment told twice": 1})
    assert [(one["reference"], one["ours"], one["theirs"]) for one in found.json["wrong"]] == [("pay_2", None, 100)]


@pytest.mark.parametrize(
    ("row", "place"),
    [
        (("", "payment", 100, "INR", ""), "row 2, entity_id '': it is blank"),
        (("  ", "payment", 100, "INR", ""), "row 2, entity_id '': it is blank"),
        (("rfnd_1", "refund", 100, "INR", ""), "row 2, payment_id '': it is blank: give the payment"),
        (("pay_2", "", 100, "INR", ""), "row 2, type '': it is blank"),
        (("pay_2", "payment", "", "INR", ""), "row 2, amount '': give whole minor units"),
        (("pay_2", "payment", "1.50", "INR", ""), "row 2, amount '1.50': give whole minor units"),
        (("pay_2", "payment", -1, "INR", ""), "row 2, amount '-1': give whole minor units, from 0"),
        (("pay_2", "payment", "1" + 15 * "0" + "1", "INR", ""), "row 2, amount '10000000000000001': give whole"),
        (("pay_2", "payment", 10**30, "INR", ""), "row 2, amount '1000"),
        (("pay_2", "payment", 100, "", ""), "row 2, currency '': give three letters"),
        (("pay_2", "payment", 100, "RUPEES", ""), "row 2, currency 'RUPEES': give three letters"),
        (("pay_2", "payment", 100, "INR", "", "11/10/2026"), "row 2, settled_at '11/10/2026': give seconds"),
        (("pay_2", "payment", 100, "INR", "", "0001-01-01"), "row 2, settled_at '0001-01-01': give seconds"),
        (("pay_2", "payment", 100, "INR", "", "9999-12-31T23:00:00Z"), "row 2, settled_at '9999-12-31"),
        (("pay_2", "payment", 100, "INR", "", 1794313800000), "row 2, settled_at '1794313800000': give seconds"),
        (("pay_2", "payment", 100), "row 2 has more or fewer cells"),
    ],
)  # fmt: skip
def test_what_is_wrong_in_a_row_is_told_with_its_place(tmp_path: Path, row: tuple[object, ...], place: str):
    file = settled(tmp_path / "a.csv", payment("pay_1")[: len(row) if len(row) > 4 else 5], row)
    with pytest.raises(IntakeError) as told:
        read_settlement([file])
    assert str(told.value).startswith(f"{file}: {place}")
    found = match(tmp_path, files=[file])
    assert (found.code, found.err) == (2, f"allot: {told.value}\n")


def test_a_row_that_is_neither_payment_nor_refund_may_have_blanks(tmp_path: Path):
    rows = [("", "Fee", "", "", "", ""), ("adj_1", "adjustment", -5, "", "", ""), payment("pay_1"),
            ("", "fee", "", "", "", "")]  # fmt: skip
    found = read_settlement([settled(tmp_path / "a.csv", *rows)])
    assert (found.others, found.rows["reference"].to_pylist()) == ({"adjustment": 1, "fee": 2}, ["pay_1"])


def test_amounts_that_sum_beyond_64_bits_are_refused(tmp_path: Path):
    count = TOTAL_MAX // 10**15 + 1
    file = settled(tmp_path / "a.csv", *(payment("pay_1" if at else "pay_0", 10**15) for at in range(count)))
    with pytest.raises(IntakeError, match=f"the amounts sum to {count * 10**15:,} minor units.*check them"):
        read_settlement([file])
    assert read_settlement([settled(tmp_path / "b.csv", payment("pay_1", 10**15))]).rows["amount"].to_pylist() == [
        10**15
    ]


def test_a_head_that_is_nobodys_is_refused(tmp_path: Path):
    for head, cells, named in (
        (RAZORPAY[1:5], ("payment", 1, "INR", ""), "column entity_id is missing"),
        (RAZORPAY[:2], ("pay_1", "payment"), "column amount, currency is missing"),
        (RAZORPAY[:4], ("rfnd_1", "refund", 1, "INR"), "column payment_id is missing"),
        (STRIPE[:4], ("txn_1", "charge", 1, "inr"), "column payment_intent_id is missing"),
        (STRIPE[1:], ("charge", 1, "inr", "pi_1", ""), "column balance_transaction_id is missing"),
        (("entity_id;type;amount;currency",), ("a;b;1;c",), "separated by semicolons"),
        ((*RAZORPAY[:4], "amount"), ("pay_1", "payment", 1, "INR", 2), "column amount is there twice"),
    ):
        with pytest.raises(IntakeError, match=named):
            read_settlement([settled(tmp_path / "a.csv", cells, head=head)])
    with pytest.raises(IntakeError, match=r"give the columns of Razorpay \(entity_id.*or of Stripe \(balance_"):
        read_settlement([settled(tmp_path / "a.csv", ("pay_1",), head=("id",))])


# Files


def test_marks_line_ends_and_compression_of_a_file_do_not_matter(tmp_path: Path):
    text = (
        'entity_id,type,amount,currency,notes\r\npay_1, Payment ,100,inr,"two\r\nlines"\r\n\r\npay_2,payment,5,INR,\r\n'
    )
    for name, content in (
        ("a.csv", text.encode("utf-8-sig")), ("b.csv", text.replace("\r\n", "\n").encode()),
        ("c.csv.gz", gzip.compress(text.encode())), ("d.csv", text.replace("two", "zw\xf6i").encode("latin-1")),
    ):  # fmt: skip
        (tmp_path / name).write_bytes(content)
        found = read_settlement([tmp_path / name]).rows.select(["reference", "currency", "amount"]).to_pydict()
        assert found == {"reference": ["pay_1", "pay_2"], "currency": ["INR", "INR"], "amount": [100, 5]}, name


def test_files_that_cannot_be_read_are_refused(tmp_path: Path):
    for name, content, named in (
        ("empty.csv", b"", "the file is empty"),
        ("latin.csv", b"entity_id,type,amount,currency\npay_\xf6,payment,1,INR\n", "row 1 is not UTF-8"),
        ("junk.parquet", b"junk", "not a whole Parquet file"), ("settled.txt", b"", "must end in .csv"),
    ):  # fmt: skip
        (tmp_path / name).write_bytes(content)
        found = match(tmp_path, files=[tmp_path / name])
        assert (found.code, "Traceback" in found.err) == (2, False)
        assert found.err.startswith(f"allot: {tmp_path / name}: ")
        assert named in found.err
    for where in (tmp_path / "missing.csv", tmp_path):
        assert match(tmp_path, files=[where]).code == 2


def test_a_day_without_rows_is_a_day(tmp_path: Path):
    history = booked(tmp_path / "history", ("pay_1", 100, "2026-11-01"))
    for head in (RAZORPAY, STRIPE):
        found = match(history, files=[settled(tmp_path / "a.csv", head=head)])
        assert (found.code, results(found)) == (0, {"payment not settled yet": 1})
    found = match(history, "--since", "2026-11-02", files=[settled(tmp_path / "a.csv")])
    assert (found.code, results(found), found.json["due_until"]) == (0, {}, None)


def test_parquet_may_have_other_types(tmp_path: Path):
    texts = pa.array(["pay_1", "rfnd_1"])
    for kind, amount in (
        (pa.int32(), [100, 30]), (pa.uint64(), [100, 30]), (pa.decimal128(18, 0), [Decimal(100), Decimal(30)]),
        (pa.float64(), [100.0, 30.0]), (pa.string(), ["100", "30"]),
    ):  # fmt: skip
        table = pa.table({
            "entity_id": texts.dictionary_encode(), "type": pa.array(["payment", "refund"], pa.large_string()),
            "amount": pa.array(amount, kind), "currency": pa.array(["INR", "INR"]).dictionary_encode(),
            "payment_id": pa.array([None, "pay_1"]), "settled_at": pa.array([1.7e9, None]),
        })  # fmt: skip
        pq.write_table(table, tmp_path / "a.parquet")
        found = read_settlement([tmp_path / "a.parquet"])
        assert found.rows["amount"].to_pylist() == [100, 30]
        assert (found.rows["reference"].to_pylist(), found.settled_until) == (["pay_1", "pay_1"], date(2023, 11, 15))


# Stripe


def test_a_report_of_stripes_is_matched_as_it_is(tmp_path: Path):
    history = booked(tmp_path / "history", ("pi_1", 1_050, "2026-11-01"), ("pi_1", -250, "2026-11-02"),
                     ("pi_2", 700, "2026-11-01"), ("ch_3", 100, "2026-11-01"))  # fmt: skip
    head = (*STRIPE, "automatic_payout_effective_at_utc", "customer_facing_amount", "customer_facing_currency")
    rows = [
        ("txn_1", "charge", "10.50", "inr", "pi_1", "ch_1", "2026-11-04 00:00:00", "10.50", "inr"),
        ("txn_2", "refund", "-2.50", "inr", "pi_1", "ch_1", "", "-2.50", "inr"),
        ("txn_3", "charge", "9.00", "inr", "pi_2", "ch_2", "", "9.00", "inr"),
        ("txn_4", "partial_capture_reversal", "-2.00", "inr", "pi_2", "ch_2", "", "-2.00", "inr"),
        ("txn_5", "charge", "1.00", "inr", "", "ch_3", "", "1.00", "inr"),
        ("txn_6", "charge", "5.00", "inr", "pi_4", "ch_4", "", "5.00", "inr"),
        ("txn_7", "charge_failure", "-5.00", "inr", "pi_4", "ch_4", "", "5.00", "inr"),
        ("txn_8", "fee", "-1.00", "inr", "", "", "", "", ""),
        ("txn_9", "payout", "-10.00", "inr", "", "", "", "", ""),
    ]
    file = settled(tmp_path / "report.csv", *rows, head=head)
    found = match(history, files=[file])
    assert (found.code, results(found)) == (0, {"payment matched": 3, "refund matched": 1})
    assert (found.json["others"], found.json["due_until"]) == ({"fee": 1, "payout": 1}, "2026-11-01")
    found = match(history, files=[file, file])
    assert (found.code, results(found)) == (
        1, {"payment matched": 3, "refund matched": 1, "payment told twice": 6, "refund told twice": 1},
    )  # fmt: skip


def test_a_refund_that_stripe_took_back_was_not_given_back(tmp_path: Path):
    history = booked(tmp_path / "history", ("pi_1", 100, "2026-11-01"), ("pi_1", -40, "2026-11-02"))
    rows = [("txn_1", "charge", "1.00", "inr", "pi_1", ""), ("txn_2", "refund", "-0.40", "inr", "pi_1", ""),
            ("txn_3", "refund_failure", "0.40", "inr", "pi_1", "")]  # fmt: skip
    assert match(history, files=[settled(tmp_path / "a.csv", *rows[:2], head=STRIPE)]).code == 0
    found = match(history, "--settles-within", 0, files=[settled(tmp_path / "a.csv", *rows, head=STRIPE)])
    assert (found.code, results(found)) == (1, {"payment matched": 1, "refund missing there": 1})


@pytest.mark.parametrize(
    ("currency", "gross", "amount"),
    [
        ("inr", "12.50", 1_250), ("usd", "0.1", 10), ("usd", "7", 700), ("usd", "12.5000", 1_250), ("eur", "5.", 500),
        ("jpy", "500", 500), ("jpy", "500.00", 500), ("ugx", "5.00", 500), ("kwd", "1.234", 1_234), ("bhd", "2", 2_000),
        ("inr", "9007199254740.93", 900_719_925_474_093), ("inr", "-3.07", -307),
    ],
)  # fmt: skip
def test_major_units_become_minor_units_exactly(tmp_path: Path, currency: str, gross: str, amount: int):
    file = settled(tmp_path / "a.csv", ("txn_1", "charge", gross, currency, "pi_1", ""), head=STRIPE)
    (row,) = read_settlement([file]).rows.to_pylist()
    assert (row["amount"], row["currency"]) == (amount, currency.upper())


@pytest.mark.parametrize("gross", ["1.005", "1,50", "1e3", "", "10000000000000.01", 17 * "9", "+1", "١"])
def test_major_units_that_cannot_be_told_exactly_are_refused(tmp_path: Path, gross: str):
    file = settled(tmp_path / "a.csv", ("txn_1", "charge", gross, "inr", "pi_1", ""), head=STRIPE)
    with pytest.raises(IntakeError, match=r"row 1, gross '.*': give units of its currency as 12.50"):
        read_settlement([file])


def test_what_stripe_has_changed_into_another_currency_counts_as_the_customer_saw_it(tmp_path: Path):
    head = (*STRIPE, "customer_facing_amount", "customer_facing_currency")
    rows = [("txn_1", "charge", "850.00", "inr", "pi_1", "", "10.00", "usd"),
            ("txn_2", "refund", "-84.00", "inr", "pi_1", "", "1.00", "usd"),
            ("txn_3", "charge", "1.00", "inr", "pi_2", "", "", "")]  # fmt: skip
    found = read_settlement([settled(tmp_path / "a.csv", *rows, head=head)]).rows
    told = list(zip(*(found[name].to_pylist() for name in ("kind", "currency", "amount")), strict=True))
    assert told == [("payment", "USD", 1_000), ("refund", "USD", 100), ("payment", "INR", 100)]


# What is told


def test_counts_come_first_and_then_the_first_rows_that_are_wrong(tmp_path: Path):
    history = booked(tmp_path / "history", ("pay_1", 100, "2026-11-01"), ("pay_2", 100, "2026-11-30"))
    rows = [payment("pay_1", on="2026-11-10"), *(payment(f"pay_x{at:02}", at) for at in range(30)),
            ("", "fee", 1, "", "", "")]  # fmt: skip
    file = settled(tmp_path / "a.csv", *rows)
    asked = ("reconcile", history, "--settlement", file, "--gateway", "gateway")
    found = run(*asked)
    assert (found.code, found.err) == (1, "")
    places = [found.out.index(words) for words in (
        "settlement of gateway, minor units", "matched", "missing here", "not settled yet",
        "should be settled by now: what was booked until 2026-11-07", "1 fee", "the first 20 of 29; --out FILE has all",
        "pay_x01", "pay_x20",
    )]  # fmt: skip
    assert places == sorted(places)
    assert "pay_x21" not in found.out
    assert "pay_2 " not in found.out
    for out in (tmp_path / "out.csv", tmp_path / "out.parquet"):
        found = run(*asked, "--out", out)
        assert f"{out} has all" in " ".join(found.out.split())
        lines = (
            pq.read_table(out).to_pylist()
            if out.suffix == ".parquet"
            else [*csv.DictReader(out.read_text().splitlines())]
        )
        assert (len(lines), [*lines[0]]) == (30, ["result", "kind", "reference", "currency", "ours", "theirs", "day"])
        assert (lines[-1]["result"], str(lines[-1]["day"])) == ("not settled yet", "2026-11-30")
    assert run(*asked, "--json").json["wrong_left_out"] == 9


def test_only_some_kinds_of_other_rows_are_named(tmp_path: Path):
    rows = [("", f"kind_{at:02}", "", "", "", "") for at in range(12)]
    history = booked(tmp_path / "history", ("pay_1", 100, "2026-11-01"))
    found = run("reconcile", history, "--settlement", settled(tmp_path / "a.csv", *rows), "--gateway", "gateway")
    assert "1 kind_09 and 2 kinds more" in found.out


def test_currencies_are_counted_apart(tmp_path: Path):
    history = booked(tmp_path / "history", ("pay_1", 100, "2026-11-01"))
    found = match(history, files=[settled(tmp_path / "a.csv", payment("pay_1"), payment("pay_1x", 7, currency="USD"))])
    assert [(one["result"], one["currency"], one["theirs"]) for one in found.json["counts"]] == [
        ("matched", "INR", 100), ("missing here", "USD", 7)
    ]  # fmt: skip


def test_usage_that_cannot_be_is_refused(tmp_path: Path):
    history = booked(tmp_path / "history", ("pay_1", 100, "2026-11-01"))
    file = settled(tmp_path / "a.csv", payment("pay_1"))
    refused: list[tuple[tuple[Any, ...], str]] = [
        (("--since", "2026-11-02", "--until", "2026-11-01"), "--since 2026-11-02 is after --until 2026-11-01"),
        (("--since", "02/11/2026"), "--since"), (("--settles-within", -1), "--settles-within"),
        (("--out", file), "would overwrite --settlement"),
        (("--out", tmp_path / "no" / "out.csv"), "cannot be written"),
        (("--out", tmp_path / "out.xls"), "must end in .csv"),
    ]  # fmt: skip
    for arguments, named in refused:
        found = match(history, *arguments, files=[file])
        assert (found.code, "Traceback" in found.err) == (2, False)
        assert named in " ".join(found.err.split())
    assert file.read_text().count("pay_1") == 1
    assert match(history, "--since", "0001-01-01", "--until", "9999-12-31", files=[file]).code == 0


def test_the_defaults_of_the_command_are_those_of_the_function(tmp_path: Path):
    history = booked(tmp_path / "history", ("pay_1", 100, "2026-11-01"), ("pay_2", 100, "2026-11-04"))
    file = settled(tmp_path / "a.csv", payment("pay_2"))
    found = reconcile(history, read_settlement([file]), "gateway")
    assert (str(found.due_until), found.is_clean) == (match(history, files=[file]).json["due_until"], False)
