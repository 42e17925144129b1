"""`allot import amazon-report`: a marketplace's report into an orders file, what cannot be used into rejects."""

from contextlib import nullcontext
from pathlib import Path
from typing import Annotated

import typer

from server.cli.output import DONE, FOUND_WRONG, bar, distinct_files, say, show_json, show_table


def amazon_report(
    report: Annotated[Path, typer.Argument(help="The report: CSV or CSV.gz.")],
    orders: Annotated[Path, typer.Option(help="Where the orders go: CSV, CSV.gz or Parquet by name.")],
    rejects: Annotated[
        Path | None, typer.Option(help="Where rejected rows go, with row, column, value, reason.")
    ] = None,
    postal_codes: Annotated[
        Path | None, typer.Option(help="postal_code, latitude, longitude. [default: India's]", show_default=False)
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="Print the counts as JSON.")] = False,
) -> None:
    """Turn an Amazon India order report into an orders file for `allot allocate`.

    \b
    Example:
    allot import amazon-report report.csv.gz --orders orders.csv --rejects rejects.csv
    """
    from engine.intake.amazon import read_amazon_report, write_orders
    from engine.intake.postal_codes import Places
    from engine.intake.rejects import SCHEMA as REJECTS
    from engine.intake.table_writer import TableWriter

    distinct_files({"orders": orders, "rejects": rejects}, {"report": report, "postal-codes": postal_codes})
    with bar() as progress:
        progress.stage("reading")
        found = read_amazon_report(report, Places.read(postal_codes) if postal_codes else Places.india(progress.stage))
        with TableWriter(rejects, REJECTS) if rejects else nullcontext() as rejected:  # before the orders: both or none
            write_orders(orders, found)
            if rejected is not None:
                for batch in found.rejects.table().to_batches():
                    rejected.append(batch)
    result = {
        "rows": found.rows, "orders": len(found.order_id), "lines": len(found.sku), "rejected_rows": len(found.rejects),
        "rejects_by_reason": dict(found.rejects.counts()),
    }  # fmt: skip
    if json:
        show_json(result)
    else:
        rows = [(name.replace("_", " "), value) for name, value in result.items() if isinstance(value, int)]
        rows += [(f"  {reason.lower().replace('_', ' ')}", count) for reason, count in found.rejects.counts().items()]
        show_table(f"imported {report.name}", rows)
        say(f"orders: {orders}")
    raise typer.Exit(FOUND_WRONG if found.rejects else DONE)
