"""The adapter of the local gateway (server/local/gateway.py): the same calls over plain HTTP, without an SDK."""

from typing import Any

import httpx

from server.gateways.gateway import Asked, Declined, Held, Unreachable

TIMEOUT_SECONDS = 10.0


class Local:
    """Asks a local gateway."""

    def __init__(self, url: str, name: str = "local", timeout: float = TIMEOUT_SECONDS) -> None:
        self.name = name
        self._client = httpx.AsyncClient(base_url=url, timeout=timeout)

    async def _ask(self, path: str, body: dict[str, Any], key: str) -> dict[str, Any]:
        try:
            answer = await self._client.post(path, json=body, headers={"x-idempotency-key": key})
        except httpx.HTTPError as error:
            raise Unreachable(f"{type(error).__name__}: {error}") from error
        if answer.status_code >= 500:
            raise Unreachable(f"{answer.status_code}: {answer.text[:200]}")
        if answer.status_code >= 400:
            raise Declined(f"{answer.status_code}: {answer.text[:200]}")
        found: dict[str, Any] = answer.json()
        return found

    async def open(self, asked: Asked, key: str) -> str:
        """An order there, for the customer to pay."""
        body = {"amount": asked.amount, "currency": asked.currency, "receipt": key, "notes": asked.notes}
        return str((await self._ask("/v1/orders", body, key))["id"])

    async def charge(self, asked: Asked, order: str, token: str, key: str) -> Held:
        """By a method that the customer saved."""
        found = await self._ask(f"/v1/orders/{order}/pay", {"token": token}, key)
        if found["status"] == "failed":
            raise Declined("the payment failed")
        return Held(str(found["id"]), found["status"] == "captured")

    async def capture(self, reference: str, asked: Asked, key: str) -> int:
        """Minor units that were captured in all."""
        body = {"amount": asked.amount, "currency": asked.currency}
        return int((await self._ask(f"/v1/payments/{reference}/capture", body, key))["amount_captured"])

    async def void(self, reference: str, key: str) -> None:
        """Let go of an authorisation."""
        await self._ask(f"/v1/payments/{reference}/void", {}, key)

    async def refund(self, reference: str, asked: Asked, key: str) -> bool:
        """Whether it is done already."""
        body = {"amount": asked.amount, "notes": asked.notes, "receipt": key}
        return str((await self._ask(f"/v1/payments/{reference}/refund", body, key))["status"]) == "processed"
