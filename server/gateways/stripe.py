"""Stripe: its webhooks, and the adapter over its SDK (the extra `payments`).

Webhooks carry `Stripe-Signature: t=TIME,v1=SIGNATURE` over "TIME.BODY", and are good for five minutes
(docs.stripe.com, on verifying webhooks). Amounts are in the smallest unit of the currency, which is told in small
letters.
"""

import json
from collections.abc import Mapping
from typing import Any

from server.asking import Declined, Unreachable
from server.gateways.facts import Fact, Ignored, Malformed, check_timed, noted, whole
from server.gateways.gateway import Asked, Held

_INTENT_STEPS = {
    "payment_intent.amount_capturable_updated": ("authorise", "amount_capturable"),
    "payment_intent.succeeded": ("capture", "amount_received"),
    "payment_intent.payment_failed": ("fail", ""),
    "payment_intent.canceled": ("void", ""),
}
_REFUNDS = ("refund.created", "refund.updated", "refund.failed", "charge.refund.updated")
_REFUND_STEPS = {"succeeded": "done", "failed": "failed", "canceled": "failed"}
_IGNORED_KINDS = {
    "checkout.session": "its payment intent tells the same",
    "charge.dispute": "disputes are answered at the gateway: what they cost comes with the settlement",
    "balance": "settlements are matched by `allot reconcile`, from their file",
    "payout": "settlements are matched by `allot reconcile`, from their file",
}


class StripeWebhooks:
    """Reads Stripe's webhooks."""

    def verify(self, body: bytes, headers: Mapping[str, str], secret: str, now: float) -> str:
        """The event's id, which is in the body: read only once that is verified."""
        check_timed(headers.get("stripe-signature", ""), body, secret, now)
        try:
            event_id = str(json.loads(body)["id"])
        except (ValueError, KeyError, TypeError) as error:
            raise Malformed(f"it is no event: {error!r}") from None
        return event_id

    def read(self, body: bytes) -> Fact | Ignored:
        """What the event tells."""
        try:
            message = json.loads(body)
            kind, what = str(message["type"]), message["data"]["object"]
        except (ValueError, KeyError, TypeError) as error:
            raise Malformed(f"it is no event: {error!r}") from None
        for ignored, why in _IGNORED_KINDS.items():
            if kind.startswith(ignored):
                return Ignored(why)
        try:
            if kind in _INTENT_STEPS:
                return _intent(*_INTENT_STEPS[kind], what)
            if kind in _REFUNDS:
                return _refund(what)
        except (KeyError, TypeError, AttributeError) as error:
            raise Malformed(f"{kind}: a part of it is missing: {error!r}") from None
        return Ignored(f"{kind}: events of this kind change nothing here")


def _intent(step: str, amount: str, intent: Mapping[str, Any]) -> Fact:
    channel, payment_id, _ = noted(intent.get("metadata") or {})
    return Fact(
        step, (str(intent["id"]),), whole(intent, amount) if amount else 0, str(intent.get("currency") or "").upper(),
        channel, payment_id,
    )  # fmt: skip


def _refund(refund: Mapping[str, Any]) -> Fact | Ignored:
    step = _REFUND_STEPS.get(str(refund["status"]))
    if step is None:
        return Ignored(f"a refund that is {refund['status']}: what counts is whether it succeeded or failed")
    references = tuple(str(one) for one in (refund.get("payment_intent"), refund.get("charge")) if one)
    currency = str(refund.get("currency") or "").upper()
    return Fact(step, references, whole(refund, "amount"), currency, *noted(refund.get("metadata") or {}))


class Stripe:
    """Asks Stripe by its SDK."""

    def __init__(self, api_key: str, base_url: str = "", name: str = "stripe") -> None:
        """base_url: of another server that speaks the same; empty: Stripe's own. Raises ImportError with the mend."""
        try:
            import stripe
        except ImportError:
            raise ImportError("stripe payments need its SDK: pip install 'allot[payments]'") from None
        self.name = name
        self._errors = stripe
        addresses: Any = {"base_addresses": {"api": base_url}} if base_url else {}
        self._client = stripe.StripeClient(api_key, http_client=stripe.HTTPXClient(), **addresses)

    async def _ask(self, call: Any, *arguments: Any, key: str) -> Any:
        try:
            return await call(*arguments, options={"idempotency_key": key})
        except (self._errors.InvalidRequestError, self._errors.CardError) as error:
            raise Declined(str(error)) from None
        except self._errors.StripeError as error:
            raise Unreachable(f"{type(error).__name__}: {error}") from error

    async def open(self, asked: Asked, key: str) -> str:
        """A payment intent there, for the customer to confirm."""
        params = {
            "amount": asked.amount, "currency": asked.currency.lower(), "capture_method": "manual",
            "metadata": asked.notes,
        }  # fmt: skip
        return str((await self._ask(self._client.v1.payment_intents.create_async, params, key=key)).id)

    async def charge(self, asked: Asked, order: str, token: str, key: str) -> Held:
        """By a method that the customer saved."""
        params = {"payment_method": token, "off_session": True}
        found = await self._ask(self._client.v1.payment_intents.confirm_async, order, params, key=key)
        if found.status not in ("requires_capture", "succeeded"):
            raise Declined(f"the payment is {found.status}")
        return Held(order, found.status == "succeeded")

    async def capture(self, reference: str, asked: Asked, key: str) -> int:
        """Minor units that were captured in all."""
        params = {"amount_to_capture": asked.amount}
        found = await self._ask(self._client.v1.payment_intents.capture_async, reference, params, key=key)
        return int(found.amount_received)

    async def void(self, reference: str, key: str) -> None:
        """Let go of an authorisation."""
        await self._ask(self._client.v1.payment_intents.cancel_async, reference, {}, key=key)

    async def refund(self, reference: str, asked: Asked, key: str) -> bool:
        """Whether it is done already."""
        params = {"payment_intent": reference, "amount": asked.amount, "metadata": asked.notes}
        return str((await self._ask(self._client.v1.refunds.create_async, params, key=key)).status) == "succeeded"
