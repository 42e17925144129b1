"""What the answers of a run promise: units at nodes, and orders that must be there. Kept while it runs, compared with
what the server has at its end (proof.py).
"""

from collections import Counter, deque
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from allot.v1 import types_pb2
from server.load.catalogue import Catalogue
from server.load.orders import Batch

SAMPLED = 500  # of all orders
LAST = 500
_SEED = 35
_OUTCOMES = {number: name.removeprefix("OUTCOME_").lower() for name, number in types_pb2.Outcome.items()}


class Taken(NamedTuple):
    """An order that was acknowledged."""

    order_id: str
    number: int
    units: int  # at nodes


class Ledger:
    """What was acknowledged, and so must hold."""

    def __init__(self, catalogue: Catalogue, seed: int) -> None:
        self._node_number = catalogue.node_number
        self._cells = [[0] * len(catalogue.nodes) for _ in catalogue.skus]
        self._of_batches = np.zeros((len(catalogue.skus), len(catalogue.nodes)), np.int64)
        self._chance = np.random.default_rng((_SEED, seed))
        self.outcomes: Counter[str] = Counter()
        self.orders = 0
        self.again = 0  # first answers that say they are repeats
        self.sampled: list[Taken] = []  # each order with equal chance
        self.last: deque[Taken] = deque(maxlen=LAST)

    def decided(self, order_id: str, skus: list[int], decision: types_pb2.Decision, repeated: bool) -> None:
        """An order. skus: of its lines. repeated: it was asked for before, so it may be an answer given again."""
        units = self.held(skus, decision, repeated)
        self.outcomes[_OUTCOMES[decision.outcome]] += 1
        if decision.outcome != types_pb2.OUTCOME_REFUSED:
            self._acknowledge(Taken(order_id, decision.number, units))

    def held(self, skus: list[int], decision: types_pb2.Decision, repeated: bool, sign: int = 1) -> int:
        """Units of a decision are at nodes from now on, or with sign -1 no more; how many."""
        self.again += decision.again and not repeated
        units = 0
        for part in decision.parts:
            if part.node_id:
                self._cells[skus[part.line - 1]][self._node_number[part.node_id]] += sign * part.quantity
                units += part.quantity
        return units

    def decided_batch(self, batch: Batch, found: Any, repeated: bool) -> tuple[int, Counter[str]]:
        """The orders of a batch, from the record batch of its answer: how many were taken, and why others were not."""
        outcome, number = found["outcome"].to_numpy(), found["number"].to_numpy()
        self.again += 0 if repeated else found["again"].true_count
        lists = found["parts"]
        counts = lists.value_lengths().to_numpy(zero_copy_only=False)
        parts = lists.flatten()
        order = np.repeat(np.arange(len(lists)), counts)
        node_ids = parts.field("node_id")
        known = node_ids.dictionary.to_pylist()  # the nodes of others too, which give nothing
        numbers = np.array([self._node_number.get(name, 0) for name in known] or [0])
        node = node_ids.indices.fill_null(-1).to_numpy(zero_copy_only=False)
        units, has_node = parts.field("quantity").to_numpy(), node >= 0
        sku = batch.skus[batch.first_line[order] + parts.field("line").to_numpy() - 1]
        np.add.at(self._of_batches, (sku[has_node], numbers[node[has_node]]), units[has_node])
        for kind in np.unique(outcome[outcome > 0]).tolist():
            self.outcomes[_OUTCOMES[kind]] += int((outcome == kind).sum())
        taken = np.flatnonzero((outcome > 0) & (outcome != types_pb2.OUTCOME_REFUSED))
        of_order = np.bincount(order[has_node], units[has_node], len(lists))
        if taken.size:
            row = int(taken[int(self._chance.random() * taken.size)])
            order_id = batch.content.id_of(row, batch.number)
            self._acknowledge(Taken(order_id, int(number[row]), int(of_order[row])), taken.size)
        return int((outcome > 0).sum()), Counter(found["reason"].drop_null().to_pylist())

    def units(self) -> NDArray[np.int64]:
        """Units that answers say are at nodes now [SKU, node]."""
        return np.array(self._cells, np.int64) + self._of_batches

    def _acknowledge(self, taken: Taken, orders: int = 1) -> None:
        """orders: that it stands for."""
        self.orders += orders
        self.last.append(taken)
        if len(self.sampled) < SAMPLED:
            self.sampled.append(taken)
        elif (place := int(self._chance.random() * self.orders / orders)) < SAMPLED:
            self.sampled[place] = taken
