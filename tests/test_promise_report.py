"""A promise is kept: a week of a real order report, or with `-m soak` all of it, each order promised and then placed at
once. The order leaves from the nodes that were promised, no later than promised, and the promise changed nothing.
Without the real files, a small stand-in of them."""

from itertools import groupby
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from engine.columns import Limits
from engine.commands import MoveStock, PlaceOrders, PutChannels, PutNames, PutNodes, PutPostalCodes
from engine.intake.postal_codes import Places
from engine.intake.stock import spread_evenly
from engine.journal.memory import MemoryJournal
from engine.outcomes import MovementKind, Namespace
from engine.promise import foresee, promise
from engine.rates.card import ServiceCard
from engine.rates.tariff import Tariff
from engine.state import State
from engine.writer import Engine
from kernels.columns import NO_NODE, NONE, Batch, OnShort, no_terms
from tests import promise_twin as twin
from tests import real_data
from tests.command_line import run
from tests.driving import START
from tests.test_real_report import rows_of
from tests.test_service_card import files

WEEK, ALL = ("2022-04-10", "2022-04-16"), ("2022-03-01", "2022-07-31")
COUNTED = {WEEK: (9942, 8293, 80), ALL: (76582, 43735, 305)}  # orders, those that something was sent of, split ones
DAY_US = 86_400_000_000
GAP = 65_000_000  # between two orders, UTC us: so that they come at all hours of their week
AT_ONCE = 300_000  # between promise and order


class Replay:
    """The centres, the stock of the seller, and the orders of some days."""

    def __init__(self, folder: Path, first_day: str, last_day: str) -> None:
        orders = folder / "orders.csv"
        run(
            "import", "amazon-report", real_data.report(folder), "--orders", orders, "--rejects", folder / "rejects.csv"
        )
        lines = [
            line for line in rows_of(orders)
            if not real_data.available() or first_day <= line["placed_at"][:10] <= last_day
        ]  # fmt: skip
        self.orders = [list(rows) for _, rows in groupby(lines, key=lambda line: line["order_id"])]
        self.codes = sorted({line["postal_code"] for line in lines})
        self.skus = sorted({line["sku"] for line in lines})
        self.node_ids = [node for node, *_ in real_data.fulfilment_centres()]
        limits = Limits(skus_max=1 << 14, channels_max=4, postal_codes_max=1 << 14, orders_max=1 << 18,
                        lines_max=1 << 18, parts_max=1 << 19)  # fmt: skip
        self.engine = Engine(State(np.arange(4, dtype=np.uint64), limits), MemoryJournal(keep=True), publish=False)
        self.now = START
        self._furnish(Places.india())
        for name, text in files().items():
            (folder / name).write_text(text.replace("[nodes.BLR]", f"[nodes.{self.node_ids[0]}]")
                                       .replace("city,BLR", f"city,{self.node_ids[0]}"))  # fmt: skip
        self.card = ServiceCard.read(folder / "card.toml")

    def commit(self, command: object) -> object:
        return self.engine.commit(command, self.now)  # type: ignore[arg-type]

    def _furnish(self, places: Places) -> None:
        self.commit(PutNames("skus", Namespace.SKU, pa.array(self.skus)))
        degrees = np.array([node[2:] for node in real_data.fulfilment_centres()])
        at = np.rint(degrees * 1e7).astype(np.int32).T.copy()
        self.commit(PutNodes("nodes", pa.array(self.node_ids), *at, np.ones(len(self.node_ids), np.uint8)))
        codes = pa.array(self.codes)
        found = places.find(codes)
        assert found.known.all()
        area = found.area.astype(np.uint8)
        self.commit(PutPostalCodes("codes", codes, found.latitude_e7, found.longitude_e7, area))
        zero, one = np.zeros(1, np.int32), np.ones(1, np.int32)
        group = np.full((1, 4), np.iinfo(np.uint64).max, np.uint64)
        keep, split = np.array([OnShort.KEEP], np.uint8), np.ones(1, np.uint8)
        figures = (one * 1_000_000, zero, one * np.iinfo(np.int32).max, zero, zero)
        self.commit(PutChannels("channel", pa.array(["own"]), group, zero, keep, split, *figures, split * 0))
        units = {sku: count for sku, count in real_data.stock_snapshot().items() if sku in set(self.skus) and count > 0}
        stock = spread_evenly(pa.array(list(units)), np.array(list(units.values())), pa.array(self.node_ids))
        sku = self.engine.state.names[Namespace.SKU].find(stock.sku)
        kind = np.full(sku.size, MovementKind.RECEIVED, np.uint8)
        self.commit(MoveStock("stock", sku, stock.node.astype(np.int16), kind, stock.on_hand.astype(np.int32)))


@pytest.mark.parametrize("days", [WEEK, pytest.param(ALL, marks=pytest.mark.soak)], ids=["a week", "all"])
def test_every_order_leaves_from_the_promised_nodes_and_in_time(tmp_path: Path, days: tuple[str, str]) -> None:
    replay = Replay(tmp_path, *days)
    engine, card = replay.engine, replay.card
    state, tariff = engine.state, Tariff(card, replay.node_ids)
    sku_at = {sku: at for at, sku in enumerate(replay.skus)}
    code_at = {code: at for at, code in enumerate(replay.codes)}
    kept = late = sent = short = split = 0
    for number, lines in enumerate(replay.orders):
        replay.now += GAP
        if number % 100 == 0:
            digest = state.digest()
        code = lines[0]["postal_code"]
        batch = Batch(
            np.zeros(1, np.int16), np.array([code_at[code]], np.int32), np.array([0, len(lines)]),
            np.array([sku_at[line["sku"]] for line in lines], np.int32),
            np.array([int(line["quantity"]) for line in lines], np.int32), *no_terms(1),
        )  # fmt: skip
        seen = foresee(state, batch, tariff.known)
        promised = promise(tariff, batch, seen, np.zeros(1, np.uint8), replay.now)
        assert number % 100 or state.digest() == digest, "a promise changed the state"

        order = PlaceOrders(pa.array([f"o{number}"]), *batch[:5])
        replay.now += AT_ONCE
        answers = engine.commit(order, replay.now)
        expected = list(zip(seen.drawn.node.tolist(), seen.drawn.quantity.tolist(), strict=True))
        assert list(zip(answers.node.tolist(), answers.part_quantity.tolist(), strict=True)) == expected

        nodes = sorted(set(answers.node[answers.node != NO_NODE].tolist()))
        short += int(promised.units_short[0])
        split += len(nodes) > 1
        if not nodes:
            assert (promised.deliver_day == NONE).all()
            continue
        sent += 1
        if replay.now >= promised.order_by[0]:  # a cut-off passed between promise and order
            late += 1
            continue
        for place, service in enumerate(card.services):
            if promised.deliver_day[0, place] == NONE:
                continue
            carrier = card.carriers[service.carrier]
            for node in nodes:
                terms = card.nodes.get(replay.node_ids[node], card.node)
                assert terms is not None
                day = twin.leaves(terms, carrier, replay.now)
                assert twin.moment(terms, day) <= promised.ship_at[0, place]
                assert (day - twin.EPOCH).days <= promised.ship_day[0, place]
                kept += 1
    assert kept >= sent - late > 0
    assert late <= 1
    if real_data.available():
        assert (len(replay.orders), sent, split) == COUNTED[days]
        assert short > 1000
