"""The tables of `allot plan`, for the terminal and for the page: a growth a column."""

from typing import Any

Row = tuple[str, *tuple[Any, ...]]


def head_of(result: dict[str, Any]) -> list[str]:
    """A name for each growth."""
    return [f"{run['growth']:g} x" for run in result["growths"]]


def table_of(result: dict[str, Any]) -> list[Row]:
    """What each growth comes to."""
    runs, dates = result["growths"], result["history"]["dates"]

    def row(name: str, of: Any) -> Row:
        return name, *(of(run) for run in runs)

    def share(part: str, whole: str) -> Any:
        return lambda run: f"{run[part]:,}  ({run[part] / (run[whole] or 1):.1%})"

    def km(name: str) -> Any:
        return lambda run: "-" if run[name] is None else f"{run[name] / 1000:,.0f} km"

    def full_days(run: dict[str, Any]) -> list[int]:
        return [node.get("full_days", 0) for node in run["nodes"].values()]

    def first(run: dict[str, Any]) -> str:
        return run["breaks"]["node"] or "stock" if run["breaks"] else "nothing"

    def other(run: dict[str, Any]) -> int:
        return int(run["short_otherwise_units"])

    rows = [
        row("breaks first", first), row("  on", lambda run: run["breaks"]["day"] if run["breaks"] else "-"),
        row("orders", lambda run: run["orders"]), row("units", lambda run: run["units"]),
    ]  # fmt: skip
    if result["limited_nodes"]:
        node_days = len(dates) * result["limited_nodes"]
        rows += [
            row(f"nodes that are full, of {result['limited_nodes']}", lambda run: sum(map(bool, full_days(run)))),
            row(f"  their full days, of {node_days:,}", lambda run: sum(full_days(run))),
            row("late orders", share("late_orders", "orders")),
            row("  days late, mean", lambda run: "-" if run["mean_days_late"] is None else run["mean_days_late"]),
            row("  at most", lambda run: run["most_days_late"] or "-"),
        ]  # fmt: skip
    for name, key in (("orders late to ship", "late_to_ship"), ("orders late to arrive", "late_to_deliver")):
        if runs[0][key] is not None:
            rows.append(row(name, lambda run, key=key: run[key]))
    rows += [
        row("short units", share("short_units", "units")),
        row("  for lack of stock", lambda run: run["short_for_stock_units"]),
        row("  for lack of capacity", lambda run: run["short_for_capacity_units"]),
        *([row("  for other reasons", other)] if any(map(other, runs)) else []),
        row("split orders", share("split_orders", "orders")), row("shipments", lambda run: run["shipments"]),
        row("mean distance of a unit", km("mean_distance_m")), row("95% of units travel at most", km("p95_distance_m")),
    ]  # fmt: skip
    if runs[0]["cost"] is not None:
        rows.append(row("cost (minor units)", lambda run: run["cost"]))
        rows.append(row("  of a unit ordered", lambda run: f"{run['cost'] / (run['units'] or 1):,.0f}"))
    return rows


def _kinds(result: dict[str, Any]) -> list[str]:
    """Of what nodes have limits, orders or units a day; both where none has any."""
    nodes = list(result["growths"][0]["nodes"].values())
    found = [kind for kind in ("orders", "units") if any(node[f"{kind}_per_day"] is not None for node in nodes)]
    return found or ["orders", "units"]


def _needs(node: dict[str, Any], kinds: list[str]) -> list[str]:
    return [f"{node[f'{kind}_per_day_needed']:,}" for kind in kinds]


def brief_head(result: dict[str, Any]) -> str:
    """What the narrow table of nodes says."""
    what = " and ".join(_kinds(result))
    if not result["limited_nodes"]:
        return f"nodes: {what} of the busiest day"
    return f"nodes: full days; {what} a day that it needs"


def brief_nodes(result: dict[str, Any]) -> list[Row]:
    """Of each node by each growth: full days, and the capacity of a day with which nobody would wait."""
    kinds = _kinds(result)

    def cell(node: dict[str, Any]) -> str:
        needs = " and ".join(_needs(node, kinds))
        return needs if node["used"] is None else f"{node['full_days'] or '-'}; {needs}"

    return _by_node(result, cell)


def nodes_head(result: dict[str, Any]) -> str:
    """What the wide table of nodes says."""
    if not result["limited_nodes"]:
        return "Nodes: what each takes on its busiest day"
    return "Nodes: on how many days each is full, and what it needs on its busiest day for nobody to wait"


def nodes_of(result: dict[str, Any]) -> list[Row]:
    """The same with the first full day, or how near to it a node comes."""
    kinds = _kinds(result)

    def cell(node: dict[str, Any]) -> str:
        needs = " and ".join(f"{need} {kind}" for need, kind in zip(_needs(node, kinds), kinds, strict=True))
        if node["used"] is None:
            return needs
        days = node["full_days"]
        when = f"{days} from {node['first_full_day']}" if days else f"never, {max(node['used']):.0%} at most"
        return f"{when}; needs {needs}"

    return _by_node(result, cell)


def _by_node(result: dict[str, Any], cell: Any) -> list[Row]:
    runs = result["growths"]
    return [(name, *(cell(run["nodes"][name]) for run in runs)) for name in runs[0]["nodes"]]


def machine_rows(result: dict[str, Any]) -> list[Row]:
    """The machine."""
    needs = result["machine"]["growths"]

    def row(name: str, of: Any) -> Row:
        return name, *(of(need) for need in needs)

    def of_one(need: dict[str, Any]) -> str:
        return "-" if need["of_one_engine"] is None else f"{need['of_one_engine']:.2%}"

    return [
        row("orders a second in the busiest hour", lambda need: f"{need['peak_orders_per_second']:,.1f}"),
        row("  of what one engine decides here", of_one), row("cores", lambda need: need["cores"]),
        row("memory, MiB", lambda need: need["memory_mib"]),
        row("journal of the busiest day, MiB", lambda need: f"{need['journal_mib_a_day']:,.1f}"),
    ]  # fmt: skip


def rejected(result: dict[str, Any]) -> list[str]:
    """What was left out of the files."""
    reasons = ", ".join(f"{count:,} {reason}" for reason, count in result["rejects_by_reason"].items())
    files = ((result["rejected_lines"], f"orders file were left out ({reasons})"),
             (result["stock_rejects"], "stock file were left out"))  # fmt: skip
    return [f"{count:,} rows of the {what}: `allot allocate` says which and why" for count, what in files if count]
