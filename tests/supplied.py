"""An engine with dated supply beside its twin, which goes unit by unit: bindings, and what is told of them."""

from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np

from engine import commands as asked_of
from engine import schema
from engine.journal.records import decode
from engine.outcomes import Cause, MovementKind
from engine.state import State
from engine.supply import bind_all
from kernels.columns import NO_NODE, OnShort, Stage
from tests import asks
from tests.driving import (
    START,
    Pair,
    columns,
    i16,
    i32,
    open_orders,
    policy,
    replay_of,
    u8,
)

DAY = 86_400_000_000
NODES, SKUS = 3, 2
FIRST, LATER, LAST = (START + days * DAY for days in (1, 5, 9))
POLICIES = (
    policy(on_short=OnShort.BACK_ORDER, priority=1),
    policy(0, 1, on_short=OnShort.BACK_ORDER),
    policy(split=False, on_short=OnShort.BACK_ORDER, priority=1),
    policy(),
)
Row = tuple[int, int, int, int, int]  # SKU, node, reference, units, due


class Supplied:
    """An engine whose bindings and events are looked at after every commit."""

    def __init__(self, policies: Sequence[asks.Policy] = POLICIES) -> None:
        self.pair = Pair(NODES, SKUS, policies=policies)  # for its catalogue; the model knows no supply
        self.engine = self.pair.engine
        self.policies = list(policies)
        self.active = set(range(NODES))
        self.expected: dict[int, dict[tuple[int, int], tuple[int, int]]] = {sku: {} for sku in range(SKUS)}
        self.told: Counter[tuple[int, int, int]] = Counter()  # units by (number, line, due)
        self.terms: dict[int, tuple[int, bool]] = {}  # by number
        self.requests = 0
        self.before: dict[Any, Any] = {}
        self.waited: Counter[tuple[int, int]] = Counter()

    @property
    def state(self) -> State:
        return self.engine.state

    def request(self) -> str:
        self.requests += 1
        return f"request {self.requests}"

    def expect(self, *rows: Row, request: str = "") -> Any:
        command = columns(asks.Supply(request or self.request(), rows), self.pair.places)
        for sku, node, reference, units, due in rows:
            self.expected[sku].pop((node, reference), None)
            if units:
                self.expected[sku][node, reference] = units, due
        return self.commit(command)

    def receive(self, sku: int, node: int, units: int, reference: int = 0) -> Any:
        key = (node, reference)
        missing, due = self.expected[sku].pop(key, (0, 0))
        if missing > units:
            self.expected[sku][key] = missing - units, due
        kind = u8([MovementKind.RECEIVED])
        return self.commit(
            asked_of.MoveStock(self.request(), i32([sku]), i16([node]), kind, i32([units]), reference=reference)
        )

    def ask(self, command: Any) -> Any:
        if isinstance(command, asks.Channels):
            for channel, changed in command.rows:
                self.policies[channel] = changed
        if isinstance(command, asks.Opening):
            for node, is_active in command.rows:
                (self.active.add if is_active else self.active.discard)(node)
        terms = (
            [(one.nodes_max, one.ship_complete) for one in command.orders] if isinstance(command, asks.Place) else []
        )
        return self.commit(columns(command, self.pair.places), terms=terms)

    def commit(self, *commands: Any, terms: Sequence[tuple[int, bool]] = ()) -> Any:
        last = self.state.sequence
        answers = self.engine.submit(commands, self.pair.stamp).wait()
        if terms:
            self.terms |= zip(answers[0].number.tolist(), terms, strict=True)
        self.check(self.state.sequence > last)
        return answers[0]

    def check(self, is_new: bool) -> None:
        """Bindings are the twin's, and what the commit told is what the twin sees changed."""
        after, waits, told = {}, Counter(), Counter()
        for sku in range(SKUS):
            bound = self.state.expected.bound.get(sku)
            twin = self.bindings(sku)
            found = Counter()
            if bound is not None:
                rows = zip(bound.number, bound.position, bound.due_at, bound.node, bound.reference, bound.units,
                           strict=True)  # fmt: skip
                for *key, units in rows:
                    found[tuple(map(int, key))] += int(units)
            assert found == twin
            taken = Counter()
            for (_, _, due, node, reference), units in twin.items():
                taken[due, node, reference] += units
            for (due, node, reference), units in taken.items():
                assert self.expected[sku][node, reference][1] == due
                assert units <= self.expected[sku][node, reference][0]
            for (number, line, due, _, _), units in twin.items():
                after.setdefault((sku, number, line), []).extend([due] * units)
        for number, line, sku, units in self.waiting():
            waits[sku, number, line] = units
        if is_new:
            told = Counter(self._events())
        assert told == changes(self.before, after, self.waited, waits)
        self.before, self.waited = after, waits
        for (sku, number, line, was, due, _), units in told.items():
            self.told[sku, number, line, was] -= units
            self.told[sku, number, line, due] += units
        dated = Counter({key: units for key, units in self.told.items() if key[3] and units})
        assert dated == Counter((*line, due) for line, dues in after.items() for due in dues)

    def _events(self) -> dict[Any, int]:
        out: Counter[Any] = Counter()
        for table, at in decode(self.engine.journal.record(self.state.sequence).body):
            if table is schema.PROMISES:
                names = ("sku", "number", "line", "before", "after", "waits", "units")
                for *key, units in zip(*(at[name].tolist() for name in names), strict=True):
                    assert units > 0
                    out[tuple(key)] += units
        return out

    def causes(self) -> set[Cause]:
        """Of what the last commit told."""
        tables = {table.name: at for table, at in decode(self.engine.journal.record(self.state.sequence).body)}
        return set(map(Cause, tables["promises"]["cause"].tolist())) if "promises" in tables else set()

    def waiting(self) -> list[tuple[int, int, int, int]]:
        """(number, line, SKU, units) of what waits, by channel priority, then number."""
        orders = sorted(open_orders(self.state).items(), key=lambda one: (self.policies[one[1][1]].priority, one[0]))
        return [
            (number, position, sku, sum(part[2] for part in parts if part[0] is Stage.BACK_ORDERED))
            for number, (*_, lines) in orders
            for position, (sku, _, parts) in enumerate(lines, 1)
        ]

    def bindings(self, wanted: int) -> Counter[Any]:
        """The twin: unit by unit, the first supply by date, node and reference that may serve it."""
        supply = sorted((due, node, reference, units) for (node, reference), (units, due) in
                        self.expected[wanted].items())  # fmt: skip
        units_left = [[due, node, reference] for due, node, reference, units in supply for _ in range(units)]
        orders, out = open_orders(self.state), Counter()
        nodes_of: dict[int, set[int]] = {}
        for number, line, sku, units in self.waiting():
            _, channel, _, _, lines = orders[number]
            may = set(self.policies[channel].nodes) & self.active
            there = {part[1] for *_, parts in lines for part in parts if part[0] is not Stage.CANCELLED} - {NO_NODE}
            there = nodes_of.setdefault(number, there)
            nodes_max, is_complete = self.terms.get(number, (0, False))
            most = (nodes_max or NODES) if self.policies[channel].split else 1
            waits_for = {sku for sku, _, parts in lines for part in parts if part[0] is Stage.BACK_ORDERED}
            if len(waits_for) > 1 and (most == 1 or is_complete):
                continue
            taken, nodes = [], set(there)
            if most == 1 and sku == wanted:
                may = self.whole(units, units_left, may & nodes if nodes else may)
            for _ in range(units if sku == wanted else 0):
                unit = next((unit for unit in units_left if unit[1] in may and
                             (unit[1] in nodes or len(nodes) < most)), None)  # fmt: skip
                if unit is None:
                    break
                units_left.remove(unit)
                taken.append(unit)
                nodes.add(unit[1])
            if is_complete and len(taken) < units:
                units_left = sorted(units_left + taken)
                continue
            there |= nodes
            out.update((number, line, *unit) for unit in taken)
        return out

    def whole(self, units: int, units_left: Any, may: set[int]) -> set[int]:
        """The node that can give so many units first."""
        came: Counter[int] = Counter()
        for _, node, _ in units_left:
            came[node] += 1
            if node in may and came[node] == units:
                return {node}
        return set()

    def promised(self, number: int, line: int = 1) -> list[int]:
        """The dates of a line's units."""
        out: list[int] = []
        for bound in self.state.expected.bound.values():
            mine = (bound.number == number) & (bound.position == line)
            out += np.repeat(bound.due_at[mine], bound.units[mine]).tolist()
        return sorted(out)

    def close(self) -> None:
        replayed = replay_of(self.engine)
        assert replayed.digest() == self.state.digest()
        bind_all(replayed)
        assert replayed.expected.bound.keys() == self.state.expected.bound.keys()
        for sku, bound in replayed.expected.bound.items():
            for one, other in zip(bound, self.state.expected.bound[sku], strict=True):
                assert np.array_equal(one, other)
        assert replayed.expected._of == self.state.expected._of
        self.engine.close()


def changes(before: Any, after: Any, waited: Any, waits: Any) -> Counter[Any]:
    """The twin of what is told: dates that units of a line have lost and won, matched in their sequence, after those
    that wait no more took the earliest of the lost with them."""
    out: Counter[Any] = Counter()
    for line in before.keys() | after.keys():
        old, new = Counter(before.get(line, [])), Counter(after.get(line, []))
        lost, won = sorted((old - new).elements()), sorted((new - old).elements())
        gone = min(len(lost), max(0, waited[line] - waits[line]))
        for due in lost[:gone]:
            out[*line, due, 0, 0] += 1
        lost = lost[gone:]
        for i in range(max(len(lost), len(won))):
            out[*line, lost[i] if i < len(lost) else 0, won[i] if i < len(won) else 0, 1] += 1
    return out


def number_of(answer: Any) -> int:
    return int(answer.number[0])
