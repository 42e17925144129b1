"""How far a stream of batches is: told to the caller, and shown on stderr where that is a terminal and asked for."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager


@contextmanager
def progress_to(progress: Callable[[int, int], None] | None, bar: bool, total: int) -> Iterator[Callable[[int], None]]:
    """Gives what to call with each number of orders that was answered."""
    answered = 0
    with _bar(bar, total) as advance:

        def done(orders: int) -> None:
            nonlocal answered
            answered += orders
            advance(orders)
            if progress is not None:
                progress(answered, total)

        yield done


@contextmanager
def _bar(wanted: bool, total: int) -> Iterator[Callable[[int], object]]:
    if not wanted or sys.stderr is None or not sys.stderr.isatty():
        yield lambda orders: None
        return
    try:
        from rich.console import Console
        from rich.progress import Progress
    except ImportError:
        raise ImportError("a progress bar needs rich: pip install 'allot-client[arrow]'") from None
    with Progress(console=Console(stderr=True), transient=True) as shown:
        task = shown.add_task("allocating", total=total)
        yield lambda orders: shown.advance(task, orders)
