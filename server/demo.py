"""`make demo`: a festive hour of generated orders of India through the durable file job, then `verify`.

The first digit of the postal codes, the lines of an order and the popularity of SKUs follow figures measured on a
real report of one clothing seller (82,000 lines of April and May 2022); stock is simulated, a tenth above demand.
"""

import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.csv as csv

FOLDER = Path("demo-data")
ORDERS, SKUS, SEED = 300_000, 20_000, 11_11
# Percent of lines by the first digit of the postal code.
REGION = {"1": 12.0, "2": 9.6, "3": 5.8, "4": 21.1, "5": 25.8, "6": 13.8, "7": 8.9, "8": 3.0}
LINES = {1: 94.4, 2: 4.7, 3: 0.7, 4: 0.2}  # percent of orders
POPULARITY = 0.75  # exponent: the first tenth of the SKUs has half of the lines, as in the report
CHANNELS = {"own site": 25, "amazon.in": 40, "flipkart": 25, "social shop": 10}
# Towns where large sellers are known to have fulfilment centres.
NODES = {
    "DEL": "110001", "GGN": "122506", "JAI": "302001", "LKO": "226001", "LDH": "141001", "AMD": "382220",
    "BOM": "421308", "PNQ": "411001", "NAG": "440001", "HYD": "501218", "BLR": "560001", "MAA": "600001",
    "CJB": "641018", "CCU": "711315", "PAT": "800001", "GAU": "781001",
}  # fmt: skip


def _chosen(generator: np.random.Generator, weights: dict[object, float], count: int) -> np.ndarray:
    shares = np.array(list(weights.values()))
    return generator.choice(len(weights), count, p=shares / shares.sum())


def write_files(folder: Path) -> None:
    """Orders, nodes and stock of the demonstration."""
    from engine.intake.postal_codes import Places

    generator = np.random.default_rng(SEED)
    codes = np.array(Places.india().codes.to_pylist())
    first = np.array([code[0] for code in codes])
    region = np.array(list(REGION))[_chosen(generator, REGION, ORDERS)]  # type: ignore[arg-type]
    code = np.empty(ORDERS, codes.dtype)
    for digit in REGION:
        of_it = region == digit
        code[of_it] = generator.choice(codes[first == digit], int(of_it.sum()))
    lines = np.array(list(LINES))[_chosen(generator, LINES, ORDERS)]  # type: ignore[arg-type]
    order = np.repeat(np.arange(ORDERS), lines)
    popularity = 1 / np.arange(1, SKUS + 1) ** POPULARITY
    sku = generator.choice(SKUS, order.size, p=popularity / popularity.sum())
    units = np.where(generator.random(order.size) < 0.003, 2, 1)
    channel = np.array(list(CHANNELS))[_chosen(generator, CHANNELS, ORDERS)]  # type: ignore[arg-type]
    table = pa.table(
        {
            "order_id": [f"DEMO-{number:07d}" for number in order],
            "channel": channel[order],
            "postal_code": code[order],
            "sku": [f"SKU-{number:05d}" for number in sku],
            "quantity": units,
        }
    )
    csv.write_csv(table, folder / "orders.csv")
    csv.write_csv(pa.table({"node_id": list(NODES), "postal_code": list(NODES.values())}), folder / "nodes.csv")
    demand = np.bincount(sku, units, SKUS)
    shares = generator.dirichlet(np.full(len(NODES), 2.0), SKUS)
    stock = generator.poisson(shares * demand[:, None] * 1.1)
    row, node = np.nonzero(stock)
    names = np.array(list(NODES))[node]
    skus = [f"SKU-{number:05d}" for number in row]
    csv.write_csv(pa.table({"sku": skus, "node_id": names, "on_hand": stock[row, node]}), folder / "stock.csv")


def _allot(*arguments: str) -> None:
    print(f"\n$ allot {' '.join(arguments)}", flush=True)
    code = subprocess.run([str(Path(sys.executable).parent / "allot"), *arguments], check=False).returncode
    if code > 1:
        sys.exit(code)


def main() -> None:
    """Generate, allocate, verify; then say what to try next."""
    shutil.rmtree(FOLDER, ignore_errors=True)
    FOLDER.mkdir()
    print("compiling the kernels, once", flush=True)
    subprocess.run(
        [str(Path(sys.executable).parent / "allot"), "warm", "--json"], check=True, stdout=subprocess.DEVNULL
    )
    print(f"generating {ORDERS:,} orders into {FOLDER}/", flush=True)
    write_files(FOLDER)
    files = [f"--{name}={FOLDER}/{name}.csv" for name in ("orders", "nodes", "stock", "decisions", "rejects")]
    _allot("allocate", *files, f"--data={FOLDER}/folder")
    _allot("verify", f"--data={FOLDER}/folder")
    print(
        "\nTry next:\n"
        f"  .venv/bin/allot allocate {' '.join(files)} --data={FOLDER}/folder   # again: nothing changes\n"
        f"  .venv/bin/allot snapshot --data={FOLDER}/folder\n"
        f"  .venv/bin/allot export --data={FOLDER}/folder --out={FOLDER}/history\n"
        f"  .venv/bin/allot doctor --data={FOLDER}/folder"
    )


if __name__ == "__main__":
    main()
