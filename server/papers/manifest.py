"""What a carrier signs for: the parcels that it is given on one day, as PDF, with the manifest's number as Code 128."""

import io
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

from server.papers.parcel import PaperError

PAGE = (595.28, 841.89)
MARGIN = 40.0
TOP, RIGHT = PAGE[1] - MARGIN - 12, PAGE[0] - MARGIN
ROWS_A_PAGE = 44
COLUMNS = {"Tracking": MARGIN, "Order": 190.0, "Shipment": 340.0, "To": 400.0, "Units": 450.0, "COD": 490.0}


@dataclass(frozen=True)
class Handed:
    """One parcel of it."""

    shipment: int
    order_id: str
    tracking: str
    postal_code: str
    node_id: str
    units: int
    is_cash: bool


def manifest_number(carrier: str, day: date, node_id: str) -> str:
    """Of a carrier, a day and a node."""
    return f"M-{carrier}-{day:%Y%m%d}{'-' + node_id if node_id else ''}"


def manifest_pdf(carrier: str, day: date, node_id: str, parcels: Sequence[Handed]) -> bytes:
    """As many pages as it takes. Raises PaperError."""
    from reportlab.graphics.barcode.code128 import Code128
    from reportlab.pdfgen.canvas import Canvas

    if not parcels:
        where = f" from {node_id}" if node_id else ""
        raise PaperError(f"{carrier} was given no parcel{where} on {day}: name another day, carrier or node")
    number = manifest_number(carrier, day, node_id)
    sink = io.BytesIO()
    canvas = Canvas(sink, pagesize=PAGE, invariant=True)
    canvas.setTitle(f"Manifest {number}")
    pages = [parcels[at : at + ROWS_A_PAGE] for at in range(0, len(parcels), ROWS_A_PAGE)]
    for page, rows in enumerate(pages, 1):
        y = TOP
        canvas.setFont("Helvetica-Bold", 15)
        canvas.drawString(MARGIN, y, f"MANIFEST  {carrier}")
        canvas.setFont("Helvetica", 9)
        canvas.drawString(MARGIN, y - 16, f"{day:%d %b %Y}   {node_id or 'all nodes'}   {len(parcels):,} parcels")
        canvas.drawString(MARGIN, y - 28, f"page {page} of {len(pages)}")
        bar = Code128(number, barWidth=0.8, barHeight=30, quiet=True)
        bar.drawOn(canvas, RIGHT - bar.width, y - 18)
        canvas.drawRightString(RIGHT - 10, y - 30, number)
        _rows(canvas, y - 56, rows)
        if page == len(pages):
            _signatures(canvas)
        canvas.showPage()
    canvas.save()
    return sink.getvalue()


def _rows(canvas: Any, y: float, rows: Sequence[Handed]) -> None:
    canvas.setFont("Helvetica-Bold", 9)
    for name, x in COLUMNS.items():
        canvas.drawString(x, y, name)
    canvas.line(MARGIN, y - 3, RIGHT, y - 3)
    canvas.setFont("Helvetica", 8)
    for one in rows:
        y -= 14
        cash = "yes" if one.is_cash else ""
        values = (one.tracking, one.order_id, str(one.shipment), one.postal_code, str(one.units), cash)
        for x, value in zip(COLUMNS.values(), values, strict=True):
            canvas.drawString(x, y, value[:30])


def _signatures(canvas: Any) -> None:
    canvas.line(MARGIN, 70, 250, 70)
    canvas.drawString(MARGIN, 58, "for the node: name, signature, time")
    canvas.line(330, 70, RIGHT, 70)
    canvas.drawString(330, 58, "for the carrier: name, signature, time")
