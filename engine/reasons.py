"""What the journal keeps of why a decision was made: the rule, for each line the nodes that were passed over, and
for each order those that were full.

Written with the orders (engine/decide.py) as optional columns, read by engine/explaining.py. Nothing rests on them: no
state holds them, replay leaves them alone, and an order is the same order with others.
"""

from typing import Any

import numpy as np

from kernels.columns import NODES_MAX

PASSED = tuple(f"passed_{word}" for word in range(NODES_MAX // 64))
FULL = tuple(f"full_{word}" for word in range(NODES_MAX // 64))
ORDER_REASONS = ("rule", "decided_in", *FULL)
LINE_REASONS = (*PASSED, "extra_cost")


def of_lines(passed: Any) -> dict[str, Any]:
    """The columns of `passed`, uint64 [line, word], as kernels/reasons.py writes it; without words of zeros."""
    return _words(PASSED, passed)


def of_orders(full: Any) -> dict[str, Any]:
    """The columns of `full`, uint64 [order, word], as kernels/capacity.py writes it; likewise."""
    return _words(FULL, full)


def _words(names: tuple[str, ...], bits: Any) -> dict[str, Any]:
    return {
        name: np.ascontiguousarray(bits[:, word])
        for word, name in enumerate(names[: bits.shape[1]])
        if bits[:, word].any()
    }


def passed_nodes(lines: Any, at: int) -> set[int]:
    """The nodes that the line in row `at` of a record's lines passed over."""
    return _nodes(PASSED, lines, at)


def full_nodes(orders: Any, at: int) -> set[int]:
    """The nodes that had no room for all of the order in row `at` of a record's orders."""
    return _nodes(FULL, orders, at)


def _nodes(names: tuple[str, ...], columns: Any, at: int) -> set[int]:
    bits = sum(int(columns[name][at]) << 64 * word for word, name in enumerate(names) if name in columns)
    return {node for node in range(bits.bit_length()) if bits >> node & 1}
