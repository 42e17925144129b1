"""`allot stock`: stock of a running server: what arrives, what is counted, what is expected, what is there."""

import time
from collections.abc import Callable
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from typing import Annotated, Any

import typer

from server.cli.connection import DEFAULT_SERVER, Ca, Json, RequestId, Server, TokenFile, connected
from server.cli.output import BAD_USAGE, bar, fail, say, show_json

app = typer.Typer(help="Stock of a running server.", no_args_is_help=True, rich_markup_mode=None)
ROWS_MAX = 50_000  # of a request
FIGURES = ("on_hand", "available", "allocated", "reserved", "unavailable", "safety_stock", "picked", "deficit")
ALWAYS = ("on_hand", "available")  # shown where they are 0, too
Sku = Annotated[str, typer.Argument(help="The SKU.")]
Node = Annotated[str, typer.Argument(help="The node.")]
Units = Annotated[int | None, typer.Argument(help="Units.", min=0)]
File = Annotated[
    Path | None, typer.Option(help="Many rows instead: CSV, CSV.gz or Parquet with sku, node_id, quantity or on_hand.")
]
Rows = list[tuple[str, str, int]]
SupplyRow = tuple[str, str, int, int, int]  # SKU, node, units, UTC us, reference


@app.command("receive")
def receive(
    sku: Sku = "",
    node_id: Node = "",
    units: Units = None,
    file: File = None,
    reference: Annotated[int, typer.Option(help="What they came by: a number of yours.", min=0)] = 0,
    request_id: RequestId = "",
    server: Server = DEFAULT_SERVER,
    token_file: TokenFile = None,
    ca: Ca = None,
    json: Json = False,
) -> None:
    """Take in units that arrived. Back-orders are served first.

    Example: allot stock receive SKU-1 BLR 10
    """
    rows = _rows(sku, node_id, units, file)
    with connected(server, token_file, ca) as client:
        found = _in_pieces(
            rows, request_id, lambda piece, id: client.receive_stock(piece, reference=reference, request_id=id)
        )
    _show_change("received", rows, found, json)


@app.command("count")
def count(
    source: Annotated[str, typer.Option(help="Who counted. Of one source, the latest count holds.")],
    sku: Sku = "",
    node_id: Node = "",
    units: Units = None,
    file: File = None,
    counted_at: Annotated[
        str, typer.Option(help="When, as 2026-01-31T18:30:00+05:30. [default: now; of a file, when it was changed]")
    ] = "",
    request_id: RequestId = "",
    server: Server = DEFAULT_SERVER,
    token_file: TokenFile = None,
    ca: Ca = None,
    json: Json = False,
) -> None:
    """Say what is on hand.

    Example: allot stock count SKU-1 BLR 8 --source stocktake
    """
    rows, moment = _rows(sku, node_id, units, file), _moment(counted_at, file)
    with connected(server, token_file, ca) as client:
        found = _in_pieces(
            rows, request_id,
            lambda piece, id: client.count_stock(piece, source=source, counted_at=moment, request_id=id),
        )  # fmt: skip
    _show_change("counted", rows, found, json)


def _moment(text: str, file: Path | None) -> int:
    if not text:
        return (file.stat().st_mtime_ns if file else time.time_ns()) // 1000
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        moment = None
    if moment is None or moment.tzinfo is None:
        fail(f"--counted-at {text}: give a time with its zone, such as 2026-01-31T18:30:00+05:30", BAD_USAGE)
    from allot_client.requests import micros

    return micros(moment, "--counted-at")


def _rows(sku: str, node_id: str, units: int | None, file: Path | None) -> Rows:
    if file is None:
        if not sku or not node_id or units is None:
            fail("give SKU NODE UNITS, or --file FILE", BAD_USAGE)
        return [(sku, node_id, units)]
    if sku:
        fail(f"{sku} and --file {file}: give one of them", BAD_USAGE)
    from engine.intake.tables import IntakeError, need_rows, read_table

    table = read_table(file, ("sku", "node_id"), ("quantity", "on_hand"))
    need_rows(table)
    there = [name for name in ("quantity", "on_hand") if name in table.columns]
    if len(there) != 1:
        raise IntakeError(f"{file}: must have the column quantity or on_hand, and not both")
    texts = [table.columns[name].to_pylist() for name in ("sku", "node_id", there[0])]
    rows: Rows = []
    for number, (sku, node_id, figure) in zip(table.row.tolist(), zip(*texts, strict=True), strict=True):
        if not figure.strip().isdecimal():
            raise IntakeError(f"{file}: row {number}, {there[0]} {figure!r}: give units, 0 or more")
        rows.append((sku, node_id, int(figure)))
    return rows


def _in_pieces(rows: Rows | list[SupplyRow], request_id: str, move: Callable[[Any, str], Any]) -> dict[str, Any]:
    """Requests of at most ROWS_MAX rows, each with a key of its own that goes back to one."""
    from allot_client import AllotError
    from allot_client.requests import new_request_id

    key, changed, again = new_request_id(request_id), 0, True
    with bar() as progress:
        progress.stage("sending", len(rows))
        for start in range(0, len(rows), ROWS_MAX):
            piece = rows[start : start + ROWS_MAX]
            try:
                answer = move(piece, key if len(rows) <= ROWS_MAX else f"{key}-{start // ROWS_MAX + 1}")
            except AllotError as error:
                if start or not request_id:  # what was sent before stays; a repeat needs the key
                    error.args = (f"{error}; to repeat safely: --request-id {key}",)
                    error.message = error.args[0]
                raise
            changed += answer.changed
            again = again and answer.again
            progress.advance(len(piece))
    return {"rows": len(rows), "changed": changed, "again": again, "request_id": key}


def _show_change(done: str, rows: Rows, found: dict[str, Any], json: bool) -> None:
    if json:
        show_json(found)
    else:
        units = sum(units for _, _, units in rows)
        before = "; done before, nothing was changed" if found["again"] else ""
        say(f"{done} {units:,} units in {len(rows):,} rows, {found['changed']:,} figures changed{before}")


@app.command("expect")
def expect(
    sku: Sku = "",
    node_id: Node = "",
    units: Annotated[int | None, typer.Argument(help="Units still to come. 0: none any more.", min=0)] = None,
    on: Annotated[str, typer.Option(help="The day, as 2026-12-31 (UTC), or the moment with its zone.")] = "",
    reference: Annotated[
        int | None, typer.Option(help="What they come by: the number of a purchase order.", min=1)
    ] = None,
    file: Annotated[
        Path | None,
        typer.Option(help="Many rows instead: CSV, CSV.gz or Parquet with sku, node_id, quantity, on, reference."),
    ] = None,
    request_id: RequestId = "",
    server: Server = DEFAULT_SERVER,
    token_file: TokenFile = None,
    ca: Ca = None,
    json: Json = False,
) -> None:
    """Say what is expected: dated supply, which back-orders wait for. `receive` by the reference takes off what came.

    Example: allot stock expect SKU-1 BLR 10 --on 2026-12-31 --reference 4711
    """
    rows = _supply_rows(sku, node_id, units, on, reference, file)
    with connected(server, token_file, ca) as client:
        found = _in_pieces(rows, request_id, lambda piece, id: client.put_supply(piece, request_id=id))
    if json:
        show_json(found)
    else:
        total = sum(row[2] for row in rows)
        before = "; done before, nothing was changed" if found["again"] else ""
        say(f"{total:,} units expected in {len(rows):,} rows, {found['changed']:,} of them changed{before}")


def _supply_rows(
    sku: str, node_id: str, units: int | None, on: str, reference: int | None, file: Path | None
) -> list[SupplyRow]:
    if file is None:
        if not sku or not node_id or units is None or reference is None or not (on or units == 0):
            fail("give SKU NODE UNITS --on DAY --reference NUMBER, or --file FILE", BAD_USAGE)
        return [(sku, node_id, units, _day(on, f"--on {on}"), reference)]
    if sku:
        fail(f"{sku} and --file {file}: give one of them", BAD_USAGE)
    from engine.intake.tables import IntakeError, need_rows, read_table

    names = ("sku", "node_id", "quantity", "on", "reference")
    table = read_table(file, names)
    need_rows(table)
    rows: list[SupplyRow] = []
    for number, row in zip(table.row.tolist(), zip(*(table.columns[name].to_pylist() for name in names), strict=True),
                           strict=True):  # fmt: skip
        sku, node_id, quantity, on, by = row
        for name, figure in (("quantity", quantity), ("reference", by)):
            if not figure.strip().isdecimal():
                raise IntakeError(f"{file}: row {number}, {name} {figure!r}: give a number, 0 or more")
        rows.append((sku, node_id, int(quantity), _day(on, f"{file}: row {number}, on {on!r}"), int(by)))
    return rows


def _day(text: str, where: str) -> int:
    """A moment, UTC us: midnight, where it is a day; 0 where there is none."""
    if not text:
        return 0
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        moment = None
    if moment is not None and len(text) == len("2026-12-31"):
        moment = moment.replace(tzinfo=UTC)
    if moment is None or moment.tzinfo is None:
        fail(f"{where}: give a day, such as 2026-12-31, or a time with its zone", BAD_USAGE)
    from allot_client.requests import micros

    return micros(moment, where)


@app.command("expected")
def expected(
    sku: Annotated[str, typer.Option(help="Only this SKU's.")] = "",
    node: Annotated[str, typer.Option(help="Only this node's.")] = "",
    limit: Annotated[int, typer.Option(help="Rows at most.", min=1)] = 100,
    server: Server = DEFAULT_SERVER,
    token_file: TokenFile = None,
    ca: Ca = None,
    json: Json = False,
) -> None:
    """What is expected, and how much of it back-orders wait for.

    Example: allot stock expected --node BLR
    """
    from server.cli.answers import as_dict, day, show_rows

    with connected(server, token_file, ca) as client:
        found = list(islice(client.list_supply(sku=sku, node_id=node, page_size=min(limit, 1000)), limit))
    if json:
        show_json([as_dict(one) for one in found])
        return
    names = ("sku", "node", "units", "on", "reference", "bound to back-orders")
    rows = [(one.sku, one.node_id, one.quantity, day(one.due_at_us), str(one.reference), one.bound) for one in found]
    show_rows("expected", names, rows)
    if len(found) == limit:
        say(f"there may be more: --limit {limit * 10}")


@app.command("get")
def get(
    sku: Sku,
    server: Server = DEFAULT_SERVER,
    token_file: TokenFile = None,
    ca: Ca = None,
    json: Json = False,
) -> None:
    """The figures of a SKU at each node.

    Example: allot stock get SKU-1
    """
    from server.cli.answers import as_dict

    with connected(server, token_file, ca) as client:
        answer = client.get_stock(sku)
    if json:
        show_json(as_dict(answer))
    else:
        _show_cells(f"stock of {sku}", list(answer.cells))


@app.command("list")
def list_(
    node: Annotated[str, typer.Option(help="Only this node's.")] = "",
    limit: Annotated[int, typer.Option(help="Rows at most.", min=1)] = 100,
    server: Server = DEFAULT_SERVER,
    token_file: TokenFile = None,
    ca: Ca = None,
    json: Json = False,
) -> None:
    """The figures of every SKU at each node.

    Example: allot stock list --node BLR
    """
    from server.cli.answers import as_dict

    with connected(server, token_file, ca) as client:
        cells = list(islice(client.list_stock(node_id=node, page_size=min(limit, 1000)), limit))
    if json:
        show_json([as_dict(cell) for cell in cells])
        return
    _show_cells("stock", cells)
    if len(cells) == limit:
        say(f"there may be more: --limit {limit * 10}")


def _show_cells(title: str, cells: list[Any]) -> None:
    from server.cli.answers import show_rows

    figures = [name for name in FIGURES if name in ALWAYS or any(getattr(cell, name) for cell in cells)]
    names = ("sku", "node", *(name.replace("_", " ") for name in figures))
    rows = [(cell.sku, cell.node_id, *(getattr(cell, name) for name in figures)) for cell in cells]
    show_rows(title, names, rows)
