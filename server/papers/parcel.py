"""What is printed of a parcel: who sends and gets it, what is in it, what is charged for it."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

from allot.v1 import life_pb2
from server.papers.given import PaperError, read_object, text_of

INDIA = timedelta(hours=5, minutes=30)  # ahead of UTC
ADDRESS_LINES_MAX = 5
# Decimals of the currencies that do not have two (ISO 4217, list one, "minor unit").
DECIMALS = {
    **dict.fromkeys(("BIF", "CLP", "DJF", "GNF", "ISK", "JPY", "KMF", "KRW", "PYG", "RWF", "UGX", "UYI", "VND", "VUV",
                     "XAF", "XOF", "XPF"), 0),
    **dict.fromkeys(("BHD", "IQD", "JOD", "KWD", "LYD", "OMR", "TND"), 3),
    **dict.fromkeys(("CLF", "UYW"), 4),
}  # fmt: skip


@dataclass(frozen=True)
class Party:
    """Who sends or gets a parcel. The engine keeps no names and no addresses: whoever prints has them."""

    name: str = ""
    lines: tuple[str, ...] = ()
    postal_code: str = ""
    phone: str = ""
    gstin: str = ""
    region: str = ""  # of who gets it: the two digits of a state
    upi: str = ""  # of a seller: where the QR code of an invoice pays to

    @classmethod
    def read(cls, path: Path) -> "Party":
        """Of a JSON file. Raises OSError and PaperError."""
        fields = ", ".join(cls.__dataclass_fields__)
        found = read_object(path, fields)
        if unknown := set(found) - set(cls.__dataclass_fields__):
            raise PaperError(f"{path}: {min(unknown)!r}: give {fields}")
        lines = found.get("lines", [])
        if not isinstance(lines, list) or len(lines) > ADDRESS_LINES_MAX:
            raise PaperError(f"{path}: lines: give a list of {ADDRESS_LINES_MAX} at most")
        named = {name: text_of(path, name, value) for name, value in found.items() if name != "lines"}
        return cls(**named, lines=tuple(text_of(path, "lines", line) for line in lines))

    def texts(self, whose: str) -> Iterator[tuple[str, str]]:
        """Every field and its text."""
        for name in self.__dataclass_fields__:
            value = getattr(self, name)
            for text in value if name == "lines" else (value,):
                yield f"{whose}: {name}", text


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
    order_id: str  # empty: its record was moved away
    node_id: str
    carrier: str
    tracking: str
    postal_code: str
    collect: int  # minor units, cash on delivery
    currency: str = ""  # empty: its order has no prices
    shipped_at_us: int = 0
    tax_split: life_pb2.TaxSplit = life_pb2.TAX_SPLIT_UNSPECIFIED
    invoice_number: str = ""  # empty: none was given
    invoiced_at_us: int = 0
    items: tuple[Item, ...] = field(default=())

    @property
    def total(self) -> int:
        """All that is charged for it, minor units."""
        return sum(
            item.goods + item.tax + item.tax_2 + item.shipping + item.shipping_tax + item.shipping_tax_2
            for item in self.items
        )

    @property
    def cash(self) -> str:
        """What is to be collected on delivery, in its currency."""
        return f"{self.currency} {amount(self.collect, self.currency)}"


def amount(minor: int, currency: str) -> str:
    """Minor units of a currency with as many decimals as it has."""
    decimals = DECIMALS.get(currency, 2)
    whole, rest = divmod(abs(minor), 10**decimals)
    return f"{'-' if minor < 0 else ''}{whole:,}" + (f".{rest:0{decimals}d}" if decimals else "")
