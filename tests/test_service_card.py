"""Service cards: the example of the page, and every kind of hole, refused by name."""

import re
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from engine.intake.tables import IntakeError
from engine.rates import card as cards
from engine.rates.card import ServiceCard, Slabs
from engine.rates.tariff import CardHole, Tariff
from engine.rates.zones import zones_of
from kernels.promise import NO_ZONE
from tests import real_data

PAGE = Path(cards.__file__).with_name("SERVICE_CARD.md")
NODES = ["BLR", "DEL"]
CODES = pa.array(["560034", "560103", "110001", "744101", "744999", "7"])


def files() -> dict[str, str]:
    """The files of the example, by name."""
    found = dict(re.findall(r"`([a-z.]+)`:\n\n```[a-z]+\n(.*?)```", PAGE.read_text(), re.DOTALL))
    assert list(found) == ["card.toml", "zones.csv", "weights.csv"]
    return found


def written(folder: Path, **changes: tuple[str, str]) -> Path:
    """The example in a folder; changes: by the stem of a file, what stands in place of what."""
    for name, text in files().items():
        old, new = changes.get(name.partition(".")[0], ("", ""))
        assert old in text
        (folder / name).write_text(text.replace(old, new, 1) if old else text)
    return folder / "card.toml"


def test_the_example_of_the_page_is_a_whole_card(tmp_path: Path) -> None:
    card = ServiceCard.read(written(tmp_path))
    assert (card.currency, card.weight_g, card.split_penalty) == ("INR", 400, 1500)
    assert [service.name for service in card.services] == ["standard", "bulk"]
    assert card.services[0].slabs["country"] == Slabs(500, 4540, 500, 4480, 3)
    assert card.services[0].cash_fee == 3500
    assert card.services[1].cash_fee is None
    assert card.node is not None
    assert card.node.cut_off_minutes == 960
    assert card.nodes["BLR"].cut_off_minutes == 1170
    assert card.nodes["BLR"].calendar == card.node.calendar
    assert card.carriers["swift"].weekdays == (True,) * 6 + (False,)
    Tariff(card, NODES).check_codes(CODES)


def test_the_longest_beginning_decides_and_a_nodes_own_row_before_others(tmp_path: Path) -> None:
    card = ServiceCard.read(written(tmp_path, zones=("744,island,", "744,island,\n5601,country,\n560103,country,BLR")))
    table = card.zones["courier"]

    def names(node: str) -> list[str]:
        return [table.zones[number] for number in zones_of(table.of_node(node), CODES)]

    assert names("BLR") == ["city", "country", "country", "island", "island", "country"]
    assert names("DEL") == ["country", "country", "country", "island", "island", "country"]
    assert (zones_of({"56": 1, "560034": 0}, CODES) == [0, 1, NO_ZONE, NO_ZONE, NO_ZONE, NO_ZONE]).all()


HOLES = {
    "a zone without a price": (
        {"card": ('unserved = ["island"]', "unserved = []")}, r"services.standard.prices.island: is missing",
    ),
    "a zone with a price that is unserved": ({"card": ('["island"]', '["island", "city"]')}, r"prices.city: is given"),
    "a price for no zone": ({"card": ("city = {", "town = {")}, r"prices.town: is no zone of courier"),
    "an unserved zone that is none": ({"card": ('["island"]', '["iland"]')}, r"unserved: 'iland' is no zone"),
    "slabs that end": (
        {"card": ("first_g = 50000, first", "first_g = 49999, first")}, r"near.step_g: .*ends at 49999 g",
    ),
    "a step without its price": ({"card": (", step = 2830", "")}, r"city.step_g: and `step`"),
    "bands that end": (
        {"card": ('{ zone = "far" }', '{ to_km = 900, zone = "far" }')}, r"zones.road.bands: end at 900 km",
    ),
    "a band within another": ({"card": ('{ zone = "far" }', '{ to_km = 300, zone = "far" }, { zone = "far" }')},
                              r"bands\[1\].to_km: is 300"),
    "no such carrier": ({"card": ('carrier = "haul"', 'carrier = "hail"')}, r"bulk.carrier: 'hail' has no table"),
    "no such zone table": ({"card": ('zones = "road"', 'zones = "rood"')}, r"bulk.zones: 'rood' has no table"),
    "no hours": ({"card": ("cut_off = 16:00:00", "")}, r"node.cut_off: is missing; give a time of day"),
    "no days": ({"card": ("[node] ", '[carriers.idle]\nweekdays = []\n[node] ')}, r"carriers.idle.weekdays: is \[\]"),
    "no such day": ({"card": ('"fri", "sat"]', '"fri", "sam"]')}, r"node.weekdays: is .*'sam'"),
    "no such date": ({"card": ("2026-11-08", '"8 November"')}, r"node.closed: is .*give a list of up to 1000 dates"),
    "no such key": ({"card": ("handling_fee = 700", "handling_fee = 700\nfee = 1")}, r"node.fee: there is no such key"),
    "no currency": ({"card": ('"INR"', '"inr"')}, r"currency: is 'inr'"),
    "a negative price": ({"card": ("first = 9000", "first = -1")}, r"near.first: is -1; give a whole number from 0"),
    "a fraction": ({"card": ("first = 9000", "first = 90.5")}, r"near.first: is 90.5; give a whole number"),
    "no weight": ({"card": ("weight_g = 400 ", "")}, r"weight_g: is missing"),
    "no TOML": ({"card": ("[node]", "[node")}, r"not a TOML file"),
    "a code in two zones": ({"zones": ("744,island,", "744,island,\n744,city,")}, r"row 4, .*'744' is in zone island"),
    "an empty zone": ({"zones": ("744,island,", "744,,")}, r"row 3: zone ''"),
    "an empty code": ({"zones": ("744,island,", ",island,")}, r"row 3, postal_code: ''"),
    "a weight that is none": ({"weights": ("1200", "1.2kg")}, r"row 1, weight_g: '1.2kg'"),
    "a SKU with two weights": ({"weights": ("SKU-1,1200", "SKU-1,1200\nSKU-1,1300")}, r"sku 'SKU-1' is there twice"),
}  # fmt: skip


@pytest.mark.parametrize("hole", HOLES)
def test_a_card_that_will_not_do_is_refused_by_name(tmp_path: Path, hole: str) -> None:
    changes, message = HOLES[hole]
    with pytest.raises(IntakeError, match=message):
        ServiceCard.read(written(tmp_path, **changes))


LEFT_OUT = {
    "no such node": ({"card": ("[nodes.BLR]", "[nodes.BLQ]")}, r"nodes.BLQ: there is no such node"),
    "no such node in a file": ({"zones": ("city,BLR", "city,BLQ")}, r"zones.courier: there is no node 'BLQ'"),
    "no day in common": ({"card": ("[carriers.haul]", "[carriers.haul]\nweekdays = ['sun']")},
                         r"carriers.haul: works on no day on which node 'BLR' is open \(mon, tue"),
    "a code without a zone": ({"zones": ("*,country,", "11,country,")}, r"postal code '560034' has no zone"),
    "a code without a zone from one node": (
        {"zones": ("*,country,\n560,city,BLR\n744,island,", 
                   "*,country,BLR\n560,city,BLR\n744,island,BLR\n5,country,DEL")},
        r"postal code '110001' from node DEL has no zone",
    ),
}  # fmt: skip


@pytest.mark.parametrize("hole", LEFT_OUT)
def test_what_a_card_leaves_out_of_nodes_and_postal_codes_is_named(tmp_path: Path, hole: str) -> None:
    changes, message = LEFT_OUT[hole]
    with pytest.raises((CardHole, IntakeError), match=message):
        Tariff(ServiceCard.read(written(tmp_path, **changes)), NODES).check_codes(CODES)


def test_nodes_that_each_have_hours_of_their_own_need_none_for_all(tmp_path: Path) -> None:
    text = files()["card.toml"]
    begin, end = text.index("[node]"), text.index("[nodes.BLR]")
    own = text[begin:end].partition("\n")[2]
    changed = text[:begin] + "[nodes.BLR]\n" + own + text[text.index("[zones.courier]") :]
    written(tmp_path)
    (tmp_path / "card.toml").write_text(changed)
    card = ServiceCard.read(tmp_path / "card.toml")
    Tariff(card, ["BLR"])
    with pytest.raises(CardHole, match=r"node 'DEL' has no hours; add \[nodes.DEL\], or \[node\]"):
        Tariff(card, NODES)


@pytest.mark.skipif(not real_data.available(), reason="the real courier's rates are not beside the clone")
def test_a_real_couriers_zones_are_read_as_they_are_and_its_holes_found(tmp_path: Path) -> None:
    zones = real_data.DATA / "courier_rate_card" / "pincode_zones.csv"
    (tmp_path / "card.toml").write_text(f"""
        currency = "INR"
        weight_g = 500
        [node]
        weekdays = ["mon"]
        utc_offset_minutes = 330
        cut_off = 16:00:00
        handling_days = 0
        handling_fee = 0
        [zones.courier]
        file = "{zones}"
        column = "customer_pincode"
        [carriers.courier]
        [services.forward]
        carrier = "courier"
        zones = "courier"
        heaviest_g = 10000
        [services.forward.prices]
        b = {{ first_g = 500, first = 3300, step_g = 500, step = 2830, transit_days = 2 }}
        d = {{ first_g = 500, first = 4540, step_g = 500, step = 4480, transit_days = 4 }}
        e = {{ first_g = 500, first = 5660, step_g = 500, step = 5550, transit_days = 7 }}
    """)
    card = ServiceCard.read(tmp_path / "card.toml")
    rows = [line.split(",") for line in zones.read_text().split()[1:]]
    codes = sorted({code for code, _ in rows})
    table = card.zones["courier"]
    found = zones_of(table.of_node(""), pa.array(codes))
    assert {(code, table.zones[zone]) for code, zone in zip(codes, found, strict=True)} == {tuple(row) for row in rows}
    assert np.bincount(found).sum() == len(codes) == 108
    tariff = Tariff(card, ["DEL"])
    tariff.check_codes(pa.array(codes))
    with pytest.raises(CardHole, match="postal code '560034' has no zone"):
        tariff.check_codes(pa.array([*codes, "560034"]))
