"""What `allot load` says while it runs, on stderr: a live table on a terminal, else a line a second."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import islice

from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from server.load.tally import Second, Tally

SHOWN_SECONDS = 12
SHOWN_FAILURES = 4
_HEAD = ("second", "answered/s", "orders/s", "failed/s", "p50", "p99", "under way", "late")


class View:
    """One run as it goes. `told` is called once a second."""

    def __init__(self, title: str, live: Live | None) -> None:
        self._title = title
        self._live = live
        self.tally: Tally | None = None  # of the run, once it has begun

    def say(self, message: str) -> None:
        """What is done now, beside the calls."""
        if self._live is None:
            print(message, file=sys.stderr, flush=True)
        else:
            self._live.update(Text(message), refresh=True)

    def told(self, second: Second) -> None:
        """A second is over."""
        if self._live is None:
            print(line_of(second), file=sys.stderr, flush=True)
        elif self.tally is not None:
            self._live.update(Group(*self._shown(self.tally)), refresh=True)

    def _shown(self, tally: Tally) -> Iterator[Table | Text]:
        table = Table(title=Text(self._title), title_justify="left", title_style="bold")
        for name in _HEAD:
            table.add_column(name, justify="right")
        for second in tally.seconds[-SHOWN_SECONDS:]:
            table.add_row(*map(Text, _cells(second)))
        yield table
        totals = ((name, calls.latencies.count, calls.latencies.percentile(99)) for name, calls in tally.calls.items())
        yield Text("   ".join(f"{name} {count:,} (p99 {p99 * 1e3:,.1f} ms)" for name, count, p99 in sorted(totals)))
        for kind, count in islice(tally.failures.most_common(), SHOWN_FAILURES):
            yield Text(f"{count:,} {kind}: {tally.messages.get(kind, 'orders of batches')}", style="red")


class Silent(View):
    """Says nothing: for --json."""

    def __init__(self) -> None:
        super().__init__("", None)

    def say(self, message: str) -> None:
        """Nothing."""

    def told(self, second: Second) -> None:
        """Nothing."""


@contextmanager
def view(title: str, json: bool) -> Iterator[View]:
    """What fits to where stderr goes, for the length of a block."""
    if json:
        yield Silent()
    elif sys.stderr is not None and sys.stderr.isatty():
        console = Console(stderr=True, highlight=False)
        with Live(console=console, auto_refresh=False, transient=True) as live:
            yield View(title, live)
    else:
        yield View(title, None)


def line_of(second: Second) -> str:
    """A second as a line of text."""
    at, answered, orders, failed, p50, p99, under_way, late = _cells(second)
    return (
        f"{at:>6} s  {answered}/s answered  {orders}/s orders  {failed}/s failed  p50 {p50}  p99 {p99}  "
        f"{under_way} under way  {late} late"
    )


def _cells(second: Second) -> tuple[str, ...]:
    times = (f"{seconds * 1e3:,.2f} ms" for seconds in (second.p50, second.p99))
    rates = (f"{rate:,.0f}" for rate in (second.answered, second.orders, second.failed))
    return f"{second.at:,.0f}", *rates, *times, f"{second.under_way:,}", f"{second.late:,}"
