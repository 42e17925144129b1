"""Pages: how many rows, and where the next one begins. Tokens are opaque; one that was not given out is refused.

A token belongs to one listing and its filters, so that a page of another list cannot be asked for with it.
"""

import base64
import binascii
import struct

import xxhash

from server.errors import invalid
from server.validation.values import number, shown

PAGE_ROWS_MAX = 1000
PAGE_ROWS_USUAL = 100
_TOKEN = struct.Struct("<qI")  # position, checksum


def page_size(value: int) -> int:
    """Rows of a page: those asked for, or the usual number."""
    return number("page_size", value, 0, PAGE_ROWS_MAX) or PAGE_ROWS_USUAL


def token_of(listing: str, position: int) -> str:
    """The token of the page that begins at or after a position. listing: the list's name and its filters."""
    packed = _TOKEN.pack(position, _check(listing, position))
    return base64.urlsafe_b64encode(packed).decode()


def position_of(listing: str, token: str, field: str = "page_token") -> int | None:
    """The position that a token stands for; None for the first page."""
    if not token:
        return None
    try:
        position, check = _TOKEN.unpack(base64.b64decode(token, altchars=b"-_", validate=True))
    except (binascii.Error, struct.error, ValueError):
        position, check = 0, -1
    if check != _check(listing, position):
        raise invalid(
            field,
            f"{field}: {shown(token)} was given by no page of this list: send the next_page_token of the page "
            "before, with the same filters",
            "BAD_PAGE_TOKEN",
        )
    return int(position)


def _check(listing: str, position: int) -> int:
    return xxhash.xxh32_intdigest(f"{listing} {position}".encode())
