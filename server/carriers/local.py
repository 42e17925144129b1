"""How the local carrier (server/local/carrier.py) is asked, over plain HTTP."""

from typing import Any

import httpx

from server.carriers.carrier import Booked, NotTaken, Offer, Parcel, Unreachable

TIMEOUT_SECONDS = 10.0


class Local:
    """Asks a local carrier."""

    def __init__(self, url: str, name: str = "local", timeout: float = TIMEOUT_SECONDS) -> None:
        self.name = name
        self._client = httpx.AsyncClient(base_url=url, timeout=timeout)

    async def _ask(self, path: str, body: dict[str, Any], key: str = "") -> dict[str, Any]:
        try:
            answer = await self._client.post(path, json=body, headers={"x-idempotency-key": key} if key else {})
        except httpx.HTTPError as error:
            raise Unreachable(f"{type(error).__name__}: {error}") from error
        if answer.status_code >= 500:
            raise Unreachable(f"{answer.status_code}: {answer.text[:200]}")
        if answer.status_code >= 400:
            raise NotTaken(f"{answer.status_code}: {answer.text[:200]}")
        found: dict[str, Any] = answer.json()
        return found

    async def offer(self, parcel: Parcel) -> Offer:
        """What it asks."""
        found = await self._ask("/offers", _body(parcel))
        return Offer(self.name, int(found["cost"]), int(found["due_at_us"]), bool(found["takes_cash"]))

    async def book(self, parcel: Parcel, key: str) -> Booked:
        """Take it."""
        found = await self._ask("/shipments", _body(parcel), key)
        return Booked(str(found["tracking"]), int(found["cost"]), int(found["due_at_us"]))

    async def cancel(self, tracking: str) -> None:
        """Do not come for it."""
        await self._ask(f"/shipments/{tracking}/cancel", {})


def _body(parcel: Parcel) -> dict[str, Any]:
    return {
        "postal_code": parcel.postal_code, "grams": parcel.grams, "collect": parcel.collect, "node_id": parcel.node_id,
    }  # fmt: skip
