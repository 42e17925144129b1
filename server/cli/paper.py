"""`allot paper`: labels, invoices and manifests."""

from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any

import typer

from server.cli.connection import DEFAULT_SERVER, Ca, Server, TokenFile, connected
from server.cli.output import BAD_USAGE, fail, say

app = typer.Typer(
    help="Labels, invoices and manifests (the extra `documents`).", no_args_is_help=True, rich_markup_mode=None
)
Number = Annotated[int, typer.Argument(help="The shipment's number.", min=1)]
Out = Annotated[Path, typer.Option(help="The file to write.")]
Buyer = Annotated[
    Path | None, typer.Option("--to", metavar="FILE", help="JSON: name, lines, postal_code, phone, gstin, region.")
]
Seller = Annotated[
    Path | None, typer.Option("--seller", metavar="FILE", help="JSON: name, lines, postal_code, phone, gstin, upi.")
]
Goods = Annotated[
    Path | None,
    typer.Option(
        "--goods", metavar="FILE",
        help="JSON by SKU: name, and hsn of 4, 6 or 8 digits. A SKU that is not in it prints as it is; without the file"
        " all do, and there is no HSN column.",
    ),
]  # fmt: skip


@app.command("label")
def label(
    number: Number,
    out: Out,
    to: Buyer = None,
    seller: Seller = None,
    zpl: Annotated[bool, typer.Option("--zpl", help="ZPL for a label printer instead of PDF.")] = False,
    server: Server = DEFAULT_SERVER,
    token_file: TokenFile = None,
    ca: Ca = None,
) -> None:
    """The label of a shipment, 4 by 6 inches, its tracking number as Code 128.

    allot keeps no names and addresses: they come from --to, and go nowhere but on
    the paper. They are printed in Latin letters.

    Example: allot paper label 1042 --out label.pdf
    """
    from server.papers.label import label_pdf, label_zpl

    buyer, sender = _party(to), _party(seller)
    parcel = _asked(number, server, token_file, ca)
    _write(out, lambda: label_zpl(parcel, buyer, sender) if zpl else label_pdf(parcel, buyer, sender))


@app.command("invoice")
def invoice(
    number: Number,
    out: Out,
    seller: Seller,
    to: Buyer = None,
    goods: Goods = None,
    server: Server = DEFAULT_SERVER,
    token_file: TokenFile = None,
    ca: Ca = None,
) -> None:
    """The GST invoice of a shipment that has left, with a UPI QR code where rupees are due in cash.

    It was numbered, and its tax split, when it left: its node and postal code must be in a tax region by then (allot
    node regions). --seller needs name, lines and gstin; from 50,000 rupees on --to needs name and lines.

    Example: allot paper invoice 1042 --seller seller.json --out invoice.pdf
    """
    from server.papers.goods import read_goods
    from server.papers.invoice_pdf import invoice_pdf

    buyer, sender = _party(to), _party(seller)
    called = None if goods is None else _read(goods, read_goods)
    parcel = _asked(number, server, token_file, ca)
    _write(out, lambda: invoice_pdf(parcel, buyer, sender, called))


@app.command("manifest")
def manifest(
    history: Annotated[Path, typer.Argument(help="Folder that `allot export --what orders,steps` wrote.")],
    carrier: Annotated[str, typer.Option(help="The carrier.")],
    day: Annotated[datetime, typer.Option(formats=["%Y-%m-%d"], help="The day, in India.")],
    out: Out,
    node: Annotated[str, typer.Option(help="Only parcels of this node.")] = "",
) -> None:
    """What a carrier was given on a day and signs for: every parcel whose last booking is with it and of that day.

    \b
    Example:
    allot paper manifest history --carrier swift --day 2026-11-11 --out m.pdf
    """
    from server.papers.handed import HistoryMissing, handed
    from server.papers.manifest import manifest_pdf

    try:
        parcels = handed(history, carrier, day.date(), node)
    except HistoryMissing as error:
        fail(str(error), BAD_USAGE)
    _write(out, lambda: manifest_pdf(carrier, day.date(), node, parcels))


def parcel_of(found: Any) -> Any:
    """The answer to GetShipment as it is printed."""
    from server.papers.parcel import Item, Parcel

    shipment = found.shipment
    items = tuple(
        Item(
            item.sku, item.quantity, item.goods, item.tax, item.tax_2, item.shipping, item.shipping_tax,
            item.shipping_tax_2,
        )
        for item in shipment.items
    )  # fmt: skip
    return Parcel(
        shipment.number, found.order_id, shipment.node_id, shipment.carrier, shipment.reference, found.postal_code,
        shipment.collect, found.currency, shipment.shipped_at_us, shipment.tax_split, shipment.invoice_number,
        shipment.invoiced_at_us, items,
    )  # fmt: skip


def _asked(number: int, server: str, token_file: Path | None, ca: Path | None) -> Any:
    """The shipment as it is printed."""
    with connected(server, token_file, ca) as client:
        found = client.get_shipment(number=number)
    for item in found.shipment.items:
        if found.shipment.shipped_at_us and item.charged_quantity != item.quantity:
            fail(f"shipment {number}: units of line {item.line} came back: print papers before that", BAD_USAGE)
    return parcel_of(found)


def _party(path: Path | None) -> Any:
    from server.papers.parcel import Party

    return Party() if path is None else _read(path, Party.read)


def _read(path: Path, reader: Callable[[Path], Any]) -> Any:
    from server.papers.given import PaperError

    try:
        return reader(path)
    except OSError as error:
        fail(f"{path}: {error.strerror}", BAD_USAGE)
    except PaperError as error:
        fail(str(error), BAD_USAGE)


def _write(out: Path, make: Any) -> None:
    from server.papers.given import PaperError

    try:
        content = make()
        out.write_bytes(content.encode() if isinstance(content, str) else content)
    except PaperError as error:
        fail(str(error), BAD_USAGE)
    except ImportError as error:
        fail(f"{error.name} is missing: pip install 'allot[documents]'", BAD_USAGE)
    except OSError as error:
        fail(f"--out {out}: {error.strerror}", BAD_USAGE)
    say(f"written: {out}")
