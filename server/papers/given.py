"""What whoever prints gives in JSON files, read with care: faults are PaperErrors that name file and field."""

import json
import unicodedata
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from server.validation.values import shown

FILE_BYTES_MAX = 64 << 20
TEXT_CHARACTERS_MAX = 60
# What the fonts of every PDF reader (WinAnsiEncoding) and of label printers (Zebra's code page 1252) have.
PRINTABLE = "cp1252"


class PaperError(Exception):
    """It cannot be printed: the field, its value, and the mend."""


def read_object(path: Path, named: str) -> dict[str, Any]:
    """The object of a JSON file. named: what it holds, for messages. Raises OSError and PaperError."""
    with path.open("rb") as file:
        content = file.read(FILE_BYTES_MAX + 1)
    if len(content) > FILE_BYTES_MAX:
        raise PaperError(f"{path}: it has more than {FILE_BYTES_MAX:,} bytes: give a smaller file")

    def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        found = dict(pairs)
        if len(found) < len(pairs):
            ((twice, _),) = Counter(name for name, _ in pairs).most_common(1)
            raise PaperError(f"{path}: {shown(twice)} is given twice: give it once")
        return found

    try:
        found = json.loads(content.decode("utf-8-sig"), object_pairs_hook=once)
    except UnicodeDecodeError as error:
        raise PaperError(f"{path}: byte {error.start + 1:,} is no UTF-8: write the file as UTF-8") from None
    except (ValueError, RecursionError) as error:
        raise PaperError(f"{path}: it is no JSON: {error}") from None
    if not isinstance(found, dict):
        raise PaperError(f"{path}: give an object of {named}")
    return found


def text_of(path: Path, name: str, value: Any, characters_max: int = TEXT_CHARACTERS_MAX) -> str:
    """A text of a field, its accents composed. Raises PaperError."""
    composed = unicodedata.normalize("NFC", value) if isinstance(value, str) else None
    if composed is None or len(composed) > characters_max:
        raise PaperError(f"{path}: {name}: {shown(value)}: give a text of {characters_max} characters at most")
    if not composed.isprintable():
        wrong = next(one for one in composed if not one.isprintable())
        raise PaperError(f"{path}: {name}: {shown(value)}: leave out {wrong!r}, or write a space")
    return composed


def check_printable(texts: Iterable[tuple[str, str]]) -> None:
    """Whether the fonts have every character of some fields and their texts. Raises PaperError."""
    for field, text in texts:
        if _prints(text):
            continue
        wrong = [repr(one) for one in dict.fromkeys(text) if not _prints(one)]
        raise PaperError(f"{field}: {shown(text)}: the font has no {', '.join(wrong[:8])}: write it in Latin letters")


def _prints(text: str) -> bool:
    try:
        text.encode(PRINTABLE)
    except UnicodeEncodeError:
        return False
    return text.isprintable()
