"""Random commands against the engine and against the model (tests/model.py), compared whole after every commit.

At random points the folder is closed and opened again, from the journal or from a snapshot and its tail.
"""

import shutil
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule, run_state_machine_as_test

from engine import reallocation
from engine.lifecycle import Action
from engine.outcomes import MovementKind
from kernels.columns import OnShort
from tests import asks
from tests.driving import COMPILED, EVERY_NODE, SECOND, Pair

SKUS, NODES, CODES, CHANNELS = 4, 4, 3, 3
IDS = 12  # few, so that repeats are frequent
POLICIES = [
    asks.Policy(EVERY_NODE, on_short=OnShort.KEEP, priority=2),
    asks.Policy(frozenset({0, 1, 3}), on_short=OnShort.BACK_ORDER, priority=1),
    asks.Policy(EVERY_NODE, split=False, on_short=OnShort.REFUSE, priority=1),
]

skus = st.integers(0, SKUS - 1)
nodes = st.integers(0, NODES - 1)
codes = st.integers(0, CODES - 1)
channels = st.integers(0, CHANNELS - 1)
lines = st.lists(st.tuples(skus, st.integers(1, 9)), min_size=1, max_size=4).map(tuple)
known = st.integers(0, IDS - 1).map(str)
nodes_max = st.sampled_from([0, 0, 1, 2, NODES])
policies = st.builds(
    asks.Policy,
    st.frozensets(nodes, min_size=1),
    st.booleans(),
    st.sampled_from(OnShort),
    st.integers(0, 3),
    closed=st.booleans(),
    preferred=st.frozensets(nodes, max_size=2),
    excluded=st.sets(nodes, max_size=1).map(frozenset),
)


def many(what: Any, most: int = 4) -> Any:
    return st.lists(what, min_size=1, max_size=most).map(tuple)


def carts(kind: str) -> Any:
    expires = st.just(0) if kind == "order" else st.integers(1, 40).map(lambda seconds: seconds * SECOND)
    return many(st.builds(asks.Cart, known, lines, channels, codes, expires, nodes_max, st.booleans()))


class Commerce(RuleBasedStateMachine):
    """Orders, reservations, movements and policies, in any sequence."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp())
        self.pair: Pair | None = None
        self.requests = 0

    def teardown(self) -> None:
        try:
            if self.pair is not None:
                self.pair.close()
        finally:
            shutil.rmtree(self.folder)

    def new(self) -> str:
        """A request id never used before."""
        self.requests += 1
        return f"new-{self.requests}"

    def commit(self, *asked: Any, after: int = 0) -> None:
        assert self.pair is not None
        self.pair.commit(*asked, after=after * SECOND)

    @initialize(
        stocked=st.lists(st.tuples(skus, nodes, st.integers(1, 20)), max_size=8),
        fences=many(st.tuples(channels, skus, nodes, st.integers(0, 8)), most=6),
    )
    def open(self, stocked: list[tuple[int, int, int]], fences: Any) -> None:
        self.pair = Pair(NODES, SKUS, CODES, POLICIES, self.folder / "data")
        rows = tuple((sku, node, MovementKind.RECEIVED, units) for sku, node, units in stocked)
        if rows:
            self.commit(asks.Stock(self.new(), rows))
        self.commit(asks.Fence(self.new(), fences))

    @rule(orders=carts("order"))
    def place(self, orders: Any) -> None:
        self.commit(asks.Place(orders))

    @rule(orders=carts("reservation"), after=st.integers(0, 5))
    def reserve(self, orders: Any, after: int) -> None:
        assert self.pair is not None
        now = self.pair.stamp + after * SECOND
        at = tuple(replace(cart, expires_at=now + cart.expires_at) for cart in orders)
        self.commit(asks.Reserve(at), after=after)

    @rule(
        rows=many(st.builds(asks.Confirmation, known, known, known, channels, st.integers(-1, CODES - 1))),
        fresh=st.booleans(),
    )
    def confirm(self, rows: tuple[asks.Confirmation, ...], fresh: bool) -> None:
        if fresh:
            rows = tuple(asks.Confirmation(self.new(), r.order_id, r.reservation, r.channel, r.code) for r in rows)
        self.commit(asks.Confirm(rows))

    @precondition(lambda self: self.pair and self.pair.model.reservations())
    @rule(data=st.data(), code=st.integers(-1, CODES - 1), after=st.integers(0, 3))
    def confirm_open_one(self, data: st.DataObject, code: int, after: int) -> None:
        assert self.pair is not None
        held = data.draw(st.sampled_from(self.pair.model.reservations()))
        request = asks.Confirmation(self.new(), self.new(), held.id, held.channel, code)
        self.commit(asks.Confirm((request,)), after=after)

    @rule(rows=many(st.builds(asks.Ending, known, known, channels)), fresh=st.booleans())
    def release(self, rows: tuple[asks.Ending, ...], fresh: bool) -> None:
        if fresh:
            rows = tuple(asks.Ending(self.new(), r.reservation, r.channel) for r in rows)
        self.commit(asks.Release(rows))

    @precondition(lambda self: self.pair and self.pair.model.orders)
    @rule(
        data=st.data(),
        acts=many(
            st.tuples(
                st.sampled_from(Action), st.integers(0, 6), st.integers(0, 4), st.integers(-1, NODES - 1),
                st.integers(0, 2), known | st.none(),
            )
        ),
    )  # fmt: skip
    def act(self, data: st.DataObject, acts: Any) -> None:
        assert self.pair is not None
        rows = []
        for action, units, line, node, restock, request in acts:
            order = data.draw(st.sampled_from(self.pair.model.orders))
            rows.append(asks.Act(request or self.new(), order.id, action, units, line, node, order.channel, restock))
        self.commit(asks.Acts(tuple(rows)))

    @rule(
        rows=many(
            st.tuples(
                skus, nodes,
                st.sampled_from([MovementKind.RECEIVED, MovementKind.ADJUSTED, MovementKind.UNAVAILABLE]),
                st.integers(-9, 12),
            )
        ),
        request=known | st.none(),
    )  # fmt: skip
    def move(self, rows: Any, request: str | None) -> None:
        self.commit(asks.Stock(request or self.new(), rows))

    @rule(
        rows=many(
            st.tuples(
                skus, nodes, st.sampled_from([MovementKind.COUNTED, MovementKind.SAFETY_STOCK]), st.integers(-2, 15)
            )
        ),
        source=st.integers(-1, 1),
        counted_at=st.integers(0, 9),
    )
    def count(self, rows: Any, source: int, counted_at: int) -> None:
        self.commit(asks.Stock(self.new(), rows, source, counted_at))

    @rule(rows=many(st.tuples(channels, skus, nodes, st.integers(0, 8))))
    def fence(self, rows: Any) -> None:
        self.commit(asks.Fence(self.new(), rows))

    @rule(node=nodes, active=st.booleans())
    def open_or_close_a_node(self, node: int, active: bool) -> None:
        self.commit(asks.Opening(self.new(), ((node, active),)))

    @rule(channel=channels, policy=policies)
    def change_a_channel(self, channel: int, policy: asks.Policy) -> None:
        self.commit(asks.Channels(self.new(), ((channel, policy),)))

    @rule(
        nodes=st.frozensets(nodes, min_size=1, max_size=2),
        priority=st.integers(0, 3),
        after=st.integers(0, 5),
        short=st.booleans(),
        request=known | st.none(),
    )
    def leave_nodes(self, nodes: frozenset[int], priority: int, after: int, short: bool, request: str | None) -> None:
        self.commit(asks.Reallocate(request or self.new(), nodes, priority, after, short=short))

    @rule(after=st.integers(0, 60))
    def wait(self, after: int) -> None:
        self.commit(after=after)

    @rule(ago=st.integers(0, 20))
    def retire(self, ago: int) -> None:
        assert self.pair is not None
        self.commit(asks.Retire(self.pair.stamp - ago * SECOND))

    @rule(ago=st.integers(-1, 10))
    def forget(self, ago: int) -> None:
        assert self.pair is not None
        self.commit(asks.Forget(max(5, self.pair.model.sequence - ago)))

    @rule(
        orders=carts("order"),
        rows=many(st.tuples(skus, nodes, st.integers(0, 12))),
        acts=many(st.tuples(known, channels)),
    )
    def several_commands_in_one_commit(self, orders: Any, rows: Any, acts: Any) -> None:
        stock = tuple((sku, node, MovementKind.COUNTED, units) for sku, node, units in rows)
        cancels = tuple(asks.Act(self.new(), id, Action.CANCEL, channel=channel) for id, channel in acts)
        self.commit(asks.Place(orders), asks.Stock(self.new(), stock), asks.Acts(cancels))

    @rule(snapshot=st.booleans())
    def start_again(self, snapshot: bool) -> None:
        assert self.pair is not None
        self.pair.reopen(snapshot)


@pytest.fixture(autouse=True)
def _few_orders_of_a_commit_are_moved(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reallocation, "ORDERS_OF_A_COMMIT_MAX", 2)


def run(examples: int, steps: int) -> None:
    """Deterministic: the same commands on every machine."""
    run_state_machine_as_test(
        Commerce,
        settings=settings(
            max_examples=examples, stateful_step_count=steps, deadline=None, derandomize=True, database=None,
            suppress_health_check=list(HealthCheck), print_blob=False,
        ),
    )  # fmt: skip


def test_any_commands_in_any_sequence_leave_the_engine_and_the_model_the_same() -> None:
    run(*((80, 40) if COMPILED else (40, 40)))


@pytest.mark.soak
def test_the_same_at_length() -> None:
    run(3000, 60)
