"""The days of nodes again, as plain Python on top of tests/model.py: what nodes may take, and what they took."""

from collections.abc import Iterable, Sequence
from typing import Any

from engine.outcomes import Method, Reply
from kernels.columns import NO_NODE, Stage
from tests import asks
from tests.driving import Pair
from tests.model import _DECIDE, Drawn, Line, Model, Order, View
from tests.rules import Terms

WAITS = (Stage.BACK_ORDERED, NO_NODE)


class DayModel(Model):
    """An engine whose nodes may have limits. `terms` and `taken` are of those nodes alone."""

    def __init__(self, metres: Sequence[Sequence[int]], policies: Any, catalogue_keys: Iterable[str]) -> None:
        super().__init__(metres, policies, catalogue_keys)
        self.terms: dict[int, tuple[int, ...]] = {}
        self.day: dict[int, int] = {}
        self.since: dict[int, int] = {}
        self.taken: dict[int, list[int]] = {}  # orders, units
        self.given: set[tuple[int, int]] = set()  # (order, node) of the moves of one step
        self.lent: Order | None = None
        self.keeps: Order | None = None

    # Days

    def commit(self, asked: Sequence[Any], stamp: int) -> list[list[Any]]:
        before = self.stamp, dict(self.day), dict(self.since), {node: list(t) for node, t in self.taken.items()}
        self.stamp = max(self.stamp, stamp)
        self.sequence += 1
        self.changed = False
        begun = [node for node in self.terms if self.number(node) > self.day[node]]
        for node in begun:
            self.day[node], self.since[node], self.taken[node] = self.number(node), self.sequence, [0, 0]
        for order in sorted(self.reservations(), key=lambda order: (order.expires_at, order.number)):
            if order.expires_at <= self.stamp:
                order.expired = True
                self._end(order)
        waiting = {line.sku for order in self.orders for line in order.lines if WAITS in line.parts}
        self._serve({sku for sku in waiting if any(self.available(sku, node) for node in begun)})
        answers = [getattr(self, _DECIDE[type(command)].__name__)(command) for command in asked]
        if not self.changed:
            self.sequence -= 1
            self.stamp, self.day, self.since, self.taken = before
        return answers

    def number(self, node: int) -> int:
        """The day that it is at a node."""
        _, _, starts_at, offset = self.terms[node]
        return (self.stamp // 60_000_000 + offset - starts_at) // 1440

    def is_full(self, node: int, units: int) -> bool:
        """Whether it cannot take one more order of so many units."""
        if node not in self.terms:
            return False
        orders, took = self.taken[node]
        if self.lent is not None and self.lent.sequence >= self.since[node]:
            held = self._held(self.lent).get(node, 0)
            orders, took = orders - (held > 0), took - held
        most_orders, most_units, *_ = self.terms[node]
        return 0 <= most_orders <= orders or 0 <= most_units < took + units

    def _held(self, order: Order) -> dict[int, int]:
        units: dict[int, int] = {}
        for line in order.lines:
            for (stage, node), part in line.parts.items():
                if stage is Stage.RESERVED:
                    units[node] = units.get(node, 0) + part[0]
        return units

    def _take(self, node: int, orders: int, units: int) -> None:
        if node in self.terms:
            self.taken[node][0] += orders
            self.taken[node][1] += units

    # What the model does, and what it takes of a day

    def _source(
        self, lines: Sequence[tuple[int, int]], channel: int, code: int, view: View, terms: Terms,
        only: frozenset[int] | None = None, taken_before: bool = False,
    ) -> list[list[Drawn]]:  # fmt: skip
        units = sum(units for _, units in lines)
        nodes = range(len(self.active)) if only is None else only
        free = frozenset(node for node in nodes if not self.is_full(node, units))
        return super()._source(lines, channel, code, view, terms, free, taken_before)

    def _enter(self, id: str, channel: int, code: int, lines: Any, drawn: list[Any], reserving: bool) -> Order:
        order = super()._enter(id, channel, code, lines, drawn, reserving)
        units: dict[int, int] = {}
        for taken in drawn:
            for node, part, _ in taken:
                units[node] = units.get(node, 0) + part
        for node, of_node in units.items():
            if self.keeps is None or self.keeps.sequence >= self.since.get(node, 0):
                self._take(node, 1, of_node)
        return order

    def _end(self, order: Order) -> int:
        for node, units in self._held(order).items():
            if node in self.terms and order.sequence >= self.since[node]:
                self._take(node, -1, -units)
        return super()._end(order)

    def _confirm_one(self, request: asks.Confirmation) -> asks.OrderAnswer:
        held = self._reservation(request.channel, request.reservation)
        if isinstance(held, Order) and (request.channel, Method.PLACE_ORDER, request.order_id) not in self.keys:
            if request.code in (-1, held.code) and self._is_whole(held):
                self.keeps = held
            else:
                self.lent = held
        answer = super()._confirm_one(request)
        self.keeps = self.lent = None
        return answer

    def _move(
        self, order: Order, line: Line, at: tuple[Stage, int], to: Stage, units: int, new: tuple[int, int] | None = None
    ) -> None:
        super()._move(order, line, at, to, units, new)
        if new is not None:
            self._take(new[0], (order.number, new[0]) not in self.given, units)
            self.given.add((order.number, new[0]))

    def _serve(self, skus: set[int], lost: Any = None) -> None:
        self.given = set()
        super()._serve(skus, lost or {})

    def _leave(self, asked: asks.Reallocate) -> asks.Reallocation:
        self.given = set()
        return super()._leave(asked)

    def _put(self, asked: Any) -> list[asks.Answer]:
        terms = getattr(asked, "terms", ())
        (answer,) = super()._put(asked)
        if isinstance(asked, asks.Opening) and answer.reply is Reply.DONE and not answer.again:
            for i, (node, _) in enumerate(asked.rows):
                self._set_terms(node, terms[i] if terms else (-1, -1, 0, 0))
        return [answer]

    def _set_terms(self, node: int, terms: tuple[int, ...]) -> None:
        before = self.day.get(node)
        if max(terms[:2]) < 0:
            for column in (self.terms, self.day, self.since, self.taken):
                column.pop(node, None)  # type: ignore[attr-defined]
            return
        self.terms[node] = terms
        self.day[node] = self.number(node)
        if before != self.day[node]:
            self.since[node], self.taken[node] = self.sequence + 1, [0, 0]


class DayPair(Pair):
    """An engine and the model, whose days are the same too."""

    model_of = DayModel
    model: DayModel

    def check(self) -> None:
        super().check()
        days, nodes = self.state.days, range(len(self.places))
        limited = [node for node in nodes if max(days.terms[node, :2]) >= 0]
        assert {node: tuple(days.terms[node].tolist()) for node in limited} == self.model.terms
        assert {node: days.taken[node].tolist() for node in limited} == self.model.taken
        assert {node: int(days.number[node]) for node in limited} == self.model.day
        assert {node: int(days.since[node]) for node in limited} == self.model.since
        assert (days.taken >= 0).all()
        for node in limited:
            for most, took in zip(days.terms[node, :2], days.taken[node], strict=True):
                assert most < 0 or took <= most or node in self.lowered

    lowered: frozenset[int] = frozenset()  # nodes whose limit was set below what they had taken


def limited(request: str, **terms: tuple[int, ...]) -> asks.Opening:
    """Nodes (n0, n1, ...) with orders and units a day, and when it starts, and the clock's offset."""
    rows = {int(name[1:]): (*given, *(-1, -1, 0, 0)[len(given) :]) for name, given in terms.items()}
    return asks.Opening(request, tuple((node, True) for node in rows), tuple(rows.values()))
