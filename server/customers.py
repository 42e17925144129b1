"""Tokens of customers: a shop signs one for one customer in one channel and a while, and nothing keeps them.

A token is `customer.PAYLOAD.MAC`: what it says as JSON, and the HMAC-SHA256 of that with a key that the shop and the
server share. Both parts are base64url without padding.
"""

import base64
import binascii
import hashlib
import hmac
import json
from pathlib import Path

from server.config import SettingsError

PREFIX = "customer."
TOKEN_CHARACTERS_MAX = 600
KEY_BYTES_MIN = 32
CUSTOMER_CHARACTERS_MAX = 64
CHANNEL_CHARACTERS_MAX = 32


def read_key(path: Path) -> bytes:
    """The key in a file. Raises SettingsError."""
    try:
        key = path.read_bytes()
    except OSError as error:
        raise SettingsError(f"customer_key {path}: {error.strerror}: name a readable file of random bytes") from None
    if len(key) < KEY_BYTES_MIN:
        raise SettingsError(
            f"customer_key {path}: holds {len(key)} bytes: make one of {KEY_BYTES_MIN}, as head -c 32 /dev/urandom"
        )
    return key


def make_customer_token(key: bytes, channel: str, customer: str, until: int) -> str:
    """A token until a moment, seconds since 1970. Raises ValueError where a text will not do."""
    for name, value, most in (
        ("channel", channel, CHANNEL_CHARACTERS_MAX), ("customer", customer, CUSTOMER_CHARACTERS_MAX),
    ):  # fmt: skip
        if not _fits(value, most):
            raise ValueError(f"{name}: {value!r}: give a text of 1 to {most} characters")
    payload = json.dumps({"channel": channel, "customer": customer, "until": until}, separators=(",", ":")).encode()
    return f"{PREFIX}{_plain(payload)}.{_plain(_mac(key, payload))}"


def read_customer_token(key: bytes, token: str) -> tuple[str, str, int] | None:
    """Channel, customer and the end of a token; None: nobody who has the key made it."""
    payload, _, mac = token.removeprefix(PREFIX).partition(".")
    if len(token) > TOKEN_CHARACTERS_MAX:
        return None
    try:
        said, given = _raw(payload), _raw(mac)
        if not hmac.compare_digest(_mac(key, said), given):
            return None
        found = json.loads(said)
        channel, customer, until = found["channel"], found["customer"], found["until"]
    except (ValueError, KeyError, TypeError, binascii.Error, RecursionError):
        return None
    if type(until) is not int or not _fits(channel, CHANNEL_CHARACTERS_MAX):
        return None
    return (channel, customer, until) if _fits(customer, CUSTOMER_CHARACTERS_MAX) else None


def _fits(value: object, most: int) -> bool:
    return isinstance(value, str) and 0 < len(value) <= most and value.isprintable()


def _mac(key: bytes, payload: bytes) -> bytes:
    return hmac.new(key, b"allot customer\0" + payload, hashlib.sha256).digest()


def _plain(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).decode().rstrip("=")


def _raw(text: str) -> bytes:
    return base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
