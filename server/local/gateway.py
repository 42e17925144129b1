"""A payment gateway of ours: orders, authorisations, captures, refunds, saved methods, and webhooks that are signed.

Its API is a part of Razorpay's, and so are its webhooks, so that the same signature serves. Who comes with Razorpay's
credentials is served as there: only refunds have idempotency keys. It can be told to misbehave
(`PUT /behaviour`): be down or slow, and send webhooks late, twice, in another order, or not at all. What it knows is in
memory, and no money moves.
"""

import asyncio
import base64
import hashlib
import hmac
import itertools
import json
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import httpx
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

AT_ONCE = ("upi", "netbanking", "wallet")  # methods that are captured without an authorisation
WEBHOOK_TRIES_MAX = 8
WEBHOOK_PAUSE_SECONDS = 0.2


@dataclass
class Behaviour:
    """How it misbehaves."""

    down: bool = False  # every call fails with 503
    slow_ms: int = 0  # before each answer
    fails: int = 0  # so many calls fail with 500, before anything is done
    drops: int = 0  # of so many calls the answer is lost, after all is done
    late_ms: int = 0  # before each answer, after all is done
    webhook_delay_ms: int = 0
    webhook_twice: bool = False
    webhook_reordered: bool = False  # each pair the other way round
    webhook_never: bool = False
    declines: bool = False  # every payment fails


@dataclass
class Books:
    """All that it knows."""

    orders: dict[str, dict[str, Any]] = field(default_factory=dict)
    captures_at_once: dict[str, bool] = field(default_factory=dict)  # by order, where that was asked for
    payments: dict[str, dict[str, Any]] = field(default_factory=dict)
    refunds: dict[str, dict[str, Any]] = field(default_factory=dict)
    answers: dict[str, tuple[int, dict[str, Any]]] = field(default_factory=dict)  # by idempotency key
    tokens: dict[str, dict[str, Any]] = field(default_factory=dict)
    calls: dict[str, int] = field(default_factory=dict)  # that did something, by what they did


class LocalGateway:
    """One gateway. `app` is served by whoever runs it."""

    def __init__(self, secret: str, webhook_url: str = "") -> None:
        """secret: webhooks are signed with it. webhook_url: where they go; empty: nowhere."""
        self.books, self.behaviour = Books(), Behaviour()
        self._secret, self._webhook_url = secret, webhook_url
        self._numbers = itertools.count(1)
        self._waiting: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self._tasks: set[asyncio.Task[None]] = set()
        self.app = Starlette(
            routes=[
                Route("/v1/orders", self._make_order, methods=["POST"]),
                Route("/v1/orders", self._orders, methods=["GET"]),
                Route("/v1/orders/{order}/pay", self._pay, methods=["POST"]),
                Route("/v1/payments/{payment}", self._get, methods=["GET"]),
                Route("/v1/payments/{payment}/capture", self._capture, methods=["POST"]),
                Route("/v1/payments/{payment}/void", self._void, methods=["POST"]),
                Route("/v1/payments/{payment}/refund", self._refund, methods=["POST"]),
                Route("/v1/payments/{payment}/refunds", self._refunds, methods=["GET"]),
                Route("/v1/settlement", self._settlement, methods=["GET"]),
                Route("/behaviour", self._behave, methods=["PUT"]),
                Route("/calls", self._calls, methods=["GET"]),
                Route("/forget", self._forget, methods=["POST"]),
            ]
        )

    # Calls

    async def _answer(self, request: Request, work: Any) -> JSONResponse:
        """What a call comes to, as it behaves now; the same key again gets the same answer."""
        now = self.behaviour
        if now.slow_ms:
            await asyncio.sleep(now.slow_ms / 1000)
        if now.down:
            return _failed(503, "the gateway is down")
        if now.fails > 0:
            now.fails -= 1
            return _failed(500, "something went wrong")
        key = request.headers.get("x-refund-idempotency", "")
        if "authorization" not in request.headers:
            key = key or request.headers.get("x-idempotency-key", "")
        if key and key in self.books.answers:
            status, body = self.books.answers[key]
            return JSONResponse(body, status)
        asked = json.loads(await request.body() or b"{}")
        status, body = work(asked, **request.path_params)
        if key:
            self.books.answers[key] = status, body
        await asyncio.sleep(now.late_ms / 1000)
        if now.drops > 0:
            now.drops -= 1
            return _failed(504, "the answer was lost on its way")
        return JSONResponse(body, status)

    async def _make_order(self, request: Request) -> JSONResponse:
        return await self._answer(request, self._made_order)

    async def _pay(self, request: Request) -> JSONResponse:
        return await self._answer(request, self._paid)

    async def _capture(self, request: Request) -> JSONResponse:
        return await self._answer(request, self._captured)

    async def _void(self, request: Request) -> JSONResponse:
        return await self._answer(request, self._voided)

    async def _refund(self, request: Request) -> JSONResponse:
        return await self._answer(request, self._refunded)

    async def _get(self, request: Request) -> JSONResponse:
        payment = self.books.payments.get(request.path_params["payment"])
        return JSONResponse(payment) if payment else _failed(404, "no such payment")

    async def _orders(self, request: Request) -> JSONResponse:
        receipt = request.query_params.get("receipt", "")
        return _listed(order for order in self.books.orders.values() if not receipt or order["receipt"] == receipt)

    async def _refunds(self, request: Request) -> JSONResponse:
        payment = request.path_params["payment"]
        return _listed(refund for refund in self.books.refunds.values() if refund["payment_id"] == payment)

    async def _settlement(self, request: Request) -> JSONResponse:
        """What it would pay out: a row for each capture and refund."""
        rows = [
            {"entity_id": one["id"], "type": "payment", "amount": one["amount_captured"], "currency": one["currency"]}
            for one in self.books.payments.values()
            if one["amount_captured"]
        ]
        rows += [
            {"entity_id": one["id"], "type": "refund", "amount": one["amount"], "currency": one["currency"],
             "payment_id": one["payment_id"]}
            for one in self.books.refunds.values()
        ]  # fmt: skip
        return JSONResponse({"items": rows})

    async def _behave(self, request: Request) -> JSONResponse:
        asked = json.loads(await request.body())
        if unknown := set(asked) - set(vars(self.behaviour)):
            return JSONResponse(_error(f"it cannot misbehave so: {', '.join(sorted(unknown))}"), 400)
        for name, value in asked.items():
            setattr(self.behaviour, name, value)
        return JSONResponse(vars(self.behaviour))

    async def _calls(self, request: Request) -> JSONResponse:
        return JSONResponse(self.books.calls)

    async def _forget(self, request: Request) -> JSONResponse:
        """Every idempotency key, as others do after a day."""
        self.books.answers.clear()
        return JSONResponse({})

    # What they do

    def _id(self, kind: str) -> str:
        """Never used before, and of few digits: a long number might pass for that of a card."""
        drawn = hashlib.blake2b(str(next(self._numbers)).encode(), digest_size=10).digest()
        return f"{kind}_{base64.b32encode(drawn).decode().lower()}"

    def _count(self, what: str) -> None:
        self.books.calls[what] = self.books.calls.get(what, 0) + 1

    def _made_order(self, asked: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        if not isinstance(asked.get("amount"), int) or asked["amount"] < 1:
            return 400, _error("amount is to be a whole number of 1 or more")
        order = {
            "id": self._id("order"), "entity": "order", "amount": asked["amount"], "amount_paid": 0,
            "currency": asked.get("currency", "INR"), "receipt": asked.get("receipt", ""), "status": "created",
            "notes": asked.get("notes", {}),
        }  # fmt: skip
        self.books.orders[order["id"]] = order
        if capture := asked.get("payment", {}).get("capture"):
            self.books.captures_at_once[order["id"]] = capture == "automatic"
        self._count("order")
        return 200, order

    def _paid(self, asked: dict[str, Any], order: str) -> tuple[int, dict[str, Any]]:
        """The customer pays, by a method or by a saved one."""
        of = self.books.orders.get(order)
        if of is None:
            return 404, _error("no such order")
        saved = self.books.tokens.get(asked.get("token", ""))
        if asked.get("token") and saved is None:
            return 400, _error("no such token")
        method = saved["method"] if saved else asked.get("method", "card")
        declined = self.behaviour.declines or asked.get("fails", False)
        at_once = self.books.captures_at_once.get(order, method in AT_ONCE)
        status = "failed" if declined else "captured" if at_once else "authorized"
        payment = {
            "id": self._id("pay"), "entity": "payment", "amount": of["amount"], "currency": of["currency"],
            "status": status, "order_id": order, "method": method, "captured": status == "captured",
            "amount_captured": of["amount"] if status == "captured" else 0, "amount_refunded": 0, "notes": of["notes"],
            "created_at": int(time.time()),
        }  # fmt: skip
        if asked.get("save"):
            payment["token_id"] = self._id("token")
            self.books.tokens[payment["token_id"]] = {"method": method}
        self.books.payments[payment["id"]] = payment
        self._count(status)
        self._tell(f"payment.{status}", {"payment": payment})
        return 200, payment

    def _captured(self, asked: dict[str, Any], payment: str) -> tuple[int, dict[str, Any]]:
        of = self.books.payments.get(payment)
        if of is None:
            return 404, _error("no such payment")
        if of["status"] != "authorized":
            return 400, _error(f"the payment is {of['status']}, and cannot be captured")
        if asked.get("currency", of["currency"]) != of["currency"]:
            return 400, _error("the currency is another one")
        if not 0 < asked.get("amount", 0) <= of["amount"]:
            return 400, _error("the amount is more than was authorised")
        of |= {"status": "captured", "captured": True, "amount_captured": asked["amount"]}
        self._count("captured")
        self._tell("payment.captured", {"payment": of | {"amount": of["amount_captured"]}})
        return 200, dict(of)

    def _voided(self, asked: dict[str, Any], payment: str) -> tuple[int, dict[str, Any]]:
        of = self.books.payments.get(payment)
        if of is None:
            return 404, _error("no such payment")
        if of["status"] not in ("authorized", "voided"):
            return 400, _error(f"the payment is {of['status']}, and cannot be let go of")
        of["status"] = "voided"
        self._count("voided")
        return 200, dict(of)

    def _refunded(self, asked: dict[str, Any], payment: str) -> tuple[int, dict[str, Any]]:
        of = self.books.payments.get(payment)
        if of is None:
            return 404, _error("no such payment")
        amount = asked.get("amount", 0)
        if not 0 < amount <= of["amount_captured"] - of["amount_refunded"]:
            return 400, _error("the amount is more than was captured and not given back")
        of["amount_refunded"] += amount
        refund = {
            "id": self._id("rfnd"), "entity": "refund", "amount": amount, "currency": of["currency"],
            "payment_id": payment, "notes": asked.get("notes", {}), "receipt": asked.get("receipt", ""),
            "status": "processed", "created_at": int(time.time()),
        }  # fmt: skip
        self.books.refunds[refund["id"]] = refund
        self._count("refunded")
        self._tell("refund.processed", {"refund": refund, "payment": of})
        return 200, refund

    # Webhooks

    def _tell(self, event: str, entities: dict[str, dict[str, Any]]) -> None:
        if self._webhook_url and not self.behaviour.webhook_never:
            payload = {name: {"entity": dict(entity)} for name, entity in entities.items()}
            message = {
                "entity": "event", "event": event, "contains": list(entities), "payload": payload,
                "created_at": int(time.time()), "id": self._id("event"),
            }  # fmt: skip
            self._spawn(self._send_soon(message))

    def _spawn(self, work: Any) -> None:
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _send_soon(self, message: dict[str, Any]) -> None:
        now = self.behaviour
        if now.webhook_reordered:
            await self._waiting.put(message)
            await asyncio.sleep(WEBHOOK_PAUSE_SECONDS)
            messages = [self._waiting.get_nowait() for _ in range(self._waiting.qsize())][::-1]
        else:
            messages = [message]
        await asyncio.sleep(now.webhook_delay_ms / 1000)
        for one in messages:
            for _ in range(2 if now.webhook_twice else 1):
                await self._send(one)

    async def _send(self, message: dict[str, Any]) -> None:
        """Again until it is taken, for a while."""
        body = json.dumps(message).encode()
        headers = {
            "content-type": "application/json", "x-razorpay-event-id": message["id"],
            "x-razorpay-signature": hmac.new(self._secret.encode(), body, hashlib.sha256).hexdigest(),
        }  # fmt: skip
        async with httpx.AsyncClient(timeout=10) as client:
            for turn in range(WEBHOOK_TRIES_MAX):
                try:
                    answer = await client.post(self._webhook_url, content=body, headers=headers)
                    if answer.status_code < 300:
                        return
                except httpx.HTTPError:
                    pass
                await asyncio.sleep(WEBHOOK_PAUSE_SECONDS * 2**turn)


def _listed(entities: Iterable[dict[str, Any]]) -> JSONResponse:
    items = list(entities)
    return JSONResponse({"entity": "collection", "count": len(items), "items": items})


def _error(text: str) -> dict[str, Any]:
    return {"error": {"code": "BAD_REQUEST_ERROR", "description": text}}


def _failed(status: int, text: str) -> JSONResponse:
    return JSONResponse({"error": {"code": "SERVER_ERROR", "description": text}}, status)
