"""What came of orders, counted from the answers that the clients got: a tally a sender, added up at the end."""

from dataclasses import dataclass, field, fields
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from allot.v1 import types_pb2


@dataclass
class Tally:
    """Counts of decided orders, and seconds that calls took."""

    orders: int = 0  # sent and answered
    not_taken: int = 0  # with a problem: a fault of the demo
    refused: int = 0  # short on a channel that refuses
    served: int = 0  # with a node for one unit at least
    split: int = 0  # of those, from several nodes
    shipments: int = 0
    metres: int = 0  # of all shipments
    units: int = 0  # of orders that are kept
    short_units: int = 0
    confirmed: int = 0
    released: int = 0
    forgotten: list[tuple[str, str]] = field(default_factory=list)  # channel and id of carts that expire
    seconds: list[float] = field(default_factory=list)
    lasted: float = 0.0  # seconds from the first order to the last answer
    samples: list[tuple[str, str]] = field(default_factory=list)  # channel and id of orders that took units
    problem: str = ""

    def __add__(self, other: "Tally") -> "Tally":
        return Tally(*(getattr(self, one.name) + getattr(other, one.name) for one in fields(self)))

    def decided(self, decision: types_pb2.Decision) -> None:
        """One order."""
        self.orders += 1
        if decision.outcome == types_pb2.OUTCOME_REFUSED:
            self.refused += 1
            return
        metres = {part.node_id: part.distance_m for part in decision.parts if part.node_id}
        self.units += sum(part.quantity for part in decision.parts)
        self.short_units += sum(part.quantity for part in decision.parts if not part.node_id)
        self.served += len(metres) > 0
        self.split += len(metres) > 1
        self.shipments += len(metres)
        self.metres += sum(metres.values())

    def decided_batch(self, results: pa.Table) -> None:
        """The orders of one batch of the lane."""
        outcome = results.column("outcome").combine_chunks()
        lists = results.column("parts").combine_chunks()
        if isinstance(lists, pa.ChunkedArray):
            lists = lists.chunk(0)
        kept = pc.fill_null(pc.not_equal(outcome, "REFUSED"), False).to_numpy(zero_copy_only=False)
        order = np.repeat(np.arange(len(lists)), pc.list_value_length(lists).to_numpy(zero_copy_only=False))
        part = pc.list_flatten(lists)
        units = part.field("quantity").to_numpy() * kept[order]
        node = part.field("node_id").dictionary_encode().indices.fill_null(-1).to_numpy()
        has_node = (node >= 0) & kept[order]
        shipment, first = np.unique(order[has_node] * (node.max(initial=0) + 1) + node[has_node], return_index=True)
        nodes_of = np.bincount(order[has_node][first], minlength=len(lists))
        self.orders += results.num_rows
        self.not_taken += outcome.null_count
        self.refused += int((~kept).sum()) - outcome.null_count
        self.served += int((nodes_of > 0).sum())
        self.split += int((nodes_of > 1).sum())
        self.shipments += shipment.size
        self.metres += int(part.field("distance_m").to_numpy()[has_node][first].sum())
        self.units += int(units.sum())
        self.short_units += int(units[node < 0].sum())
        if outcome.null_count:
            self.problem = self.problem or str(results.filter(pc.is_null(outcome)).slice(0, 1).to_pylist()[0])
        if nodes_of.any():
            row = int(np.argmax(nodes_of > 0))
            self.samples.append((results.column("channel")[row].as_py(), results.column("order_id")[row].as_py()))


def quantiles(seconds: Any) -> str:
    """p50 and p99 in milliseconds."""
    if not len(seconds):
        return "not measured"
    middle, late = np.quantile(seconds, [0.5, 0.99]) * 1000
    return f"{middle:,.1f} / {late:,.1f} ms"
