"""The time line of an order as messages: what the views have kept of its units and documents."""

from typing import Any

from allot.v1 import events_pb2, life_pb2


def happening(row: dict[str, Any]) -> life_pb2.Happening:
    """One row of `Views.timeline`."""
    cause: Any = f"CAUSE_{row['cause']}" if row["cause"] else events_pb2.CAUSE_UNSPECIFIED
    return life_pb2.Happening(
        sequence=row["sequence"], stamp_us=row["stamp"], what=row["what"], number=row["document"], line=row["line"],
        quantity=row["units"], amount=row["amount"], node_id=row["node"] or "", cause=cause, actor=row["actor"] or "",
        reference=row["reference"] or "",
    )  # fmt: skip
