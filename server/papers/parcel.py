"""What is printed of a parcel, and the checks that every paper makes."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

TEXT_CHARACTERS_MAX = 60
ADDRESS_LINES_MAX = 5


class PaperError(Exception):
    """It cannot be printed: the field, its value, and the mend."""


@dataclass(frozen=True)
class Party:
    """Who sends or gets a parcel. The engine keeps no names and no addresses: whoever prints has them."""

    name: str = ""
    lines: tuple[str, ...] = ()
    postal_code: str = ""
    phone: str = ""
    gstin: str = ""  # of a seller
    region: str = ""  # the two digits of a state
    upi: str = ""  # of a seller: where the QR code of an invoice pays to

    @classmethod
    def read(cls, path: Path) -> "Party":
        """Of a JSON file. Raises OSError and PaperError."""
        try:
            found = json.loads(path.read_text())
        except ValueError as error:
            raise PaperError(f"{path}: it is no JSON: {error}") from None
        if not isinstance(found, Mapping):
            raise PaperError(f"{path}: give an object of {', '.join(cls.__dataclass_fields__)}")
        if unknown := set(found) - set(cls.__dataclass_fields__):
            raise PaperError(f"{path}: {min(unknown)}: give {', '.join(cls.__dataclass_fields__)}")
        lines = found.get("lines", [])
        if not isinstance(lines, list) or len(lines) > ADDRESS_LINES_MAX:
            raise PaperError(f"{path}: lines: give a list of {ADDRESS_LINES_MAX} at most")
        named = {name: _text(path, name, value) for name, value in found.items() if name != "lines"}
        return cls(**named, lines=tuple(_text(path, "lines", line) for line in lines))


def _text(path: Path, name: str, value: Any) -> str:
    if not isinstance(value, str) or len(value) > TEXT_CHARACTERS_MAX or not value.isprintable():
        raise PaperError(f"{path}: {name}: {value!r}: give a text of {TEXT_CHARACTERS_MAX} characters at most")
    return value


@dataclass(frozen=True)
class Item:
    """Units of one SKU in a parcel, with what is charged for them, minor units."""

    sku: str
    units: int
    goods: int = 0
    tax: int = 0  # central, or integrated, or not split
    tax_2: int = 0  # state
    shipping: int = 0
    shipping_tax: int = 0
    shipping_tax_2: int = 0


@dataclass(frozen=True)
class Parcel:
    """One shipment, as it is printed."""

    number: int
    order_id: str
    node_id: str
    carrier: str
    tracking: str
    postal_code: str
    collect: int  # minor units, cash on delivery
    currency: str = "INR"
    shipped_at_us: int = 0
    is_within_region: bool = False
    items: tuple[Item, ...] = field(default=())

    @property
    def total(self) -> int:
        """All that is charged for it, minor units."""
        return sum(
            item.goods + item.tax + item.tax_2 + item.shipping + item.shipping_tax + item.shipping_tax_2
            for item in self.items
        )


def amount(minor: int) -> str:
    """Minor units with two decimals."""
    return f"{'-' if minor < 0 else ''}{abs(minor) // 100:,}.{abs(minor) % 100:02d}"


def check_label(parcel: Parcel) -> None:
    """Raises PaperError where a parcel would not get anywhere."""
    if not parcel.postal_code:
        raise PaperError(f"postal_code: shipment {parcel.number} has none: where is it to go?")
    if not parcel.tracking:
        raise PaperError(f"reference: shipment {parcel.number} has no tracking number: book it with a carrier first")
    if not parcel.tracking.isascii() or not parcel.tracking.isprintable():
        raise PaperError(f"reference: {parcel.tracking!r}: a Code 128 bar code has printable ASCII characters only")
