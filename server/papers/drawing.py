"""Texts on a page of PDF that keep within their room: in a smaller size where they are too wide, and then cut."""

from typing import Any

REGULAR, BOLD, FIXED = "Helvetica", "Helvetica-Bold", "Courier-Bold"


def fitted(text: str, font: str, size: float, room: float, size_min: float) -> tuple[str, float]:
    """A text and its size, so that it is no wider than the room; cut where that needs less than size_min (0: never)."""
    from reportlab.pdfbase.pdfmetrics import stringWidth

    width = stringWidth(text, font, 1)
    if width * size <= room:
        return text, size
    size = max(size_min, room / width)
    while text and stringWidth(text, font, size) > room + 0.01:
        text = text.removesuffix("…")[:-1].rstrip()
        text += "…" if text else ""
    return text, size


def draw(canvas: Any, x: float, y: float, text: str, font: str, size: float, room: float, size_min: float = 5) -> None:
    """From x to the right."""
    text, size = fitted(text, font, size, room, size_min)
    canvas.setFont(font, size)
    canvas.drawString(x, y, text)


def draw_right(
    canvas: Any, x: float, y: float, text: str, font: str, size: float, room: float, size_min: float = 5
) -> None:
    """Up to x from the left."""
    text, size = fitted(text, font, size, room, size_min)
    canvas.setFont(font, size)
    canvas.drawRightString(x, y, text)
