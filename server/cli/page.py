"""What the pages of commands share: one HTML file that needs nothing else, tables, and plots by matplotlib (the extra
`report`), each a picture inside the page.
"""

import base64
import io
from collections.abc import Callable, Iterable, Sequence
from html import escape
from pathlib import Path
from typing import Any, NamedTuple

from server.cli.output import BAD_USAGE, cell_text, fail, note

COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#000000")  # told apart by everybody: Okabe, Ito
_STYLE = (
    "body{font:15px/1.45 system-ui,sans-serif;color:#222;max-width:60rem;margin:2rem auto;padding:0 1rem}"
    "table{border-collapse:collapse;margin:1rem 0}th,td{padding:.2rem .8rem;border-bottom:1px solid #ddd}"
    "td+td,th+th{text-align:right;font-variant-numeric:tabular-nums}th{text-align:left}figure{margin:2rem 0}"
    "img{max-width:100%}figcaption{color:#555}"
)


class Plotless(Exception):
    """What plots need is not installed."""


class Plot(NamedTuple):
    """A picture, and what it shows."""

    caption: str
    svg: bytes


def check_place(out: Path | None) -> None:
    """Ends the command where a page cannot be written there. None: none is to be."""
    if out is not None and not out.parent.is_dir():
        fail(f"--out {out}: there is no folder {out.parent}: make it", BAD_USAGE)
    if out is not None and out.is_dir():
        fail(f"--out {out}: is a folder: name a file in it", BAD_USAGE)


def write(out: Path, plots: Callable[[], list[Plot]], page: Callable[[list[Plot]], str]) -> None:
    """Write a page; without plots, and a remark, where what draws them is not installed."""
    try:
        drawn = plots()
    except Plotless as error:
        drawn = []
        note(f"{out}: without plots: {error}")
    try:
        out.write_text(page(drawn), encoding="utf-8")
    except OSError as error:
        fail(f"--out {out}: cannot be written: {error.strerror}: name another file", BAD_USAGE)


def html(title: str, parts: Iterable[str]) -> str:
    """The whole page, of parts that are HTML."""
    head = [
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">' + f"<title>{escape(title)}</title>",
        f"<style>{_STYLE}</style></head><body><h1>{escape(title)}</h1>",
    ]
    return "\n".join([*head, *parts, "</body></html>\n"])


def table(head: Iterable[str], rows: Iterable[Any]) -> str:
    """Names left, figures right. head: of the figures."""
    lines = ["<tr><th></th>" + "".join(f"<th>{escape(name)}</th>" for name in head) + "</tr>"]
    lines += ["<tr>" + "".join(f"<td>{escape(cell_text(cell))}</td>" for cell in row) + "</tr>" for row in rows]
    return f"<table>{''.join(lines)}</table>"


def bullets(texts: Sequence[str]) -> str:
    """A list of remarks; nothing where there are none."""
    return f"<ul>{''.join(f'<li>{escape(text)}</li>' for text in texts)}</ul>" if texts else ""


def picture(plot: Plot) -> str:
    """A plot with its caption."""
    return (
        f'<figure><img alt="{escape(plot.caption)}" src="data:image/svg+xml;base64,'
        f'{base64.b64encode(plot.svg).decode()}"><figcaption>{escape(plot.caption)}</figcaption></figure>'
    )


def prepare_plots() -> None:
    """Before the first plot. Raises Plotless."""
    try:
        import matplotlib
    except ImportError:
        raise Plotless("they need matplotlib, the extra report: pip install '.[report]' in the clone") from None
    matplotlib.use("Agg")
    matplotlib.rcParams.update({"svg.hashsalt": "allot", "font.size": 9, "text.parse_math": False})


def figure(height: float) -> tuple[Any, Any]:
    """A figure of the page's width and its axes. height: inches."""
    from matplotlib import pyplot

    drawn, axes = pyplot.subplots(figsize=(8.5, height), layout="constrained")
    axes.spines[["top", "right"]].set_visible(False)
    return drawn, axes


def finished(drawn: Any, caption: str) -> Plot:
    """A figure as a picture; it is closed."""
    from matplotlib import pyplot

    out = io.BytesIO()
    drawn.savefig(out, format="svg", metadata={"Date": None})
    pyplot.close(drawn)
    return Plot(caption, out.getvalue())


def few_ticks() -> Any:
    """A locator that leaves room for long figures."""
    from matplotlib.ticker import MaxNLocator

    return MaxNLocator(5)
