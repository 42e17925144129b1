"""What a carrier is asked, and which of several offers is taken."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True)
class Parcel:
    """What a carrier is to take."""

    number: int  # of the shipment
    node_id: str
    postal_code: str
    grams: int
    collect: int  # minor units, cash on delivery
    needed_by_us: int = 0  # 0: any time


@dataclass(frozen=True)
class Offer:
    """What a carrier asks for a parcel that it is given now; after its cut-off it leaves a day later."""

    carrier: str
    cost: int  # minor units
    due_at_us: int
    takes_cash: bool


@dataclass(frozen=True)
class Booked:
    """A parcel that a carrier takes."""

    tracking: str
    cost: int
    due_at_us: int


class Carrier(Protocol):
    """One carrier. Calls raise Unreachable and Declined; an answer that is of something else is none: Unreachable."""

    name: str

    async def offer(self, parcel: Parcel) -> Offer:
        """What it asks."""

    async def book(self, parcel: Parcel, key: str) -> Booked:
        """Take it."""

    async def booked(self, key: str) -> Booked | None:
        """What was booked with a key."""

    async def cancel(self, tracking: str) -> None:
        """Do not come for it."""


def choose(offers: Sequence[Offer], parcel: Parcel) -> Offer | None:
    """The offer that is taken: takes cash where some is collected; in time; then the cheapest, the quickest, by name.

    Where none is in time, the quickest; None where nobody goes there.
    """
    fit = [one for one in offers if one.takes_cash or parcel.collect == 0]
    in_time = [one for one in fit if parcel.needed_by_us == 0 or one.due_at_us <= parcel.needed_by_us]
    if in_time:
        return min(in_time, key=lambda one: (one.cost, one.due_at_us, one.carrier))
    return min(fit, key=lambda one: (one.due_at_us, one.cost, one.carrier), default=None)
