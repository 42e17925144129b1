"""The page engine/POLICIES.md against the engine: its worked figures, its sum rules, and its figures at once while 200
channels change their policies.
"""

import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.commands import PutNames
from engine.journal.memory import MemoryJournal
from engine.outcomes import MovementKind, Namespace
from engine.state import State
from engine.writer import Engine
from kernels.columns import UNITS_MAX, Figure
from tests import asks, twins
from tests.driving import (
    COMPILED,
    LIMITS,
    SECOND,
    SECRET,
    START,
    columns,
    fences,
    figures_of,
    place,
    received,
    replay_of,
    reserve,
    texts,
)
from tests.rules import backed

PAGE = (Path(__file__).resolve().parents[1] / "engine" / "POLICIES.md").read_text()
WHOLE = 1_000_000


def table(heading: str) -> list[dict[str, str]]:
    """The table below a heading of the page, a mapping a row."""
    part = re.split(rf"^### {re.escape(heading)}$", PAGE, flags=re.M)[1]
    lines = [line.strip("| ").split(" | ") for line in part.split("\n###")[0].splitlines() if line.startswith("|")]
    head, _, *rows = lines
    assert all(len(row) == len(head) for row in rows), heading
    return [dict(zip(head, row, strict=True)) for row in rows]


def ppm(percent: str) -> int:
    return round(float(percent.removesuffix(" %")) * 10_000)


def limits_of(row: dict[str, str]) -> tuple[int, ...]:
    """As kernels.columns.POLICY_FIGURES."""
    cap = UNITS_MAX if row["cap"] == "-" else int(row["cap"])
    return ppm(row["share"]), int(row["buffer"]), cap, int(row["threshold"]), ppm(row["buffer percent"])


class Market:
    """An engine that publishes, with SKUs at nodes of a line."""

    def __init__(self, nodes: int, skus: int, policies: Sequence[asks.Policy], channels_max: int = 8) -> None:
        self.places = [(200_000_000, 700_000_000 + 9_000_000 * node) for node in range(nodes)]
        self.nodes, self.skus = nodes, skus
        self.policies = list(policies)
        self.exceptions: dict[tuple[int, int], tuple[int, ...]] = {}  # (channel, SKU)
        self.asked = 0
        state = State(np.frombuffer(SECRET, np.uint64).copy(), replace(LIMITS, channels_max=channels_max))
        self.engine = Engine(state, MemoryJournal(keep=True))
        self.ask(asks.Opening("nodes", tuple((node, True) for node in range(nodes))), asks.Codes("codes", (0,)))
        self.engine.commit(PutNames("skus", Namespace.SKU, texts([f"sku-{sku}" for sku in range(skus)])), START)
        self.ask(asks.Channels("channels", tuple(enumerate(policies))))

    def ask(self, *commands: Any) -> dict[tuple[int, int], int]:
        """One commit; what it published, by (channel, SKU)."""
        pending = self.engine.submit([columns(command, self.places) for command in commands], START)
        changes = pending.ats_changes()
        assert changes is not None
        told = zip(changes.channel.tolist(), changes.sku.tolist(), changes.units.tolist(), strict=True)
        return {(channel, sku): units for channel, sku, units in told}

    def request(self) -> str:
        self.asked += 1
        return f"request {self.asked}"

    def put(self, channel: int, policy: asks.Policy) -> dict[tuple[int, int], int]:
        self.policies[channel] = policy
        return self.ask(asks.Channels(self.request(), ((channel, policy),)))

    def put_exception(self, channel: int, sku: int, *limits: int) -> dict[tuple[int, int], int]:
        self.exceptions[channel, sku] = limits
        return self.ask(asks.Exceptions(self.request(), ((channel, sku, *limits),)))

    def ats(self, channel: int, sku: int = 0) -> int:
        assert self.engine.availability is not None
        return self.engine.availability.figure(channel, sku)[0]

    def available(self, sku: int = 0) -> list[int]:
        return [figures_of(self.engine.state, sku, node)[1] for node in range(self.nodes)]

    def kept(self, sku: int, node: int) -> dict[int, int]:
        """Ring-fences {channel: units}."""
        at = fences(self.engine.state).items()
        return {channel: units for (s, n, channel), units in at if (s, n) == (sku, node)}

    def expected(self) -> list[list[int]]:
        """[channel, sku] by the naive twin, from stock, ring-fences and policies as they stand."""
        kept: dict[int, list[tuple[int, int, int]]] = {}
        for (sku, node, channel), units in fences(self.engine.state).items():
            kept.setdefault(sku, []).append((channel, node, units))
        available = [self.available(sku) for sku in range(self.skus)]
        out = []
        for channel, policy in enumerate(self.policies):
            group = [] if policy.closed else sorted(policy.nodes & set(range(self.nodes)))
            own = (policy.share_ppm, policy.buffer, policy.cap, policy.threshold, policy.buffer_ppm)
            limits = [self.exceptions.get((channel, sku), own) for sku in range(self.skus)]
            out.append([twins.ats(channel, group, available[s], kept.get(s, []), *limits[s]) for s in range(self.skus)])
        return out

    def published(self) -> list[list[int]]:
        assert self.engine.availability is not None
        shown: list[list[int]] = self.engine.availability.published.ats[: self.skus, : len(self.policies)].T.tolist()
        return shown


# The worked example


def of_the_page() -> tuple[Market, list[str], list[str]]:
    """The engine of the page, its channels and its nodes."""
    stock, channels = table("Stock"), table("Channels")
    nodes, names = [row["node"] for row in stock], [row["channel"] for row in channels]
    policies = []
    for row in channels:
        share, buffer, cap, threshold, buffer_ppm = limits_of(row)
        group = frozenset(nodes.index(node) for node in row["node group"].split())
        policies.append(
            asks.Policy(
                group, share_ppm=share, buffer=buffer, cap=cap, threshold=threshold, buffer_ppm=buffer_ppm
            )
        )  # fmt: skip
    market = Market(len(nodes), 1, policies)
    for node, row in enumerate(stock):
        market.ask(received(f"stock {node}", (0, node, int(row["on hand"]))))
        if int(row["allocated"]):
            market.ask(place(f"order {node}", (0, int(row["allocated"]))))
        if int(row["reserved"]):
            market.ask(reserve(f"cart {node}", (0, int(row["reserved"])), expires_at=START + SECOND))
        for kind, field in ((MovementKind.UNAVAILABLE, "unavailable"), (MovementKind.SAFETY_STOCK, "safety stock")):
            market.ask(asks.Stock(f"{field} {node}", ((0, node, kind, int(row[field])),)))
    for row in table("Exceptions"):
        market.put_exception(names.index(row["channel"]), 0, *limits_of(row))
    rows = table("Ring-fences")
    kept = tuple((names.index(row["channel"]), 0, nodes.index(row["node"]), int(row["units"])) for row in rows)
    market.ask(asks.Fence("fences", kept))
    return market, names, nodes


def check_figures(market: Market, names: list[str], heading: str) -> None:
    """Every column of a table of figures: own and free added up from the engine's stock and ring-fences."""
    available = market.available()
    rows = table(heading)
    assert [row["channel"] for row in rows] == names
    for channel, row in enumerate(rows):
        policy = market.policies[channel]
        own = free = 0
        for node in [] if policy.closed else policy.nodes:
            of = backed(market.kept(0, node), available[node])
            own += of.get(channel, 0)
            free += available[node] - sum(of.values())
        limits = (policy.share_ppm, policy.buffer, policy.cap, policy.threshold, policy.buffer_ppm)
        share, buffer, _, _, percent = market.exceptions.get((channel, 0), limits)
        units = own + share * free // WHOLE
        kept_back = max(buffer, -(-percent * units // WHOLE))
        shown = (own, free, share * free // WHOLE, units, kept_back, market.ats(channel))
        assert tuple(map(int, list(row.values())[1:])) == shown, (heading, row["channel"])


def test_the_stock_and_the_ring_fences_of_the_page():
    market, names, nodes = of_the_page()
    for node, row in enumerate(table("Stock")):
        figures, available = figures_of(market.engine.state, 0, node)
        given = {name: int(units) for name, units in list(row.items())[1:]}
        assert given.pop("available") == available
        assert list(given.values()) == [
            figures[figure]
            for figure in (Figure.ON_HAND, Figure.UNAVAILABLE, Figure.ALLOCATED, Figure.RESERVED, Figure.SAFETY_STOCK)
        ]
    for row in table("Ring-fences"):
        channel, node = names.index(row["channel"]), nodes.index(row["node"])
        kept = market.kept(0, node)
        assert (kept[channel], backed(kept, market.available()[node])[channel]) == (
            int(row["units"]), int(row["backed"]),
        )  # fmt: skip


def test_the_figures_of_the_page_before_and_after_a_channel_is_closed():
    market, names, _ = of_the_page()
    check_figures(market, names, "Figures")
    before = market.published()
    bazaar = names.index("bazaar")
    told = market.put(bazaar, replace(market.policies[bazaar], closed=True))
    check_figures(market, names, "Figures after bazaar is closed")
    differ = [channel for channel, shown in enumerate(market.published()) if shown != before[channel]]
    assert told == {(channel, 0): market.ats(channel) for channel in differ}
    assert market.expected() == market.published()
    assert replay_of(market.engine).digest() == market.engine.state.digest()


# Sums

shares = st.lists(st.integers(0, WHOLE), min_size=1, max_size=6).map(
    lambda weights: [WHOLE * weight // max(1, sum(weights)) for weight in weights]
)
units = st.integers(0, 60)


@settings(max_examples=120 if COMPILED else 25, deadline=None, derandomize=True)
@given(
    parts=shares, stock=st.lists(units, min_size=3, max_size=3), group=st.frozensets(st.integers(0, 2), min_size=1),
    fenced=st.lists(st.tuples(st.integers(0, 6), st.integers(0, 2), units), max_size=6),
    more=st.lists(st.tuples(st.integers(0, 4), st.integers(0, WHOLE), st.integers(1, 60), st.integers(0, 9))),
)  # fmt: skip
def test_a_partitioned_set_shows_no_more_than_there_is(
    parts: list[int], stock: list[int], group: frozenset[int], fenced: Any, more: Any
):
    limits = [*more[: len(parts)], *[(0, 0, UNITS_MAX, 0)] * len(parts)]
    policies = [
        asks.Policy(group, share_ppm=share, buffer=buffer, buffer_ppm=percent, cap=cap, threshold=threshold)
        for share, (buffer, percent, cap, threshold) in zip(parts, limits, strict=False)
    ]
    outsider = asks.Policy(frozenset(range(3)))  # keeps units too, but is not of the set
    market = Market(3, 1, [*policies, outsider])
    if any(stock):
        market.ask(received("stock", *((0, node, units) for node, units in enumerate(stock) if units)))
    rows = [(min(channel, len(parts)), 0, node, kept) for channel, node, kept in fenced]
    if rows:
        market.ask(asks.Fence("fences", tuple(rows)))
    assert market.published() == market.expected()
    there = sum(stock[node] for node in group)
    others = sum(
        backed(market.kept(0, node), stock[node]).get(len(parts), 0) for node in group
    )  # what the outsider keeps is not shown by the set
    assert sum(market.ats(channel) for channel in range(len(parts))) <= there - others
    for node in range(3):
        assert sum(backed(market.kept(0, node), stock[node]).values()) <= stock[node]
    market.engine.close()


def test_ring_fences_of_more_than_is_there_are_backed_by_what_is_there():
    market = Market(1, 1, [asks.Policy(frozenset({0}))] * 2)
    market.ask(received("stock", (0, 0, 5)))
    assert market.ask(asks.Fence("all", ((0, 0, 0, UNITS_MAX), (1, 0, 0, UNITS_MAX)))) == {(1, 0): 0}
    assert (market.ats(0), market.ats(1)) == (5, 0)
    answer = market.engine.commit(columns(place("more", (0, 9), channel=1), market.places), START)
    assert answer.node.tolist() == [-1]  # KEEP: all of it is short
    market.ask(place("own", (0, 9)))
    assert (market.available(), market.ats(0)) == ([0], 0)


@pytest.mark.parametrize("seed", [1, 2])
def test_with_200_channels_each_change_of_a_policy_is_shown_at_once(seed: int):
    rng = np.random.default_rng(seed)
    nodes, skus, channels = 6, 5, 200 if COMPILED else 40

    def some_policy() -> asks.Policy:
        group = frozenset(np.flatnonzero(rng.random(nodes) < 0.6).tolist()) or frozenset({0})
        return asks.Policy(
            group, share_ppm=int(rng.integers(0, WHOLE + 1)), buffer=int(rng.integers(0, 6)),
            cap=int(rng.choice([UNITS_MAX, 30])), threshold=int(rng.integers(0, 5)),
            buffer_ppm=int(rng.choice([0, rng.integers(0, WHOLE + 1)])), closed=bool(rng.random() < 0.15),
        )  # fmt: skip

    market = Market(nodes, skus, [some_policy() for _ in range(channels)], channels_max=channels)
    market.ask(received("stock", *((s, n, int(rng.integers(1, 90))) for s in range(skus) for n in range(nodes))))
    assert market.published() == market.expected()
    for step in range(60 if COMPILED else 12):
        channel, sku, node = (int(rng.integers(0, most)) for most in (channels, skus, nodes))
        before = market.published()
        kind = step % 5
        if kind <= 1:
            told = market.put(channel, some_policy())
        elif kind == 2:
            one = some_policy()
            limits = (one.share_ppm, one.buffer, int(rng.choice([0, one.cap])), one.threshold, one.buffer_ppm)
            told = market.put_exception(channel, sku, *limits)
        elif kind == 3:
            told = market.ask(asks.Fence(market.request(), ((channel, sku, node, int(rng.integers(0, 40))),)))
        else:
            told = market.ask(place(market.request(), (sku, int(rng.integers(1, 9))), channel=channel))
        assert market.published() == market.expected(), step
        changed = {
            (c, s): figure
            for c, shown in enumerate(market.published())
            for s, figure in enumerate(shown)
            if figure != before[c][s]
        }
        assert told == changed
    assert replay_of(market.engine).digest() == market.engine.state.digest()
    market.engine.close()
