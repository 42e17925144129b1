"""Who is outside, as a TOML file says: gateways and carriers, where they listen, and what they sign with."""

import os
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from engine.payments import kind_of

KINDS: dict[str, dict[str, tuple[str, ...]]] = {  # what each kind needs
    "gateways": {"local": ("url",), "razorpay": ("key_id", "key_secret"), "stripe": ("api_key",)},
    "carriers": {"local": ("url",)},
}
_OPTIONAL = ("kind", "url", "webhook_secret")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,31}")  # a path of webhooks and the name of a cursor's file


class OutsideError(Exception):
    """The file does not say who is outside: where, and what to write."""


@dataclass(frozen=True)
class Party:
    """One gateway or carrier."""

    name: str
    kind: str
    url: str = ""  # empty: the kind's own
    webhook_secret: str = ""  # empty: it sends none
    key_id: str = ""
    key_secret: str = ""
    api_key: str = ""


@dataclass(frozen=True)
class Outside:
    """All of them, by name."""

    gateways: Mapping[str, Party]
    carriers: Mapping[str, Party]

    @classmethod
    def read(cls, path: Path) -> "Outside":
        """Of a file that nobody but its owner may read. Raises OSError and OutsideError."""
        content = path.read_bytes()
        if os.name == "posix" and path.stat().st_mode & 0o077:
            raise OutsideError(f"{path}: others may read it, and it holds secrets: chmod 600 {path}")
        try:
            tables = tomllib.loads(content.decode())
        except ValueError as error:
            raise OutsideError(f"{path}: it is no TOML: {error}") from None
        for name in tables:
            if name not in KINDS:
                raise OutsideError(f"{path}: [{name}]: give [gateways.NAME] and [carriers.NAME]")
        return cls(*(_parties(path, section, tables.get(section, {})) for section in KINDS))


def _parties(path: Path, section: str, tables: Any) -> dict[str, Party]:
    if not isinstance(tables, dict):
        raise OutsideError(f"{path}: {section}: give tables, as [{section}.NAME]")
    return {name: _party(f"{path}: [{section}.{name}]", section, name, table) for name, table in tables.items()}


def _party(where: str, section: str, name: str, table: Any) -> Party:
    kinds = KINDS[section]
    if not isinstance(table, dict) or not _NAME.fullmatch(name):
        raise OutsideError(f"{where}: give a table, with a name of 1 to 32 letters, digits, dots, dashes")
    kind = _kind(where, section, name, table)
    for field, value in table.items():
        if field not in (*_OPTIONAL, *kinds[kind]):
            known = ", ".join((*_OPTIONAL, *kinds[kind]))
            raise OutsideError(f"{where}: {field}: a {kind} has no such setting: give {known}")
        if not isinstance(value, str) or not value:
            raise OutsideError(f"{where}: {field}: give a text")
    for field in kinds[kind]:
        if field not in table:
            raise OutsideError(f"{where}: {field}: it is missing")
    if "url" in table and urlsplit(table["url"]).scheme not in ("http", "https"):
        raise OutsideError(f"{where}: url: {table['url']!r}: give http://HOST:PORT or https://HOST")
    return Party(name, kind, **{field: value for field, value in table.items() if field != "kind"})


def _kind(where: str, section: str, name: str, table: Mapping[str, Any]) -> str:
    """As told, else as the name tells. A gateway's name tells it always: the engine goes by it."""
    kinds = KINDS[section]
    kind = table.get("kind", kind_of(name))
    if not isinstance(kind, str) or kind not in kinds:
        raise OutsideError(f"{where}: kind: {kind!r}: give one of {', '.join(kinds)}")
    if section == "gateways" and kind != kind_of(name):
        raise OutsideError(
            f"{where}: kind: {kind!r}: a gateway is what its name says up to the first dash: name it {kind}-{name}, "
            "and payments likewise"
        )
    return kind
