"""Dated supply: units of a SKU that are expected at a node on a date, by a reference of the caller's; and who waits.

Owned by the state. engine/supply.py changes it by commands, engine/apply.py by the journal. Who waits for which supply
is derived, as `available` is: it is in no journal and no snapshot, only what changed of it is told.
"""

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np

DTYPES = {"sku": np.int32, "node": np.int16, "reference": np.int64, "units": np.int32, "due_at": np.int64}


class Dated(NamedTuple):
    """The supply of one SKU, by date, node and reference."""

    node: Any  # int16 [supply]
    reference: Any  # int64 [supply] a number of the caller's, 1 or more
    units: Any  # int32 [supply] still expected, 1 or more
    due_at: Any  # int64 [supply] UTC us


class Bound(NamedTuple):
    """Back-ordered units of one SKU and the supply that they wait for, by turn."""

    order: Any  # int32 [binding] row
    number: Any  # int64 [binding] of the order
    position: Any  # int32 [binding] of the line in its order, from 1
    waiting: Any  # int32 [binding] units of the line that wait, bound or not
    units: Any  # int32 [binding]
    due_at: Any  # int64 [binding] UTC us
    node: Any  # int16 [binding]
    reference: Any  # int64 [binding]


NOTHING_BOUND = Bound(
    *(np.empty(0, dtype) for dtype in (np.int32, np.int64, np.int32, np.int32, np.int32, np.int64, np.int16, np.int64))
)


class Expected:
    """All dated supply. Most engines have none, and pay nothing for it."""

    def __init__(self) -> None:
        self.rows = 0
        self.bound: dict[int, Bound] = {}  # [sku] where anything is bound; derived
        self._of: dict[int, dict[tuple[int, int], tuple[int, int]]] = {}  # [sku][node, reference]: units, due_at

    @property
    def is_used(self) -> bool:
        """Whether anything is expected, or was until this commit."""
        return self.rows > 0 or bool(self.bound)

    def set(self, columns: Mapping[str, Any]) -> None:
        """So many units are expected from now on; 0: no more. Columns as DTYPES."""
        for sku, *key, units, due_at in zip(*(columns[name].tolist() for name in DTYPES), strict=True):
            of_sku = self._of.setdefault(sku, {})
            self.rows -= len(of_sku)
            if units:
                of_sku[key[0], key[1]] = (units, due_at)
            else:
                of_sku.pop((key[0], key[1]), None)
            self.rows += len(of_sku)
            if not of_sku:
                del self._of[sku]

    def get(self, sku: int, node: int, reference: int) -> tuple[int, int]:
        """Units, and when, UTC us; (0, 0) where nothing is expected."""
        return self._of.get(sku, {}).get((node, reference), (0, 0))

    def skus(self, first: int = 0) -> list[int]:
        """SKUs of which anything is expected, from one on."""
        return sorted(sku for sku in self._of if sku >= first)

    def of(self, sku: int) -> Dated:
        """The supply of a SKU."""
        rows = sorted((due_at, *key, units) for key, (units, due_at) in self._of.get(sku, {}).items())
        due_at, node, reference, units = zip(*rows, strict=True) if rows else ((), (), (), ())
        return Dated(
            np.array(node, np.int16), np.array(reference, np.int64), np.array(units, np.int32),
            np.array(due_at, np.int64),
        )  # fmt: skip

    def columns(self) -> dict[str, Any]:
        """All of it as columns, by SKU, node and reference, whatever happened before."""
        rows = list(self._all())
        return {
            name: np.array([row[place] for row in rows], dtype) for place, (name, dtype) in enumerate(DTYPES.items())
        }

    def _all(self) -> Iterator[tuple[int, int, int, int, int]]:
        for sku in sorted(self._of):
            for (node, reference), (units, due_at) in sorted(self._of[sku].items()):
                yield sku, node, reference, units, due_at
