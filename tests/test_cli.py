"""The command line: help with examples, JSON, exit codes, a second run that changes nothing, and input that cannot be
used, each of which ends with one line on stderr, exit code 2 and no half-written file."""

import csv
import gzip
import itertools
import json
import signal
import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet
import pytest

from tests import real_data
from tests.command_line import run, run_without_privilege, spawn, write_csv

COMMANDS = (
    "allocate", "import amazon-report", "verify", "export", "serve",
    "relay", "snapshot", "warm", "doctor", "config", "token",
    "order place", "order get", "order show", "order list", "order cancel", "order send",
    "stock receive", "stock count",
    "stock expect", "stock expected", "stock get", "stock list", "node put", "node list", "node regions", "channel put",
    "channel close", "channel list", "watch", "channels",
    "events", "what-if", "plan", "explain", "promise", "node reallocate", "order reevaluate",
    "load", "worker payments", "worker carriers", "worker webhooks", "local gateway", "local carrier",
    "paper label", "paper invoice", "paper manifest", "reconcile",
)  # fmt: skip
TOOLS = real_data.DATA.parent / "tools"
REPORT_CUT = 3000  # lines of the report that the outside judge sees


class Shop:
    """A folder with small input files: three nodes, four SKUs of scarce stock, orders of one to three lines."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.data = folder / "data"
        self.decisions = folder / "decisions.csv"
        self.rejects = folder / "rejects.csv"
        self.nodes = write_csv(folder / "nodes.csv", "node_id,latitude,longitude",
                               [("DEL", 28.6, 77.2), ("BOM", 18.9, 72.8), ("MAA", 13.1, 80.3)])  # fmt: skip
        cells = [(f"S{sku}", node, 9 + sku) for sku in range(4) for node in ("DEL", "BOM", "MAA")]
        self.stock = write_csv(folder / "stock.csv", "sku,node_id,on_hand", cells)
        codes = ("110001", "400001", "600001")
        rows = [(f"O{order}", "shop", codes[order % 3], f"S{(order + line) % 4}", 1 + line)
                for order in range(60) for line in range(1 + order % 3)]  # fmt: skip
        self.orders = write_csv(folder / "orders.csv", "order_id,channel,postal_code,sku,quantity", rows)
        self.lines = len(rows)
        places = [("110001", 28.62, 77.21), ("400001", 18.94, 72.84), ("600001", 13.09, 80.28)]
        self.places = write_csv(folder / "places.csv", "postal_code,latitude,longitude", places)

    def allocate(self, *more: object, **instead: object) -> list[object]:
        files = {"orders": self.orders, "nodes": self.nodes, "stock": self.stock, "postal_codes": self.places,
                 "decisions": self.decisions, "rejects": self.rejects} | instead  # fmt: skip
        named = ((f"--{name.replace('_', '-')}", value) for name, value in files.items())
        return ["allocate", *itertools.chain.from_iterable(named), *more]


@pytest.fixture
def shop(tmp_path: Path) -> Shop:
    return Shop(tmp_path)


@pytest.mark.parametrize("command", COMMANDS)
def test_help_has_an_example(command: str):
    found = run(*command.split(), "--help")
    assert (found.code, found.err) == (0, "")
    assert f"Example: allot {command}" in " ".join(found.out.split())


@pytest.mark.parametrize("command", COMMANDS)
def test_the_example_stands_in_one_line_to_be_copied(command: str):
    lines = [line.strip().removeprefix("Example: ") for line in run(*command.split(), "--help").out.splitlines()]
    (example,) = [line for line in lines if line.startswith(f"allot {command}")]
    at = lines.index(next(line for line in lines if line.endswith(example)))
    assert lines[at + 1] == "", "the example goes on in the next line"


def test_the_list_of_commands_here_is_that_of_the_program():
    listed = run("--help").out.split("Commands:")[1]
    names = {line.split()[0] for line in listed.splitlines() if line.startswith("  ") and line[2] != " "}
    assert names == {command.split()[0] for command in COMMANDS}


@pytest.mark.parametrize("command", ["", "allocate", "import", "nonsense", "verify", "allocate --orders"])
def test_wrong_usage_is_exit_code_2_without_a_traceback(command: str):
    found = run(*command.split())
    assert found.code == 2
    assert "Traceback" not in found.err


def test_each_command_prints_json_that_parses_and_nothing_else(shop: Shop):
    summary = run(*shop.allocate("--data", shop.data, "--json"))
    assert (summary.code, summary.err) == (0, "")
    assert {"orders", "lines", "units", "allocated_units", "short_units", "split_orders", "shipments",
            "rejected_lines", "cost", "seconds", "orders_per_second"} <= set(summary.json)  # fmt: skip
    assert set(summary.json["seconds"]) == {"read", "allocate", "write", "total"}
    assert summary.json["lines"] == shop.lines
    assert summary.json["units"] == summary.json["allocated_units"] + summary.json["short_units"]
    verified = run("verify", "--data", shop.data, "--json")
    assert (verified.code, verified.err, verified.json["clean"]) == (0, "", True)
    exported = run("export", "--data", shop.data, "--out", shop.folder / "history", "--json")
    assert (exported.code, exported.err) == (0, "")
    assert exported.json["lines"] == shop.lines
    snapshot = run("snapshot", "--data", shop.data, "--json")
    assert (snapshot.code, snapshot.err) == (0, "")
    assert (shop.data / snapshot.json["snapshot"]).exists()
    assert run("verify", "--data", shop.data, "--from-snapshot", "--json").json["digest"] == verified.json["digest"]
    for command in (("doctor", "--data", shop.data), ("warm",)):
        found = run(*command, "--json")
        assert found.err == ""
        assert isinstance(found.json, dict)


def test_without_json_a_person_reads_a_table_and_what_comes_next(shop: Shop):
    found = run(*shop.allocate("--data", shop.data))
    assert (found.code, found.err) == (0, "")
    assert "allocated units" in found.out
    assert "allot verify --data" in found.out
    assert "clean" in run("verify", "--data", shop.data).out


def test_a_rejected_row_is_exit_code_1_and_the_rest_is_decided(shop: Shop):
    with open(shop.orders, "a") as file:
        file.write("X1,shop,110001,S0,0\nX2,shop,999999,S0,1\nX3,shop,110001,S1,1\n")
    found = run(*shop.allocate("--json"))
    assert found.code == 1
    assert (found.json["lines"], found.json["rejected_lines"]) == (shop.lines + 1, 2)
    with open(shop.rejects, newline="") as file:
        assert [(reject["column"], reject["value"]) for reject in csv.DictReader(file)] == [
            ("quantity", "0"), ("postal_code", "999999")]  # fmt: skip


def test_the_same_files_again_change_nothing_and_the_command_says_so(shop: Shop):
    first = run(*shop.allocate("--data", shop.data, "--json"))
    decided = shop.decisions.read_bytes()
    journal = {path.name: path.read_bytes() for path in shop.data.iterdir()}
    again = run(*shop.allocate("--data", shop.data, "--json"))
    assert (first.code, again.code) == (0, 0)
    assert (first.json["changed"], again.json["changed"]) == (True, False)
    assert again.json["repeated_orders"] == again.json["orders"] == first.json["orders"]
    assert again.json["notes"] == ["nothing was changed: the folder knew all of it"]
    assert shop.decisions.read_bytes() == decided
    assert {path.name: path.read_bytes() for path in shop.data.iterdir()} == journal


def test_stateless_and_durable_decide_the_same_in_every_form_of_file(shop: Shop):
    assert run(*shop.allocate()).code == 0
    decided = shop.decisions.read_bytes()
    assert run(*shop.allocate("--data", shop.data)).code == 0
    assert shop.decisions.read_bytes() == decided
    zipped, columns = shop.folder / "decisions.csv.gz", shop.folder / "decisions.parquet"
    assert run(*shop.allocate(decisions=zipped)).code == 0
    assert gzip.decompress(zipped.read_bytes()) == decided
    assert run(*shop.allocate(decisions=columns)).code == 0
    table = pyarrow.parquet.read_table(columns)
    assert table.num_rows == decided.count(b"\n") - 1
    assert table.column("note").null_count == table.num_rows  # no remark is no text, in Parquet too


def test_a_known_order_with_other_content_is_a_reject_and_the_first_answer_stays(shop: Shop):
    run(*shop.allocate("--data", shop.data))
    digest = run("verify", "--data", shop.data, "--json").json["digest"]
    shop.orders.write_text("order_id,channel,postal_code,sku,quantity\nO0,shop,110001,S0,2\n")
    found = run(*shop.allocate("--data", shop.data, "--json"))
    assert (found.code, found.json["orders"], found.json["rejected_lines"]) == (1, 0, 1)
    assert "KEY_CONFLICT" in shop.rejects.read_text()
    verified = run("verify", "--data", shop.data, "--json").json
    assert (verified["clean"], verified["digest"]) == (True, digest)


# Input that cannot be used: what is done to the shop's files, and a word of the line that says so


def missing_file(shop: Shop) -> list[object]:
    shop.orders.unlink()
    return shop.allocate()


def wrong_delimiter(shop: Shop) -> list[object]:
    shop.orders.write_text(shop.orders.read_text().replace(",", ";"))
    return shop.allocate()


def missing_column(shop: Shop) -> list[object]:
    shop.orders.write_text(shop.orders.read_text().replace("quantity", "amount", 1))
    return shop.allocate()


def empty_file(shop: Shop) -> list[object]:
    shop.orders.write_text("")
    return shop.allocate()


def empty_nodes(shop: Shop) -> list[object]:
    shop.nodes.write_text("")
    return shop.allocate()


def cut_gzip(shop: Shop) -> list[object]:
    cut = shop.folder / "cut.csv.gz"
    whole = gzip.compress(shop.orders.read_bytes())
    cut.write_bytes(whole[: len(whole) // 2])
    return shop.allocate(orders=cut)


def cut_parquet(shop: Shop) -> list[object]:
    cut = shop.folder / "cut.parquet"
    pyarrow.parquet.write_table(pa.table({"order_id": ["A"]}), cut)
    cut.write_bytes(cut.read_bytes()[:-9])
    return shop.allocate(orders=cut)


def parquet_of_another_type(shop: Shop) -> list[object]:
    path = shop.folder / "orders.parquet"
    table = pa.table({"order_id": ["A"], "postal_code": ["110001"], "sku": ["S0"], "quantity": [[1, 2]]})
    pyarrow.parquet.write_table(table, path)
    return shop.allocate(orders=path)


def csv_named_parquet(shop: Shop) -> list[object]:
    return shop.allocate(orders=shop.orders.rename(shop.folder / "orders.parquet"))


def unknown_ending(shop: Shop) -> list[object]:
    return shop.allocate(orders=shop.orders.rename(shop.folder / "orders.xlsx"))


def not_text(shop: Shop) -> list[object]:
    shop.orders.write_bytes(shop.orders.read_bytes() + b"\xff\xfe\x00,shop,110001,S0,1\n")
    return shop.allocate()


def unknown_policy(shop: Shop) -> list[object]:
    return shop.allocate("--policy", "cheapest")


def no_folder_for_decisions(shop: Shop) -> list[object]:
    return shop.allocate(decisions=shop.folder / "nowhere" / "decisions.csv")


def decisions_are_a_folder(shop: Shop) -> list[object]:
    shop.decisions.mkdir()
    return shop.allocate()


def no_folder_for_rejects(shop: Shop) -> list[object]:
    return shop.allocate(rejects=shop.folder / "nowhere" / "rejects.csv")


def decisions_over_the_orders(shop: Shop) -> list[object]:
    return shop.allocate(decisions=shop.orders)


def rejects_over_the_stock_by_another_way(shop: Shop) -> list[object]:
    return shop.allocate(rejects=shop.folder / ".." / shop.folder.name / "stock.csv")


def decisions_and_rejects_in_one_file(shop: Shop) -> list[object]:
    return shop.allocate(rejects=shop.decisions)


def name_too_long(shop: Shop) -> list[object]:
    return shop.allocate(decisions=shop.folder / f"{'d' * 300}.csv")


def input_name_too_long(shop: Shop) -> list[object]:
    return shop.allocate(orders=shop.folder / f"{'o' * 300}.csv")


def name_that_is_not_utf8(shop: Shop) -> list[object]:
    return shop.allocate(decisions=shop.folder / "d\udce9.csv")


def rate_card_without_fees(shop: Shop) -> list[object]:
    (shop.folder / "card.toml").write_text("shipment_fee = 4000\n")
    return shop.allocate("--rate-card", shop.folder / "card.toml")


def missing_postal_codes(shop: Shop) -> list[object]:
    shop.places.unlink()
    return shop.allocate()


BAD_INPUT = (
    missing_file, wrong_delimiter, missing_column, empty_file, empty_nodes, cut_gzip, cut_parquet,
    parquet_of_another_type, csv_named_parquet, unknown_ending, not_text, unknown_policy, no_folder_for_decisions,
    decisions_are_a_folder, no_folder_for_rejects, rate_card_without_fees, missing_postal_codes,
    decisions_over_the_orders, rejects_over_the_stock_by_another_way, decisions_and_rejects_in_one_file, name_too_long,
    input_name_too_long, name_that_is_not_utf8,
)  # fmt: skip


@pytest.mark.parametrize("spoil", BAD_INPUT, ids=lambda spoil: spoil.__name__)
def test_input_that_cannot_be_used_is_one_line_and_leaves_no_file_behind(shop: Shop, spoil):
    arguments = spoil(shop)
    before = {path: path.stat().st_mtime_ns for path in shop.folder.rglob("*")}
    found = run(*arguments, "--data", shop.data)
    assert (found.code, found.out) == (2, ""), found
    assert found.err.startswith("allot: ")
    assert found.err.count("\n") == 1, found.err
    assert {path: path.stat().st_mtime_ns for path in shop.folder.rglob("*")} == before


def test_an_import_does_not_overwrite_its_report(tmp_path: Path):
    report = write_csv(tmp_path / "report.csv", "a,b", [(1, 2)])
    for options in (("--orders", report), ("--orders", tmp_path / "o.csv", "--rejects", report)):
        found = run("import", "amazon-report", report, *options)
        assert (found.code, found.err.count("\n")) == (2, 1)
        assert "would overwrite --report" in found.err
    assert report.read_text() == "a,b\n1,2\n"


def test_an_import_whose_rejects_cannot_be_written_writes_no_orders(tmp_path: Path):
    report, orders = tmp_path / "report.csv", tmp_path / "orders.csv"
    header = "Order ID,Sales Channel ,Date,ship-postal-code,SKU,Qty,currency,ship-service-level,Amount"
    write_csv(report, header, [("A", "Amazon.in", "04-30-22", "110001", "X", 1, "INR", "Standard", 5)])
    places = write_csv(tmp_path / "places.csv", "postal_code,latitude,longitude", [("110001", 28.6, 77.2)])
    job = ("import", "amazon-report", report, "--orders", orders, "--postal-codes", places)
    assert (run(*job, "--rejects", tmp_path / "nowhere" / "r.csv").code, orders.exists()) == (2, False)
    assert (run(*job, "--rejects", tmp_path / "r.csv").code, orders.exists()) == (0, True)


def test_the_cost_is_the_same_whatever_order_and_number_of_nodes_the_folder_knows(shop: Shop):
    card = shop.folder / "card.toml"
    card.write_text("shipment_fee = 1\nfee_per_km = 7.0\nhandling_fee = 0\nfee_per_unit_km = 0\nshortage_penalty = 3\n")
    first = run(*shop.allocate("--data", shop.data, "--rate-card", card, "--json")).json
    header, *rows = shop.nodes.read_text().splitlines()
    shop.nodes.write_text("\n".join([header, *reversed(rows)]) + "\n")
    again = run(*shop.allocate("--data", shop.data, "--rate-card", card, "--json")).json
    assert (again["cost"], again["changed"]) == (first["cost"], False)
    shop.nodes.write_text("\n".join([header, rows[0]]) + "\n")
    assert run(*shop.allocate("--data", shop.data, "--rate-card", card, "--json")).json["cost"] == first["cost"]


def test_a_node_that_the_file_names_no_longer_allocates_nothing_more_until_it_is_named_again(shop: Shop):
    run(*shop.allocate("--data", shop.data))
    nodes = shop.nodes.read_text()
    shop.nodes.write_text("".join(line for line in nodes.splitlines(True) if not line.startswith("DEL")))
    for order, node, closed in (("N1", "BOM", True), ("N2", "BOM", False), ("N3", "DEL", False)):
        if order == "N3":
            shop.nodes.write_text(nodes)
        shop.orders.write_text(f"order_id,channel,postal_code,sku,quantity\n{order},shop,110001,S3,1\n")
        shop.stock.write_text("sku,node_id,on_hand\nS3,BOM,99\n" + ("S3,DEL,99\n" if order == "N3" else ""))
        found = run(*shop.allocate("--data", shop.data, "--json"))
        assert found.code == 0, found
        assert any("closed" in note and "DEL" in note for note in found.json["notes"]) == closed
        assert [row["node_id"] for row in csv.DictReader(shop.decisions.read_text().splitlines())] == [node]
    assert run("verify", "--data", shop.data, "--json").json["clean"]


def test_a_stock_row_that_is_left_out_is_named_by_its_place_and_reason(shop: Shop):
    with open(shop.stock, "a") as file:
        file.write("S1,DEL,-\nS1,NOWHERE,3\nS2,NOWHERE,3\n")
    found = run(*shop.allocate("--json"))
    assert (found.code, found.json["stock_rejects"], found.json["lines"]) == (1, 3, shop.lines)
    (remark,) = found.json["notes"]
    assert "2 UNKNOWN_NODE, 1 NOT_A_NUMBER" in remark
    assert "row 13, on_hand '-': The value is not a whole number." in remark


def test_a_snapshot_says_what_it_archived_and_when_there_was_nothing(shop: Shop):
    run(*shop.allocate("--data", shop.data))
    found = run("snapshot", "--data", shop.data, "--archive")
    assert (found.code, "archived nothing" in found.out) == (0, True)
    with open(shop.orders, "a") as file:
        file.write("X1,shop,110001,S0,1\n")
    run(*shop.allocate("--data", shop.data))
    found = run("snapshot", "--data", shop.data, "--archive")
    assert (found.code, "archived archive/journal-" in found.out) == (0, True)
    assert run("verify", "--data", shop.data).code == 0


def test_orders_whose_answers_were_archived_and_moved_away_are_rejects_that_say_so(shop: Shop):
    run(*shop.allocate("--data", shop.data))
    run("snapshot", "--data", shop.data)
    with open(shop.orders, "a") as file:
        file.write("X1,shop,110001,S0,1\n")
    run(*shop.allocate("--data", shop.data))
    run("snapshot", "--data", shop.data, "--archive")
    for segment in (shop.data / "archive").iterdir():
        segment.unlink()
    with open(shop.orders, "a") as file:
        file.write("X2,shop,110001,S0,1\n")
    found = run(*shop.allocate("--data", shop.data, "--json"))
    assert (found.code, found.err, found.json["orders"], found.json["repeated_orders"]) == (1, "", 2, 1)
    assert found.json["rejects_by_reason"] == {"ANSWER_ARCHIVED": shop.lines}
    rows = list(csv.DictReader(shop.rejects.read_text().splitlines()))
    assert {row["value"] for row in rows} == {f"O{order}" for order in range(60)}
    assert "moved away: put it back into archive/" in rows[0]["why"]
    assert run(*shop.allocate("--data", shop.data, "--json")).json["repeated_orders"] == 2


def test_names_with_brackets_are_printed_as_they_are(shop: Shop):
    found = run(*shop.allocate(decisions=shop.folder / "[b]:smile:.csv"))
    assert found.code == 0
    assert "[b]:smile:.csv" in found.out
    data = shop.folder / "[dim]"
    run(*shop.allocate("--data", data))
    assert "[dim]" in run("verify", "--data", data).out


def test_interrupted_in_the_middle_it_says_so_and_leaves_nothing_half_done(shop: Shop):
    write_csv(shop.orders, "order_id,postal_code,sku,quantity", ((f"O{i}", "110001", "S0", 1) for i in range(300_000)))
    with spawn(*shop.allocate("--json")) as process:
        while not list(shop.folder.glob(".*.partial")):  # it has read the files and begun to decide
            assert process.poll() is None
        process.send_signal(signal.SIGINT)
        out, err = process.communicate()
    assert (process.returncode, out, err.count("\n")) == (130, "", 1)
    assert "interrupted" in err
    assert {path.name for path in shop.folder.iterdir()} == {"nodes.csv", "orders.csv", "places.csv", "stock.csv"}


def test_without_a_stderr_it_works_all_the_same(shop: Shop):
    command = ["sh", "-c", 'exec "$@" 2>&-', "sh", sys.executable, "-m", "server.cli.main", *map(str, shop.allocate())]
    assert subprocess.run(command, stdout=subprocess.DEVNULL).returncode == 0
    assert shop.decisions.exists()


def test_decisions_that_stood_there_survive_a_job_that_fails(shop: Shop):
    run(*shop.allocate())
    decided = shop.decisions.read_bytes()
    shop.stock.write_text("")
    assert run(*shop.allocate()).code == 2
    assert shop.decisions.read_bytes() == decided


def test_decisions_into_a_folder_that_is_not_writable(shop: Shop):
    closed = shop.folder / "closed"
    closed.mkdir(mode=0o500)
    found = run_without_privilege(*shop.allocate(decisions=closed / "decisions.csv"))
    assert (found.code, found.out, found.err.count("\n")) == (2, "", 1)
    assert "decisions.csv: cannot be written: permission denied" in found.err
    assert list(closed.iterdir()) == []


def test_in_a_process_of_its_own_stdout_is_the_json_and_stderr_is_silent_away_from_a_terminal(shop: Shop):
    with spawn(*shop.allocate("--json")) as process:
        out, err = process.communicate()
    assert (process.returncode, err) == (0, "")
    assert json.loads(out)["lines"] == shop.lines


@pytest.mark.skipif(not TOOLS.is_dir(), reason="the outside judge is not beside this clone")
@pytest.mark.parametrize("policy", ["nearest", "least-cost"])
def test_the_outside_judge_finds_nothing_oversold_nothing_lost_and_no_higher_cost(tmp_path: Path, policy: str):
    cut = tmp_path / "report.csv.gz"
    with gzip.open(real_data.report(tmp_path), "rt") as whole, gzip.open(cut, "wt") as file:
        file.writelines(itertools.islice(whole, REPORT_CUT))
    files = tmp_path / "instance"
    subprocess.run([sys.executable, TOOLS / "make_instance.py", cut, files, "--tightness", "1.0", "--basket", "5"],
                   check=True, capture_output=True)  # fmt: skip
    named = ("orders", "nodes", "stock", "postal_codes")
    inputs = itertools.chain.from_iterable((f"--{n.replace('_', '-')}", files / f"{n}.csv") for n in named)
    decisions = tmp_path / "decisions.csv"
    card = ("--rate-card", files / "rate_card.toml", "--policy", policy)
    found = run("allocate", *inputs, *card, "--decisions", decisions, "--json")
    assert found.code == 0, found
    given = ["--bound", "1"] if policy == "nearest" else []  # spares computing one
    judged = subprocess.run(
        [sys.executable, TOOLS / "check_decisions.py", files, decisions, *given, "--nearest"],
        check=True, capture_output=True,
    )  # fmt: skip
    verdict = json.loads(judged.stdout)
    assert {verdict[name] for name in ("invalid_rows", "oversold_units", "unaccounted_units")} == {0}
    same = ("units", "short_units", "shipments", "split_orders", "cost")
    assert {name: verdict[name] for name in same} == {name: found.json[name] for name in same}
    assert verdict["cost"] <= verdict["nearest_cost"]
    if policy == "least-cost":
        assert abs(verdict["lower_bound"] - found.json["bound"]) <= 1
        assert verdict["gap"] == pytest.approx(found.json["gap"], abs=1e-5)
        assert verdict["gap"] < 0.035


def test_more_channels_than_there_may_be_are_refused_before_anything_is_changed(shop: Shop):
    rows = [(f"O{i}", f"channel {i}", "110001", "S0", 1) for i in range(1025)]
    write_csv(shop.orders, "order_id,channel,postal_code,sku,quantity", rows)
    found = run(*shop.allocate("--data", shop.data))
    assert (found.code, found.out, found.err.count("\n")) == (2, "", 1)
    assert f"{shop.orders}: channel: 1,025 channels" in found.err
    assert json.loads(run("verify", "--data", shop.data, "--json").out)["last_sequence"] == 0


def test_a_file_where_a_folder_is_wanted_is_bad_usage(shop: Shop):
    found = run(*shop.allocate("--data", shop.nodes))
    assert (found.code, "is a file: name a folder" in found.err) == (2, True)
    run(*shop.allocate("--data", shop.data))
    for out in (shop.nodes, shop.data):
        found = run("export", "--data", shop.data, "--out", out)
        assert (found.code, found.err.count("\n")) == (2, 1)
