"""Commands that speak to a running server, as a user meets them: what they send, what they print, exit codes, and one
line on stderr for each thing that goes wrong. First against a service that does as the test says, then the real one.
"""

import json
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

import pyarrow.csv
import pyarrow.parquet
import pytest

from allot.v1 import catalogue_pb2, types_pb2
from server.errors import Rejection, busy, invalid
from tests.command_line import Outcome, run, write_csv
from tests.fake_service import FakeService, gone, serving
from tests.test_client import Code

COMMANDS = (
    "order place", "order get", "order list", "order cancel", "order reevaluate", "order send", "stock receive",
    "stock count", "stock get", "stock list", "node put", "node reallocate", "node list", "channel put",
    "channel close", "channel list", "channels", "watch", "events", "explain",
)  # fmt: skip
HEADER = "order_id,channel,postal_code,sku,quantity"
PLACE = ("order", "place", "A-1", "--channel", "own", "--postal-code", "560001", "--line", "SKU-1=2")


@pytest.fixture
def service() -> FakeService:
    return FakeService()


@pytest.fixture(autouse=True)
def server(service: FakeService, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    for name in ("ALLOT_TOKEN", "ALLOT_CA"):
        monkeypatch.delenv(name, raising=False)
    with serving(service) as address:
        monkeypatch.setenv("ALLOT_SERVER", address)
        yield address


def failed(found: Outcome, code: int, *said: str) -> None:
    assert (found.code, found.out) == (code, "")
    assert found.err.startswith("allot: ")
    assert found.err.count("\n") == 1
    for words in said:
        assert words in found.err


@pytest.mark.parametrize("command", COMMANDS)
def test_help_has_an_example(command: str):
    found = run(*command.split(), "--help")
    assert (found.code, found.err) == (0, "")
    assert f"allot {command}" in found.out.split("Example:")[1]


@pytest.mark.parametrize("group", ["order", "stock", "node", "channel"])
def test_a_group_lists_its_commands(group: str):
    assert all(word.split()[1] in run(group, "--help").out for word in COMMANDS if word.startswith(group + " "))


# What is sent and printed


def test_place_prints_which_node_gives_what(service: FakeService):
    found = run(*PLACE, "--line", "A=B=3", "--nodes-max", 2, "--ship-complete")
    assert (found.code, found.err) == (0, "")
    assert "order A-1: allocated, number 1" in found.out
    assert "N1" in found.out
    order = service.asked[0].order
    assert [(line.sku, line.quantity) for line in order.lines] == [("SKU-1", 2), ("A=B", 3)]
    assert (order.nodes_max, order.ship_complete) == (2, True)


def test_place_prints_json():
    assert run(*PLACE, "--json").json == {
        "outcome": "ALLOCATED", "number": 1, "again": False,
        "parts": [{"line": 1, "node_id": "N1", "stage": "ALLOCATED", "quantity": 1, "distance_m": 5}],
    }  # fmt: skip


def test_a_refused_order_exits_with_1(service: FakeService):
    service.decision = types_pb2.Decision(outcome=types_pb2.OUTCOME_REFUSED, again=True)
    found = run(*PLACE)
    assert (found.code, found.out) == (1, "order A-1: refused, decided before\n")


def test_cancel_sends_the_key_that_is_given(service: FakeService):
    found = run("order", "cancel", "A-1", "--channel", "own", "--line", 2, "--request-id", "mine")
    assert (found.code, found.out) == (0, "order A-1: 2 units cancelled\n")
    assert (service.asked[0].request_id, service.asked[0].line) == ("mine", 2)


def test_node_put_sends_where_it_is(service: FakeService):
    assert "node BLR is open; done before" in run("node", "put", "BLR", "--postal-code", "560001").out
    run("node", "put", "BLR", "--latitude", "12.5", "--longitude", "77.5", "--closed", "--json")
    first, second = (asked.nodes[0] for asked in service.asked)
    assert (first.postal_code, first.HasField("latitude"), first.closed) == ("560001", False, False)
    assert (second.latitude, second.longitude, second.closed) == (12.5, 77.5, True)
    failed(run("node", "put", "BLR", "--latitude", "12.5"), 2, "--latitude and --longitude: give both or neither")


def test_channel_put_sends_the_policy(service: FakeService):
    found = run("channel", "put", "own", "--node", "N1", "--node", "N2", "--on-short", "refuse", "--share-ppm", 500_000)
    assert (found.code, found.out) == (0, "channel own is set\n")
    sent = service.asked[0].channel
    assert list(sent.node_ids) == ["N1", "N2"]
    run("channel", "put", "own", "--buffer", 2, "--buffer-ppm", 50_000)
    more = service.asked[1].channel
    assert (more.policy.buffer, more.policy.buffer_ppm, more.closed, sent.policy.buffer_ppm) == (2, 50_000, False, 0)
    assert (sent.on_short, sent.policy.share_ppm, sent.policy.HasField("cap")) == (
        catalogue_pb2.ON_SHORT_REFUSE, 500_000, False,
    )  # fmt: skip
    failed(
        run("channel", "put", "own", "--on-short", "sulk"), 2, "channel.on_short: 'sulk'", "refuse, back_order, keep"
    )


def test_receive_sends_one_row_or_a_file(service: FakeService, tmp_path: Path):
    found = run("stock", "receive", "SKU-1", "BLR", 10, "--reference", 7)
    assert found.out == "received 10 units in 1 rows, 1 figures changed\n"
    assert service.asked[0].reference == 7
    file = write_csv(tmp_path / "stock.csv", "sku,node_id,on_hand", [("S1", "BLR", 1), ("S2", "BLR", 2)])
    assert run("stock", "receive", "--file", file, "--json").json["rows"] == 2
    assert [(row.sku, row.node_id, row.quantity) for row in service.asked[1].rows] == [
        ("S1", "BLR", 1),
        ("S2", "BLR", 2),
    ]


def test_a_large_file_is_sent_in_pieces_whose_keys_go_back_to_one(service: FakeService, tmp_path: Path):
    rows = [(f"S{row}", "BLR", 1) for row in range(50_001)]
    file = write_csv(tmp_path / "stock.csv", "sku,node_id,quantity", rows)
    found = run("stock", "receive", "--file", file, "--request-id", "mine", "--json")
    assert found.json == {"rows": 50_001, "changed": 50_001, "again": False, "request_id": "mine"}
    assert [(asked.request_id, len(asked.rows)) for asked in service.asked] == [("mine-1", 50_000), ("mine-2", 1)]


def test_a_failure_names_the_key_to_repeat_with(service: FakeService):
    service.failures = [busy("too much is waiting", "QUEUE_FULL", 500)]
    found = run("stock", "receive", "SKU-1", "BLR", 10)
    failed(found, 1, f"to repeat safely: --request-id {service.asked[0].request_id}", "try again in 0.5 s (QUEUE_FULL)")


def test_a_count_says_who_and_when(service: FakeService, tmp_path: Path):
    at = "2026-01-31T18:30:00+05:30"
    assert run("stock", "count", "SKU-1", "BLR", 0, "--source", "wms", "--counted-at", at).code == 0
    assert service.asked[0].counted_at_us == datetime.fromisoformat(at).timestamp() * 1e6
    assert service.asked[0].source == "wms"
    file = write_csv(tmp_path / "stock.csv", "sku,node_id,quantity", [("S1", "BLR", 0)])
    run("stock", "count", "--file", file, "--source", "wms")
    assert service.asked[1].counted_at_us == file.stat().st_mtime_ns // 1000
    for wrong in ("yesterday", "2026-01-31T18:30:00"):
        failed(
            run("stock", "count", "S", "N", 1, "--source", "w", "--counted-at", wrong), 2, f"--counted-at {wrong}: give"
        )


def test_watch_once_prints_a_line_a_figure(service: FakeService):
    service.breaks, service.break_with = [2], None
    assert run("watch", "own", "--from", 5, "--once").out == "6\t1\tS\n7\t2\tS\n"
    found = run("watch", "own", "--once", "--json").out.splitlines()
    assert json.loads(found[0]) == {
        "figures": [{"sku": "S", "units": 1, "version": 1}], "version": 1, "complete": True,
        "as_of_us": 0, "durable_at_us": 0, "engine_id": "",
    }  # fmt: skip


def test_channels_prints_a_row_a_channel():
    title, _, header, _, own, new, *_ = run("channels").out.splitlines()
    assert title == "channels: 2; sold as of commit 9, to sell as of 10"
    assert header.split() == ["channel", "orders", "refused", "units", "sold", "sell-through", "shipped", "to", "sell"]
    assert own.split() == ["own", "4", "1", "1,200", "25.0%", "7", "3,600"]
    assert new.split() == ["new", "0", "0", "0", "-", "0", "0"]
    found = run("channels", "--json").json
    assert (found["view_sequence"], found["version"]) == (9, 10)
    assert [(row["units_sold"], row["sell_through"], "redis" in row) for row in found["channels"]] == [
        (1200, 0.25, False),
        (0, None, False),
    ]


def test_events_once_prints_a_line_an_event(service: FakeService):
    service.break_with = None
    found = run("events", "--after", "4-1", "--once", "--kinds", "order_decided", "--kinds", "units-moved")
    assert [line.split("\t")[0] for line in found.out.splitlines()][:2] == ["5-0", "5-1"]
    assert list(service.asked[0].kinds) == [1, 2]
    assert json.loads(run("events", "--once", "--json").out.splitlines()[0])["event_id"] == "1-0"


# A file of orders


def test_send_sums_up_and_writes_results(tmp_path: Path, service: FakeService):
    rows = [("A", "own", "560001", "S1", 1), ("B", "own", "560001", "S1", 2), ("A", "own", "560001", "S2", 1)]
    file = write_csv(tmp_path / "orders.csv", HEADER, rows)
    found = run("order", "send", file, "--results", tmp_path / "results.parquet", "--json")
    assert (found.code, found.err) == (0, "")
    assert {name: found.json[name] for name in ("orders", "allocated", "refused", "not_taken", "known_before")} == {
        "orders": 2, "allocated": 2, "refused": 0, "not_taken": 0, "known_before": 0,
    }  # fmt: skip
    assert pyarrow.parquet.read_table(tmp_path / "results.parquet").column("order_id").to_pylist() == ["A", "B"]
    shown = run("order", "send", file, "--results", tmp_path / "results.csv")
    assert "sent orders.csv" in shown.out
    assert pyarrow.csv.read_csv(tmp_path / "results.csv").column("outcome").to_pylist() == ["ALLOCATED"] * 2


def test_send_counts_what_was_not_taken_and_names_the_first(tmp_path: Path):
    rows = [("A", "560001", "S1", 1), ("B", "560001", "", 2)]
    file = write_csv(tmp_path / "orders.csv", "order_id,postal_code,sku,quantity", rows)
    found = run("order", "send", file, "--channel", "own")
    assert found.code == 1
    assert "unknown sku" in found.out
    assert "the first that was not taken is B of own: UNKNOWN_SKU, lines.sku" in found.out
    assert "--results FILE" in found.out
    assert run("order", "send", file, "--channel", "own", "--json").json["not_taken_by_reason"] == {"UNKNOWN_SKU": 1}


def test_send_goes_on_after_the_stream_broke(tmp_path: Path, service: FakeService):
    service.breaks = [1, 0, 1]
    file = write_csv(tmp_path / "orders.csv", HEADER, [(f"A-{n}", "own", "560001", "S1", 1) for n in range(10)])
    assert run("order", "send", file, "--batch-orders", 2, "--json").json["allocated"] == 10


@pytest.mark.parametrize(
    ("content", "options", "said"),
    [
        ("order_id,postal_code,sku,quantity\nA,1,S,1\n", (), "has no column channel"),
        (f"{HEADER}\nA,own,1,S,two\n", (), "two"),
        (f"{HEADER}\nA,own,1,S,1\nA,own,2,S,1\n", (), "row 2, postal_code '2'"),
        (f"{HEADER}\nA,own,1,S,1\n", ("--batch-orders", 0), "batch_orders: 0: give 1 to 16,384"),
        (f"{HEADER}\nA,own,1,S,1\n", ("--results", "out.txt"), "--results out.txt: must end in"),
        ("", (), "orders.csv"),
    ],
    ids=range(6),
)
def test_a_file_that_cannot_be_sent_is_named(tmp_path: Path, content: str, options: tuple[object, ...], said: str):
    file = tmp_path / "orders.csv"
    file.write_text(content)
    failed(run("order", "send", file, *options), 2, said)


def test_a_file_that_is_not_there_is_named(tmp_path: Path):
    failed(run("order", "send", tmp_path / "no.csv"), 2, "no.csv: no such file")
    failed(run("stock", "receive", "--file", tmp_path / "no.csv"), 2, "no.csv: no such file")


def test_results_may_not_overwrite_the_orders(tmp_path: Path):
    file = write_csv(tmp_path / "orders.csv", HEADER, [("A", "own", "1", "S", 1)])
    failed(run("order", "send", file, "--results", file), 2, "would overwrite")


# What goes wrong


@pytest.mark.parametrize(
    ("failure", "code", "said"),
    [
        (invalid("order.lines[0].sku", "'X' is not known: add it", "UNKNOWN_SKU"), 1, "order.lines[0].sku: 'X' is not"),
        (
            invalid("order.channel", "order.channel: ''\ngive one"),
            2,
            "allot: order.channel: '' give one (INVALID_VALUE)",
        ),
        (Rejection(Code.ALREADY_EXISTS, "KEY_CONFLICT", "other content"), 1, "other content (KEY_CONFLICT)"),
        (busy("4096 are waiting", "QUEUE_FULL", 250), 1, "4096 are waiting; try again in 0.25 s (QUEUE_FULL)"),
        (Rejection(Code.UNAUTHENTICATED, "TOKEN_MISSING", "no token"), 1, "no token (TOKEN_MISSING)"),
        (Rejection(Code.DEADLINE_EXCEEDED, "DEADLINE_EXCEEDED", "late"), 1, "no answer in time"),
    ],
    ids=range(6),
)
def test_a_failure_is_one_line_and_an_exit_code(service: FakeService, failure: Rejection, code: int, said: str):
    service.failures = [failure]
    failed(run(*PLACE), code, said)


def test_a_server_that_goes_away_for_a_moment_is_waited_for(service: FakeService):
    service.failures = [gone(), gone()]
    assert run(*PLACE).code == 0


def test_no_server_is_named_with_the_mend(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("server.cli.connection.PATIENCE_SECONDS", 0.2)
    failed(run(*PLACE, "--server", "127.0.0.1:1"), 1, "127.0.0.1:1: no server answers: start one by `allot serve`")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ((*PLACE, "--line", "SKU-1"), "--line SKU-1: give SKU=UNITS"),
        ((*PLACE, "--line", "SKU-1=-2"), "--line SKU-1=-2: give SKU=UNITS"),
        (("order", "list", "--state", "lost"), "state: 'lost' is not known: give one of reserved, cancelled"),
        (("stock", "receive", "SKU-1", "BLR"), "give SKU NODE UNITS, or --file FILE"),
        (("stock", "receive", "SKU-1", "BLR", 1, "--file", "x.csv"), "SKU-1 and --file x.csv: give one of them"),
        (("events", "--kinds", "weddings"), "kinds: 'weddings' is not known: give one of order_decided"),
        (("node", "list", "--ca", "no.pem"), "no.pem: No such file"),
        (("node", "list", "--token-file", "no.txt"), "no.txt: No such file"),
        (("node", "list", "--server", ""), "target: is empty"),
    ],
    ids=range(9),
)
def test_bad_usage_is_one_line_with_the_mend(arguments: tuple[object, ...], said: str):
    failed(run(*arguments), 2, said)


def test_bad_rows_of_a_stock_file_are_named(tmp_path: Path):
    file = write_csv(tmp_path / "stock.csv", "sku,node_id,quantity", [("S", "N", 1), ("S", "N", "few")])
    failed(run("stock", "receive", "--file", file), 2, "stock.csv: row 2, quantity 'few': give units")
    file = write_csv(tmp_path / "stock.csv", "sku,node_id", [("S", "N")])
    failed(run("stock", "receive", "--file", file), 2, "must have the column quantity or on_hand")


def test_the_token_comes_from_the_environment_or_a_file_and_is_never_shown(
    service: FakeService, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    (tmp_path / "token").write_text("from-file\n")
    monkeypatch.setenv("ALLOT_TOKEN", "from-environment")
    outcomes = [run(*PLACE), run(*PLACE, "--token-file", tmp_path / "token")]
    assert [sent["authorization"] for sent in service.metadata] == ["Bearer from-environment", "Bearer from-file"]
    service.failures = [Rejection(Code.PERMISSION_DENIED, "ROLE", "not for this role")]
    outcomes += [run(*PLACE), run(*PLACE, "--server", "shop.example:443")]
    assert [found.code for found in outcomes] == [0, 0, 1, 2]
    assert "sent over TLS only" in outcomes[-1].err
    assert not any("from-" in found.out + found.err for found in outcomes)
