"""Razorpay: its webhooks, and the adapter over its SDK (the extra `payments`).

Webhooks carry `X-Razorpay-Signature`, the HMAC-SHA256 of the raw body, and `x-razorpay-event-id`. Events may come in
any order and twice; a payment that failed may be captured later (razorpay.com/docs, on webhooks). Amounts are whole
paise.
"""

import asyncio
import json
from collections.abc import Mapping
from functools import partial
from typing import Any

from server.asking import Declined, Unreachable
from server.gateways.facts import Fact, Ignored, Malformed, check, noted, signed, whole
from server.gateways.gateway import Asked, Held

_PAYMENT_STEPS = {
    "payment.authorized": "authorise", "payment.captured": "capture", "payment.failed": "fail", "order.paid": "capture",
}  # fmt: skip
_REFUND_STEPS = {"refund.processed": "done", "refund.failed": "failed"}
_IGNORED = {
    "refund.created": "a refund that was begun: what counts is whether it was processed or failed",
    "refund.speed_changed": "how fast a refund goes changes nothing here",
    "settlement.processed": "settlements are matched by `allot reconcile`, from their file",
    "order.notification.delivered": "a message of the gateway's to the customer",
}
_NOT_OF_THE_CALL = ("authentication failed", "api key", "too many requests")  # refusals that say nothing of a payment
_IGNORED_KINDS = {
    "payment.dispute": "disputes are answered at the gateway: what they cost comes with the settlement",
    "payment.downtime": "a bank or method that is down: payments tell of themselves",
}


class RazorpayWebhooks:
    """Reads Razorpay's webhooks, and those of the local gateway, which speaks the same."""

    def verify(self, body: bytes, headers: Mapping[str, str], secret: str, now: float) -> str:
        """The event's id. Its signature has no time: an old event that is sent again is known by its id."""
        check(signed(secret, body), headers.get("x-razorpay-signature", ""))
        event_id = headers.get("x-razorpay-event-id", "")
        if not event_id:
            raise Malformed("x-razorpay-event-id: it is missing")
        return event_id

    def read(self, body: bytes) -> Fact | Ignored:
        """What the event tells."""
        try:
            message = json.loads(body)
            event = str(message["event"])
        except (ValueError, KeyError, TypeError) as error:
            raise Malformed(f"it is no event: {error!r}") from None
        if event in _IGNORED:
            return Ignored(_IGNORED[event])
        for kind, why in _IGNORED_KINDS.items():
            if event.startswith(kind):
                return Ignored(why)
        try:
            if event in _PAYMENT_STEPS:
                return _payment(_PAYMENT_STEPS[event], message["payload"]["payment"]["entity"])
            if event in _REFUND_STEPS:
                return _refund(_REFUND_STEPS[event], message["payload"]["refund"]["entity"])
        except (KeyError, TypeError, AttributeError) as error:
            raise Malformed(f"{event}: a part of it is missing: {error!r}") from None
        return Ignored(f"{event}: events of this kind change nothing here")


def _payment(step: str, payment: Mapping[str, Any]) -> Fact:
    channel, payment_id, _ = _noted(payment)
    references = tuple(str(one) for one in (payment["id"], payment.get("order_id")) if one)
    amount = 0 if step == "fail" else whole(payment, "amount")
    return Fact(step, references, amount, str(payment.get("currency") or ""), channel, payment_id)


def _refund(step: str, refund: Mapping[str, Any]) -> Fact:
    amount, references = whole(refund, "amount"), (str(refund["payment_id"]),)
    return Fact(step, references, amount, str(refund.get("currency") or ""), *_noted(refund))


def _noted(entity: Mapping[str, Any]) -> tuple[str, str, int]:
    """What was noted when it was asked for: channel, payment id, number of a refund."""
    notes = entity.get("notes") or {}  # an empty one is a list
    return noted(notes) if isinstance(notes, Mapping) else noted({})


def _told(answer: Any, entity: str, name: str) -> Any:
    """One part of an answer. Raises Unreachable where it is about something else: what became of it is unknown."""
    if not isinstance(answer, Mapping) or answer.get("entity") != entity or name not in answer:
        raise Unreachable(f"it answered with something else than the {name} of a {entity}")
    return answer[name]


class Razorpay:
    """Asks Razorpay by its SDK, in threads of its own: the SDK waits."""

    def __init__(self, key_id: str, key_secret: str, base_url: str = "", name: str = "razorpay") -> None:
        """base_url: of another server that speaks the same; empty: Razorpay's own. Raises ImportError with the mend."""
        try:
            import razorpay
        except ImportError:
            raise ImportError("razorpay payments need its SDK: pip install 'allot[payments]'") from None
        self.name = name
        self._client = razorpay.Client(auth=(key_id, key_secret), **({"base_url": base_url} if base_url else {}))
        self._errors = razorpay.errors

    async def _ask(self, call: Any, *arguments: Any, **more: Any) -> Any:
        try:
            return await asyncio.to_thread(partial(call, *arguments, **more))
        except self._errors.BadRequestError as error:
            if any(sign in str(error).lower() for sign in _NOT_OF_THE_CALL):
                raise Unreachable(str(error)) from None
            raise Declined(str(error)) from None
        except Exception as error:  # of the network and of the gateway: what became of the call is not known
            raise Unreachable(f"{type(error).__name__}: {error}") from error

    async def open(self, asked: Asked, key: str) -> str:
        """An order there, for the customer to pay."""
        order = await self._ask(
            self._client.order.create,
            {"amount": asked.amount, "currency": asked.currency, "receipt": key[:40], "notes": asked.notes},
            headers={"X-Idempotency-Key": key},
        )
        return str(_told(order, "order", "id"))

    async def charge(self, asked: Asked, order: str, token: str, key: str) -> Held:
        """By a method that the customer saved there."""
        raise Declined("razorpay: charging a saved method needs the customer's own checkout: pay the order there")

    async def capture(self, reference: str, asked: Asked, key: str) -> int:
        """Minor units that were captured in all."""
        headers = {"X-Idempotency-Key": key}
        found = await self._ask(
            self._client.payment.capture, reference, asked.amount, {"currency": asked.currency}, headers=headers
        )
        return int(_told(found, "payment", "amount"))

    async def void(self, reference: str, key: str) -> None:
        """Razorpay lets go of an authorisation by itself, after the days that its account says."""

    async def refund(self, reference: str, asked: Asked, key: str) -> bool:
        """Whether it is done already."""
        found = await self._ask(
            self._client.payment.refund, reference,
            {"amount": asked.amount, "notes": asked.notes, "receipt": key[:40]}, headers={"X-Refund-Idempotency": key},
        )  # fmt: skip
        return bool(_told(found, "refund", "status") == "processed")
