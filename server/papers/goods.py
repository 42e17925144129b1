"""What goods are called on an invoice, and their codes in the Harmonised System (HSN), from a JSON file by SKU."""

import re
from dataclasses import dataclass
from pathlib import Path

from server.papers.given import PaperError, read_object, text_of
from server.validation.values import shown

NAME_CHARACTERS_MAX = 200
_HSN = re.compile("[0-9]{4}|[0-9]{6}|[0-9]{8}")


@dataclass(frozen=True)
class Goods:
    """Of one SKU; what is empty is not told."""

    name: str = ""
    hsn: str = ""


def read_goods(path: Path) -> dict[str, Goods]:
    """By SKU. Raises OSError and PaperError."""
    return {sku: _goods(path, sku, given) for sku, given in read_object(path, "goods by SKU").items()}


def _goods(path: Path, sku: str, given: object) -> Goods:
    where = shown(sku)
    if not isinstance(given, dict) or not given or not given.keys() <= {"name", "hsn"}:
        raise PaperError(f'{path}: {where}: {shown(given)}: give an object as {{"name": "Red shirt", "hsn": "6205"}}')
    name, hsn = (
        text_of(path, f"{where}: {field}", given.get(field, ""), NAME_CHARACTERS_MAX) for field in ("name", "hsn")
    )
    if "hsn" in given and not _HSN.fullmatch(hsn):
        raise PaperError(f"{path}: {where}: hsn: {shown(hsn)}: give 4, 6 or 8 digits")
    return Goods(name, hsn)
