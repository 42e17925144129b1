"""What `allot verify` looks at in a state (kernels/audit.py): each fault is found where the state was damaged."""

from collections.abc import Callable

import pytest

from engine.lifecycle import Action
from engine.state import State
from engine.verify import audit_state, oversold_units
from kernels.audit import Fault
from kernels.columns import NO_NODE, Figure, Head, OnShort, Stage
from tests import asks
from tests.driving import START, Pair, place, policy, received, reserve

X = 0
SHIRT, SHOES = 0, 1


@pytest.fixture
def state() -> State:
    """8 shirts: 3 allocated, 2 picked, 1 reserved; shoes on back-order; a ring-fence of one shirt."""
    pair = Pair(nodes=1, policies=[policy(on_short=OnShort.BACK_ORDER)])
    pair.commit(received("stock", (SHIRT, X, 8)), asks.Fence("fence", ((0, SHIRT, X, 1),)))
    pair.commit(place("a", (SHIRT, 5), (SHOES, 2)), reserve("cart", (SHIRT, 1), expires_at=START + 1))
    pair.commit(asks.Acts((asks.Act("pick", "a", Action.PICK, 2, line=1),)))
    return pair.state


def part_in(state: State, stage: Stage) -> int:
    parts = range(state.head(Head.PARTS))
    return next(p for p in parts if state.book.parts.stage[p] == stage and state.book.parts.quantity[p] > 0)


def add_figure(figure: Figure, units: int) -> Callable[[State], None]:
    def damage(state: State) -> None:
        state.cells.figures[state.cells.row_of[SHIRT], X, figure] += units

    return damage


def set_part(stage: Stage, column: str, value: int) -> Callable[[State], None]:
    def damage(state: State) -> None:
        getattr(state.book.parts, column)[part_in(state, stage)] = value

    return damage


def add_head(head: Head) -> Callable[[State], None]:
    def damage(state: State) -> None:
        state.book.heads[head] += 1

    return damage


def add_available(state: State) -> None:
    state.cells.available[state.cells.row_of[SHIRT], X] += 1


def clear_stocked(state: State) -> None:
    state.cells.stocked[state.cells.row_of[SHIRT]] = 0


def order_one_more(state: State) -> None:
    state.book.lines.quantity[0] += 1


def overdraw_fence(state: State) -> None:
    state.fences.remaining[0] = -1


DAMAGES: dict[Fault, Callable[[State], None]] = {
    Fault.OVERSOLD: add_figure(Figure.ON_HAND, -4),
    Fault.ALLOCATED_DIFFERS: add_figure(Figure.ALLOCATED, 1),
    Fault.RESERVED_DIFFERS: add_figure(Figure.RESERVED, 1),
    Fault.PICKED_DIFFERS: add_figure(Figure.PICKED, 1),
    Fault.AVAILABLE_DIFFERS: add_available,
    Fault.STOCKED_DIFFERS: clear_stocked,
    Fault.UNITS_DIFFER: order_one_more,
    Fault.EMPTY_PART: set_part(Stage.PICKED, "quantity", 0),
    Fault.STAGE_UNKNOWN: set_part(Stage.ALLOCATED, "stage", Stage.RESERVED),
    Fault.NODE_MISSING: set_part(Stage.ALLOCATED, "node", NO_NODE),
    Fault.OPEN_ORDERS_DIFFER: add_head(Head.OPEN_ORDERS),
    Fault.WAITING_DIFFERS: add_head(Head.WAITING_PARTS),
    Fault.FENCE_NEGATIVE: overdraw_fence,
    Fault.DEFICIT_DIFFERS: add_figure(Figure.DEFICIT, 1),
}


@pytest.mark.parametrize("fault", Fault, ids=[fault.name for fault in Fault])
def test_the_audit_finds_each_fault_and_none_in_a_state_that_is_whole(fault: Fault, state: State) -> None:
    assert audit_state(state) == []
    DAMAGES[fault](state)
    assert fault.name.lower() in {found.split(":")[0] for found in audit_state(state)}


def test_units_promised_that_nothing_stands_behind_are_a_fault_with_their_place(state: State) -> None:
    """The deficit hides nothing: it follows from the other figures, and all of them agree."""
    row = state.cells.row_of[SHIRT]
    figures = state.cells.figures[row, X]
    for on_hand, oversold in ((6, 0), (5, 1), (2, 4), (-3, 4)):  # 2 picked, 4 promised
        figures[Figure.ON_HAND], figures[Figure.DEFICIT] = on_hand, max(0, 6 - on_hand)
        state.cells.available[row, X], state.cells.stocked[row] = 0, 0
        found = [fault for fault in audit_state(state) if fault.startswith("oversold")]
        assert oversold_units(state) == oversold
        behind = max(0, on_hand - 2)
        words = f"4 units are promised and not yet picked, {behind} on hand stand behind them"
        assert found == ([f"oversold: SKU sku-0 at node node-0: {words}"] if oversold else [])
