"""`allot reconcile`: a gateway's settlement against the ledger."""

from pathlib import Path
from typing import Annotated

import typer

from server.cli.output import BAD_USAGE, DONE, FOUND_WRONG, distinct_files, fail, say, show_json


def reconcile(
    history: Annotated[Path, typer.Argument(help="Folder that `allot export --what orders,steps,postings` wrote.")],
    settlement: Annotated[Path, typer.Option(help="CSV or Parquet: entity_id, type, amount, currency, payment_id.")],
    gateway: Annotated[str, typer.Option(help="Whose settlement it is.")],
    out: Annotated[Path | None, typer.Option(help="A CSV file for all that does not match.")] = None,
    json: Annotated[bool, typer.Option("--json", help="Print the counts as JSON.")] = False,
) -> None:
    """Match what a gateway settles with what the ledger says: exit code 1 where they differ.

    type: payment or refund; other rows are counted and left alone. amount: whole minor units.

    Example: allot reconcile history --settlement settled.csv --gateway razorpay
    """
    import pyarrow.compute as pc
    import pyarrow.csv

    from server.cli.answers import show_rows
    from server.papers.handed import HistoryMissing
    from server.reconcile import KINDS, RESULTS, SettlementError, read_settlement
    from server.reconcile import reconcile as match

    distinct_files({"out": out}, {"settlement": settlement})
    try:
        found = match(history, read_settlement(settlement), gateway)
    except OSError as error:
        fail(f"--settlement {settlement}: {error.strerror or error}", BAD_USAGE)
    except (SettlementError, HistoryMissing) as error:
        fail(str(error), BAD_USAGE)
    rows = [(kind, result, *found.count(kind, result)) for kind in KINDS for result in RESULTS]
    if json:
        counts = {f"{kind}s {result}": {"count": n, "ours": a, "theirs": b} for kind, result, n, a, b in rows}
        show_json({"clean": found.is_clean, "duplicates": found.duplicates, "others": found.others} | counts)
    else:
        shown = [row for row in rows if row[2]]
        show_rows(f"settlement of {gateway}, minor units", ("kind", "result", "count", "ours", "theirs"), shown)
        say(f"rows told twice: {found.duplicates:,}; neither payments nor refunds: {found.others:,}")
    if out is not None:
        pyarrow.csv.write_csv(found.table.filter(pc.not_equal(found.table["result"], "matched")), out)
    raise typer.Exit(DONE if found.is_clean else FOUND_WRONG)
