"""The parts of `allot load` without a server: what is sent, when it is due, how latencies are counted, what is told."""

import asyncio
import re
import time
from collections import Counter
from itertools import islice, takewhile

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from allot.v1 import orders_pb2, types_pb2
from server.load.arrivals import OpenLoop, poisson
from server.load.catalogue import Catalogue
from server.load.lane import EncodedBatch
from server.load.latencies import Latencies, merged
from server.load.ledger import SAMPLED, Ledger
from server.load.mix import Kind, Mix
from server.load.orders import Orders

SECONDS = st.floats(1e-5, 100)
ALLOCATED = types_pb2.OUTCOME_ALLOCATED


# The mix


def test_a_mix_has_shares_of_any_sum():
    mix = Mix.parse(" place=8, reserve=1.5,read=0 ,batch=0.5")
    assert mix.shares == {Kind.PLACE: 8, Kind.RESERVE: 1.5, Kind.BATCH: 0.5}
    assert str(mix) == "place=8,reserve=1.5,batch=0.5"
    assert str(Mix.parse(str(mix))) == str(mix)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "give KIND=SHARE, of place, reserve, read, promise, batch"),
        ("place=1,cancel=1", "'cancel=1' is no part of a mix"),
        ("place", "'' is no number: give a share such as place=10"),
        ("place=many", "place=many: 'many' is no number"),
        ("place=-1", "give a share of 0 or more"),
        ("place=inf", "give a share of 0 or more"),
        ("place=nan", "give a share of 0 or more"),
        ("place=1,read=2,place=3", "place is given twice"),
        ("place=0,read=0", "nothing would be sent"),
    ],
)
def test_a_mix_that_will_not_do_is_told(text: str, said: str):
    with pytest.raises(ValueError, match=re.escape(said)):
        Mix.parse(text)


def test_kinds_come_as_often_as_their_shares_say_and_the_same_for_a_seed():
    mix = Mix.parse("place=6,read=3,reserve=1")
    drawn = list(islice(mix.draws(5), 20_000))
    assert drawn == list(islice(mix.draws(5), 20_000))
    assert drawn != list(islice(mix.draws(6), 20_000))
    counts = Counter(drawn)
    assert [counts[kind] / 20_000 for kind in mix.shares] == pytest.approx([0.6, 0.3, 0.1], abs=0.02)
    assert set(islice(Mix.parse("batch=3").draws(1), 5)) == {Kind.BATCH}
    assert set(islice(Mix.parse("place=1e308,read=1e308").draws(1), 50)) == {Kind.PLACE, Kind.READ}


# When requests are due


def test_moments_are_poisson_and_the_same_for_a_seed():
    moments = np.array(list(takewhile(lambda at: at < 50, poisson(400, 3))))
    assert moments.tolist() == list(takewhile(lambda at: at < 50, poisson(400, 3)))
    assert moments.tolist() != list(takewhile(lambda at: at < 50, poisson(400, 4)))
    assert (np.diff(moments) > 0).all()
    assert moments.size == pytest.approx(20_000, rel=0.03)
    gaps = np.diff(moments)
    assert gaps.std() == pytest.approx(gaps.mean(), rel=0.05)  # as of exponential gaps
    each = np.bincount(moments.astype(int))
    assert each.var() == pytest.approx(each.mean(), rel=0.6)


def test_an_open_loop_sends_on_time_and_who_finds_no_room_keeps_his_moment():
    began: list[tuple[float, float]] = []
    under_way = most = 0

    async def request(due: float) -> None:
        nonlocal under_way, most
        began.append((due, time.perf_counter()))
        under_way += 1
        most = max(most, under_way)
        await asyncio.sleep(0.05)
        under_way -= 1

    async def run(moments: list[float], room: int) -> int:
        start = time.perf_counter() + 0.02
        return await OpenLoop(request, room).run([start + moment for moment in moments])

    assert asyncio.run(run([0.0, 0.1, 0.2], 8)) == 0
    assert all(0 <= at - due < 0.05 for due, at in began)
    began.clear()
    most = 0
    assert asyncio.run(run([0.0] * 5, 2)) == 0  # three rounds, two at a time
    assert (len(began), most) == (5, 2)
    assert len({due for due, _ in began}) == 1
    assert began[-1][1] - began[-1][0] >= 0.1


def test_an_open_loop_tells_how_many_were_never_sent():
    async def request(_: float) -> None:
        await asyncio.sleep(0.2)

    async def run() -> int:
        return await OpenLoop(request, 1).run([time.perf_counter()] * 50, drain_seconds=0.3)

    assert 45 <= asyncio.run(run()) <= 49


def test_far_too_many_moments_leave_the_loop_time_to_send():
    count, sent = 300_000, 0

    async def request(_: float) -> None:
        nonlocal sent
        sent += 1
        await asyncio.sleep(0.2)

    async def run() -> tuple[int, float]:
        start = time.perf_counter()
        never_sent = await OpenLoop(request, 2).run((start for _ in range(count)), drain_seconds=0.1)
        return never_sent, time.perf_counter() - start

    never_sent, seconds = asyncio.run(run())
    assert never_sent + sent == count
    assert seconds < 1.5


def test_an_open_loop_ends_when_it_is_told_and_raises_what_a_request_raises():
    async def request(_: float) -> None:
        raise ValueError("broken")

    async def ended() -> float:
        loop = OpenLoop(lambda _: asyncio.sleep(0), 8)
        asyncio.get_running_loop().call_later(0.1, loop.ended.set)
        start = time.perf_counter()
        await loop.run(start + at for at in poisson(100, 1))
        return time.perf_counter() - start

    assert asyncio.run(ended()) < 1
    with pytest.raises(ValueError, match="broken"):
        asyncio.run(OpenLoop(request, 8).run(time.perf_counter() + at for at in poisson(100, 1)))


# Latencies


@settings(deadline=None)  # the machine may have other work
@given(st.lists(SECONDS, min_size=1, max_size=300), st.lists(SECONDS, max_size=50))
@example([98.0], [98.7578125])  # a hair above the end of a bucket
def test_percentiles_are_those_of_numpy_to_half_a_percent(some: list[float], more: list[float]):
    parts = Latencies(), Latencies()
    for part, seconds in zip(parts, (some, more), strict=True):
        for one in seconds:
            part.add(one)
    whole = merged(parts)
    everything = np.array(some + more)
    assert (whole.count, whole.min, whole.max) == (everything.size, everything.min(), everything.max())
    assert whole.sum == pytest.approx(everything.sum())
    for percent in (0, 50, 90, 99, 99.9, 100):
        exact = np.percentile(everything, percent, method="inverted_cdf")
        assert whole.percentile(percent) == pytest.approx(exact, rel=0.0051)
    ends, counts = whole.buckets()
    assert counts.sum() == whole.count
    assert [int(count) for count in np.cumsum(counts)] == [int((everything <= end * (1 + 1e-9)).sum()) for end in ends]


def test_no_latencies_have_no_percentiles():
    assert Latencies().percentile(99) == 0.0
    assert Latencies().buckets()[0].size == 0


# Messages


def test_a_batch_is_written_anew_for_each_pass():
    ids = pa.array(["x-000-0", "x-000-1", "x-000-2"])
    batch = pa.record_batch({"order_id": ids, "channel": ["own", "x-000-0", "own"]})
    encoded = EncodedBatch(batch, range(4, 1, -1))
    for number in (0, 7, 123, 999):
        message = orders_pb2.AllocateBatchesRequest.FromString(encoded.of_pass(number))
        with pa.ipc.open_stream(message.batch) as stream:
            (found,) = stream
        assert found["order_id"].to_pylist() == [f"x-{number:03d}-{row}" for row in range(3)]
        assert found["order_id"][2].as_py() == encoded.id_of(2, number)
        assert found["channel"].equals(batch["channel"])


def test_orders_are_the_same_for_a_seed_and_no_id_comes_twice():
    def made(seed: int) -> list[bytes]:
        orders = Orders(Catalogue("", 50), "r", seed, 20)
        batches = [orders.batch() for _ in range(40)]
        return [
            *(orders.place().message for _ in range(5000)),
            *(batch.content.of_pass(batch.number) for batch in batches),
            orders.look(), orders.promise(),
        ]  # fmt: skip

    assert made(1) == made(1)
    assert made(1) != made(2)
    orders = Orders(Catalogue("a", 50), "r", 1, 20)
    ids = [orders.place().order_id for _ in range(5000)] + [orders.reserve().order_id for _ in range(100)]
    for _ in range(40):
        batch = orders.batch()
        ids += [batch.content.id_of(row, batch.number) for row in range(20)]
    assert len(set(ids)) == len(ids) == 5900
    assert all(one.startswith("load-a-r-") for one in ids)


def test_every_name_of_a_load_begins_with_load():
    for name in ("", "b"):
        catalogue = Catalogue(name, 30)
        names = [catalogue.channel, *catalogue.nodes, *catalogue.skus, *catalogue.codes]
        assert all(one == "load" or one.startswith("load-") for one in names)
        assert len(set(names)) == len(names)
    assert not set(Catalogue("", 30).nodes) & set(catalogue.nodes)


# The ledger


def test_the_ledger_adds_up_units_and_samples_orders_evenly():
    catalogue = Catalogue("", 10)
    ledger = Ledger(catalogue, 1)
    part = types_pb2.Part(line=1, node_id=catalogue.nodes[2], quantity=3)
    short = types_pb2.Part(line=1, quantity=2)
    for number in range(4000):
        decision = types_pb2.Decision(outcome=ALLOCATED, number=number, parts=[part, short])
        ledger.decided(f"o{number}", [4], decision, False)
    assert ledger.units()[4, 2] == ledger.units().sum() == 12_000
    ledger.held([4], decision, False, -1)
    assert ledger.units().sum() == 11_997
    assert len(ledger.sampled) == SAMPLED
    assert np.mean([taken.number for taken in ledger.sampled]) == pytest.approx(2000, abs=200)
    assert {taken.units for taken in ledger.sampled} == {3}
    assert (ledger.orders, ledger.again) == (4000, 0)


def test_a_first_answer_that_says_again_is_noticed_and_one_that_was_asked_for_again_is_not():
    ledger = Ledger(Catalogue("", 10), 1)
    decision = types_pb2.Decision(outcome=ALLOCATED, number=1, again=True)
    ledger.decided("a", [0], decision, True)
    assert ledger.again == 0
    ledger.decided("b", [0], decision, False)
    assert ledger.again == 1
