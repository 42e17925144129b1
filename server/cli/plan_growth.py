"""The part of `allot plan` that the same files and the same seed always give again: days, orders drawn, figures.

files  ->  Prepared: one state, the history by its indices, its days  ->  each growth by engine/outlook.py  ->  figures
"""

from collections.abc import Callable
from datetime import timedelta, timezone
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from server.cli.jobs import LEAST_COST, Files, distance_of
from server.cli.output import BAD_USAGE, fail

if TYPE_CHECKING:
    from engine.costs import Model
    from engine.intake.days import Clock, HistoryDays
    from engine.outlook import Dates, Outlook
    from engine.state import State

GROWTHS_MAX = 12
GROWTH_MAX = 1000
ORDERS_MAX = 1_000_000_000  # of all growths together
PARTS = 1000  # a growth is a whole number of thousandths
FULL = 0.95  # of the capacity of a day: a node is full
SHORT = 0.01  # of the units of a day: stock breaks
WITH_ORDERS, AS_GIVEN = "with-orders", "as-given"
INDIA = timezone(timedelta(hours=5, minutes=30))
_MINUTES_OF_AN_HOUR = 60
_WANTED = ("ship_by", "deliver_by")


class Prepared(NamedTuple):
    """What every growth begins with."""

    state: "State"
    history: Any  # engine Batch: all orders of the file
    model: "Model | None"
    dates: "Dates | None"  # where a service card says when shipments go, and orders when they are wanted
    days: "HistoryDays"
    nodes: list[str]
    per_day: Any  # int64 [node, 2] orders and units; -1 where there is no limit
    by_cost: bool
    wanted: list[str]  # of `ship_by` and `deliver_by` those that are counted


def growths_of(text: str, stock: str = WITH_ORDERS) -> list[int]:
    """Thousandths, ascending. Ends the command where the list is none, or the stock's growth no number."""
    found = {thousandths(part.strip(), "--growth") for part in text.split(",")}
    if len(found) > GROWTHS_MAX:
        fail(f"--growth: {len(found)} growths: give {GROWTHS_MAX} at most", BAD_USAGE)
    for value in found:
        stock_times(stock, value)
    return sorted(found)


def thousandths(text: str, option: str) -> int:
    """A number above 0, with three decimals at most, in thousandths."""
    whole, _, part = text.partition(".")
    is_number = (whole + part).isascii() and (whole + part).isdigit() and len(part) <= 3
    value = int(whole or "0") * PARTS + int((part + "000")[:3]) if is_number and len(whole) <= 9 else 0
    if not 0 < value <= GROWTH_MAX * PARTS:
        fail(
            f"{option} {text!r}: give numbers above 0, to {GROWTH_MAX}, of three decimals at most: 1,1.5,10", BAD_USAGE
        )
    return value


def times(value: int) -> str:
    """Thousandths as a person writes them."""
    return f"{value / PARTS:.3f}".rstrip("0").rstrip(".")


def stock_times(option: str, growth: int) -> int:
    """Thousandths of the stock at a growth of the orders."""
    if option == WITH_ORDERS:
        return growth
    return PARTS if option == AS_GIVEN else thousandths(option, "--stock-growth")


def clock_of(zone: str | None, terms: Any) -> tuple["Clock", list[str]]:
    """When days begin, and remarks. terms: int64 [node] as DAY_TERMS.

    At the cut-off of the nodes, where all that have a limit share one; at midnight of a zone otherwise.
    """
    import numpy as np

    from engine.capacity import UNLIMITED
    from engine.intake.days import Clock

    limited = terms[(terms[:, :2] != UNLIMITED).any(axis=1)]
    cuts = np.unique(limited[:, 2:], axis=0)
    if zone is None and cuts.shape[0] == 1 and cuts.any():
        starts_at, offset = cuts[0].tolist()
        hours, minutes = divmod(abs(offset), _MINUTES_OF_AN_HOUR)
        at = f"{starts_at // _MINUTES_OF_AN_HOUR:02}:{starts_at % _MINUTES_OF_AN_HOUR:02}"
        name = f"{at}, UTC{'-' if offset < 0 else '+'}{hours:02}:{minutes:02}, the cut-off of the nodes"
        return Clock(timezone(timedelta(minutes=offset)), starts_at, name), []
    notes = []
    if cuts.any():
        why = "they are not the same" if zone is None else "--time-zone was given"
        notes.append(f"the nodes' own cut-offs (day_starts_at) do not count: {why}; their days begin at midnight")
    if zone is None:
        return Clock(INDIA, 0, "midnight, Asia/Kolkata"), notes
    try:
        return Clock(ZoneInfo(zone), 0, f"midnight, {zone}"), notes
    except (ZoneInfoNotFoundError, ValueError, OSError):
        fail(f"--time-zone {zone}: this machine knows no such zone: give a name as Asia/Kolkata", BAD_USAGE)


def prepare(files: Files, engine: Any, clock: "Clock", policy: str) -> Prepared:
    """Let an engine that forgets know names, nodes and stock. Raises IntakeError."""
    import numpy as np

    from engine.capacity import UNLIMITED
    from engine.intake.days import history_days
    from engine.intake.job import check_channels, count_stock, model_of, put_catalogue, put_nodes
    from engine.intake.values import ABSENT
    from engine.outcomes import Namespace
    from engine.outlook import Dates
    from engine.rates.card import ServiceCard
    from engine.terms import asked
    from kernels.columns import Batch

    orders = files.orders
    days = history_days(files.orders_path, orders, clock)
    stamp = int(orders.placed_at[days.order].max())
    check_channels(engine, files.orders_path, orders)
    node_index, _ = put_nodes(engine, files.nodes, stamp)
    count_stock(engine, files.stock, node_index, 0, stamp)
    put_catalogue(engine, orders, stamp)
    state = engine.state
    model = model_of(engine, orders, files.card, stamp, files.stock, node_index) if files.card else None
    names = state.names
    history = Batch(
        names[Namespace.CHANNEL].find(orders.channel).astype(np.int16),
        names[Namespace.POSTAL_CODE].find(orders.postal_code), orders.first_line.astype(np.int64),
        names[Namespace.SKU].find(orders.sku), orders.quantity.copy(), *asked(orders.options, len(orders.order_id)),
    )  # fmt: skip
    dates, wanted = None, [name for name in _WANTED if name in orders.options]
    if isinstance(files.card, ServiceCard) and wanted:
        absent = np.full(len(orders.order_id), ABSENT)
        dates = Dates(days.begins, orders.placed_at, *(orders.options.get(name, absent) for name in _WANTED))
    per_day = np.full((state.node_count, 2), UNLIMITED)
    per_day[node_index] = files.nodes.terms[:, :2]
    texts = names[Namespace.NODE].texts(np.arange(state.node_count, dtype=np.int32)).to_pylist()
    return Prepared(state, history, model, dates, days, texts, per_day, policy == LEAST_COST, wanted if dates else [])


def drawn_day(prepared: Prepared, day: int, growth: int, seed: int) -> Any:
    """int64 [n]: the day's orders so often as the growth says, copies side by side.

    Each comes as often as the whole part says; of the rest so many are drawn without replacement. Who is drawn first is
    the same at every growth, so a larger one has all orders of a smaller one.
    """
    import numpy as np

    first = prepared.days.first
    orders = prepared.days.order[first[day] : first[day + 1]]
    whole, part = divmod(growth, PARTS)
    count = np.full(orders.size, whole)
    turn = np.random.default_rng([seed, day]).permutation(orders.size)
    count[turn[: _drawn(orders.size, part)]] += 1
    return np.repeat(orders, count)


def grow(
    prepared: Prepared, growth: int, stock: str, seed: int, advance: Callable[[int], None]
) -> dict[str, Any]:  # fmt: skip
    """The figures of one growth."""
    from engine.costs import TooManyRows
    from engine.outlook import TooMuchStock, look_ahead, with_stock, without_limits
    from engine.planning import TooManyUnits

    days = len(prepared.days.dates)

    def replay(is_limited: bool) -> "Outlook":
        state = with_stock(prepared.state, stock_times(stock, growth), PARTS)
        return look_ahead(
            state if is_limited else without_limits(state), prepared.history,
            lambda day: drawn_day(prepared, day, growth, seed), days, prepared.model, prepared.dates,
            prepared.by_cost, advance,
        )  # fmt: skip

    try:
        out = replay(True)
        free = replay(False) if has_limits(prepared) else out
    except TooMuchStock as error:
        fail(f"--stock-growth {stock}: at {times(growth)} times the orders: {error}", BAD_USAGE)
    except (TooManyUnits, TooManyRows) as error:
        fail(f"--growth {times(growth)}: quantity: {error}: give a smaller one, or --policy nearest", BAD_USAGE)
    return _figures(prepared, growth, stock, out, free)


def has_limits(prepared: Prepared) -> bool:
    """Whether any node has one."""
    return bool((prepared.per_day >= 0).any())


def orders_at(prepared: Prepared, growth: int) -> int:
    """Of all days, drawn at a growth."""
    return sum(_drawn(count, growth) for count in _counts(prepared))


def _counts(prepared: Prepared) -> list[int]:
    """Orders of each day of the history."""
    first: list[int] = prepared.days.first.tolist()
    return [end - begin for begin, end in pairwise(first)]


def _drawn(orders: int, growth: int) -> int:
    """How many a day has at a growth: halves up."""
    return orders * (growth // PARTS) + (orders * (growth % PARTS) + PARTS // 2) // PARTS


def _figures(prepared: Prepared, growth: int, stock: str, out: "Outlook", free: "Outlook") -> dict[str, Any]:
    nodes, state = len(prepared.nodes), prepared.state
    metres = state.places.metres[: out.units_to.shape[0], :nodes]
    sent = out.units_to > 0
    units, travelled = out.units_to[sent], metres[sent]
    late_days = out.late_unit_days / out.late_units if out.late_units else None
    result = {
        "growth": float(times(growth)), "stock_times": float(times(stock_times(stock, growth))),
        "orders": out.orders, "units": out.units, "sent_units": int(out.sent.sum()), "short_units": out.short_units,
        "short_for_stock_units": out.stock_short, "short_for_capacity_units": out.capacity_short,
        "short_otherwise_units": out.other_short, "late_orders": out.late_orders, "late_units": out.late_units,
        "mean_days_late": None if late_days is None else round(late_days, 2), "most_days_late": out.late_days_max,
        "late_to_ship": out.late_to_ship if "ship_by" in prepared.wanted else None,
        "late_to_deliver": out.late_to_deliver if "deliver_by" in prepared.wanted else None,
        "waiting_orders": out.waiting_orders, "shipments": out.shipments, "split_orders": out.split_orders,
        "mean_distance_m": round(int((units * travelled).sum()) / int(units.sum())) if units.size else None,
        "p95_distance_m": distance_of(0.95, travelled, units),
        "cost": round(sum(out.bill.values())) if prepared.model else None,
        "bill": {fee: round(amount, 2) for fee, amount in out.bill.items()} if prepared.model else None,
        "uncarried_units": out.uncarried_units,
        "days": {
            "orders": [_drawn(count, growth) for count in _counts(prepared)],
            "ordered_units": out.ordered.tolist(), "sent_units": out.sent.tolist(), "late_units": out.late.tolist(),
            "waiting_units": out.waiting.tolist(), "out_of_stock_units": out.no_stock.tolist(),
        },
        "nodes": {name: _node(prepared, at, out, free) for at, name in enumerate(prepared.nodes)},
    }  # fmt: skip
    result["breaks"] = breaks(result, prepared.days.dates)
    return result


def _node(prepared: Prepared, at: int, out: "Outlook", free: "Outlook") -> dict[str, Any]:
    """What one node took day by day. Used: of its orders or its units, whichever is nearer to the limit."""
    import numpy as np

    limits, taken = prepared.per_day[at], out.taken[:, at]
    result: dict[str, Any] = {"orders": taken[:, 0].tolist(), "units": taken[:, 1].tolist()}
    peak = free.peak()[at]
    for which, (name, limit) in enumerate(zip(("orders", "units"), limits.tolist(), strict=True)):
        result[f"{name}_per_day"] = limit if limit >= 0 else None
        result[f"{name}_per_day_needed"] = int(peak[which])
    used = None
    if (limits >= 0).any():
        shares = np.where(limits > 0, taken / np.maximum(limits, 1), np.where(limits == 0, 1.0, 0.0))
        used = shares.max(axis=1)
        full = np.flatnonzero(used >= FULL)
        result |= {"full_days": full.size, "first_full_day": prepared.days.dates[full[0]] if full.size else None}
    result["used"] = None if used is None else [round(float(share), 4) for share in used]
    return result


def breaks(result: dict[str, Any], dates: list[str]) -> dict[str, Any] | None:
    """What breaks first at a growth: nodes that are full, or a day on which stock runs short; None: nothing.

    Of the nodes that are full that day, the one that would be asked for most, measured by its limit. Nodes that may
    take nothing at all count where orders wait for them alone.
    """
    limited = {name: node for name, node in result["nodes"].items() if node["used"] is not None}
    shut = [name for name, node in limited.items() if 0 in (node["orders_per_day"], node["units_per_day"])]
    nodes = {name: node for name, node in limited.items() if name not in shut}
    series = result["days"]
    ordered, gone, waiting = series["ordered_units"], series["out_of_stock_units"], series["waiting_units"]
    for day, date in enumerate(dates):
        full = [name for name, node in nodes.items() if node["used"][day] >= FULL]
        if not full and waiting[day]:  # an order may be too large for what is left
            lacking = [name for name in nodes if _asked(nodes[name])[0] > 1] or shut or list(nodes)
            full = shut if lacking is shut else [max(lacking, key=lambda name: nodes[name]["used"][day])]
        if full:
            worst = max(full, key=lambda name: _asked(limited[name])[0])
            used = limited[worst]["used"][day]
            return {
                "what": "capacity",
                "day": date,
                "node": worst,
                "used": used,
                "full_nodes": len(full),
                "units": None,
            }
        if gone[day] > 0 and gone[day] >= SHORT * ordered[day]:
            return {"what": "stock", "day": date, "node": None, "used": None, "full_nodes": 0, "units": gone[day]}
    return None


def _asked(node: dict[str, Any]) -> tuple[float, str]:
    """How many times its limit a node would be asked for on its busiest day, and the limit that is meant."""
    kinds = [kind for kind in ("orders", "units") if node[f"{kind}_per_day"] is not None]
    return max((node[f"{kind}_per_day_needed"] / max(1, node[f"{kind}_per_day"]), kind) for kind in kinds)


def breaks_first(results: list[dict[str, Any]]) -> dict[str, Any]:
    """Over growths in ascending order: which is the first to break, by what; as a sentence too."""
    for result in results:
        found = result["breaks"]
        if found is not None:
            return {"growth": result["growth"], **found, "sentence": sentence(result)}
    last = results[-1]
    told = f" {_end(last)}" if last["late_orders"] or last["short_units"] else ""
    return {
        "growth": None, "sentence": f"Nothing breaks up to {last['growth']:g} times the orders: no node comes to "
        f"{FULL:.0%} of its day, and on no day {SHORT:.0%} of the units are out of stock.{told}",
    }  # fmt: skip


def _end(result: dict[str, Any]) -> str:
    return f"In the end {result['late_orders']:,} orders are late and {result['short_units']:,} units short."


def sentence(result: dict[str, Any]) -> str:
    """What breaks first at one growth."""
    found, growth = result["breaks"], f"At {result['growth']:g} times the orders"
    if result["growth"] == 1:
        growth = "With the orders as they are"
    if found is None:
        return f"{growth} nothing breaks."
    if found["what"] == "stock":
        first = f"stock breaks first: on {found['day']} {found['units']:,} units ordered are out of stock everywhere"
    else:
        name, more, (_, kind) = found["node"], found["full_nodes"] - 1, _asked(result["nodes"][found["node"]])
        node = result["nodes"][name]
        limits = [
            f"{node[f'{one}_per_day']:,} {one}" for one in ("orders", "units") if node[f"{one}_per_day"] is not None
        ]
        needed = f"{node[f'{kind}_per_day_needed']:,}{f' {kind}' if len(limits) > 1 else ''}"
        who = f"{name} and {more} more node{'s' if more > 1 else ''} are" if more else f"{name} is"
        first = (
            f"{who} full first: on {found['day']} {name if more else 'it'} takes {found['used']:.0%} of "
            f"{' and '.join(limits)}, and {needed} would come to it on its busiest day"
        )
    return f"{growth} {first}. {_end(result)}"


def history_of(path: Path, prepared: Prepared) -> dict[str, Any]:
    """The history itself."""
    days = prepared.days
    return {
        "file": path.name, "orders": int(days.order.size), "undated_orders": days.undated, "days": len(days.dates),
        "dates": days.dates, "orders_by_day": _counts(prepared),
    }  # fmt: skip
