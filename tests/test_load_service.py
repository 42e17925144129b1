"""`allot load` against real servers: what it finds is what the server has, and what goes wrong is told."""

import json
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import trustme

from allot_client import Client
from server.load.catalogue import Catalogue
from server.load.ledger import Ledger
from server.load.orders import draw
from server.load.proof import prove
from server.security import make_token
from tests.command_line import Outcome, run, spawn
from tests.running import Server, server

FLAGS = ("--no-views", "--no-snapshots", "--log-level=error", "--postal-codes=none")
QUICK = ("--seconds", 1, "--warm-up", 0.2, "--skus", 200, "--json")
EVERYTHING = "place=6,reserve=2,read=3,batch=1"


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with server(tmp_path_factory.mktemp("load") / "data", *FLAGS) as service:
        yield service


@pytest.fixture(autouse=True)
def _nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("ALLOT_TOKEN", "ALLOT_CA", "ALLOT_SERVER"):
        monkeypatch.delenv(name, raising=False)


def load(address: str, *more: object) -> Outcome:
    return run("load", "--server", address, *QUICK, *more)


def stock_of(address: str, catalogue: Catalogue) -> dict[str, int]:
    """Bound units by SKU, by the server's lists."""
    bound: dict[str, int] = {}
    with Client(address) as client:
        for cell in client.list_stock():
            bound[cell.sku] = bound.get(cell.sku, 0) + cell.allocated + cell.reserved
            assert cell.allocated + cell.reserved <= cell.on_hand
            assert cell.deficit == 0
    return {sku: bound.get(sku, 0) for sku in catalogue.skus}


def test_a_second_of_everything_is_proved(running: Server):
    for more in (("--concurrency", 8), ("--rate", 200), ("--rate", 200, "--stock", 3)):
        before = sum(stock_of(running.address, Catalogue("", 200)).values())
        found = load(running.address, "--mix", EVERYTHING, "--batch", 50, *more)
        assert (found.code, found.err) == (0, ""), found
        told = found.json
        assert (told["faults"], told["failures"], told["never_sent"]) == ([], {}, 0)
        calls = told["calls"]
        assert set(calls) == {
            "PlaceOrder", "Reserve", "Confirm", "Release", "GetOrder", "GetAvailability", "AllocateBatches"
        }  # fmt: skip
        assert all(one["answered"] == one["sent"] > 0 for one in calls.values())
        assert all(0 < one["p50_ms"] <= one["p99_ms"] <= one["max_ms"] for one in calls.values())
        assert calls["AllocateBatches"]["orders"] == 50 * calls["AllocateBatches"]["answered"]
        assert told["all"]["answered"] == sum(one["answered"] for one in calls.values())
        assert told["all"]["orders"] == sum(one["orders"] for one in calls.values())
        assert told["server"]["version"] == told["client"]["version"] != ""
        bound = sum(stock_of(running.address, Catalogue("", 200)).values()) - before
        assert bound == told["proof"]["units"] == told["proof"]["bound_units"] > 0
        assert told["proof"]["looked_up"] > 0
        assert len(told["timeline"]) >= 1
        assert sum(count for _, count in told["latencies"]) == told["all"]["answered"]
    assert told["outcomes"]["short"] > 0  # of the last: what is popular ran out


def test_without_a_warm_up_the_first_requests_count(running: Server):
    told = load(running.address, "--mix", "batch=1", "--batch", 50, "--concurrency", 64, "--warm-up", 0).json
    assert told["faults"] == []
    assert told["all"]["orders"] == told["proof"]["orders"] > 0


def test_the_load_leaves_its_channel_and_nodes_closed(running: Server):
    assert load(running.address, "--mix", "place=1", "--concurrency", 4).code == 0
    with Client(running.address) as client:
        assert {channel.channel: channel.closed for channel in client.list_channels()}["load"]
        assert all(node.closed for node in client.list_nodes())


def test_a_rate_is_kept_and_latency_is_from_when_a_request_was_due(running: Server):
    told = load(running.address, "--mix", "read=1", "--rate", 300, "--seconds", 2).json
    assert told["faults"] == []
    assert told["all"]["per_second"] == pytest.approx(300, rel=0.2)
    slow = load(running.address, "--mix", "place=1", "--rate", 3000, "--seconds", 0.5, "--concurrency", 1).json
    assert slow["all"]["p50_ms"] >= slow["sending"]["p50_ms"] > 20  # more than one caller can send: each waits its turn
    assert any("sent" in warning for warning in slow["warnings"])


def test_a_person_reads_tables_and_a_line_a_second(running: Server, tmp_path: Path):
    page = tmp_path / "page.html"
    found = run("load", "--server", running.address, *QUICK[:-1], "--mix", "place=2,reserve=1", "--out", page)
    assert found.code == 0, found
    for words in ("orders taken", "oversold units", "PlaceOrder", "Left on the server, closed", "again: allot load "):
        assert words in found.out
    assert "/s answered" in found.err
    assert f"page: {page}" in found.out
    html = page.read_text()
    assert html.count("data:image/svg+xml;base64,") == 3
    assert "Nothing was oversold, lost or failed." in html
    assert "http" not in html.replace("http://www.w3.org", "")


def test_a_server_with_something_of_others_is_left_alone_unless_that_is_wanted(tmp_path: Path):
    with server(tmp_path / "data", *FLAGS) as live:
        with Client(live.address) as client:
            client.put_nodes([("DEL", 28.6, 77.2)])
            client.put_channel("own")
            client.put_channel("few", node_ids=["DEL"])
            client.receive_stock([("SKU-1", "DEL", 10)])
        refused = load(live.address)
        assert (refused.code, refused.out) == (2, "")
        assert refused.err.count("\n") == 1
        for words in ("nodes (DEL)", "channels (own, few)", "own, serving from every node", "--into-live"):
            assert words in refused.err
        with Client(live.address) as client:
            assert [node.node_id for node in client.list_nodes()] == ["DEL"]
        assert load(live.address, "--into-live", "--mix", EVERYTHING, "--batch", 20).code == 0
        with Client(live.address) as client:
            (cell,) = client.get_stock("SKU-1").cells
            assert (cell.on_hand, cell.allocated, cell.reserved) == (10, 0, 0)
            channels = {channel.channel: channel.closed for channel in client.list_channels()}
            assert channels == {"own": False, "few": False, "load": True}
            assert [n.node_id for n in client.list_nodes() if not n.closed] == ["DEL"]
            assert client.place_order(
                channel="own", order_id="a", postal_code="load-00001", lines=[("SKU-1", 1)]
            ).number
            figures = client.get_availability("own", Catalogue("", 200).skus).figures
            assert [figure.units for figure in figures] == [0] * 200  # nobody sells what is left of it


def test_two_runs_at_a_time_have_each_their_own(running: Server):
    found: dict[str, Any] = {}

    def one(name: str) -> None:
        process = spawn("load", "--server", running.address, *QUICK, "--name", name, "--concurrency", 4)
        found[name] = (*process.communicate(), process.returncode)

    threads = [threading.Thread(target=one, args=(name,)) for name in ("a", "b")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for out, err, code in found.values():
        assert (code, err) == (0, ""), out
        assert json.loads(out)["faults"] == []


def test_a_run_that_was_killed_is_taken_over_only_when_that_is_wanted(running: Server):
    with Client(running.address) as client:
        Catalogue("left", 10).put(client, 5)
    again = ("--name", "left", "--mix", "place=1", "--concurrency", 2)
    refused = load(running.address, *again)
    assert (refused.code, "under way, or was killed" in refused.err) == (2, True)
    assert load(running.address, *again, "--into-live").code == 0


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (("--mix", "place=x"), "--mix: place=x"),
        (("--name", "a b"), "--name a b"),
        (("--rate", "nan"), "--rate"),
        (("--rate", "inf"), "--rate"),
        (("--seconds", "inf"), "--seconds inf"),
        (("--name", "a" * 17), "16 letters"),
        (("--out", "/nowhere/page.html"), "there is no folder"),
    ],
)
def test_what_will_not_do_is_told_before_anything_is_sent(given: tuple[str, ...], said: str):
    found = run("load", *given)
    assert (found.code, found.out) == (2, "")
    assert said in found.err


def test_without_a_server_it_is_one_line():
    found = run("load", "--server", "127.0.0.1:1")
    assert (found.code, found.out, found.err.count("\n")) == (1, "", 1)
    assert "no server answers" in found.err


def test_promises_need_a_service_card(running: Server):
    found = load(running.address, "--mix", "promise=1", "--name", "p")
    assert (found.code, found.out) == (1, "")
    assert "service card" in found.err
    with Client(running.address) as client:  # it has tidied up
        assert {channel.channel: channel.closed for channel in client.list_channels()}["load-p"]


def test_tls_and_an_operators_token_are_all_it_takes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    entries, tokens = [], {}
    for role in ("operator", "shop"):
        tokens[role], digest = make_token()
        entries.append(f'[[token]]\nname = "{role}"\nrole = "{role}"\nsha256 = "{digest}"\n')
    (tmp_path / "tokens.toml").write_text("\n".join(entries))
    authority = trustme.CA()
    certificate = authority.issue_cert("127.0.0.1")
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    certificate.private_key_pem.write_to_path(str(tmp_path / "key.pem"))
    certificate.cert_chain_pems[0].write_to_path(str(tmp_path / "certificate.pem"))
    names = {"tokens": "tokens.toml", "tls-certificate": "certificate.pem", "tls-key": "key.pem"}
    with server(tmp_path / "data", *FLAGS, *(f"--{flag}={tmp_path / file}" for flag, file in names.items())) as gate:
        monkeypatch.setenv("ALLOT_CA", str(tmp_path / "ca.pem"))
        refused = load(gate.address)
        assert (refused.code, "token" in refused.err) == (1, True)
        monkeypatch.setenv("ALLOT_TOKEN", tokens["shop"])
        refused = load(gate.address)
        assert (refused.code, "give the token of an operator" in refused.err) == (1, True)
        monkeypatch.setenv("ALLOT_TOKEN", tokens["operator"])
        found = load(gate.address, "--mix", EVERYTHING, "--batch", 20)
        assert (found.code, found.err) == (0, ""), found
        assert found.json["server"]["tls"]
        assert tokens["operator"] not in found.out


def test_a_server_that_is_killed_and_comes_back_has_lost_nothing(tmp_path: Path):
    first = Server(tmp_path / "data", *FLAGS)
    flags = (*FLAGS, f"--listen={first.address}")
    process = spawn(
        "load", "--server", first.address, "--mix", EVERYTHING, "--batch", 200, "--seconds", 6, "--warm-up", 0,
        "--skus", 100, "--patience", 60, "--json",
    )  # fmt: skip
    assert until(lambda: orders_of(first.address), 60)
    first.kill()
    second = Server(tmp_path / "data", *flags)
    try:
        out, err = process.communicate()
        told = json.loads(out)
        assert (process.returncode, err) == (1, "")  # the calls that failed are told
        assert all(kind.startswith(("UNAVAILABLE", "CANCELLED", "UNKNOWN")) for kind in told["failures"]), told
        assert told["repeated"]["calls"] > 0
        assert (told["repeated"]["unknown"], told["repeated"]["failed"]) == (0, {})
        assert told["proof"]["faults"] == []
        assert told["proof"]["units"] == told["proof"]["bound_units"] > 0
        assert second.stop() == 0
    finally:
        if second.process.poll() is None:
            second.kill()
    assert run("verify", "--data", tmp_path / "data", "--json").json["clean"]


def test_a_server_that_goes_for_good_ends_the_run(tmp_path: Path):
    only = Server(tmp_path / "data", *FLAGS)
    process = spawn(
        "load", "--server", only.address, "--seconds", 0, "--warm-up", 0, "--skus", 100, "--patience", 1, "--json"
    )
    assert until(lambda: orders_of(only.address), 60)
    only.kill()
    out, err = process.communicate(timeout=60)
    told = json.loads(out)
    assert (process.returncode, err) == (1, "")
    assert "the server did not answer any more" in " ".join(told["faults"])
    assert told["proof"] is None
    assert "not closed" in told["run"]["left"]
    assert told["repeated"]["unknown"] > 0


def test_what_a_server_has_no_room_for_is_told_and_nothing_is_oversold(tmp_path: Path):
    with server(tmp_path / "data", *FLAGS, "--queue-requests-max=2") as small:
        found = load(small.address, "--mix", "place=1,reserve=1", "--concurrency", 64)
        assert (found.code, found.err) == (1, "")
        told = found.json
        assert set(told["failures"]) == {"RESOURCE_EXHAUSTED QUEUE_FULL"}
        assert "wait and send it again" in told["messages"]["RESOURCE_EXHAUSTED QUEUE_FULL"]
        assert len(told["faults"]) == 1
        assert (told["proof"]["faults"], told["repeated"]["unknown"]) == ([], 0)
        with Client(small.address) as client:  # ends of carts that found no room were made again
            assert sum(cell.reserved for cell in client.list_stock()) == 0


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupt_ends_it_with_its_report(running: Server, number: signal.Signals):
    process = spawn(
        "load", "--server", running.address, "--seconds", 0, "--warm-up", 0, "--skus", 100, "--name", "int", "--json"
    )
    assert until(lambda: orders_of(running.address, "load-int"), 60)
    time.sleep(0.5)
    process.send_signal(number)
    out, _ = process.communicate(timeout=60)
    told = json.loads(out)
    assert process.returncode == 130
    assert (told["faults"], told["proof"]["faults"]) == ([], [])
    assert told["proof"]["units"] == told["proof"]["bound_units"] > 0
    with Client(running.address) as client:
        assert {channel.channel: channel.closed for channel in client.list_channels()}["load-int"]


def orders_of(address: str, channel: str = "load") -> bool:
    """Whether the run has sold anything."""
    with Client(address, patience=0) as client:
        if channel not in {one.channel for one in client.list_channels() if not one.closed}:
            return False
        return any(cell.allocated for cell in client.list_stock() if cell.sku.startswith(channel))


def until(is_so: Any, seconds_max: float) -> bool:
    end = time.monotonic() + seconds_max
    while time.monotonic() < end:
        if is_so():
            return True
        time.sleep(0.05)
    return False


def test_the_proof_notices_what_is_lost_or_sold_twice(running: Server):
    catalogue = Catalogue("proof", 30)
    with Client(running.address) as client:
        before = catalogue.put(client, 40)
        ledger = Ledger(catalogue, 1)
        drawn = draw(60, 30, 50, (1,))
        for order in range(60):
            skus = drawn.sku[drawn.first_line[order] : drawn.first_line[order + 1]].tolist()
            order_id, code = f"p-{time.time_ns()}", catalogue.codes[drawn.code[order]]
            lines = [(catalogue.skus[sku], 1) for sku in skus]
            decision = client.place_order(channel=catalogue.channel, order_id=order_id, postal_code=code, lines=lines)
            ledger.decided(order_id, skus, decision, False)
        clean = prove(client, catalogue, ledger, before, 40, 0)
        assert (clean.faults, clean.orders, clean.looked_up, clean.oversold_units) == ([], 60, 60, 0)
        assert clean.units == clean.bound_units == ledger.units().sum() > 60

        ledger.again += 1
        assert "answered as repeats" in prove(client, catalogue, ledger, before, 40, 0).faults[0]
        ledger.again -= 1
        sold_twice = prove(client, catalogue, ledger, before - 1, 40, 0)
        assert "other units than it answered" in sold_twice.faults[0]
        assert prove(client, catalogue, ledger, before - 1, 40, 1).faults == []  # a call without an answer may have
        assert "more units than there were" in prove(client, catalogue, ledger, before, 0, 0).faults[0]
        client.cancel_order(catalogue.channel, ledger.last[0].order_id)
        lost = prove(client, catalogue, ledger, before, 40, 1).faults
        assert len(lost) == 2
        assert ledger.last[0].order_id in lost[1]
        catalogue.close(client)
