"""Code 128 bar codes that a scanner reads: modules of whole dots of a label printer, wide enough or refused."""

from typing import Any, NamedTuple

from server.papers.given import PaperError
from server.validation.values import shown

DOTS_PER_INCH = 203
DOT = 72 / DOTS_PER_INCH  # points
QUIET_MODULES = 10  # on each side
_DOTS_MIN, _DOTS_MAX = 2, 4  # of a module; a scanner reads 0.25 mm
_TRIM = DOT / 10  # off each side of a bar: what draws pages may blacken every dot that a bar touches
_FRAME_MODULES = 11 + 11 + 13  # start, check character, stop
_START_C, _IN_B, _IN_C = 105, 100, 99
_ZPL_B = {"^": "><", "~": ">=", ">": ">0"}


class BarCode(NamedTuple):
    """One, without its quiet zones."""

    text: str
    symbols: tuple[int, ...]  # start and data, as Code 128 numbers them
    widths: tuple[int, ...]  # of its bars and the spaces between them in turn, modules
    module_dots: int

    @property
    def dots(self) -> int:
        """Its width."""
        return self.module_dots * sum(self.widths)

    def draw(self, canvas: Any, x: float, y: float, height: float) -> None:
        """On a PDF page, points; x: its left end."""
        for at, width in enumerate(self.widths):
            points = width * self.module_dots * DOT
            if at % 2 == 0:
                canvas.rect(x + _TRIM, y, points - 2 * _TRIM, height, stroke=0, fill=1)
            x += points

    def zpl(self) -> str:
        """The data of a ^BC field in mode N, which says symbol by symbol what is printed."""
        in_c = self.symbols[0] == _START_C
        found = [">;" if in_c else ">:"]
        for symbol in self.symbols[1:]:
            if symbol == (_IN_B if in_c else _IN_C):
                in_c = not in_c
                found.append(">5" if in_c else ">6")
            elif in_c:
                found.append(f"{symbol:02d}")
            else:
                character = chr(32 + symbol)
                found.append(_ZPL_B.get(character, character))
        return "".join(found)


def bar_code(field: str, text: str, room_dots: int) -> BarCode:
    """The widest that fits. room_dots: with the quiet zones. Raises PaperError where a scanner would not read it."""
    from reportlab.graphics.barcode.code128 import Code128

    if not text.isascii() or not text.isprintable():
        raise PaperError(f"{field}: {shown(text)}: a Code 128 bar code has printable ASCII characters only")
    code = Code128(text)
    code.validate()
    symbols = tuple(code.encode()[:-2])  # the check character and the stop are the printer's
    widths = tuple("abcd".index(one) + 1 for one in code.decompose().lower())
    modules = sum(widths) + 2 * QUIET_MODULES
    if room_dots < _DOTS_MIN * modules:
        letters = (room_dots // _DOTS_MIN - 2 * QUIET_MODULES - _FRAME_MODULES) // 11
        raise PaperError(
            f"{field}: {shown(text)}: a scanner would not read a bar code of {len(text)} characters in"
            f" {room_dots / DOTS_PER_INCH:.1f} inches: give {letters} characters at most, or {2 * letters - 2} digits"
        )
    return BarCode(text, symbols, widths, min(_DOTS_MAX, room_dots // modules))
