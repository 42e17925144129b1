"""The whole engine again, as plain Python: dicts, lists and sums, written from RULES.md. Tests compare the two.

Nothing is counted on the side: what is allocated or reserved at a node is always added up from the orders themselves.
It takes and answers plain values (tests/asks.py). Outcomes, stages and actions have the engine's names.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any

from engine import reallocation
from engine.lifecycle import Action
from engine.outcomes import Method, MovementKind, Reply
from kernels.columns import NO_NODE, UNITS_MAX, OnShort, Stage
from tests.asks import (
    Act,
    Acts,
    Answer,
    Cart,
    Channels,
    Confirm,
    Confirmation,
    Ending,
    Fence,
    Forget,
    Opening,
    OrderAnswer,
    Place,
    Policy,
    Reallocate,
    Reallocation,
    Release,
    Reserve,
    Retire,
    Stock,
)
from tests.rules import Terms, backed, sellable, source

AT_THE_NODE = (Stage.ALLOCATED, Stage.PICKED, Stage.PACKED)
TO_MOVE = (Stage.ALLOCATED, Stage.RESERVED)
AT_REST = (Stage.SHORT, Stage.DELIVERED, Stage.RETURNED, Stage.CANCELLED)
TAKES_FROM = {
    Action.PICK: (Stage.ALLOCATED,),
    Action.UNPICK: (Stage.PICKED, Stage.PACKED),
    Action.PACK: (Stage.PICKED,),
    Action.SHIP: (Stage.PACKED, Stage.PICKED, Stage.ALLOCATED),
    Action.DELIVER: (Stage.SHIPPED,),
    Action.RETURN: (Stage.DELIVERED, Stage.SHIPPED),
    Action.CANCEL: (Stage.SHORT, Stage.BACK_ORDERED, Stage.ALLOCATED, Stage.PICKED, Stage.PACKED),
    Action.SHORT_PICK: (Stage.ALLOCATED,),
}
LEFT = (Stage.SHIPPED, Stage.DELIVERED, Stage.RETURNED)
FIGURE = {
    MovementKind.RECEIVED: "on_hand",
    MovementKind.COUNTED: "on_hand",
    MovementKind.ADJUSTED: "on_hand",
    MovementKind.RETURNED: "on_hand",
    MovementKind.UNAVAILABLE: "unavailable",
    MovementKind.SAFETY_STOCK: "safety_stock",
}
TARGET = {
    Action.PICK: Stage.PICKED,
    Action.UNPICK: Stage.ALLOCATED,
    Action.PACK: Stage.PACKED,
    Action.SHIP: Stage.SHIPPED,
    Action.DELIVER: Stage.DELIVERED,
    Action.RETURN: Stage.RETURNED,
    Action.CANCEL: Stage.CANCELLED,
    Action.SHORT_PICK: Stage.SHORT,
}


View = Callable[[int, int], tuple[dict[int, int], int]]  # of (SKU, node): ring-fences {channel: units}, available
Drawn = tuple[int, int, int]  # node, units, of these out of the channel's ring-fence


# The engine


@dataclass
class Cell:
    on_hand: int = 0
    unavailable: int = 0
    safety_stock: int = 0


@dataclass
class Line:
    sku: int
    units: int
    parts: dict[tuple[Stage, int], list[int]] = field(default_factory=dict)  # (stage, node): [units, out of the fence]


@dataclass
class Order:
    id: str
    number: int
    channel: int
    code: int
    lines: list[Line]
    is_reservation: bool
    sequence: int
    expires_at: int = 0
    closed_at: int = 0
    expired: bool = False
    terms: Terms = field(default_factory=Terms)


@dataclass
class Remembered:
    sequence: int
    content: Any
    answer: Any
    order: Order | None = None


class Model:
    """One engine. `metres[code][node]`; `policies[channel]`; `nodes` of them all, active or not."""

    def __init__(
        self, metres: Sequence[Sequence[int]], policies: Sequence[Policy], catalogue_keys: Iterable[str]
    ) -> None:
        self.metres = [list(row) for row in metres]
        self.policies = list(policies)
        self.active = [True] * len(self.metres[0])
        self.cells: dict[tuple[int, int], Cell] = {}
        self.fences: dict[tuple[int, int, int], int] = {}  # (SKU, node, channel): units still kept
        self.orders: list[Order] = []  # open ones and reservations
        self.keys: dict[tuple[int, Method, str], Remembered] = {}
        self.counted_at: dict[int, int] = {}
        self.last_number = 0
        self.sequence = 0
        self.stamp = 0
        for key in catalogue_keys:
            self.keys[-1, Method.PUT_CATALOGUE, key] = Remembered(0, None, None)

    # Figures, added up

    def units_at(self, sku: int, node: int, stages: Iterable[Stage]) -> int:
        stages = tuple(stages)
        return sum(
            units
            for order in self.orders
            for line in order.lines
            if line.sku == sku
            for (stage, at), (units, _) in line.parts.items()
            if at == node and stage in stages
        )

    def figures(self, sku: int, node: int) -> tuple[int, ...]:
        """As kernels.columns.Figure has them, ON_HAND to DEFICIT."""
        cell = self.cells.get((sku, node), Cell())
        allocated, reserved = self.units_at(sku, node, AT_THE_NODE), self.units_at(sku, node, [Stage.RESERVED])
        picked = self.units_at(sku, node, [Stage.PICKED, Stage.PACKED])
        deficit = max(0, allocated + reserved - cell.on_hand)
        return cell.on_hand, cell.unavailable, allocated, reserved, cell.safety_stock, picked, deficit

    def available(self, sku: int, node: int) -> int:
        on_hand, unavailable, allocated, reserved, safety, _, _ = self.figures(sku, node)
        return max(0, on_hand - unavailable - allocated - reserved - safety)

    def kept(self, sku: int, node: int) -> dict[int, int]:
        return {channel: units for (s, n, channel), units in self.fences.items() if (s, n) == (sku, node)}

    # Commits

    def commit(self, asked: Sequence[Any], stamp: int) -> list[list[Any]]:
        """The answers to several commands in one commit. A commit that changes nothing takes no sequence."""
        before = self.stamp
        self.stamp = max(self.stamp, stamp)
        self.sequence += 1
        self.changed = False
        for order in sorted(self.reservations(), key=lambda order: (order.expires_at, order.number)):
            if order.expires_at <= self.stamp:
                order.expired = True
                self._end(order)
        answers = [_DECIDE[type(command)](self, command) for command in asked]
        if not self.changed:
            self.sequence -= 1
            self.stamp = before
        return answers

    def reservations(self) -> list[Order]:
        return [order for order in self.orders if order.is_reservation]

    def _once(self, key: tuple[int, Method, str], content: Any, decide: Callable[[], Any], none: Any) -> Any:
        """The first answer again, or a conflict, or a decision that is remembered."""
        first = self.keys.get(key)
        if first is not None:
            same = first.content is not None and first.content == content
            return replace(first.answer, again=True) if same else replace(none, reply=Reply.KEY_CONFLICT)
        self.keys[key] = Remembered(self.sequence, content, None)  # found by whoever asks again in the same commit
        self.keys[key].answer = decide()
        self.changed = True
        return self.keys[key].answer

    # Orders and reservations

    def _decide_orders(self, asked: Place | Reserve) -> list[OrderAnswer]:
        reserving = isinstance(asked, Reserve)
        method = Method.RESERVE if reserving else Method.PLACE_ORDER
        answers = []
        for cart in asked.orders:
            key = (cart.channel, method, cart.id)
            content = (cart.code, cart.expires_at, cart.lines, cart.nodes_max, cart.ship_complete)
            answers.append(
                self._once(key, content, lambda c=cart: self._allocate(c, reserving), OrderAnswer(Reply.DONE))
            )
        return answers

    def _allocate(self, cart: Cart, reserving: bool) -> OrderAnswer:
        terms = Terms(cart.nodes_max, cart.ship_complete)
        drawn = self._source(cart.lines, cart.channel, cart.code, self._as_it_is, terms)
        outcome = self._outcome(cart.lines, drawn, cart.channel)
        if outcome is Reply.REFUSED:
            return OrderAnswer(outcome, lines=tuple((sku, units, ()) for sku, units in cart.lines))
        order = self._enter(cart.id, cart.channel, cart.code, cart.lines, drawn, reserving)
        order.expires_at, order.terms = cart.expires_at, terms
        method = Method.RESERVE if reserving else Method.PLACE_ORDER
        self.keys[cart.channel, method, cart.id].order = order
        return self._answer(outcome, order)

    def _as_it_is(self, sku: int, node: int) -> tuple[dict[int, int], int]:
        """The ring-fences {channel: units} and the available units there."""
        return self.kept(sku, node), self.available(sku, node)

    def _source(
        self, lines: Sequence[tuple[int, int]], channel: int, code: int, view: View, terms: Terms,
        only: frozenset[int] | None = None, taken_before: bool = False,
    ) -> list[list[Drawn]]:  # fmt: skip
        """(node, units, of these out of the channel's ring-fence) for each line. Nothing is changed.

        A closed channel gives nothing more, but to orders that were taken before and wait.
        """
        policy = self.policies[channel]
        ranked = sorted(range(len(self.active)), key=lambda node: self.metres[code][node])
        group = policy.nodes - policy.excluded
        only = group if only is None else group & only
        ranked = [node for node in ranked if node in only and self.active[node]]
        ranked = ranked if taken_before or not policy.closed else []
        terms = replace(terms, nodes_max=terms.nodes_max if policy.split else 1, preferred=policy.preferred)
        parts = source(lines, ranked, lambda sku, node: sellable(*view(sku, node), channel), terms)
        left = {(sku, node): view(sku, node) for sku, _ in lines for node in ranked}
        out = []
        for (sku, _), taken in zip(lines, parts, strict=True):
            drawn = []
            for node, units in taken:
                kept, available = left[sku, node]
                fenced = min(units, backed(kept, available).get(channel, 0))
                left[sku, node] = kept | {channel: kept.get(channel, 0) - fenced}, available - units
                drawn.append((node, units, fenced))
            out.append(drawn)
        return out

    def _outcome(self, lines: Sequence[tuple[int, int]], drawn: list[Any], channel: int) -> Reply:
        asked, given = sum(units for _, units in lines), sum(units for taken in drawn for _, units, _ in taken)
        if given == asked:
            return Reply.ALLOCATED
        if self.policies[channel].on_short is OnShort.REFUSE or self.policies[channel].closed:
            return Reply.REFUSED
        return Reply.PARTLY if given else Reply.SHORT

    def _enter(self, id: str, channel: int, code: int, lines: Any, drawn: list[Any], reserving: bool) -> Order:
        self.last_number += 1
        order = Order(id, self.last_number, channel, code, [], reserving, self.sequence)
        self.orders.append(order)
        for (sku, units), taken in zip(lines, drawn, strict=True):
            line = Line(sku, units)
            order.lines.append(line)
            for node, part, fenced in taken:
                self._draw_fence(sku, node, channel, fenced)
                line.parts[Stage.RESERVED if reserving else Stage.ALLOCATED, node] = [part, fenced]
            short = units - sum(part for _, part, _ in taken)
            if short:
                waits = self.policies[channel].on_short is OnShort.BACK_ORDER and not reserving
                line.parts[Stage.BACK_ORDERED if waits else Stage.SHORT, NO_NODE] = [short, 0]
        self._close_at_rest(order)
        return order

    def _close_at_rest(self, order: Order) -> None:
        """An order is closed by the commit that brings its last unit to rest, and open again when one moves on."""
        at_rest = all(stage in AT_REST for line in order.lines for stage, _ in line.parts)
        if not order.is_reservation:
            order.closed_at = (order.closed_at or self.stamp) if at_rest else 0

    def _draw_fence(self, sku: int, node: int, channel: int, units: int) -> None:
        if units:
            self.fences[sku, node, channel] -= units

    def _refill_fence(self, sku: int, node: int, channel: int, units: int) -> None:
        if units:
            self.fences[sku, node, channel] += units

    def _answer(self, outcome: Reply, order: Order) -> OrderAnswer:
        def metres(node: int) -> int:
            return 0 if node == NO_NODE else self.metres[order.code][node]

        lines = tuple(
            (line.sku, line.units, tuple((n, stage, units, metres(n)) for (stage, n), (units, _) in line.parts.items()))
            for line in order.lines
        )
        return OrderAnswer(outcome, order.number, False, lines)

    def _end(self, order: Order) -> int:
        """A reservation ends; its units are free again, and those of its ring-fence are kept again."""
        self.changed = True
        self.orders.remove(order)
        held = 0
        for line in order.lines:
            for (stage, node), (units, fenced) in line.parts.items():
                if stage is Stage.RESERVED:
                    held += units
                    self._refill_fence(line.sku, node, order.channel, fenced)
        return held

    def _reservation(self, channel: int, id: str) -> Order | Reply:
        """The open reservation, or why there is none."""
        first = self.keys.get((channel, Method.RESERVE, id))
        if first is None or first.order is None:
            return Reply.UNKNOWN_RESERVATION
        if first.order in self.orders:
            return first.order
        return Reply.RESERVATION_EXPIRED if first.order.expired else Reply.RESERVATION_ENDED

    def _confirm(self, asked: Confirm) -> list[OrderAnswer]:
        """Whole reservations become orders before those that are sourced again, unless two requests name the same."""
        new: dict[Any, Confirmation] = {}
        for request in asked.requests:
            key = (request.channel, Method.CONFIRM, request.request)
            if key not in self.keys:
                new.setdefault(key, request)
        orders = [(request.channel, request.order_id) for request in new.values()]
        held = [self._reservation(request.channel, request.reservation) for request in new.values()]
        numbers = [order.number for order in held if isinstance(order, Order)]
        rows = list(enumerate(asked.requests))
        if len(set(orders)) == len(orders) and len(set(numbers)) == len(numbers):
            rows.sort(key=lambda row: not self._keeps_its_units(row[1]))
        answers: dict[int, OrderAnswer] = {}
        for i, request in sorted(rows, key=lambda row: self._is_repeat(asked, row[0])):
            key = (request.channel, Method.CONFIRM, request.request)
            content = (request.order_id, request.reservation, request.code)
            decide = lambda r=request: self._confirm_one(r)  # noqa: E731
            answers[i] = self._once(key, content, decide, OrderAnswer(Reply.DONE))
        return [answers[i] for i in range(len(asked.requests))]

    def _is_repeat(self, asked: Confirm, row: int) -> bool:
        request = asked.requests[row]
        earlier = [(other.channel, other.request) for other in asked.requests[:row]]
        known = (request.channel, Method.CONFIRM, request.request) in self.keys
        return known or (request.channel, request.request) in earlier

    def _keeps_its_units(self, request: Confirmation) -> bool:
        order = self._reservation(request.channel, request.reservation)
        if isinstance(order, Reply) or (request.channel, Method.PLACE_ORDER, request.order_id) in self.keys:
            return False
        return request.code in (-1, order.code) and self._is_whole(order)

    def _is_whole(self, order: Order) -> bool:
        return all(stage is Stage.RESERVED for line in order.lines for stage, _ in line.parts)

    def _confirm_one(self, request: Confirmation) -> OrderAnswer:
        held = self._reservation(request.channel, request.reservation)
        if isinstance(held, Reply):
            return OrderAnswer(held)
        if (request.channel, Method.PLACE_ORDER, request.order_id) in self.keys:
            return OrderAnswer(Reply.KEY_CONFLICT)
        lines = [(line.sku, line.units) for line in held.lines]
        code = held.code if request.code == -1 else request.code
        if code == held.code and self._is_whole(held):
            drawn = [[(node, *part) for (_, node), part in line.parts.items()] for line in held.lines]
            outcome = Reply.ALLOCATED
        else:
            drawn = self._source(lines, held.channel, code, self._as_if_without(held), held.terms)
            outcome = self._outcome(lines, drawn, held.channel)
        if outcome is Reply.REFUSED:
            return OrderAnswer(outcome)
        self._end(held)
        order = self._enter(request.order_id, held.channel, code, lines, drawn, reserving=False)
        order.terms = held.terms
        key = (request.channel, Method.PLACE_ORDER, request.order_id)
        self.keys[key] = Remembered(self.sequence, None, None, order)  # a PlaceOrder with this id is another thing
        return self._answer(outcome, order)

    def _as_if_without(self, held: Order) -> View:
        """What there would be if the reservation were not: its own units count as available."""
        own: Counter[tuple[int, int]] = Counter()
        own_fenced: Counter[tuple[int, int]] = Counter()
        for line in held.lines:
            for (stage, node), (units, fenced) in line.parts.items():
                if stage is Stage.RESERVED:
                    own[line.sku, node] += units
                    own_fenced[line.sku, node] += fenced

        def view(sku: int, node: int) -> tuple[dict[int, int], int]:
            kept, available = self._as_it_is(sku, node)
            if own_fenced[sku, node]:
                kept[held.channel] += own_fenced[sku, node]
            return kept, available + own[sku, node]

        return view

    def _release(self, asked: Release) -> list[Answer]:
        def decide(request: Ending) -> Answer:
            held = self._reservation(request.channel, request.reservation)
            return Answer(held) if isinstance(held, Reply) else Answer(Reply.DONE, self._end(held))

        return [
            self._once((r.channel, Method.RELEASE, r.request), r.reservation, lambda r=r: decide(r), Answer(Reply.DONE))
            for r in asked.requests
        ]

    # Units of orders

    def _act(self, asked: Acts) -> list[Answer]:
        self.put_back: set[tuple[int, int]] = set()
        self.restocked: set[int] = set()
        answers = [
            self._once(
                (r.channel, Method.ACT_ON_UNITS, r.request), replace(r, request=""), lambda r=r: self._act_once(r),
                Answer(Reply.DONE),
            )
            for r in asked.requests
        ]  # fmt: skip
        self._after_acts()
        return answers

    def _after_acts(self) -> None:
        """What units that were put back, or came back, are followed by."""
        self._take_back(self.put_back)
        self._serve(self.restocked)
        self.put_back, self.restocked = set(), set()

    def _act_once(self, act: Act) -> Answer:
        first = self.keys.get((act.channel, Method.PLACE_ORDER, act.order_id))
        if first is None or first.order is None or first.order not in self.orders:
            return Answer(Reply.UNKNOWN_ORDER)
        order = first.order
        if act.action is Action.SHORT_PICK:  # alone: what was done before is over
            self._after_acts()
        if act.line > len(order.lines):
            return Answer(Reply.UNKNOWN_LINE)
        lines = order.lines if act.line == 0 else [order.lines[act.line - 1]]
        plan = []
        for line in lines:
            for stage in TAKES_FROM[act.action]:
                for (at_stage, node), (units, _) in line.parts.items():
                    if at_stage is stage and act.node in (NO_NODE, node):
                        plan.append((line, stage, node, units))
        there = sum(units for *_, units in plan)
        wanted = act.units or there
        if there == 0 or wanted > there:
            gone = any(stage in LEFT for line in lines for stage, _ in line.parts)
            return Answer(Reply.ALREADY_SHIPPED if gone and act.action is Action.CANCEL else Reply.NOT_ENOUGH_UNITS)
        if act.action is Action.SHORT_PICK:
            self._pick_short(order, plan, wanted)
            return Answer(Reply.DONE, wanted)
        left = wanted
        for line, stage, node, units in plan:
            units = min(units, left)
            left -= units
            if units:
                self._move(order, line, (stage, node), TARGET[act.action], units)
                if act.action is Action.RETURN and act.restock:
                    cell = self.cells.setdefault((line.sku, node), Cell())
                    cell.on_hand += units
                    cell.unavailable += units if act.restock == 2 else 0
                    self.restocked |= {line.sku} if act.restock == 1 else set()
                if act.action is Action.UNPICK:
                    self.put_back.add((line.sku, node))
        return Answer(Reply.DONE, wanted)

    def _pick_short(self, order: Order, plan: list[tuple[Line, Stage, int, int]], left: int) -> None:
        """Units are not on the shelf: they are not on hand any more, and theirs are sourced again."""
        lost, cells = Counter[int](), set[tuple[int, int]]()
        skus = set[int]()
        for line, stage, node, units in plan:
            units = min(units, left)
            left -= units
            if units:
                if self._make_short(order, line, (stage, node), units) is Stage.SHORT:
                    lost[id(line)] += units
                self.cells[line.sku, node].on_hand -= units
                cells.add((line.sku, node))
                skus.add(line.sku)
        self._take_back(cells)
        self._serve(skus, lost)

    def _move(
        self, order: Order, line: Line, at: tuple[Stage, int], to: Stage, units: int, new: tuple[int, int] | None = None
    ) -> None:
        self.changed = True
        node = at[1]
        part = line.parts[at]
        fenced = min(part[1], units)
        part[0] -= units
        part[1] -= fenced
        if part[0] == 0:
            del line.parts[at]
        if to in (Stage.SHORT, Stage.BACK_ORDERED, Stage.CANCELLED) or (new and node != NO_NODE):
            self._refill_fence(line.sku, node, order.channel, fenced)
            fenced = 0
        if to in (Stage.SHORT, Stage.BACK_ORDERED):
            node = NO_NODE
        if to is Stage.SHIPPED:
            self.cells[line.sku, node].on_hand -= units
            fenced = 0  # used up for good
        if new is not None:  # units get a node
            node, fenced = new
            self._draw_fence(line.sku, node, order.channel, fenced)
        landed = line.parts.setdefault((to, node), [0, 0])
        landed[0] += units
        landed[1] += fenced
        self._close_at_rest(order)

    # Stock

    def _move_stock(self, asked: Stock) -> list[Answer]:
        content = (asked.rows, asked.source, asked.counted_at)
        key = (-1, Method.MOVE_STOCK, asked.request)
        return [self._once(key, content, lambda: self._take_stock(asked), Answer(Reply.DONE))]

    def _take_stock(self, asked: Stock) -> Answer:
        if asked.source >= 0 and asked.counted_at < self.counted_at.get(asked.source, asked.counted_at):
            return Answer(Reply.STATEMENT_TOO_OLD)
        before = {(sku, node): replace(self.cells.get((sku, node), Cell())) for sku, node, _, _ in asked.rows}
        after = {at: replace(cell) for at, cell in before.items()}
        absolute: dict[tuple[str, int, int], int] = {}  # the last figure given for a cell counts
        changes: list[tuple[str, int, int, int]] = []
        for sku, node, kind, units in asked.rows:
            if kind in (MovementKind.COUNTED, MovementKind.SAFETY_STOCK):
                absolute[FIGURE[kind], sku, node] = units
            else:
                changes.append((FIGURE[kind], sku, node, units))
        for (figure, sku, node), units in absolute.items():
            changes.append((figure, sku, node, units - getattr(before[sku, node], figure)))
        changes = [change for change in changes if change[3]]
        for figure, sku, node, units in changes:
            setattr(after[sku, node], figure, getattr(after[sku, node], figure) + units)
        for cell in after.values():
            held_back = (cell.unavailable, cell.safety_stock)
            if abs(cell.on_hand) > UNITS_MAX or min(held_back) < 0 or max(held_back) > UNITS_MAX:
                return Answer(Reply.FIGURE_OUT_OF_RANGE)
        if asked.source >= 0:
            self.counted_at[asked.source] = asked.counted_at
        self.cells.update(after)
        self._take_back({(sku, node) for figure, sku, node, units in changes if figure == "on_hand" and units < 0})
        self._serve({sku for figure, sku, _, units in changes if (units > 0) == (figure == "on_hand")})
        return Answer(Reply.DONE, len(changes))

    def _take_back(self, cells: Iterable[tuple[int, int]]) -> None:
        """Newest reservations first, then newest allocations not yet picked, until what is committed is there."""
        over = {at: self.figures(*at)[6] for at in cells}
        lost_skus, lost = set[int](), Counter[int]()  # of orders; by line, where they do not wait by themselves
        newest = sorted(self.orders, key=lambda order: (not order.is_reservation, -order.number))
        for order in newest:
            for line in order.lines:
                for (stage, node), (units, _) in list(line.parts.items()):
                    units_lost = min(units, over.get((line.sku, node), 0))
                    if stage in (Stage.RESERVED, Stage.ALLOCATED) and units_lost:
                        over[line.sku, node] -= units_lost
                        to = self._make_short(order, line, (stage, node), units_lost)
                        lost_skus |= set() if order.is_reservation else {line.sku}
                        if to is Stage.SHORT and not order.is_reservation:
                            lost[id(line)] += units_lost
        self._serve(lost_skus, lost)

    def _make_short(self, order: Order, line: Line, at: tuple[Stage, int], units: int) -> Stage:
        waits = self.policies[order.channel].on_short is OnShort.BACK_ORDER and not order.is_reservation
        to = Stage.BACK_ORDERED if waits else Stage.SHORT
        self._move(order, line, at, to, units)
        return to

    def _serve(self, skus: set[int], lost: Mapping[int, int] = MappingProxyType({})) -> None:
        """Back-orders that wait for these SKUs, by channel priority, then age: all that waits in such an order. And
        units that lines have just lost."""
        waits, short = (Stage.BACK_ORDERED, NO_NODE), (Stage.SHORT, NO_NODE)

        def wants(line: Line) -> bool:
            return (line.sku in skus and waits in line.parts) or id(line) in lost

        waiting = [order for order in self.orders if any(map(wants, order.lines))]
        for order in sorted(waiting, key=lambda order: (self.policies[order.channel].priority, order.number)):
            needs = []
            for line in order.lines:
                for at, (units, _) in line.parts.items():
                    if at == waits or (at == short and id(line) in lost):
                        needs.append((line, at, units if at == waits else lost[id(line)]))
            asked = [(line.sku, units) for line, _, units in needs]
            parts = [at for line in order.lines for at in line.parts]
            at = frozenset(node for stage, node in parts if node != NO_NODE and stage is not Stage.CANCELLED)
            drawn = self._source_more(order, asked, at, order.terms, frozenset(range(len(self.active))))
            for (line, at, _), taken in zip(needs, drawn, strict=True):
                for node, units, fenced in taken:
                    self._move(order, line, at, Stage.ALLOCATED, units, (node, fenced))

    def _source_more(
        self, order: Order, asked: list[tuple[int, int]], at: frozenset[int], terms: Terms, among: frozenset[int]
    ) -> list[list[Drawn]]:
        """Units for an order that leaves from nodes `at` already. Where it has a limit, those give what they can, then
        as many others as it may have; one that is to be complete gets all or nothing."""

        def draw(lines: list[tuple[int, int]], terms: Terms, only: frozenset[int]) -> list[list[Drawn]]:
            return self._source(lines, order.channel, order.code, self._as_it_is, terms, only, taken_before=True)

        limit = terms.nodes_max if self.policies[order.channel].split else 1
        if not limit or not at:
            return draw(asked, terms, among)
        if len(at) >= limit:
            return draw(asked, terms, at & among)
        here = draw(asked, Terms(), at & among)
        rest = [(sku, units - sum(part[1] for part in taken)) for (sku, units), taken in zip(asked, here, strict=True)]
        there = draw(rest, Terms(limit - len(at)), among - at)
        drawn = [[*taken, *more] for taken, more in zip(here, there, strict=True)]
        whole = all(sum(part[1] for part in taken) == units for (_, units), taken in zip(asked, drawn, strict=True))
        return drawn if whole or not terms.complete else [[] for _ in asked]

    # Reallocation

    def _reallocate(self, asked: Reallocate) -> list[Reallocation]:
        key, content = (-1, Method.REALLOCATE, asked.request), replace(asked, request="", upto=0)
        return [self._once(key, content, lambda: self._leave(asked), Reallocation(Reply.DONE))]

    def _leave(self, asked: Reallocate) -> Reallocation:
        told = {node: [0, 0, 0, 0] for node in range(len(self.active))}  # left, arrived, stayed, short
        orders = [
            order
            for order in sorted(self.orders, key=lambda order: order.number)
            if self.policies[order.channel].priority == asked.priority and asked.after < order.number <= asked.upto
            if any(stage in TO_MOVE and node in asked.nodes for line in order.lines for stage, node in line.parts)
        ]
        most = reallocation.ORDERS_OF_A_COMMIT_MAX
        following = orders[most - 1].number if len(orders) > most else 0
        stuck = [part for order in orders[:most] for part in self._leave_one(order, asked.nodes, told)]
        for order, line, at, units in stuck:
            told[at[1]][3 if asked.short else 2] += units
            if asked.short:
                self._make_short(order, line, at, units)
        nodes = tuple((node, *units) for node, units in told.items() if any(units))
        return Reallocation(Reply.DONE, False, following, nodes)

    def _leave_one(self, order: Order, nodes: frozenset[int], told: dict[int, list[int]]) -> list[Any]:
        """First to nodes that the order leaves from anyway, then to all others; one that may not be split has one node.
        What finds none."""
        parts = [(line, at, part[0]) for line in order.lines for at, part in line.parts.items()]
        leaving = [part for part in parts if part[1][1] in nodes and part[1][0] in TO_MOVE]
        staying = {at for _, at, _ in parts if at[1] != NO_NODE} - {at for _, at, _ in leaving}
        others = frozenset(range(len(self.active))) - nodes
        ships = frozenset(node for stage, node in staying if stage in (*AT_THE_NODE, Stage.RESERVED))
        tries = [ships & others, others]
        if not self.policies[order.channel].split:
            bound = frozenset(node for stage, node in staying if stage is not Stage.CANCELLED)
            tries = [bound & others if bound else others]
        if order.terms.nodes_max:
            tries = [others]
        for only in filter(None, tries):
            needs = [(line.sku, units) for line, _, units in leaving]
            if order.terms.nodes_max:
                at = frozenset(node for stage, node in staying if stage is not Stage.CANCELLED)
                drawn = self._source_more(order, needs, at, replace(order.terms, complete=True), only)
            else:
                drawn = self._source(needs, order.channel, order.code, self._as_it_is, Terms(), only, taken_before=True)
            for (line, at, _), taken in zip(leaving, drawn, strict=True):
                for new, units, fenced in taken:
                    self._move(order, line, at, at[0], units, (new, fenced))
                    told[at[1]][0] += units
                    told[new][1] += units
            given = [sum(units for _, units, _ in taken) for taken in drawn]
            leaving = [
                (line, at, units - less)
                for (line, at, units), less in zip(leaving, given, strict=True)
                if units > less
            ]  # fmt: skip
        return [(order, *part) for part in leaving]

    # Catalogue and upkeep

    def _put(self, asked: Fence | Opening | Channels) -> list[Answer]:
        def decide() -> Answer:
            if isinstance(asked, Fence) and any(self.policies[row[0]].closed and row[3] for row in asked.rows):
                return Answer(Reply.CHANNEL_CLOSED)
            for row in asked.rows:
                if isinstance(asked, Fence):
                    self._set_fence(*row)
                elif isinstance(asked, Opening):
                    self.active[row[0]] = bool(row[1])
                else:
                    self._set_policy(*row)
            return Answer(Reply.DONE, len(asked.rows))

        content = (type(asked), asked.rows)
        return [self._once((-1, Method.PUT_CATALOGUE, asked.request), content, decide, Answer(Reply.DONE))]

    def _set_policy(self, channel: int, policy: Policy) -> None:
        """A channel that closes keeps no units any more."""
        if policy.closed and not self.policies[channel].closed:
            for sku, node, of in [at for at in self.fences if at[2] == channel]:
                self._set_fence(of, sku, node, 0)
        self.policies[channel] = policy

    def _set_fence(self, channel: int, sku: int, node: int, units: int) -> None:
        """So many units from now on: what was drawn from the fence before does not come back to it."""
        self.fences[sku, node, channel] = units
        for part in self.fenced_parts(channel, sku, node):
            part[1] = 0

    def fenced_parts(self, channel: int, sku: int, node: int) -> list[list[int]]:
        """Parts that hold units out of a ring-fence."""
        return [
            part
            for order in self.orders
            if order.channel == channel
            for line in order.lines
            if line.sku == sku
            for (_, at), part in line.parts.items()
            if at == node and part[1]
        ]

    def _retire(self, asked: Retire) -> list[Answer]:
        due = [o for o in self.orders if not o.is_reservation and 0 < o.closed_at < asked.closed_before]
        self.orders = [order for order in self.orders if order not in due]
        self.changed |= bool(due)
        return [Answer(Reply.DONE, len(due))]

    def _forget(self, asked: Forget) -> list[Answer]:
        old = {
            key
            for key, first in self.keys.items()
            if first.sequence < asked.before_sequence and not (first.order and first.order in self.orders)
        }
        self.changed |= bool(self.keys)
        self.keys = {key: first for key, first in self.keys.items() if key not in old}
        return [Answer(Reply.DONE, len(old))]


_DECIDE: dict[type, Callable[[Model, Any], list[Any]]] = {
    Place: Model._decide_orders,
    Reserve: Model._decide_orders,
    Confirm: Model._confirm,
    Release: Model._release,
    Acts: Model._act,
    Stock: Model._move_stock,
    Reallocate: Model._reallocate,
    Fence: Model._put,
    Opening: Model._put,
    Channels: Model._put,
    Retire: Model._retire,
    Forget: Model._forget,
}
