"""`allot reconcile`: a gateway's settlement against the ledger."""

from dataclasses import asdict
from datetime import date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from server.cli.output import BAD_USAGE, DONE, FOUND_WRONG, distinct_files, fail, say, show_json

if TYPE_CHECKING:
    from server.reconcile import Reconciled

SHOWN_ROWS_MAX = 20
SHOWN_KINDS_MAX = 10  # of rows that are neither payments nor refunds
_DAY = ["%Y-%m-%d"]


def reconcile(
    history: Annotated[Path, typer.Argument(help="Folder that `allot export --what orders,steps,postings` wrote.")],
    settlement: Annotated[
        list[Path], typer.Option(metavar="FILE", help="CSV or Parquet; once for each file, as of several days.")
    ],
    gateway: Annotated[str, typer.Option(help="Whose settlement it is.")],
    since: Annotated[
        datetime | None, typer.Option(metavar="DAY", formats=_DAY, help="The first day to compare, in India's time.")
    ] = None,
    until: Annotated[
        datetime | None, typer.Option(metavar="DAY", formats=_DAY, help="The last day to compare, in India's time.")
    ] = None,
    settles_within: Annotated[
        int, typer.Option(metavar="DAYS", min=0, max=365, help="Days after which the gateway has settled.")
    ] = 3,
    out: Annotated[
        Path | None, typer.Option(metavar="FILE", help="A CSV or Parquet file for all that does not match.")
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="Print counts and the first rows as JSON.")] = False,
) -> None:
    """Match what a gateway settles with what the ledger says: exit code 1 where they differ.

    Takes Razorpay's columns (entity_id, type, amount, currency, payment_id, settled_at; minor units) and those of
    Stripe's itemised reports (balance_transaction_id, reporting_category, gross, currency, payment_intent_id,
    automatic_payout_effective_at). Rows that are neither payments nor refunds are counted and left alone.

    --since and --until choose by the day on which a capture or refund was booked here. Give the files of the days after
    it too. What no file has is "missing there" where it was booked --settles-within days before the last day that the
    files settle, or earlier; else it is "not settled yet", which is nothing wrong.

    Example: allot reconcile history --settlement settled.csv --gateway razorpay
    """
    from engine.intake.table_writer import TableWriter
    from server.papers.handed import HistoryMissing
    from server.reconcile import read_settlement
    from server.reconcile import reconcile as match

    first, last = (None if day is None else day.date() for day in (since, until))
    if first and last and first > last:
        fail(f"--since {first} is after --until {last}: give the first day and the last", BAD_USAGE)
    distinct_files({"out": out}, {f"settlement {path}": path for path in settlement})
    try:
        found = match(
            history, read_settlement(settlement), gateway, since=first, until=last, settles_within_days=settles_within
        )
    except HistoryMissing as error:
        fail(str(error), BAD_USAGE)
    if out is not None:
        with TableWriter(out, found.unmatched.schema) as file:
            for batch in found.unmatched.to_batches():
                file.append(batch)
    if json:
        _print_json(found)
    else:
        _print(found, f"settlement of {gateway}{_days(first, last)}, minor units", out)
    raise typer.Exit(DONE if found.is_clean else FOUND_WRONG)


def _days(first: date | None, last: date | None) -> str:
    return (f" since {first}" if first else "") + (f" until {last}" if last else "")


def _print_json(found: "Reconciled") -> None:
    wrong = found.wrong
    rows = [row | {"day": row["day"] and str(row["day"])} for row in wrong.slice(0, SHOWN_ROWS_MAX).to_pylist()]
    show_json({
        "clean": found.is_clean, "counts": [asdict(count) for count in found.counts],
        "due_until": found.due_until and str(found.due_until), "other_days": found.other_days, "others": found.others,
        "wrong": rows, "wrong_left_out": wrong.num_rows - len(rows),
    })  # fmt: skip


def _print(found: "Reconciled", title: str, out: Path | None) -> None:
    from server.cli.answers import show_rows

    counts = [(one.result, one.kind, one.currency, one.count, one.ours, one.theirs) for one in found.counts]
    show_rows(title, ("result", "kind", "currency", "count", "ours", "theirs"), counts)
    if found.due_until is not None:
        say(f"should be settled by now: what was booked until {found.due_until}")
    if found.other_days:
        say(f"left alone, as they were booked on other days: {found.other_days:,}")
    if found.others:
        shown = [f"{count:,} {kind}" for kind, count in list(found.others.items())[:SHOWN_KINDS_MAX]]
        more = f" and {left:,} kinds more" if (left := len(found.others) - len(shown)) else ""
        say(f"left alone, as they are neither payments nor refunds: {', '.join(shown)}{more}")
    wrong = found.wrong
    if wrong.num_rows:
        of = f"the first {SHOWN_ROWS_MAX} of {wrong.num_rows:,}" if wrong.num_rows > SHOWN_ROWS_MAX else "all of it"
        where = f"; {out} has all" if out else "; --out FILE has all" if wrong.num_rows > SHOWN_ROWS_MAX else ""
        rows = [tuple(row.values()) for row in wrong.slice(0, SHOWN_ROWS_MAX).to_pylist()]
        show_rows(f"wrong, {of}{where}", tuple(wrong.column_names), rows)
