"""The decisions of the file job, one row per part of an order line, written as they are made.

The last step of the job.
"""

from pathlib import Path

import pyarrow as pa

from engine.intake.table_writer import TableWriter

ALLOCATED = "ALLOCATED"
SHORT = "SHORT"
POSTAL_AREA = "POSTAL_AREA"  # note: only the first three characters of the postal code were known

SCHEMA = pa.schema(
    [
        ("order_id", pa.string()),
        ("line", pa.int32()),  # position of the row in its order, from 1
        ("sku", pa.string()),
        ("quantity", pa.int32()),  # units, 1 or more
        ("node_id", pa.string()),  # null when short
        ("outcome", pa.string()),  # ALLOCATED or SHORT
        ("note", pa.string()),  # POSTAL_AREA or null
        ("distance_m", pa.int32()),  # whole metres; null when short
    ]
)


class DecisionWriter(TableWriter):
    """CSV, CSV.gz or Parquet by name; nulls are empty cells in CSV. An empty job has a header. Raises IntakeError."""

    def __init__(self, path: Path) -> None:
        super().__init__(path, SCHEMA)
