"""Webhooks: what gateways and carriers tell, verified over the raw bytes before anything is parsed, and taken once.

A process of its own, a client of the engine like any worker: what an event comes to carries the event's id as its key.
What it answers: 200 taken, known, of no concern, or what will never do; 400 malformed; 401 the signature is wrong, or
it is sent too late; 404 not known here (yet: for an hour the sender is to try again); 408 and 413 too slow and too
large; 503 with Retry-After whatever else stands in the way.
"""

import asyncio
import hashlib
import math
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any

import grpc
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse
from starlette.routing import Route

from allot_client import AsyncClient
from allot_client.errors import AllotError, Invalid, KeyConflict, Unknown
from server.gateways.facts import EVENT_BYTES_MAX, BadSignature, Event, Fact, Ignored, Malformed, Speaks, check_fact
from server.web.bodies import Bodies, BodyRefused
from server.web.scans import SCANS_BYTES_MAX, Scans, read_scans
from server.web.tracking import tracking_page

YOUNG_SECONDS = 3600  # for so long an event may be of a payment that the engine is yet to hear of
AGAIN_SECONDS = 5
REFUSED_ROWS_TOLD_MAX = 1_000
_NEVER = (grpc.StatusCode.FAILED_PRECONDITION, grpc.StatusCode.ALREADY_EXISTS, grpc.StatusCode.OUT_OF_RANGE)
_COMES_LATE = "WRONG_STATE"


class Webhooks:
    """The web application."""

    def __init__(
        self, connect: Callable[[], AsyncClient], gateways: Mapping[str, tuple[Speaks, str]],
        carriers: Mapping[str, str], log: Any, clock: Callable[[], float] = time.time,
    ) -> None:  # fmt: skip
        """gateways: how each is read, and its secret. carriers: their secrets. An empty secret: it tells nothing."""
        self._gateways, self._carriers, self._log, self._clock = gateways, carriers, log, clock
        self._client: AsyncClient
        self._bodies = Bodies()

        @asynccontextmanager
        async def connected(_: Starlette) -> AsyncIterator[None]:
            async with connect() as self._client:
                yield

        self.app = Starlette(
            lifespan=connected,
            routes=[
                Route("/webhooks/{gateway}", self._gateway, methods=["POST"]),
                Route("/scans/{carrier}", self._carrier, methods=["POST"]),
                Route("/t/{token}", self._track, methods=["GET"]),
                Route("/health", _health, methods=["GET"]),
            ],
        )

    # Gateways

    async def _gateway(self, request: Request) -> JSONResponse:
        name = request.path_params["gateway"]
        speaks, secret = self._gateways.get(name, (None, ""))
        if speaks is None or not secret:
            return _said(404, "UNKNOWN_GATEWAY", f"{name}: no gateway of that name is set up")
        try:
            async with self._bodies.of(request, EVENT_BYTES_MAX) as body:
                event = speaks.verify(body, request.headers, secret, self._clock())
                told = speaks.read(body)
                if isinstance(told, Fact):
                    check_fact(told)
        except (BodyRefused, BadSignature, Malformed) as error:
            return self._not_read(name, error)
        if isinstance(told, Ignored):
            return _said(200, "IGNORED", told.why)
        return await self._taken(name, event, told)

    async def _taken(self, gateway: str, event: Event, fact: Fact) -> JSONResponse:
        """Tell the engine; what it says to the gateway."""
        if fact.step in ("done", "failed") and not fact.refund_number:
            return _said(200, "IGNORED", "a refund that was not asked for here: `allot reconcile` finds it")
        try:
            found = await self._found(gateway, fact)
            if found.payment.gateway != gateway:
                return self._ignored("OTHERS_PAYMENT", "the payment is not this gateway's", gateway, event)
            key = key_of(gateway, event.id)
            if fact.refund_number:
                if why := _misfit(fact, found):
                    return self._ignored("ANOTHER_REFUND", why, gateway, event)
                answer = await self._client.advance_refund(
                    fact.step, fact.refund_number, channel=found.channel, payment_id=found.payment.payment_id,
                    request_id=key,
                )  # fmt: skip
            else:
                answer = await self._client.advance_payment(
                    fact.step, channel=found.channel, payment_id=found.payment.payment_id, amount=fact.amount,
                    currency=fact.currency, gateway=gateway, reference=fact.references[0], request_id=key,
                )  # fmt: skip
        except Unknown as error:
            if self._clock() - event.at < YOUNG_SECONDS:
                return _said(404, "UNKNOWN_PAYMENT", str(error))
            return self._ignored("IGNORED", f"no such payment: {error}", gateway, event)
        except AllotError as error:
            return self._refused(
                error, gateway=gateway, event_id=event.id, told=fact.step, reference=fact.references[0],
                amount=str(fact.amount),
            )  # fmt: skip
        return _said(200, "AGAIN" if answer.again else "TAKEN", event.id)

    async def _found(self, gateway: str, fact: Fact) -> Any:
        """The payment that a fact is of: as this gateway calls it, else, where it has no name yet, as was noted there.
        Raises Unknown."""
        for reference in fact.references:
            try:
                return await self._client.get_payment(gateway=gateway, reference=reference)
            except Unknown as error:
                unknown = error
        if not fact.channel or not fact.payment_id:
            raise unknown
        found = await self._client.get_payment(channel=fact.channel, payment_id=fact.payment_id)
        if found.payment.gateway == gateway and found.payment.reference:  # whoever pays may have written the note
            raise unknown
        return found

    # Carriers

    async def _carrier(self, request: Request) -> JSONResponse:
        name = request.path_params["carrier"]
        secret, signature = self._carriers.get(name, ""), request.headers.get("x-allot-signature", "")
        if not secret:
            return _said(404, "UNKNOWN_CARRIER", f"{name}: no carrier of that name is set up")
        try:
            async with self._bodies.of(request, SCANS_BYTES_MAX) as body:
                scans = await asyncio.to_thread(read_scans, name, body, signature, secret, self._clock())
            if scans.rows:
                await self._scanned(name, scans)
        except (BodyRefused, BadSignature, Malformed) as error:
            return self._not_read(name, error)
        except AllotError as error:
            return self._refused(error, carrier=name)
        if scans.refused:
            reasons = sorted(set(scans.refused.values()))
            self._log.warning("scans were refused", carrier=name, scans=len(scans.refused), reasons=reasons)
        refused = [{"row": row, "reason": reason} for row, reason in sorted(scans.refused.items())]
        count = len(scans.rows) + len(refused)
        taken = count - len(refused)
        return JSONResponse({"scans": count, "taken": taken, "refused": refused[:REFUSED_ROWS_TOLD_MAX]})

    async def _scanned(self, carrier: str, scans: Scans) -> None:
        """Tell the engine; rows that it refuses are refused."""
        told = scans.rows
        async for answers in self._client.take_steps("shipments", [(scans.key, scans.table(carrier))]):
            reasons = answers.column("reason").to_pylist()
            scans.rows = [row for row, reason in zip(told, reasons, strict=True) if reason is None]
            scans.refused |= {row: reason for row, reason in zip(told, reasons, strict=True) if reason is not None}

    async def _track(self, request: Request) -> HTMLResponse:
        """The public page of a parcel."""
        try:
            found = await self._client.track_shipment(request.path_params["token"])
        except Unknown:
            return HTMLResponse(tracking_page(None), 404)
        except AllotError:
            return HTMLResponse(tracking_page(None), 503)
        return HTMLResponse(tracking_page(found))

    # What is not taken

    def _not_read(self, name: str, error: BodyRefused | BadSignature | Malformed) -> JSONResponse:
        self._log.warning("a webhook was not read", sender=name, why=str(error))
        if isinstance(error, BodyRefused):
            return _said(error.status, error.reason, str(error))
        if isinstance(error, BadSignature):
            return _said(401, "BAD_SIGNATURE", str(error))
        return _said(400, "MALFORMED", str(error))

    def _ignored(self, reason: str, why: str, gateway: str, event: Event) -> JSONResponse:
        self._log.error("a webhook came to nothing", gateway=gateway, event_id=event.id, reason=reason, error=why)
        return _said(200, reason, why)

    def _refused(self, error: AllotError, **who: str) -> JSONResponse:
        """What the engine did not take: whether it will not do, however often it is sent, or is to come again."""
        reason = error.reason or error.code.name
        if isinstance(error, KeyConflict | Invalid) or error.code in _NEVER:
            log = self._log.warning if reason == _COMES_LATE else self._log.error
            log("a webhook came to nothing", reason=reason, error=str(error), **who)
            return _said(200, reason, str(error))
        self._log.error("a webhook was not taken: it is to come again", reason=reason, error=str(error), **who)
        return _said(503, reason, str(error), math.ceil(error.retry_after or AGAIN_SECONDS))


async def _health(_: Request) -> JSONResponse:
    return JSONResponse({"status": "ok"})


def _misfit(fact: Fact, found: Any) -> str:
    """Why a refund is another one than that of its number; empty: it is that."""
    refund = next((one for one in found.refunds if one.number == fact.refund_number), None)
    if refund is None:
        return f"the payment has no refund {fact.refund_number}"
    if (fact.amount, fact.currency or found.currency) != (refund.amount, found.currency):
        return f"refund {refund.number} is of {refund.amount} {found.currency}, not {fact.amount} {fact.currency}"
    return ""


def key_of(gateway: str, event_id: str) -> str:
    """The request id of a gateway's event: at most 64 characters, and the same for the same event."""
    return "webhook-" + hashlib.blake2b(f"{gateway}\0{event_id}".encode(), digest_size=16).hexdigest()


def _said(status: int, reason: str, message: str, retry_after: int = AGAIN_SECONDS) -> JSONResponse:
    headers = {"retry-after": str(retry_after)} if status == 503 else None
    return JSONResponse({"reason": reason, "message": message}, status, headers)
