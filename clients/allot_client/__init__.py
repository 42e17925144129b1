"""The client of allot, for shops and connectors: what a storefront installs. It needs neither the engine nor Numba.

from allot_client import Client

with Client("127.0.0.1:50051") as shop:
    shop.put_nodes([{"node_id": "BLR", "postal_code": "560001"}])
    shop.put_channel("own")
    shop.receive_stock([("SKU-1", "BLR", 10)])
    print(shop.place_order(channel="own", order_id="A-1", postal_code="560034", lines=[("SKU-1", 2)]))
"""

from allot_client.async_client import AsyncClient
from allot_client.client import Client
from allot_client.connection import DEFAULT_TARGET, Options
from allot_client.errors import (
    AllotError,
    Busy,
    Invalid,
    KeyConflict,
    NotAllowed,
    ReservationOver,
    TimedOut,
    Unavailable,
    Unknown,
    error_of_problem,
)
from allot_client.requests import Moment, OrderFields, Row, order

__all__ = [
    "DEFAULT_TARGET",
    "AllotError",
    "AsyncClient",
    "Busy",
    "Client",
    "Invalid",
    "KeyConflict",
    "Moment",
    "NotAllowed",
    "Options",
    "OrderFields",
    "ReservationOver",
    "Row",
    "TimedOut",
    "Unavailable",
    "Unknown",
    "error_of_problem",
    "order",
]
