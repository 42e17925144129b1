"""Reads a service card: nodes' hours, carriers, services with their slabs, zones, weights. SERVICE_CARD.md says how one
is written.

What a card says by itself is checked here; whether it leaves a node or a postal code out, in engine/rates/tariff.py.
"""

import datetime
from collections.abc import Collection
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from engine.intake.orders import SERVICE_LEVEL_CHARACTERS_MAX
from engine.intake.tables import IntakeError, need_rows, read_table
from engine.rates.section import MISSING, Section
from engine.rates.zones import ZoneTable, read_zones

MONEY_MAX = 100_000_000  # minor units of one fee: the sum of a cart stays within int64
GRAMS_MAX = 100_000_000
TRANSIT_DAYS_MAX = 100
HANDLING_DAYS_MAX = 100
SERVICES_MAX = 64
UTC_OFFSET_MINUTES_MAX = 14 * 60
_ALL_DAYS = (True,) * 7


@dataclass(frozen=True)
class Slabs:
    """What a service asks in one zone. Prices in minor units."""

    first_g: int
    first: int
    step_g: int  # grams; 0: the first slab is all there is
    step: int
    transit_days: int  # working days of the carrier


@dataclass(frozen=True)
class Service:
    """A service of a carrier."""

    name: str
    carrier: str
    zones: str  # name of the zone table
    heaviest_g: int  # of one shipment
    cash_fee: int | None  # minor units, a shipment; None: it takes no cash on delivery
    slabs: dict[str, Slabs]  # by zone; zones that it does not serve are left out


@dataclass(frozen=True)
class Calendar:
    """The days on which a node or carrier works."""

    weekdays: tuple[bool, ...]  # 7, Monday first
    closed: tuple[int, ...]  # days since 1970, ascending


@dataclass(frozen=True)
class NodeTerms:
    """When a node ships, and what handling costs there."""

    calendar: Calendar
    utc_offset_minutes: int
    cut_off_minutes: int  # after its midnight
    handling_days: int  # open days
    handling_fee: int  # minor units, a unit


@dataclass(frozen=True)
class ServiceCard:
    """A whole card."""

    name: str  # of the file, for messages
    currency: str  # ISO 4217
    split_penalty: int  # minor units, each shipment beyond the first
    shortage_penalty: int | None  # minor units, a unit that is not sent; None: the card does not decide
    weight_g: int  # of a unit of a SKU that has none of its own
    weights: tuple[pa.StringArray, np.ndarray]  # SKUs, and grams of a unit, int64
    zones: dict[str, ZoneTable]
    carriers: dict[str, Calendar]
    services: tuple[Service, ...]
    node: NodeTerms | None  # of nodes that `nodes` does not name; None: there must be none
    nodes: dict[str, NodeTerms]
    balance_fee: int = 0  # these two in an allocation alone: engine/stock_fees.py
    age_fee_per_day: int = 0

    @classmethod
    def read(cls, path: str | Path) -> "ServiceCard":
        """The card of a TOML file and the files that it names. Raises IntakeError."""
        path = Path(path)
        card = Section.read(path)
        currency = card.text("currency", "three capitals, such as INR")
        if len(currency) != 3 or not (currency.isascii() and currency.isalpha() and currency.isupper()):
            raise card.fault("currency", f"is {currency!r}; give three capitals, such as INR")
        zones = {
            name: read_zones(name, section, path.parent)
            for name, section in card.sections("zones", "a table [zones.NAME] for each table of zones").items()
        }
        carriers = {
            name: _carrier(section)
            for name, section in card.sections("carriers", "a table [carriers.NAME] for each carrier").items()
        }
        services = tuple(
            _service(name, section, carriers, zones)
            for name, section in card.sections("services", "a table [services.NAME] for each service").items()
        )
        if len(services) > SERVICES_MAX:
            raise card.fault("services", f"{len(services)} are given; {SERVICES_MAX} at most")
        common = _terms(card.section("node", "a table"), None) if card.has("node") else None
        read = cls(
            str(path), currency, card.integer("split_penalty", 0, MONEY_MAX, "minor units", 0),
            card.integer("shortage_penalty", 0, MONEY_MAX, "minor units", None),
            card.integer("weight_g", 1, GRAMS_MAX, "grams"), _weights(card, path.parent), zones, carriers, services,
            common,
            {
                name: _terms(section, common)
                for name, section in card.sections("nodes", "a table [nodes.ID] for a node", needed=False).items()
            },
            card.integer("balance_fee", 0, MONEY_MAX, "minor units", 0),
            card.integer("age_fee_per_day", 0, MONEY_MAX, "minor units", 0),
        )  # fmt: skip
        if common is None and not read.nodes:
            raise card.fault("node", "is missing, and so is `nodes`; give the hours of all nodes, or of each")
        card.end()
        return read

    def without(self, node_ids: Collection[str]) -> "ServiceCard":
        """The card where there are no such nodes."""
        return replace(
            self,
            nodes={node_id: terms for node_id, terms in self.nodes.items() if node_id not in node_ids},
            zones={
                name: replace(
                    table,
                    prefixes={node_id: of for node_id, of in table.prefixes.items() if node_id not in node_ids},
                )
                for name, table in self.zones.items()
            },
        )


def _carrier(section: Section) -> Calendar:
    calendar = Calendar(section.weekdays(_ALL_DAYS), section.closed(()))
    section.end()
    return calendar


def _service(name: str, section: Section, carriers: dict[str, Calendar], zones: dict[str, ZoneTable]) -> Service:
    if len(name) > SERVICE_LEVEL_CHARACTERS_MAX:
        raise section.fault("", f"its name has {len(name)} characters; {SERVICE_LEVEL_CHARACTERS_MAX} at most")
    carrier = section.text("carrier", "the name of a carrier")
    if carrier not in carriers:
        raise section.fault("carrier", f"{carrier!r} has no table; there are {', '.join(carriers)}")
    table = section.text("zones", "the name of a table of zones")
    if table not in zones:
        raise section.fault("zones", f"{table!r} has no table; there are {', '.join(zones)}")
    heaviest_g = section.integer("heaviest_g", 1, GRAMS_MAX, "grams")
    cash_fee = section.integer("cash_fee", 0, MONEY_MAX, "minor units", None)
    unserved = section.take("unserved", list, "a list of zones", [])
    known = zones[table].zones
    for zone in unserved:
        if zone not in known:
            raise section.fault("unserved", f"{zone!r} is no zone of {table}; there are {', '.join(known)}")
    prices = section.sections("prices", "a table for each zone")
    for zone in prices:
        if zone not in known:
            raise section.fault(f"prices.{zone}", f"is no zone of {table}; there are {', '.join(known)}")
    for zone in known:
        if (zone in prices) == (zone in unserved):
            raise section.fault(
                f"prices.{zone}",
                "is given, and unserved too; keep one" if zone in prices
                else "is missing; give a price for the zone, or name it in `unserved`",
            )  # fmt: skip
    section.end()
    slabs = {zone: _slabs(part, heaviest_g) for zone, part in prices.items()}
    return Service(name, carrier, table, heaviest_g, cash_fee, slabs)


def _slabs(section: Section, heaviest_g: int) -> Slabs:
    slabs = Slabs(
        section.integer("first_g", 1, GRAMS_MAX, "grams"), section.integer("first", 0, MONEY_MAX, "minor units"),
        section.integer("step_g", 1, GRAMS_MAX, "grams", 0), section.integer("step", 0, MONEY_MAX, "minor units", 0),
        section.integer("transit_days", 0, TRANSIT_DAYS_MAX, "working days of the carrier"),
    )  # fmt: skip
    if section.has("step") != section.has("step_g"):
        raise section.fault("step_g", "and `step`: give both, or neither")
    section.end()
    if slabs.step_g == 0 and slabs.first_g < heaviest_g:
        raise section.fault(
            "step_g", f"is missing, and the first slab ends at {slabs.first_g} g, below heaviest_g, which is "
            f"{heaviest_g} g; give step_g and step, or a longer first slab",
        )  # fmt: skip
    return slabs


def _terms(section: Section, common: NodeTerms | None) -> NodeTerms:
    """The terms of a node; what its table leaves out is as for all."""

    def other(name: str) -> Any:
        return MISSING if common is None else getattr(common, name)

    cut_off = section.take("cut_off", datetime.time, "a time of day, such as 16:00:00", other("cut_off_minutes"))
    if isinstance(cut_off, datetime.time):
        if cut_off.second or cut_off.microsecond:
            raise section.fault("cut_off", f"is {cut_off}; give whole minutes")
        cut_off = cut_off.hour * 60 + cut_off.minute
    most = UTC_OFFSET_MINUTES_MAX
    terms = NodeTerms(
        Calendar(
            section.weekdays(MISSING if common is None else common.calendar.weekdays),
            section.closed(() if common is None else common.calendar.closed),
        ),
        section.integer("utc_offset_minutes", -most, most, "minutes", other("utc_offset_minutes")), cut_off,
        section.integer("handling_days", 0, HANDLING_DAYS_MAX, "open days", other("handling_days")),
        section.integer("handling_fee", 0, MONEY_MAX, "minor units", other("handling_fee")),
    )  # fmt: skip
    section.end()
    return terms


def _weights(card: Section, folder: Path) -> tuple[pa.StringArray, np.ndarray]:
    name = card.text("weights", "the path of a CSV file with sku and weight_g", None)
    if name is None:
        return pa.array([], pa.string()), np.empty(0, np.int64)
    table = read_table(folder / name, ("sku", "weight_g"))
    need_rows(table)
    texts = [pc.utf8_trim_whitespace(table.columns[column]) for column in ("sku", "weight_g")]
    for row, sku, grams in zip(table.row, *(column.to_pylist() for column in texts), strict=True):
        if not (grams.isascii() and grams.isdecimal() and 1 <= int(grams[:12]) <= GRAMS_MAX):
            raise IntakeError(f"{table.name}: row {row}, weight_g: {grams!r}; give whole grams, 1 to {GRAMS_MAX:,}")
        if not sku:
            raise IntakeError(f"{table.name}: row {row}, sku: is empty; name the SKU")
    skus = texts[0]
    if len(skus.unique()) < len(skus):
        counts = skus.value_counts()
        twice = counts.filter(pc.greater(counts.field("counts"), 1)).field("values")[0].as_py()
        raise IntakeError(f"{table.name}: sku {twice!r} is there twice; keep one row")
    return skus, texts[1].cast(pa.int64()).to_numpy()
