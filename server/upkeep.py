"""Upkeep of a running engine, once a day in a quiet hour: keys older than thirty days are forgotten, and the rows of
orders that closed so long ago are freed.

Both are commits like others (engine/upkeep.py). What is retired is still answered from the views.
"""

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from structlog.typing import FilteringBoundLogger

from engine.commands import Forget, Retire
from server.batcher import Batcher
from server.errors import Rejection

KEPT = timedelta(days=30)  # RULES.md: keys are kept thirty days
_MICROSECOND = timedelta(microseconds=1)


def next_at(now: datetime, hour: int) -> datetime:
    """The next moment at which the clock strikes an hour of the day, UTC."""
    today = now.replace(hour=hour, minute=0, second=0, microsecond=0)
    return today if today > now else today + timedelta(days=1)


async def tidy(batcher: Batcher, now: datetime) -> None:
    """Retire and forget, as of a moment. Raises Rejection."""
    before = (now - KEPT - datetime(1970, 1, 1, tzinfo=UTC)) // _MICROSECOND
    await batcher.ask(Retire(before))
    first_kept = await batcher.read(lambda engine: engine.journal.first_since(before))
    await batcher.ask(Forget(first_kept))


async def tidy_daily(
    batcher: Batcher, hour: int, log: FilteringBoundLogger, clock: Callable[[], datetime] = lambda: datetime.now(UTC)
) -> None:
    """Until it is cancelled."""
    while True:
        now = clock()
        await asyncio.sleep((next_at(now, hour) - now).total_seconds())
        began = clock()
        try:
            await tidy(batcher, began)
        except Rejection as rejection:
            log.warning("upkeep was refused, it is tried again tomorrow", reason=rejection.reason)
        else:
            log.info("orders retired, keys forgotten", seconds=round((clock() - began).total_seconds(), 2))
