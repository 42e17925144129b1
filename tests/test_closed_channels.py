"""A channel that is taken away while orders are open: the engine beside its model, the service, the client and the
command. What is published with it is in tests/test_policies_page.py too.
"""

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import allot_client
from allot.v1 import types_pb2
from engine import schema, snapshot
from engine.folder import DataFolder
from engine.journal import records
from engine.lifecycle import Action
from engine.outcomes import Reply
from engine.snapshot import load_snapshot, write_snapshot
from engine.state import State
from engine.verify import audit_state
from kernels.columns import NO_NODE, UNITS_MAX, OnShort, Stage
from tests import asks
from tests.command_line import Outcome, run
from tests.driving import SECRET, Pair, counted, place, policy, received, reserve
from tests.running import server
from tests.test_client import Driven
from tests.test_policies_page import Market
from tests.test_scenarios import LATER, SHIRT, SHOES, X, Y, act, confirm, gives, release, two_nodes

OPEN = policy()
CLOSED = replace(OPEN, closed=True)


def put(pair: Pair, policy: asks.Policy, request: str, channel: int = 0) -> None:
    assert pair.commit(asks.Channels(request, ((channel, policy),)))[0].reply is Reply.DONE


# The engine beside its model


@pytest.mark.parametrize("on_short", OnShort)
def test_a_closed_channel_takes_nothing_new_and_takes_again_when_it_is_open(on_short: OnShort) -> None:
    channel = replace(OPEN, on_short=on_short)
    pair = two_nodes(5, 5, channel, OPEN)
    first = pair.commit(place("before", (SHIRT, 1)))[0]
    put(pair, replace(channel, closed=True), "close")
    new = pair.commit(place("a", (SHIRT, 1)), reserve("b", (SHIRT, 1), expires_at=LATER), place("before", (SHIRT, 1)))
    assert [answer.reply for answer in new] == [Reply.REFUSED, Reply.REFUSED, Reply.ALLOCATED]
    assert new[2] == replace(first, again=True)
    assert pair.commit(place("c", (SHIRT, 1), channel=1))[0].reply is Reply.ALLOCATED
    put(pair, channel, "open")
    late = pair.commit(place("a", (SHIRT, 1)), place("d", (SHIRT, 1)))
    assert [answer.reply for answer in late] == [Reply.REFUSED, Reply.ALLOCATED]  # a refusal is remembered
    pair.close()


def test_open_orders_and_reservations_go_on() -> None:
    pair = two_nodes(9, 9, replace(OPEN, on_short=OnShort.BACK_ORDER))
    pair.commit(place("order", (SHIRT, 6)), place("waits", (SHIRT, 14)), place("to cancel", (SHOES, 2)))
    pair.commit(received("more", (SHIRT, X, 4)))
    pair.commit(reserve("cart", (SHIRT, 1), expires_at=LATER), reserve("let go", (SHIRT, 1), expires_at=LATER))
    put(pair, replace(CLOSED, on_short=OnShort.BACK_ORDER), "close")
    for asked in (
        act("order", Action.PICK), act("order", Action.SHIP), act("order", Action.DELIVER),
        act("order", Action.RETURN, 1, restock=1), act("to cancel", Action.CANCEL), release("let go"),
    ):  # fmt: skip
        assert pair.commit(asked)[0].reply is Reply.DONE, asked
    held = pair.commit(confirm("cart"))[0]
    assert (held.reply, held.lines[0][2][0][1]) == (Reply.ALLOCATED, Stage.ALLOCATED)
    assert pair.commit(act("order of cart", Action.SHIP))[0].reply is Reply.DONE
    pair.close()


def test_what_waits_is_served_and_what_a_count_takes_waits_on() -> None:
    pair = two_nodes(2, 0, replace(OPEN, on_short=OnShort.BACK_ORDER))
    pair.commit(place("order", (SHIRT, 5)))
    put(pair, replace(CLOSED, on_short=OnShort.BACK_ORDER), "close")
    pair.commit(counted("less", (SHIRT, X, 1)))

    def parts() -> set[tuple[Stage, int, int]]:
        (line,) = pair.model.orders[0].lines
        return {(stage, node, units) for (stage, node), (units, _) in line.parts.items()}

    assert parts() == {(Stage.ALLOCATED, X, 1), (Stage.BACK_ORDERED, NO_NODE, 4)}
    pair.commit(received("more", (SHIRT, Y, 9)))
    assert parts() == {(Stage.ALLOCATED, X, 1), (Stage.ALLOCATED, Y, 4)}
    assert pair.available(SHIRT, Y) == 5
    pair.close()


def test_a_reservation_that_must_be_sourced_anew_is_refused_and_stays() -> None:
    pair = two_nodes(5, 5, OPEN, codes=2)
    pair.commit(reserve("moved", (SHIRT, 1), expires_at=LATER), reserve("less", (SHIRT, 6), expires_at=LATER))
    put(pair, CLOSED, "close")
    pair.commit(counted("count", (SHIRT, Y, 1)))  # takes units of the one that holds units there
    assert pair.commit(confirm("moved", code=1))[0].reply is Reply.REFUSED
    assert pair.commit(confirm("less"))[0].reply is Reply.REFUSED
    assert pair.commit(confirm("moved", request="as it is"))[0].reply is Reply.ALLOCATED
    assert pair.commit(release("less"))[0].reply is Reply.DONE
    pair.close()


def test_ring_fences_end_and_what_was_drawn_from_them_does_not_come_back() -> None:
    pair = two_nodes(8, 0, OPEN, OPEN)
    pair.commit(asks.Fence("fence", ((0, SHIRT, X, 6), (0, SHOES, Y, 3), (1, SHIRT, X, 1))))
    pair.commit(place("order", (SHIRT, 2)), reserve("cart", (SHIRT, 1), expires_at=LATER))
    assert pair.commit(place("too many", (SHIRT, 4), channel=1))[0].reply is Reply.PARTLY
    pair.commit(act("too many", Action.CANCEL, channel=1))
    put(pair, CLOSED, "close")
    assert pair.model.fences == {(SHIRT, X, 0): 0, (SHOES, Y, 0): 0, (SHIRT, X, 1): 1}
    assert gives(pair.commit(place("all of it", (SHIRT, 5), channel=1))[0]) == [[(X, 5)]]
    pair.commit(act("order", Action.CANCEL), release("cart"))
    assert gives(pair.commit(place("what came back", (SHIRT, 3), channel=1))[0]) == [[(X, 3)]]
    assert pair.commit(asks.Fence("again", ((0, SHIRT, X, 1),)))[0].reply is Reply.CHANNEL_CLOSED
    assert pair.commit(asks.Fence("none", ((0, SHIRT, X, 0),)))[0].reply is Reply.DONE
    put(pair, OPEN, "open")
    assert pair.commit(asks.Fence("anew", ((0, SHIRT, X, 1),)))[0].reply is Reply.DONE
    pair.close()


def test_verify_finds_a_closed_channel_that_keeps_units() -> None:
    pair = two_nodes(8, 0, OPEN, OPEN)
    pair.commit(asks.Fence("fence", ((1, SHIRT, X, 2), (0, SHIRT, X, 6))))
    put(pair, CLOSED, "close", channel=1)
    assert audit_state(pair.state) == []
    pair.state.fences.remaining[0] = 1
    assert audit_state(pair.state) == ["closed: channel channel-1 is closed and has ring-fences"]


def test_it_is_closed_after_a_start_too(tmp_path: Path) -> None:
    back_orders = replace(OPEN, on_short=OnShort.BACK_ORDER)
    pair = Pair(nodes=2, policies=[back_orders, OPEN], path=tmp_path / "data")
    pair.commit(received("stock", (SHIRT, X, 3)), asks.Fence("fence", ((0, SHIRT, X, 2),)))
    pair.commit(place("waits", (SHIRT, 4)))
    put(pair, replace(back_orders, closed=True), "close")
    for snapshot_first in (False, True):
        pair.reopen(snapshot_first)
        assert pair.commit(place(f"new {snapshot_first}", (SHOES, 1)))[0].reply is Reply.REFUSED
    pair.commit(received("more", (SHIRT, Y, 1)))
    assert pair.available(SHIRT, Y) == 0  # what waited has it
    put(pair, back_orders, "open")
    assert pair.commit(place("open", (SHOES, 1)))[0].reply is Reply.SHORT
    pair.close()


def test_its_figures_are_0_and_what_it_kept_is_shown_to_others_in_the_same_commit() -> None:
    market = Market(2, 2, [OPEN, replace(OPEN, share_ppm=500_000)])
    market.ask(received("stock", (SHIRT, X, 9), (SHIRT, Y, 4), (SHOES, X, 2)))
    market.ask(asks.Fence("fence", ((0, SHIRT, X, 6), (0, SHOES, X, 2))))
    assert market.published() == [[13, 2], [3, 0]]
    told = market.put(0, CLOSED)
    assert told == {(0, SHIRT): 0, (0, SHOES): 0, (1, SHIRT): 6, (1, SHOES): 1}
    assert market.ask(received("more", (SHIRT, X, 2))) == {(1, SHIRT): 7}
    assert market.put(0, OPEN) == {(0, SHIRT): 15, (0, SHOES): 2}


# What was kept before there were such columns


def test_records_from_before_have_no_millionths_and_no_closed_channel() -> None:
    row = {"channel": np.zeros(1, np.int16), "on_short": np.ones(1, np.uint8), "split": np.ones(1, np.uint8)}
    row |= {name: np.full(1, 7, np.int32) for name in ("priority", "share_ppm", "buffer", "cap", "threshold")}
    row |= {f"nodes_{word}": np.zeros(1, np.uint64) for word in range(4)}
    before = replace(schema.CHANNELS, columns=schema.CHANNELS.columns[:12])
    exceptions = replace(schema.EXCEPTIONS, columns=schema.EXCEPTIONS.columns[:6])
    body = records.encode([(before, row), (exceptions, row | {"sku": np.zeros(1, np.int32)})])
    (_, channels), (_, exception) = records.decode(b"".join(bytes(memoryview(part).cast("B")) for part in body))
    assert (channels["buffer_ppm"].tolist(), channels["closed"].tolist()) == ([0], [0])
    assert (exception["buffer_ppm"].tolist(), exception["threshold"].tolist()) == ([0], [7])


def test_snapshots_from_before_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    market = Market(1, 2, [replace(OPEN, buffer_ppm=1_000), OPEN])
    market.put_exception(1, SHOES, 500_000, 1, UNITS_MAX, 2, 3)
    whole = snapshot._columns

    def before(state: State) -> Iterator[tuple[str, Any]]:
        for name, column in whole(state):
            if name not in ("policy_buffer_ppm", "policy_closed"):
                yield name, column[:, :4] if name == "exception_figures" else column

    monkeypatch.setattr(snapshot, "_columns", before)
    folder = DataFolder.create(tmp_path / "data", SECRET, market.engine.state.limits)
    state = State(market.engine.state.secret, market.engine.state.limits)
    load_snapshot(folder.disk, write_snapshot(folder.disk, market.engine.state), state)
    assert state.policies.exception_figures[0].tolist() == [500_000, 1, UNITS_MAX, 2, 0]
    assert not state.policies.buffer_ppm.any()
    folder.close()


# Over gRPC


@pytest.mark.parametrize("kind", [allot_client.Client, Driven], ids=["blocking", "async"])
def test_a_channel_is_closed_with_orders_open(kind: Any, tmp_path: Path) -> None:
    with server(tmp_path / "data") as running:
        shop = kind(running.address)
        shop.put_nodes([("BLR", 12.97, 77.59)])
        for name in ("market", "own"):
            shop.put_channel(name, node_ids=["BLR"], on_short="back_order", policy={"buffer_ppm": 100_000})
        shop.receive_stock([("S", "BLR", 20)])
        shop.put_fences([("market", "S", "BLR", 8)])
        asked = {"channel": "market", "postal_code": "560001", "lines": [("S", 2)]}
        shop.place_order(order_id="A-1", **asked)
        shop.reserve(hold=timedelta(minutes=5), order_id="cart", **asked)

        def shown(channel: str) -> tuple[int, int]:
            (figure,) = shop.get_availability(channel, ["S"]).figures
            return figure.units, figure.version

        assert (shown("market")[0], shown("own")[0]) == (14, 10)  # 16 and 12 less a tenth
        assert not shop.close_channel("market", request_id="close").again
        assert shop.close_channel("market", request_id="close").again
        assert (shown("market")[0], shown("own")[0]) == (0, 14)
        assert shown("market")[1] == shown("own")[1]  # one commit
        listed = {channel.channel: channel for channel in shop.list_channels()}
        assert (listed["market"].closed, listed["own"].closed) == (True, False)
        assert (listed["market"].policy.buffer_ppm, list(listed["market"].node_ids)) == (100_000, ["BLR"])
        assert shop.place_order(order_id="A-2", **asked).outcome == types_pb2.OUTCOME_REFUSED
        held = shop.reserve(hold=timedelta(minutes=5), order_id="cart 2", **asked)
        assert held.decision.outcome == types_pb2.OUTCOME_REFUSED
        with pytest.raises(allot_client.AllotError) as caught:
            shop.put_fences([("market", "S", "BLR", 1)])
        assert (caught.value.reason, caught.value.field) == ("CHANNEL_CLOSED", "fences.channel")
        with pytest.raises(allot_client.Invalid) as bad:
            shop.put_channel("market", policy={"buffer_ppm": 1_000_001})
        assert (bad.value.reason, bad.value.field) == ("OUT_OF_RANGE", "channel.policy.buffer_ppm")
        with pytest.raises(allot_client.Invalid) as bad:
            shop.put_exceptions([("market", "S", {"buffer_ppm": 1_000_001})])
        assert bad.value.field == "exceptions[0].policy.buffer_ppm"
        with pytest.raises(allot_client.Unknown):
            shop.close_channel("nobody's")
        assert shop.confirm("market", "cart", "A-3").outcome == types_pb2.OUTCOME_ALLOCATED
        assert shop.cancel_order("market", "A-1").quantity == 2
        assert (shown("market")[0], shown("own")[0]) == (0, 16)
        shop.put_channel("market", node_ids=["BLR"])
        assert shown("market")[0] == 18
        shop.close()
    assert run("verify", "--data", tmp_path / "data").code == 0


def test_an_operator_closes_a_channel_and_puts_it_open(tmp_path: Path) -> None:
    with server(tmp_path / "data") as running:

        def allot(*arguments: object, code: int = 0) -> Outcome:
            found = run(*arguments, "--server", running.address)
            assert found.code == code, found
            return found

        allot("node", "put", "BLR", "--latitude", "12.97", "--longitude", "77.59")
        allot("channel", "put", "market", "--buffer", 2, "--buffer-ppm", 55_000, "--node", "BLR")
        allot("stock", "receive", "S", "BLR", 100)
        order = ("--channel", "market", "--postal-code", "560001", "--line", "S=2")
        allot("order", "place", "A-1", *order)
        assert "5.5 %" in allot("channel", "list").out
        assert allot("watch", "market", "--once").out.splitlines()[-1].endswith("\t92\tS")  # 98 less 5.39, so 6
        assert allot("channel", "close", "market").out == "channel market is closed\n"
        assert allot("watch", "market", "--once").out.splitlines()[-1].endswith("\t0\tS")
        (listed,) = allot("channel", "list", "--json").json
        assert (listed["closed"], listed["policy"]["buffer_ppm"], listed["node_ids"]) == (True, 55_000, ["BLR"])
        assert "refused" in allot("order", "place", "A-2", *order, code=1).out
        assert "2 units cancelled" in allot("order", "cancel", "A-1", "--channel", "market").out
        assert "no-such is not" not in allot("channel", "close", "no-such", code=1).out
        allot("channel", "put", "market")
        assert "allocated" in allot("order", "place", "A-3", *order).out
    assert run("verify", "--data", tmp_path / "data").code == 0
