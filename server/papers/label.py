"""The label of a parcel, 4 by 6 inches, with its tracking number as Code 128: as PDF, and as ZPL for label printers."""

import io
from typing import Any

from server.papers.bar_code import DOT, DOTS_PER_INCH, BarCode, bar_code
from server.papers.drawing import BOLD, FIXED, REGULAR, draw, draw_right, fitted
from server.papers.given import PaperError, check_printable
from server.papers.parcel import Parcel, Party

INCH = 72.0
WIDTH, HEIGHT = 4 * INCH, 6 * INCH
MARGIN = 14.0
ROOM = WIDTH - 2 * MARGIN
WIDTH_DOTS, HEIGHT_DOTS = 4 * DOTS_PER_INCH, 6 * DOTS_PER_INCH
MARGIN_DOTS = 40
ROOM_DOTS = WIDTH_DOTS - 2 * MARGIN_DOTS


def label_pdf(parcel: Parcel, to: Party, sender: Party) -> bytes:
    """One page. Raises PaperError."""
    from reportlab.pdfgen.canvas import Canvas

    bars = _checked(parcel, to, sender)
    sink = io.BytesIO()
    canvas = Canvas(sink, pagesize=(WIDTH, HEIGHT), invariant=True)
    canvas.setTitle(f"Label {parcel.tracking}")
    y = HEIGHT - MARGIN - 16
    draw(canvas, MARGIN, y, parcel.carrier.upper(), BOLD, 18, ROOM / 2)
    draw_right(canvas, WIDTH - MARGIN, y + 4, f"Shipment {parcel.number}", REGULAR, 9, ROOM / 2 - 8)
    y = _rule(canvas, y - 8)
    y = _address(canvas, y, "SHIP TO", to, 12)
    draw(canvas, MARGIN, y - 34, parcel.postal_code, BOLD, 40, ROOM)
    y = _rule(canvas, y - 46)
    draw(canvas, MARGIN, y - 19, _cash(parcel), BOLD, 18 if parcel.collect else 14, ROOM, size_min=0)
    y = _rule(canvas, y - 30)
    bars.draw(canvas, (WIDTH_DOTS - bars.dots) // 2 * DOT, y - 74, 66)
    text, size = fitted(parcel.tracking, FIXED, 13, ROOM, 0)
    canvas.setFont(FIXED, size)
    canvas.drawCentredString(WIDTH / 2, y - 90, text)
    y = _rule(canvas, y - 100)
    _address(canvas, y, f"FROM {parcel.node_id}", sender, 8)
    draw(canvas, MARGIN, MARGIN - 4, _content(parcel), REGULAR, 8, ROOM)
    canvas.showPage()
    canvas.save()
    return sink.getvalue()


def _checked(parcel: Parcel, to: Party, sender: Party) -> BarCode:
    """The bar code. Raises PaperError where the parcel would not get anywhere."""
    if not parcel.postal_code:
        raise PaperError(f"postal_code: shipment {parcel.number} has none: where is it to go?")
    if not parcel.tracking:
        raise PaperError(f"reference: shipment {parcel.number} has no tracking number: book it with a carrier first")
    check_printable((
        ("carrier", parcel.carrier.upper()), ("node_id", parcel.node_id), ("postal_code", parcel.postal_code),
        ("order_id", parcel.order_id), *to.texts("to"), *sender.texts("seller"),
    ))  # fmt: skip
    return bar_code("reference", parcel.tracking, WIDTH_DOTS)


def _cash(parcel: Parcel) -> str:
    return f"COD {parcel.cash}" if parcel.collect else "PREPAID: collect nothing"


def _content(parcel: Parcel) -> str:
    units = f"{sum(item.units for item in parcel.items):,} units"
    return f"Order {parcel.order_id}   {units}" if parcel.order_id else units


def _rule(canvas: Any, y: float) -> float:
    canvas.setLineWidth(1.2)
    canvas.line(MARGIN, y, WIDTH - MARGIN, y)
    return y - 4


def _address(canvas: Any, y: float, head: str, party: Party, size: float) -> float:
    draw(canvas, MARGIN, y - 8, head, REGULAR, 7, ROOM)
    y -= 10
    for number, line in enumerate(_lines(party)):
        y -= size + 1
        draw(canvas, MARGIN, y, line, REGULAR if number else BOLD, size, ROOM)
    return y - 4


def _lines(party: Party) -> list[str]:
    return [line for line in (party.name, *party.lines, party.phone) if line]


# ZPL


def label_zpl(parcel: Parcel, to: Party, sender: Party) -> str:
    """The same for a printer of 203 dots an inch. Raises PaperError."""
    bars = _checked(parcel, to, sender)
    x, half = MARGIN_DOTS, ROOM_DOTS // 2
    lines = [
        "^XA", "^CI28", f"^PW{WIDTH_DOTS}", f"^LL{HEIGHT_DOTS}",
        _field(x, 40, 50, parcel.carrier.upper(), half), _field(x + half, 50, 24, f"Shipment {parcel.number}", half),
        _zpl_rule(100),
        *(_field(x, 115 + 37 * number, 34, line) for number, line in enumerate(_lines(to))),
        _field(x, 385, 110, parcel.postal_code), _zpl_rule(500),
        _field(x, 520, 50, _cash(parcel), height_min=0), _zpl_rule(590),
        f"^BY{bars.module_dots}^FO{(WIDTH_DOTS - bars.dots) // 2},610^BCN,200,N,N,N,N^FH^FD{_plain(bars.zpl())}^FS",
        _field(x, 830, 40, parcel.tracking, height_min=0), _zpl_rule(890),
        _field(x, 905, 24, f"FROM {parcel.node_id}"),
        *(_field(x, 935 + 30 * number, 24, line) for number, line in enumerate(_lines(sender))),
        _field(x, 1160, 24, _content(parcel)), "^XZ",
    ]  # fmt: skip
    return "\n".join(lines) + "\n"


def _zpl_rule(y: int) -> str:
    return f"^FO{MARGIN_DOTS},{y}^GB{ROOM_DOTS},3,3^FS"


def _field(x: int, y: int, height: int, text: str, room: int = ROOM_DOTS, height_min: int = 18) -> str:
    """A text in the printer's font, which is narrower than the one that it is measured by."""
    text, size = fitted(text, BOLD, height, room, height_min)
    return f"^FO{x},{y}^A0N,{int(size)},{int(size)}^FH^FD{_plain(text)}^FS"


def _plain(text: str) -> str:
    """A text of a field: what would be a command of the printer's is written by its code."""
    return "".join(f"_{ord(one):02X}" if one in "^~_\\" else one for one in text)
