"""The time line of an order as messages: what the views have kept of its units and documents."""

from collections.abc import Iterator, Mapping
from typing import Any

from allot.v1 import events_pb2, life_pb2
from engine.life_reading import Placed
from engine.outcomes import Namespace
from kernels.columns import NO_NODE, Stage


def beginning(placed: Placed, names: Mapping[Namespace, Any]) -> Iterator[life_pb2.Happening]:
    """That an order was placed, and where its units were found then."""
    told: dict[str, Any] = {"sequence": placed.sequence, "stamp_us": placed.stamp, "cause": events_pb2.CAUSE_PLACED}
    yield life_pb2.Happening(what="PLACED", **told)
    for line, node, stage, units in placed.parts:
        node_id = "" if node == NO_NODE else names[Namespace.NODE].text(node)
        yield life_pb2.Happening(what=Stage(stage).name, line=line, quantity=units, node_id=node_id, **told)


def happening(row: dict[str, Any]) -> life_pb2.Happening:
    """One row of `Views.timeline`."""
    cause: Any = f"CAUSE_{row['cause']}" if row["cause"] else events_pb2.CAUSE_UNSPECIFIED
    return life_pb2.Happening(
        sequence=row["sequence"], stamp_us=row["stamp"], what=row["what"], number=row["document"], line=row["line"],
        quantity=row["units"], amount=row["amount"], node_id=row["node"] or "", cause=cause, actor=row["actor"] or "",
        reference=row["reference"] or "",
    )  # fmt: skip
