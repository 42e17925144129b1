"""The adapter of the local gateway (server/local/gateway.py): the same calls over plain HTTP, without an SDK."""

from typing import Any

from server.asking import TIMEOUT_SECONDS, Declined, Http
from server.gateways.gateway import Asked, Held


class Local:
    """Asks a local gateway."""

    def __init__(self, url: str, name: str = "local", timeout: float = TIMEOUT_SECONDS) -> None:
        self.name = name
        self._http = Http(url, timeout)

    async def open(self, asked: Asked, key: str) -> str:
        """An order there, for the customer to pay."""
        body = {"amount": asked.amount, "currency": asked.currency, "receipt": key, "notes": asked.notes}
        return await self._http.ask("/v1/orders", body, lambda order: str(order["id"]), key)

    async def charge(self, asked: Asked, order: str, token: str, key: str) -> Held:
        """By a method that the customer saved."""

        def held(payment: dict[str, Any]) -> Held:
            if payment["status"] == "failed":
                raise Declined("the payment failed")
            return Held(str(payment["id"]), payment["status"] == "captured")

        return await self._http.ask(f"/v1/orders/{order}/pay", {"token": token}, held, key)

    async def capture(self, reference: str, asked: Asked, key: str) -> int:
        """Minor units that were captured in all."""
        body = {"amount": asked.amount, "currency": asked.currency}
        path = f"/v1/payments/{reference}/capture"
        return await self._http.ask(path, body, lambda payment: int(payment["amount_captured"]), key)

    async def void(self, reference: str, key: str) -> None:
        """Let go of an authorisation."""
        await self._http.ask(f"/v1/payments/{reference}/void", {}, lambda payment: None, key)

    async def refund(self, reference: str, asked: Asked, key: str) -> bool:
        """Whether it is done already."""
        body = {"amount": asked.amount, "notes": asked.notes, "receipt": key}
        path = f"/v1/payments/{reference}/refund"
        return await self._http.ask(path, body, lambda refund: bool(refund["status"] == "processed"), key)
