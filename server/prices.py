"""Keeps prices of stock warm beside an engine that decides by cost: a thread that looks again and again, and rests."""

import threading
import time
from collections.abc import Callable
from typing import Any

import structlog

PAUSE_SECONDS = 5.0  # between two looks, at least
RESTS = 9  # times as long as it worked: a tenth of a core at most
_log = structlog.get_logger("prices")


class PriceKeeper:
    """The thread. A look that fails is logged, and the prices stay as they are."""

    def __init__(self, pricing: Any, clock: Callable[[], float] = time.time) -> None:
        """pricing: engine.prices.Pricing."""
        self._pricing, self._clock = pricing, clock
        self._ends = threading.Event()
        self._began = 0.0  # of the piece that is under way
        self._thread = threading.Thread(target=self._keep, name="allot-prices", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self) -> None:
        """End; blocks until a look that is under way is over."""
        self._ends.set()
        if self._thread.ident is not None:
            self._thread.join()

    def _keep(self) -> None:
        pause = 0.0
        while not self._ends.wait(pause):
            self._began = time.monotonic()
            try:
                self._pricing.refresh(self._clock(), self._rested)
            except Exception as error:
                _log.error("prices of stock were not refreshed, the last ones stay", error=repr(error))
            pause = PAUSE_SECONDS

    def _rested(self) -> bool:
        """Rest from a piece of a look; whether it is over."""
        is_over = self._ends.wait(RESTS * (time.monotonic() - self._began))
        self._began = time.monotonic()
        return is_over
