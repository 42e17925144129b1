"""A carrier of ours: takes bookings, gives tracking numbers, sends scans, and loses parcels when it is told to.

Scans go out in batches as signed webhooks, each as often as it takes until it is taken. What it knows is in memory.
"""

import asyncio
import hashlib
import hmac
import itertools
import json
import time
from dataclasses import dataclass
from typing import Any

import httpx
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

JOURNEY = ("SHIP", "TRANSIT", "TRANSIT", "OUT_FOR_DELIVERY", "DELIVER")
CUT_OFF_HOUR = 14  # UTC: what is booked later leaves a day later
HOUR_US = 3_600_000_000
FATES = {
    "DELIVER": JOURNEY, "LOSE": (*JOURNEY[:2], "LOSE"), "REFUSE": (*JOURNEY[:4], "REFUSE", "RETURNING"),
}  # fmt: skip
PAUSE_SECONDS = 0.2
TRIES_MAX = 8


@dataclass
class Behaviour:
    """What it asks, and how it misbehaves."""

    cost: int  # minor units of a parcel of 500 g
    down: bool = False  # every call fails with 503
    slow_ms: int = 0  # before each answer
    late_ms: int = 0  # before each answer to a booking, after all is done
    declines: bool = False  # it offers, and takes nothing


class LocalCarrier:
    """One carrier. `app` is served by whoever runs it."""

    def __init__(
        self, name: str, secret: str, scans_url: str = "", step_ms: int = 0, takes_cash: bool = True, cost: int = 4_000
    ) -> None:  # fmt: skip
        """scans_url: where scans go; empty: nowhere. step_ms: between two scans of a parcel; less than 0: only when
        `POST /advance` says so. cost: minor units of a parcel of 500 g."""
        self.name = name
        self.parcels: dict[str, dict[str, Any]] = {}
        self.bookings: dict[str, str] = {}  # tracking number by idempotency key
        self.behaviour = Behaviour(cost)
        self._takes_cash = takes_cash
        self._secret, self._scans_url, self._step_ms = secret, scans_url, step_ms
        self._numbers = itertools.count(1)
        self._tasks: set[asyncio.Task[None]] = set()
        self.app = Starlette(
            routes=[
                Route("/offers", self._offer, methods=["POST"]),
                Route("/shipments", self._book, methods=["POST"]),
                Route("/shipments/{tracking}/cancel", self._cancel, methods=["POST"]),
                Route("/shipments/{tracking}/fate", self._fate, methods=["PUT"]),
                Route("/advance", self._advance, methods=["POST"]),
                Route("/behaviour", self._behave, methods=["PUT"]),
                Route("/shipments", self._list, methods=["GET"]),
                Route("/bookings/{key}", self._find, methods=["GET"]),
            ]
        )

    async def _is_down(self) -> JSONResponse | None:
        """What it says instead of an answer."""
        await asyncio.sleep(self.behaviour.slow_ms / 1000)
        return JSONResponse({"error": "the carrier is down"}, 503) if self.behaviour.down else None

    async def _offer(self, request: Request) -> JSONResponse:
        if down := await self._is_down():
            return down
        return JSONResponse(self._terms(json.loads(await request.body())))

    def _terms(self, asked: dict[str, Any]) -> dict[str, Any]:
        """What it asks, and when it brings it."""
        now = time.time_ns() // 1000
        late = now // HOUR_US % 24 >= CUT_OFF_HOUR
        more = 10 * ((asked.get("grams", 500) - 500) // 50) + (2_500 if asked.get("collect") else 0)
        return {
            "cost": self.behaviour.cost + more,
            "due_at_us": now + (3 + late) * 24 * HOUR_US, "takes_cash": self._takes_cash,
        }  # fmt: skip

    async def _book(self, request: Request) -> JSONResponse:
        if down := await self._is_down():
            return down
        asked = json.loads(await request.body())
        key = request.headers.get("x-idempotency-key", "")
        if self.behaviour.declines:  # also what it took before
            return JSONResponse({"error": "it takes no more today"}, 422)
        if key in self.bookings:
            return JSONResponse(self.parcels[self.bookings[key]])
        if not asked.get("postal_code"):
            return JSONResponse({"error": "postal_code: it is empty: where is the parcel to go?"}, 400)
        tracking = f"{self.name[:4].upper()}{next(self._numbers):010d}"
        parcel = {
            "tracking": tracking, "postal_code": asked["postal_code"], "collect": asked.get("collect", 0),
            "next": 0, "fate": asked.get("fate", "DELIVER"), **self._terms(asked),
        }  # fmt: skip
        self.parcels[tracking] = parcel
        self.bookings[key or tracking] = tracking
        if self._step_ms >= 0 and self._scans_url:
            self._spawn(self._travel(parcel))
        await asyncio.sleep(self.behaviour.late_ms / 1000)
        return JSONResponse(parcel)

    async def _find(self, request: Request) -> JSONResponse:
        """What was booked with a key."""
        if down := await self._is_down():
            return down
        tracking = self.bookings.get(request.path_params["key"])
        return JSONResponse({"parcel": self.parcels[tracking] if tracking else None})

    async def _cancel(self, request: Request) -> JSONResponse:
        if down := await self._is_down():
            return down
        parcel = self.parcels.get(request.path_params["tracking"])
        if parcel is None:
            return JSONResponse({"error": "no such parcel"}, 404)
        if parcel["next"] > 0:
            return JSONResponse({"error": "it has left"}, 422)
        parcel["fate"] = "CANCELLED"
        return JSONResponse(parcel)

    async def _fate(self, request: Request) -> JSONResponse:
        """What is to become of a parcel: DELIVER, LOSE or REFUSE."""
        parcel = self.parcels.get(request.path_params["tracking"])
        if parcel is None:
            return JSONResponse({"error": "no such parcel"}, 404)
        parcel["fate"] = json.loads(await request.body())["fate"]
        return JSONResponse(parcel)

    async def _advance(self, request: Request) -> JSONResponse:
        """Every parcel goes on by one scan; all of them in one batch."""
        scans = [scan for parcel in self.parcels.values() if (scan := self._next_scan(parcel))]
        await self._send(scans)
        return JSONResponse({"scans": len(scans)})

    async def _behave(self, request: Request) -> JSONResponse:
        asked = json.loads(await request.body())
        if unknown := set(asked) - set(vars(self.behaviour)):
            return JSONResponse({"error": f"it cannot behave so: {', '.join(sorted(unknown))}"}, 400)
        for name, value in asked.items():
            setattr(self.behaviour, name, value)
        return JSONResponse(vars(self.behaviour))

    async def _list(self, request: Request) -> JSONResponse:
        return JSONResponse(list(self.parcels.values()))

    def _spawn(self, work: Any) -> None:
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _travel(self, parcel: dict[str, Any]) -> None:
        while scan := self._next_scan(parcel):
            await self._send([scan])
            await asyncio.sleep(self._step_ms / 1000)

    def _next_scan(self, parcel: dict[str, Any]) -> dict[str, Any] | None:
        journey = FATES.get(parcel["fate"], ())
        if parcel["next"] >= len(journey):
            return None
        step = journey[parcel["next"]]
        parcel["next"] += 1
        place = {"SHIP": "origin", "DELIVER": parcel["postal_code"]}.get(step, f"hub {parcel['next']}")
        return {"tracking": parcel["tracking"], "step": step, "at_us": time.time_ns() // 1000, "place": place}

    async def _send(self, scans: list[dict[str, Any]]) -> None:
        if not scans or not self._scans_url:
            return
        body = json.dumps({"carrier": self.name, "scans": scans, "id": f"{self.name}-{time.time_ns()}"}).encode()
        at = str(int(time.time()))
        signed = hmac.new(self._secret.encode(), f"{at}.".encode() + body, hashlib.sha256).hexdigest()
        headers = {"content-type": "application/json", "x-allot-signature": f"t={at},v1={signed}"}
        async with httpx.AsyncClient(timeout=10) as client:
            for turn in range(TRIES_MAX):
                try:
                    answer = await client.post(self._scans_url, content=body, headers=headers)
                    if answer.status_code < 300:
                        return
                except httpx.HTTPError:
                    pass
                await asyncio.sleep(PAUSE_SECONDS * 2**turn)
