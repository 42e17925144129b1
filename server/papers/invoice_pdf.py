"""Pages of a GST invoice: head, lines, and on the last page what is due, a UPI QR code for cash, and the signature."""

import io
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from engine.intake.gst_states import GST_STATES
from server.papers.drawing import BOLD, REGULAR, draw, draw_right
from server.papers.goods import Goods
from server.papers.invoice import Invoice, Row, invoice_of, rate
from server.papers.parcel import INDIA, Parcel, Party

PAGE = (595.28, 841.89)
MARGIN = 40.0
TOP, RIGHT = PAGE[1] - MARGIN, PAGE[0] - MARGIN
ROOM = RIGHT - MARGIN
PARTIES_TOP = TOP - 84
TABLE_TOP = PARTIES_TOP - 132
ROW = 15.0
ROWS_A_PAGE = 34
FOOT, FOOT_WITH_QR = 120.0, 178.0
QR_POINTS = 110.0
GAP = 6.0  # between two columns


def invoice_pdf(parcel: Parcel, buyer: Party, seller: Party, goods: Mapping[str, Goods] | None = None) -> bytes:
    """As many pages as it takes. goods: by SKU; None: lines have SKUs, and no HSN codes. Raises PaperError."""
    from reportlab.pdfgen.canvas import Canvas

    invoice = invoice_of(parcel, buyer, seller, goods)
    sink = io.BytesIO()
    canvas = Canvas(sink, pagesize=PAGE, invariant=True)
    canvas.setTitle(f"Invoice {parcel.invoice_number}")
    pages = _pages(invoice)
    for number, rows in enumerate(pages, 1):
        _head(canvas, invoice, f"page {number} of {len(pages)}")
        y = _table(canvas, invoice, rows, is_last=number == len(pages))
        if number == len(pages):
            _foot(canvas, y, invoice)
        canvas.showPage()
    canvas.save()
    return sink.getvalue()


def _pages(invoice: Invoice) -> list[Sequence[Row]]:
    """The rows of each page; the last has room for the sum and the foot."""
    rows = invoice.rows
    pages: list[Sequence[Row]] = [rows[at : at + ROWS_A_PAGE] for at in range(0, len(rows), ROWS_A_PAGE)]
    foot = FOOT_WITH_QR if invoice.upi_link else FOOT
    if TABLE_TOP - ROW * (len(pages[-1]) + 1) - foot < MARGIN:
        pages.append(())
    return pages


def _head(canvas: Any, invoice: Invoice, page: str) -> None:
    parcel, buyer, seller = invoice.parcel, invoice.buyer, invoice.seller
    draw(canvas, MARGIN, TOP - 12, "TAX INVOICE", BOLD, 16, ROOM / 2)
    at = datetime.fromtimestamp(parcel.invoiced_at_us / 1e6, UTC) + INDIA
    about = [f"Invoice {parcel.invoice_number}", f"Date {at:%d %b %Y}"]
    about += [f"Order {parcel.order_id}"] if parcel.order_id else []
    about += [f"Shipment {parcel.number} from {parcel.node_id}", page]
    for number, text in enumerate(about):
        draw_right(canvas, RIGHT, TOP - 10 - 12 * number, text, REGULAR, 9, ROOM / 2)
    place = f"Place of supply: {GST_STATES[invoice.place_of_supply]} ({invoice.place_of_supply})"
    state = f"State: {GST_STATES[seller.gstin[:2]]} ({seller.gstin[:2]})"
    sold_to = (buyer.name, *buyer.lines, buyer.postal_code or parcel.postal_code)
    for x, head, texts in (
        (MARGIN, "Sold by", (seller.name, *seller.lines, seller.postal_code, f"GSTIN {seller.gstin}", state)),
        (MARGIN + 270, "Sold to", (*sold_to, f"GSTIN {buyer.gstin}" if buyer.gstin else "", place)),
    ):
        draw(canvas, x, PARTIES_TOP, head, BOLD, 9, 240)
        for number, text in enumerate((text for text in texts if text), 1):
            draw(canvas, x, PARTIES_TOP - 12 * number, text, REGULAR, 9, 240)


def _columns(invoice: Invoice) -> list[tuple[str, float]]:
    """Names and widths; what is left over is the first one's, and holds the text."""
    taxes = [one for tax in invoice.taxes for one in (("%", 28.0), (tax, 54.0))]
    figures = [("Units", 32.0), ("Taxable value", 64.0), *taxes, ("Total", 64.0)]
    columns = [("HSN", 42.0), *figures] if invoice.has_hsn else figures
    return [("Item", ROOM - sum(width for _, width in columns)), *columns]


def _table(canvas: Any, invoice: Invoice, rows: Sequence[Row], is_last: bool) -> float:
    """Where it ends."""
    columns, y = _columns(invoice), TABLE_TOP
    _line(canvas, y, columns, [name for name, _ in columns], BOLD)
    canvas.line(MARGIN, y - 4, RIGHT, y - 4)
    for row in rows:
        y -= ROW
        _line(canvas, y, columns, _cells(invoice, row), REGULAR)
    if rows:
        canvas.line(MARGIN, y - 5, RIGHT, y - 5)
    if is_last:
        y -= ROW
        _line(canvas, y, columns, _sums(invoice), BOLD)
    return y


def _line(canvas: Any, y: float, columns: Sequence[tuple[str, float]], texts: Sequence[str], font: str) -> None:
    """Texts of one row; figures are never cut."""
    x = MARGIN
    for number, ((_, width), text) in enumerate(zip(columns, texts, strict=True)):
        if number == 0:
            draw(canvas, x, y, text, font, 8.5, width - GAP)
        else:
            draw_right(canvas, x + width, y, text, font, 8.5, width - GAP, size_min=0)
        x += width


def _cells(invoice: Invoice, row: Row) -> list[str]:
    money, percent = invoice.money, rate(row.tax + row.tax_2, row.value) / 100
    if len(invoice.taxes) == 2:
        taxes = [_percent(percent / 2), money(row.tax), _percent(percent / 2), money(row.tax_2)]
    else:
        taxes = [_percent(percent), money(row.tax + row.tax_2)]
    codes = [row.hsn] if invoice.has_hsn else []
    return [row.what, *codes, f"{row.units:,}", money(row.value), *taxes, money(row.total)]


def _sums(invoice: Invoice) -> list[str]:
    money, rows = invoice.money, invoice.rows
    tax, tax_2 = sum(row.tax for row in rows), sum(row.tax_2 for row in rows)
    taxes = ["", money(tax), "", money(tax_2)] if len(invoice.taxes) == 2 else ["", money(tax + tax_2)]
    codes = [""] if invoice.has_hsn else []
    return ["Sum", *codes, "", money(sum(row.value for row in rows)), *taxes, money(invoice.parcel.total)]


def _percent(rate: float) -> str:
    """With two decimals at most, or three where it is half of one that has two."""
    return f"{rate:.3f}".rstrip("0").rstrip(".") + "%"


def _foot(canvas: Any, y: float, invoice: Invoice) -> None:
    parcel, seller, half = invoice.parcel, invoice.seller, ROOM / 2 - GAP
    total = f"Total {parcel.currency} {invoice.money(parcel.total)}"
    draw_right(canvas, RIGHT, y - 26, total, BOLD, 11, half, size_min=0)
    due = "Nothing is to be collected on delivery."
    if parcel.collect:
        due = f"To be collected on delivery: {parcel.cash}"
    draw(canvas, MARGIN, y - 26, due, REGULAR, 9, half, size_min=0)
    draw(canvas, MARGIN, y - 39, "Whether tax is payable on reverse charge: No", REGULAR, 9, half)
    draw_right(canvas, RIGHT, y - 58, f"For {seller.name}", REGULAR, 9, half)
    canvas.line(RIGHT - 150, y - 102, RIGHT, y - 102)
    draw_right(canvas, RIGHT, y - 113, "Authorised signatory", REGULAR, 9, half)
    if invoice.upi_link:
        _qr(canvas, MARGIN, y - 46 - QR_POINTS, invoice.upi_link)
        draw(canvas, MARGIN, y - 58 - QR_POINTS, f"Or pay by UPI: {seller.upi}", REGULAR, 9, half, size_min=0)


def _qr(canvas: Any, x: float, y: float, content: str) -> None:
    """A QR code of QR_POINTS, with its margin."""
    import segno

    rows = [list(row) for row in segno.make(content, error="m", micro=False).matrix_iter(border=4)]
    size = QR_POINTS / len(rows)
    for down, row in enumerate(rows):
        for across, is_dark in enumerate(row):
            if is_dark:
                canvas.rect(x + across * size, y + QR_POINTS - (down + 1) * size, size, size, stroke=0, fill=1)
