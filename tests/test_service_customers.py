"""Tokens of customers: each sees, cancels and returns his own orders, and nobody else's."""

import base64
import hashlib
import hmac
import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from allot.v1 import life_pb2, types_pb2
from allot_client import AllotError, Client
from server.config import SettingsError
from server.customers import make_customer_token, read_customer_token, read_key
from tests.command_line import run
from tests.running import Server, server
from tests.test_security import entry

KEY = bytes(range(40))


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("customers")
    (folder / "tokens.toml").write_text(entry("all", "operator", "root"))
    (folder / "key").write_bytes(KEY)
    flags = (f"--tokens={folder / 'tokens.toml'}", f"--customer-key={folder / 'key'}")
    with server(folder / "data", *flags) as running:
        with Client(running.address, token="root") as shop:
            shop.put_nodes([("BLR", 12.97, 77.59)])
            for channel in ("own", "other"):
                shop.put_channel(channel)
            shop.receive_stock([("SHIRT", "BLR", 50)])
            for channel, order, customer in (
                ("own", "A-1", "asha"), ("own", "A-2", "ravi"), ("own", "A-3", ""), ("other", "A-4", "asha"),
                ("own", "A-5", "asha"),
            ):  # fmt: skip
                shop.place_order(
                    channel=channel, order_id=order, postal_code="560034", customer=customer, currency="INR",
                    payment_method="cash_on_delivery", lines=[{"sku": "SHIRT", "quantity": 4, "unit_price": 100}],
                )  # fmt: skip
            shop.create_shipment("own", "A-1", "S-1", "BLR")
            shop.advance_shipment("book", channel="own", shipment_id="S-1", carrier="swift", reference="X", cost=40)
            shop.advance_shipment("deliver", channel="own", shipment_id="S-1")
        yield running


def customer(running: Server, name: str = "asha", channel: str = "own", until: int = 0, key: bytes = KEY) -> Client:
    token = make_customer_token(key, channel, name, until or int(time.time()) + 60)
    return Client(running.address, token=token)


def signed(payload: bytes) -> str:
    """A token that says what the shop's key never signs by `make_customer_token`."""
    mac = hmac.new(KEY, b"allot customer\0" + payload, hashlib.sha256).digest()
    return "customer." + ".".join(base64.urlsafe_b64encode(part).decode().rstrip("=") for part in (payload, mac))


def refused(call: Any, *arguments: Any, **fields: Any) -> str:
    with pytest.raises(AllotError) as caught:
        call(*arguments, **fields)
    return caught.value.reason


def test_a_customer_sees_his_own_orders_without_the_shops_business(running: Server):
    with customer(running) as asha:
        found = asha.get_life("own", "A-1")
        assert found.order.customer == "asha"
        (shipment,) = found.life.shipments
        assert (shipment.carrier, shipment.cost) == ("swift", 0)
        assert {told.actor for told in found.life.timeline} <= {""}
        assert asha.track_shipment(shipment.tracking_token).carrier == "swift"


@pytest.mark.parametrize("order", ["A-2", "A-3", "nobody's"])
def test_anothers_order_is_not_there(running: Server, order: str):
    with customer(running) as asha:
        said = set()
        for call in (
            lambda: asha.get_order("own", order), lambda: asha.cancel_order("own", order),
            lambda: asha.create_return("own", order, "R", 1, 1), lambda: asha.get_life("own", order),
        ):  # fmt: skip
            said.add(refused(call))
        assert said == {"UNKNOWN_ORDER"}


def test_he_cancels_and_returns_what_is_his(running: Server):
    with customer(running) as asha:
        assert asha.cancel_order("own", "A-5", quantity=1, line=1).quantity == 1
        assert asha.create_return("own", "A-1", "A-1-r", 1, 1, condition="unused").number
        (back,) = asha.get_life("own", "A-1").life.returns
        assert back.return_id == "A-1-r"
        assert asha.get_return("own", "A-1-r").returned.quantity == 1
        assert asha.advance_return("withdraw", "own", "A-1-r").quantity == 0
        assert asha.get_return("own", "A-1-r").returned.state == life_pb2.RETURN_STATE_WITHDRAWN


def test_what_replaces_his_is_his_and_paid_as_his_was(running: Server):
    with customer(running) as asha, Client(running.address, token="root") as shop:
        asha.create_return("own", "A-1", "A-1-x", 1, 1, kind="exchange")
        for step in ("approve", "receive", "inspect"):
            shop.advance_return(step, "own", "A-1-x")
        until = time.monotonic() + 20  # views follow
        while not (found := [one for one in shop.list_orders(channel="own") if one.order_id.startswith("exchange-")]):
            assert time.monotonic() < until
        mine = asha.get_order("own", found[0].order_id)
        assert (mine.customer, mine.payment_method) == ("asha", types_pb2.PAYMENT_METHOD_CASH_ON_DELIVERY)


def test_he_takes_no_names_that_are_the_shops(running: Server):
    with customer(running) as asha, Client(running.address, token="root") as shop:
        assert refused(asha.create_return, "own", "A-1", "R-9", 1, 1) == "NOT_YOURS"
        asha.cancel_order("own", "A-5", quantity=1, line=1, request_id="same")
        shop.cancel_order("own", "A-2", quantity=1, line=1, request_id="same")
        asked = {"reason": "too small for me", "request_id": "payments 9-1 CAPTURE"}
        assert asha.create_return("own", "A-1", "A-1-s", 1, 1, **asked).number
        until = time.monotonic() + 20  # views follow
        while "too small for me" not in {told.reference for told in shop.get_life("own", "A-1").life.timeline}:
            assert time.monotonic() < until
        assert refused(asha.create_return, "own", "A-1", "A-1-t", 1, 1, reason="4111 1111 1111 1111") == "CARD_NUMBER"


def test_anothers_return_is_not_there(running: Server):
    with Client(running.address, token="root") as shop, customer(running, "ravi") as ravi:
        shop.create_return("own", "A-1", "R-2", 1, 1)
        assert refused(ravi.get_return, "own", "R-2") == "UNKNOWN_ORDER"
        assert refused(ravi.get_return, "own", "R-3") == "UNKNOWN_RETURN"
        assert refused(ravi.advance_return, "withdraw", "own", "R-2") == "UNKNOWN_ORDER"
        shop.advance_return("withdraw", "own", "R-2")


def test_all_else_is_not_for_customers(running: Server):
    with customer(running) as asha:
        assert refused(asha.get_order, "other", "A-4") == "OTHER_CHANNEL"
        assert refused(asha.put_channel, "mine") == "ROLE_NOT_ALLOWED"
        assert refused(asha.create_payment, "own", "A-1", "P", method="card", gateway="local") == "ROLE_NOT_ALLOWED"
        assert refused(asha.advance_return, "approve", "own", "A-1-r") == "ROLE_NOT_ALLOWED"
        assert refused(list, asha.list_orders(channel="own")) == "ROLE_NOT_ALLOWED"
        assert refused(asha.get_ledger) == "ROLE_NOT_ALLOWED"


def test_a_token_that_was_made_up_changed_or_is_over_lets_nobody_in(running: Server):
    good = make_customer_token(KEY, "own", "asha", int(time.time()) + 60)
    head, payload, mac = good.split(".")
    other = make_customer_token(KEY, "own", "ravi", int(time.time()) + 60).split(".")[1]
    forged = (f"{head}.{other}.{mac}", f"{head}.{payload}.", f"{head}.{payload}", f"{good}x", f"{head}..", good * 9)
    for token in forged:
        with Client(running.address, token=token) as nobody:
            assert refused(nobody.get_order, "own", "A-1") == "TOKEN_UNKNOWN"
    said = {"channel": "own", "customer": "asha", "until": 9_999_999_999}
    for wrong in (
        {"channel": "", "customer": ""}, {"customer": ""}, {"customer": None}, {"until": float("inf")}, {"until": True},
    ):  # fmt: skip
        with Client(running.address, token=signed(json.dumps(said | wrong).encode())) as nobody:
            assert refused(nobody.get_order, "own", "A-1") == "TOKEN_UNKNOWN"
    with customer(running, until=int(time.time()) - 1) as late:
        assert refused(late.get_order, "own", "A-1") == "TOKEN_EXPIRED"
    with customer(running, key=b"x" * 40) as forger:
        assert refused(forger.get_order, "own", "A-1") == "TOKEN_UNKNOWN"


def test_the_command_makes_one(tmp_path: Path):
    key = tmp_path / "key"
    key.write_bytes(KEY)
    asked = ("token", "--role", "customer", "--customer", "asha", "--channel", "own")
    made = run(*asked, "--key", key)
    assert (made.code, made.err) == (0, "")
    channel, name, until = read_customer_token(KEY, made.out.strip()) or ("", "", 0)
    assert (channel, name) == ("own", "asha")
    assert 0 < until - time.time() <= 24 * 3600
    for wrong, said in ((asked, "--key"), ((*asked, "--key", tmp_path / "no"), "customer_key"),
                        ((*asked[:-2], "--key", key), "channel")):  # fmt: skip
        found = run(*wrong)
        assert (found.code, said in found.err) == (2, True)
    key.write_bytes(b"short")
    with pytest.raises(SettingsError, match="5 bytes"):
        read_key(key)
