"""What commands say, and where: results on stdout (a table, or JSON), progress on stderr and only on a terminal.

Exit codes: 0 done, 1 something was rejected or found wrong, 2 bad usage or input that cannot be used.
"""

import json
import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NoReturn

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn
from rich.table import Table
from rich.text import Text

DONE, FOUND_WRONG, BAD_USAGE, INTERRUPTED = 0, 1, 2, 130
_stderr = Console(stderr=True, highlight=False)
_PLAIN: dict[str, Any] = {"highlight": False, "markup": False, "emoji": False}  # names of users may hold brackets


def fail(message: str, code: int = BAD_USAGE) -> NoReturn:
    """End with one line on stderr."""
    print(f"allot: {message}", file=sys.stderr)
    raise typer.Exit(code)


def distinct_files(outputs: dict[str, Path | None], inputs: dict[str, Path | None]) -> None:
    """Ends the command where a file to write is one that is read, or is to be written twice. Both by option name."""
    seen = {os.path.realpath(path): name for name, path in inputs.items() if path}
    for name, path in outputs.items():
        if path:
            other = seen.setdefault(os.path.realpath(path), name)
            if other != name:
                fail(f"{path}: --{name} would overwrite --{other}: name another file")


class Bar:
    """A progress bar that several stages share; silent where stderr is no terminal."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._task: Any = None

    def stage(self, name: str, total: int | None = None) -> None:
        """Begin a stage."""
        if self._task is not None:
            self._progress.update(self._task, total=1, completed=1)
            self._progress.remove_task(self._task)
        self._task = self._progress.add_task(name, total=total)

    def advance(self, amount: int) -> None:
        """So much more of the stage is done."""
        self._progress.advance(self._task, amount)

    def to(self, done: int, total: int) -> None:
        """So much of the stage is done, of so much."""
        self._progress.update(self._task, completed=done, total=total)


@contextmanager
def bar() -> Iterator[Bar]:
    """A progress bar for the length of a block."""
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TaskProgressColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
    )
    with Progress(
        *columns, console=_stderr, transient=True, disable=sys.stderr is None or not sys.stderr.isatty()
    ) as progress:
        yield Bar(progress)


def show_json(value: Any) -> None:
    """The machine-readable result, alone on stdout."""
    print(json.dumps(value))


def show_table(title: str, rows: Sequence[tuple[str, *tuple[Any, ...]]], head: Sequence[str] = ("",)) -> None:
    """The result for a person: names left, figures right. head: of each column of figures."""
    table = Table(title=Text(title), show_header=any(head), title_justify="left", title_style="bold")
    table.add_column(style="dim", no_wrap=True)
    for name in head:
        table.add_column(Text(name), justify="right", overflow="fold")  # a figure is never cut off
    for name, *values in rows:
        table.add_row(name, *map(cell_text, values))
    Console(**_PLAIN).print(table)


def cell_text(value: Any) -> str:
    """A cell of a table for a person."""
    return f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else str(value)


def say(message: str) -> None:
    """A line of result for a person."""
    Console(**_PLAIN, soft_wrap=True).print(message)


def note(message: str) -> None:
    """A remark on stderr."""
    print(message, file=sys.stderr)
