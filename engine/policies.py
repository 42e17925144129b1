"""What may be returned, and where goods are for the tax: data that returns and shipments go by.

A policy is for a channel, a category of SKUs, both, or all; the narrowest holds. The first row of the table is the
default, which holds until policies are put. Regions are words, such as the two digits of a state in a GST number.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from engine.lifecycle import NEXT_STATE
from engine.payments import capability
from kernels.columns import NONE
from kernels.life import Condition, PayMethod
from kernels.steps import EXCHANGES, Around, Policies

DAY = 86_400_000_000
POLICIES_MAX = 1024
COLUMNS: dict[str, Any] = {
    "channel": np.int16, "category": np.int16, "return_within": np.int64, "claim_within": np.int64,
    "refund_within": np.int64, "fee": np.int64, "conditions": np.int32, "flags": np.uint8,
}  # fmt: skip
CONDITIONS = sum(1 << condition for condition in Condition)  # all of them
DEFAULT: dict[str, int] = {
    "channel": NONE, "category": NONE, "return_within": 10 * DAY, "claim_within": 10 * DAY, "refund_within": 7 * DAY,
    "fee": 0, "conditions": CONDITIONS, "flags": EXCHANGES,
}  # fmt: skip


def _default() -> Policies:
    return Policies(*(np.array([DEFAULT[name]], dtype) for name, dtype in COLUMNS.items()))


@dataclass
class Afterwards:
    """Policies of returns, categories of SKUs, tax regions of nodes and postal codes."""

    category: Any  # int16 [sku] word + 1; 0: none
    node_region: Any  # int16 [node] word + 1; 0: not known
    code_region: Any  # int16 [postal code]
    held_for: Any  # int64 [word] us that a gateway of that name holds what it authorised; 0: not known
    policies: Policies = field(default_factory=_default)

    def around(self) -> Around:
        """As kernels take it."""
        return Around(NEXT_STATE, self.policies, self.category, self.node_region, self.code_region, self.held_for)

    def name_words(self, first: int, texts: Sequence[str]) -> None:
        """Words have got the indices from `first` on: some may be gateways."""
        days = [capability(text, PayMethod.CARD).authorised_days for text in texts]
        self.held_for[first : first + len(days)] = np.array(days, np.int64) * DAY

    def put_policies(self, columns: Mapping[str, Any]) -> None:
        """All policies from now on; the default stays before them."""
        rows = (
            np.append(np.array([DEFAULT[name]], dtype), columns[name]).astype(dtype) for name, dtype in COLUMNS.items()
        )
        self.policies = Policies(*rows)

    def put_categories(self, columns: Mapping[str, Any]) -> None:
        """Categories of some SKUs."""
        self.category[columns["sku"]] = columns["category"] + 1

    def put_regions(self, columns: Mapping[str, Any]) -> None:
        """Tax regions of some nodes and postal codes."""
        node, code, region = columns["node"], columns["postal_code"], columns["region"] + 1
        self.node_region[node[node != NONE]] = region[node != NONE]
        self.code_region[code[code != NONE]] = region[code != NONE]

    def digest(self, skus: int, codes: int) -> bytes:
        """Equal for equal content."""
        columns = (*self.policies, self.node_region, self.category[:skus], self.code_region[:codes])
        return b"".join(column.tobytes() for column in columns if column.any())
