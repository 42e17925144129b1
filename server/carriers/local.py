"""How the local carrier (server/local/carrier.py) is asked, over plain HTTP."""

from typing import Any

from server.asking import TIMEOUT_SECONDS, Http, check_answer
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

        def taken(answer: dict[str, Any]) -> Booked:
            check_answer(answer, postal_code=parcel.postal_code, collect=parcel.collect)
            return _booked(answer)

        return await self._http.ask("/shipments", _body(parcel), taken, key)

    async def booked(self, key: str) -> Booked | None:
        """What was booked with a key."""
        return await self._http.ask(
            f"/bookings/{key}", None, lambda found: _booked(found["parcel"]) if found["parcel"] else None
        )

    async def cancel(self, tracking: str) -> None:
        """Do not come for it."""
        await self._http.ask(
            f"/shipments/{tracking}/cancel", {}, lambda answer: check_answer(answer, tracking=tracking)
        )  # fmt: skip


def _booked(parcel: dict[str, Any]) -> Booked:
    tracking = parcel["tracking"]
    if not isinstance(tracking, str) or not tracking:
        raise ValueError(f"tracking: {tracking!r}")
    return Booked(tracking, int(parcel["cost"]), int(parcel["due_at_us"]))


def _body(parcel: Parcel) -> dict[str, Any]:
    return {
        "postal_code": parcel.postal_code, "grams": parcel.grams, "collect": parcel.collect, "node_id": parcel.node_id,
    }  # fmt: skip
