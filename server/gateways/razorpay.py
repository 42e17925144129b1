"""Razorpay: its webhooks, and the adapter over its SDK (the extra `payments`).

Webhooks carry `X-Razorpay-Signature`, the HMAC-SHA256 of the raw body. Events may come in any order and twice, for a
day; a payment that failed may be captured later (razorpay.com/docs, on webhooks). Amounts are whole paise.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from typing import Any

from server.asking import TIMEOUT_SECONDS, Declined, Threads, Unreachable, check_answer
from server.gateways.facts import BadSignature, Event, Fact, Ignored, Malformed, check, created, noted, signed, whole
from server.gateways.gateway import AT_ONCE, Asked, Held, StaysOpen

RECEIPT_CHARACTERS_MAX = 40
HELD_DAYS_MAX = 5
DAY_MINUTES = 24 * 60
RETRIES_SECONDS = 24 * 3600  # for so long an event is sent again
_LATE_SECONDS = 3600  # and so much later it may come

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

    def verify(self, body: bytes, headers: Mapping[str, str], secret: str, now: float) -> Event:
        """Known by its body: the header with its id is not signed. Nor is a time; what was made before the gateway's
        own retries began is refused."""
        check(signed(secret, body), headers.get("x-razorpay-signature", ""))
        at = created(body, "created_at")
        if now - at > RETRIES_SECONDS + _LATE_SECONDS:
            raise BadSignature(f"created_at: {at}: it is sent too late")
        return Event(hashlib.sha256(body).hexdigest(), at)

    def read(self, body: bytes) -> Fact | Ignored:
        """What the event tells."""
        try:
            message = json.loads(body)
            event = str(message["event"])
        except (ValueError, KeyError, TypeError) as error:
            raise Malformed(f"it is no event: {error!r}") from None
        try:
            if event.startswith("refund.") and (lapsed := _lapsed(message["payload"])):
                return lapsed
            if event in _PAYMENT_STEPS:
                return _payment(_PAYMENT_STEPS[event], message["payload"]["payment"]["entity"])
            if event in _REFUND_STEPS:
                return _refund(_REFUND_STEPS[event], message["payload"]["refund"]["entity"])
        except (KeyError, TypeError, AttributeError) as error:
            raise Malformed(f"{event}: a part of it is missing: {error!r}") from None
        if event in _IGNORED:
            return Ignored(_IGNORED[event])
        for kind, why in _IGNORED_KINDS.items():
            if event.startswith(kind):
                return Ignored(why)
        return Ignored(f"{event}: events of this kind change nothing here")


def _payment(step: str, payment: Mapping[str, Any]) -> Fact:
    channel, payment_id, _ = _noted(payment)
    if not isinstance(payment["id"], str):
        raise Malformed(f"id: {payment['id']!r} is no payment's")
    references = (payment["id"], *(str(one) for one in (payment.get("order_id"),) if one))
    amount = 0 if step == "fail" else whole(payment, "amount")
    return Fact(step, references, amount, str(payment.get("currency") or ""), channel, payment_id)


def _lapsed(payload: Mapping[str, Any]) -> Fact | None:
    """The gateway gives back by itself what nobody captured in time: no refund of ours, and no money of ours."""
    payment = (payload.get("payment") or {}).get("entity") or {}
    if payment.get("captured") is not False or _noted(payload["refund"]["entity"])[2]:
        return None
    return replace(_payment("fail", payment), step="lapse")


def _refund(step: str, refund: Mapping[str, Any]) -> Fact:
    amount, references = whole(refund, "amount"), (str(refund["payment_id"]),)
    return Fact(step, references, amount, str(refund.get("currency") or ""), *_noted(refund))


def _noted(entity: Mapping[str, Any]) -> tuple[str, str, int]:
    """What was noted when it was asked for: channel, payment id, number of a refund."""
    notes = entity.get("notes") or {}  # an empty one is a list
    return noted(notes) if isinstance(notes, Mapping) else noted({})


class Razorpay:
    """Asks Razorpay by its SDK, in threads: the SDK waits.

    Of its calls only refunds have keys (razorpay.com/docs, on idempotency). An order is known by its receipt, and an
    order that nobody pays costs nothing; a payment is captured once, whatever is asked.
    """

    def __init__(
        self, key_id: str, key_secret: str, base_url: str = "", name: str = "razorpay",
        timeout: float = TIMEOUT_SECONDS,
    ) -> None:  # fmt: skip
        """base_url: of another server that speaks the same; empty: Razorpay's own. Raises ImportError with the mend."""
        try:
            import razorpay
        except ImportError:
            raise ImportError("razorpay payments need its SDK: pip install 'allot[payments]'") from None
        self.name, self._timeout, self._threads = name, timeout, Threads(AT_ONCE)
        self._client = razorpay.Client(auth=(key_id, key_secret), **({"base_url": base_url} if base_url else {}))
        self._errors = razorpay.errors

    async def _ask(self, call: Any, *arguments: Any, **more: Any) -> Any:
        try:
            return await self._threads.ask(partial(call, *arguments, timeout=self._timeout, **more))
        except self._errors.BadRequestError as error:
            if any(sign in str(error).lower() for sign in _NOT_OF_THE_CALL):
                raise Unreachable(str(error)) from None
            raise Declined(str(error)) from None
        except Exception as error:  # of the network and of the gateway: what became of the call is not known
            raise Unreachable(f"{type(error).__name__}: {error}") from error

    async def open(self, asked: Asked, key: str) -> str:
        """An order there, for the customer to pay: the one that is there already, where it is asked for again."""
        receipt = key[:RECEIPT_CHARACTERS_MAX]
        orders = await self._all(self._client.order.all, {"receipt": receipt}) if asked.is_repeat else []
        for order in orders:
            if (order.get("receipt"), order.get("amount"), order.get("currency")) == (
                receipt, asked.amount, asked.currency,
            ):  # fmt: skip
                return str(order["id"])
        capture: dict[str, Any] = {"capture": "manual", "capture_options": {}}
        minutes = (asked.held_days or HELD_DAYS_MAX) * DAY_MINUTES
        if not asked.held_days:
            capture = {"capture": "automatic", "capture_options": {"automatic_expiry_period": minutes}}
        capture["capture_options"] |= {"manual_expiry_period": minutes, "refund_speed": "normal"}
        order = await self._ask(
            self._client.order.create,
            {"amount": asked.amount, "currency": asked.currency, "receipt": receipt, "notes": asked.notes,
             "payment": capture},
        )  # fmt: skip
        check_answer(order, entity="order", amount=asked.amount, currency=asked.currency)
        return _id_of(order)

    async def _all(self, call: Any, *arguments: Any) -> list[Mapping[str, Any]]:
        """The entities of a collection."""
        found = await self._ask(call, *arguments)
        check_answer(found, entity="collection")
        items = found.get("items")
        return [item for item in items if isinstance(item, Mapping)] if isinstance(items, list) else []

    async def charge(self, asked: Asked, order: str, key: str) -> Held:
        """Nobody but the customer charges a method that was saved there."""
        raise StaysOpen("razorpay charges a saved method in the customer's own checkout alone: he pays the order there")

    async def capture(self, reference: str, asked: Asked, key: str) -> int:
        """Minor units that were captured in all. One that is declined may have been captured before: that is asked."""
        try:
            found = await self._ask(self._client.payment.capture, reference, asked.amount, {"currency": asked.currency})
        except Declined:
            found = await self._ask(self._client.payment.fetch, reference)
            check_answer(found, entity="payment", id=reference)
            if found.get("captured") is not True:
                raise
        check_answer(
            found, entity="payment", id=reference, amount=asked.amount, currency=asked.currency, captured=True
        )  # fmt: skip
        return asked.amount

    async def void(self, reference: str, key: str) -> bool:
        """Never: Razorpay lets go of an authorisation by itself, after the days that its order was opened with. Until
        then the customer's money is held."""
        return False

    async def refund(self, reference: str, asked: Asked, key: str) -> bool:
        """Whether it is done already. One that may have been asked for long ago is looked for first, by its number."""
        known = await self._refund_of(reference, asked) if asked.is_repeat else None
        found = known or await self._ask(
            self._client.payment.refund, reference,
            {"amount": asked.amount, "notes": asked.notes, "receipt": key[:RECEIPT_CHARACTERS_MAX]},
            headers={"X-Refund-Idempotency": key},
        )  # fmt: skip
        check_answer(found, entity="refund", payment_id=reference, amount=asked.amount, currency=asked.currency)
        _id_of(found)
        if found.get("status") not in ("pending", "processed"):
            raise Declined(f"the refund is {found.get('status')}")
        return bool(found["status"] == "processed")

    async def _refund_of(self, reference: str, asked: Asked) -> Mapping[str, Any] | None:
        """The refund of this number that was begun there and has not failed."""
        for refund in await self._all(self._client.payment.fetch_multiple_refund, reference, {"count": 100}):
            if _noted(refund)[2] == noted(asked.notes)[2] and refund.get("status") in ("pending", "processed"):
                return refund
        return None


def _id_of(entity: Mapping[str, Any]) -> str:
    found = entity.get("id")
    if not isinstance(found, str) or not found:
        raise Unreachable(f"it answered with something else: the id of the {entity.get('entity')} is {found!r}")
    return found
