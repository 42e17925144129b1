"""Real files for tests: one seller's orders and stock, India's fulfilment centres, from a folder beside the repository.

On a clone without that folder each function gives a small stand-in of the same form and with the same quirks, so that
the tests run everywhere; `available` tells which of the two it is, for tests that state figures.
"""

import copy
import csv
import gzip
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

DATA = Path(__file__).resolve().parents[2] / "shared" / "data"
REPORT = "amazon_india_orders/orders_2022-03-31_2022-05-31.csv.gz"
SNAPSHOT = "seller_stock_and_prices/stock_snapshot.csv.gz"
CENTRES = "fulfilment_centres_india/fulfilment_centres.csv"
PINCODES = "india_pincodes/pincodes.csv.gz"

HEADER = (
    "index,Order ID,Date,Status,Fulfilment,Sales Channel ,ship-service-level,Style,SKU,Category,Size,ASIN,"
    "Courier Status,Qty,currency,Amount,ship-city,ship-state,ship-postal-code,ship-country,B2B,fulfilled-by,"
    "promo-count,promo-free-shipping"
)
_FURTHER = "every_additional_0_5_kg_inr"
_STAND_IN_CENTRES = (("DELHI", "110001", 28.61986, 77.21292), ("MUMBAI", "400001", 18.93891, 72.83584))
_STAND_IN_CODES = ("110001", "400081", "560085", "600001", "700001", "999999", "")
_STAND_IN_ORDERS = 300
_STAND_IN_PAYLOADS: dict[str, dict[str, Any]] = {
    "razorpay__webhook__payment_captured__card": {
        "entity": "event", "event": "payment.captured", "contains": ["payment"], "created_at": 1,
        "payload": {"payment": {"entity": {
            "id": "pay_1", "entity": "payment", "amount": 100, "currency": "INR", "status": "captured",
            "order_id": "order_1", "method": "card", "captured": True, "notes": [],
        }}},
    },
    "stripe__fixture__payment_intent": {
        "id": "pi_1", "object": "payment_intent", "amount": 1_099, "amount_capturable": 0, "amount_received": 0,
        "currency": "usd", "status": "requires_payment_method", "capture_method": "automatic", "metadata": {},
    },
    "stripe__fixture__refund": {
        "id": "re_1", "object": "refund", "amount": 100, "currency": "usd", "payment_intent": None,
        "status": "succeeded", "metadata": {},
    },
}  # fmt: skip


def available() -> bool:
    """Whether the real files are there."""
    return DATA.is_dir()


def report(folder: Path) -> Path:
    """The raw order report; a stand-in is written into `folder`."""
    if available():
        return DATA / REPORT
    path = folder / "report.csv"
    path.write_text("\n".join([HEADER, *_stand_in_lines()]) + "\n")
    return path


def report_line(
    index: int = 0, order: str = "405-1", date: str = "04-30-22", sku: str = "A", quantity: str = "1",
    amount: str = "406.0", code: str = "400081.0", currency: str = "INR", channel: str = "Amazon.in",
) -> str:  # fmt: skip
    """One line of the report in its raw form."""
    return (
        f"{index},{order},{date},Shipped,Amazon,{channel},Expedited,S,{sku},kurta,XL,B0,Shipped,{quantity},{currency},"
        f"{amount},MUMBAI,MAHARASHTRA,{code},IN,False,,0,False"
    )


def _stand_in_lines() -> Iterator[str]:
    for index in range(_STAND_IN_ORDERS):
        code = _STAND_IN_CODES[index % len(_STAND_IN_CODES)]
        line = report_line(
            index, f"405-{index // 7}-{index % 7}", f"04-{30 - index % 28:02d}-22", f"SKU-{index % 40}",
            quantity=str(index % 5), amount=f"{index % 5 * 399}.5" if index % 6 else "", code=code and code + ".0",
        )  # fmt: skip
        yield line
        if index % 100 == 11:
            yield line.replace(str(index), str(index + 1000), 1)  # an exact duplicate but for its index


def stock_snapshot() -> dict[str, int]:
    """Company-wide units of each SKU.

    Left out: blank codes, "#REF!", and blank figures. Figures are written as floats; two rows of one SKU are summed.
    """
    if not available():
        return {f"SKU-{i}": i for i in range(38)}
    units: dict[str, int] = {}
    with gzip.open(DATA / SNAPSHOT, "rt", newline="") as file:
        for row in csv.DictReader(file):
            sku, figure = row["SKU Code"].strip(), row["Stock"].strip()
            if sku and sku != "#REF!" and figure:
                units[sku] = units.get(sku, 0) + int(figure.removesuffix(".0"))
    return units


def fulfilment_centres() -> list[tuple[str, str, float, float]]:
    """node_id, postal code, latitude, longitude in degrees."""
    if not available():
        return list(_STAND_IN_CENTRES)
    with open(DATA / CENTRES, newline="") as file:
        return [(r["fc_id"], r["pincode"], float(r["lat"]), float(r["lon"])) for r in csv.DictReader(file)]


def write_nodes(path: Path) -> Path:
    """The fulfilment centres as a nodes file."""
    rows = [f"{node},{latitude},{longitude}" for node, _, latitude, longitude in fulfilment_centres()]
    path.write_text("\n".join(["node_id,latitude,longitude", *rows]) + "\n")
    return path


def pincodes() -> dict[str, tuple[float, float, str]]:
    """latitude, longitude, source ("offices" or "pin3_median") of India's codes, repaired elsewhere; real only."""
    with gzip.open(DATA / PINCODES, "rt", newline="") as file:
        return {r["pincode"]: (float(r["lat"]), float(r["lon"]), r["source"]) for r in csv.DictReader(file) if r["lat"]}


def courier_rates() -> dict[str, tuple[int, int]]:
    """By zone: paise for the first half kilogram, and for each further one, forward only."""
    if not available():
        return {"a": (2950, 2360), "b": (3300, 2830), "c": (4010, 3890), "d": (4540, 4480), "e": (5660, 5550)}
    with open(DATA / "courier_rate_card" / "rates.csv", newline="") as file:
        return {
            row["zone"]: (round(float(row["first_0_5_kg_inr"]) * 100), round(float(row[_FURTHER]) * 100))
            for row in csv.DictReader(file)
            if row["rate_type"] == "Forward"
        }


def courier_zones() -> dict[str, str]:
    """Zones of some postal codes."""
    if not available():
        return {"400081": "b", "560085": "d", "700001": "e"}
    with open(DATA / "courier_rate_card" / "pincode_zones.csv", newline="") as file:
        return {row["customer_pincode"]: row["zone"] for row in csv.DictReader(file)}


def payloads(kind: str) -> set[str]:
    """Names of the real payloads of a kind, as "razorpay__webhook"; none without the folder."""
    return {path.stem.removeprefix(f"{kind}__") for path in (DATA / "channel_payloads").glob(f"{kind}__*")}


def payload(name: str) -> dict[str, Any]:
    """What a channel or a gateway sends, as its documentation shows it."""
    if not available():
        return copy.deepcopy(_STAND_IN_PAYLOADS[name])
    found: dict[str, Any] = json.loads((DATA / "channel_payloads" / f"{name}.json").read_bytes())
    return found
