"""The adapter of the local gateway (server/local/gateway.py): the same calls over plain HTTP, without an SDK."""

from typing import Any

from server.asking import TIMEOUT_SECONDS, Declined, Http, check_answer
from server.gateways.gateway import Asked, Held


class Local:
    """Asks a local gateway, which keeps keys for as long as it runs."""

    def __init__(self, url: str, name: str = "local", timeout: float = TIMEOUT_SECONDS) -> None:
        self.name = name
        self._http = Http(url, timeout)

    async def open(self, asked: Asked, key: str) -> str:
        """An order there, for the customer to pay."""

        def opened(order: dict[str, Any]) -> str:
            check_answer(order, entity="order", amount=asked.amount, currency=asked.currency)
            return str(order["id"])

        body = {"amount": asked.amount, "currency": asked.currency, "receipt": key, "notes": asked.notes}
        return await self._http.ask("/v1/orders", body, opened, key)

    async def charge(self, asked: Asked, order: str, key: str) -> Held:
        """By a method that the customer saved."""

        def held(payment: dict[str, Any]) -> Held:
            check_answer(
                payment, entity="payment", order_id=order, amount=asked.amount, currency=asked.currency
            )  # fmt: skip
            if payment["status"] not in ("authorized", "captured"):
                raise Declined(f"the payment is {payment['status']}")
            return Held(str(payment["id"]), payment["status"] == "captured")

        return await self._http.ask(f"/v1/orders/{order}/pay", {"token": asked.token}, held, key)

    async def capture(self, reference: str, asked: Asked, key: str) -> int:
        """Minor units that were captured in all."""

        def captured(payment: dict[str, Any]) -> int:
            check_answer(
                payment, entity="payment", id=reference, currency=asked.currency, captured=True,
                amount_captured=asked.amount,
            )  # fmt: skip
            return asked.amount

        body = {"amount": asked.amount, "currency": asked.currency}
        return await self._http.ask(f"/v1/payments/{reference}/capture", body, captured, key)

    async def void(self, reference: str, key: str) -> bool:
        """Let go of an authorisation."""

        def voided(payment: dict[str, Any]) -> bool:
            check_answer(payment, entity="payment", id=reference, status="voided")
            return True

        return await self._http.ask(f"/v1/payments/{reference}/void", {}, voided, key)

    async def refund(self, reference: str, asked: Asked, key: str) -> bool:
        """Whether it is done already."""

        def refunded(refund: dict[str, Any]) -> bool:
            check_answer(
                refund, entity="refund", payment_id=reference, amount=asked.amount, currency=asked.currency
            )  # fmt: skip
            if refund["status"] == "failed":
                raise Declined("the refund failed")
            return bool(refund["status"] == "processed")

        body = {"amount": asked.amount, "notes": asked.notes, "receipt": key}
        return await self._http.ask(f"/v1/payments/{reference}/refund", body, refunded, key)
