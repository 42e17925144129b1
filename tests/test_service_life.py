"""The life of orders through a real server: payments, shipments and returns, one by one and in batches, and who may."""

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from allot.v1 import life_pb2 as life
from allot_client import AllotError, Client
from tests.command_line import run
from tests.running import Server, server


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with server(tmp_path_factory.mktemp("life") / "data") as running:
        yield running


@pytest.fixture(scope="module")
def shop(running: Server) -> Iterator[Client]:
    with Client(running.address) as client:
        client.put_nodes([("BLR", 12.97, 77.59), ("DEL", 28.64, 77.22)])
        client.put_channel("own")
        client.receive_stock([("SHIRT", "BLR", 5_000), ("SHOES", "DEL", 500)])
        yield client


def placed(shop: Client, order: str, units: int = 2, **more: Any) -> str:
    shop.place_order(
        channel="own", order_id=order, postal_code="560034", currency="INR", payment_method="card",
        lines=[{"sku": "SHIRT", "quantity": units, "unit_price": 49_900, "tax": 2_495}], **more,
    )  # fmt: skip
    return order


def refused(call: Any, *arguments: Any, **fields: Any) -> str:
    with pytest.raises(AllotError) as caught:
        call(*arguments, **fields)
    return caught.value.reason


def until(look: Any, wanted: Any, seconds: float = 20) -> Any:
    """What a look at the views comes to."""
    ends = time.monotonic() + seconds
    while (found := look()) != wanted and time.monotonic() < ends:
        time.sleep(0.05)
    return found


def test_an_order_goes_all_the_way_and_its_time_line_tells(shop: Client):
    placed(shop, "A-1", shipping_fee=5_000)
    made = shop.create_payment("own", "A-1", "P-1", method="card", gateway="local")
    assert shop.create_payment("own", "A-1", "P-1", method="card", gateway="local").again
    shop.advance_payment("authorise", channel="own", payment_id="P-1", gateway="local", reference="pay_1")
    assert refused(shop.advance_shipment, "ship", channel="own", shipment_id="S-1") == "UNKNOWN_SHIPMENT"
    shop.act_on_units("own", "A-1", "pick")
    shop.act_on_units("own", "A-1", "pack")
    shop.create_shipment("own", "A-1", "S-1", "BLR")
    shop.advance_shipment("book", channel="own", shipment_id="S-1", carrier="swift", reference="AWB1", cost=4_500)
    now_us = time.time_ns() // 1000
    for step, place in (("transit", "BLR hub"), ("transit", "MAA hub"), ("deliver", "560034"), ("transit", "MAA hub")):
        shop.advance_shipment(step, carrier="swift", reference="AWB1", place=place, at=now_us)
    found = shop.get_payment(gateway="local", reference="pay_1")
    assert (found.payment.number, found.payment.payment_id, found.channel, found.currency) == (
        made.number, "P-1", "own", "INR",
    )  # fmt: skip
    assert found.payment.capturing == 2 * 52_395 + 5_000
    shop.advance_payment("capture", gateway="local", reference="pay_1")
    shop.create_return("own", "A-1", "R-1", 1, 1, condition="unused", reason="too small")
    for step in ("approve", "receive", "inspect"):
        shop.advance_return(step, "own", "R-1")
    now = shop.get_life("own", "A-1").life
    (refund,), (shipment,), (back,) = now.refunds, now.shipments, now.returns
    assert (refund.amount, refund.state, refund.payment_number) == (52_395, life.REFUND_STATE_ASKED, made.number)
    assert (shipment.shipment_id, shipment.reference, shipment.carrier) == ("S-1", "AWB1", "swift")
    assert (back.reason, back.accepted, back.return_id) == ("too small", 1, "R-1")
    shop.advance_refund("done", refund.number, channel="own", payment_id="P-1")
    assert (now.balance.to_come, now.balance.captured, now.balance.refunded) == (0, 109_790, 52_395)
    wanted = [
        "PLACED", "ALLOCATED", "PAY", "AUTHORISE", "PICKED", "PACKED", "SEND", "ADD_ITEM", "BOOK", "SHIPPED", "SHIP",
        "ASK_CAPTURE", "TRANSIT", "TRANSIT", "DELIVERED", "DELIVER", "CAPTURE", "ASK_RETURN", "APPROVE", "RETURNED",
        "RECEIVE", "INSPECT", "ASK_REFUND", "REFUND",
    ]  # fmt: skip
    told = until(lambda: sorted(one.what for one in shop.get_life("own", "A-1").life.timeline), sorted(wanted))
    assert told == sorted(wanted)
    timeline = shop.get_life("own", "A-1").life.timeline
    assert {one.actor for one in timeline if one.what in ("PAY", "PICKED", "BOOK")} == {"loopback"}
    assert [one.reference for one in timeline if one.what == "TRANSIT"] == ["BLR hub", "MAA hub"]
    tracked = shop.track_shipment(shipment.tracking_token)
    assert tracked.state == life.SHIPMENT_STATE_DELIVERED
    assert [scan.reference for scan in tracked.scans if scan.what == "TRANSIT"] == ["BLR hub", "MAA hub"]
    forged = shipment.tracking_token[:-2] + ("AA" if shipment.tracking_token[-2:] != "AA" else "BB")
    assert refused(shop.track_shipment, forged) == "UNKNOWN_TOKEN"


def test_amounts_currencies_and_cards_are_looked_at(shop: Client):
    placed(shop, "B-1")
    pay = shop.create_payment
    assert refused(pay, "own", "B-1", "PB", method="card", gateway="local", amount=10**9) == "MORE_THAN_DUE"
    assert refused(pay, "own", "B-1", "PB", method="card", gateway="local", currency="USD") == "CURRENCY_MISMATCH"
    assert refused(pay, "own", "B-1", "PB", method="card", gateway="local", currency="Rs") == "NOT_A_CURRENCY"
    assert refused(pay, "own", "B-1", "PB", gateway="local") == "NOT_A_PAYMENT_METHOD"
    assert refused(pay, "own", "B-1", "4111 1111 1111 1111", method="card", gateway="local") == "CARD_NUMBER"
    assert refused(pay, "own", "B-1", "PB", method="card", gateway="local", token="4111111111111111") == "CARD_NUMBER"
    pay("own", "B-1", "PB", method="card", gateway="local", token="tok_1")
    shop.advance_payment("authorise", channel="own", payment_id="PB")
    advance = shop.advance_payment
    assert refused(advance, "capture", channel="own", payment_id="PB", amount=200_000) == "MORE_THAN_AUTHORISED"
    advance("capture", channel="own", payment_id="PB")
    assert refused(shop.refund_order, "own", "B-1", 200_000) == "MORE_THAN_CAPTURED"
    assert refused(shop.create_return, "own", "B-1", "RB", 1, 1) == "NOT_DELIVERED"


def test_prices_that_do_not_add_up_are_refused(shop: Client):
    assert refused(placed, shop, "C-1", discount=10**6) == "AMOUNT_OUT_OF_RANGE"


def test_the_tax_is_split_by_where_it_ships_from_and_goes(running: Server, shop: Client):
    found = run("node", "regions", "BLR=29", "DEL=07", "--india", f"--server={running.address}")
    assert (found.code, found.err) == (0, "")
    for order, code, halves in (("T-1", "560034", True), ("T-2", "110001", False)):
        shop.place_order(
            channel="own", order_id=order, postal_code=code, currency="INR", payment_method="channel",
            lines=[{"sku": "SHIRT", "quantity": 1, "unit_price": 10_000, "tax": 501}],
        )  # fmt: skip
        shop.create_shipment("own", order, f"S-{order}", "BLR")
        shop.advance_shipment("ship", channel="own", shipment_id=f"S-{order}")
        shipment = shop.get_shipment(channel="own", shipment_id=f"S-{order}").shipment
        (item,) = shipment.items
        assert shipment.tax_split == (1 if halves else 2)
        assert (item.tax, item.tax_2) == ((251, 250) if halves else (501, 0))
    put = shop.put_tax_regions
    assert refused(put, [("BLR", "560034", "29")]) == "ONE_OF_TWO"
    assert refused(put, [("", "", "29")]) == "ONE_OF_TWO"
    assert refused(put, [("NOWHERE", "", "29")]) == "UNKNOWN_NODE"
    assert refused(put, [("", "ZZZZZZ", "29")]) == "UNKNOWN_POSTAL_CODE"
    assert refused(put, [("BLR", "", "x" * 33)]) == "TOO_LONG"


def test_a_short_pick_sources_elsewhere(shop: Client):
    shop.receive_stock([("ONE", "BLR", 1), ("ONE", "DEL", 1)])
    shop.place_order(channel="own", order_id="D-1", postal_code="560034", lines=[("ONE", 1)])
    shop.act_on_units("own", "D-1", "short_pick")
    (part,) = shop.get_order("own", "D-1").parts
    assert part.node_id == "DEL"


def test_steps_come_in_batches_and_each_row_is_answered(shop: Client):
    orders = [placed(shop, f"E-{at}", 1) for at in range(30)]
    own = pa.array(["own"] * 30)
    pays = pa.table({
        "step": ["PAY"] * 30, "channel": own, "document_id": [f"p-{order}" for order in orders], "order_id": orders,
        "how": ["local"] * 30, "method": ["UPI"] * 30,
    })  # fmt: skip
    captures = pa.table({
        "step": ["CAPTURE"] * 31, "channel": pa.array(["own"] * 31),
        "document_id": [*(f"p-{order}" for order in orders), "nobody's"],
    })  # fmt: skip
    first, second = shop.take_steps("payments", [pays, captures])
    assert first.column("reason").null_count == 30
    assert second.column("reason").to_pylist() == [None] * 30 + ["UNKNOWN_PAYMENT"]
    sends = pa.table({
        "step": ["SEND"] * 30, "channel": own, "document_id": [f"s-{order}" for order in orders], "order_id": orders,
        "node_id": ["BLR"] * 30,
    })  # fmt: skip
    scans = pa.table({"step": ["DELIVER"] * 30, "channel": own, "document_id": [f"s-{order}" for order in orders]})
    for answers in shop.take_steps("shipments", [sends, scans]):
        assert answers.column("reason").null_count == 30
    asks = pa.table({
        "step": ["ASK_RETURN", "APPROVE", "RECEIVE", "INSPECT"], "channel": ["own"] * 4, "document_id": ["r"] * 4,
        "order_id": ["E-0", None, None, None], "line": pa.array([1, 0, 0, 0], pa.int32()),
        "quantity": pa.array([1, 0, 0, 0], pa.int32()), "kind": ["RETURN", None, None, None],
        "disposition": [None, None, None, "SCRAP"],
    })  # fmt: skip
    (answers,) = shop.take_steps("returns", [asks])
    assert answers.column("reason").null_count == 4
    assert shop.get_return("own", "r").returned.accepted == 1


@pytest.mark.parametrize(
    ("columns", "reason"),
    [
        ({"step": ["JUMP"]}, "OUT_OF_RANGE"),
        ({"step": ["SHIP"], "channel": ["own"], "document_id": ["s"]}, "OUT_OF_RANGE"),
        ({"step": ["CAPTURE"], "document_id": ["p"]}, "VALUE_MISSING"),
        ({"step": ["CAPTURE"], "channel": ["nobody's"], "document_id": ["p"]}, "UNKNOWN_CHANNEL"),
        ({"step": ["CAPTURE"], "channel": ["own"], "document_id": ["4111111111111111"]}, "CARD_NUMBER"),
        ({"step": ["PAY"], "channel": ["own"], "document_id": ["p"], "order_id": ["A-1"]}, "NOT_A_PAYMENT_METHOD"),
        ({"step": ["CAPTURE"], "channel": ["own"], "document_id": ["p"], "currency": ["rs"]}, "NOT_A_CURRENCY"),
        ({"step": ["CAPTURE"], "channel": ["own"], "document_id": ["p"], "amount": [-1]}, "OUT_OF_RANGE"),
        ({"step": ["CAPTURE"], "other": ["x"]}, "MALFORMED_BATCH"),
    ],
)
def test_a_batch_with_a_malformed_row_is_refused_whole(shop: Client, columns: dict[str, Any], reason: str):
    with pytest.raises(AllotError) as caught:
        list(shop.take_steps("payments", [pa.table(columns)]))
    assert caught.value.reason == reason


def test_policies_say_what_may_come_back(shop: Client):
    shop.put_return_policies(
        [{"return_days": 0, "category": "innerwear"}, {"return_days": 30, "fee": 5_000, "approves_at_once": True}],
        categories=[("SHOES", "innerwear")],
    )
    assert [policy.return_days for policy in shop.list_return_policies().policies] == [10, 0, 30]
    shop.place_order(
        channel="own", order_id="F-1", postal_code="110001", currency="INR",
        lines=[{"sku": sku, "quantity": 1, "unit_price": 99_900} for sku in ("SHIRT", "SHOES")],
    )  # fmt: skip
    for node in ("BLR", "DEL"):
        shop.create_shipment("own", "F-1", f"F-{node}", node)
        shop.advance_shipment("deliver", channel="own", shipment_id=f"F-{node}")
    assert refused(shop.create_return, "own", "F-1", "RF-2", 2, 1) == "TOO_LATE"
    shop.create_return("own", "F-1", "RF-1", 1, 1)
    assert shop.get_return("own", "RF-1").returned.state == life.RETURN_STATE_APPROVED
    for step in ("receive", "inspect"):
        shop.advance_return(step, "own", "RF-1")
    assert shop.get_return("own", "RF-1").returned.credited == 94_900
    shop.put_return_policies([])


def test_the_ledger_balances_and_the_folder_is_clean_after_a_kill(tmp_path: Path):
    killed = Server(tmp_path / "data")
    with Client(killed.address) as shop:
        shop.put_nodes([("BLR", 12.97, 77.59)])
        shop.put_channel("own")
        shop.receive_stock([("SHIRT", "BLR", 50)])
        placed(shop, "A-1")
        shop.create_payment("own", "A-1", "P-1", method="upi", gateway="local")
        shop.advance_payment("capture", channel="own", payment_id="P-1")
        shop.cancel_order("own", "A-1", quantity=1)
    killed.kill()
    with server(tmp_path / "data") as running, Client(running.address) as shop:
        balances = {one.account: one.amount for one in shop.get_ledger().balances}
        assert balances == {"CUSTOMER": -52_395, "GATEWAY": 104_790, "REFUNDS": -52_395}
        assert shop.get_payment(channel="own", payment_id="P-1").payment.refunding == 52_395


def test_a_batch_may_have_a_key_of_the_callers_and_no_rows_are_refused_by_name(shop: Client):
    placed(shop, "K-1")
    pay = {"step": "PAY", "channel": "own", "document_id": "P-K-1", "order_id": "K-1", "method": "CARD", "how": "local"}
    table = pa.table({name: [value] for name, value in pay.items()})
    first, again = (next(iter(shop.take_steps("payments", [("mine", table)]))) for _ in range(2))
    assert first.column("quantity") == again.column("quantity")
    assert (first.column("again").to_pylist(), again.column("again").to_pylist()) == ([False], [True])
    assert refused(lambda: list(shop.take_steps("payments", [table.slice(0, 0)]))) == "VALUE_MISSING"


@pytest.mark.parametrize(
    ("service", "row", "reason"),
    [
        ("shipments", {"step": "SEND", "order_id": "A"}, "VALUE_MISSING"),
        ("shipments", {"step": "BOOK", "document_id": "S"}, "VALUE_MISSING"),
        ("shipments", {"step": "SEND", "document_id": "S", "order_id": "A", "how": "x", "reference": "T"}, "NOT_YET"),
        ("shipments", {"step": "TRANSIT", "document_id": "S", "note": "4111.1111.1111.1111"}, "CARD_NUMBER"),
        ("payments", {"step": "PAY", "document_id": "P", "order_id": "A", "method": "CARD"}, "VALUE_MISSING"),
        ("payments", {"step": "CAPTURE", "document_id": "P", "reference": "pay_1"}, "VALUE_MISSING"),
        ("returns", {"step": "ASK_RETURN", "document_id": "R", "order_id": "A", "line": 1}, "OUT_OF_RANGE"),
        ("returns", {"step": "ASK_RETURN", "document_id": "R", "order_id": "A", "line": 1, "quantity": 1,
                     "kind": "EXCHANGE", "as_credit": True}, "ONE_OF_TWO"),
        ("returns", {"step": "ASK_RETURN", "document_id": "R", "order_id": "A", "line": 1, "quantity": 1,
                     "how": "4111 1111 1111 1111"}, "CARD_NUMBER"),
    ],
)  # fmt: skip
def test_batches_are_asked_for_what_single_calls_are(shop: Client, service: str, row: dict[str, Any], reason: str):
    table = pa.table({name: [value] for name, value in ({"channel": "own"} | row).items()})
    assert refused(lambda: list(shop.take_steps(service, [table]))) == reason


@pytest.mark.parametrize(
    ("lines", "order", "reason"),
    [
        ([{"unit_price": 100}, {}], {}, "PRICE_MISSING"), ([{}], {"shipping_fee": 50}, "PRICE_MISSING"),
        ([{"tax": 5}], {}, "PRICE_MISSING"), ([{"unit_price": 100}], {"currency": ""}, "VALUE_MISSING"),
    ],
)  # fmt: skip
def test_an_order_that_tells_a_part_of_its_prices_is_refused(
    shop: Client, lines: list[dict[str, Any]], order: dict[str, Any], reason: str
):
    asked = {"currency": "INR"} | order
    rows = [{"sku": "SHIRT", "quantity": 1} | line for line in lines]
    call = shop.place_order
    assert refused(call, channel="own", order_id="part", postal_code="560034", lines=rows, **asked) == reason


def test_a_time_to_pay_beyond_all_waiting_stops_nothing(tmp_path: Path):
    for _ in range(2):  # also when it is there at the start
        with server(tmp_path / "data") as running, Client(running.address) as shop:
            shop.put_nodes([("BLR", 12.97, 77.59)])
            shop.put_channel("own")
            shop.receive_stock([("SHIRT", "BLR", 50)])
            placed(shop, "late", pay_by_us=253_402_300_799_999_999)
            time.sleep(0.3)
            assert shop.get_order("own", "late").order_id == "late"


def test_card_numbers_are_kept_nowhere(shop: Client):
    card = "4111 1111-1111 1111"
    placed(shop, "C-9")
    for call, arguments, fields in (
        (shop.create_payment, ("own", "C-9", "P-C-9"), {"method": "card", "gateway": card}),
        (shop.create_payment, ("own", "C-9", card), {"method": "card", "gateway": "local"}),
        (shop.create_shipment, ("own", "C-9", "4111-1111-1111-1111", "BLR"), {}),
        (shop.advance_shipment, ("transit",), {"channel": "own", "shipment_id": "S", "place": card}),
        (shop.advance_shipment, ("book",), {"channel": "own", "shipment_id": "S", "carrier": card}),
        (shop.create_return, ("own", "C-9", "R", 1, 1), {"reason": "4111.1111.1111.1111"}),
        (placed, (shop, "4111-1111-1111-1111"), {}), (placed, (shop, "C-10"), {"service_level": card}),
    ):  # fmt: skip
        assert refused(call, *arguments, **fields) == "CARD_NUMBER", fields
