"""The GST invoice of a shipment, as PDF: what each line owes, the tax in its parts, a UPI QR code where cash is due."""

import io
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import quote, urlencode

from server.papers.parcel import Item, PaperError, Parcel, Party, amount

INDIA = timedelta(hours=5, minutes=30)
MARGIN = 40.0
QR_POINTS = 110.0
ROWS_A_PAGE = 28


def upi_link(parcel: Parcel, seller: Party) -> str:
    """What the QR code holds: the payee, the amount and the order (NPCI's deep link, upi://pay)."""
    asked = {
        "pa": seller.upi, "pn": seller.name, "am": f"{parcel.collect / 100:.2f}", "cu": parcel.currency,
        "tn": f"Order {parcel.order_id}",
    }  # fmt: skip
    return "upi://pay?" + urlencode(asked, quote_via=quote, safe="@")


def invoice_number(parcel: Parcel) -> str:
    """Unique, and at most 16 characters as the rules want it: of the shipment's number."""
    return f"INV{parcel.number:012d}"


def invoice_pdf(parcel: Parcel, buyer: Party, seller: Party) -> bytes:
    """As many pages as it takes. Raises PaperError."""
    from reportlab.pdfgen.canvas import Canvas

    _check(parcel, seller)
    sink = io.BytesIO()
    canvas = Canvas(sink, pagesize=(595.28, 841.89), invariant=True)
    canvas.setTitle(f"Invoice {invoice_number(parcel)}")
    rows = [_row(item) for item in parcel.items] + _shipping(parcel)
    pages = [rows[at : at + ROWS_A_PAGE] for at in range(0, len(rows), ROWS_A_PAGE)]
    for number, page in enumerate(pages, 1):
        y = _head(canvas, parcel, buyer, seller, f"page {number} of {len(pages)}")
        y = _table(canvas, y, parcel, page)
        if number == len(pages):
            _foot(canvas, y, parcel, seller, rows)
        canvas.showPage()
    canvas.save()
    return sink.getvalue()


def _check(parcel: Parcel, seller: Party) -> None:
    if not seller.name or not seller.gstin:
        raise PaperError("seller: an invoice needs the seller's name and gstin: give them in --seller FILE")
    if len(seller.gstin) != 15 or not seller.gstin.isalnum():
        raise PaperError(f"seller: gstin: {seller.gstin!r}: give 15 letters and digits")
    if not parcel.shipped_at_us:
        raise PaperError(f"shipment {parcel.number} has not left: what it owes is settled when it does")
    if parcel.collect and not seller.upi:
        raise PaperError("seller: upi: cash is due on delivery, and the QR code needs the seller's UPI address")


def _row(item: Item) -> tuple[str, int, int, int, int]:
    """What it is, units, value before tax, tax, second half of the tax."""
    return item.sku, item.units, item.goods, item.tax, item.tax_2


def _shipping(parcel: Parcel) -> list[tuple[str, int, int, int, int]]:
    fee = sum(item.shipping for item in parcel.items)
    tax, tax_2 = (sum(item.shipping_tax for item in parcel.items), sum(item.shipping_tax_2 for item in parcel.items))
    return [("Shipping", 1, fee, tax, tax_2)] if fee or tax else []


def _head(canvas: Any, parcel: Parcel, buyer: Party, seller: Party, page: str) -> float:
    top, right = 841.89 - MARGIN, 595.28 - MARGIN
    canvas.setFont("Helvetica-Bold", 16)
    canvas.drawString(MARGIN, top - 12, "TAX INVOICE")
    at = datetime.fromtimestamp(parcel.shipped_at_us / 1e6, UTC) + INDIA
    canvas.setFont("Helvetica", 9)
    for number, text in enumerate((
        f"Invoice {invoice_number(parcel)}", f"Date {at:%d %b %Y}", f"Order {parcel.order_id}",
        f"Shipment {parcel.number} from {parcel.node_id}", page,
    )):  # fmt: skip
        canvas.drawRightString(right, top - 10 - 12 * number, text)
    y = top - 84
    for x, head, party, more in (
        (MARGIN, "Sold by", seller, f"GSTIN {seller.gstin}"),
        (MARGIN + 270, "Sold to", buyer, f"Place of supply {buyer.region or parcel.postal_code}"),
    ):
        canvas.setFont("Helvetica-Bold", 9)
        canvas.drawString(x, y, head)
        canvas.setFont("Helvetica", 9)
        texts = [text for text in (party.name, *party.lines, party.postal_code, more) if text]
        for number, text in enumerate(texts, 1):
            canvas.drawString(x, y - 12 * number, text)
    return y - 12 * 9


def _columns(parcel: Parcel) -> list[tuple[str, float]]:
    taxes = [("CGST", 400.0), ("SGST", 460.0)] if parcel.is_within_region else [("IGST", 460.0)]
    return [("Units", 260.0), ("Value", 340.0), *taxes, ("Total", 555.28)]


def _table(canvas: Any, y: float, parcel: Parcel, rows: list[tuple[str, int, int, int, int]]) -> float:
    canvas.setFont("Helvetica-Bold", 9)
    canvas.drawString(MARGIN, y, "Item")
    for name, x in _columns(parcel):
        canvas.drawRightString(x, y, name)
    canvas.line(MARGIN, y - 4, 555.28, y - 4)
    canvas.setFont("Helvetica", 9)
    for what, units, value, tax, tax_2 in rows:
        y -= 16
        canvas.drawString(MARGIN, y, what)
        taxes = [amount(tax), amount(tax_2)] if parcel.is_within_region else [amount(tax + tax_2)]
        figures = [f"{units:,}", amount(value), *taxes, amount(value + tax + tax_2)]
        for (_, x), figure in zip(_columns(parcel), figures, strict=True):
            canvas.drawRightString(x, y, figure)
    canvas.line(MARGIN, y - 6, 555.28, y - 6)
    return y - 6


def _foot(canvas: Any, y: float, parcel: Parcel, seller: Party, rows: list[tuple[str, int, int, int, int]]) -> None:
    canvas.setFont("Helvetica-Bold", 11)
    canvas.drawRightString(555.28, y - 20, f"Total {parcel.currency} {amount(parcel.total)}")
    assert parcel.total == sum(value + tax + tax_2 for _, _, value, tax, tax_2 in rows)
    canvas.setFont("Helvetica", 9)
    if not parcel.collect:
        canvas.drawString(MARGIN, y - 20, "Paid. Nothing is to be collected.")
        return
    canvas.drawString(MARGIN, y - 20, f"To be collected on delivery: {parcel.currency} {amount(parcel.collect)}")
    _qr(canvas, MARGIN, y - 34 - QR_POINTS, upi_link(parcel, seller))
    canvas.drawString(MARGIN, y - 46 - QR_POINTS, f"Or pay by UPI: {seller.upi}")


def _qr(canvas: Any, x: float, y: float, content: str) -> None:
    """A QR code of QR_POINTS, with its margin."""
    import segno

    rows = [list(row) for row in segno.make(content, error="m", micro=False).matrix_iter(border=4)]
    size = QR_POINTS / len(rows)
    for down, row in enumerate(rows):
        for across, is_dark in enumerate(row):
            if is_dark:
                canvas.rect(x + across * size, y + QR_POINTS - (down + 1) * size, size, size, stroke=0, fill=1)
