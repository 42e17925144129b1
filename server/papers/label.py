"""The label of a parcel, 4 by 6 inches, with its tracking number as Code 128: as PDF, and as ZPL for label printers."""

import io
from typing import Any

from server.papers.parcel import Parcel, Party, amount, check_label

INCH = 72.0
WIDTH, HEIGHT = 4 * INCH, 6 * INCH
MARGIN = 14.0
QUIET = 10  # widths of the narrowest bar on each side of a bar code
DOTS_PER_INCH = 203


def label_pdf(parcel: Parcel, to: Party, sender: Party) -> bytes:
    """One page. Raises PaperError."""
    from reportlab.graphics.barcode.code128 import Code128
    from reportlab.pdfgen.canvas import Canvas

    check_label(parcel)
    sink = io.BytesIO()
    canvas = Canvas(sink, pagesize=(WIDTH, HEIGHT), invariant=True)
    canvas.setTitle(f"Label {parcel.tracking}")
    y = HEIGHT - MARGIN - 16
    _fitted(canvas, MARGIN, y, parcel.carrier.upper(), "Helvetica-Bold", 18, WIDTH / 2)
    canvas.setFont("Helvetica", 9)
    canvas.drawRightString(WIDTH - MARGIN, y + 4, f"Shipment {parcel.number}")
    y = _rule(canvas, y - 8)
    y = _address(canvas, y, "SHIP TO", to, 12)
    canvas.setFont("Helvetica-Bold", 40)
    canvas.drawString(MARGIN, y - 34, parcel.postal_code)
    y = _rule(canvas, y - 46)
    if parcel.collect:
        canvas.setFont("Helvetica-Bold", 18)
        canvas.drawString(MARGIN, y - 20, f"COD  {parcel.currency} {amount(parcel.collect)}")
    else:
        canvas.setFont("Helvetica-Bold", 14)
        canvas.drawString(MARGIN, y - 18, "PREPAID: collect nothing")
    y = _rule(canvas, y - 30)
    bar = _bar_code(Code128, parcel.tracking, WIDTH - 2 * MARGIN)
    bar.drawOn(canvas, (WIDTH - bar.width) / 2, y - 84)
    canvas.setFont("Courier-Bold", 13)
    canvas.drawCentredString(WIDTH / 2, y - 100, parcel.tracking)
    y = _rule(canvas, y - 110)
    y = _address(canvas, y, f"FROM {parcel.node_id}", sender, 8)
    canvas.setFont("Helvetica", 8)
    units = sum(item.units for item in parcel.items)
    canvas.drawString(MARGIN, MARGIN, f"Order {parcel.order_id}   {units} units")
    canvas.showPage()
    canvas.save()
    return sink.getvalue()


def _bar_code(code128: Any, value: str, room: float) -> Any:
    """As wide bars as fit the room."""
    for width in (1.6, 1.3, 1.1, 0.9, 0.7, 0.55):
        bar = code128(value, barWidth=width, barHeight=76, quiet=True, lquiet=QUIET * width, rquiet=QUIET * width)
        if bar.width <= room:
            return bar
    return bar


def _rule(canvas: Any, y: float) -> float:
    canvas.setLineWidth(1.2)
    canvas.line(MARGIN, y, WIDTH - MARGIN, y)
    return y - 4


def _address(canvas: Any, y: float, head: str, party: Party, size: float) -> float:
    canvas.setFont("Helvetica", 7)
    canvas.drawString(MARGIN, y - 8, head)
    y -= 10
    for number, line in enumerate(line for line in (party.name, *party.lines, party.phone) if line):
        y -= size + 1
        _fitted(canvas, MARGIN, y, line, "Helvetica-Bold" if number == 0 else "Helvetica", size, WIDTH - 2 * MARGIN)
    return y - 4


def _fitted(canvas: Any, x: float, y: float, text: str, font: str, size: float, room: float) -> None:
    """A text in a smaller size where it is too wide."""
    while size > 5 and canvas.stringWidth(text, font, size) > room:
        size -= 0.5
    canvas.setFont(font, size)
    canvas.drawString(x, y, text)


# ZPL


def label_zpl(parcel: Parcel, to: Party, sender: Party) -> str:
    """The same for a printer of 203 dots an inch. Raises PaperError."""
    check_label(parcel)
    cash = f"COD {parcel.currency} {amount(parcel.collect)}" if parcel.collect else "PREPAID: collect nothing"
    lines = [
        "^XA", "^CI28", f"^PW{4 * DOTS_PER_INCH}", f"^LL{6 * DOTS_PER_INCH}",
        _field(40, 40, 50, parcel.carrier.upper()), _field(560, 50, 22, f"Shipment {parcel.number}"),
        "^FO40,100^GB732,3,3^FS",
    ]  # fmt: skip
    y = 115
    for text in (to.name, *to.lines, to.phone):
        if text:
            lines.append(_field(40, y, 34, text))
            y += 40
    lines += [
        _field(40, 380, 110, parcel.postal_code), "^FO40,500^GB732,3,3^FS", _field(40, 520, 50, cash),
        "^FO40,590^GB732,3,3^FS",
        f"^BY{2 if len(parcel.tracking) > 14 else 3},3,200^FO60,620^BCN,200,Y,N,N,A^FH^FD{_plain(parcel.tracking)}^FS",
        "^FO40,890^GB732,3,3^FS", _field(40, 910, 24, f"From {parcel.node_id} {sender.name}"),
        *(_field(40, 940 + 30 * number, 24, text) for number, text in enumerate(sender.lines)),
        _field(40, 1150, 24, f"Order {parcel.order_id}"), "^XZ",
    ]  # fmt: skip
    return "\n".join(lines) + "\n"


def _field(x: int, y: int, height: int, text: str) -> str:
    return f"^FO{x},{y}^A0N,{height},{height}^FH^FD{_plain(text)}^FS"


def _plain(text: str) -> str:
    """A text of a field: what would be a command of the printer's is written by its code."""
    return "".join(f"_{ord(one):02X}" if one in "^~_\\" else one for one in text if one.isprintable())
