"""Explanations of decisions as messages: for the service, and for `allot explain` over a folder that nobody serves."""

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

import pyarrow as pa

from allot.v1 import orders_pb2, types_pb2
from engine.answers import FirstAnswers
from engine.explaining import (
    Choice,
    Decided,
    ExplainedLine,
    MovedSince,
    Why,
    are_elsewhere,
    decided,
    explained,
    moved_since,
)
from engine.folder import DataFolder
from engine.journal.records import decode
from engine.journal.segments import Journal
from engine.names import Names
from engine.outcomes import Cause, EngineError, Namespace
from engine.reading import Elsewhere
from engine.snapshot import start_state
from engine.state import State
from engine.supply import bind_all
from kernels.columns import NO_NODE

_CHOICE = {choice: orders_pb2.Choice.Value(f"CHOICE_{choice.name}") for choice in Choice if choice}
_REASON = {why: orders_pb2.PassedReason.Value(f"PASSED_REASON_{why.name}") for why in Why}


def explanation_message(order: Decided, names: Mapping[Namespace, Names]) -> orders_pb2.ExplainOrderResponse:
    """What was decided and passed over. `moved` is for the caller to fill."""
    explanation = explained(order)
    message = orders_pb2.ExplainOrderResponse(
        number=order.number, outcome=order.outcome, choice=_CHOICE.get(explanation.choice),  # type: ignore[arg-type]
        sequence=order.sequence, decided_sequence=order.decided_in, reservation_number=order.reservation,
        may_have_changed=explanation.may_have_changed, nodes_max=order.nodes_max,
        ship_complete=order.ship_complete,
    )  # fmt: skip
    for position, line in enumerate(explanation.lines, 1):
        _add_line(message, position, line, names)
    message.expected.extend(expected_units(order.expected, names))
    return message


def expected_units(
    expected: Iterable[tuple[int, int, int, int, int]], names: Mapping[Namespace, Names]
) -> list[types_pb2.ExpectedUnits]:
    """What an order waits for, of (line, units, due at, node, reference)."""
    return [
        types_pb2.ExpectedUnits(
            line=line, quantity=units, due_at_us=due_at, node_id=names[Namespace.NODE].text(node), reference=reference
        )
        for line, units, due_at, node, reference in expected
    ]


def _add_line(
    message: orders_pb2.ExplainOrderResponse, position: int, line: ExplainedLine, names: Mapping[Namespace, Names]
) -> None:
    nodes = names[Namespace.NODE]
    added = message.lines.add(
        line=position, sku=names[Namespace.SKU].text(line.sku), quantity=line.units, passed_more=line.passed_more,
        extra_cost=line.extra_cost,
    )  # fmt: skip
    for part in line.parts:
        node_id = "" if part.node == NO_NODE else nodes.text(part.node)
        added.parts.add(
            node_id=node_id, quantity=part.units, rank=part.rank, distance_m=part.metres,
            extra_distance_m=max(0, part.extra_metres),
        )  # fmt: skip
    for other in line.passed:
        added.passed.add(
            node_id=nodes.text(other.node), rank=other.rank, distance_m=other.metres, reason=_REASON[other.why]
        )


def add_moved(message: orders_pb2.ExplainOrderResponse, moved: MovedSince, names: Mapping[Namespace, Names]) -> None:
    """One more of what moved since."""
    message.moved.add(
        sequence=moved.sequence, stamp_us=moved.stamp, sku=names[Namespace.SKU].text(moved.sku),
        node_id=names[Namespace.NODE].text(moved.node), quantity=moved.units, released=moved.released,
        cause=f"CAUSE_{Cause(moved.cause).name}",
    )  # fmt: skip


def explain_folder(
    path: Path, channel: str, order_id: str, is_reservation: bool, progress: Callable[[int, int], None]
) -> orders_pb2.ExplainOrderResponse:
    """The explanation out of a data folder, which is replayed; nothing is changed. Raises EngineError, JournalError."""
    folder = DataFolder.open(path)
    try:
        journal = Journal.open(folder.disk, read_only=True)
        state = State(folder.secret, folder.limits)
        start_state(folder.disk, journal, state, progress)
        bind_all(state)
        index = int(state.names[Namespace.CHANNEL].find(pa.array([channel], pa.string()))[0])
        if index < 0:
            raise EngineError(f"--channel {channel}: {path} has no such channel: check the name")
        first_answers = FirstAnswers(lambda sequence: decode(journal.record(sequence).body), journal.first_since)
        found = decided(state, first_answers, index, order_id, is_reservation)
        if found is Elsewhere.UNKNOWN:
            raise EngineError(
                f"{order_id}: names no order of the channel {channel}: check both, and whether it is a reservation"
            )
        if isinstance(found, Elsewhere):
            raise EngineError(f"{order_id}: its record is in a segment that was moved away: put it back into archive/")
        message = explanation_message(found, state.names)
        if are_elsewhere(found):
            for moved in moved_since(journal, found):
                add_moved(message, moved, state.names)
            message.view_sequence = state.sequence
        return message
    finally:
        folder.close()
