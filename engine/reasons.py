"""What the journal keeps of why a decision was made: the rule, and for each line the nodes that were passed over.

Written with the orders (engine/decide.py) as optional columns, read by engine/explaining.py. Nothing rests on them: no
state holds them, replay leaves them alone, and an order is the same order with others.
"""

from typing import Any

import numpy as np

from kernels.columns import NODES_MAX

PASSED = tuple(f"passed_{word}" for word in range(NODES_MAX // 64))
ORDER_REASONS = ("rule", "decided_in")
LINE_REASONS = (*PASSED, "extra_cost")


def of_lines(passed: Any) -> dict[str, Any]:
    """The columns of `passed`, uint64 [line, word], as kernels/reasons.py writes it; without words of zeros."""
    return {
        name: np.ascontiguousarray(passed[:, word])
        for word, name in enumerate(PASSED[: passed.shape[1]])
        if passed[:, word].any()
    }


def passed_nodes(lines: Any, at: int) -> set[int]:
    """The nodes that the line in row `at` of a record's lines passed over."""
    bits = sum(int(lines[name][at]) << 64 * word for word, name in enumerate(PASSED) if name in lines)
    return {node for node in range(bits.bit_length()) if bits >> node & 1}
