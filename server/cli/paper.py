"""`allot paper`: labels, invoices and manifests."""

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
Buyer = Annotated[Path | None, typer.Option("--to", metavar="FILE", help="JSON: name, lines, phone, region.")]
Seller = Annotated[Path | None, typer.Option("--seller", metavar="FILE", help="JSON: name, lines, gstin, upi.")]


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

    allot keeps no names and addresses: they come from --to, and go nowhere but on the paper.

    Example: allot paper label 1042 --out label.pdf
    """
    from server.papers.label import label_pdf, label_zpl

    parcel, buyer, sender = _asked(number, to, seller, server, token_file, ca)
    _write(out, lambda: label_zpl(parcel, buyer, sender) if zpl else label_pdf(parcel, buyer, sender))


@app.command("invoice")
def invoice(
    number: Number,
    out: Out,
    seller: Seller,
    to: Buyer = None,
    server: Server = DEFAULT_SERVER,
    token_file: TokenFile = None,
    ca: Ca = None,
) -> None:
    """The GST invoice of a shipment that has left, with a UPI QR code where cash is due.

    Example: allot paper invoice 1042 --seller seller.json --out invoice.pdf
    """
    from server.papers.invoice import invoice_pdf

    parcel, buyer, sender = _asked(number, to, seller, server, token_file, ca)
    _write(out, lambda: invoice_pdf(parcel, buyer, sender))


@app.command("manifest")
def manifest(
    history: Annotated[Path, typer.Argument(help="Folder that `allot export --what orders,steps` wrote.")],
    carrier: Annotated[str, typer.Option(help="The carrier.")],
    day: Annotated[datetime, typer.Option(formats=["%Y-%m-%d"], help="The day, in India.")],
    out: Out,
    node: Annotated[str, typer.Option(help="Only parcels of this node.")] = "",
) -> None:
    """What a carrier was given on a day and signs for: every parcel that was booked with it and not recalled.

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


def _asked(
    number: int, to: Path | None, seller: Path | None, server: str, token_file: Path | None, ca: Path | None
) -> Any:
    """The shipment as it is printed, and both parties."""
    from server.papers.parcel import Item, PaperError, Parcel, Party

    try:
        buyer, sender = (Party() if path is None else Party.read(path) for path in (to, seller))
    except OSError as error:
        fail(f"{error.filename}: {error.strerror}", BAD_USAGE)
    except PaperError as error:
        fail(str(error), BAD_USAGE)
    with connected(server, token_file, ca) as client:
        found = client.get_shipment(number=number)
        shipment = found.shipment
        for item in shipment.items:
            if shipment.shipped_at_us and item.charged_quantity != item.quantity:
                fail(f"shipment {number}: units of line {item.line} came back: print papers before that", BAD_USAGE)
        order_id = f"{found.order_number}"
    items = tuple(
        Item(
            item.sku, item.quantity, item.goods, item.tax, item.tax_2, item.shipping, item.shipping_tax,
            item.shipping_tax_2,
        )
        for item in shipment.items
    )  # fmt: skip
    parcel = Parcel(
        shipment.number, order_id, shipment.node_id, shipment.carrier, shipment.reference, found.postal_code,
        shipment.collect, shipped_at_us=shipment.shipped_at_us, is_within_region=shipment.is_within_region, items=items,
    )  # fmt: skip
    return parcel, buyer, sender


def _write(out: Path, make: Any) -> None:
    from server.papers.parcel import PaperError

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
