"""What a gateway is asked, and what each adapter can do."""

from dataclasses import dataclass, field
from typing import Protocol


@dataclass(frozen=True)
class Asked:
    """An amount and what is noted with it."""

    amount: int  # minor units
    currency: str  # ISO 4217
    notes: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Held:
    """What became of a charge."""

    reference: str  # what the gateway calls the payment
    is_captured: bool  # else it is authorised


class Gateway(Protocol):
    """One gateway. Calls raise Unreachable and Declined."""

    name: str

    async def open(self, asked: Asked, key: str) -> str:
        """What the gateway calls the payment that the customer is to make."""

    async def charge(self, asked: Asked, order: str, token: str, key: str) -> Held:
        """Pay by a method that the customer saved."""

    async def capture(self, reference: str, asked: Asked, key: str) -> int:
        """Minor units that were captured in all."""

    async def void(self, reference: str, key: str) -> None:
        """Let go of an authorisation."""

    async def refund(self, reference: str, asked: Asked, key: str) -> bool:
        """Whether it is done already; else a webhook tells."""
