"""The page that tracks a parcel, for whoever holds its link: no name, no address, no amount."""

from datetime import UTC, datetime
from html import escape
from typing import Any

from allot.v1 import life_pb2

_SENTENCES = {
    "CREATED": "It is being made ready.", "BOOKED": "It waits for its carrier.", "SHIPPED": "It is on its way.",
    "OUT_FOR_DELIVERY": "It is in the last van.", "DELIVERED": "It was delivered.",
    "REFUSED": "It was not taken at the door.", "RETURNING": "It is on its way back.", "HOME": "It came back.",
    "LOST": "It is lost; the shop knows.", "RECALLED": "It will not be sent.",
}  # fmt: skip
_WHAT = {
    "SHIP": "left", "TRANSIT": "seen", "OUT_FOR_DELIVERY": "in the last van", "DELIVER": "delivered",
    "REFUSE": "not taken", "RETURNING": "on its way back", "COME_HOME": "back", "LOSE": "lost",
}  # fmt: skip
_STYLE = """body{font:16px/1.5 system-ui,sans-serif;max-width:34rem;margin:3rem auto;padding:0 1rem;color:#222}
h1{font-size:1.4rem}li{margin:.4rem 0}time{color:#666;margin-right:.6rem;font-variant-numeric:tabular-nums}
ol{list-style:none;padding:0;border-left:2px solid #ccc;padding-left:1rem}"""


def tracking_page(found: Any) -> str:
    """HTML of a TrackShipmentResponse; None: nobody was given this link."""
    if found is None:
        return _page("No such parcel", "<p>Open the link as it was sent to you.</p>")
    state = life_pb2.ShipmentState.Name(found.state).removeprefix("SHIPMENT_STATE_")
    due = (
        f"<p>It is expected on {_moment(found.due_at_us)[:10]}.</p>" if found.due_at_us and state != "DELIVERED" else ""
    )
    by = f"<p>Carrier: {escape(found.carrier)}</p>" if found.carrier else ""
    rows = "".join(
        f"<li><time>{_moment(scan.stamp_us)}</time>{escape(_WHAT.get(scan.what, scan.what.lower()))}"
        f"{', ' + escape(scan.reference) if scan.reference else ''}</li>"
        for scan in found.scans
    )
    return _page(_SENTENCES.get(state, state), f"{due}{by}<ol>{rows}</ol>")


def _moment(micros: int) -> str:
    return datetime.fromtimestamp(micros / 1e6, UTC).strftime("%Y-%m-%d %H:%M UTC")


def _page(title: str, body: str) -> str:
    return (
        f'<!doctype html><html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">'
        f'<meta name="robots" content="noindex"><title>{escape(title)}</title><style>{_STYLE}</style>'
        f"<h1>{escape(title)}</h1>{body}</html>"
    )
