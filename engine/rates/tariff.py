"""A service card against the nodes, postal codes and SKUs of one engine: the columns that kernels/promise.py reads.

A tariff is made anew where nodes are added, and grows with postal codes and SKUs. What the card leaves out is a
`CardHole`, which names it.
"""

import threading
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from engine.intake.tables import IntakeError
from engine.rates.card import Calendar, NodeTerms, ServiceCard
from engine.rates.section import WEEKDAYS
from engine.rates.zones import FAR, ZoneTable, zones_of
from kernels.columns import NONE
from kernels.promise import NO_ZONE, Calendars, Charges, NodeHours, Schedule, Services, Zones, schedule

MINUTE_US = 60_000_000


class CardHole(IntakeError):
    """The card leaves out a node or a postal code, or names a node that there is not."""


@dataclass(frozen=True)
class Terms:
    """The columns of one moment, for one call of the kernels."""

    services: Services
    zones: Zones
    charges: Charges
    dates: Schedule


class Tariff:
    """The card for one list of nodes. Several threads may share it."""

    def __init__(self, card: ServiceCard, node_ids: list[str]) -> None:
        """node_ids: all nodes, by index. Raises CardHole."""
        self.card = card
        self.node_ids = node_ids
        terms = _terms_of(card, node_ids)
        self._hours = NodeHours(
            np.array([each.utc_offset_minutes * MINUTE_US for each in terms], np.int64),
            np.array([each.cut_off_minutes * MINUTE_US for each in terms], np.int64),
            np.array([each.handling_days for each in terms], np.int32),
        )
        self._nodes = _calendars([each.calendar for each in terms])
        self._carriers = _calendars(list(card.carriers.values()))
        self._services = _services(card)
        self._tables = list(card.zones.values())
        self._row_of, self._prefixes = _rows(self._tables, node_ids)
        self._bands = _bands(self._tables)
        self._by_code = np.empty((len(self._prefixes), 0), np.uint8)
        self._codes = 0
        self._weight_g = np.empty(0, np.int64)
        self._skus = 0
        self._fees = np.array([each.handling_fee for each in terms], np.int64)
        self._lock = threading.Lock()
        self._dates: Schedule | None = None
        self._from, self._until = 0, 0  # UTC us: when these dates hold

    @property
    def known(self) -> tuple[int, int]:
        """How many postal codes and SKUs have been taken in."""
        return self._codes, self._skus

    def check_codes(self, codes: pa.StringArray) -> None:
        """Refuse a table of zones that leaves one of these postal codes without a zone. Raises CardHole."""
        for table in self._tables:
            for node_id in ["", *(node for node in table.prefixes if node)] if table.prefixes else []:
                if node_id == "" and set(self.node_ids) <= table.prefixes.keys():
                    continue  # every node has rows of its own
                without = np.flatnonzero(zones_of(table.of_node(node_id), codes) == NO_ZONE)
                if without.size:
                    of = f" from node {node_id}" if node_id else ""
                    raise CardHole(
                        f"{self.card.name}: zones.{table.name}: postal code {codes[int(without[0])].as_py()!r}{of} has "
                        "no zone; add a row for it, for its beginning, or for *"
                    )

    def terms(self, now: int, known: tuple[int, int], codes: pa.StringArray, skus: pa.StringArray) -> Terms:
        """The columns for orders that are placed at `now`, UTC us. codes, skus: the postal codes and SKUs that follow
        on those `known`; what they have beyond what has been taken in is.
        """
        with self._lock:
            self._grow(codes.slice(self._codes - known[0]), skus.slice(self._skus - known[1]))
            if self._dates is None or not self._from <= now < self._until:
                (self._dates, self._until), self._from = self.dates(now), now
            charges = Charges(self._weight_g, self._fees, np.array([self.card.split_penalty], np.int64))
            return Terms(self._services, Zones(self._row_of, self._by_code, *self._bands), charges, self._dates)

    def _grow(self, codes: pa.StringArray, skus: pa.StringArray) -> None:
        if len(codes):
            first, self._codes = self._codes, self._codes + len(codes)
            self._by_code = _with_room(self._by_code, self._codes)
            for row, prefixes in enumerate(self._prefixes):
                self._by_code[row, first : self._codes] = zones_of(prefixes, codes)
        if len(skus):
            first, self._skus = self._skus, self._skus + len(skus)
            self._weight_g = _with_room(self._weight_g, self._skus)
            named, grams = self.card.weights
            found = pc.index_in(skus, named).fill_null(len(named)).to_numpy()
            self._weight_g[first : self._skus] = np.append(grams, self.card.weight_g)[found]

    @property
    def utc_offset(self) -> Any:
        """int64 [node]: microseconds that its clock is ahead of UTC."""
        return self._hours.utc_offset

    def dates(self, now: int) -> tuple[Schedule, int]:
        """When nodes ship what is ordered now, and until when that holds. UTC us."""
        nodes, carriers = len(self.node_ids), len(self.card.carriers)
        services, zones = self._services.transit_days.shape
        dates = Schedule(
            np.empty(nodes, np.int32), np.empty(nodes, np.int64), np.empty((nodes, carriers), np.int32),
            np.empty((nodes, carriers), np.int64), np.empty((nodes * services, zones), np.int32),
        )  # fmt: skip
        return dates, schedule(now, self._hours, self._nodes, self._carriers, self._services, dates)


def _terms_of(card: ServiceCard, node_ids: list[str]) -> list[NodeTerms]:
    """The terms of each node, by index; every node shares a working day with every carrier."""
    known = set(node_ids)
    for node_id in card.nodes:
        if node_id not in known:
            raise CardHole(f"{card.name}: nodes.{node_id}: there is no such node; mend its name, or add the node")
    for name, table in card.zones.items():
        for node_id in table.prefixes:
            if node_id and node_id not in known:
                raise CardHole(f"{card.name}: zones.{name}: there is no node {node_id!r}; mend its name, or add it")
    terms = []
    for node_id in node_ids:
        of = card.nodes.get(node_id, card.node)
        if of is None:
            raise CardHole(f"{card.name}: node {node_id!r} has no hours; add [nodes.{node_id}], or [node] for all")
        for carrier, calendar in card.carriers.items():
            if not any(a and b for a, b in zip(of.calendar.weekdays, calendar.weekdays, strict=True)):
                days = ", ".join(day for day, open_ in zip(WEEKDAYS, of.calendar.weekdays, strict=True) if open_)
                raise CardHole(
                    f"{card.name}: carriers.{carrier}: works on no day on which node {node_id!r} is open ({days}); "
                    "add one to either"
                )
        terms.append(of)
    return terms


def _calendars(each: list[Calendar]) -> Calendars:
    closed = [np.array(calendar.closed, np.int32) for calendar in each]
    return Calendars(
        np.array([calendar.weekdays for calendar in each], np.uint8).reshape(-1, 7),
        np.cumsum([0, *(days.size for days in closed)], dtype=np.int64),
        np.concatenate([np.empty(0, np.int32), *closed]),
    )


def _services(card: ServiceCard) -> Services:
    carriers, tables = list(card.carriers), list(card.zones)
    shape = len(card.services), max(len(table.zones) for table in card.zones.values())
    transit_days = np.full(shape, NONE, np.int32)
    first_g, first, step_g, step = (np.ones(shape, np.int64) for _ in range(4))
    for row, service in enumerate(card.services):
        for zone, slabs in service.slabs.items():
            at = row, card.zones[service.zones].zones.index(zone)
            transit_days[at] = slabs.transit_days
            first_g[at], first[at] = slabs.first_g, slabs.first
            step_g[at], step[at] = max(1, slabs.step_g), slabs.step
    return Services(
        np.array([carriers.index(service.carrier) for service in card.services], np.int32),
        np.array([tables.index(service.zones) for service in card.services], np.int32),
        np.array([service.heaviest_g for service in card.services], np.int64),
        np.array([NONE if service.cash_fee is None else service.cash_fee for service in card.services], np.int64),
        transit_days, first_g, first, step_g, step,
    )  # fmt: skip


def _rows(tables: list[ZoneTable], node_ids: list[str]) -> tuple[Any, list[dict[str, int]]]:
    """int32 [table, node]: the row of a node, and what decides in each row."""
    row_of = np.full((len(tables), len(node_ids)), NONE, np.int32)
    rows: list[dict[str, int]] = []
    for at, table in enumerate(tables):
        if not table.prefixes:
            continue
        row_of[at] = len(rows)
        rows.append(table.of_node(""))
        for node, node_id in enumerate(node_ids):
            if node_id in table.prefixes:
                row_of[at, node] = len(rows)
                rows.append(table.of_node(node_id))
    return row_of, rows


def _bands(tables: list[ZoneTable]) -> tuple[Any, Any]:
    """int64, uint8 [table, band]: where bands end, and their zones."""
    shape = len(tables), max(1, *(len(table.bands) for table in tables))
    metres, zones = np.full(shape, FAR, np.int64), np.full(shape, NO_ZONE, np.uint8)
    for at, table in enumerate(tables):
        for band, (end, zone) in enumerate(table.bands):
            metres[at, band], zones[at, band] = end, zone
    return metres, zones


def _with_room(column: Any, count: int) -> Any:
    """The column, its last axis with room for so many; what others read of it stays as it is."""
    if count <= column.shape[-1]:
        return column
    larger = np.empty((*column.shape[:-1], max(count, 2 * column.shape[-1])), column.dtype)
    larger[..., : column.shape[-1]] = column
    return larger
