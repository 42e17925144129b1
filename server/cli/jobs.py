"""What the commands over files share: policies by name, the files read once, one run of them through an engine.

`allot allocate` writes down what was decided; `allot what-if` lays runs side by side.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from server.cli.output import BAD_USAGE, Bar, fail

if TYPE_CHECKING:
    from engine.costs import Model
    from engine.intake.job import Shipments, Summary
    from engine.intake.nodes import NodeFile
    from engine.intake.orders import OrderFile
    from engine.intake.postal_codes import Places
    from engine.intake.rate_card import RateCard
    from engine.intake.stock import StockFile
    from engine.planning import Plan
    from engine.rates.card import ServiceCard
    from engine.writer import Engine

NEAREST, LEAST_COST = "nearest", "least-cost"
POLICIES = (NEAREST, LEAST_COST)
FILE_HELP = {
    "orders": "order_id, channel, placed_at, postal_code, sku, quantity and more.",
    "nodes": "node_id and latitude, longitude in degrees, or postal_code; limits of a day.",
    "stock": "sku, node_id, on_hand; age_days.",
}


@dataclass(frozen=True)
class Files:
    """What was read."""

    orders_path: Path
    orders: "OrderFile"
    nodes: "NodeFile"
    stock: "StockFile"
    counted_at: int  # UTC us: when the stock file was changed
    card: "RateCard | ServiceCard | None"


@dataclass(frozen=True)
class Run:
    """Orders that an engine has decided."""

    answered: list[Any]  # batches of orders, and their answers
    planned: "Plan | None"
    model: "Model | None"  # what the orders cost; None: there is no card
    summary: "Summary"  # what is known before the answers: notes, stock statement


def without(files: Files, closed: Sequence[str]) -> Files:
    """The files as if they did not name some nodes. Ends the command where there is no such node, or none is left."""
    import numpy as np
    import pyarrow as pa
    import pyarrow.compute as pc

    from engine.rates.card import ServiceCard

    nodes, stock = files.nodes, files.stock
    for name in closed:
        if name not in nodes.node_id.to_pylist():
            fail(f"--close {name}: the nodes file has no such node: give a node_id of it", BAD_USAGE)
    kept = pc.invert(pc.is_in(nodes.node_id, pa.array(closed, pa.string()))).to_numpy(zero_copy_only=False)
    if not kept.any():
        fail("--close: all nodes are closed: leave one open", BAD_USAGE)
    cells = kept[stock.node]
    place = np.cumsum(kept) - 1  # of each node among those that are kept
    card = files.card
    return replace(
        files,
        card=card.without(closed) if isinstance(card, ServiceCard) else card,
        nodes=replace(
            nodes, node_id=nodes.node_id.filter(pa.array(kept)), latitude_e7=nodes.latitude_e7[kept],
            longitude_e7=nodes.longitude_e7[kept], terms=nodes.terms[kept],
        ),
        stock=replace(
            stock, sku=stock.sku.filter(pa.array(cells)), node=place[stock.node[cells]].astype(np.int16),
            on_hand=stock.on_hand[cells], age_days=None if stock.age_days is None else stock.age_days[cells],
        ),
    )  # fmt: skip


def check_policy(policy: str, rate_card: Path | None, service_card: Path | None) -> None:
    """Ends the command where there is no such policy, or it lacks a card, or there are two."""
    if policy not in POLICIES:
        fail(f"--policy {policy}: there are {' and '.join(POLICIES)}", BAD_USAGE)
    if rate_card and service_card:
        fail("--rate-card and --service-card: give one of them: costs come from one card", BAD_USAGE)
    if policy == LEAST_COST and rate_card is None and service_card is None:
        fail(
            "--policy least-cost: it needs --rate-card or --service-card: what shipments and short units cost",
            BAD_USAGE,
        )


def read_files(
    orders: Path, nodes: Path, stock: Path, postal_codes: Path | None, rate_card: Path | None,
    service_card: Path | None, progress: Bar, made: "Callable[[Places, StockFile], OrderFile] | None" = None,
) -> Files:  # fmt: skip
    """Raises IntakeError where a file cannot be used, or the service card leaves out what the orders need.

    made: makes the orders, in the place of a file.
    """
    from engine.intake.job import check_card
    from engine.intake.nodes import read_nodes
    from engine.intake.orders import read_orders
    from engine.intake.postal_codes import Places
    from engine.intake.rate_card import RateCard
    from engine.intake.stock import read_stock
    from engine.intake.tables import IntakeError
    from engine.rates.card import ServiceCard

    progress.stage("reading")
    card: RateCard | ServiceCard | None = RateCard.read(rate_card) if rate_card else None
    if service_card:
        card = ServiceCard.read(service_card)
    places = Places.read(postal_codes) if postal_codes else Places.india(progress.stage)
    node_file = read_nodes(nodes, places)
    stock_file = read_stock(stock, node_file.node_id)
    counted_at = stock.stat().st_mtime_ns // 1000
    order_file = made(places, stock_file) if made else read_orders(orders, places)
    if isinstance(card, ServiceCard):
        check_card(card, orders, order_file, node_file.node_id.to_pylist())
    if card and card.age_fee_per_day and stock_file.age_days is None:
        raise IntakeError(f"{stock}: column age_days is missing: age_fee_per_day of the card goes by it")
    return Files(orders, order_file, node_file, stock_file, counted_at, card)


def decide(engine: "Engine", files: Files, policy: str, stamp: int, with_options: bool, progress: Bar) -> Run:
    """Let an engine decide the orders upon nodes and stock of the files. stamp: UTC us."""
    from engine.intake.job import (
        Summary,
        allocate,
        check_channels,
        count_stock,
        model_of,
        put_catalogue,
        put_nodes,
        short_for_capacity,
    )

    summary = Summary()
    check_channels(engine, files.orders_path, files.orders)
    node_index, closed = put_nodes(engine, files.nodes, stamp)
    if len(closed):
        summary.notes.append(f"closed, as the nodes file does not name them: {', '.join(closed.to_pylist())}")
    summary.stock_statement = count_stock(engine, files.stock, node_index, files.counted_at, stamp)
    put_catalogue(engine, files.orders, stamp)
    model = model_of(engine, files.orders, files.card, stamp, files.stock, node_index) if files.card else None
    planned = _planned(engine, files, model, stamp, progress, summary) if model and policy == LEAST_COST else None
    progress.stage("allocating", len(files.orders.order_id))
    answered = allocate(engine, files.orders, stamp, with_options, progress.advance, planned)
    summary.capacity_short_units = short_for_capacity(engine, answered)
    if summary.capacity_short_units:
        summary.notes.append(
            f"{summary.capacity_short_units:,} units are short though nodes with a limit have them: their day had no "
            "room left for the orders"
        )
    return Run(answered, planned, model, summary)


def _planned(
    engine: "Engine", files: Files, model: "Model", stamp: int, progress: Bar, summary: "Summary"
) -> "Plan":  # fmt: skip
    """The plan of least cost, and what the summary says of it."""
    from engine.costs import TooManyRows
    from engine.intake.job import plan_orders
    from engine.planning import TooManyUnits

    progress.stage("planning")
    try:
        planned = plan_orders(engine, files.orders, model, stamp)
    except (TooManyUnits, TooManyRows) as error:
        fail(f"{files.orders_path}: quantity: {error}: split the file", BAD_USAGE)
    if planned.spared and not engine.state.days.is_any:
        summary.notes.append(
            f"{planned.spared:,} units are short though there is stock: by the card a short unit costs "
            f"{model.short:g}, and to ship these would cost more{_or_not_carried(model)}"
        )
    return planned


def _or_not_carried(model: "Model") -> str:
    return "" if model.grams is None else ", or no service carries them from where they are"


def sum_up(run: Run, shipments: "Shipments", files: Files) -> None:
    """What the shipments came to, what they cost by the card, and how that compares with the plan."""
    from engine.intake.job import count_unplanned, stock_fees_of

    summary = run.summary
    units = shipments.units
    summary.shipments, summary.split_orders = units.size, shipments.split_orders
    summary.allocated_units, summary.short_units = int(units.sum()), shipments.short_units
    if units.size:
        summary.mean_distance_m = round(int((units * shipments.metres).sum()) / summary.allocated_units)
    if run.model is not None:
        _sum_up_costs(run.model, shipments, summary, files.orders)
    if run.planned is None:
        return
    if summary.orders == len(files.orders.order_id) and not summary.repeated_orders:  # else it is of other orders
        summary.bound = round(run.planned.bound)
    if run.model is not None:
        summary.stock_fees = stock_fees_of(run.model, run.answered)
    if summary.cost is not None and summary.bound:
        summary.gap = round((summary.cost + (summary.stock_fees or 0)) / summary.bound - 1, 6)
    summary.unplanned_orders = count_unplanned(run.answered, run.planned)
    if summary.unplanned_orders:
        one = summary.unplanned_orders == 1
        summary.notes.append(
            f"{summary.unplanned_orders:,} order{' was' if one else 's were'} decided by nearest: what was planned did"
            " not fit, by a rule of the channel (it may not split, refuses what is short, or units are kept for others)"
            " or by what the order asks (nodes_max, ship_complete)"
        )


def _sum_up_costs(model: "Model", shipments: "Shipments", summary: "Summary", orders: "OrderFile") -> None:
    """What the shipments cost, and what cannot be sent at all."""
    import numpy as np

    from engine.costs import ServiceCosts
    from engine.intake.values import ABSENT

    shipped, absent = shipments.shipped(), np.full(len(orders.order_id), ABSENT)
    summary.cost = model.total(shipped, summary.short_units)
    if not isinstance(model, ServiceCosts):
        return
    summary.uncarried_units = int(shipped.units[~model.carried(shipped)].sum())
    late = model.late(
        shipped, orders.placed_at, *(orders.options.get(name, absent) for name in ("ship_by", "deliver_by"))
    )
    summary.late_to_ship = late[0] if "ship_by" in orders.options else None
    summary.late_to_deliver = late[1] if "deliver_by" in orders.options else None
    summary.unserved_orders = int(model.unserved[model.lane].sum())
    if summary.unserved_orders:
        summary.notes.append(
            f"{summary.unserved_orders:,} orders cannot be sent from any node: no service of the card carries them "
            "where they go, as they are paid, at the service level that they ask for"
        )
    if summary.uncarried_units:
        summary.notes.append(
            f"{summary.uncarried_units:,} units are allocated at nodes from which no service carries their shipment: "
            "in the cost they count as short"
        )


def distance_of(share: float, metres: Any, units: Any) -> int | None:
    """The distance in whole metres within which so large a share of the units travels; None where there are none.

    metres: int32 [shipment]; units: int64 [shipment]; share: above 0, at most 1.
    """
    import numpy as np

    if units.size == 0:
        return None
    turn = np.argsort(metres, kind="stable")
    within = np.cumsum(units[turn])
    return int(metres[turn][np.searchsorted(within, share * within[-1])])
