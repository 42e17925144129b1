"""A gateway's settlement against the ledger: what both have, what only one has, what differs, what was told twice.

Ours are the postings of the account GATEWAY, by what the gateway calls their payment; theirs a row a payment or refund.
Both sides are summed by payment before they are compared, so that parts of a refund need not be cut alike.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import pyarrow.parquet as pq

from server.papers.handed import read_history

NEEDED = ("entity_id", "type", "amount", "currency")
RESULTS = ("matched", "amount differs", "missing there", "missing here")
KINDS = ("payment", "refund")


class SettlementError(Exception):
    """The file is no settlement; the message names the column and the mend."""


@dataclass(frozen=True)
class Reconciled:
    """What came of it."""

    table: pa.Table  # kind, reference, ours, theirs, currency, result
    duplicates: int  # rows that were there before
    others: int  # rows that are neither payments nor refunds, as fees and adjustments

    def count(self, kind: str, result: str) -> tuple[int, int, int]:
        """References, minor units of ours and of theirs."""
        of_it = self.table.filter(pc.and_(pc.equal(self.table["kind"], kind), pc.equal(self.table["result"], result)))
        ours, theirs = (int(pc.sum(of_it[name]).as_py() or 0) for name in ("ours", "theirs"))
        return of_it.num_rows, ours, theirs

    @property
    def is_clean(self) -> bool:
        """Whether both say the same."""
        return self.duplicates == 0 and bool(pc.all(pc.equal(self.table["result"], "matched")).as_py() is not False)


def read_settlement(path: Path) -> pa.Table:
    """CSV or Parquet. Raises OSError and SettlementError."""
    try:
        if path.suffix == ".parquet":
            table = pq.read_table(path)
        else:
            texts = {name: pa.string() for name in ("entity_id", "type", "currency", "payment_id")}
            table = pyarrow.csv.read_csv(
                path, convert_options=pyarrow.csv.ConvertOptions(column_types=texts | {"amount": pa.int64()})
            )
    except pa.ArrowInvalid as error:
        raise SettlementError(f"{path}: {error}: give CSV with a head, or Parquet; amount in minor units") from None
    for name in NEEDED:
        if name not in table.column_names:
            raise SettlementError(f"{path}: {name}: the column is missing: give {', '.join(NEEDED)} (and payment_id)")
        if table[name].null_count:
            row = int(np.flatnonzero(np.asarray(table[name].is_null()))[0]) + 1
            raise SettlementError(f"{path}: {name}: row {row} has none")
    if not pa.types.is_integer(table["amount"].type):
        raise SettlementError(f"{path}: amount: give whole minor units, not {table['amount'].type}")
    if "payment_id" not in table.column_names:
        table = table.append_column("payment_id", pa.nulls(table.num_rows, pa.string()))
    return table.select([*NEEDED, "payment_id"])


def reconcile(history: Path, settlement: pa.Table, gateway: str) -> Reconciled:
    """history: of `allot export --what orders,steps,postings`. Raises HistoryMissing."""
    kind = settlement["type"].combine_chunks()
    is_known = pc.is_in(kind, value_set=pa.array(KINDS))
    known = settlement.filter(is_known)
    entity = known["entity_id"].combine_chunks().dictionary_encode()
    first = np.zeros(len(entity), bool)
    first[np.unique(np.asarray(entity.indices), return_index=True)[1]] = True
    once = known.filter(pa.array(first))
    of = pc.if_else(
        pc.equal(once["type"], "payment"), once["entity_id"], pc.coalesce(once["payment_id"], once["entity_id"])
    )
    theirs = _summed(once["type"], of, once["amount"], once["currency"], "theirs")
    joined = _ours(history, gateway).join(theirs, ["kind", "reference", "currency"], join_type="full outer")
    ours, said = joined["ours"], joined["theirs"]
    result = pc.if_else(
        pc.is_null(said), "missing there",
        pc.if_else(pc.is_null(ours), "missing here", pc.if_else(pc.equal(ours, said), "matched", "amount differs")),
    )  # fmt: skip
    found = joined.append_column("result", result).sort_by([("kind", "ascending"), ("reference", "ascending")])
    return Reconciled(found, int((~first).sum()), settlement.num_rows - known.num_rows)


def _ours(history: Path, gateway: str) -> pa.Table:
    """kind, reference, currency, ours: of every payment that the gateway carries out and that moved money."""
    steps = read_history(history, "steps", ["number", "step", "how", "reference", "of_number"])
    postings = read_history(history, "postings", ["number", "account", "amount", "currency"])
    step = pc.cast(steps["step"], pa.string())
    begun = steps.filter(pc.and_(pc.equal(step, "PAY"), pc.equal(pc.cast(steps["how"], pa.string()), gateway)))
    mine = np.unique(np.asarray(begun["number"]))
    number, of_number = np.asarray(steps["number"]), np.asarray(steps["of_number"].fill_null(0))
    told = np.asarray(steps["reference"].is_valid()) & np.isin(number, mine)
    at = np.flatnonzero(told)[::-1]
    named, last = np.unique(number[at], return_index=True)  # the last that was told
    reference = steps["reference"].take(pa.array(at[last])).combine_chunks()
    is_refund = np.asarray(pc.equal(step, "REFUND")) & np.isin(of_number, mine)
    refund, place = np.unique(number[is_refund], return_index=True)
    payment_of = of_number[is_refund][place]

    moved = postings.filter(pc.equal(pc.cast(postings["account"], pa.string()), "GATEWAY"))
    document, amount = np.asarray(moved["number"]), np.asarray(moved["amount"])
    back = np.isin(document, refund)
    is_mine = back | np.isin(document, mine)
    payment = document.copy()
    payment[back] = payment_of[np.searchsorted(refund, document[back])]
    payment, back, amount = payment[is_mine], back[is_mine], np.abs(amount[is_mine])
    where = np.searchsorted(named, payment)
    known = (where < named.size) & (named[np.minimum(where, named.size - 1)] == payment) if named.size else payment < 0
    text = pc.if_else(pa.array(known), reference.take(pa.array(np.where(known, where, 0))) if named.size else "",
                      pc.cast(pa.array(payment), pa.string()))  # fmt: skip
    kinds = pa.array(np.where(back, "refund", "payment"))
    currency = pc.cast(moved["currency"].filter(pa.array(is_mine)), pa.string())
    return _summed(kinds, text, pa.array(amount), currency, "ours")


def _summed(kind: pa.Array, reference: pa.Array, amount: pa.Array, currency: pa.Array, name: str) -> pa.Table:
    """Minor units by kind, reference and currency."""
    table = pa.table({"kind": kind, "reference": reference, "currency": currency, name: amount})
    table = table.set_column(0, "kind", pc.cast(table["kind"], pa.string()))
    keys = ["kind", "reference", "currency"]
    return table.group_by(keys).aggregate([(name, "sum")]).rename_columns([*keys, name])
