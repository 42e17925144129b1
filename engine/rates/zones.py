"""Zones: which one a node and a postal code are in, by a file of postal codes or by bands of distance.

In a file a row is for a postal code or for all that begin with it; the longest that fits decides. Rows may be for one
node alone; where they are as long as others, they go before them.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from engine.intake.nodes import NODE_ID_CHARACTERS_MAX
from engine.intake.postal_codes import POSTAL_CODE_CHARACTERS_MAX
from engine.intake.tables import IntakeError, need_rows, read_table
from engine.rates.section import Section
from kernels.promise import NO_ZONE

ZONES_MAX = 64  # of a table
BANDS_MAX = 64
KILOMETRES_MAX = 20_100  # half way round, and a little
EVERYWHERE = "*"  # in a file: every postal code
FAR = np.iinfo(np.int64).max


@dataclass(frozen=True)
class ZoneTable:
    """One table of zones."""

    name: str
    zones: tuple[str, ...]  # the place in it is the zone's number
    prefixes: dict[str, dict[str, int]]  # by node ("" for all): zone by postal code or its beginning
    bands: tuple[tuple[int, int], ...]  # by distance instead: metres at which each ends, zone

    def of_node(self, node_id: str) -> dict[str, int]:
        """What decides for one node."""
        return {**self.prefixes.get("", {}), **self.prefixes.get(node_id, {})}


def read_zones(name: str, section: Section, folder: Path) -> ZoneTable:
    """A table of the card. Raises IntakeError."""
    if section.has("bands") == section.has("file"):
        raise section.fault("file", "and `bands`: give one of the two")
    table = _of_bands(name, section) if section.has("bands") else _of_file(name, section, folder)
    section.end()
    return table


def _of_bands(name: str, section: Section) -> ZoneTable:
    what = 'a list of {to_km = 100, zone = "near"}, the last without to_km'
    values = section.take("bands", list, what)
    if not 1 <= len(values) <= BANDS_MAX or any(type(value) is not dict for value in values):
        raise section.fault("bands", f"is {values!r:.100}; give {what}, {BANDS_MAX} at most")
    zones: dict[str, int] = {}
    bands: list[tuple[int, int]] = []
    for at, value in enumerate(values):
        band = Section(f"{section.where}bands[{at}].", value)
        zone = zones.setdefault(band.text("zone", "the name of a zone"), len(zones))
        kilometres = band.integer("to_km", 1, KILOMETRES_MAX, "kilometres", None)
        band.end()
        if kilometres is None and at < len(values) - 1:
            raise band.fault("to_km", "is missing; only the last band has no end")
        metres = FAR if kilometres is None else kilometres * 1000
        if bands and metres <= bands[-1][0]:
            raise band.fault("to_km", f"is {kilometres}; give more than the band before has")
        bands.append((metres, zone))
    if bands[-1][0] != FAR:
        raise section.fault("bands", f"end at {bands[-1][0] // 1000} km; let the last one have no to_km")
    return ZoneTable(name, tuple(zones), {}, tuple(bands))


def _of_file(name: str, section: Section, folder: Path) -> ZoneTable:
    path = folder / section.text("file", "the path of a CSV file, from the card's folder")
    column = section.text("column", "the file's column of postal codes", "postal_code")
    table = read_table(path, (column, "zone"), ("node_id",))
    need_rows(table)
    texts = {key: pc.utf8_trim_whitespace(values).to_pylist() for key, values in table.columns.items()}
    nodes = texts.get("node_id", [""] * len(texts["zone"]))
    zones: dict[str, int] = {}
    prefixes: dict[str, dict[str, int]] = {}
    for row, code, zone, node in zip(table.row, texts[column], texts["zone"], nodes, strict=True):
        where = f"{table.name}: row {row}"
        if not code or len(code) > POSTAL_CODE_CHARACTERS_MAX:
            raise IntakeError(f"{where}, {column}: {code!r}; give a postal code, its beginning, or {EVERYWHERE}")
        if not zone or len(node) > NODE_ID_CHARACTERS_MAX:
            raise IntakeError(f"{where}: zone {zone!r}, node {node!r}; give a zone, and a node or nothing")
        known = prefixes.setdefault(node, {}).setdefault(
            "" if code == EVERYWHERE else code, number := zones.setdefault(zone, len(zones))
        )
        if known != number:
            raise IntakeError(
                f"{where}, {column}: {code!r} is in zone {list(zones)[known]} and in {zone}; keep one row"
            )
    if len(zones) > ZONES_MAX:
        raise IntakeError(f"{table.name}: {len(zones)} zones; {ZONES_MAX} at most")
    return ZoneTable(name, tuple(zones), prefixes, ())


def zones_of(prefixes: dict[str, int], codes: pa.StringArray) -> Any:
    """uint8 [code]: the zone of each postal code by the longest prefix, NO_ZONE where none fits."""
    zones = np.full(len(codes), NO_ZONE, np.uint8)
    for length in sorted({len(prefix) for prefix in prefixes}, reverse=True):
        left = np.flatnonzero(zones == NO_ZONE)
        if left.size == 0:
            break
        of_length = {prefix: zone for prefix, zone in prefixes.items() if len(prefix) == length}
        cut = codes.take(pa.array(left))
        found = pc.index_in(pc.utf8_slice_codeunits(cut, 0, length), pa.array(list(of_length), pa.string()))
        numbers = np.append(np.fromiter(of_length.values(), np.uint8), np.uint8(NO_ZONE))
        zones[left] = numbers[found.fill_null(len(of_length)).to_numpy()]
    return zones
