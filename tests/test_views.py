"""The views against the engine: the same units in the same stages, whatever happened and however often they stopped."""

import random
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import apsw
import pytest
from hypothesis import HealthCheck, settings
from hypothesis.stateful import rule, run_state_machine_as_test

from engine import views as viewed
from engine.journal.memory import MemoryJournal
from engine.lifecycle import Action
from engine.outcomes import Namespace
from engine.views import ENDED, FILE, STATES, Views, ViewsAhead
from kernels.columns import OnShort, OrderKind, Stage
from tests import model as m
from tests.driving import COMPILED, SECOND, Pair, counted, open_orders, place, policy, received, reserve
from tests.test_engine_properties import Commerce

KEEPS, REFUSES, BACK_ORDERS = policy(), policy(on_short=OnShort.REFUSE), policy(on_short=OnShort.BACK_ORDER)


def act(order: str, action: Action, units: int = 0, restock: int = 0, channel: int = 0) -> m.Acts:
    return m.Acts((m.Act(f"{order}-{action.name}-{units}", order, action, units, channel=channel, restock=restock),))


def busy_day() -> Pair:
    """Orders that go all the way, wait, are short, refused; reservations in every way they end."""
    pair = Pair(nodes=2, skus=3, codes=2, policies=[KEEPS, REFUSES, BACK_ORDERS])
    pair.commit(received("first", (0, 0, 10), (0, 1, 15), (1, 0, 8)))
    pair.commit(place("split", (0, 20), (1, 2)), place("short", (2, 3)), place("refused", (2, 1), channel=1))
    pair.commit(place("waits", (2, 5), channel=2))
    pair.commit(received("for who waits", (2, 1, 4)))
    for action in (Action.PICK, Action.UNPICK, Action.PICK, Action.PACK, Action.SHIP, Action.DELIVER):
        pair.commit(act("split", action, 3 if action is Action.UNPICK else 0))
    pair.commit(act("split", Action.RETURN, 4, restock=2), after=SECOND)
    soon = pair.stamp + 10 * SECOND
    pair.commit(reserve("cart", (0, 2), expires_at=soon), reserve("left", (1, 3), expires_at=soon))
    pair.commit(reserve("given up", (1, 2), expires_at=soon))
    pair.commit(counted("fewer", (1, 0, 5)))
    pair.commit(m.Confirm((m.Confirmation("confirm", "bought", "cart", code=1),)))
    pair.commit(m.Release((m.Ending("release", "given up"),)))
    pair.commit(act("waits", Action.CANCEL, 2, channel=2), after=20 * SECOND)
    pair.commit(reserve("moves", (0, 1), expires_at=pair.stamp + SECOND), place("moves", (0, 2), (1, 1)))
    pair.commit(m.Reallocate("leave", frozenset({0})))
    return pair


def units(views: Views, number: int) -> dict[tuple[int, Stage, int], int]:
    """(line, stage, node) -> units of one order, as the views have it."""
    rows = apsw.Connection(str(views.path)).execute(
        "SELECT line, stage, node, units FROM parts WHERE number = ?", (number,)
    )
    return {(line, Stage(stage), node): count for line, stage, node, count in rows}


def everything(views: Views) -> list[Any]:
    db = apsw.Connection(str(views.path))
    tables = ("meta", "names", "orders", "lines", "parts", "movements")
    return [list(db.execute(f"SELECT * FROM {table}")) for table in tables]


def check(views: Views, pair: Pair) -> None:
    """Open orders have the engine's units; no other reservation is open; each line's units are all there."""
    known = open_orders(pair.state)
    for number, (kind, _, _, _, lines) in known.items():
        expected = {
            (line, stage, node): count for line, (_, _, parts) in enumerate(lines, 1) for stage, node, count, _ in parts
        }
        assert units(views, number) == expected, number
        assert kind in (OrderKind.ORDER, OrderKind.RESERVATION)
    db = apsw.Connection(str(views.path))
    holding = db.execute("SELECT DISTINCT number FROM parts WHERE stage = ?", (Stage.RESERVED,))
    assert {number for (number,) in holding} <= known.keys()
    uneven = db.execute(
        "SELECT number, line FROM lines WHERE number > 0 AND quantity IS NOT "
        "(SELECT sum(units) FROM parts WHERE parts.number = lines.number AND parts.line = lines.line)"
    )
    assert list(uneven) == []
    check_states(db)


def check_states(db: apsw.Connection) -> None:
    """The state that is kept is the one that follows from the units."""
    for number, state in list(
        db.execute("SELECT number, state FROM orders WHERE state NOT IN (?, ?, ?)", (*ENDED.values(),))
    ):
        stages = {stage for (stage,) in db.execute("SELECT stage FROM parts WHERE number = ?", (number,))}
        follows = next(
            name for name, only, one_of in STATES if stages <= set(only) and (stages & set(one_of) or not one_of)
        )
        assert state == follows, (number, stages)


class CommerceWithViews(Commerce):
    """Random commands; the views catch up now and then, sometimes opened anew."""

    @rule()
    def look(self) -> None:
        assert self.pair is not None
        views = Views.open(self.folder / FILE)
        assert views.catch_up(self.pair.engine.journal) == self.pair.state.sequence
        check(views, self.pair)
        views.close()

    def teardown(self) -> None:
        if self.pair is not None:
            self.look()
            at_once = Views.open(self.folder / "at_once.sqlite")
            at_once.catch_up(self.pair.engine.journal)
            now_and_then = Views.open(self.folder / FILE)
            assert everything(at_once) == everything(now_and_then)
            at_once.close()
            now_and_then.close()
        super().teardown()


def run(examples: int, steps: int) -> None:
    run_state_machine_as_test(
        CommerceWithViews,
        settings=settings(
            max_examples=examples, stateful_step_count=steps, deadline=None, derandomize=True, database=None,
            suppress_health_check=list(HealthCheck), print_blob=False,
        ),
    )  # fmt: skip


def test_after_any_commands_the_views_have_the_engines_units() -> None:
    run(*((10, 25) if COMPILED else (2, 15)))


@pytest.mark.soak
def test_the_same_at_length() -> None:
    run(500, 60)


@pytest.fixture(scope="module")
def day() -> Iterator[Pair]:
    pair = busy_day()
    yield pair
    pair.engine.close()


@pytest.fixture
def views(day: Pair) -> Iterator[Views]:
    folder = Path(tempfile.mkdtemp())
    opened = Views.open(folder / FILE)
    opened.catch_up(day.engine.journal)
    yield opened
    opened.close()
    shutil.rmtree(folder)


def states(views: Views, **wanted: Any) -> dict[str, str]:
    return {row["order_id"]: row["state"] for row in views.list_orders(**wanted).rows}


def test_the_state_of_an_order_follows_from_its_units(views: Views) -> None:
    assert states(views) == {
        "split": "DELIVERED", "short": "SHORT", "refused": "REFUSED", "waits": "ALLOCATED", "cart": "CONFIRMED",
        "left": "EXPIRED", "given up": "RELEASED", "bought": "ALLOCATED", "moves": "ALLOCATED",
    }  # fmt: skip
    assert states(views, state="REFUSED") == {"refused": "REFUSED"}
    assert states(views, channel="channel-2").keys() == {"waits"}
    assert states(views, channel="no such channel") == {}


@pytest.mark.parametrize(
    ("stages", "state"),
    [
        ({Stage.SHORT}, "SHORT"), ({Stage.SHORT, Stage.CANCELLED}, "SHORT"), ({Stage.BACK_ORDERED}, "BACK_ORDERED"),
        ({Stage.ALLOCATED, Stage.BACK_ORDERED}, "BACK_ORDERED"), ({Stage.ALLOCATED}, "ALLOCATED"),
        ({Stage.ALLOCATED, Stage.SHORT}, "PARTLY_ALLOCATED"), ({Stage.ALLOCATED, Stage.PICKED}, "PICKING"),
        ({Stage.PICKED, Stage.PACKED}, "PICKING"), ({Stage.PACKED}, "PACKED"), ({Stage.SHIPPED}, "SHIPPED"),
        ({Stage.PACKED, Stage.SHIPPED}, "PARTLY_SHIPPED"), ({Stage.SHIPPED, Stage.DELIVERED}, "SHIPPED"),
        ({Stage.SHORT, Stage.DELIVERED}, "PARTLY_SHIPPED"), ({Stage.DELIVERED, Stage.CANCELLED}, "DELIVERED"),
        ({Stage.DELIVERED, Stage.RETURNED}, "DELIVERED"), ({Stage.RETURNED, Stage.CANCELLED}, "RETURNED"),
        ({Stage.CANCELLED}, "CANCELLED"), ({Stage.RESERVED, Stage.SHORT}, "RESERVED"), (set(), "REFUSED"),
    ],
)  # fmt: skip
def test_states(stages: set[Stage], state: str) -> None:
    assert viewed._state(viewed._bits(stages)) == state


def test_one_order_with_its_lines_and_units(views: Views, day: Pair) -> None:
    answer = views.order("channel-0", "split")
    (order,) = answer.rows
    assert answer.view_sequence == day.state.sequence
    assert (order["outcome"], order["postal_code"], order["is_reservation"]) == ("ALLOCATED", "400001", 0)
    first, second = order["lines"]
    assert (first["sku"], first["quantity"], second["sku"], second["quantity"]) == ("sku-0", 20, "sku-1", 2)
    for line in order["lines"]:
        assert sum(part["units"] for part in line["parts"]) == line["quantity"]
    assert {part["stage"] for part in first["parts"]} == {"DELIVERED", "RETURNED"}
    assert views.order("channel-0", "cart").rows == []
    assert len(views.order("channel-0", "cart", is_reservation=True).rows) == 1
    assert views.order("channel-1", "split").rows == []


def test_search_by_the_beginning_of_an_id_or_by_number(views: Views) -> None:
    assert [row["order_id"] for row in views.search("sp").rows] == ["split"]
    number = views.search("split").rows[0]["number"]
    assert [row["order_id"] for row in views.search(str(number)).rows] == ["split"]
    assert views.search("plit").rows == []
    assert views.search("9" * 400).rows == []


def test_pages_join_without_a_gap(views: Views) -> None:
    whole = views.list_orders().rows
    first = views.list_orders(limit=3).rows
    rest = views.list_orders(after=first[-1]["number"]).rows
    assert first + rest == whole
    moves = views.movements("sku-0").rows
    assert views.movements("sku-0", limit=2).rows + views.movements("sku-0", after=moves[1]["id"]).rows == moves
    at_first = views.movements("sku-0", "node-0").rows
    assert at_first == [row for row in moves if row["node"] == "node-0"]
    assert at_first[0]["kind"] == "RECEIVED"


def test_a_stop_in_the_middle_changes_nothing(views: Views, day: Pair, tmp_path: Path) -> None:
    other, chance = Views.open(tmp_path / FILE), random.Random(5)
    stops = steps = 0

    def is_over() -> bool:
        if chance.random() < 0.2:
            raise KeyboardInterrupt
        return chance.random() < 0.3

    while (before := other.view_sequence) < day.state.sequence:
        try:
            assert other.step(day.engine.journal, is_over) > before
            steps += 1
        except KeyboardInterrupt:
            assert other.view_sequence == before
            stops += 1
    assert stops > 3
    assert steps > 3
    assert everything(other) == everything(views)
    other.close()


def test_a_failure_within_a_transaction_takes_all_of_it_back(day: Pair, tmp_path: Path, monkeypatch: Any) -> None:
    def fails(db: Any, rows: Any) -> int:
        raise OSError("no space")

    views = Views.open(tmp_path / FILE)
    before = everything(views)
    with monkeypatch.context() as broken:
        broken.setitem(viewed._WRITE, "closures", fails)
        with pytest.raises(OSError, match="no space"):
            views.catch_up(day.engine.journal)
    assert everything(views) == before
    assert views.catch_up(day.engine.journal) == day.state.sequence
    check(views, day)
    views.close()


@pytest.mark.parametrize("harm", ["header", "version", "half", "empty"])
def test_damaged_or_other_views_are_made_again(views: Views, day: Pair, harm: str) -> None:
    expected = everything(views)
    views.close()
    content = views.path.read_bytes()
    if harm == "version":
        db = apsw.Connection(str(views.path))
        db.pragma("user_version", viewed.VERSION + 1)
        db.close()
    else:
        changed = {"header": b"no database" + content[11:], "half": content[: len(content) // 2], "empty": b""}
        views.path.write_bytes(changed[harm])
    again = Views.open(views.path)
    again.catch_up(day.engine.journal)
    assert everything(again) == expected
    again.close()


def test_views_ahead_of_the_journal_are_refused(views: Views, day: Pair) -> None:
    with pytest.raises(ViewsAhead, match=f"at sequence {day.state.sequence}, the journal ends at 0"):
        views.catch_up(MemoryJournal(keep=True))


def test_units_that_move_twice_in_one_commit(tmp_path: Path) -> None:
    pair = Pair(nodes=1)
    pair.commit(received("first", (0, 0, 5)), place("quick", (0, 2)))
    quick = (
        m.Act(f"{action}", "quick", action) for action in (Action.PICK, Action.SHIP, Action.DELIVER, Action.RETURN)
    )
    pair.commit(m.Acts(tuple(quick)))
    views = Views.open(tmp_path / FILE)
    views.catch_up(pair.engine.journal)
    check(views, pair)
    assert states(views) == {"quick": "RETURNED"}
    views.close()


def test_what_a_reservation_held_is_told_alike_wherever_the_views_begin(tmp_path: Path) -> None:
    pair = Pair(nodes=1)
    pair.commit(
        received("first", (0, 0, 5), (1, 0, 5)), reserve("cart", (1, 1), (0, 2), expires_at=pair.stamp + SECOND)
    )
    views, anew = Views.open(tmp_path / FILE), Views.open(tmp_path / "anew.sqlite")
    views.catch_up(pair.engine.journal)
    views.close()
    pair.commit(m.Release((m.Ending("release", "cart"),)))
    views = Views.open(tmp_path / FILE)
    for each in (views, anew):
        each.catch_up(pair.engine.journal)
    assert everything(views) == everything(anew)
    views.close()
    anew.close()


def test_views_follow_a_journal_that_goes_on(tmp_path: Path) -> None:
    pair = Pair(nodes=1)
    views = Views.open(tmp_path / FILE)
    views.catch_up(pair.engine.journal)
    pair.commit(place("later", (0, 1)))
    assert views.list_orders().rows == []
    views.catch_up(pair.engine.journal)
    assert states(views) == {"later": "SHORT"}
    pair.commit(act("later", Action.CANCEL))
    views.catch_up(pair.engine.journal)
    assert states(views) == {"later": "CANCELLED"}
    assert len(pair.state.names[Namespace.SKU]) == 2
    views.close()


def test_sales_are_what_each_channel_ordered_cancelled_and_shipped(tmp_path: Path) -> None:
    pair = busy_day()
    pair.commit(act("split", Action.RETURN, 1), place("more", (0, 1)))
    views = Views.open(tmp_path / FILE)
    views.catch_up(pair.engine.journal)
    found = views.sales()
    assert found.view_sequence == views.view_sequence
    orders = [order for order in views.list_orders(limit=1000).rows if not order["is_reservation"]]
    ordered, cancelled, shipped, taken, refused = ({row["channel"]: 0 for row in found.rows} for _ in range(5))
    for order in orders:
        channel = order["channel"]
        (refused if order["number"] < 0 else taken)[channel] += 1
        for (_, stage, _), count in units(views, order["number"]).items():
            ordered[channel] += count
            cancelled[channel] += count if stage == Stage.CANCELLED else 0
            shipped[channel] += count if stage in (Stage.SHIPPED, Stage.DELIVERED, Stage.RETURNED) else 0
    assert sum(shipped.values()) == 22
    assert sum(cancelled.values()) == 2
    assert sum(refused.values()) == 1
    assert found.rows == [
        {"channel": name, "orders": taken[name], "refused_orders": refused[name], "units_ordered": ordered[name],
         "units_cancelled": cancelled[name], "units_shipped": shipped[name]}
        for name in (row["channel"] for row in found.rows)
    ]  # fmt: skip
    views.close()
