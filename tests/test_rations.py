"""Rations: a budget is never overdrawn, the riskiest go first, and in the end a channel knows all."""

import random

import pytest

from server.workers.rations import Rations
from server.workers.redis_address import budgets


def figures(*rows: tuple[str, int, int]) -> bytes:
    return b"".join(b"%b\t%d\t%d\n" % (sku.encode(), units, version) for sku, units, version in rows)


def read(lines: bytes) -> dict[str, tuple[int, int]]:
    rows = [line.split("\t") for line in lines.decode().splitlines()]
    return {sku: (int(units), int(version)) for sku, units, version in rows}


def test_a_budget_is_never_overdrawn_and_all_is_told_in_the_end() -> None:
    chance, rations, told = random.Random(1), Rations(5, {}, 0.0), {}
    units = {f"S{i}": (1000, 1) for i in range(3000)}  # more than there is room for at first
    rations.take_in(figures(*((sku, *figure) for sku, figure in units.items())), 0.0)
    sent, now = 0, 0.0
    while now < 700:
        now += 0.25
        if now < 300:
            sku = f"S{chance.randrange(30)}"
            units[sku] = (max(0, units[sku][0] - chance.randrange(9)), units[sku][1] + 1)
            rations.take_in(figures((sku, *units[sku])), now)
        lines, waiting = rations.due(now)
        sent += lines.count(b"\n")
        assert sent <= 5 + 5 * now
        for sku, (shown, version) in read(lines).items():
            assert shown <= units[sku][0]
            assert version == units[sku][1]
        told |= read(lines)
    assert waiting == 0 or now < 700
    assert {sku: version for sku, (_, version) in told.items()} == {sku: version for sku, (_, version) in units.items()}


def test_what_sells_and_is_nearly_gone_goes_first() -> None:
    names = [f"S{i}" for i in range(50)]
    rations = Rations(1, dict.fromkeys(names, (100, 1)), 0.0)
    for step in range(1, 60):
        rations.take_in(figures(("S7", 100 - step, 1 + step)), float(step))
    rations.take_in(figures(*((name, 99, 100) for name in names if name != "S7"), ("S7", 0, 100)), 60.0)
    lines, waiting = rations.due(60.5)
    assert list(read(lines)) == ["S7"]
    assert waiting == 49


def test_what_was_told_before_is_not_told_again() -> None:
    rations = Rations(10, {"A": (5, 3), "B": (6, 4)}, 0.0)
    assert rations.due(1.0)[0] == b""
    rations.take_in(figures(("A", 5, 3), ("B", 2, 9)), 1.0)
    assert read(rations.due(2.0)[0]) == {"B": (2, 9)}


def test_units_that_were_held_back_before_a_restart_are_shown_again() -> None:
    rations = Rations(100, {"A": (95, 7), "B": (3, 2)}, 0.0)
    rations.take_in(figures(("A", 100, 7)), 1.0)
    assert read(rations.due(2.0)[0]) == {"A": (100, 7)}
    assert rations.due(3.0) == (b"", 0)  # of B the engine has not said anything


def test_a_figure_that_is_older_changes_nothing() -> None:
    rations = Rations(10, {}, 0.0)
    rations.take_in(figures(("A", 5, 9)), 0.0)
    rations.take_in(figures(("A", 8, 3)), 0.0)
    assert read(rations.due(1.0)[0]) == {"A": (5, 9)}


def test_the_wait_is_measured_from_news_until_it_is_told_by_any_clock() -> None:
    """Not from the clock's zero, and not from a buffer that shrinks long after."""
    start = 1e6
    rations = Rations(1, {}, start)
    for step in range(30):
        rations.take_in(figures(("A", 1000 - 9 * step, 1 + step)), start + step)
        rations.due(start + step + 0.5)
        assert rations.wait_seconds <= 1
    for step in range(400):
        rations.due(start + 1000 * step)
        assert rations.wait_seconds <= 1


@pytest.mark.parametrize("text", ["amazon", "amazon=", "=3", "amazon=x", "amazon=0", "amazon=-1", "a=1,b"])
def test_budgets_that_cannot_be_read(text: str) -> None:
    with pytest.raises(ValueError, match="write CHANNEL=SKUS"):
        budgets(text)


def test_budgets_are_read() -> None:
    assert budgets("") == {}
    assert budgets("amazon=10, web=shop=0.5") == {"amazon": 10.0, "web=shop": 0.5}
