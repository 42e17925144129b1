"""What a line costs more than it would alone: a part of why it comes from where it does.

Called by engine/planning.py for a whole plan; single orders have theirs from kernels/cheapest.py.
"""

import numpy as np

from kernels.columns import NO_NODE
from kernels.options import I16, I32, I64, I32x2, kernel
from kernels.pricing import NOWHERE, Costs, step_of


@kernel
def compare_alone(
    part_count: I32, node: I16, quantity: I32, row: I64, grams: I64, ends: I64, sku: I32, costs: Costs,
    stock: I32x2, extra: I64,
) -> None:  # fmt: skip
    """Write extra [line], 0 where nothing is given: what the parts of a line cost, each as a shipment of its own,
    beyond all their units from the cheapest node that has any of the SKU. Rounded to whole units of the costs.

    part_count [line]; node, quantity [part]; row [line]: of the costs of its lightest shipment; grams [line]: of a
    unit; ends [step]: as in kernels/moves.py; sku [line]: row of stock [row, node].
    """
    part = 0
    for line in range(part_count.size):
        paid, units = 0.0, 0
        for _ in range(part_count[line]):
            if node[part] != NO_NODE:
                of = row[line] + step_of(ends, grams[line] * quantity[part])
                paid += costs.shipment[of, node[part]] + quantity[part] * costs.unit[of, node[part]]
                units += quantity[part]
            part += 1
        extra[line] = 0
        if units > 0:
            of, least = row[line] + step_of(ends, grams[line] * units), NOWHERE
            for at in range(stock.shape[1]):
                if stock[sku[line], at] > 0:
                    least = min(least, costs.shipment[of, at] + units * costs.unit[of, at])
            extra[line] = np.int64(np.rint(paid - least))
