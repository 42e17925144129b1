"""A gateway's settlement against the ledger: matched, differing, missing on either side, told twice."""

import csv
from pathlib import Path

import pytest

from kernels.life import PaymentFlag, Step
from server.reconcile import SettlementError, read_settlement
from tests.command_line import run
from tests.driving import COMPILED
from tests.living import GATEWAY, Life, X, pay, row

pytestmark = pytest.mark.skipif(not COMPILED, reason="the command runs compiled")
HEAD = ("entity_id", "type", "amount", "currency", "payment_id")


@pytest.fixture(scope="module")
def history(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six payments of 10,000: `pay_3` is given back in two parts, `pay_5` has no reference, cash is nobody's."""
    folder = tmp_path_factory.mktemp("reconcile")
    life = Life(folder / "data", units=100)
    for at in range(6):
        life.place(f"o{at}", (X, 1, 10_000), method="CARD")
        life.steps(pay(f"p{at}", f"o{at}", flags=GATEWAY | PaymentFlag.SEVERAL))
        reference = "" if at == 5 else f"pay_{at}"
        life.step(Step.CAPTURE, f"p{at}", reference=reference, how="gateway" if reference else "")
    for amount in (1_000, 500):
        life.steps(row(Step.ASK_REFUND, order="o3", amount=amount))
    for number, *_ in life.refunds():
        life.step(Step.REFUND, "p3", number=number)
    life.close()
    assert run("export", "--data", folder / "data", "--out", folder / "history", "--json").code == 0
    return folder / "history"


def settled(path: Path, *rows: tuple[object, ...], head: tuple[str, ...] = HEAD) -> Path:
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([head, *rows])
    return path


WHOLE = [(f"pay_{at}", "payment", 10_000, "INR", "") for at in range(5)] + [
    ("rfnd_1", "refund", 1_000, "INR", "pay_3"), ("rfnd_2", "refund", 500, "INR", "pay_3"),
]  # fmt: skip


def test_what_matches_and_what_does_not(history: Path, tmp_path: Path):
    rows = [*WHOLE[1:], ("pay_2", "payment", 10_000, "INR", ""), ("pay_9", "payment", 7, "INR", ""),
            ("adj_1", "adjustment", 3, "INR", "")]  # fmt: skip
    rows[0] = ("pay_1", "payment", 9_999, "INR", "")
    out = tmp_path / "out.csv"
    file = settled(tmp_path / "settled.csv", *rows)
    found = run("reconcile", history, "--settlement", file, "--gateway", "gateway", "--out", out, "--json")
    assert (found.code, found.err) == (1, "")
    counts = {name: value["count"] for name, value in found.json.items() if isinstance(value, dict) and value["count"]}
    assert counts == {
        "payments matched": 3, "payments amount differs": 1, "payments missing there": 2, "payments missing here": 1,
        "refunds matched": 1,
    }  # fmt: skip
    assert (found.json["duplicates"], found.json["others"], found.json["clean"]) == (1, 1, False)
    assert found.json["payments amount differs"] == {"count": 1, "ours": 10_000, "theirs": 9_999}
    assert {line["reference"] for line in csv.DictReader(out.read_text().splitlines())} > {"pay_0", "pay_1", "pay_9"}
    table = run("reconcile", history, "--settlement", file, "--gateway", "gateway")
    assert "missing here" in table.out


def test_a_settlement_of_nobody_we_know_is_missing_here(history: Path, tmp_path: Path):
    file = settled(tmp_path / "settled.csv", *WHOLE)
    found = run("reconcile", history, "--settlement", file, "--gateway", "another", "--json")
    assert found.code == 1
    assert found.json["payments missing here"]["count"] == 5


def test_a_file_that_is_no_settlement_is_refused(history: Path, tmp_path: Path):
    path = tmp_path / "settled.csv"
    for head, line, named in (
        (HEAD[1:], ("payment", 1, "INR", ""), "entity_id"), (HEAD, ("pay_1", "payment", "1.50", "INR", ""), "amount"),
        (("entity_id", "type", "currency"), ("pay_1", "payment", "INR"), "amount"),
    ):  # fmt: skip
        with pytest.raises(SettlementError, match=named):
            read_settlement(settled(path, line, head=head))
    for where in (tmp_path / "missing.csv", tmp_path):
        found = run("reconcile", history, "--settlement", where, "--gateway", "gateway")
        assert (found.code, "Traceback" in found.err) == (2, False)
    found = run("reconcile", tmp_path, "--settlement", settled(path, *WHOLE), "--gateway", "gateway")
    assert (found.code, "allot export" in found.err) == (2, True)
