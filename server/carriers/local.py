"""How the local carrier (server/local/carrier.py) is asked, over plain HTTP."""

from typing import Any

from server.asking import TIMEOUT_SECONDS, Http
from server.carriers.carrier import Booked, Offer, Parcel


class Local:
    """Asks a local carrier."""

    def __init__(self, url: str, name: str = "local", timeout: float = TIMEOUT_SECONDS) -> None:
        self.name = name
        self._http = Http(url, timeout)

    async def offer(self, parcel: Parcel) -> Offer:
        """What it asks."""
        return await self._http.ask(
            "/offers", _body(parcel),
            lambda offer: Offer(self.name, int(offer["cost"]), int(offer["due_at_us"]), bool(offer["takes_cash"])),
        )  # fmt: skip

    async def book(self, parcel: Parcel, key: str) -> Booked:
        """Take it."""
        return await self._http.ask(
            "/shipments", _body(parcel),
            lambda taken: Booked(str(taken["tracking"]), int(taken["cost"]), int(taken["due_at_us"])), key,
        )  # fmt: skip

    async def cancel(self, tracking: str) -> None:
        """Do not come for it."""
        await self._http.ask(f"/shipments/{tracking}/cancel", {}, lambda parcel: None)


def _body(parcel: Parcel) -> dict[str, Any]:
    return {
        "postal_code": parcel.postal_code, "grams": parcel.grams, "collect": parcel.collect, "node_id": parcel.node_id,
    }  # fmt: skip
