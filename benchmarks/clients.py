"""The other side of the service's benchmarks: a process that makes load and times it. benchmarks/service.py starts it.

It reads jobs as lines of JSON and answers each with a line. Messages are made before the clock runs and go out as
bytes, to the service and to the echo alike, so that the client costs both the same. Answers are looked into after it.
"""

import asyncio
import gc
import itertools
import json
import os
import sys
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from functools import cache
from itertools import takewhile
from typing import Any

import grpc
import numpy as np
import pyarrow as pa

from allot.v1 import availability_pb2, orders_pb2, types_pb2
from benchmarks import wire
from benchmarks.echo import CALL, STREAM
from server.load.arrivals import SWITCH_SECONDS, OpenLoop, poisson
from server.load.lane import EncodedBatch

PLACE = "/allot.v1.OrderService/PlaceOrder"
LANE = "/allot.v1.OrderService/AllocateBatches"
WATCH = "/allot.v1.AvailabilityService/WatchAvailability"
RESERVATION = "/allot.v1.ReservationService/"
SINGLES_PER_SECOND_MAX = 12_000  # so many are made for a closed loop
ECHO_MESSAGES = 2_000  # and sent again and again
CONTENTS_MAX = 500_000  # orders of the lane with content of their own
WARM_UP_BATCHES = 6
UNDER_WAY_MAX = 4_096  # of an open loop
_TRY_AGAIN_SECONDS = 0.01
PROBE_LOOK_SECONDS, PROBE_GAP_SECONDS, PROBE_SECONDS_MAX = 0.0003, 0.005, 30.0
KEPT_ANSWERS = 8  # of the lane, looked into afterwards
_OPTIONS = [("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1)]
_channels: dict[str, Any] = {}
_prefixes = itertools.count()


def channel(address: str) -> Any:
    """The connection to a server, one for all jobs."""
    if address not in _channels:
        _channels[address] = grpc.aio.insecure_channel(address, options=_OPTIONS)
    return _channels[address]


def _prefix() -> str:
    """Of the ids of a job; no other job of any client has it."""
    return f"{os.getpid():x}-{time.time_ns() // 1_000_000:x}-{next(_prefixes):x}"


def _messages(job: dict[str, Any], count: int) -> Iterator[bytes]:
    """Of single orders; the echo gets a few, again and again."""
    if job["to"] == "echo":
        return itertools.cycle(wire.place_requests(ECHO_MESSAGES, _prefix(), job.get("seed", 0)))
    return iter(wire.place_requests(count, _prefix(), job.get("seed", 0)))


def _method(job: dict[str, Any]) -> Any:
    return channel(job["address"]).unary_unary(CALL if job["to"] == "echo" else PLACE)


def _summary(latencies: list[float], seconds: float, cpu: float, **more: Any) -> dict[str, Any]:
    """What all jobs tell: counts, milliseconds, the share of a core that the client took."""
    percents = [0, 50, 99, 99.9, 100]
    low, p50, p99, p999, high = (np.percentile(latencies, percents) * 1e3).tolist() if latencies else [0.0] * 5
    return {
        "count": len(latencies), "seconds": seconds, "per_second": len(latencies) / seconds,
        "client_cores": cpu / seconds, "min_ms": low, "p50_ms": p50, "p99_ms": p99, "p999_ms": p999, "max_ms": high,
        **more,
    }  # fmt: skip


async def closed(job: dict[str, Any]) -> dict[str, Any]:
    """Unary calls, so many at a time, each followed by the next."""
    seconds, call = job["seconds"], _method(job)
    messages = _messages(job, int(seconds * SINGLES_PER_SECOND_MAX) + job["concurrency"])
    latencies: list[float] = []
    await call(next(messages), wait_for_ready=True)
    started, cpu = time.perf_counter(), time.process_time()
    end = started + seconds
    answers: list[bytes] = []

    async def one_by_one() -> None:
        while (at := time.perf_counter()) < end:
            answers.append(await call(next(messages)))
            latencies.append(time.perf_counter() - at)

    await asyncio.gather(*[one_by_one() for _ in range(job["concurrency"])])
    elapsed, cpu = time.perf_counter() - started, time.process_time() - cpu
    allocated = _share_allocated(answers) if job["to"] != "echo" else 0.0
    return _summary(latencies, elapsed, cpu, allocated=allocated, **_each(job, latencies))


def _each(job: dict[str, Any], latencies: list[float]) -> dict[str, list[float]]:
    """Every latency, milliseconds, where the job asks for them."""
    return {"each_ms": [round(1e3 * seconds, 4) for seconds in latencies]} if job.get("each") else {}


def _share_allocated(answers: list[bytes]) -> float:
    """The share of single orders that got all they wanted. Every one must have been decided, and anew."""
    decisions = [orders_pb2.PlaceOrderResponse.FromString(answer).decision for answer in answers]
    assert all(decision.outcome and not decision.again for decision in decisions), "orders were not taken"
    return sum(decision.outcome == types_pb2.OUTCOME_ALLOCATED for decision in decisions) / len(decisions)


async def open_loop(job: dict[str, Any]) -> dict[str, Any]:
    """Unary calls that come as they come (Poisson, seeded), timed from when each should have been sent."""
    call = _method(job)
    messages = _messages(job, int(job["rate"] * job["seconds"] * 1.2) + 100)
    await call(next(messages), wait_for_ready=True)
    return await _arriving(job, job.get("seed", 0), lambda: call(next(messages)))


async def carts(job: dict[str, Any]) -> dict[str, Any]:
    """Reservations that come as they come; each is confirmed or released once it is there."""
    made = iter(wire.carts(int(job["rate"] * job["seconds"] * 1.5) + 100, _prefix(), time.time_ns() // 1000))
    methods = {
        name: channel(job["address"]).unary_unary(RESERVATION + name) for name in ("Reserve", "Confirm", "Release")
    }

    async def cart() -> None:
        reserve, end, message = next(made)
        await methods["Reserve"](reserve)
        await methods[end](message)

    return await _arriving(job, job.get("seed", 0) + 1, cart)


async def _arriving(job: dict[str, Any], seed: int, begin: Callable[[], Awaitable[Any]]) -> dict[str, Any]:
    """Begin so many a second, whether those before are done or not, with so many under way at most."""
    started, cpu = time.perf_counter() + 0.01, time.process_time()
    moments = takewhile(lambda at: at < job["seconds"], poisson(job["rate"], seed))
    arrivals = [started + at for at in moments]
    latencies: list[float] = []
    failed: Counter[str] = Counter()

    async def one(at: float) -> None:
        try:
            await begin()
            latencies.append(time.perf_counter() - at)
        except grpc.aio.AioRpcError as error:
            failed[error.code().name] += 1

    failed["never sent"] = await OpenLoop(one, job.get("under_way_max", UNDER_WAY_MAX)).run(arrivals)
    return _summary(
        latencies, time.perf_counter() - started, time.process_time() - cpu, failed=dict(+failed),
        offered=len(arrivals), **_each(job, latencies),
    )  # fmt: skip


@cache
def _contents(size: int, seed: int, count: int) -> list[EncodedBatch]:
    """Batches of the lane, encoded once for all jobs of this client."""
    return [wire.lane_batch(size, seed * 1000 + number) for number in range(count)]


class _Lane:
    """Streams of Arrow batches. With a rate batches are sent by the clock, else as soon as answers come."""

    def __init__(self, job: dict[str, Any]) -> None:
        size = job["batch"]
        count = max(WARM_UP_BATCHES, CONTENTS_MAX // size) if job["to"] == "lane" else WARM_UP_BATCHES
        self.batches = _contents(size, job.get("seed", 0), count)
        self.size, self.window, self.rate = size, job["window"], job.get("rate")
        self.sent = job.get("first_pass", 0) * count
        self.patch_seconds = 0.0
        self.latencies: list[float] = []
        self.answers: list[bytes] = []
        self.answered = self.answer_bytes = 0

    def message(self) -> bytes:
        """The next one."""
        at = time.perf_counter()
        number, self.sent = self.sent, self.sent + 1
        made = self.batches[number % len(self.batches)].of_pass(number // len(self.batches))
        self.patch_seconds += time.perf_counter() - at
        return made

    async def stream(self, method: Any, goes_on: Callable[[], bool], gap: float | None = None) -> None:
        """One stream, from its first message to its last answer. gap: seconds between two messages."""
        call, room = method(), asyncio.Semaphore(self.window)
        began: asyncio.Queue[float] = asyncio.Queue()

        async def write() -> None:
            due = time.perf_counter()
            while goes_on():
                await room.acquire()
                if gap is not None:
                    due += gap
                    await asyncio.sleep(max(due - time.perf_counter(), 0))
                message = self.message()
                began.put_nowait(due if gap is not None else time.perf_counter())
                await call.write(message)
            await call.done_writing()

        writer = asyncio.create_task(write())
        async for answer in call:
            self.latencies.append(time.perf_counter() - began.get_nowait())
            self.answered, self.answer_bytes = self.answered + 1, self.answer_bytes + len(answer)
            self.answers = [*self.answers[-KEPT_ANSWERS + 1 :], answer]
            room.release()
        await writer


async def lane(job: dict[str, Any]) -> dict[str, Any]:
    """Arrow batches over streams that are kept full, or sent at a rate of orders a second."""
    made = _Lane(job)
    method = channel(job["address"]).stream_stream(STREAM if job["to"] == "echo" else LANE)
    left = iter(range(WARM_UP_BATCHES))
    await made.stream(method, lambda: next(left, None) is not None)
    made.latencies, made.answered, made.answer_bytes, made.patch_seconds = [], 0, 0, 0.0
    started, cpu = time.perf_counter(), time.process_time()
    end = started + job["seconds"]
    gap = made.size * job["streams"] / made.rate if made.rate else None
    await asyncio.gather(*[made.stream(method, lambda: time.perf_counter() < end, gap) for _ in range(job["streams"])])
    elapsed, cpu = time.perf_counter() - started, time.process_time() - cpu
    orders = made.answered * made.size
    shares = _shares(made.answers) if job["to"] != "echo" else {}
    return _summary(
        made.latencies, elapsed, cpu, orders=orders, warm_up_orders=WARM_UP_BATCHES * made.size,
        orders_per_second=orders / elapsed, request_bytes=made.batches[0].bytes,
        answer_bytes=made.answer_bytes // made.answered,
        patch_ns_per_order=1e9 * made.patch_seconds / orders, next_pass=made.sent // len(made.batches) + 1, **shares,
    )  # fmt: skip


def _shares(answers: list[bytes]) -> dict[str, Any]:
    """The share of orders of the last answers that got all they wanted. Every order must have been taken, and anew."""
    outcomes = []
    for answer in answers:
        told = orders_pb2.AllocateBatchesResponse.FromString(answer)
        assert told.WhichOneof("result") == "batch", told.problem
        with pa.ipc.open_stream(told.batch) as stream:
            batch = stream.read_next_batch()
        assert not any(batch["again"].to_pylist()), "an order id came twice"
        outcomes.append(batch["outcome"].to_numpy())
    outcome = np.concatenate(outcomes)
    assert outcome.all(), "orders were not taken"
    return {"allocated": float((outcome == types_pb2.OUTCOME_ALLOCATED).mean())}


async def watch(job: dict[str, Any]) -> dict[str, Any]:
    """Watchers of what channels may sell; `slow` ones never read. Counted once they have `settle` seconds behind them,
    in which they are told of every SKU."""
    method = channel(job["address"]).unary_stream(WATCH)
    messages = size = 0

    async def reads(call: Any) -> None:
        nonlocal messages, size
        async for message in call:
            messages, size = messages + 1, size + len(message)

    calls = []
    for number in range(job["watchers"] + job.get("slow", 0)):
        request = availability_pb2.WatchAvailabilityRequest(channel=wire.CHANNELS[number % len(wire.CHANNELS)])
        calls.append(method(request.SerializeToString()))
    readers = [asyncio.create_task(reads(call)) for call in calls[: job["watchers"]]]
    await asyncio.sleep(job["settle"])
    messages = size = 0
    started, cpu = time.perf_counter(), time.process_time()
    await asyncio.sleep(job["seconds"])
    told = {"messages": messages, "bytes": size, "client_cores": (time.process_time() - cpu) / job["seconds"]}
    for call in calls:
        call.cancel()
    await asyncio.gather(*readers, return_exceptions=True)
    return {**told, "seconds": time.perf_counter() - started}


async def probe(job: dict[str, Any]) -> dict[str, Any]:
    """Single orders, each for an SKU that nobody else orders, and how soon Redis has another figure for it."""
    from redis.asyncio import Redis

    call, redis = channel(job["address"]).unary_unary(PLACE), Redis.from_url(job["redis"])
    keys = [f"allot:{{{name}}}:figures" for name in wire.CHANNELS]
    prefix, number = _prefix(), 0
    answered: list[float] = []
    called: list[float] = []
    reads: list[float] = []
    started, cpu = time.perf_counter(), time.process_time()
    while (began := time.perf_counter()) < started + job["seconds"]:
        sku, key = f"PROBE-{number % job['skus']}", keys[number % len(keys)]
        was = await redis.hget(key, sku)
        reads.append(time.perf_counter() - began)
        message = wire.probe_request(f"{prefix}-{number}", sku)
        number += 1
        began = time.perf_counter()
        await call(message)
        heard = time.perf_counter()
        while await redis.hget(key, sku) == was:
            assert time.perf_counter() - heard < PROBE_SECONDS_MAX, "an order does not come to Redis"
            await asyncio.sleep(PROBE_LOOK_SECONDS)
        seen = time.perf_counter()
        answered.append(seen - heard)
        called.append(seen - began)
        await asyncio.sleep(PROBE_GAP_SECONDS)
    elapsed, cpu = time.perf_counter() - started, time.process_time() - cpu
    await redis.aclose()
    return _summary(
        answered, elapsed, cpu, within_10_ms=float((np.array(answered) <= 0.01).mean()),
        call_p99_ms=1e3 * float(np.percentile(called, 99)), read_p99_ms=1e3 * float(np.percentile(reads, 99)),
    )  # fmt: skip


async def stalled(job: dict[str, Any]) -> dict[str, Any]:
    """A stream of the lane that is written to and never read, until the time is over."""
    made = _Lane(job)
    call = channel(job["address"]).stream_stream(LANE)()

    async def write() -> None:
        while True:
            await call.write(made.message())

    writer = asyncio.create_task(write())
    await asyncio.sleep(job["seconds"])
    call.cancel()
    writer.cancel()
    await asyncio.gather(writer, return_exceptions=True)
    return {"sent": made.sent, "next_pass": made.sent // len(made.batches) + 1}


async def ready(job: dict[str, Any]) -> dict[str, Any]:
    """Nothing: that it answers says that it has begun."""
    return {}


async def first_order(job: dict[str, Any]) -> dict[str, Any]:
    """Try until a new server takes what a first order needs, then the order; when each was answered."""
    fast = [("grpc.initial_reconnect_backoff_ms", 20), ("grpc.min_reconnect_backoff_ms", 20)]
    to = grpc.aio.insecure_channel(job["address"], options=[*fast, ("grpc.max_reconnect_backoff_ms", 20)])
    told = {}
    for step, method, message in wire.first_steps():
        call = to.unary_unary(method)
        while True:
            try:
                answer = await call(message)
                break
            except grpc.aio.AioRpcError as error:
                late = time.perf_counter() - job["started"] > job["seconds"]
                if late or error.code() is not grpc.StatusCode.UNAVAILABLE:
                    raise
                await asyncio.sleep(_TRY_AGAIN_SECONDS)
        told[step] = time.perf_counter() - job["started"]
    assert orders_pb2.PlaceOrderResponse.FromString(answer).decision.outcome == types_pb2.OUTCOME_ALLOCATED
    await to.close()
    return told


async def together(job: dict[str, Any]) -> dict[str, Any]:
    """Several jobs at once."""
    done = await asyncio.gather(*[JOBS[part["do"]](part) for part in job["jobs"]])
    return {part["do"]: result for part, result in zip(job["jobs"], done, strict=True)}


JOBS: dict[str, Callable[[dict[str, Any]], Awaitable[dict[str, Any]]]] = {
    job.__name__: job for job in (closed, open_loop, carts, lane, watch, probe, stalled, ready, first_order, together)
}


def main() -> None:
    """Do jobs until there are no more."""
    import uvloop

    sys.setswitchinterval(SWITCH_SECONDS)
    loop = uvloop.new_event_loop()
    asyncio.set_event_loop(loop)
    for line in sys.stdin:
        job = json.loads(line)
        gc.collect()
        print(json.dumps(loop.run_until_complete(JOBS[job["do"]](job))), flush=True)


if __name__ == "__main__":
    main()
