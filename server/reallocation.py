"""Orders to other nodes: because theirs are to be left, or because others are cheaper.

Nodes are left by commands one after another until no order is left to look at, and their answers are given as one. Each
is a commit of its own, so others are answered in between. Its key is the caller's and how far it went: who sends the
same request again is told again what was done, and goes on from there. A re-evaluation is one look, a plan made in a
thread, and one command.
"""

import asyncio
from dataclasses import dataclass
from functools import partial
from typing import Any

import grpc
import numpy as np

from allot.v1 import orders_pb2 as pb
from engine.answers import Reallocated
from engine.commands import Reallocate, Reevaluate
from engine.intake.nodes import NODE_ID_CHARACTERS_MAX
from engine.intake.rate_card import FEE_MAX, RateCard
from engine.outcomes import Namespace
from engine.reallocation import FIGURES, rehearse
from engine.reevaluation import better, window
from engine.sourcing import rehearsal
from engine.state import State
from engine.writer import Engine
from kernels.columns import NODES_MAX, Head
from server.batcher import Batcher
from server.errors import Rejection
from server.replies import check_reply
from server.validation.catalogue import ADD_A_NODE
from server.validation.values import known, number, request_id, rows

MICROS = 1_000_000
_UNITS = FIGURES[1:]
_FEES = ("shipment_fee", "fee_per_km", "handling_fee", "fee_per_unit_km")


async def reallocate_orders(
    batcher: Batcher, request: pb.ReallocateOrdersRequest, deadline: float
) -> pb.ReallocateOrdersResponse:
    """What became of the units at the nodes, or would become of them. Raises Rejection."""
    names = batcher.engine.state.names[Namespace.NODE]
    rows("node_ids", len(request.node_ids), NODES_MAX)
    field = "node_ids[{}]".format
    nodes = np.zeros(NODES_MAX, np.uint8)
    nodes[known(names, field, request.node_ids, NODE_ID_CHARACTERS_MAX, "node", ADD_A_NODE)] = 1
    key = "" if request.dry_run else request_id(request.request_id)
    scope = await batcher.read(partial(_scope, rehearse=request.dry_run), deadline)
    told, again = np.zeros((len(_UNITS), NODES_MAX), np.int64), True
    for priority in scope.priorities:
        after = 0
        while True:
            # no caller's key holds a line break
            command = Reallocate(f"{key}\n{priority}\n{after}", nodes, priority, after, scope.upto, request.short)
            if scope.rehearsal is None:
                answer = await batcher.ask(command, deadline)
                check_reply(answer.reply)
            else:
                answer = await batcher.read(partial(_rehearse, scope=scope, command=command), deadline)
            told[:, answer.node] += [getattr(answer, name) for name in _UNITS]
            again &= answer.again
            after = answer.following
            if after == 0:
                break
    return pb.ReallocateOrdersResponse(nodes=_by_node(told, names), again=again and bool(scope.priorities))


@dataclass(frozen=True)
class _Scope:
    """Which orders there are to look at."""

    priorities: tuple[int, ...]  # of channels, those served first first
    upto: int  # the number of the last order
    node_count: int
    rehearsal: State | None  # where nothing is to change


def _scope(engine: Engine, rehearse: bool) -> _Scope:
    state = engine.state
    priorities = np.unique(state.policies.priority[: len(state.names[Namespace.CHANNEL])])
    return _Scope(
        tuple(priorities.tolist()), state.head(Head.LAST_NUMBER), state.node_count,
        rehearsal(state) if rehearse else None,
    )  # fmt: skip


def _rehearse(engine: Engine, scope: _Scope, command: Reallocate) -> Reallocated:
    assert scope.rehearsal is not None
    if engine.state.node_count != scope.node_count:
        raise Rejection(
            grpc.StatusCode.ABORTED, "NODES_CHANGED", "node_ids: a node was added meanwhile: ask again", "node_ids"
        )
    return rehearse(scope.rehearsal, command)


def _by_node(told: Any, names: Any) -> list[pb.NodeReallocation]:
    nodes = []
    for node in np.flatnonzero(told.any(axis=0)):
        units: Any = dict(zip(_UNITS, told[:, node].tolist(), strict=True))
        nodes.append(pb.NodeReallocation(node_id=names.text(int(node)), **units))
    return nodes


async def reevaluate_orders(
    batcher: Batcher, request: pb.ReevaluateOrdersRequest, deadline: float
) -> pb.ReevaluateOrdersResponse:
    """What was moved because it is cheaper elsewhere, or would be. Raises Rejection."""
    fees = {fee: number(f"{fee}_micros", getattr(request, f"{fee}_micros"), 0, FEE_MAX * MICROS) for fee in _FEES}
    card = RateCard(shortage_penalty=0, **{fee: micros / MICROS for fee, micros in fees.items()})
    move_fee = number("move_fee", request.move_fee, 0, FEE_MAX)
    key = "" if request.dry_run else request_id(request.request_id)
    asked = request.SerializeToString(deterministic=True)
    seen = await batcher.read(lambda engine: window(engine.state), deadline)
    command = await asyncio.to_thread(better, seen, card, move_fee, key, asked)
    told = np.zeros((len(_UNITS), NODES_MAX), np.int64)
    names = batcher.engine.state.names[Namespace.NODE]
    if request.dry_run:
        _tell(told, command)
        return pb.ReevaluateOrdersResponse(nodes=_by_node(told, names), saved=int(command.saving.sum()))
    answer = await batcher.ask(command, deadline)
    check_reply(answer.reply)
    told[:, answer.node] = [getattr(answer, name) for name in _UNITS]
    return pb.ReevaluateOrdersResponse(nodes=_by_node(told, names), saved=answer.saved, again=answer.again)


def _tell(told: Any, command: Reevaluate) -> None:
    for row, node in enumerate((command.node, command.to_node)):  # left, arrived
        np.add.at(told[row], node, command.quantity)
