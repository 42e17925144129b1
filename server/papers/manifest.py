"""What a carrier signs for: the parcels that it is given on one day, as PDF, with the manifest's number as Code 128."""

import io
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

from server.papers.bar_code import DOT, QUIET_MODULES, BarCode, bar_code
from server.papers.drawing import BOLD, REGULAR, draw, draw_right
from server.papers.given import PaperError, check_printable
from server.papers.parcel import amount

PAGE = (595.28, 841.89)
MARGIN = 40.0
TOP, RIGHT = PAGE[1] - MARGIN - 12, PAGE[0] - MARGIN
ROOM = RIGHT - MARGIN
ROWS_A_PAGE = 41
# Where each begins, its width, and the smallest size: what is needed to find a parcel is never cut.
COLUMNS = {
    "Tracking": (MARGIN, 155.0, 0.0), "Order": (200.0, 120.0, 5.0), "Shipment": (325.0, 55.0, 0.0),
    "To": (385.0, 45.0, 0.0), "Units": (435.0, 28.0, 0.0), "COD": (468.0, RIGHT - 468.0, 0.0),
}  # fmt: skip


@dataclass(frozen=True)
class Handed:
    """One parcel of it."""

    shipment: int
    order_id: str
    tracking: str
    postal_code: str
    node_id: str
    units: int
    is_cash: bool  # as its order was placed
    collect: int | None = None  # minor units, told when it leaves
    currency: str = ""

    @property
    def cash(self) -> str:
        """What is to be collected; `yes` where nobody has told how much."""
        if self.collect is None:
            return "yes" if self.is_cash else ""
        return f"{self.currency} {amount(self.collect, self.currency)}" if self.collect else ""


def manifest_number(carrier: str, day: date, node_id: str) -> str:
    """Of a carrier, a day and a node."""
    return f"M-{carrier}-{day:%Y%m%d}{'-' + node_id if node_id else ''}"


def manifest_pdf(carrier: str, day: date, node_id: str, parcels: Sequence[Handed]) -> bytes:
    """As many pages as it takes. Raises PaperError."""
    from reportlab.pdfgen.canvas import Canvas

    if not parcels:
        where = f" from {node_id}" if node_id else ""
        raise PaperError(f"{carrier} was given no parcel{where} on {day}: name another day, carrier or node")
    for one in parcels:
        check_printable(
            (f"shipment {one.shipment}: {name}", getattr(one, name)) for name in ("tracking", "order_id", "postal_code")
        )
    number = manifest_number(carrier, day, node_id)
    bars = bar_code("carrier and node", number, int(ROOM / DOT))
    sink = io.BytesIO()
    canvas = Canvas(sink, pagesize=PAGE, invariant=True)
    canvas.setTitle(f"Manifest {number}")
    pages = [parcels[at : at + ROWS_A_PAGE] for at in range(0, len(parcels), ROWS_A_PAGE)]
    for page, rows in enumerate(pages, 1):
        draw(canvas, MARGIN, TOP, f"MANIFEST  {carrier}", BOLD, 15, ROOM)
        about = f"{day:%d %b %Y}   {node_id or 'all nodes'}   {len(parcels):,} parcels"
        draw(canvas, MARGIN, TOP - 16, about, REGULAR, 9, ROOM - 70)
        draw_right(canvas, RIGHT, TOP - 16, f"page {page} of {len(pages)}", REGULAR, 9, 65)
        _bars(canvas, bars)
        _rows(canvas, TOP - 92, rows)
        if page == len(pages):
            _signatures(canvas)
        canvas.showPage()
    canvas.save()
    return sink.getvalue()


def _bars(canvas: Any, bars: BarCode) -> None:
    quiet = QUIET_MODULES * bars.module_dots * DOT
    bars.draw(canvas, MARGIN + quiet, TOP - 58, 32)
    draw(canvas, MARGIN + quiet, TOP - 70, bars.text, REGULAR, 9, ROOM - quiet, size_min=0)


def _rows(canvas: Any, y: float, rows: Sequence[Handed]) -> None:
    for name, (x, room, _) in COLUMNS.items():
        draw(canvas, x, y, name, BOLD, 9, room)
    canvas.line(MARGIN, y - 3, RIGHT, y - 3)
    for one in rows:
        y -= 14
        values = (one.tracking, one.order_id, str(one.shipment), one.postal_code, f"{one.units:,}", one.cash)
        for (x, room, size_min), value in zip(COLUMNS.values(), values, strict=True):
            draw(canvas, x, y, value, REGULAR, 8, room, size_min)


def _signatures(canvas: Any) -> None:
    for x, end, who in ((MARGIN, 250.0, "node"), (330.0, RIGHT, "carrier")):
        canvas.line(x, 70, end, 70)
        draw(canvas, x, 58, f"for the {who}: name, signature, time", REGULAR, 9, end - x)
