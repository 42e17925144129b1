"""What a gateway is asked, and what each adapter can do."""

from dataclasses import dataclass, field
from typing import Protocol

from server.asking import Declined

AT_ONCE = 32  # payments that gateways are asked about


class StaysOpen(Declined):
    """Nothing is decided: the payment is open there, and a webhook tells what becomes of it."""


@dataclass(frozen=True)
class Asked:
    """An amount, how it is to be paid, and what is noted with it."""

    amount: int  # minor units
    currency: str  # ISO 4217
    notes: dict[str, str] = field(default_factory=dict)
    method: str = "CARD"  # of PaymentMethod
    held_days: int = 0  # how long the method holds the money before it is captured; 0: it is captured at once
    token: str = ""  # what the gateway calls a method that the customer saved; empty: none
    is_repeat: bool = False  # it may have been asked before, so long ago that the key is forgotten


@dataclass(frozen=True)
class Held:
    """What became of a charge."""

    reference: str  # what the gateway calls the payment
    is_captured: bool  # else it is authorised


class Gateway(Protocol):
    """One gateway. Calls raise Unreachable and Declined; an answer that is of something else is none: Unreachable."""

    name: str

    async def open(self, asked: Asked, key: str) -> str:
        """What the gateway calls the payment that the customer is to make."""

    async def charge(self, asked: Asked, order: str, key: str) -> Held:
        """Pay by the method that the customer saved. Raises StaysOpen where the customer has to do it himself."""

    async def capture(self, reference: str, asked: Asked, key: str) -> int:
        """Minor units that were captured in all."""

    async def void(self, reference: str, key: str) -> bool:
        """Whether an authorisation is let go of; else the gateway does so by itself, later."""

    async def refund(self, reference: str, asked: Asked, key: str) -> bool:
        """Whether it is done already; else a webhook tells."""
