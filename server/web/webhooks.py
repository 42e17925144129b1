"""Webhooks: what gateways and carriers tell, verified over the raw bytes before anything is parsed, and taken once.

A process of its own, a client of the engine like any worker: what an event comes to carries the event's id as its key.
What it answers: 200 taken, known, or of no concern; 400 malformed; 401 the signature is wrong; 404 not known here (yet:
the sender tries again); 503 the engine cannot be reached.
"""

import hashlib
import json
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any

import pyarrow as pa
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse
from starlette.routing import Route

from allot_client import AsyncClient
from allot_client.errors import AllotError, Unavailable, Unknown
from server.gateways.facts import EVENT_BYTES_MAX, BadSignature, Fact, Ignored, Malformed, Speaks, check_timed
from server.web.tracking import tracking_page

SCANS_MAX = 100_000  # of one webhook
SCANS_BYTES_MAX = 64 << 20
_SCANNED = ("SHIP", "TRANSIT", "OUT_FOR_DELIVERY", "DELIVER", "REFUSE", "RETURNING", "LOSE")


class Webhooks:
    """The web application."""

    def __init__(
        self, connect: Callable[[], AsyncClient], gateways: Mapping[str, tuple[Speaks, str]],
        carriers: Mapping[str, str], log: Any, clock: Callable[[], float] = time.time,
    ) -> None:  # fmt: skip
        """gateways: how each is read, and its secret. carriers: their secrets. An empty secret: it tells nothing."""
        self._gateways, self._carriers, self._log, self._clock = gateways, carriers, log, clock
        self._client: AsyncClient

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

    async def _gateway(self, request: Request) -> JSONResponse:
        name = request.path_params["gateway"]
        speaks, secret = self._gateways.get(name, (None, ""))
        if speaks is None or not secret:
            return _said(404, "UNKNOWN_GATEWAY", f"{name}: no gateway of that name is set up")
        body = await _body(request)
        if body is None:
            return _said(413, "TOO_LARGE", f"at most {EVENT_BYTES_MAX} bytes")
        try:
            event_id = speaks.verify(body, request.headers, secret, self._clock())
            told = speaks.read(body)
        except BadSignature as error:
            self._log.warning("a webhook was refused", gateway=name, why=str(error))
            return _said(401, "BAD_SIGNATURE", str(error))
        except Malformed as error:
            return _said(400, "MALFORMED", str(error))
        if isinstance(told, Ignored):
            return _said(200, "IGNORED", told.why)
        return await self._taken(name, event_id, told)

    async def _taken(self, gateway: str, event_id: str, fact: Fact) -> JSONResponse:
        """Tell the engine; what it says to the gateway."""
        if fact.step in ("done", "failed") and not fact.refund_number:
            return _said(200, "IGNORED", "a refund that was not asked for here: `allot reconcile` finds it")
        try:
            channel, payment_id = await self._whose(gateway, fact)
            key = key_of(gateway, event_id)
            if fact.refund_number:
                answer = await self._client.advance_refund(
                    fact.step, fact.refund_number, channel=channel, payment_id=payment_id, request_id=key
                )
            else:
                answer = await self._client.advance_payment(
                    fact.step, channel=channel, payment_id=payment_id, amount=fact.amount, currency=fact.currency,
                    gateway=gateway, reference=fact.references[0], request_id=key,
                )  # fmt: skip
        except Unknown as error:
            return _said(404, "UNKNOWN_PAYMENT", str(error))
        except Unavailable as error:
            return _said(503, "UNAVAILABLE", str(error))
        except AllotError as error:  # it will not do, however often it is sent
            self._log.warning("a webhook came to nothing", gateway=gateway, event_id=event_id, reason=error.reason)
            return _said(200, error.reason, str(error))
        return _said(200, "AGAIN" if answer.again else "TAKEN", event_id)

    async def _whose(self, gateway: str, fact: Fact) -> tuple[str, str]:
        """Channel and id of the payment that a fact is of: as noted, or as the gateway calls it. Raises Unknown."""
        if fact.channel and fact.payment_id:
            return fact.channel, fact.payment_id
        for reference in fact.references[:-1]:
            try:
                found = await self._client.get_payment(gateway=gateway, reference=reference)
                return found.channel, found.payment.payment_id
            except Unknown:
                continue
        found = await self._client.get_payment(gateway=gateway, reference=fact.references[-1])
        return found.channel, found.payment.payment_id

    async def _carrier(self, request: Request) -> JSONResponse:
        """Scans: {"id": ..., "scans": [{"tracking", "step", "at_us", "place"}, ...]}, signed with a time."""
        name = request.path_params["carrier"]
        secret, body = self._carriers.get(name, ""), await _body(request, SCANS_BYTES_MAX)
        if not secret or body is None:
            return _said(404, "UNKNOWN_CARRIER", f"{name}: no carrier of that name is set up")
        try:
            check_timed(request.headers.get("x-allot-signature", ""), body, secret, self._clock())
            table = scans_table(name, body)
        except BadSignature as error:
            return _said(401, "BAD_SIGNATURE", str(error))
        except Malformed as error:
            return _said(400, "MALFORMED", str(error))
        try:
            async for answers in self._client.take_steps("shipments", [table]):
                refused = answers.column("reason").drop_null().to_pylist()
        except Unavailable as error:
            return _said(503, "UNAVAILABLE", str(error))
        except AllotError as error:
            return _said(400, error.reason, str(error))
        unknown = refused.count("UNKNOWN_SHIPMENT")
        if unknown:
            self._log.warning("scans of parcels that nobody sent", carrier=name, scans=unknown)
        return JSONResponse({"scans": table.num_rows, "refused": len(refused), "unknown": unknown})

    async def _track(self, request: Request) -> HTMLResponse:
        """The public page of a parcel."""
        try:
            found = await self._client.track_shipment(request.path_params["token"])
        except Unknown:
            return HTMLResponse(tracking_page(None), 404)
        except AllotError:
            return HTMLResponse(tracking_page(None), 503)
        return HTMLResponse(tracking_page(found))


async def _health(_: Request) -> JSONResponse:
    return JSONResponse({"status": "ok"})


def scans_table(carrier: str, body: bytes) -> pa.Table:
    """The steps of a carrier's scans. Raises Malformed."""
    try:
        scans = json.loads(body)["scans"]
        if not isinstance(scans, list) or not 1 <= len(scans) <= SCANS_MAX:
            raise Malformed(f"scans: give 1 to {SCANS_MAX}")
        steps = [scan["step"] for scan in scans]
        if unknown := set(steps) - set(_SCANNED):
            raise Malformed(f"step: {sorted(map(str, unknown))[0]!r}: a carrier tells one of {', '.join(_SCANNED)}")
        return pa.table(
            {
                "step": pa.array(steps),
                "how": pa.array([carrier] * len(scans)).dictionary_encode(),
                "reference": pa.array([str(scan["tracking"]) for scan in scans]),
                "at": pa.array([int(scan.get("at_us", 0)) for scan in scans], pa.int64()),
                "note": pa.array([str(scan.get("place", ""))[:64] for scan in scans]),
            }
        )
    except (ValueError, KeyError, TypeError, AttributeError, OverflowError) as error:
        raise Malformed(f"scans: one of them has a part missing or of another kind: {error!r}") from None


def key_of(gateway: str, event_id: str) -> str:
    """The request id of a gateway's event: at most 64 characters, and the same for the same event."""
    return f"{gateway}:" + hashlib.blake2b(event_id.encode(), digest_size=16).hexdigest()


async def _body(request: Request, most: int = EVENT_BYTES_MAX) -> bytes | None:
    """The raw bytes; None where there are too many."""
    body = b""
    async for piece in request.stream():
        body += piece
        if len(body) > most:
            return None
    return body


def _said(status: int, reason: str, message: str) -> JSONResponse:
    return JSONResponse({"reason": reason, "message": message}, status)
