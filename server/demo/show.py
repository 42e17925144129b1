"""What the demo says: on stderr a live bar, or a line a stage where that is no terminal; on stdout what came of it."""

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, Progress, ProgressColumn, SpinnerColumn, Task, TextColumn, TimeElapsedColumn
from rich.text import Text

_BAR_COLUMNS = 24
_PLAIN_EVERY_SECONDS = 5.0  # a line of progress, where there is no bar


class _Figures(ProgressColumn):
    """So many of so many, and how many a second so far."""

    def render(self, task: Task) -> Text:
        if task.total is None:
            return Text("")
        pace = task.completed / task.elapsed if task.elapsed else 0.0
        return Text(f"{task.completed:>9,.0f} of {task.total:,.0f}  {pace:>9,.0f}/s")


class Stage:
    """One stage under way. May be advanced by several threads."""

    def __init__(self, show: "Show", name: str, total: int | None) -> None:
        self._show = show
        self._name = name
        self._total = total
        self._done = 0
        self._began = self._told = time.monotonic()
        self.outcome = ""  # said at its end, instead of the name
        self._task = show.progress.add_task(name, total=total)

    @property
    def seconds(self) -> float:
        """Since it began."""
        return time.monotonic() - self._began

    def advance(self, amount: int) -> None:
        """So much more is done."""
        self._show.progress.advance(self._task, amount)
        self._done += amount  # of a line now and then only: a lost race costs nothing
        now = time.monotonic()
        if not self._show.live and now - self._told > _PLAIN_EVERY_SECONDS:
            self._told = now
            self._show.say(f"  {self._name}: {self._done:,} of {self._total:,}")

    def end(self) -> None:
        """Leaves one line."""
        self._show.progress.remove_task(self._task)
        self._show.say(f"{self.seconds:6.1f} s  {self.outcome or self._name}")


class Show:
    """The progress of a run."""

    def __init__(self) -> None:
        self._console = Console(stderr=True, highlight=False, markup=False, emoji=False, soft_wrap=True)
        self.live = sys.stderr.isatty()
        self.progress = Progress(
            SpinnerColumn(),
            TextColumn("{task.description}", markup=False),
            BarColumn(_BAR_COLUMNS),
            _Figures(),
            TimeElapsedColumn(),
            console=self._console,
            transient=True,
            disable=not self.live,
        )

    def __enter__(self) -> Self:
        self.progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.progress.stop()

    def say(self, message: str) -> None:
        """A line that stays, above the bar."""
        self._console.print(message)

    @contextmanager
    def stage(self, name: str, total: int | None = None) -> Iterator[Stage]:
        """A stage for the length of a block; it says what came of it where the block ends well."""
        if not self.live:
            self.say(f"          {name} ...")
        stage = Stage(self, name, total)
        yield stage
        stage.end()
