"""What each channel may sell, kept up to date commit by commit: the figures last published and the sequence they are from.

The sequence of the commit is the version, so versions only go up, through restarts too.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np

from engine.columns import reserve
from engine.outcomes import Namespace
from engine.state import State
# import below
from kernels.columns import Head


@dataclass(frozen=True)
class AtsChanges:
    """New figures, a row each."""

    sequence: int
    channel: Any  # int16 [change]
    sku: Any  # int32 [change]
    units: Any  # int32 [change] what the channel may sell now


class Availability:
    """ATS of every channel and SKU, as last published."""

    def __init__(self, state: State) -> None:
        self._state = state
        raise NotImplementedError
