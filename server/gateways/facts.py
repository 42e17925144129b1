"""What a gateway tells, in the contract's words, and how it proves that it was the gateway that told it.

A webhook's raw body is verified before anything of it is parsed; its event id is the key of what it comes to, so that
the same event twice counts once.
"""

import hashlib
import hmac
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

TOLERANCE_SECONDS = 300  # of a signed time
EVENT_BYTES_MAX = 1 << 20


class BadSignature(Exception):
    """Nobody who knows the secret has sent this, or it was sent too long ago."""


class Malformed(Exception):
    """Signed, and not what the gateway's documentation says."""


@dataclass(frozen=True)
class Fact:
    """One thing that a gateway tells of a payment, or of a refund."""

    step: str  # of PaymentStep or RefundStep, in lower case
    references: tuple[str, ...]  # what the gateway may be known to call the payment, the last one first
    amount: int = 0  # minor units; of a capture in all, so far
    currency: str = ""  # empty: not told
    channel: str = ""  # as it was noted with the gateway, when it was asked
    payment_id: str = ""
    refund_number: int = 0  # 0: of a payment


@dataclass(frozen=True)
class Event:
    """One message of a gateway's, verified."""

    id: str  # the same for the same event, and of what is signed
    at: int  # when it was made, seconds since 1970


@dataclass(frozen=True)
class Ignored:
    """A message that changes nothing here, and why."""

    why: str


class Speaks(Protocol):
    """How a gateway's webhooks are read."""

    def verify(self, body: bytes, headers: Mapping[str, str], secret: str, now: float) -> Event:
        """Which event it is. Raises BadSignature and Malformed."""

    def read(self, body: bytes) -> Fact | Ignored:
        """What the event tells. Raises Malformed."""


def noted(notes: Mapping[str, Any]) -> tuple[str, str, int]:
    """What was noted with a gateway when it was asked: channel, payment id, number of a refund (0: of none)."""
    number = str(notes.get("allot_refund", ""))
    is_number = number.isascii() and number.isdecimal() and len(number) < 19
    return str(notes.get("allot_channel", "")), str(notes.get("allot_payment", "")), int(number) if is_number else 0


def signed(secret: str, content: bytes) -> str:
    """The HMAC-SHA256 of a content, in hexadecimal digits."""
    return hmac.new(secret.encode(), content, hashlib.sha256).hexdigest()


def check(expected: str, given: str) -> None:
    """Raises BadSignature where they differ; how long it takes says nothing."""
    if not hmac.compare_digest(expected.encode(), given.encode(errors="replace")):
        raise BadSignature("the signature is not that of the body and the secret")


def check_timed(header: str, body: bytes, secret: str, now: float) -> None:
    """A header of the form t=TIME,v1=SIGNATURE over "TIME.BODY". Raises BadSignature."""
    times = [part[2:] for part in header.split(",") if part.startswith("t=")]
    given = [part[3:] for part in header.split(",") if part.startswith("v1=")]
    if len(times) != 1 or not times[0].isascii() or not times[0].isdecimal() or not given:
        raise BadSignature("the signature header has no time and no signature")
    expected = signed(secret, times[0].encode() + b"." + body)
    if not any(hmac.compare_digest(expected.encode(), one.encode(errors="replace")) for one in given):
        raise BadSignature("the signature is not that of the body and the secret")
    if abs(now - int(times[0][:12])) > TOLERANCE_SECONDS:
        raise BadSignature(f"it was signed more than {TOLERANCE_SECONDS} seconds ago, or will be")


def check_fact(fact: Fact) -> None:
    """Raises Malformed where it names nothing, is no text, or tells of money without saying how much."""
    texts = (*fact.references, fact.currency, fact.channel, fact.payment_id)
    if not fact.references or not all(fact.references):
        raise Malformed("id: it is missing: which payment is it?")
    try:
        "".join(texts).encode()
    except UnicodeEncodeError:
        raise Malformed("a text of it is none: it holds half a character") from None
    if fact.step in ("authorise", "capture") and fact.amount < 1:
        raise Malformed(f"amount: {fact.amount}: how much is it?")


def created(body: bytes, name: str) -> int:
    """When an event was made, seconds since 1970, as its body tells. Raises Malformed."""
    try:
        return whole(json.loads(body), name)
    except (ValueError, AttributeError, TypeError, RecursionError) as error:
        raise Malformed(f"it is no event: {error!r}") from None


def whole(values: Mapping[str, Any], name: str) -> int:
    """An amount in minor units, or another figure. Raises Malformed."""
    value = values.get(name)
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= 10**15:
        raise Malformed(f"{name}: {value!r} is no whole number of 0 or more")
    return value
