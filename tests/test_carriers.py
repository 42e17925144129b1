"""Shipping with real carrier processes, a real worker and real webhooks: booked, scanned, delivered, lost, refused."""

import asyncio
import hashlib
import hmac
import json
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import grpc
import pytest

from allot.v1 import events_pb2, shipments_pb2
from allot.v1 import life_pb2 as life
from allot_client import AllotError, Client
from server.carriers.carrier import Offer, Parcel, choose
from server.workers.carriers import CarriersWorker
from server.workers.cursor import Cursor
from tests.outsiders import SECRET, Outside, until
from tests.running import Server, server


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with server(tmp_path_factory.mktemp("carriers") / "data") as running:
        yield running


@pytest.fixture(scope="module")
def shop(running: Server) -> Iterator[Client]:
    with Client(running.address) as client:
        client.put_nodes([("BLR", 12.97, 77.59)])
        client.put_channel("own")
        client.receive_stock([("SHIRT", "BLR", 5_000)])
        yield client


@pytest.fixture(scope="module")
def outside(running: Server, shop: Client, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Outside]:
    outside = Outside(running.address, tmp_path_factory.mktemp("outside"))
    yield outside
    outside.stop()


@pytest.fixture(autouse=True)
def well_behaved(outside: Outside) -> Iterator[None]:
    yield
    outside.behave("swift", cost=4_000, down=False, slow_ms=0, late_ms=0, declines=False)
    outside.behave("thrift", cost=3_000, down=False, slow_ms=0, late_ms=0, declines=False)


def placed(shop: Client, order: str, method: str = "channel") -> str:
    shop.place_order(
        channel="own", order_id=order, postal_code="560034", currency="INR", payment_method=method,
        lines=[{"sku": "SHIRT", "quantity": 1, "unit_price": 10_000}],
    )  # fmt: skip
    return order


def shipment_of(shop: Client, order: str) -> Any:
    return shop.get_shipment(channel="own", shipment_id=f"S-{order}").shipment


def booked(shop: Client, outside: Outside, order: str) -> Any:
    shop.create_shipment("own", order, f"S-{order}", "BLR")
    until(lambda: shipment_of(shop, order).reference, "it is booked")
    return shipment_of(shop, order)


def advance(outside: Outside, *names: str) -> None:
    """Every parcel of some carriers goes on by one scan."""
    for name in names or ("swift", "thrift"):
        assert outside.http.post(f"{outside.urls[name]}/advance").status_code == 200


def in_state(shop: Client, order: str, state: str) -> Any:
    wanted = life.ShipmentState.Value(f"SHIPMENT_STATE_{state}")
    until(lambda: shipment_of(shop, order).state == wanted, f"{order} is {state}")
    return shipment_of(shop, order)


def timeline(shop: Client, order: str) -> list[str]:
    return [happening.what for happening in shop.get_life("own", order).life.timeline]


def parcels(outside: Outside, carrier: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = outside.http.get(f"{outside.urls[carrier]}/shipments").json()
    return found


def fate(outside: Outside, shipment: Any, what: str) -> None:
    path = f"/shipments/{shipment.reference}/fate"
    assert outside.http.put(outside.urls[shipment.carrier] + path, json={"fate": what}).status_code == 200


def signed(body: bytes, at: int | None = None) -> dict[str, str]:
    at = int(time.time()) if at is None else at
    signature = hmac.new(SECRET.encode(), f"{at}.".encode() + body, hashlib.sha256).hexdigest()
    return {"x_allot_signature": f"t={at},v1={signature}"}


def scans(outside: Outside, carrier: str, *scans: Any) -> tuple[int, dict[str, Any]]:
    body = json.dumps({"scans": scans}).encode()
    answer = outside.tell(f"/scans/{carrier}", body, **signed(body))
    return answer.status_code, answer.json()


def test_a_parcel_is_booked_scanned_and_delivered(shop: Client, outside: Outside):
    shipment = booked(shop, outside, placed(shop, "way"))
    assert shipment.carrier == "thrift"  # it asks less
    assert shipment.cost > 0
    assert shipment.due_at_us > time.time_ns() // 1000
    for state in ("SHIPPED", "SHIPPED", "SHIPPED", "OUT_FOR_DELIVERY", "DELIVERED"):
        advance(outside)
        in_state(shop, "way", state)


def test_cash_is_given_to_a_carrier_that_collects_it(shop: Client, outside: Outside):
    placed(shop, "cash", "cash_on_delivery")
    shipment = booked(shop, outside, "cash")
    assert (shipment.carrier, shipment.collect) == ("swift", 10_000)
    (parcel,) = [one for one in parcels(outside, "swift") if one["tracking"] == shipment.reference]
    assert parcel["collect"] == 10_000


def test_a_parcel_that_is_lost_and_one_that_nobody_takes(shop: Client, outside: Outside):
    lost, refused = (booked(shop, outside, placed(shop, order)) for order in ("lost", "refused"))
    fate(outside, lost, "LOSE")
    fate(outside, refused, "REFUSE")
    for _ in range(6):
        advance(outside)
    in_state(shop, "lost", "LOST")
    in_state(shop, "refused", "RETURNING")
    shop.advance_shipment("come_home", channel="own", shipment_id="S-refused")
    in_state(shop, "refused", "HOME")


def test_what_is_recalled_is_cancelled_there(shop: Client, outside: Outside):
    shipment = booked(shop, outside, placed(shop, "recalled"))
    shop.cancel_order("own", "recalled")
    in_state(shop, "recalled", "RECALLED")
    until(
        lambda: [one["fate"] for one in parcels(outside, "thrift") if one["tracking"] == shipment.reference]
        == ["CANCELLED"], "the carrier knows",
    )  # fmt: skip


def test_a_worker_that_is_killed_books_nothing_twice(shop: Client, outside: Outside):
    before = len(parcels(outside, "swift")) + len(parcels(outside, "thrift"))
    for turn in range(12):
        placed(shop, f"killed-{turn}")
        shop.create_shipment("own", f"killed-{turn}", f"S-killed-{turn}", "BLR")
        if turn % 3 == 2:
            outside.restart("carriers")
    for turn in range(12):
        until(lambda turn=turn: shipment_of(shop, f"killed-{turn}").reference, "it is booked")
    assert len(parcels(outside, "swift")) + len(parcels(outside, "thrift")) == before + 12


def test_a_worker_that_is_killed_goes_on_with_the_carrier_that_it_had_chosen(shop: Client, outside: Outside):
    """The other one is cheaper by then."""
    before = {name: len(parcels(outside, name)) for name in ("swift", "thrift")}
    outside.behave("thrift", late_ms=5_000)
    shop.create_shipment("own", placed(shop, "chosen"), "S-chosen", "BLR")
    until(lambda: len(parcels(outside, "thrift")) > before["thrift"], "it is booked, and nobody has told")
    assert (shipment_of(shop, "chosen").carrier, shipment_of(shop, "chosen").reference) == ("thrift", "")
    outside.behave("thrift", late_ms=0, cost=9_000)
    outside.restart("carriers")
    until(lambda: shipment_of(shop, "chosen").reference, "it is told")
    assert shipment_of(shop, "chosen").carrier == "thrift"
    assert {name: len(parcels(outside, name)) - before[name] for name in before} == {"swift": 0, "thrift": 1}


def test_a_carrier_that_took_a_parcel_and_declines_it_when_asked_again_has_it(shop: Client, outside: Outside):
    before = {name: len(parcels(outside, name)) for name in ("swift", "thrift")}
    outside.behave("thrift", late_ms=5_000)
    shop.create_shipment("own", placed(shop, "taken"), "S-taken", "BLR")
    until(lambda: len(parcels(outside, "thrift")) > before["thrift"], "it is booked, and nobody has told")
    outside.behave("thrift", late_ms=0, declines=True)
    outside.restart("carriers")
    until(lambda: shipment_of(shop, "taken").reference, "it is told")
    assert shipment_of(shop, "taken").carrier == "thrift"
    assert {name: len(parcels(outside, name)) - before[name] for name in before} == {"swift": 0, "thrift": 1}


def test_what_is_recalled_before_anybody_told_that_it_was_booked_is_cancelled_there(shop: Client, outside: Outside):
    before = len(parcels(outside, "thrift"))
    outside.behave("thrift", late_ms=5_000)
    shop.create_shipment("own", placed(shop, "untold"), "S-untold", "BLR")
    until(lambda: len(parcels(outside, "thrift")) > before, "it is booked, and nobody has told")
    outside.behave("thrift", late_ms=0)
    outside.restart("carriers", lambda: shop.cancel_order("own", "untold"))
    until(lambda: parcels(outside, "thrift")[-1]["fate"] == "CANCELLED", "the carrier knows")
    assert in_state(shop, "untold", "RECALLED").reference == ""


def test_a_carrier_that_is_away_does_not_stop_the_others(shop: Client, outside: Outside):
    outside.behave("thrift", down=True)
    assert booked(shop, outside, placed(shop, "away")).carrier == "swift"
    outside.behave("thrift", down=False, slow_ms=9_000)
    assert booked(shop, outside, placed(shop, "slow")).carrier == "swift"


def test_who_is_away_is_waited_for_where_nobody_else_goes(shop: Client, outside: Outside):
    outside.behave("swift", down=True)
    shop.create_shipment("own", placed(shop, "waits", "cash_on_delivery"), "S-waits", "BLR")
    assert booked(shop, outside, placed(shop, "meanwhile")).carrier == "thrift"
    assert shipment_of(shop, "waits").carrier == ""
    outside.behave("swift", down=False)
    until(lambda: shipment_of(shop, "waits").reference, "it is booked")


def test_where_a_carrier_declines_the_next_one_is_asked(shop: Client, outside: Outside):
    outside.behave("thrift", declines=True)
    assert booked(shop, outside, placed(shop, "declined")).carrier == "swift"


def test_until_when_a_parcel_is_needed():
    def needed(promised_us: int, within_days: int) -> int:
        frame: Any = SimpleNamespace(channel=grpc.aio.insecure_channel("127.0.0.1:1"))
        worker = CarriersWorker(frame, [], Cursor(Path("nowhere")), within_days)
        found = shipments_pb2.GetShipmentResponse(deliver_by_us=promised_us)
        return worker._parcel(events_pb2.Event(stamp_us=1_000), found).needed_by_us

    async def within() -> None:
        assert (needed(0, 0), needed(0, 2), needed(7_000, 2), needed(7_000, 0)) == (0, 172_800_001_000, 7_000, 7_000)

    asyncio.run(within())


def test_scans_come_in_batches_late_doubled_and_of_parcels_that_nobody_sent(shop: Client, outside: Outside):
    orders = [placed(shop, f"batch-{at}") for at in range(20)]
    sent = [booked(shop, outside, order) for order in orders]
    told = [
        {"tracking": one.reference, "step": step, "at_us": time.time_ns() // 1000 + at, "place": "hub"}
        for at, step in ((5, "DELIVER"), (1, "SHIP"), (3, "TRANSIT"), (3, "TRANSIT"))
        for one in sent
    ]
    status, answer = scans(outside, "thrift", *told, {"tracking": "NOBODY", "step": "TRANSIT"})
    refused = [{"row": 80, "reason": "UNKNOWN_SHIPMENT"}]
    assert (status, answer) == (200, {"scans": 81, "taken": 80, "refused": refused})
    body = json.dumps({"scans": [*told, {"tracking": "NOBODY", "step": "TRANSIT"}]}).encode()
    assert outside.tell("/scans/thrift", body, **signed(body)).json() == answer  # the same batch once more
    scans(outside, "thrift", {"tracking": sent[0].reference, "step": "REFUSE"})
    until(lambda: "REFUSE" in timeline(shop, orders[0]), "all of it is seen")
    assert timeline(shop, orders[0]).count("TRANSIT") == 2
    for order in orders:
        in_state(shop, order, "DELIVERED")


def test_scans_that_will_not_do_change_nothing(shop: Client, outside: Outside):
    body = b'{"scans": []}'
    assert outside.tell("/scans/swift", body).status_code == 401
    assert outside.tell("/scans/swift", body, **signed(body, 1)).status_code == 401
    assert outside.tell("/scans/nobody", body, **signed(body)).status_code == 404
    for wrong in (body, b"{", b"[]", b'{"scans": 7}', b"[" * 100_000):
        answer = outside.tell("/scans/swift", wrong, **signed(wrong))
        assert (answer.status_code, answer.json()["reason"]) == (400, "MALFORMED"), wrong


def test_a_scan_that_will_not_do_is_refused_alone(shop: Client, outside: Outside):
    good = booked(shop, outside, placed(shop, "alone")).reference
    now = time.time_ns() // 1000
    ships = {"tracking": "A", "step": "SHIP"}
    rows: list[tuple[Any, str]] = [
        ({}, "VALUE_MISSING"), (7, "NOT_A_SCAN"), ({"tracking": "A", "step": "BOOK"}, "NOT_A_SCAN"),
        (ships | {"at_us": "x"}, "NOT_A_TIME"), (ships | {"at_us": 10**30}, "AT_IN_FUTURE"),
        (ships | {"step": ["SHIP"]}, "NOT_A_SCAN"), (ships | {"tracking": "A" * 200}, "TOO_LONG"),
        (ships | {"at_us": -1}, "AT_TOO_OLD"), (ships | {"at_us": now + 10**9}, "AT_IN_FUTURE"),
        (ships | {"at_us": now - 61 * 86_400 * 10**6}, "AT_TOO_OLD"), (ships | {"at_us": True}, "NOT_A_TIME"),
        (ships | {"tracking": "A\n"}, "CONTROL_CHARACTER"), (ships | {"tracking": "\ud800"}, "CONTROL_CHARACTER"),
        (ships, "UNKNOWN_SHIPMENT"),
    ]  # fmt: skip
    taken = {"tracking": good, "step": "TRANSIT", "place": "a hub\n" + "of a long name " * 10}
    status, answer = scans(outside, "thrift", taken, *(row for row, _ in rows))
    refused = [{"row": at, "reason": reason} for at, (_, reason) in enumerate(rows, 1)]
    assert (status, answer) == (200, {"scans": len(rows) + 1, "taken": 1, "refused": refused})
    in_state(shop, "alone", "SHIPPED")


def test_another_carriers_parcel_is_not_known_to_it(shop: Client, outside: Outside):
    shipment = booked(shop, outside, placed(shop, "others"))
    _, answer = scans(outside, "swift", {"tracking": shipment.reference, "step": "DELIVER"})
    assert answer["refused"] == [{"row": 0, "reason": "UNKNOWN_SHIPMENT"}]


def test_the_page_that_tracks_a_parcel(shop: Client, outside: Outside):
    shipment = booked(shop, outside, placed(shop, "tracked"))
    scans(outside, "thrift", {"tracking": shipment.reference, "step": "TRANSIT", "place": "<b>hub</b>"})
    url = f"{outside.urls['hooks']}/t/{shipment.tracking_token}"
    until(lambda: "hub" in outside.http.get(url).text, "the scan is seen")
    page = outside.http.get(url).text
    assert "It is on its way." in page
    assert "<b>hub" not in page
    for wrong in (shipment.tracking_token[:-3] + "abc", "x", "0" * 400):
        assert outside.http.get(f"{outside.urls['hooks']}/t/{wrong}").status_code == 404
    with pytest.raises(AllotError):
        shop.track_shipment("x")


def test_which_offer_is_taken():
    parcel = Parcel(1, "BLR", "560034", 500, 0, needed_by_us=10)
    cheap, quick, late = Offer("c", 10, 10, False), Offer("q", 20, 5, True), Offer("l", 1, 11, True)
    assert choose([quick, late, cheap], parcel) is cheap
    assert choose([quick, late], parcel) is quick
    assert choose([late, Offer("m", 2, 11, True)], parcel) is late
    assert choose([cheap, quick], Parcel(1, "BLR", "560034", 500, 100)) is quick
    assert choose([cheap], Parcel(1, "BLR", "560034", 500, 100)) is None
    assert choose([Offer("b", 1, 1, True), Offer("a", 1, 1, True)], parcel).carrier == "a"  # type: ignore[union-attr]
