"""What a carrier tells by one webhook: a batch of scans, signed with a time, read row by row.

{"scans": [{"tracking", "step", "at_us", "place"}, ...]}: at_us may be left out, for now; what a row says of its place
is cut off after 64 characters, and left out where it looks like a card number. A row that will not do is refused
alone, with its place in the batch and the reason.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa

from server.gateways.facts import Malformed, check_timed
from server.security import holds_card_number

SCANS_MAX = 100_000  # of one webhook
SCANS_BYTES_MAX = 32 << 20
KEY_SECONDS = 10
TRACKING_CHARACTERS_MAX = 64
PLACE_CHARACTERS_MAX = 64
AHEAD_US_MAX = 300_000_000  # of a carrier's clock
BEHIND_US_MAX = 60 * 86_400_000_000
SCANNED = ("SHIP", "TRANSIT", "OUT_FOR_DELIVERY", "DELIVER", "REFUSE", "RETURNING", "LOSE")


@dataclass
class Scans:
    """The rows that will do, and why the others will not."""

    rows: list[int] = field(default_factory=list)  # places in the batch
    steps: list[str] = field(default_factory=list)
    trackings: list[str] = field(default_factory=list)
    moments: list[int] = field(default_factory=list)
    places: list[str] = field(default_factory=list)
    refused: dict[int, str] = field(default_factory=dict)  # reason by place in the batch
    key: str = ""  # the same for the same rows of the same body, for a moment: later, what was not known may be

    def table(self, carrier: str) -> pa.Table:
        """As steps of shipments."""
        return pa.table(
            {
                "step": pa.array(self.steps, pa.string()),
                "how": pa.array([carrier] * len(self.rows), pa.string()).dictionary_encode(),
                "reference": pa.array(self.trackings, pa.string()),
                "at": pa.array(self.moments, pa.int64()),
                "note": pa.array(self.places, pa.string()),
            }
        )


def read_scans(carrier: str, body: bytes, signature: str, secret: str, now: float) -> Scans:
    """The scans of a webhook. Raises BadSignature, and Malformed where it is no batch at all."""
    check_timed(signature, body, secret, now)
    try:
        told = json.loads(body)["scans"]
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise Malformed(f"it is no batch of scans: {error!r}") from None
    if not isinstance(told, list) or not 1 <= len(told) <= SCANS_MAX:
        raise Malformed(f"scans: give 1 to {SCANS_MAX}")
    scans, now_us = Scans(), int(now * 1e6)
    for row, scan in enumerate(told):
        reason = _fault(scan, now_us) if isinstance(scan, Mapping) else "NOT_A_SCAN"
        if reason:
            scans.refused[row] = reason
            continue
        scans.rows.append(row)
        scans.steps.append(scan["step"])
        scans.trackings.append(scan["tracking"])
        scans.moments.append(scan.get("at_us") or 0)
        scans.places.append(_place(scan.get("place")))
    whole = hashlib.blake2b(f"{carrier}\0{sorted(scans.refused)}\0{int(now // KEY_SECONDS)}\0".encode(), digest_size=16)
    whole.update(body)
    scans.key = "scans-" + whole.hexdigest()
    return scans


def _fault(scan: Mapping[str, Any], now_us: int) -> str:
    """Why a row will not do; empty: it does."""
    tracking, at_us = scan.get("tracking"), scan.get("at_us") or 0
    if not isinstance(tracking, str) or not tracking:
        return "VALUE_MISSING"
    if len(tracking) > TRACKING_CHARACTERS_MAX:
        return "TOO_LONG"
    if not tracking.isprintable():
        return "CONTROL_CHARACTER"
    if scan.get("step") not in SCANNED:
        return "NOT_A_SCAN"
    if isinstance(at_us, bool) or not isinstance(at_us, int):
        return "NOT_A_TIME"
    if at_us > now_us + AHEAD_US_MAX:
        return "AT_IN_FUTURE"
    if at_us != 0 and at_us < now_us - BEHIND_US_MAX:
        return "AT_TOO_OLD"
    return ""


def _place(told: Any) -> str:
    text = told if isinstance(told, str) else ""
    place = "".join(one if one.isprintable() else " " for one in text[:PLACE_CHARACTERS_MAX])
    return "" if holds_card_number(place) else place
