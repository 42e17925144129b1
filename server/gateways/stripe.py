"""Stripe: its webhooks, and the adapter over its SDK (the extra `payments`).

Webhooks carry `Stripe-Signature: t=TIME,v1=SIGNATURE` over "TIME.BODY", and are good for five minutes
(docs.stripe.com, on verifying webhooks). Amounts are in the smallest unit of the currency, which is told in small
letters.
"""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from server.asking import TIMEOUT_SECONDS, Declined, Unreachable, check_answer
from server.gateways.facts import Event, Fact, Ignored, Malformed, check_timed, created, noted, whole
from server.gateways.gateway import Asked, Held, StaysOpen

_INTENT_STEPS = {
    "payment_intent.amount_capturable_updated": ("authorise", "amount_capturable"),
    "payment_intent.succeeded": ("capture", "amount_received"),
    "payment_intent.payment_failed": ("fail", ""),
    "payment_intent.canceled": ("void", ""),
}
_REFUNDS = ("refund.created", "refund.updated", "refund.failed", "charge.refund.updated")
_LAPSES = ("automatic", "expired")  # why an intent is cancelled that nobody let go of
_METHOD_TYPES = {"CARD": "card", "UPI": "upi"}
_REFUND_UNDER_WAY = ("pending", "requires_action", "succeeded")
_REFUND_STEPS = {"succeeded": "done", "failed": "failed", "canceled": "failed"}
_IGNORED_KINDS = {
    "checkout.session": "its payment intent tells the same",
    "charge.dispute": "disputes are answered at the gateway: what they cost comes with the settlement",
    "balance": "settlements are matched by `allot reconcile`, from their file",
    "payout": "settlements are matched by `allot reconcile`, from their file",
}


class StripeWebhooks:
    """Reads Stripe's webhooks."""

    def verify(self, body: bytes, headers: Mapping[str, str], secret: str, now: float) -> Event:
        """Its id is in the body: read only once that is verified."""
        check_timed(headers.get("stripe-signature", ""), body, secret, now)
        at = created(body, "created")
        try:
            return Event(str(json.loads(body)["id"]), at)
        except KeyError:
            raise Malformed("it is no event: it has no id") from None

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
    if step == "void" and intent.get("cancellation_reason") in _LAPSES:
        step = "lapse"
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
    """Asks Stripe by its SDK.

    Keys are kept for a day: what may have been asked before that is looked for first. A saved method is told as
    CUSTOMER:METHOD, as cus_1:pm_1: it is charged for the customer that it belongs to alone.
    """

    def __init__(
        self, api_key: str, base_url: str = "", name: str = "stripe", timeout: float = TIMEOUT_SECONDS
    ) -> None:
        """base_url: of another server that speaks the same; empty: Stripe's own. Raises ImportError with the mend."""
        try:
            import stripe
        except ImportError:
            raise ImportError("stripe payments need its SDK: pip install 'allot[payments]'") from None
        self.name = name
        self._errors = stripe
        addresses: Any = {"base_addresses": {"api": base_url}} if base_url else {}
        self._client = stripe.StripeClient(
            api_key, http_client=stripe.HTTPXClient(timeout=timeout), max_network_retries=0, **addresses
        )

    async def _ask(self, call: Any, *arguments: Any, key: str = "") -> dict[str, Any]:
        try:
            found: dict[str, Any] = (await call(*arguments, options={"idempotency_key": key} if key else {})).to_dict()
        except (self._errors.InvalidRequestError, self._errors.CardError) as error:
            raise Declined(str(error)) from None
        except self._errors.StripeError as error:
            raise Unreachable(f"{type(error).__name__}: {error}") from error
        return found

    async def open(self, asked: Asked, key: str) -> str:
        """A payment intent there, for the customer to confirm, or to be charged to a method that he saved."""
        params: dict[str, Any] = {
            "amount": asked.amount, "currency": asked.currency.lower(), "metadata": asked.notes,
            "capture_method": "manual" if asked.held_days else "automatic",
        }  # fmt: skip
        if asked.method in _METHOD_TYPES:
            params["payment_method_types"] = [_METHOD_TYPES[asked.method]]
        else:  # whatever is enabled in its dashboard; without the customer nobody can follow a redirect
            params["automatic_payment_methods"] = {
                "enabled": True, "allow_redirects": "never" if asked.token else "always",
            }  # fmt: skip
        if asked.token:
            params["customer"], params["payment_method"] = _saved(asked.token)
        found = await self._ask(self._client.v1.payment_intents.create_async, params, key=key)
        check_answer(found, object="payment_intent", amount=asked.amount, currency=asked.currency.lower())
        if not isinstance(found.get("id"), str) or not found["id"]:
            raise Unreachable("it answered with something else: an intent without an id")
        return str(found["id"])

    async def charge(self, asked: Asked, order: str, key: str) -> Held:
        """By a method that the customer saved, who is not there."""
        params = {"payment_method": _saved(asked.token)[1], "off_session": True}
        found = await self._or_as_it_is(
            order, ("requires_capture", "succeeded"), self._client.v1.payment_intents.confirm_async, params, key
        )
        check_answer(found, id=order, object="payment_intent", amount=asked.amount, currency=asked.currency.lower())
        if found.get("status") in ("processing", "requires_action"):
            raise StaysOpen(f"the payment is {found['status']}")
        if found.get("status") not in ("requires_capture", "succeeded"):
            raise Declined(f"the payment is {found.get('status')}")
        return Held(order, found["status"] == "succeeded")

    async def capture(self, reference: str, asked: Asked, key: str) -> int:
        """Minor units that were captured in all."""
        found = await self._or_as_it_is(
            reference, ("succeeded",), self._client.v1.payment_intents.capture_async,
            {"amount_to_capture": asked.amount}, key,
        )  # fmt: skip
        check_answer(
            found, id=reference, object="payment_intent", currency=asked.currency.lower(), status="succeeded",
            amount_received=asked.amount,
        )  # fmt: skip
        return asked.amount

    async def _or_as_it_is(
        self, intent: str, done: Sequence[str], call: Any, params: dict[str, Any], key: str
    ) -> dict[str, Any]:  # fmt: skip
        """What a call comes to. One that is declined may have been made before, and the key be forgotten: then the
        intent is as it stands there, if it is in one of the states `done`."""
        try:
            return await self._ask(call, intent, params, key=key)
        except Declined:
            found = await self._ask(self._client.v1.payment_intents.retrieve_async, intent)
            if found.get("status") not in done:
                raise
            return found

    async def void(self, reference: str, key: str) -> bool:
        """Let go of an authorisation."""
        found = await self._ask(self._client.v1.payment_intents.cancel_async, reference, {}, key=key)
        check_answer(found, id=reference, object="payment_intent", status="canceled")
        return True

    async def refund(self, reference: str, asked: Asked, key: str) -> bool:
        """Whether it is done already."""
        params = {"payment_intent": reference, "amount": asked.amount, "metadata": asked.notes}
        found = await self._refund_of(reference, asked) if asked.is_repeat else None
        found = found or await self._ask(self._client.v1.refunds.create_async, params, key=key)
        check_answer(
            found, object="refund", payment_intent=reference, amount=asked.amount, currency=asked.currency.lower()
        )  # fmt: skip
        if found.get("status") not in _REFUND_UNDER_WAY:
            raise Declined(f"the refund is {found.get('status')}")
        return bool(found["status"] == "succeeded")

    async def _refund_of(self, reference: str, asked: Asked) -> dict[str, Any] | None:
        """The refund of this number that was begun there and has not failed."""
        listed = await self._ask(self._client.v1.refunds.list_async, {"payment_intent": reference, "limit": 100})
        check_answer(listed, object="list")
        for refund in listed.get("data") or []:
            is_it = noted(refund.get("metadata") or {})[2] == noted(asked.notes)[2]
            if is_it and refund.get("status") in _REFUND_UNDER_WAY:
                return dict(refund)
        return None


def _saved(token: str) -> tuple[str, str]:
    customer, _, method = token.partition(":")
    if not customer or not method:
        raise Declined("a saved method of stripe is told as CUSTOMER:METHOD, as cus_1:pm_1")
    return customer, method
